/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/connection-sender.h"

#include <sys/socket.h>

/* Linux 6.5; not in every libc. */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

/* Descriptors of one message, as the kernel has it. They come before the pidfd: without room for all of them, who sends some
 * would not be seen for what he is. */
#define DESCRIPTORS_MAX 253U

void connection_sender_done(ConnectionSender *sender)
{
        (void) close_fd(sender->pidfd);
        *sender = CONNECTION_SENDER_INIT;
}

int connection_sender_watch(ConnectionSender *sender, int fd)
{
        int on = 1;

        if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
                return -errno;
        /* An older kernel has the number alone. */
        (void) setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on);
        sender->watched = true;
        return 0;
}

static void take_control(ConnectionSender *sender, struct cmsghdr *control)
{
        size_t size = control->cmsg_len - CMSG_LEN(0);
        struct ucred ucred;

        if (control->cmsg_level != SOL_SOCKET)
                return;
        if (control->cmsg_type == SCM_CREDENTIALS && size == sizeof ucred) {
                memcpy(&ucred, CMSG_DATA(control), sizeof ucred);
                sender->pid = ucred.pid;
                sender->uid = ucred.uid;
        } else if (control->cmsg_type == SCM_PIDFD && size == sizeof sender->pidfd) {
                memcpy(&sender->pidfd, CMSG_DATA(control), sizeof sender->pidfd);
        } else if (control->cmsg_type == SCM_RIGHTS) {
                for (size_t i = 0; i + sizeof(int) <= size; i += sizeof(int)) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(control) + i, sizeof fd);
                        (void) close_fd(fd);
                }
        }
}

ssize_t connection_sender_recv(ConnectionSender *sender, int fd, void *data, size_t size)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iovec = { data, size };
        struct msghdr message = {
                .msg_iov = &iovec,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof control,
        };
        ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

        if (n <= 0)
                return n;
        sender->pid = -1;
        sender->pidfd = close_fd(sender->pidfd);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
                take_control(sender, c);
        return n;
}

int connection_sender_pidfd(int fd)
{
        int pidfd = -EBADF;
        socklen_t size = sizeof pidfd;

        return getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0 ? -EBADF : pidfd;
}

int connection_sender_groups(int fd, gid_t **ret, size_t *ret_n)
{
        _cleanup_(freep) gid_t *groups = NULL;
        socklen_t size = 0;

        /* The first call says how much room they need; they never change. */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0 && errno != ERANGE)
                return -errno;
        groups = malloc(MAX(size, (socklen_t) sizeof *groups));
        if (!groups)
                return -ENOMEM;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
                return -errno;
        *ret_n = size / sizeof *groups;
        *ret = TAKE_PTR(groups);
        return 0;
}
