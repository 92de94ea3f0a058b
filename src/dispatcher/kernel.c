/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel's messages are received into the ring's landing area, formatted from there into a batch, and
 * published: when the process is killed anywhere in between, the next one finds the group landed and formats
 * it again.
 *
 *  1. The socket is always read: not reading stops nothing in the kernel and destroys records of unknown
 *     number. What finds no room in the ring is counted by type, in the ring. A pause between two reads is
 *     shorter than it takes to fill the socket's buffer.
 *  2. A group is published, dropped messages and answers included, before the next one is received.
 *  3. Serials, records and counts of a group become visible together.
 *  4. Only messages from port 0 are the kernel's; anybody may send to a netlink socket.
 */

#include "dispatcher/kernel.h"
#include "dispatcher/gap.h"
#include "dispatcher/kernel-register.h"
#include "dispatcher/losses.h"
#include "dispatcher/writer.h"
#include "record/record.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <stdio.h>

/* Groups in one turn of the loop: some 4,000 records, a few milliseconds. */
#define GROUPS_PER_TURN 16U
/* Records a second up to which the kernel's backlog is surely empty. */
#define QUIET_RECORDS 1000U
/* Behind a read that emptied the socket nothing is read for so long, twice as long each time that something came
 * meanwhile: whatever comes in a pause goes the whole way together. Else a host with a thousand execs a second would
 * wake each program on the way for every one of them. The first record on a quiet host does not wait, and none waits
 * longer than is hardly seen. */
#define PAUSE_MIN_USEC (2 * USEC_PER_MSEC)
#define PAUSE_MAX_USEC (20 * USEC_PER_MSEC)
#define PAUSE_ACCURACY_USEC USEC_PER_MSEC
/* Of the socket's buffer: more than the kernel fills in the longest pause. With less there is none. */
#define PAUSE_ROOM (32U * 1024U * 1024U)
/* "node=", " type=NAME", " msg=", newline: what a line has more than its text. */
#define LINE_OVERHEAD (NODE_NAME_MAX + 64U)
#define LOG_INTERVAL_USEC (10 * USEC_PER_SEC)

struct Kernel {
        KernelOptions options;
        sd_event_source *source;
        sd_event_source *resume; /* ends a pause, in which `source` is off */
        uint64_t pause_usec;     /* how long the last one was, 0: there was none */
        bool pauses;
        bool multicast;
        bool changed; /* the ring's state was, and is to be published */
        KernelRegister reg;
        KernelCounters counters;
        uint64_t tick_records;
        Losses losses;
        char shown[KERNEL_WHY_MAX]; /* why kernel_refused holds */
        uint64_t foreign_logged, malformed_logged;
};

typedef struct Message {
        struct nlmsghdr header;
        const uint8_t *data;
        size_t size;
} Message;

const KernelSerials *kernel_serials(Ring *ring)
{
        return losses_serials(ring);
}

/* --- A landed group --- */

/* The datagram's length counts: nlmsg_len means different things on unicast and multicast. Returns false for
 * what the kernel did not send. */
static bool read_message(Ring *ring, unsigned i, Message *ret)
{
        uint32_t port;

        ret->data = ring_landed_message(ring, i, &ret->size, &port);
        if (port != 0 || ret->size < sizeof ret->header)
                return false;
        memcpy(&ret->header, ret->data, sizeof ret->header);
        ret->data += sizeof ret->header;
        ret->size -= sizeof ret->header;
        return true;
}

static bool is_record(const Message *message)
{
        return kernel_type_is_record(message->header.nlmsg_type);
}

/* A bound for the lines of the group. */
static size_t expected_size(Ring *ring, unsigned n)
{
        size_t size = 0;
        Message message;

        for (unsigned i = 0; i < n; i++)
                if (read_message(ring, i, &message) && is_record(&message))
                        size += message.size + LINE_OVERHEAD;
        return size;
}

typedef struct Group {
        Writer writer;
        uint64_t dropped, malformed;
} Group;

static void take_record(Ring *ring, Group *group, const Message *message)
{
        RingState *state = ring_state(ring);
        RecordTime time;
        uint8_t *room;
        size_t size;

        if (record_parse_time(message->data, message->size, &time) == 0) {
                group->malformed++;
                return;
        }
        kernel_serials_see(losses_serials(ring), message->header.nlmsg_type, (uint32_t) time.serial);
        /* Once there was no room there is none for the rest of the group: the gap stays in one piece. */
        room = group->dropped == 0 ? writer_room(&group->writer) : NULL;
        if (!room) {
                gap_count_dropped(state, message->header.nlmsg_type, realtime_usec());
                group->dropped++;
                return;
        }
        size = record_format(message->header.nlmsg_type, message->data, message->size, ring_node(ring), room,
                             &state->replaced);
        assert(size > 0);
        writer_commit(&group->writer, size);
}

