/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bytes are looked at in the socket (MSG_PEEK), formatted into the ring, published, and only then taken out of the socket, where
 * the plugin keeps them alive if we die.
 *
 *  1. The publication that holds the records also holds how many bytes they were and their hash. When we are killed before these
 *     bytes are out of the socket, the next process finds them at its front and takes them out without publishing them again.
 *     Records have serials: the same bytes are the same records.
 *  2. It is always read, as the kernel's socket is: a full auditd stalls its other plugins, and what it then drops it does not
 *     count. What finds no room in the ring is counted by type, in the ring.
 *  3. What is no record of this host is stored escaped, never left out.
 *  4. One auditd at a time, and only root brings one.
 */

#include "dispatcher/auditd.h"
#include "dispatcher/auditd-stream.h"
#include "dispatcher/gap.h"
#include "dispatcher/losses.h"
#include "dispatcher/writer.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* What auditd's end holds at most, and thirty filled messages: a peek sees all there is. */
#define PEEK_MAX (512U * 1024U)
#define PEEKS_PER_TURN 4U
#define LOG_INTERVAL_USEC (10 * USEC_PER_SEC)
/* Records that auditd itself makes, and that of its errors; the kernel's headers do not name them. */
#define DAEMON_FIRST 1200U
#define DAEMON_LAST 1299U
#define DAEMON_ERR 1209U
/* Of descriptors that a greeting may bring: one is taken, all are closed. */
#define DESCRIPTORS_MAX 8U

struct Auditd {
        AuditdOptions options;
        sd_event_source *source; /* owns auditd's socket; NULL: none is read */
        int control;             /* the plugin's connection: closing it says that all is read */
        const char *refuse;      /* why none is taken */
        uint8_t *peeked;
        AuditdStream stream;
        bool resumed; /* what the last process published and did not take out may still be at the front */
        Losses losses;
        AuditdCounters counters;
        uint64_t logged_usec;
};

static void end(Auditd *auditd)
{
        auditd->source = sd_event_source_disable_unref(auditd->source);
        auditd->control = close_fd(auditd->control);
        auditd->counters.connected = false;
        free(auditd->peeked);
        auditd->peeked = NULL;
}

/* --- Messages into the ring --- */

typedef struct Round {
        Auditd *auditd;
        Writer writer;
        uint64_t dropped, refused;
} Round;

/* auditd numbers its own records by itself. */
static bool is_from_kernel(uint16_t type)
{
        return type < DAEMON_FIRST || type > DAEMON_LAST;
}

static void put_message(Round *round, const AuditdMessage *message)
{
        static uint8_t spare[RECORD_LINE_MAX]; /* to be counted by type when there is no room */
        Ring *ring = round->writer.ring;
        RingState *state = ring_state(ring);
        RecordRules rules = { .node = ring_node(ring), .peer = "auditd" };
        uint8_t *room = round->dropped == 0 ? writer_room(&round->writer) : NULL;
        uint8_t *out = room ? room : spare;
        uint16_t type = 0;
        RecordTime time;
        size_t size;
        RecordFault fault = auditd_message_format(message, rules.node, out, &size, &state->replaced);

        if (fault != RECORD_OK) {
                round->refused++;
                type = DAEMON_ERR;
                size = record_refuse_line(message->text, message->size, fault, &rules,
                                          record_time(realtime_usec(), state->newest + 1), out);
        } else if (auditd_line_type(out, size, &type, &time) && is_from_kernel(type)) {
                kernel_serials_see(losses_serials(ring), type, (uint32_t) time.serial);
        }
        if (room) {
                writer_commit(&round->writer, size);
                return;
        }
        gap_count_dropped(state, type, realtime_usec());
        round->dropped++;
}

/* All whole messages at the front. Returns how many bytes they have, or a negative errno where none can begin. */
static ssize_t put_messages(Round *round, const uint8_t *data, size_t size, bool whole)
{
        AuditdStream *stream = &round->auditd->stream;
        size_t used = 0;
        AuditdMessage message;
        ssize_t n = 0;

        while (used < size && (n = auditd_stream_next(stream, data + used, size - used, whole, &message)) > 0) {
                put_message(round, &message);
                used += (size_t) n;
        }
        return used > 0 ? (ssize_t) used : n;
}

