/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The few lines about a component that one screen has room for: queues, lag, losses, days of the certificate. */

#include "tool/component.h"
#include "tool/doctor.h"

/* Prints them; nothing for a component that is none of ours. `kernel`: NULL, or what the kernel's audit says.
 * Returns 0 or -ENOMEM. */
int status_summary(const Component *component, const DoctorKernel *kernel) _must_check_;
