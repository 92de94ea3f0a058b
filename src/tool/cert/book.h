/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The CA's book, DIRECTORY/issued/NAME-SERIAL.pem: every certificate that it has issued, so that all of a name's can be revoked.
 * All functions say on stderr what went wrong. */

#include "basic/macro.h"

/* Before the certificate is out. */
int cert_book_add(const char *directory, const char *name, const char *certificate) _must_check_;
/* Those of exactly this name (NULL: of all) as a list of PEM texts, strings_free(), the newest one last; NULL: there is none. */
int cert_book_load(const char *directory, const char *name, char ***ret) _must_check_;
/* Returns 1 when the revocation list (PEM; NULL: there is none) has the certificate, 0 when not. */
int cert_book_is_revoked(const char *crl, const char *certificate) _must_check_;
/* Likewise when it has any certificate of the same key. */
int cert_book_key_is_revoked(const char *directory, const char *certificate) _must_check_;
