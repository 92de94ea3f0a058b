/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Never=: what no plugin of ours has blocked, whoever fails to log in from there. */

#include "address.h"

/* The host itself, until a configuration says something else. Returns 0 or -ENOMEM. */
int never_default(char ***words);

/* The words as a list, to be freed. Returns 0, -ENOMEM, or -EINVAL; says itself which word is wrong. */
int never_parse(char *const *words, Address **ret, size_t *ret_n);
