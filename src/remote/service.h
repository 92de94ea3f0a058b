/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The DNS's answer about a service (SRV, RFC 2782). */

#include "remote/collectors.h"

/* Takes up to `max` records out of an answer; what is no collector's name is left out. Returns how many, or -EBADMSG when
 * it is none. One that says that there is no such service has none. */
int service_parse(const uint8_t *answer, size_t size, CollectorsService *ret, size_t max) _must_check_;

/* Asks the DNS; blocks. Returns as service_parse(); -ENXIO: there is none; -EAGAIN: no server answers. */
int service_find(const char *domain, CollectorsService *ret, size_t max) _must_check_;
