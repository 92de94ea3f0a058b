/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keys by which a collector signs checkpoints of its store: DIRECTORY/NAME/sign.pem. Each says itself what it did, and
 * why it failed; then it returns a negative errno. */

#include "tool/cert/cert.h"

int cert_make_signer(const CertOptions *options, const char *name) _must_check_;
/* Prints the verifier key of DIRECTORY/NAME/sign.pem; where that is not there, of the host's own. */
int cert_print_verifier(const CertOptions *options, const char *name) _must_check_;
