/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "never.h"
#include "runtime/config.h"
#include "runtime/log.h"

#include <errno.h>
#include <string.h>

int never_default(char ***words)
{
        int r = strings_append(words, "127.0.0.0/8");

        return r < 0 ? r : strings_append(words, "::1");
}

int never_parse(char *const *words, Address **ret, size_t *ret_n)
{
        const char *wrong = "";
        int n = address_list_parse(words, ret, &wrong);

        if (n < 0) {
                log_error("Never=%s is wrong: %s", wrong, n == -EINVAL ? "an address, or ADDRESS/BITS, is expected" : strerror(-n));
                return n;
        }
        *ret_n = (size_t) n;
        return 0;
}
