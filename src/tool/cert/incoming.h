/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What comes to a host from the CA as one text: its certificate (and those between it and the CA), the CA, a revocation list. All
 * functions say on stderr what is wrong. */

#include "basic/macro.h"

#include <time.h>

typedef struct Incoming {
        char *certificate; /* PEM, with those between it and the CA behind it */
        char *authority;   /* PEM of those that are their own issuer; NULL: none came */
        char *revocation;  /* PEM; NULL: none came */
        char **names;      /* DNS names that it speaks for; NULL: none */
        time_t end;
        bool collector;    /* it may be used by one */
} Incoming;

int incoming_parse(const char *text, Incoming *ret) _must_check_;
void incoming_done(Incoming *incoming);
/* Whether all of its CAs are among these (PEM). */
bool incoming_is_trusted(const Incoming *incoming, const char *authority);
/* Whether it is issued by one of these (PEM), and valid now. */
int incoming_verify(const Incoming *incoming, const char *authority) _must_check_;
