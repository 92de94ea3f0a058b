/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool/cert/book.h"
#include "runtime/config.h"
#include "tool/cert/files.h"
#include "tool/cert/key.h"
#include "tool/cert/show.h"
#include "tool/reason.h"

#include <dirent.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <sys/stat.h>

typedef struct Entry {
        char *pem;
        time_t begin;            /* of its validity */
        struct timespec written; /* tells those of one second apart */
} Entry;

typedef struct Entries {
        Entry *list;
        size_t n;
} Entries;

static void entries_done(Entries *entries)
{
        for (size_t i = 0; i < entries->n; i++)
                free(entries->list[i].pem);
        free(entries->list);
}

int cert_book_add(const char *directory, const char *name, const char *certificate)
{
        _cleanup_(freep) char *issued = cert_path(directory, "issued"), *file = NULL;
        CertSummary summary;

        if (cert_summary(certificate, &summary) < 0 || !issued || asprintf(&file, "%s-%s.pem", name, summary.serial) < 0)
                return -ENOMEM;
        if (cert_make_directory(issued, 0700) < 0)
                return -EIO;
        return cert_write(issued, file, certificate, 0644);
}

/* NAME-SERIAL.pem; names may have '-' themselves, serials have none. */
static bool is_of(const char *file, const char *name)
{
        const char *dash = strrchr(file, '-');

        if (file[0] == '.' || !dash || strcmp(dash + 1 + strspn(dash + 1, "0123456789abcdef"), ".pem") != 0)
                return false;
        return !name || (strlen(name) == (size_t) (dash - file) && strncmp(file, name, strlen(name)) == 0);
}

static int read_entry(const char *issued, const char *file, Entries *entries)
{
        _cleanup_(freep) char *path = cert_path(issued, file), *pem = NULL;
        Entry *list = reallocarray(entries->list, entries->n + 1, sizeof *list);
        CertSummary summary;
        struct stat st;
        int r;

        if (list)
                entries->list = list;
        if (!path || !list)
                return -ENOMEM;
        r = cert_read(path, false, &pem);
        if (r < 0)
                return r;
        if (stat(path, &st) < 0)
                return -errno;
        r = cert_summary(pem, &summary);
        if (r < 0) {
                fprintf(stderr, "%s is no certificate: move it away, or restore it from a backup\n", path);
                return r;
        }
        entries->list[entries->n++] = (Entry){ TAKE_PTR(pem), summary.begin, st.st_mtim };
        return 0;
}

static int compare(const void *a, const void *b)
{
        const Entry *x = a, *y = b;

        if (x->begin != y->begin)
                return x->begin < y->begin ? -1 : 1;
        if (x->written.tv_sec != y->written.tv_sec)
                return x->written.tv_sec < y->written.tv_sec ? -1 : 1;
        return x->written.tv_nsec < y->written.tv_nsec ? -1 : x->written.tv_nsec > y->written.tv_nsec;
}

int cert_book_load(const char *directory, const char *name, char ***ret)
{
        _cleanup_(freep) char *issued = cert_path(directory, "issued");
        _cleanup_(entries_done) Entries entries = { 0 };
        struct dirent *entry;
        int r = issued ? 0 : -ENOMEM;
        DIR *dir;

        *ret = NULL;
        dir = issued ? opendir(issued) : NULL;
        if (!dir && issued && errno != ENOENT) {
                r = -errno;
                fprintf(stderr, "Cannot read %s: %s\n", issued, tool_reason(errno));
        }
        while (dir && r >= 0 && (entry = readdir(dir)))
                if (is_of(entry->d_name, name))
                        r = read_entry(issued, entry->d_name, &entries);
        if (dir)
                closedir(dir);
        if (entries.n > 0)
                qsort(entries.list, entries.n, sizeof *entries.list, compare);
        for (size_t i = 0; r >= 0 && i < entries.n; i++)
                r = strings_append(ret, entries.list[i].pem);
        return r;
}

int cert_book_is_revoked(const char *crl, const char *certificate)
{
        gnutls_datum_t list = { (unsigned char *) crl, crl ? (unsigned) strlen(crl) : 0 };
        gnutls_datum_t pem = { (unsigned char *) certificate, (unsigned) strlen(certificate) };
        gnutls_x509_crt_t crt = NULL;
        gnutls_x509_crl_t parsed = NULL;
        int r;

        if (!crl)
                return 0;
        if ((r = gnutls_x509_crt_init(&crt)) >= 0 && (r = gnutls_x509_crl_init(&parsed)) >= 0 &&
            (r = gnutls_x509_crt_import(crt, &pem, GNUTLS_X509_FMT_PEM)) >= 0 &&
            (r = gnutls_x509_crl_import(parsed, &list, GNUTLS_X509_FMT_PEM)) >= 0)
                r = gnutls_x509_crt_check_revocation(crt, &parsed, 1);
        if (crt)
                gnutls_x509_crt_deinit(crt);
        if (parsed)
                gnutls_x509_crl_deinit(parsed);
        if (r >= 0)
                return r;
        fprintf(stderr, "Cannot see in crl.pem whether a certificate is revoked: %s; restore it from a backup\n", gnutls_strerror(r));
        return -EINVAL;
}

int cert_book_key_is_revoked(const char *directory, const char *certificate)
{
        _cleanup_(freep) char *path = cert_path(directory, "crl.pem"), *crl = NULL;
        _cleanup_(strings_freep) char **all = NULL;
        char wanted[CERT_KEY_ID_SIZE], id[CERT_KEY_ID_SIZE];
        int r = path ? cert_read(path, true, &crl) : -ENOMEM;

        if (r < 0 || !crl)
                return r;
        r = cert_key_id(certificate, wanted);
        if (r >= 0)
                r = cert_book_load(directory, NULL, &all);
        if (r < 0)
                return r;
        r = 0;
        for (size_t i = 0; r == 0 && all && all[i]; i++)
                if (cert_key_id(all[i], id) >= 0 && strcmp(id, wanted) == 0)
                        r = cert_book_is_revoked(crl, all[i]);
        return r;
}
