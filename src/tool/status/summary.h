/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The few lines about a component that one screen has room for: queues, lag, losses, days of the certificate. */

#include "tool/component.h"

/* Prints them; nothing for a component that is none of ours. Returns 0 or -ENOMEM. */
int status_summary(const Component *component) _must_check_;
