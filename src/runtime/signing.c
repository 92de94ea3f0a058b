/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/signing.h"
#include "runtime/tls-private.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <stdio.h>

/* Signed-note's number of Ed25519. */
#define ALGORITHM_ED25519 1U

struct SigningKey {
        gnutls_privkey_t key;
        VerifierKey verifier;
};

/* --- Verifier keys --- */

/* SHA-256 of the name, LF, the algorithm and the public key: its first four bytes. */
static void make_id(const VerifierKey *key, uint8_t ret[static KEY_ID_SIZE])
{
        uint8_t data[NODE_NAME_MAX + 2 + PUBLIC_KEY_SIZE], digest[SHA256_SIZE];
        size_t n = strlen(key->name);
        int r;

        memcpy(data, key->name, n);
        data[n] = '\n';
        data[n + 1] = ALGORITHM_ED25519;
        memcpy(data + n + 2, key->public_key, PUBLIC_KEY_SIZE);
        r = gnutls_hash_fast(GNUTLS_DIG_SHA256, data, n + 2 + PUBLIC_KEY_SIZE, digest);
        assert(r == 0);
        (void) r;
        memcpy(ret, digest, KEY_ID_SIZE);
}

static void format_id(const uint8_t id[static KEY_ID_SIZE], char ret[static 9])
{
        (void) snprintf(ret, 9, "%02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
}

void verifier_key_format(const VerifierKey *key, char ret_text[static VERIFIER_KEY_MAX])
{
        uint8_t blob[1 + PUBLIC_KEY_SIZE] = { ALGORITHM_ED25519 };
        char id[9], encoded[45];

        memcpy(blob + 1, key->public_key, PUBLIC_KEY_SIZE);
        base64_encode(blob, sizeof blob, encoded);
        format_id(key->id, id);
        (void) snprintf(ret_text, VERIFIER_KEY_MAX, "%s+%s+%s", key->name, id, encoded);
}

int verifier_key_parse(const char *text, VerifierKey *ret)
{
        static const char blanks[] = " \t\r\n";
        uint8_t blob[1 + PUBLIC_KEY_SIZE];
        VerifierKey key = { .name = "" };
        const char *plus, *second;
        size_t n;
        char id[9];

        text += strspn(text, blanks);
        n = strcspn(text, blanks);
        plus = memchr(text, '+', n);
        second = plus ? memchr(plus + 1, '+', n - (size_t) (plus + 1 - text)) : NULL;
        if (!second || plus == text || plus - text > (ptrdiff_t) NODE_NAME_MAX || text[n + strspn(text + n, blanks)] != '\0')
                return -EINVAL;
        memcpy(key.name, text, (size_t) (plus - text));
        if (!base64_decode(second + 1, n - (size_t) (second + 1 - text), blob, sizeof blob) || blob[0] != ALGORITHM_ED25519)
                return -EINVAL;
        memcpy(key.public_key, blob + 1, PUBLIC_KEY_SIZE);
        make_id(&key, key.id);
        /* A letter that was mistyped shows. */
        format_id(key.id, id);
        if (second - plus != 9 || memcmp(plus + 1, id, 8) != 0)
                return -EINVAL;
        *ret = key;
        return 0;
}

static int verify(const VerifierKey *key, const char *text, size_t size, const uint8_t signature[static SIGNATURE_SIZE])
{
        gnutls_datum_t x = { (unsigned char *) key->public_key, PUBLIC_KEY_SIZE }, data = { (unsigned char *) text, (unsigned) size },
                       wanted = { (unsigned char *) signature, SIGNATURE_SIZE };
        gnutls_pubkey_t public_key;
        int r = gnutls_pubkey_init(&public_key);

        if (r < 0)
                return -ENOMEM;
        r = gnutls_pubkey_import_ecc_raw(public_key, GNUTLS_ECC_CURVE_ED25519, &x, NULL);
        if (r >= 0)
                r = gnutls_pubkey_verify_data2(public_key, GNUTLS_SIGN_EDDSA_ED25519, 0, &data, &wanted);
        gnutls_pubkey_deinit(public_key);
        return r < 0 ? -EBADMSG : 0;
}

int verifier_key_verify(const VerifierKey *key, const char *text, size_t size, Note *ret_note)
{
        uint8_t signature[SIGNATURE_SIZE];
        int r = note_parse(text, size, ret_note);

        if (r < 0)
                return r;
        if (strcmp(ret_note->name, key->name) != 0 || !note_signature(text, size, key->name, key->id, signature))
                return -ENOKEY;
        return verify(key, text, ret_note->size, signature);
}

int verifier_key_verify_entry(const VerifierKey *key, const IndexEntry *entry)
{
        char text[NOTE_MAX];
        uint8_t id[KEY_ID_SIZE];
        Note note;

        note_entry_id(entry, id);
        if (memcmp(id, key->id, sizeof id) != 0)
                return -ENOKEY;
        note_from_entry(entry, key->name, &note);
        note_format(&note, text);
        return verify(key, text, note.size, entry->checkpoint.signature);
}

/* --- Signing keys --- */

static int read_public_key(SigningKey *key)
{
        gnutls_datum_t x = { 0 }, y = { 0 };
        gnutls_ecc_curve_t curve;
        gnutls_pubkey_t public_key;
        int r = gnutls_pubkey_init(&public_key);

        if (r < 0)
                return r;
        r = gnutls_pubkey_import_privkey(public_key, key->key, 0, 0);
        if (r >= 0)
                r = gnutls_pubkey_export_ecc_raw(public_key, &curve, &x, &y);
        gnutls_pubkey_deinit(public_key);
        if (r >= 0 && (curve != GNUTLS_ECC_CURVE_ED25519 || x.size != PUBLIC_KEY_SIZE))
                r = GNUTLS_E_INVALID_REQUEST;
        if (r >= 0)
                memcpy(key->verifier.public_key, x.data, PUBLIC_KEY_SIZE);
        gnutls_free(x.data);
        gnutls_free(y.data);
        return r;
}

static int import(SigningKey *key, const char *path, char **ret_why)
{
        _cleanup_(tls_datum_done) gnutls_datum_t pem = { 0 };
        _cleanup_(freep) char *shown = tls_url_shown(path);
        int r;

        if (!shown || gnutls_privkey_init(&key->key) < 0)
                return -ENOMEM;
        if (tls_is_url(path)) {
                r = gnutls_privkey_import_url(key->key, path, 0);
        } else {
                r = tls_refuse_url("signing key", path, ret_why);
                if (r < 0)
                        return r;
                errno = 0;
                if (gnutls_load_file(path, &pem) < 0)
                        return tls_fail(ret_why, errno > 0 ? -errno : -EIO, "Cannot read the signing key %s: %s", path,
                                        strerror(errno > 0 ? errno : EIO));
                r = gnutls_privkey_import_x509_raw(key->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
        }
        if (r < 0)
                return tls_fail(ret_why, -EINVAL, "The signing key %s cannot be used: %s", shown, gnutls_strerror(r));
        if (gnutls_privkey_get_pk_algorithm(key->key, NULL) != GNUTLS_PK_EDDSA_ED25519)
                return tls_fail(ret_why, -EINVAL,
                                "The signing key %s is not of Ed25519: make one with \"audit-relay cert signer NAME\"", shown);
        r = read_public_key(key);
        if (r < 0)
                return tls_fail(ret_why, -EINVAL, "The signing key %s does not give its public half: %s", shown,
                                gnutls_strerror(r));
        return 0;
}

int signing_key_load(const char *path, const char *name, SigningKey **ret, char **ret_why)
{
        _cleanup_(signing_key_freep) SigningKey *key = calloc(1, sizeof *key);
        int r;

        *ret_why = NULL;
        if (!key)
                return -ENOMEM;
        if (strlen(name) > NODE_NAME_MAX || strchr(name, '+') || strchr(name, ' '))
                return tls_fail(ret_why, -EINVAL, "\"%s\" cannot be the name of a key", name);
        strcpy(key->verifier.name, name);
        r = import(key, path, ret_why);
        if (r < 0)
                return r;
        make_id(&key->verifier, key->verifier.id);
        *ret = TAKE_PTR(key);
        return 0;
}

SigningKey *signing_key_free(SigningKey *key)
{
        if (!key)
                return NULL;
        if (key->key)
                gnutls_privkey_deinit(key->key);
        free(key);
        return NULL;
}

const VerifierKey *signing_key_verifier(const SigningKey *key)
{
        return &key->verifier;
}

static int sign(const SigningKey *key, const char *text, size_t size, uint8_t ret[static SIGNATURE_SIZE])
{
        gnutls_datum_t data = { (unsigned char *) text, (unsigned) size }, signature = { 0 };
        int r = gnutls_privkey_sign_data2(key->key, GNUTLS_SIGN_EDDSA_ED25519, 0, &data, &signature);

        if (r >= 0 && signature.size != SIGNATURE_SIZE)
                r = GNUTLS_E_INVALID_REQUEST;
        if (r >= 0)
                memcpy(ret, signature.data, SIGNATURE_SIZE);
        gnutls_free(signature.data);
        return r < 0 ? -EIO : 0;
}

int signing_key_sign(const SigningKey *key, const StoreHead *head, uint64_t now_usec, IndexEntry *ret_entry,
                     char ret_note[static NOTE_MAX])
{
        const VerifierKey *verifier = &key->verifier;
        uint8_t signature[SIGNATURE_SIZE];
        Note note = {
                .seq = head->seq,
                .time_sec = now_usec / USEC_PER_SEC,
                .store = head->stream,
                .number = 1,
        };
        int r;

        strcpy(note.name, verifier->name);
        memcpy(note.head, head->chain, SHA256_SIZE);
        if (head->last.kind == INDEX_CHECKPOINT) {
                note.number = head->last.checkpoint.serial + 1;
                r = gnutls_hash_fast(GNUTLS_DIG_SHA256, head->last.checkpoint.signature, SIGNATURE_SIZE, note.previous);
                assert(r == 0);
        }
        note_format(&note, ret_note);
        r = sign(key, ret_note, note.size, signature);
        if (r < 0)
                return r;
        note_add_signature(&note, verifier->id, signature, ret_note);
        note_to_entry(&note, verifier->id, signature, ret_entry);
        return 0;
}

int signing_key_generate(char **ret_pem, char **ret_why)
{
        gnutls_datum_t pem = { 0 };
        gnutls_x509_privkey_t key;
        int r = gnutls_x509_privkey_init(&key);

        *ret_why = NULL;
        if (r < 0)
                return -ENOMEM;
        r = gnutls_x509_privkey_generate(key, GNUTLS_PK_EDDSA_ED25519, 256, 0);
        if (r >= 0)
                r = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem);
        gnutls_x509_privkey_deinit(key);
        if (r < 0)
                return tls_fail(ret_why, -EIO, "Cannot make a key: %s", gnutls_strerror(r));
        *ret_pem = strndup((const char *) pem.data, pem.size);
        tls_datum_done(&pem);
        return *ret_pem ? 0 : -ENOMEM;
}
