/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "tool/json.h"

#include <time.h>

/* "2026-01-31 12:00:00 UTC" */
void cert_show_time(char ret[static 32], time_t when);
/* The members "days" until then, and "end", as above. */
void cert_json_days(Json *json, time_t end);
typedef struct CertSummary {
        char serial[129]; /* in hexadecimal */
        time_t begin, end;
        bool collector;   /* it may be used by one */
} CertSummary;

/* What the first certificate in the PEM text says. Returns 0, or -EINVAL when it cannot be read. */
int cert_summary(const char *pem, CertSummary *ret) _must_check_;
/* The DNS names that it speaks for, appended to a list (strings_free()). */
int cert_names(const char *pem, char ***ret) _must_check_;
/* Prints every certificate in the file on stdout, for people or as JSON. Says errors on stderr. */
int cert_show(const char *path, bool json) _must_check_;
