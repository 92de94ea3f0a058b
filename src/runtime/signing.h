/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keys that sign checkpoints, and those that verify them: Ed25519. A signing key is a PEM file (PKCS #8) or a PKCS#11
 * URL; a verifier key is one line, as C2SP's signed-note has it: NAME+ID+BASE64.
 */

#include "runtime/note.h"
#include "store/store.h"

/* A verifier key as text, with its NUL. */
#define VERIFIER_KEY_MAX (NODE_NAME_MAX + 1U + 8U + 1U + 44U + 1U)
#define PUBLIC_KEY_SIZE 32U

typedef struct VerifierKey {
        char name[NODE_NAME_MAX + 1];
        uint8_t id[KEY_ID_SIZE];
        uint8_t public_key[PUBLIC_KEY_SIZE];
} VerifierKey;

/* Blanks around it are passed over. Returns 0 or -EINVAL. */
int verifier_key_parse(const char *text, VerifierKey *ret) _must_check_;
void verifier_key_format(const VerifierKey *key, char ret_text[static VERIFIER_KEY_MAX]);

/* Whether the note is signed by this key. Returns 0; -ENOKEY: it is not; -EBADMSG: it says so, but the signature is wrong,
 * or it is no note. */
int verifier_key_verify(const VerifierKey *key, const char *text, size_t size, Note *ret_note) _must_check_;
/* The same of a CHECKPOINT entry. */
int verifier_key_verify_entry(const VerifierKey *key, const IndexEntry *entry) _must_check_;

typedef struct SigningKey SigningKey;

/* `path`: a PEM file or a PKCS#11 URL; `name`: of the collector, which its checkpoints carry. On failure *ret_why, owned by the
 * caller, is a sentence. */
int signing_key_load(const char *path, const char *name, SigningKey **ret, char **ret_why) _must_check_;
SigningKey *signing_key_free(SigningKey *key);
DEFINE_CLEANUP(SigningKey *, signing_key_free)
/* Its other half. */
const VerifierKey *signing_key_verifier(const SigningKey *key);
/* Makes the checkpoint of a store: the entry to be written, and the note. Returns 0; -EIO: the token does not sign. */
int signing_key_sign(const SigningKey *key, const StoreHead *head, uint64_t now_usec, IndexEntry *ret_entry,
                     char ret_note[static NOTE_MAX]) _must_check_;
/* Makes a key, as PEM; *ret_pem is owned by the caller, who overwrites it. */
int signing_key_generate(char **ret_pem, char **ret_why) _must_check_;
