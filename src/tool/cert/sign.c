/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/cert/sign.h"
#include "tool/cert/files.h"
#include "tool/json.h"
#include "tool/reason.h"

#include <stdio.h>

static int load(const char *path, const char *name, VerifierKey *ret)
{
        _cleanup_(freep) char *why = NULL;
        _cleanup_(signing_key_freep) SigningKey *key = NULL;
        int r = signing_key_load(path, name, &key, &why);

        if (r < 0) {
                fprintf(stderr, "Cannot use the signing key: %s\n", why ? why : tool_reason(r));
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
                fprintf(stderr, "Cannot make a signing key: %s\n", why ? why : tool_reason(r));
                return r;
        }
        r = cert_make_directory(out, 0700);
        if (r >= 0)
                r = cert_write(out, "sign.pem", pem, 0600);
        explicit_bzero(pem, strlen(pem));
        free(pem);
        return r;
}

static void tell_json(const char *name, const char *path, const char *verifier)
{
        Json json = JSON_INIT(stdout);

        json_object_begin(&json, NULL);
        json_string(&json, "name", name);
        json_string(&json, "file", path);
        json_string(&json, "verifier_key", verifier);
        json_object_end(&json);
        putchar('\n');
}

int cert_make_signer(const CertOptions *options, const char *name)
{
        _cleanup_(freep) char *folder = options->out ? strdup(options->out) : cert_path(options->directory, name),
                              *path = folder ? cert_path(folder, "sign.pem") : NULL;
        char text[VERIFIER_KEY_MAX];
        VerifierKey key;
        int r;

        if (!path)
                return -ENOMEM;
        if (!options->force && access(path, F_OK) == 0) {
                fprintf(stderr, "%s is there already: give --force to overwrite it\n", path);
                return -EEXIST;
        }
        r = generate(folder);
        if (r >= 0)
                r = load(path, name, &key);
        if (r < 0)
                return r;
        verifier_key_format(&key, text);
        if (options->json) {
                tell_json(name, path, text);
                return 0;
        }
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

int cert_print_verifier(const CertOptions *options, const char *name)
{
        _cleanup_(freep) char *folder = cert_path(options->directory, name), *path = folder ? cert_path(folder, "sign.pem") : NULL;
        char text[VERIFIER_KEY_MAX];
        const char *file = path;
        VerifierKey key;
        int r;

        if (!path)
                return -ENOMEM;
        if (access(path, F_OK) < 0 && errno == ENOENT)
                file = CREDENTIALS_DIRECTORY "/sign.pem";
        r = load(file, name, &key);
        if (r < 0)
                return r;
        verifier_key_format(&key, text);
        if (options->json)
                tell_json(name, file, text);
        else
                printf("%s\n", text);
        return 0;
}
