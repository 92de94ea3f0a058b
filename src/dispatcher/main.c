/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dispatcher/dispatcher.h"
#include "runtime/log.h"
#include "runtime/program.h"

int main(int argc, char **argv)
{
        _cleanup_(dispatcher_freep) Dispatcher *dispatcher = NULL;
        DispatcherConfig config;
        const char *path;
        int r;

        log_init("audit-relay-dispatcher", LOG_INFO);
        r = program_arguments(
                argc, argv, "dispatcher",
                "Reads audit records from the kernel and from producers, and sends them to its subscribers.",
                &path);
        if (r <= 0)
                return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        r = dispatcher_config_load(path, &config);
        if (r < 0)
                return PROGRAM_EXIT_CONFIG;
        r = dispatcher_config_look_up(&config);
        if (r < 0) {
                dispatcher_config_done(&config);
                log_error("The dispatcher cannot start: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        r = dispatcher_new(&config, &dispatcher);
        if (r < 0) {
                log_error("The dispatcher cannot start: %s", strerror(-r));
                return r == -EINVAL ? PROGRAM_EXIT_CONFIG : EXIT_FAILURE;
        }
        r = dispatcher_run(dispatcher);
        return r < 0 ? EXIT_FAILURE : r;
}
