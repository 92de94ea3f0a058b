/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay send: audit lines from standard input into the dispatcher, by the link. What it has read it
 * holds until it is acked, and when the dispatcher dies it waits for the next one and resumes: exit status 0
 * means that all is in custody.
 *
 *  1. Nothing is read before the dispatcher has said which node it is: the lines are made its own, and
 *     checked, here.
 *  2. What is held is bounded: beyond it nothing is read, and whoever writes to us waits.
 *  3. A line that is no record is said with its number and left out; it stops nothing.
 */

#include "basic/unix.h"
#include "link/send-queue.h"
#include "record/record.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/outlet.h"
#include "tool/json.h"
#include "tool/number.h"
#include "tool/reason.h"
#include "tool/tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/un.h>

#define SOCKET_DEFAULT "/run/audit-relay/input"
/* Held until acked; the dispatcher's window is smaller. */
#define QUEUE_MAX (8U * 1024U * 1024U)
#define READ_SIZE (256U * 1024U)
#define EXCERPT_MAX 60
/* Bad lines that are shown; all are counted. */
#define BAD_SHOWN 10U
#define CONNECT_USEC (30 * USEC_PER_SEC)
#define ANSWER_USEC (60 * USEC_PER_SEC)
#define BACKOFF_MIN_USEC (50 * USEC_PER_MSEC)
#define BACKOFF_MAX_USEC (2 * USEC_PER_SEC)
#define TROUBLE_INTERVAL_USEC (10 * USEC_PER_SEC)

typedef struct Send {
        const char *socket;
        uint64_t timeout_usec; /* without progress */
        bool skip_bad, json;
        Loop *loop;
        Outlet *outlet;
        SendQueue *queue;
        sd_event_source *input;
        Buffer buffer;
        char *node;    /* NULL until the first WELCOME */
        bool skipping; /* the rest of a line that was too long */
        bool ended;    /* of the input */
        bool leaving;
        bool failed;
        uint64_t lines, bad, replaced;
        uint64_t progress_usec, trouble_usec;
} Send;

/* --- The end --- */

static void leave(Send *send, bool failed)
{
        if (send->leaving)
                return;
        send->leaving = true;
        send->failed = failed;
        /* The stream is ended: nobody need remember its position. */
        outlet_end(send->outlet, failed ? LINK_BYE_ENDING : LINK_BYE_DONE,
                   failed ? "giving up" : "all is acked", false);
}

static void leave_if_done(Send *send)
{
        if (send->ended && send_queue_acked(send->queue) == send_queue_newest(send->queue))
                leave(send, false);
}

/* --- Lines --- */

static void refuse(Send *send, const uint8_t *line, size_t size, RecordFault fault)
{
        send->bad++;
        if (send->bad > BAD_SHOWN)
                return;
        fprintf(stderr, "Line %" PRIu64 " is no record: %s: ", send->lines, record_fault_to_string(fault));
        for (size_t i = 0; i < MIN(size, (size_t) EXCERPT_MAX); i++)
                fputc(line[i] >= ' ' && line[i] < 0x7f ? line[i] : '?', stderr);
        fputs(size > EXCERPT_MAX ? "…\n" : "\n", stderr);
        if (send->bad == BAD_SHOWN)
                fputs("Further lines that are no records are only counted\n", stderr);
}

static int take_line(Send *send, const uint8_t *line, size_t size)
{
        uint8_t *room = send_queue_room(send->queue);
        RecordFault fault;
        size_t taken;

        if (!room)
                return -ENOMEM;
        send->lines++;
        fault = record_adopt(line, size, send->node, room, &taken, &send->replaced);
        if (fault == RECORD_OK)
                send_queue_commit(send->queue, taken);
        else
                refuse(send, line, size, fault);
        return 0;
}

static int take_lines(Send *send)
{
        Buffer *buffer = &send->buffer;
        const uint8_t *newline;
        int r = 0;

        while (r >= 0 && buffer_size(buffer) > 0 &&
               (newline = memchr(buffer_head(buffer), '\n', buffer_size(buffer)))) {
                size_t size = (size_t) (newline - buffer_head(buffer));

                if (!send->skipping)
                        r = take_line(send, buffer_head(buffer), size);
                send->skipping = false;
                buffer_consume(buffer, size + 1);
        }
        if (send->skipping) {
                buffer_consume(buffer, buffer_size(buffer));
        } else if (buffer_size(buffer) > RECORD_LINE_MAX) {
                send->lines++;
                refuse(send, buffer_head(buffer), buffer_size(buffer), RECORD_E_LONG);
                buffer_consume(buffer, buffer_size(buffer));
                send->skipping = true;
        }
        return r;
}

/* The last line of a file may lack its newline: the file's end ends it. */
static int take_end(Send *send)
{
        int r = 0;

        send->ended = true;
        (void) sd_event_source_set_enabled(send->input, SD_EVENT_OFF);
        if (!send->skipping && buffer_size(&send->buffer) > 0)
                r = take_line(send, buffer_head(&send->buffer), buffer_size(&send->buffer));
        buffer_consume(&send->buffer, buffer_size(&send->buffer));
        return r;
}

