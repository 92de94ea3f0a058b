/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "aggregator/aggregator.h"
#include "runtime/log.h"
#include "runtime/program.h"

int main(int argc, char **argv)
{
        AggregatorConfig config;
        const char *path;
        int r;

        r = program_arguments(argc, argv, "aggregator",
                              "Collects audit records of many hosts into one store.", &path);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        log_init("audit-relay-aggregator", LOG_INFO);
        r = aggregator_config_load(path, &config);
        if (r < 0)
                return PROGRAM_EXIT_CONFIG;
        r = aggregator_run(&config);
        aggregator_config_done(&config);
        return r;
}
