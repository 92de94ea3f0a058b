/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay command: one COMMAND to this host's dispatcher, over the producers' socket, and what became of
 * it as exit status. It sends no record. With --node= it is for the clients of the collector on this host.
 */

#include "basic/unix.h"
#include "link/send-queue.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/outlet.h"
#include "tool/json.h"
#include "tool/number.h"
#include "tool/reason.h"
#include "tool/tool.h"

#include <getopt.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/un.h>

#define SOCKET_DEFAULT "/run/audit-relay/input"
#define TIMEOUT_SEC_DEFAULT 10U
/* The dispatcher lets nobody wait for longer. */
#define TIMEOUT_SEC_MAX 60U
/* For connecting and greeting, and behind the dispatcher's own time-out for its answer. */
#define PATIENCE_SEC 5U

/* Exit statuses besides the common ones. */
enum {
        EXIT_REFUSED = 3,
        EXIT_UNKNOWN = 4,
        EXIT_FAILED = 5,
};

typedef struct Ask {
        const char *socket;
        const char *node; /* NULL: it is for this host */
        const char *verb;
        char *arguments; /* KEY=VALUE lines */
        uint64_t timeout_sec;
        bool json;
        Loop *loop;
        Outlet *outlet;
        SendQueue *queue; /* empty, and stays so */
        uint64_t deadline_usec;
        bool ended;
        int status;
} Ask;

static void end(Ask *ask, int status)
{
        if (ask->ended)
                return;
        ask->ended = true;
        ask->status = status;
        outlet_end(ask->outlet, LINK_BYE_DONE, "that was all", false);
}

/* --- The outlet --- */

static int on_open(Outlet *outlet, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        Ask *ask = outlet_userdata(outlet);
        int fd = connect_unix(ask->socket);

        if (fd == -EACCES) {
                fprintf(stderr, "Cannot ask the dispatcher at %s: %s, or join its group, audit-relay\n", ask->socket, tool_reason(fd));
                ask->ended = true;
        }
        if (fd < 0)
                return fd;
        *ret_fd = fd;
        *ret_transport = NULL;
        return 0;
}

static void on_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        Ask *ask = outlet_userdata(outlet);
        LinkCommand command = {
                .id = 1,
                .timeout_sec = (uint32_t) ask->timeout_sec,
                .verb = link_string(ask->verb),
                .arguments = link_string(ask->arguments),
        };
        int r = outlet_command(outlet, &command);

        if (r >= 0)
                return;
        if (r == -ENOTCONN)
                fprintf(stderr, "The dispatcher at %s takes no commands: give the socket `input` or `subscribe` by --socket=\n", ask->socket);
        else
                fprintf(stderr, "The command cannot be sent: %s\n", tool_reason(r));
        end(ask, r == -EINVAL || r == -EMSGSIZE ? TOOL_EXIT_USAGE : TOOL_EXIT_FAILURE);
}

/* Of others: what a terminal would act upon is shown as '?'. Further lines, one for each node, are indented: none can be taken
 * for ours. */
static void print(FILE *to, const char *what, LinkString text)
{
        fprintf(to, "%s%s", what, text.size > 0 ? ": " : "");
        for (size_t i = 0; i < text.size; i++) {
                unsigned char c = (unsigned char) text.data[i];

                if (c == '\n')
                        fputs("\n  ", to);
                else
                        fputc(c < ' ' || c == 0x7f ? '?' : c, to);
        }
        fputc('\n', to);
}

static void print_json(const char *result, LinkString text)
{
        _cleanup_(freep) char *copy = strndup(text.data ? text.data : "", text.size);
        Json json = JSON_INIT(stdout);

        json_object_begin(&json, NULL);
        json_string(&json, "result", result);
        json_string(&json, "text", copy);
        json_object_end(&json);
        putchar('\n');
}

