/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay cert revoke: all certificates of a name go on the revocation list. */

#include "runtime/config.h"
#include "tool/cert/book.h"
#include "tool/cert/cert.h"
#include "tool/cert/files.h"
#include "tool/json.h"
#include "tool/reason.h"
#include "tool/tool.h"

#include <stdio.h>

static int tell(const CertOptions *options, const char *name, const char *path, size_t added)
{
        Json json = JSON_INIT(stdout);

        if (options->json) {
                json_object_begin(&json, NULL);
                json_string(&json, "name", name);
                json_integer(&json, "revoked", (int64_t) added);
                json_string(&json, "file", path);
                json_object_end(&json);
                putchar('\n');
        } else if (added == 0) {
                printf("All certificates of \"%s\" are revoked already, see %s.\n", name, path);
        } else {
                printf("Revoked %zu certificate%s of \"%s\" in %s.\n"
                       "\n"
                       "It counts where the list is: copy it to " CREDENTIALS_DIRECTORY
                       "/crl.pem on every collector (and, if a collector was\n"
                       "revoked, on every client), and there:\n"
                       "    systemctl reload audit-relay-aggregator.service\n",
                       added, added == 1 ? "" : "s", name, path);
        }
        return EXIT_SUCCESS;
}

int cert_revoke(const CertOptions *options, const char *name)
{
        _cleanup_(issue_pair_done) IssuePair ca = { 0 };
        _cleanup_(freep) char *path = cert_path(options->directory, "crl.pem"), *before = NULL, *list = NULL, *why = NULL;
        _cleanup_(strings_freep) char **certificates = NULL;
        size_t added = 0;
        int r;

        if (!cert_name_is_usable(name))
                return TOOL_EXIT_USAGE;
        if (!path || cert_read_authority(options->directory, &ca) < 0 || cert_read(path, true, &before) < 0 ||
            cert_book_load(options->directory, name, &certificates) < 0)
                return TOOL_EXIT_FAILURE;
        if (!certificates) {
                fprintf(stderr, "No certificate was made here for \"%s\": `audit-relay cert list` shows those that were\n", name);
                return TOOL_EXIT_FAILURE;
        }
        r = issue_revocations(&ca, before, certificates, strings_count(certificates), &list, &added, &why);
        if (r < 0) {
                fprintf(stderr, "Cannot revoke the certificate of \"%s\": %s\n", name, why ? why : tool_reason(r));
                return TOOL_EXIT_FAILURE;
        }
        if (added > 0 && cert_write(options->directory, "crl.pem", list, 0644) < 0)
                return TOOL_EXIT_FAILURE;
        return tell(options, name, path, added);
}
