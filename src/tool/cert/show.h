/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

#include <time.h>

/* "2026-01-31 12:00:00 UTC" */
void cert_show_time(char ret[static 32], time_t when);
/* Serial number in hexadecimal, end, of the first certificate in the PEM text. */
int cert_summary(const char *pem, char ret_serial[static 129], time_t *ret_end) _must_check_;
/* Prints every certificate in the file on stdout, for people. Says errors on stderr. */
int cert_show(const char *path) _must_check_;
