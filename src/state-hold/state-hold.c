/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* state-hold PATH: returns when the file is gone. The main process of audit-relay-state@.service, which so lives exactly as
 * long as the condition that the file stands for: a oneshot service under a PathExists= unit would be started again and again
 * while the condition holds, until systemd gives up on it.
 *
 * Invariants:
 * 1. It returns with success only when the file is not there.
 * 2. It never ends while the file is there, or the path unit would start it again at once: what cannot be watched is polled.
 */

#include "basic/macro.h"

#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>

/* Also with a watch: should an event be missed, the end is seen this much later. */
#define POLL_MSEC 1000

/* Whether the file is there. What cannot be told (an error other than "no such file") is taken as "there". */
static bool file_exists(const char *path)
{
        return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* An inotify descriptor on the file's directory, or -1 where there is none to be had. */
static int watch_directory(const char *path)
{
        char copy[PATH_MAX];
        int fd, n;

        n = snprintf(copy, sizeof(copy), "%s", path);
        if (n < 0 || (size_t)n >= sizeof(copy))
                return -1;
        fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (fd < 0)
                return -1;
        if (inotify_add_watch(fd, dirname(copy), IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF) < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

int main(int argc, char *argv[])
{
        struct pollfd pollfd = { .fd = -1, .events = POLLIN };

        if (argc != 2 || argv[1][0] != '/') {
                fprintf(stderr, "usage: %s /PATH/OF/FILE\n", argv[0]);
                return EXIT_FAILURE;
        }
        /* Watched before looked at, so that an end in between is not missed. */
        pollfd.fd = watch_directory(argv[1]);
        while (file_exists(argv[1])) {
                char events[4096];

                if (poll(&pollfd, 1, POLL_MSEC) > 0 && read(pollfd.fd, events, sizeof(events)) < 0 &&
                    errno != EAGAIN && errno != EINTR) {
                        close(pollfd.fd);
                        pollfd.fd = -1; /* poll() ignores it: only the interval is left */
                }
        }
        return EXIT_SUCCESS;
}
