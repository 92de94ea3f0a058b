/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/cert/sign.h"
#include "runtime/credentials.h"
#include "tool/cert/files.h"

#include <stdio.h>

static int load(const char *path, const char *name, VerifierKey *ret)
{
        _cleanup_(freep) char *why = NULL;
        _cleanup_(signing_key_freep) SigningKey *key = NULL;
        int r = signing_key_load(path, name, &key, &why);

        if (r < 0) {
                fprintf(stderr, "%s\n", why ? why : strerror(-r));
                return r;
        }
        *ret = *signing_key_verifier(key);
        return 0;
}

static int generate(const char *out)
{
        _cleanup_(freep) char *why = NULL;
        char *pem = NULL;
        int r = signing_key_generate(&pem, &why);

        if (r < 0) {
                fprintf(stderr, "%s\n", why ? why : strerror(-r));
                return r;
        }
        r = cert_make_directory(out, 0700);
        if (r >= 0)
                r = cert_write(out, "sign.pem", pem, 0600);
        explicit_bzero(pem, strlen(pem));
        free(pem);
        return r;
}

int cert_make_signer(const char *directory, const char *out, const char *name, bool force)
{
        _cleanup_(freep) char *folder = out ? strdup(out) : cert_path(directory, name),
                              *path = folder ? cert_path(folder, "sign.pem") : NULL;
        char text[VERIFIER_KEY_MAX];
        VerifierKey key;
        int r;

        if (!path)
                return -ENOMEM;
        if (!force && access(path, F_OK) == 0) {
                fprintf(stderr, "%s is there already: not overwritten without --force\n", path);
                return -EEXIST;
        }
        r = generate(folder);
        if (r >= 0)
                r = load(path, name, &key);
        if (r < 0)
                return r;
        verifier_key_format(&key, text);
        printf("Made a key that signs checkpoints for the collector \"%s\": %s\n"
               "\n"
               "Copy it to " CREDENTIALS_DIRECTORY "/sign.pem on the collector, whose Name= is \"%s\", and there:\n"
               "    chown audit-relay-aggregator: " CREDENTIALS_DIRECTORY "/sign.pem\n"
               "    chmod 0400 " CREDENTIALS_DIRECTORY "/sign.pem\n"
               "    systemctl reload-or-restart audit-relay-aggregator.service\n"
               "\n"
               "Its verifier key, which is no secret, for VerifierKey= on clients and \"audit-relay verify --key=\":\n"
               "%s\n",
               name, path, name, text);
        return 0;
}

int cert_print_verifier(const char *directory, const char *name)
{
        _cleanup_(freep) char *folder = cert_path(directory, name), *path = folder ? cert_path(folder, "sign.pem") : NULL;
        char text[VERIFIER_KEY_MAX];
        VerifierKey key;
        int r;

        if (!path)
                return -ENOMEM;
        r = load(access(path, F_OK) < 0 && errno == ENOENT ? CREDENTIALS_DIRECTORY "/sign.pem" : path, name, &key);
        if (r < 0)
                return r;
        verifier_key_format(&key, text);
        printf("%s\n", text);
        return 0;
}
