/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* auditd-plugin [SOCKET]: auditd starts it and writes records to its standard input, a socket. It passes that socket on to the
 * dispatcher and then stays out of the data's way: it reads nothing itself, keeps its end open, and passes it again when the
 * dispatcher comes back after a restart. The exchange on SOCKET (docs/dispatcher.md):
 *
 *      plugin:      AUDITD 1\n  with standard input as SCM_RIGHTS
 *      dispatcher:  ok\n, and closes when auditd has closed its end and all is read; or a reason, and closes
 *
 * Invariants:
 * 1. While the dispatcher has not taken the socket, this process does not end before LINGER_SEC: with it the socket's bytes would
 *    go. auditd gives a plugin that is to stop a SIGTERM and closes its end, and does not wait.
 * 2. No byte of standard input is read here.
 */

#include "basic/macro.h"
#include "basic/unix.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>

#define SOCKET_PATH "/run/audit-relay/input"
#define GREETING "AUDITD 1\n"
/* Between two tries; what auditd writes meanwhile waits in the socket and then in auditd. */
#define RETRY_MIN_MSEC 100
#define RETRY_MAX_MSEC 1000
/* How long what nobody has taken is kept when auditd stops: less than the 90 s after which systemd kills. */
#define LINGER_SEC 30
#define REASON_MAX 256U

typedef struct Plugin {
        const char *path;
        int fd;      /* to the dispatcher; -1: none */
        bool passed; /* it has taken the socket */
        bool ended;  /* auditd has closed its end */
        int retry_msec;
        time_t deadline; /* 0: none */
        char reply[REASON_MAX];
        size_t reply_size;
        char told[REASON_MAX]; /* what was logged last: said once, not with every try */
} Plugin;

static volatile sig_atomic_t terminated;

static void on_terminate(int number)
{
        terminated = 1;
}

static time_t now_sec(void)
{
        struct timespec now;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec;
}

static void tell(Plugin *plugin, const char *reason)
{
        if (strcmp(plugin->told, reason) == 0)
                return;
        (void) snprintf(plugin->told, sizeof plugin->told, "%s", reason);
        syslog(plugin->passed ? LOG_INFO : LOG_WARNING, "%s: %s", plugin->path, reason);
}

/* --- The dispatcher's side --- */

/* One message with one descriptor. */
static int pass_socket(int fd)
{
        char greeting[] = GREETING;
        struct iovec part = { greeting, sizeof greeting - 1 };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
        struct msghdr message = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
        };
        const int descriptor = STDIN_FILENO;

        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
        return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t) part.iov_len ? 0 : -1;
}

static void disconnect(Plugin *plugin)
{
        plugin->fd = close_fd(plugin->fd);
        plugin->passed = false;
        plugin->reply_size = 0;
}

static void try_to_connect(Plugin *plugin)
{
        plugin->fd = connect_unix(plugin->path);
        if (plugin->fd >= 0 && pass_socket(plugin->fd) == 0)
                return;
        tell(plugin, strerror(plugin->fd < 0 ? -plugin->fd : errno));
        disconnect(plugin);
}

/* Its answer, or its end. */
static void hear(Plugin *plugin)
{
        ssize_t n = recv(plugin->fd, plugin->reply + plugin->reply_size, sizeof plugin->reply - 1 - plugin->reply_size, 0);
        char *newline;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                disconnect(plugin);
                return;
        }
        plugin->reply_size += (size_t) n;
        plugin->reply[plugin->reply_size] = '\0';
        newline = strchr(plugin->reply, '\n');
        if (!newline) {
                if (plugin->reply_size == sizeof plugin->reply - 1)
                        disconnect(plugin);
                return;
        }
        *newline = '\0';
        plugin->passed = strcmp(plugin->reply, "ok") == 0;
        plugin->reply_size = 0;
        tell(plugin, plugin->passed ? "the dispatcher reads auditd's records" : plugin->reply);
        if (plugin->passed)
                plugin->retry_msec = RETRY_MIN_MSEC;
        else
                disconnect(plugin);
}

/* --- Until the end --- */

static int unread(void)
{
        int n = 0;

        return ioctl(STDIN_FILENO, FIONREAD, &n) < 0 ? 0 : n;
}

/* Returns whether there is more to do. */
static bool goes_on(Plugin *plugin)
{
        if (plugin->passed && terminated)
                return false;
        if (!plugin->ended && !terminated)
                return true;
        /* Taken, and read to the end: the dispatcher closes. Not taken: there may be nothing to take. */
        if (!plugin->passed && unread() == 0)
                return false;
        if (plugin->deadline == 0)
                plugin->deadline = now_sec() + LINGER_SEC;
        if (plugin->passed || now_sec() < plugin->deadline)
                return true;
        syslog(LOG_ERR, "%s: nobody took what auditd wrote, %d bytes of records are lost: start audit-relay-dispatcher before auditd", plugin->path, unread());
        return false;
}

static void wait_once(Plugin *plugin, const sigset_t *mask)
{
        /* Nothing is asked of standard input but its hang-up; that is told once. */
        struct pollfd fds[] = { { .fd = plugin->fd, .events = POLLIN },
                                { .fd = plugin->ended ? -1 : STDIN_FILENO } };
        int msec = plugin->retry_msec;
        struct timespec timeout;

        if (plugin->fd < 0)
                plugin->retry_msec = MIN(2 * plugin->retry_msec, RETRY_MAX_MSEC);
        timeout = (struct timespec) { msec / 1000, (long) (msec % 1000) * 1000000 };
        if (ppoll(fds, ELEMENTSOF(fds), plugin->fd < 0 || plugin->deadline != 0 ? &timeout : NULL, mask) <= 0)
                return;
        if (fds[1].revents != 0)
                plugin->ended = true;
        if (fds[0].revents != 0)
                hear(plugin);
}

static int run(Plugin *plugin)
{
        struct sigaction action = { .sa_handler = on_terminate };
        sigset_t blocked, before;

        /* Delivered only while waiting. auditd has its plugins ignore all signals. */
        sigemptyset(&blocked);
        sigaddset(&blocked, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &blocked, &before) < 0 || sigaction(SIGTERM, &action, NULL) < 0)
                return EXIT_FAILURE;
        sigdelset(&before, SIGTERM);
        while (goes_on(plugin)) {
                if (plugin->fd < 0)
                        try_to_connect(plugin);
                wait_once(plugin, &before);
        }
        return plugin->passed || unread() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
        Plugin plugin = { .path = argc > 1 ? argv[1] : SOCKET_PATH, .fd = -1, .retry_msec = RETRY_MIN_MSEC };
        int type;
        socklen_t size = sizeof type;

        openlog("audit-relay-auditd-plugin", LOG_PID | LOG_PERROR, LOG_DAEMON);
        if (argc > 2 || plugin.path[0] != '/' || strlen(plugin.path) >= sizeof((struct sockaddr_un *) NULL)->sun_path) {
                fprintf(stderr, "usage: %s [/PATH/OF/SOCKET]; auditd starts it, see /etc/audit/plugins.d/audit-relay.conf\n",
                        argv[0]);
                return EXIT_FAILURE;
        }
        if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM) {
                syslog(LOG_ERR, "Standard input is no stream socket: auditd has to start this program");
                return EXIT_FAILURE;
        }
        return run(&plugin);
}