static void on_reply(Outlet *outlet, const LinkReply *reply)
{
        static const struct Result {
                const char *name;
                int exit_status;
        } results[] = {
                [LINK_REPLY_DONE] = { "done", EXIT_SUCCESS },
                [LINK_REPLY_REFUSED] = { "refused", EXIT_REFUSED },
                [LINK_REPLY_UNKNOWN] = { "unknown verb", EXIT_UNKNOWN },
                [LINK_REPLY_FAILED] = { "failed", EXIT_FAILED },
        };
        Ask *ask = outlet_userdata(outlet);
        bool known = reply->status < ELEMENTSOF(results) && results[reply->status].name;
        const struct Result *result = &results[known ? reply->status : LINK_REPLY_FAILED];

        if (ask->json)
                print_json(result->name, reply->text);
        else
                print(reply->status == LINK_REPLY_DONE ? stdout : stderr, result->name, reply->text);
        end(ask, result->exit_status);
}

static void on_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        Ask *ask = outlet_userdata(outlet);

        if (!ask->ended)
                fprintf(stderr, "Cannot ask the dispatcher at %s: %s; `audit-relay status` says whether it runs\n", ask->socket, why);
        ask->ended = true;
        loop_exit(ask->loop, EXIT_SUCCESS);
}

static const OutletHandler outlet_handler = {
        .open = on_open,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .reply = on_reply,
};

/* --- The loop --- */

static void on_terminate(void *userdata)
{
        end(userdata, TOOL_EXIT_FAILURE);
}

static void on_reload(void *userdata)
{
}

static void on_tick(void *userdata)
{
        Ask *ask = userdata;

        if (ask->ended || monotonic_usec() < ask->deadline_usec)
                return;
        fprintf(stderr, "No answer within %u s: wait longer by --timeout=, or see `audit-relay status`\n", (unsigned) ask->timeout_sec);
        end(ask, TOOL_EXIT_FAILURE);
}

static const LoopHandler loop_handler = {
        .terminate = on_terminate,
        .reload = on_reload,
        .tick = on_tick,
};

static int run(Ask *ask)
{
        OutletOptions options = {
                .handler = &outlet_handler,
                .node = "command",
                .connect_usec = PATIENCE_SEC * USEC_PER_SEC,
                .timeout_usec = USEC_INFINITY,
                .backoff_min_usec = USEC_PER_SEC,
                .backoff_max_usec = USEC_PER_SEC,
                .userdata = ask,
        };
        StreamId stream;
        int r;

        if (getrandom(&stream, sizeof stream, 0) != sizeof stream)
                return -errno;
        r = send_queue_new(&stream, &ask->queue);
        if (r < 0)
                return r;
        options.source = send_queue_source(ask->queue);
        ask->deadline_usec = monotonic_usec() + (ask->timeout_sec + PATIENCE_SEC) * USEC_PER_SEC;
        r = loop_new(&loop_handler, ask, &ask->loop);
        if (r < 0)
                return r;
        r = outlet_new(loop_event(ask->loop), &options, &ask->outlet);
        return r < 0 ? r : loop_run(ask->loop);
}

/* --- The command line --- */

static void help(void)
{
        printf("Usage: audit-relay command [OPTION...] VERB [KEY=VALUE...]\n"
               "\n"
               "Asks something of this host's dispatcher, or of the plugins behind it, and waits for the\n"
               "answer. Who may ask for what is Commands= in dispatcher.conf; whatever is asked becomes an\n"
               "audit record.\n"
               "\n"
               "  state NAME=… ON=1|0 [REASON=…]   Raise or end the condition command_NAME\n"
               "  pause SECONDS=… NAME=…           Send that subscriber nothing for so long\n"
               "  resume NAME=…                    The end of its pause\n"
               "  block-address ADDRESS=… SECONDS=… [REASON=…]\n"
               "                                   For plugins that block: an attack comes from there\n"
               "  unblock-address ADDRESS=…        The end of that\n"
               "  log PRIORITY=0…7 MESSAGE=…       Write it to the journal\n"
               "  x-… [KEY=VALUE...]               For other plugins; without arguments, a condition\n"
               "\n"
               "  --node=NAME    Ask a client of the collector on this host in place of this host; all: each of them\n"
               "  --socket=PATH  The dispatcher's input socket (" SOCKET_DEFAULT ")\n"
               "  --timeout=SEC  How long the answer is waited for, 1 to 60 (10)\n"
               "  --json         The answer as JSON\n"
               "  --help         This text\n"
               "\n"
               "Exit status: 0 done; 1 nobody answered; 2 the command line is wrong; 3 refused; 4 nobody\n"
               "knows the verb; 5 failed.\n");
}

