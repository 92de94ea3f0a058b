/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pre-shared keys. The hash of a key's binder is SHA-256, as 4.2 has it: so only the suites with that hash
 * are offered.
 */

#include "runtime/tls-psk.h"
#include "runtime/config.h"
#include "runtime/tls-private.h"

#include <dirent.h>
#include <stdio.h>

#define PSK_PRIORITY                                                                                        \
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK:+DHE-PSK:-CIPHER-ALL:+AES-128-GCM:+CHACHA20-"     \
        "POLY1305"                                                                                          \
        ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:%SERVER_PRECEDENCE"
/* What 4.2 takes as a key. */
#define KEY_MIN 32U
#define KEY_MAX 255U
#define SUFFIX ".psk"

struct TlsPsk {
        char *identity;
        gnutls_datum_t key;
};

void tls_psk_free(Tls *tls)
{
        for (size_t i = 0; i < tls->n_psks; i++) {
                free(tls->psks[i].identity);
                tls_datum_done(&tls->psks[i].key);
        }
        free(tls->psks);
        if (tls->psk_client)
                gnutls_psk_free_client_credentials(tls->psk_client);
        if (tls->psk_server)
                gnutls_psk_free_server_credentials(tls->psk_server);
}

static int read_key(const char *path, gnutls_datum_t *ret, char **ret_message)
{
        _cleanup_(tls_datum_done) gnutls_datum_t text = { 0 };
        gnutls_datum_t hex;

        errno = 0;
        if (gnutls_load_file(path, &text) < 0) {
                int error = errno > 0 ? errno : EIO;

                return tls_fail(ret_message, -error, "Cannot read the key %s: %s", path, strerror(error));
        }
        hex = (gnutls_datum_t) { text.data, 0 };
        while (hex.size < text.size && text.data[hex.size] != '\n' && text.data[hex.size] != '\r')
                hex.size++;
        if (hex.size < 2 * KEY_MIN || hex.size > 2 * KEY_MAX || gnutls_hex_decode2(&hex, ret) < 0)
                return tls_fail(ret_message, -EINVAL,
                                "The key %s is not a line of %u to %u hexadecimal bytes",
                                path, KEY_MIN, KEY_MAX);
        return 0;
}

static int make(Tls **ret, char **ret_message)
{
        _cleanup_(tls_unrefp) Tls *tls = calloc(1, sizeof *tls);

        *ret_message = NULL;
        if (!tls)
                return -ENOMEM;
        tls->n_ref = 1;
        if (gnutls_priority_init2(&tls->priority, PSK_PRIORITY, NULL, 0) < 0)
                return tls_fail(ret_message, -ENOTSUP,
                                "This system's GnuTLS offers no TLS 1.3 with pre-shared keys");
        *ret = TAKE_PTR(tls);
        return 0;
}

int tls_psk_client_new(const char *identity, const char *key_path, Tls **ret, char **ret_message)
{
        _cleanup_(tls_unrefp) Tls *tls = NULL;
        _cleanup_(tls_datum_done) gnutls_datum_t key = { 0 };
        int r;

        r = make(&tls, ret_message);
        if (r < 0)
                return r;
        r = read_key(key_path, &key, ret_message);
        if (r < 0)
                return r;
        if (gnutls_psk_allocate_client_credentials(&tls->psk_client) < 0 ||
            gnutls_psk_set_client_credentials(tls->psk_client, identity, &key, GNUTLS_PSK_KEY_RAW) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(tls);
        return 0;
}

/* --- The server --- */

static const struct TlsPsk *find(const Tls *tls, const char *identity)
{
        for (size_t i = 0; i < tls->n_psks; i++)
                if (strcmp(tls->psks[i].identity, identity) == 0)
                        return &tls->psks[i];
        return NULL;
}

static int on_key(gnutls_session_t gnutls, const char *identity, gnutls_datum_t *key)
{
        const TlsSession *session = gnutls_session_get_ptr(gnutls);
        const struct TlsPsk *psk = find(session->tls, identity);

        if (!psk)
                return -1;
        key->data = gnutls_malloc(psk->key.size);
        if (!key->data)
                return -1;
        memcpy(key->data, psk->key.data, psk->key.size);
        key->size = psk->key.size;
        return 0;
}

static int add(Tls *tls, const char *directory, const char *file, char **ret_message)
{
        size_t n = strlen(file) - (sizeof SUFFIX - 1);
        _cleanup_(freep) char *path = NULL, *identity = strndup(file, n);
        struct TlsPsk *bigger = reallocarray(tls->psks, tls->n_psks + 1, sizeof *bigger);
        int r;

        if (bigger)
                tls->psks = bigger;
        if (!identity || !bigger || asprintf(&path, "%s/%s", directory, file) < 0)
                return -ENOMEM;
        if (!node_name_is_valid(identity))
                return tls_fail(ret_message, -EINVAL, "%s: \"%s\" is no name of a node", path, identity);
        bigger[tls->n_psks] = (struct TlsPsk) { 0 };
        r = read_key(path, &bigger[tls->n_psks].key, ret_message);
        if (r < 0)
                return r;
        bigger[tls->n_psks++].identity = TAKE_PTR(identity);
        return 0;
}

static bool is_key_file(const char *name)
{
        size_t n = strlen(name);

        return name[0] != '.' && n > sizeof SUFFIX - 1 &&
               strcmp(name + n - (sizeof SUFFIX - 1), SUFFIX) == 0;
}

static int add_all(Tls *tls, const char *directory, char **ret_message)
{
        DIR *folder = opendir(directory);
        struct dirent *entry;
        int r = 0;

        if (!folder)
                return tls_fail(ret_message, -errno, "Cannot read the keys in %s: %s", directory,
                                strerror(errno));
        while (r >= 0 && (entry = readdir(folder)))
                if (is_key_file(entry->d_name))
                        r = add(tls, directory, entry->d_name, ret_message);
        closedir(folder);
        return r;
}

int tls_psk_server_new(const char *directory, Tls **ret, char **ret_message)
{
        _cleanup_(tls_unrefp) Tls *tls = NULL;
        int r;

        r = make(&tls, ret_message);
        if (r >= 0)
                r = add_all(tls, directory, ret_message);
        if (r < 0)
                return r;
        if (gnutls_psk_allocate_server_credentials(&tls->psk_server) < 0)
                return -ENOMEM;
        gnutls_psk_set_server_credentials_function(tls->psk_server, on_key);
        *ret = TAKE_PTR(tls);
        return 0;
}

bool tls_psk_same(const Tls *tls, const Tls *before, const char *identity)
{
        const struct TlsPsk *a = find(tls, identity), *b = find(before, identity);

        return a && b && a->key.size == b->key.size &&
               gnutls_memcmp(a->key.data, b->key.data, a->key.size) == 0;
}

const char *tls_session_psk_identity(const TlsSession *session)
{
        return session->tls->psk_server ? gnutls_psk_server_get_username(session->gnutls) : NULL;
}