/* Out of the socket, what was peeked at. */
static int take_out(Auditd *auditd, int fd, size_t size)
{
        while (size > 0) {
                ssize_t n = recv(fd, auditd->peeked, size, MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EPIPE;
                size -= (size_t) n;
        }
        return 0;
}

/* Whether these bytes are in the ring already. Asked once, of the first ones. */
static size_t published_before(Auditd *auditd, size_t size)
{
        const RingState *state = ring_state(auditd->options.ring);
        uint64_t before = state->auditd_bytes;

        if (!auditd->resumed)
                return 0;
        auditd->resumed = false;
        return before > 0 && before <= size && checksum64(auditd->peeked, before) == state->auditd_hash ? before : 0;
}

static void publish(Auditd *auditd, Round *round, size_t used)
{
        Ring *ring = auditd->options.ring;
        RingState *state;

        (void) writer_end(&round->writer);
        state = ring_state(ring);
        state->auditd_bytes = used;
        state->auditd_hash = checksum64(auditd->peeked, used);
        ring_publish(ring);
        auditd->counters.records += round->writer.records;
        auditd->counters.batches += round->writer.batches;
        auditd->counters.refused += round->refused;
}

static void tell(Auditd *auditd, const Round *round)
{
        if (round->writer.batches > 0)
                auditd->options.published(auditd->options.userdata);
        if (round->dropped > 0)
                auditd->options.dropped(round->dropped, auditd->options.userdata);
        if (round->refused > 0 && log_limit(&auditd->logged_usec, LOG_INTERVAL_USEC))
                log_message(LOG_WARNING, MESSAGE_ID_RECORDS_REFUSED, NULL,
                            "auditd sent what is no record of this node (name_format in auditd.conf must be none, or give "
                            "the name of Node=): stored escaped");
}

/* The stream's end with a message that is none. */
static ssize_t put_rest(Round *round, const uint8_t *data, size_t size)
{
        AuditdMessage message = { .text = data, .size = MIN(size, (size_t) RECORD_LINE_MAX) };

        put_message(round, &message);
        return (ssize_t) size;
}

/* --- Reading --- */

/* One look into the socket. Returns 1 when there may be more, 0 when there is nothing to do now, or a negative errno: it is
 * over; -EPIPE: as it should be. `hung_up`: auditd has closed its end. */
static int look(Auditd *auditd, int fd, bool hung_up)
{
        Round round = { .auditd = auditd };
        ssize_t size = recv(fd, auditd->peeked, PEEK_MAX, MSG_PEEK | MSG_DONTWAIT), used;
        int r;

        if (size < 0)
                return errno == EINTR ? 1 : errno == EAGAIN ? 0 : -errno;
        if (size == 0)
                return -EPIPE;
        used = (ssize_t) published_before(auditd, (size_t) size);
        if (used > 0)
                return take_out(auditd, fd, (size_t) used) < 0 ? -EIO : 1;
        round.writer = writer_begin(auditd->options.ring, BATCH_ORIGIN_KERNEL, (size_t) size * 2);
        used = put_messages(&round, auditd->peeked, (size_t) size, size < (ssize_t) PEEK_MAX);
        r = used == -EBADMSG ? -EBADMSG : 1;
        if (used < 0 || (used == 0 && hung_up))
                used = put_rest(&round, auditd->peeked, (size_t) size);
        if (used == 0)
                return 0;
        publish(auditd, &round, (size_t) used);
        if (take_out(auditd, fd, (size_t) used) < 0)
                r = -EIO;
        tell(auditd, &round);
        return r;
}

static void over(Auditd *auditd, int error)
{
        if (error == -EPIPE)
                log_info("auditd has closed its end");
        else
                log_error("Cannot read what auditd writes: %s; it has to start its plugin again",
                          error == -EBADMSG ? "no message begins where one should" : strerror(-error));
        end(auditd);
}

/* Edge-triggered, as the beginning of a message may have to wait for its end. */
static int on_auditd(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Auditd *auditd = userdata;
        bool hung_up = events & (EPOLLHUP | EPOLLRDHUP);
        int r = 1;

        for (unsigned i = 0; i < PEEKS_PER_TURN && r > 0; i++)
                r = look(auditd, fd, hung_up);
        if (r < 0)
                over(auditd, r);
        else if (r > 0)
                /* Asks again whether it is readable. */
                (void) sd_event_source_set_io_events(source, EPOLLIN | EPOLLRDHUP | EPOLLET);
        return 0;
}

/* --- Beginning --- */

static bool is_stream_socket(int fd)
{
        int domain, type;
        socklen_t size = sizeof domain;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
                return false;
        size = sizeof type;
        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && domain == AF_UNIX && type == SOCK_STREAM;
}

int auditd_take_socket(Auditd *auditd, int fd)
{
        int r = auditd->source ? -EBUSY : is_stream_socket(fd) ? 0 : -ENOTSUP;

        if (r >= 0) {
                auditd->peeked = malloc(PEEK_MAX);
                r = auditd->peeked ? 0 : -ENOMEM;
        }
        if (r >= 0)
                r = sd_event_add_io(auditd->options.event, &auditd->source, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, on_auditd,
                                    auditd);
        if (r < 0) {
                if (r != -EBUSY)
                        end(auditd);
                (void) close_fd(fd);
                return r;
        }
        (void) sd_event_source_set_io_fd_own(auditd->source, true);
        (void) sd_event_source_set_description(auditd->source, "auditd");
        auditd->stream = (AuditdStream) { 0 };
        auditd->counters.connected = true;
        r = sd_event_source_set_priority(auditd->source, LOOP_DATA);
        if (r < 0)
                end(auditd);
        return r;
}

/* Returns the descriptor that came with the greeting; -EPROTO when it is none, -EBADF when none came. */
static int receive_greeting(int fd)
{
        char text[sizeof AUDITD_GREETING];
        struct iovec part = { text, sizeof text };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
        } control;
        struct msghdr message = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
        };
        ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        int fds[DESCRIPTORS_MAX], taken = -EBADF;
        size_t n_fds = 0;

        for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL; c; c = CMSG_NXTHDR(&message, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                n_fds = MIN((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), (size_t) DESCRIPTORS_MAX);
                memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
        }
        if (n == (ssize_t) strlen(AUDITD_GREETING) && memcmp(text, AUDITD_GREETING, (size_t) n) == 0) {
                if (n_fds == 1)
                        taken = fds[--n_fds];
        } else {
                taken = -EPROTO;
        }
        while (n_fds > 0)
                (void) close_fd(fds[--n_fds]);
        return taken;
}

