/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote/remote.h"
#include "runtime/log.h"
#include "runtime/program.h"

int main(int argc, char **argv)
{
        RemoteConfig config;
        const char *path;
        int r;

        r = program_arguments(argc, argv, "remote",
                              "Keeps audit records of this host on disk until a collector has them.", &path);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        log_init("audit-relay-remote", LOG_INFO);
        r = remote_config_load(path, &config);
        if (r < 0)
                return PROGRAM_EXIT_CONFIG;
        r = remote_run(&config);
        remote_config_done(&config);
        return r;
}
