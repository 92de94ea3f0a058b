/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* remote: takes records from the dispatcher into its store and passes them on to a collector. */

#include "remote/config.h"

/* Runs until SIGTERM. Returns the process's exit status; says itself what was wrong. */
int remote_run(const RemoteConfig *config);