/* Formats the landed group's records; sealed, not yet published. */
static void take_records(Ring *ring, Group *group)
{
        unsigned n = ring_landed(ring);
        Message message;

        *group = (Group) { .writer = writer_begin(ring, BATCH_ORIGIN_KERNEL, expected_size(ring, n)) };
        for (unsigned i = 0; i < n; i++)
                if (read_message(ring, i, &message) && is_record(&message))
                        take_record(ring, group, &message);
        (void) writer_end(&group->writer);
}

unsigned kernel_recover(Ring *ring)
{
        unsigned n = ring_landed(ring);
        Group group;

        kernel_serials_start(losses_serials(ring), losses_boot_usec());
        if (n > 0) {
                take_records(ring, &group);
                ring_publish(ring);
        }
        return n;
}

/* --- Losses --- */

static void on_overrun(Kernel *kernel)
{
        kernel->counters.overruns++;
        kernel_serials_overrun(losses_serials(kernel->options.ring));
        kernel->changed = true;
        if (!kernel->multicast)
                kernel_register_again(&kernel->reg);
        losses_raise(&kernel->losses, "The buffer of the audit socket ran over: records are lost, how many nobody "
                                      "knows");
}

/* --- Receiving --- */

static void show_refusal(Kernel *kernel)
{
        const char *why = kernel->reg.role == KERNEL_ROLE_REFUSED ? kernel->reg.why : "";

        /* While it asks again, the old answer holds. */
        if (strcmp(kernel->shown, why) == 0 || (!*why && kernel->reg.role != KERNEL_ROLE_REGISTERED))
                return;
        (void) snprintf(kernel->shown, sizeof kernel->shown, "%s", why);
        if (*why)
                state_raise(kernel->options.state, "kernel_refused", why, NULL);
        else
                state_clear(kernel->options.state, "kernel_refused");
}

static void take_status(Kernel *kernel)
{
        if (!kernel_serials_lost_counter(losses_serials(kernel->options.ring), kernel->reg.status.lost))
                return;
        kernel->changed = true;
        losses_raise(&kernel->losses,
                     "The kernel's counter of lost records has moved (backlog_limit may be too small)");
}

/* What is in the group besides records. */
static void take_answers(Kernel *kernel)
{
        Ring *ring = kernel->options.ring;
        unsigned n = ring_landed(ring);
        bool status = false;
        Message message;

        for (unsigned i = 0; i < n; i++) {
                if (!read_message(ring, i, &message)) {
                        kernel->counters.foreign++;
                        if (log_limit(&kernel->foreign_logged, LOG_INTERVAL_USEC))
                                log_warning("Ignoring a message on the audit socket that is not from the "
                                            "kernel");
                } else if (!is_record(&message) && !kernel->multicast) {
                        status = kernel_register_answer(&kernel->reg, &message.header, message.data,
                                                        message.size) ||
                                 status;
                }
        }
        if (status)
                take_status(kernel);
}

static void take_group(Kernel *kernel)
{
        Ring *ring = kernel->options.ring;
        Group group;

        take_records(ring, &group);
        kernel->counters.records += group.writer.records;
        kernel->counters.batches += group.writer.batches;
        kernel->tick_records += group.writer.records + group.dropped;
        kernel->counters.malformed += group.malformed;
        take_answers(kernel);
        ring_publish(ring);
        kernel->changed = false;
        if (group.writer.batches > 0)
                kernel->options.published(kernel->options.userdata);
        if (group.dropped > 0)
                kernel->options.dropped(group.dropped, kernel->options.userdata);
        if (group.malformed > 0 && log_limit(&kernel->malformed_logged, LOG_INTERVAL_USEC))
                log_warning("Ignoring kernel messages without audit(…): at their front (%" PRIu64 " so far)",
                            kernel->counters.malformed);
}

/* One group. Returns 0 when the socket is drained, 1 when there may be more, or a negative errno. */
static int receive_group(Kernel *kernel)
{
        struct mmsghdr *headers = ring_landing_prepare(kernel->options.ring);
        int n = recvmmsg(kernel->reg.fd, headers, RING_LANDING_MAX, MSG_DONTWAIT, NULL);

        if (n > 0) {
                take_group(kernel);
                return 1;
        }
        if (n == 0 || errno == EAGAIN)
                return 0;
        if (errno == EINTR)
                return 1;
        if (errno == ENOBUFS) {
                on_overrun(kernel);
                return 1;
        }
        return -errno;
}

static void publish_changes(Kernel *kernel)
{
        if (!kernel->changed)
                return;
        kernel->changed = false;
        ring_publish(kernel->options.ring);
        kernel->options.published(kernel->options.userdata);
}

