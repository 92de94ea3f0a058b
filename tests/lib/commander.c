/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A plugin for tests, on libaudit-relay, that gets, answers and sends commands.
 *
 *      commander pull|push|fork NAME SOCKET [done|refused|unknown|failed|silent TEXT]
 *
 * With "fork" it is as with "push", but another process serves what this one listens at: it says "serving PID".
 * With an answer it takes commands and gives that one to each. Each line of stdin, "VERB KEY=VALUE;KEY=VALUE", is sent as
 * a command. What it gets it tells on stdout: "record LINE", "gap FIRST LAST", "command VERB ARGUMENTS", "reply STATUS TEXT".
 * It ends with stdin.
 */

#undef NDEBUG
#include "audit-relay.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_SIZE 4096

static const char *const statuses[] = { "done", "refused", "unknown", "failed" };
static int answer = -1; /* index of these; 4: silence */
static const char *answer_text;

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert(strlen(path) < sizeof address.sun_path);
        strcpy(address.sun_path, path);
        (void) unlink(path);
        assert(fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof address) == 0 && listen(fd, 8) == 0);
        return fd;
}

static void serve_in_a_child(void)
{
        pid_t pid = fork();
        int status;

        assert(pid >= 0);
        if (pid == 0) {
                assert(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
                return;
        }
        printf("serving %d\n", (int) pid);
        (void) close(STDIN_FILENO);
        assert(waitpid(pid, &status, 0) == pid);
        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void exchange(char *text, char from, char to)
{
        for (; *text; text++)
                if (*text == from)
                        *text = to;
}

static void tell(AuditRelay *relay, const AuditRelayItem *item)
{
        char text[LINE_SIZE];

        switch (item->kind) {
        case AUDIT_RELAY_RECORD:
                printf("record %.*s\n", (int) item->records[0].line_size, item->records[0].line);
                break;
        case AUDIT_RELAY_GAP:
                printf("gap %" PRIu64 " %" PRIu64 "\n", item->first, item->last);
                break;
        case AUDIT_RELAY_COMMAND:
                (void) snprintf(text, sizeof text, "%s", item->text);
                exchange(text, '\n', ';');
                printf("command %s %s\n", item->verb, text);
                if (answer < 4)
                        assert(audit_relay_reply(relay, item->id, (AuditRelayStatus) answer, answer_text) >= 0);
                break;
        case AUDIT_RELAY_REPLY:
                printf("reply %s %s\n", item->status < 4 ? statuses[item->status] : "?", item->text);
                break;
        default:
                abort();
        }
}

/* Returns false at the end. */
static bool send_line(AuditRelay *relay)
{
        char line[LINE_SIZE], *arguments;
        uint64_t id;
        int r;

        if (!fgets(line, sizeof line, stdin))
                return false;
        line[strcspn(line, "\n")] = '\0';
        arguments = strchr(line, ' ');
        if (arguments) {
                *arguments++ = '\0';
                exchange(arguments, ';', '\n');
        }
        r = audit_relay_command(relay, line, arguments, 20, &id);
        if (r < 0)
                printf("not sent: %s\n", strerror(-r));
        return true;
}

int main(int argc, char **argv)
{
        AuditRelay *relay;
        int r;

        assert(argc >= 4);
        if (argc > 5) {
                for (answer = 0; answer < 4 && strcmp(statuses[answer], argv[4]) != 0; answer++)
                        ;
                answer_text = argv[5];
        }
        assert(setvbuf(stdin, NULL, _IONBF, 0) == 0 && setvbuf(stdout, NULL, _IOLBF, 0) == 0);
        assert(audit_relay_new(&relay) == 0);
        assert(audit_relay_set_name(relay, argv[2]) == 0);
        assert(audit_relay_set_commands(relay, AUDIT_RELAY_SEND_COMMANDS |
                                                       (answer >= 0 ? AUDIT_RELAY_TAKE_COMMANDS : 0)) == 0);
        r = strcmp(argv[1], "pull") == 0 ? audit_relay_connect(relay, argv[3])
                                         : audit_relay_listen(relay, listen_at(argv[3]));
        if (strcmp(argv[1], "fork") == 0)
                serve_in_a_child();
        while (r >= 0) {
                struct pollfd fds[] = { { audit_relay_fd(relay), POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
                const AuditRelayItem *item;

                r = audit_relay_process(relay, &item);
                if (r > 0)
                        tell(relay, item);
                if (r != 0)
                        continue;
                assert(poll(fds, 2, -1) > 0);
                if (fds[1].revents && !send_line(relay))
                        break;
        }
        if (r < 0)
                printf("ended: %s: %s\n", strerror(-r), audit_relay_why(relay));
        audit_relay_free(relay);
        return r < 0;
}
