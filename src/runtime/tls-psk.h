/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* TLS 1.3 with pre-shared keys in place of certificates, as stock audisp-remote and auditd 4.2 have it. A
 * finished handshake is proof: there is nothing to judge. Sessions are made by tls_session_new(), without a
 * name.
 */

#include "runtime/tls.h"

/* Its key file's first line is hexadecimal, 32 to 255 bytes. As in tls_new() *ret_message says what is
 * wrong. */
int tls_psk_client_new(const char *identity, const char *key_path, Tls **ret,
                       char **ret_message) _must_check_;
/* One file a client in the directory, IDENTITY.psk; an identity is the name of a node. */
int tls_psk_server_new(const char *directory, Tls **ret, char **ret_message) _must_check_;
/* Whether the client may still come: known, with the key that it came with. */
bool tls_psk_same(const Tls *tls, const Tls *before, const char *identity);

/* Who the client of an established session is; NULL: nobody. Valid as long as the session. */
const char *tls_session_psk_identity(const TlsSession *session);
