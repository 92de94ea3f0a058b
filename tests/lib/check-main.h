/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one main() of unit tests: TAP on stdout (CK_TAP_LOG_FILE_NAME), forked test cases unless CK_FORK=no. */

#undef NDEBUG
#include <assert.h>
#include <check.h>
#include <stdlib.h>

static inline int check_main(Suite *suite)
{
        SRunner *runner = srunner_create(suite);
        int failed;

        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
