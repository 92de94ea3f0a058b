/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* By inotify. What was written says only that it is time to look: nothing in the queue is looked at, so one
 * that overflows is no matter.
 */

#include "tool/log/follow.h"

#include <poll.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

/* A busy store writes thousands of times a second; it is looked at this often. */
#define PAUSE_NSEC (50L * 1000 * 1000)

struct LogFollow {
        int fd;
};

int log_follow_add(LogFollow *follow, const char *directory)
{
        if (inotify_add_watch(follow->fd, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
                return -errno;
        return 0;
}

int log_follow_wait(LogFollow *follow, int timeout_msec)
{
        struct pollfd fd = { .fd = follow->fd, .events = POLLIN };
        char events[4096];
        int n = poll(&fd, 1, timeout_msec);

        if (n < 0)
                return -errno;
        if (n == 0)
                return 0;
        if (nanosleep(&(struct timespec) { .tv_nsec = PAUSE_NSEC }, NULL) < 0)
                return -errno;
        while (read(follow->fd, events, sizeof events) > 0)
                ;
        return 0;
}

int log_follow_new(LogFollow **ret)
{
        LogFollow *follow = calloc(1, sizeof *follow);

        if (!follow)
                return -ENOMEM;
        follow->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (follow->fd < 0) {
                int r = -errno;

                free(follow);
                return r;
        }
        *ret = follow;
        return 0;
}

LogFollow *log_follow_free(LogFollow *follow)
{
        if (follow)
                (void) close_fd(follow->fd);
        free(follow);
        return NULL;
}