/* Returns why it is not taken; NULL when it is. */
static const char *take_greeting(Auditd *auditd, int control)
{
        struct ucred peer;
        socklen_t size = sizeof peer;
        int fd, r;

        if (getsockopt(control, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != 0)
                return "only root may bring auditd's socket";
        if (auditd->refuse)
                return auditd->refuse;
        fd = receive_greeting(control);
        if (fd < 0)
                return fd == -EPROTO ? "not a greeting this dispatcher knows" : "no descriptor came with the greeting";
        r = auditd_take_socket(auditd, fd);
        if (r == -EBUSY)
                return "another auditd is being read";
        return r == -ENOTSUP ? "auditd's end is no Unix stream socket" : r < 0 ? strerror(-r) : NULL;
}

void auditd_take_plugin(Auditd *auditd, int fd)
{
        const char *why = take_greeting(auditd, fd);
        char reply[256];

        (void) snprintf(reply, sizeof reply, "%s\n", why ? why : "ok");
        (void) send(fd, reply, strlen(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (!why) {
                auditd->control = fd;
                log_info("Reading the records of a running auditd");
                return;
        }
        if (log_limit(&auditd->logged_usec, LOG_INTERVAL_USEC))
                log_warning("auditd's plugin was turned away: %s", why);
        (void) close_fd(fd);
}

/* --- What the dispatcher calls --- */

void auditd_refuse(Auditd *auditd, const char *why)
{
        auditd->refuse = why;
}

void auditd_stop(Auditd *auditd)
{
        auditd->refuse = "the dispatcher is stopping";
        end(auditd);
}

void auditd_tick(Auditd *auditd)
{
        if (!losses_tick(&auditd->losses))
                return;
        ring_publish(auditd->options.ring);
        auditd->options.published(auditd->options.userdata);
}

const AuditdCounters *auditd_counters(const Auditd *auditd)
{
        return &auditd->counters;
}

int auditd_new(const AuditdOptions *options, Auditd **ret)
{
        Auditd *auditd = calloc(1, sizeof *auditd);

        if (!auditd)
                return -ENOMEM;
        auditd->options = *options;
        auditd->control = -EBADF;
        auditd->resumed = true;
        auditd->losses = (Losses) { options->ring, options->state, 0 };
        *ret = auditd;
        return 0;
}

Auditd *auditd_free(Auditd *auditd)
{
        if (!auditd)
                return NULL;
        end(auditd);
        free(auditd);
        return NULL;
}
