/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "runtime/tls.h"

/* Names of the certificates, and so of their files: NAME.cert.pem, NAME.key.pem. */
#define LOAD_CA "ca"
#define LOAD_COLLECTOR "collector"

/* NULL: it cannot be used, which was said. */
Tls *load_tls(const char *directory, const char *name);
/* Prints the bytes of malloc() that n server sessions of GnuTLS take, each, after their handshakes. */
int load_gnutls_share(const char *directory, unsigned n);