static int read_input(Send *send)
{
        uint8_t *space = buffer_reserve(&send->buffer, READ_SIZE);
        ssize_t n = space ? read(STDIN_FILENO, space, READ_SIZE) : -1;
        int r;

        if (!space)
                return -ENOMEM;
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0) {
                r = take_end(send);
        } else {
                buffer_extend(&send->buffer, (size_t) n);
                r = take_lines(send);
        }
        send_queue_seal(send->queue);
        outlet_wake(send->outlet);
        if (send_queue_size(send->queue) >= QUEUE_MAX)
                (void) sd_event_source_set_enabled(send->input, SD_EVENT_OFF);
        leave_if_done(send);
        return r;
}

static int on_readable(Send *send)
{
        int r = read_input(send);

        if (r < 0) {
                fprintf(stderr, "Cannot read standard input: %s\n", tool_reason(r));
                leave(send, true);
        }
        return 0;
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        return on_readable(userdata);
}

/* A regular file is always readable, and epoll does not take it. */
static int on_file(sd_event_source *source, void *userdata)
{
        return on_readable(userdata);
}

static int add_input(Send *send)
{
        sd_event *event = loop_event(send->loop);
        int r = sd_event_add_io(event, &send->input, STDIN_FILENO, EPOLLIN, on_input, send);

        if (r == -EPERM)
                r = sd_event_add_defer(event, &send->input, on_file, send);
        if (r >= 0)
                r = sd_event_source_set_priority(send->input, LOOP_DATA);
        return r < 0 ? r : sd_event_source_set_enabled(send->input, SD_EVENT_OFF);
}

static void resume_input(Send *send)
{
        if (send->node && !send->ended && !send->leaving && send_queue_size(send->queue) < QUEUE_MAX)
                (void) sd_event_source_set_enabled(send->input, SD_EVENT_ON);
}

/* --- The outlet --- */

/* Whoever may not connect may not later either: waiting is for a dispatcher that is away. */
static int on_open(Outlet *outlet, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        Send *send = outlet_userdata(outlet);
        int fd = connect_unix(send->socket);

        if (fd == -EACCES) {
                fprintf(stderr, "Cannot deliver to the dispatcher at %s: %s, or join its group, audit-relay\n", send->socket, tool_reason(fd));
                send->leaving = send->failed = true;
        }
        if (fd < 0)
                return fd;
        *ret_fd = fd;
        *ret_transport = NULL;
        return 0;
}

static void on_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        Send *send = outlet_userdata(outlet);
        LinkString node = welcome->node;

        send->progress_usec = monotonic_usec();
        if (!send->node && node.size > 0)
                send->node = strndup(node.data, node.size);
        if (!send->node || strlen(send->node) != node.size ||
            memcmp(send->node, node.data, node.size) != 0) {
                fprintf(stderr, "The dispatcher is of node \"%.*s\", %s: check Node= in dispatcher.conf\n", (int) node.size,
                        node.data, send->node ? "and was of another one before" : "which is none");
                leave(send, true);
                return;
        }
        resume_input(send);
}

static void on_acked(Outlet *outlet, uint64_t seq)
{
        Send *send = outlet_userdata(outlet);

        send->progress_usec = monotonic_usec();
        resume_input(send);
        leave_if_done(send);
}

static void on_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        Send *send = outlet_userdata(outlet);

        if (send->leaving)
                loop_exit(send->loop, EXIT_SUCCESS);
        else if (log_limit(&send->trouble_usec, TROUBLE_INTERVAL_USEC))
                fprintf(stderr, "Cannot deliver to the dispatcher at %s: %s; trying again\n", send->socket, why);
}

static const OutletHandler outlet_handler = {
        .open = on_open,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .acked = on_acked,
};

/* --- The loop --- */

static void on_terminate(void *userdata)
{
        Send *send = userdata;

        fputs("Interrupted: records without an ack may be sent again, see the last line\n", stderr);
        leave(send, true);
}

static void on_reload(void *userdata)
{
}

/* Waiting for input is no lack of progress, unless nobody has told us our node yet. */
static void on_tick(void *userdata)
{
        Send *send = userdata;
        uint64_t now = monotonic_usec();

        if (send->node && send_queue_acked(send->queue) == send_queue_newest(send->queue))
                send->progress_usec = now;
        if (send->leaving || now - send->progress_usec < send->timeout_usec)
                return;
        fprintf(stderr, "No progress for %" PRIu64 " s, giving up: see `audit-relay status`\n", send->timeout_usec / USEC_PER_SEC);
        leave(send, true);
}

static const LoopHandler loop_handler = {
        .terminate = on_terminate,
        .reload = on_reload,
        .tick = on_tick,
};