/* The words as lines, and for which node. */
static char *join(const char *node, int argc, char **argv)
{
        char *lines = NULL;
        size_t size;
        FILE *to = open_memstream(&lines, &size);

        if (!to)
                return NULL;
        if (node)
                fprintf(to, "NODE=%s\n", node);
        for (int i = 0; i < argc; i++)
                fprintf(to, "%s\n", argv[i]);
        if (fclose(to) == 0)
                return lines;
        free(lines);
        return NULL;
}

static int parse_words(Ask *ask, int argc, char **argv)
{
        if (argc == 0) {
                fprintf(stderr, "VERB is missing; see --help\n");
                return -EINVAL;
        }
        for (int i = 1; i < argc; i++)
                if (!strchr(argv[i], '=') || strpbrk(argv[i], "\n\r")) {
                        fprintf(stderr, "\"%s\": KEY=VALUE in one line is expected\n", argv[i]);
                        return -EINVAL;
                }
        ask->verb = argv[0];
        ask->arguments = join(ask->node, argc - 1, argv + 1);
        return ask->arguments ? 1 : -ENOMEM;
}

/* Returns 1, 0 when all is said, or a negative errno. */
static int parse(Ask *ask, int argc, char **argv)
{
        static const struct option options[] = {
                { "node", required_argument, NULL, 'n' },
                { "socket", required_argument, NULL, 's' },
                { "timeout", required_argument, NULL, 't' },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "+h", options, NULL)) >= 0)
                switch (c) {
                case 'n':
                        if (strpbrk(optarg, "\n\r")) {
                                fprintf(stderr, "--node=%s: a node's name, or all, is expected\n", optarg);
                                return -EINVAL;
                        }
                        ask->node = optarg;
                        break;
                case 's':
                        ask->socket = optarg;
                        break;
                case 't':
                        if (!number_parse(optarg, 1, TIMEOUT_SEC_MAX, &ask->timeout_sec)) {
                                fprintf(stderr, "--timeout=%s: 1 to 60 seconds are expected\n", optarg);
                                return -EINVAL;
                        }
                        break;
                case 'j':
                        ask->json = true;
                        break;
                case 'h':
                        help();
                        return 0;
                default:
                        return -EINVAL;
                }
        if (strlen(ask->socket) >= sizeof((struct sockaddr_un *) NULL)->sun_path) {
                fprintf(stderr, "--socket=%s: a path of at most 107 bytes is expected\n", ask->socket);
                return -EINVAL;
        }
        return parse_words(ask, argc - optind, argv + optind);
}

int verb_command(int argc, char **argv)
{
        Ask ask = {
                .socket = SOCKET_DEFAULT,
                .timeout_sec = TIMEOUT_SEC_DEFAULT,
                .status = TOOL_EXIT_FAILURE,
        };
        int r = parse(&ask, argc, argv);

        if (r <= 0)
                return r == 0 ? EXIT_SUCCESS : TOOL_EXIT_USAGE;
        r = run(&ask);
        if (r < 0)
                fprintf(stderr, "audit-relay command: cannot ask the dispatcher: %s\n", tool_reason(r));
        outlet_free(ask.outlet);
        loop_free(ask.loop);
        send_queue_free(ask.queue);
        free(ask.arguments);
        return r < 0 ? TOOL_EXIT_FAILURE : ask.status;
}
