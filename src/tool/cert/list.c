/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay cert list: the CA's book, issued/NAME-SERIAL.pem, with what has become of each certificate since. */

#include "tool/cert/list.h"
#include "runtime/expiry.h"
#include "tool/cert/book.h"
#include "tool/cert/files.h"
#include "tool/cert/show.h"
#include "tool/json.h"
#include "tool/reason.h"
#include "tool/table.h"

#include <dirent.h>
#include <stdio.h>

typedef struct Entry {
        char name[256], end[32];
        CertSummary summary;
        int64_t days;
        const char *state;
} Entry;

/* Whether it is the one that is ready for its host, DIR/NAME/cert.pem; without that file nobody can say, and it counts. */
static int is_current(const char *directory, const Entry *entry, bool *ret)
{
        _cleanup_(freep) char *host = cert_path(directory, entry->name), *path = host ? cert_path(host, "cert.pem") : NULL;
        _cleanup_(freep) char *pem = NULL;
        CertSummary summary;
        int r = path ? cert_read(path, true, &pem) : -ENOMEM;

        if (r < 0)
                return r;
        *ret = !pem || cert_summary(pem, &summary) < 0 || strcmp(summary.serial, entry->summary.serial) == 0;
        return 0;
}

static int read_entry(const char *directory, const char *file, const char *crl, Entry *ret)
{
        _cleanup_(freep) char *issued = cert_path(directory, "issued"), *path = issued ? cert_path(issued, file) : NULL;
        _cleanup_(freep) char *pem = NULL;
        bool current = false;
        int revoked, r = path ? cert_read(path, false, &pem) : -ENOMEM;

        if (r < 0)
                return r;
        r = cert_summary(pem, &ret->summary);
        if (r < 0) {
                fprintf(stderr, "%s is no certificate: move it away, or restore it from a backup\n", path);
                return r;
        }
        /* NAME-SERIAL.pem; a name may have '-', a serial has none. */
        (void) snprintf(ret->name, sizeof ret->name, "%.*s", (int) MIN(strlen(file), sizeof ret->name - 1), file);
        *strrchr(ret->name, '-') = '\0';
        cert_show_time(ret->end, ret->summary.end);
        ret->days = (int64_t) expiry_days(ret->summary.end, time(NULL));
        r = is_current(directory, ret, &current);
        if (r < 0)
                return r;
        revoked = cert_book_is_revoked(crl, pem);
        ret->state = revoked > 0 ? "revoked" : ret->summary.end < time(NULL) ? "expired" : current ? "valid" : "replaced";
        return MIN(revoked, 0);
}

static void add_row(Table *table, const Entry *entry)
{
        table_add(table, "%s", entry->name);
        table_add(table, "%s", entry->state);
        table_add(table, "%lld", (long long) entry->days);
        table_add(table, "%s", entry->end);
        table_add(table, "%s", entry->summary.serial);
}

static void add_json(Json *json, const Entry *entry)
{
        json_object_begin(json, NULL);
        json_string(json, "name", entry->name);
        json_string(json, "state", entry->state);
        cert_json_days(json, entry->summary.end);
        json_string(json, "serial", entry->summary.serial);
        json_object_end(json);
}

static int is_certificate(const struct dirent *entry)
{
        const char *dot = strrchr(entry->d_name, '.');

        return entry->d_name[0] != '.' && dot && strcmp(dot, ".pem") == 0 && strchr(entry->d_name, '-');
}

int cert_list(const char *directory, bool json)
{
        _cleanup_(freep) char *issued = cert_path(directory, "issued"), *crl_path = cert_path(directory, "crl.pem");
        _cleanup_(table_freep) Table *table = NULL;
        _cleanup_(freep) char *crl = NULL;
        struct dirent **files;
        Json out = JSON_INIT(stdout);
        int n, r;

        if (!issued || !crl_path)
                return -ENOMEM;
        r = cert_read(crl_path, true, &crl);
        if (r == 0)
                r = table_new("NAME STATE >DAYS END SERIAL", &table);
        if (r < 0)
                return r;
        n = scandir(issued, &files, is_certificate, alphasort);
        if (n < 0 && errno != ENOENT) {
                r = -errno;
                fprintf(stderr, "Cannot read %s: %s\n", issued, tool_reason(errno));
                return r;
        }
        if (n < 0 && !json)
                fprintf(stderr, "No certificate was made in %s: issue one, or run it where the CA is, or name its --dir=\n", directory);
        if (json)
                json_array_begin(&out, NULL);
        for (int i = 0; i < n; i++) {
                Entry entry;

                if (r == 0)
                        r = read_entry(directory, files[i]->d_name, crl, &entry);
                if (r == 0 && json)
                        add_json(&out, &entry);
                else if (r == 0)
                        add_row(table, &entry);
                free(files[i]);
        }
        if (n >= 0)
                free(files);
        if (!json)
                return r < 0 || n < 0 ? r : table_print(table, stdout);
        json_array_end(&out);
        putchar('\n');
        return r;
}