/* After a pause, or as soon as there is something. */
static int read_again(Kernel *kernel, uint64_t pause_usec)
{
        int r = 0;

        if (pause_usec > 0)
                r = sd_event_source_set_time_relative(kernel->resume, pause_usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(kernel->resume, pause_usec > 0 ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_enabled(kernel->source, pause_usec > 0 ? SD_EVENT_OFF : SD_EVENT_ON);
        kernel->pause_usec = pause_usec;
        return r;
}

/* All that is there, but for a bound. */
static int receive(Kernel *kernel)
{
        uint64_t pause_usec = 0;
        unsigned n = 0;
        int r = 1;

        while (n < GROUPS_PER_TURN && r > 0) {
                r = receive_group(kernel);
                n += r > 0;
        }
        publish_changes(kernel);
        if (r < 0) {
                log_error("Cannot read the kernel's audit socket: %s", strerror(-r));
                return r;
        }
        if (r == 0 && !kernel->multicast)
                kernel_register_drained(&kernel->reg);
        show_refusal(kernel);
        if (r == 0 && n > 0 && kernel->pauses)
                pause_usec = MIN(MAX(2 * kernel->pause_usec, PAUSE_MIN_USEC), PAUSE_MAX_USEC);
        return read_again(kernel, pause_usec);
}

static int on_kernel(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        return receive(userdata);
}

static int on_resume(sd_event_source *source, uint64_t usec, void *userdata)
{
        return receive(userdata);
}

void kernel_tick(Kernel *kernel)
{
        if (!kernel->multicast)
                kernel_register_tick(&kernel->reg, kernel->tick_records < QUIET_RECORDS);
        kernel->tick_records = 0;
        show_refusal(kernel);
        if (losses_tick(&kernel->losses))
                kernel->changed = true;
        publish_changes(kernel);
}

/* --- Life --- */

static int set_up(sd_event_source *source)
{
        int r = sd_event_source_set_priority(source, LOOP_DATA);

        return r < 0 ? r : sd_event_source_set_exit_on_failure(source, true);
}

int kernel_new(const KernelOptions *options, Kernel **ret)
{
        _cleanup_(kernel_freep) Kernel *kernel = calloc(1, sizeof *kernel);
        int fd = options->fd, r;

        if (!kernel) {
                (void) close_fd(fd);
                return -ENOMEM;
        }
        kernel->options = *options;
        kernel->losses = (Losses) { options->ring, options->state, 0 };
        kernel_register_init(&kernel->reg, fd);
        r = kernel_socket_is_multicast(fd);
        if (r < 0)
                return r;
        kernel->multicast = r > 0;
        kernel->pauses = kernel_socket_room(fd) >= PAUSE_ROOM;
        r = sd_event_add_io(options->event, &kernel->source, fd, EPOLLIN, on_kernel, kernel);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(kernel->source, "kernel");
        r = sd_event_add_time(options->event, &kernel->resume, CLOCK_MONOTONIC, 0, PAUSE_ACCURACY_USEC, on_resume, kernel);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(kernel->resume, "kernel-resume");
        r = set_up(kernel->source);
        if (r >= 0)
                r = set_up(kernel->resume);
        if (r < 0)
                return r;
        /* Reads what is there and then registers. */
        r = receive(kernel);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(kernel);
        return 0;
}

void kernel_stop(Kernel *kernel, bool unregister)
{
        if (unregister && !kernel->multicast) {
                kernel_register_end(&kernel->reg);
                /* What came before that; more does not. */
                while (receive_group(kernel) > 0)
                        ;
                publish_changes(kernel);
        }
        (void) sd_event_source_set_enabled(kernel->source, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(kernel->resume, SD_EVENT_OFF);
}

Kernel *kernel_free(Kernel *kernel)
{
        if (!kernel)
                return NULL;
        sd_event_source_unref(kernel->source);
        sd_event_source_unref(kernel->resume);
        (void) close_fd(kernel->reg.fd);
        free(kernel);
        return NULL;
}

const KernelCounters *kernel_counters(const Kernel *kernel)
{
        return &kernel->counters;
}

bool kernel_backlog(const Kernel *kernel, uint32_t *ret_waiting, uint32_t *ret_limit)
{
        *ret_waiting = kernel->reg.status.backlog;
        *ret_limit = kernel->reg.status.backlog_limit;
        return kernel->reg.role == KERNEL_ROLE_REGISTERED && *ret_limit > 0;
}

const char *kernel_description(const Kernel *kernel)
{
        if (kernel->multicast)
                return "kernel multicast";
        return kernel->reg.role == KERNEL_ROLE_REFUSED ? "kernel refused" : "kernel unicast";
}
