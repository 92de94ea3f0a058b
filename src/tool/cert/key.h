/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* SHA-256, in hexadecimal, of the public key. */
#define CERT_KEY_ID_SIZE 65

/* Two digits for each byte, and a NUL. */
void cert_hex(char *ret, const uint8_t *bytes, size_t size);

/* Of the first certificate, request or private key in the PEM text. Returns 0, or -EINVAL where there is none that can be read. */
int cert_key_id(const char *pem, char ret[static CERT_KEY_ID_SIZE]) _must_check_;
