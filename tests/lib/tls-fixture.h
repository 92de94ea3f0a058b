/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Certificates made while the test runs, with the code of `audit-relay cert`, in a directory that goes with
 * the fixture. */

#include "check-main.h"
#include "runtime/issue.h"
#include "runtime/tls.h"

#include <ftw.h>
#include <stdio.h>
#include <time.h>

#define FIXTURE_DAY (24 * 60 * 60)

typedef struct Fixture {
        char directory[64];
        IssuePair ca, other_ca;
} Fixture;

/* One of eight buffers in turn. */
static inline const char *fixture_path(const Fixture *fixture, const char *name)
{
        static char paths[8][128];
        static unsigned i;
        char *path = paths[i++ % 8];

        snprintf(path, sizeof paths[0], "%s/%s", fixture->directory, name);
        return path;
}

static inline void fixture_write(const Fixture *fixture, const char *name, const char *text)
{
        char path[128];
        FILE *f;

        snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
        f = fopen(path, "we");
        ck_assert_ptr_nonnull(f);
        ck_assert_int_ge(fputs(text, f), 0);
        ck_assert_int_eq(fclose(f), 0);
}

/* Valid from `begin` to `end`, in days from now. */
static inline IssuePair fixture_issue(IssueKind kind, const char *name, const IssuePair *ca, int begin,
                                      int end)
{
        IssueRequest request = {
                .kind = kind,
                .name = name,
                .not_before = time(NULL) + (time_t) begin * FIXTURE_DAY,
                .not_after = time(NULL) + (time_t) end * FIXTURE_DAY,
        };
        IssuePair pair;
        char *why;

        ck_assert_int_eq(issue_certificate(&request, ca, &pair, &why), 0);
        return pair;
}

static inline void fixture_setup(Fixture *fixture)
{
        strcpy(fixture->directory, "/tmp/audit-relay-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(fixture->directory));
        fixture->ca = fixture_issue(ISSUE_CA, "Test CA", NULL, -100, 100);
        fixture->other_ca = fixture_issue(ISSUE_CA, "Other CA", NULL, -100, 100);
        fixture_write(fixture, "ca.pem", fixture->ca.certificate);
        fixture_write(fixture, "other-ca.pem", fixture->other_ca.certificate);
}

static inline int fixture_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        return remove(path);
}

static inline void fixture_teardown(Fixture *fixture)
{
        (void) nftw(fixture->directory, fixture_remove, 4, FTW_DEPTH | FTW_PHYS);
        issue_pair_done(&fixture->ca);
        issue_pair_done(&fixture->other_ca);
}

/* Credentials with this pair that trust the fixture's CA. */
static inline Tls *fixture_tls_of(const Fixture *fixture, const IssuePair *pair, const char *ca,
                                  const char *crl)
{
        TlsOptions options = {fixture_path(fixture, "cert.pem"), fixture_path(fixture, "key.pem"),
                              fixture_path(fixture, ca), crl ? fixture_path(fixture, crl) : NULL};
        char *message = NULL;
        Tls *tls = NULL;

        fixture_write(fixture, "cert.pem", pair->certificate);
        fixture_write(fixture, "key.pem", pair->key);
        ck_assert_msg(tls_new(&options, &tls, &message) == 0, "%s", message);
        return tls;
}

static inline Tls *fixture_tls(const Fixture *fixture, IssueKind kind, const char *name)
{
        IssuePair pair = fixture_issue(kind, name, &fixture->ca, -1, 1);
        Tls *tls = fixture_tls_of(fixture, &pair, "ca.pem", NULL);

        issue_pair_done(&pair);
        return tls;
}
