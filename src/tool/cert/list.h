/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Prints every certificate that the CA in the directory has issued, as a table or as JSON. Says errors on stderr. */
int cert_list(const char *directory, bool json) _must_check_;
