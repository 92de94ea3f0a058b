/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sim.h"

#include <sys/epoll.h>

/* The event being dispatched was left by a jump: its process died within. */
void sim_event_abandon(sd_event *event);
