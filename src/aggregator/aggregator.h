/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The aggregator: takes records from the remotes of many hosts into one store. */

#include "aggregator/config.h"

/* Runs until SIGTERM. Returns the process's exit status; says itself what was wrong. */
int aggregator_run(const AggregatorConfig *config);
