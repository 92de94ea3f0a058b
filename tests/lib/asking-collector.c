/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A collector for tests that asks its clients for something: TLS, one stream at a time, acks what comes and forgets it.
 *
 *      asking-collector ADDRESS CERTIFICATE KEY CA
 *
 * Each line of stdin, "VERB KEY=VALUE;KEY=VALUE", goes as COMMAND to all clients that are connected. It tells on stdout: "client
 * connected", "reply STATUS TEXT", "line …" for each line of a command's record. It ends with stdin.
 */

#undef NDEBUG
#include "runtime/inlet.h"
#include "runtime/listen.h"
#include "runtime/loop.h"
#include "runtime/tls.h"

#include <assert.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LINE_SIZE 4096

static Inlet *inlet;
static Intake *intake;
static Tls *tls;
static uint64_t last_id;
static uint64_t last_seq, last_checksum;

static int on_position(Sink *sink, const StreamId *id, const char *owner, uint64_t *ret_last, uint64_t *ret_checksum)
{
        *ret_last = last_seq;
        *ret_checksum = last_checksum;
        return 0;
}

static int on_append(Sink *sink, const StreamId *id, const char *owner, const Batch *received, const Batch *stored,
                     uint64_t now)
{
        const char *p = (const char *) stored->payload, *end = p + stored->size;

        for (const char *newline; p < end && (newline = memchr(p, '\n', (size_t) (end - p))); p = newline + 1)
                if (memmem(p, (size_t) (newline - p), "op=relay-", strlen("op=relay-")))
                        printf("line %.*s\n", (int) (newline - p), p);
        last_seq = received->last;
        last_checksum = received->checksum;
        return 0;
}

static void on_connected(IntakeSession *session)
{
        puts("client connected");
}

static void on_dirty(Intake *i)
{
        (void) intake_commit_begin(i);
        intake_commit_end(i, 0);
}

static void on_blocked(Intake *i, int error)
{
        abort();
}

static void on_reply(IntakeSession *session, const LinkReply *reply)
{
        static const char *const statuses[] = { "done", "refused", "unknown", "failed" };

        assert(reply->status < ELEMENTSOF(statuses));
        printf("reply %s %.*s\n", statuses[reply->status], (int) reply->text.size, reply->text.data);
}

static const IntakeHandler intake_handler = {
        .flush = inlet_flush,
        .connected = on_connected,
        .dirty = on_dirty,
        .blocked = on_blocked,
        .reply = on_reply,
};

static int on_secure(Inlet *i, int fd, Transport **ret)
{
        return tls_session_new(tls, true, NULL, fd, ret);
}

static LinkByeCode on_admit(InletSession *session, InletIdentity *ret_identity, char **ret_why)
{
        *ret_identity = (InletIdentity) { .owner = "client" };
        return 0;
}

static const InletHandler inlet_handler = { .secure = on_secure, .admit = on_admit };

static int on_stdin(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        char line[LINE_SIZE], *arguments;
        InletSession *session = NULL;

        if (!fgets(line, sizeof line, stdin))
                return sd_event_exit(sd_event_source_get_event(source), 0);
        line[strcspn(line, "\n")] = '\0';
        arguments = strchr(line, ' ');
        if (arguments)
                *arguments++ = '\0';
        for (char *p = arguments; p && *p; p++)
                if (*p == ';')
                        *p = '\n';
        while ((session = inlet_session_next(inlet, session))) {
                LinkCommand command = { .id = ++last_id, .timeout_sec = 20, .verb = link_string(line),
                                        .arguments = link_string(arguments) };

                assert(inlet_session_command(session, &command) == 0);
        }
        return 0;
}

int main(int argc, char **argv)
{
        static Sink sink = { on_position, on_append };
        IntakeOptions intake_options = { .sink = &sink, .handler = &intake_handler, .name = "asking",
                                         .window = LINK_WINDOW_DEFAULT, .realtime_usec = realtime_usec };
        InletOptions inlet_options = { .handler = &inlet_handler, .connections_max = 8,
                                       .connect_usec = 30 * USEC_PER_SEC, .idle_usec = USEC_INFINITY };
        TlsOptions tls_options;
        sd_event *event;
        char *why = NULL;
        int fd;

        assert(argc == 5);
        tls_options = (TlsOptions) { argv[2], argv[3], argv[4], NULL };
        assert(setvbuf(stdin, NULL, _IONBF, 0) == 0 && setvbuf(stdout, NULL, _IOLBF, 0) == 0);
        assert(sd_event_new(&event) >= 0);
        if (tls_new(&tls_options, &tls, &why) < 0) {
                fprintf(stderr, "%s\n", why);
                return 1;
        }
        assert(intake_new(&intake_options, &intake) == 0);
        inlet_options.intake = intake;
        assert(inlet_new(event, &inlet_options, &inlet) == 0);
        fd = listen_tcp(argv[1]);
        assert(fd >= 0 && acceptor_listen(inlet_acceptor(inlet), fd) == 0);
        assert(sd_event_add_io(event, NULL, STDIN_FILENO, EPOLLIN, on_stdin, NULL) >= 0);
        puts("ready");
        assert(sd_event_loop(event) == 0);
        inlet_free(inlet);
        intake_free(intake);
        tls_unref(tls);
        sd_event_unref(event);
        return 0;
}