static int run(Send *send)
{
        OutletOptions options = {
                .handler = &outlet_handler,
                .node = "send",
                .connect_usec = CONNECT_USEC,
                .timeout_usec = ANSWER_USEC,
                .backoff_min_usec = BACKOFF_MIN_USEC,
                .backoff_max_usec = BACKOFF_MAX_USEC,
                .userdata = send,
        };
        StreamId stream;
        int r;

        if (getrandom(&stream, sizeof stream, 0) != sizeof stream)
                return -EIO;
        r = send_queue_new(&stream, &send->queue);
        if (r < 0)
                return r;
        options.source = send_queue_source(send->queue);
        r = loop_new(&loop_handler, send, &send->loop);
        if (r < 0)
                return r;
        r = add_input(send);
        if (r < 0)
                return r;
        r = outlet_new(loop_event(send->loop), &options, &send->outlet);
        if (r < 0)
                return r;
        return loop_run(send->loop);
}

static void done(Send *send)
{
        outlet_free(send->outlet);
        sd_event_source_disable_unref(send->input);
        loop_free(send->loop);
        send_queue_free(send->queue);
        buffer_done(&send->buffer);
        free(send->node);
}

/* --- The command line --- */

static void help(void)
{
        printf("Usage: audit-relay send [OPTION...] <LINES\n"
               "\n"
               "Delivers audit lines, \"type=… msg=audit(SEC.MSEC:SERIAL): …\", to this host's dispatcher.\n"
               "When it ends with exit status 0, all are in the dispatcher's custody; while the dispatcher\n"
               "is away, it waits.\n"
               "\n"
               "  --socket=PATH  The dispatcher's input socket (" SOCKET_DEFAULT ")\n"
               "  --timeout=SEC  Give up after so long without progress; 0: never (the default)\n"
               "  --skip-bad     Lines that are no records are no failure\n"
               "  --json         At the end, how much it was, as JSON on standard output\n"
               "  --help         This text\n"
               "\n"
               "Exit status: 0 all lines are acked; 1 some are not, or were no records; 2 the command line\n"
               "is wrong.\n");
}

static bool parse_timeout(const char *text, uint64_t *ret_usec)
{
        uint64_t seconds;

        if (!number_parse(text, 0, UINT32_MAX, &seconds))
                return false;
        *ret_usec = seconds > 0 ? seconds * USEC_PER_SEC : USEC_INFINITY;
        return true;
}

/* Returns 1, 0 when all is said, -EINVAL. */
static int parse(Send *send, int argc, char **argv)
{
        static const struct option options[] = {
                { "socket", required_argument, NULL, 's' },
                { "timeout", required_argument, NULL, 't' },
                { "skip-bad", no_argument, NULL, 'b' },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 's':
                        send->socket = optarg;
                        break;
                case 't':
                        if (!parse_timeout(optarg, &send->timeout_usec)) {
                                fprintf(stderr, "--timeout=%s: seconds expected\n", optarg);
                                return -EINVAL;
                        }
                        break;
                case 'b':
                        send->skip_bad = true;
                        break;
                case 'j':
                        send->json = true;
                        break;
                case 'h':
                        help();
                        return 0;
                default:
                        return -EINVAL;
                }
        if (optind < argc || strlen(send->socket) >= sizeof((struct sockaddr_un *) NULL)->sun_path) {
                fprintf(stderr, "%s\n",
                        optind < argc ? "There are no arguments besides options, see --help" :
                                        "--socket= is a path of at most 107 bytes");
                return -EINVAL;
        }
        return 1;
}

static void tell(const Send *send, uint64_t sent, uint64_t acked)
{
        Json json = JSON_INIT(stdout);

        if (send->json) {
                json_object_begin(&json, NULL);
                json_unsigned(&json, "lines", send->lines);
                json_unsigned(&json, "bad", send->bad);
                json_unsigned(&json, "sent", sent);
                json_unsigned(&json, "acked", acked);
                json_object_end(&json);
                putchar('\n');
                return;
        }
        if (send->bad > 0)
                fprintf(stderr, "%" PRIu64 " of %" PRIu64 " lines were no records%s: see --skip-bad, and audit-relay-records(7)\n", send->bad, send->lines,
                        send->skip_bad ? " and left out" : "");
        fprintf(stderr, "Sent %" PRIu64 " records, %" PRIu64 " acked\n", sent, acked);
}

int verb_send(int argc, char **argv)
{
        Send send = {
                .socket = SOCKET_DEFAULT,
                .timeout_usec = USEC_INFINITY,
                .buffer = BUFFER_INIT(READ_SIZE + 2 * RECORD_LINE_MAX),
                .progress_usec = monotonic_usec(),
        };
        uint64_t sent = 0, acked = 0;
        int r = parse(&send, argc, argv);

        if (r <= 0)
                return r == 0 ? EXIT_SUCCESS : TOOL_EXIT_USAGE;
        r = run(&send);
        if (r < 0)
                fprintf(stderr, "audit-relay send: cannot begin: %s\n", tool_reason(r));
        if (send.queue) {
                sent = send_queue_newest(send.queue);
                acked = send_queue_acked(send.queue);
        }
        done(&send);
        tell(&send, sent, acked);
        if (r < 0 || send.failed || acked != sent || (send.bad > 0 && !send.skip_bad))
                return TOOL_EXIT_FAILURE;
        return EXIT_SUCCESS;
}
