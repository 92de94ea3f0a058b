/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A ring whose process dies. First at every step: the writer runs here, at each STEP() the file as it is then is copied and
 * opened by a "next process", which must find all that was published, byte for byte and in order, and from what had landed make
 * exactly what is missing. Then for real: a child that receives numbered datagrams is killed again and again; in the end every
 * number is there once.
 *
 * Built with a small ring, for many crashes.
 */

#include "check-main.h"
#include "mark.h"
#include "seed.h"
#include "ring/ring.h"
#include "basic/mark.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define OPERATIONS 250U
#define LINES_MAX 100000U
#define KILLS 40U

static char directory[64], live_path[80], crash_path[80];
static RingOptions options = { .path = live_path, .size = RING_SIZE_MIN, .node = "n1", .stream = { { 1 } } };
static const StreamId producer = { { 7 } };

static void set_up(void)
{
        /* In memory, as the ring is; thousands of copies are made. */
        strcpy(directory, access("/dev/shm", W_OK) == 0 ? "/dev/shm/test-ring-XXXXXX" : "/tmp/test-ring-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        (void) snprintf(live_path, sizeof live_path, "%s/live", directory);
        (void) snprintf(crash_path, sizeof crash_path, "%s/crash", directory);
        options.size = RING_SIZE_MIN;
}

static void tear_down(void)
{
        char command[128];

        (void) snprintf(command, sizeof command, "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}

/* --- What the hooks do --- */

static void (*at_step)(void);

void step_hit(void)
{
        if (at_step)
                at_step();
}

/* --- The writer: number n of the kernel, or of the producer, becomes a line whose length depends on n --- */

typedef enum Operation { NOTHING, LANDING, PRODUCING, ACKING } Operation;

static struct {
        Ring *ring;
        Source *remote; /* awaited */
        char *lines[LINES_MAX]; /* by seq; of the operation under way too */
        uint64_t before, after; /* newest seq before it and after it */
        uint64_t acked, acking;       /* before and after an ack under way */
        uint64_t acked_sum, acking_sum; /* of the batches that end there */
        uint64_t produced; /* last seq of the producer's own stream */
        Batch batch;       /* the producer's */
        Operation operation;
        bool received; /* the landing group is complete */
        unsigned group;
        unsigned n_snapshots, n_unpublished, n_published;
} w;

static size_t format_line(const char *from, size_t size, uint8_t *out)
{
        uint64_t n = strtoull(from + 1, NULL, 10);
        size_t length = 20 + (n * 7919) % 9000;

        memset(out, *from == 'k' ? '.' : ',', length);
        memcpy(out, from, size);
        out[length - 1] = '\n';
        return length;
}

/* What any process does with what has landed. Two batches a publication when there is enough. */
static bool publish_landed(Ring *ring)
{
        unsigned n = ring_landed(ring), half = n > 3 ? n / 2 : n;

        for (unsigned i = 0; i < n; i += half) {
                unsigned count = MIN(half, n - i);
                uint8_t *out = ring_begin(ring, count * 9100, false);
                size_t used = 0;

                if (!out)
                        return false;
                for (unsigned k = i; k < i + count; k++) {
                        uint32_t port;
                        size_t size;
                        const uint8_t *message = ring_landed_message(ring, k, &size, &port);

                        used += format_line((const char *) message, size, out + used);
                }
                ring_seal(ring, used, count, BATCH_ORIGIN_KERNEL);
        }
        /* The state is told apart in every byte. */
        memset(ring_state(ring)->kernel, (int) (ring_state(ring)->newest & 0xff), RING_KERNEL_STATE_SIZE);
        ring_publish(ring);
        return true;
}

static uint64_t newest(const Ring *ring)
{
        RingStatus status;

        ring_status(ring, &status);
        return status.newest;
}

static void expect_line(const char *text)
{
        static uint8_t line[10000];
        size_t size = format_line(text, strlen(text), line);

        line[size] = '\0';
        w.after++;
        ck_assert_uint_lt(w.after, LINES_MAX);
        w.lines[w.after] = strdup((char *) line);
}

/* --- The next process --- */

/* All held batches are what was published, in order. */
static void check_content(Ring *ring)
{
        Source *source = ring_source(ring, "any", false);
        Cursor cursor = { 0 };
        SourceRange range;
        Batch batch;

        source->range(source, &range);
        ck_assert_uint_le(range.oldest, w.acked + 1);
        for (uint64_t seq = range.oldest; seq <= range.newest; seq = batch.last + 1) {
                const uint8_t *p;

                if (source->get(source, seq, &cursor, &batch) != 1 || !batch_payload_intact(&batch))
                        ck_abort_msg("batch %" PRIu64 " is damaged", seq);
                p = batch.payload;
                for (uint64_t i = seq; i <= batch.last; i++) {
                        size_t size = strlen(w.lines[i]);

                        if (memcmp(p, w.lines[i], size) != 0) /* an assertion that holds costs a write */
                                ck_abort_msg("record %" PRIu64 " is another", i);
                        p += size;
                }
                if (p != batch.payload + batch.size)
                        ck_abort_msg("batch %" PRIu64 " has another size", seq);
        }
        ring_source_free(ring, source);
}

static void check_state(Ring *ring)
{
        const RingState *state = ring_state(ring);

        ck_assert_uint_eq(state->newest, newest(ring));
        ck_assert_mem_eq(state->kernel, state->kernel + 1, RING_KERNEL_STATE_SIZE - 1);
}

/* What was under way is done again, or was done. */
static void finish_operation(Ring *ring, bool published)
{
        Sink *sink = ring_sink(ring);
        uint64_t last, checksum;

        ck_assert_int_eq(sink->position(sink, &producer, "me", &last, &checksum), 0);
        if (w.operation == PRODUCING) {
                ck_assert_uint_eq(last, published ? w.batch.last : w.produced);
                if (!published)
                        ck_assert_int_eq(sink->append(sink, &producer, "me", &w.batch, &w.batch, 0), 0);
        } else {
                ck_assert_uint_eq(last, w.produced);
        }
        if (w.operation == LANDING && w.received && !published) {
                ck_assert_uint_eq(ring_landed(ring), w.group);
                ck_assert(publish_landed(ring));
        }
        ck_assert_uint_eq(ring_landed(ring), 0);
        if (w.operation == PRODUCING || w.received)
                ck_assert_uint_eq(newest(ring), w.after);
}

/* Seq and checksum of an ack are one: also when the batch is gone, so that only the table knows it. */
static void check_acked(Ring *ring)
{
        Source *remote = ring_source(ring, "remote", true);
        uint64_t before = 0, after = 0;

        while (ring_begin(ring, 100000, true)) {
                ring_seal(ring, 100000, 1, BATCH_ORIGIN_KERNEL);
                ring_publish(ring);
        }
        ck_assert_int_ge(remote->ended(remote, w.acked, &before), 0);
        ck_assert_int_ge(remote->ended(remote, w.acking, &after), 0);
        ck_assert(before != 0 || after != 0 || w.acked == 0);
        ck_assert(before == 0 || before == w.acked_sum);
        ck_assert(after == 0 || after == w.acking_sum);
}

static void copy_file(void)
{
        static uint8_t bytes[4 << 20];
        int in = open(live_path, O_RDONLY), out = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        ssize_t size = read(in, bytes, sizeof bytes);

        ck_assert(size > 0 && size < (ssize_t) sizeof bytes);
        ck_assert_int_eq(write(out, bytes, (size_t) size), size);
        (void) close(in);
        (void) close(out);
}

static void crash_here(void)
{
        RingOptions crashed = options;
        Ring *next = NULL;
        uint64_t found;
        bool created;

        at_step = NULL;
        w.n_snapshots++;
        copy_file();
        crashed.path = crash_path;
        ck_assert_int_eq(ring_open(&crashed, &next, &created), 0);
        ck_assert(!created);
        found = newest(next);
        ck_assert(found == w.before || found == w.after);
        if (w.before != w.after)
                *(found == w.before ? &w.n_unpublished : &w.n_published) += 1;
        check_state(next);
        check_content(next);
        finish_operation(next, w.before != w.after && found == w.after);
        check_state(next);
        check_content(next);
        next = ring_free(next);

        /* And the one after that has nothing to do. */
        ck_assert_int_eq(ring_open(&crashed, &next, &created), 0);
        ck_assert_uint_eq(ring_landed(next), 0);
        check_content(next);
        if (w.operation == ACKING)
                check_acked(next);
        next = ring_free(next);
        at_step = crash_here;
}

/* --- Operations --- */

static void land(int fds[2], uint64_t *number)
{
        w.operation = LANDING;
        w.received = false;
        w.group = 1 + (unsigned) random_below(RING_LANDING_MAX);
        for (unsigned i = 0; i < w.group; i++) {
                char text[32];
                int size = snprintf(text, sizeof text, "k%" PRIu64, ++*number);

                ck_assert_int_eq(send(fds[0], text, (size_t) size, 0), size);
                expect_line(text);
        }
        ck_assert_int_eq(recvmmsg(fds[1], ring_landing_prepare(w.ring), RING_LANDING_MAX, MSG_DONTWAIT, NULL),
                         (int) w.group);
        w.received = true;
        ck_assert(publish_landed(w.ring));
}

static void produce(uint64_t *number)
{
        static uint8_t payload[30000];
        Sink *sink = ring_sink(w.ring);
        unsigned n = 1 + (unsigned) random_below(3);

        w.batch = (Batch) { .first = w.produced + 1, .last = w.produced + n, .count = n,
                            .origin = BATCH_ORIGIN_LOCAL, .payload = payload };
        for (unsigned i = 0; i < n; i++) {
                char text[32];

                (void) snprintf(text, sizeof text, "p%" PRIu64, ++*number);
                w.batch.size += (uint32_t) format_line(text, strlen(text), payload + w.batch.size);
                expect_line(text);
        }
        batch_seal(&w.batch);
        w.operation = PRODUCING;
        ck_assert_int_eq(sink->append(sink, &producer, "me", &w.batch, &w.batch, 0), 0);
        w.produced = w.batch.last;
}

/* Acks half of what it has not acked, at the end of a batch. */
static void ack(void)
{
        Cursor cursor = { 0 };
        uint64_t seq = w.acked + 1, until = w.acked + (newest(w.ring) - w.acked + 1) / 2;
        Batch batch = { 0 };

        for (; seq <= until; seq = batch.last + 1)
                ck_assert_int_eq(w.remote->get(w.remote, seq, &cursor, &batch), 1);
        if (batch.last == 0)
                return;
        w.operation = ACKING;
        w.acking = batch.last;
        w.acking_sum = batch.checksum;
        w.remote->release(w.remote, w.acking, w.acking_sum);
        w.acked = w.acking;
        w.acked_sum = w.acking_sum;
}

START_TEST(a_crash_at_any_step_loses_and_repeats_nothing)
{
        uint64_t number = 0;
        bool created;
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
        ck_assert_int_eq(ring_open(&options, &w.ring, &created), 0);
        w.remote = ring_source(w.ring, "remote", true);
        for (unsigned i = 0; i < OPERATIONS; i++) {
                RingStatus status;

                ring_status(w.ring, &status);
                at_step = crash_here;
                if (status.used > status.size / 2 || random_below(8) == 0)
                        ack();
                else if (random_below(3) == 0)
                        produce(&number);
                else
                        land(fds, &number);
                at_step = NULL;
                w.operation = NOTHING;
                w.received = false;
                w.before = w.after;
                ck_assert_uint_eq(newest(w.ring), w.after);
        }
        check_content(w.ring);
        printf("# %u crashes, %u before and %u after a publication, %u wraps\n", w.n_snapshots, w.n_unpublished,
               w.n_published, (unsigned) mark_count("ring.wrap"));
        ck_assert(marks_reached("ring-crash"));
        ck_assert_uint_gt(mark_count("ring.wrap"), 2);
        ck_assert_uint_gt(mark_count("ring.head"), 10);
        ck_assert_uint_gt(w.n_unpublished, OPERATIONS);
        ck_assert_uint_gt(w.n_published, OPERATIONS);
        w.ring = ring_free(w.ring);
        for (uint64_t i = 1; i <= w.after; i++)
                free(w.lines[i]);
        (void) close(fds[0]);
        (void) close(fds[1]);
}
END_TEST

/* --- The real thing --- */

static uint64_t die_at;

static void die_here(void)
{
        if (die_at > 0 && --die_at == 0)
                (void) kill(getpid(), SIGKILL);
}

/* Receives and publishes until a datagram "end" comes. */
static void child(int fd)
{
        Ring *ring = NULL;
        bool created, ended = false;
        const uint8_t *last;
        uint32_t port;
        size_t size;

        at_step = die_here;
        if (ring_open(&options, &ring, &created) < 0)
                _exit(2);
        while (!ended) {
                unsigned n = ring_landed(ring), used = 0;
                uint8_t *out;

                if (n == 0) {
                        if (recvmmsg(fd, ring_landing_prepare(ring), RING_LANDING_MAX, MSG_WAITFORONE, NULL) <= 0)
                                _exit(3);
                        n = ring_landed(ring);
                }
                last = ring_landed_message(ring, n - 1, &size, &port);
                ended = size == 3 && memcmp(last, "end", 3) == 0;
                out = ring_begin(ring, n * 32, false);
                for (unsigned i = 0; i < n; i++) {
                        const uint8_t *message = ring_landed_message(ring, i, &size, &port);

                        memcpy(out + used, message, size);
                        used += (unsigned) size;
                        out[used++] = '\n';
                }
                ring_seal(ring, used, n, BATCH_ORIGIN_KERNEL);
                ring_publish(ring);
        }
        _exit(0);
}

static pid_t start_child(int fds[2])
{
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                child(fds[1]);
        return pid;
}

/* 0 when it ended, the signal when it was killed. */
static int wait_for(pid_t pid)
{
        int status;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status))
                return WTERMSIG(status);
        ck_assert_int_eq(WEXITSTATUS(status), 0);
        return 0;
}

/* Sends `n` more numbers, blocking as the socket fills; fewer when the child has died and nobody reads. */
static uint64_t send_numbers(int fd, uint64_t number, uint64_t n, pid_t pid)
{
        for (uint64_t i = 0; i < n;) {
                char text[32];
                int size = snprintf(text, sizeof text, "%" PRIu64, number + 1);
                siginfo_t info = { 0 };

                if (send(fd, text, (size_t) size, MSG_DONTWAIT) == size) {
                        number++;
                        i++;
                } else if (waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid) {
                        break;
                }
        }
        return number;
}

static void check_numbers(uint64_t expected)
{
        Ring *ring = NULL;
        Cursor cursor = { 0 };
        Source *source;
        uint64_t n = 0;
        bool created;
        Batch batch;

        ck_assert_int_eq(ring_open(&options, &ring, &created), 0);
        ck_assert(!created);
        source = ring_source(ring, "any", false);
        for (uint64_t seq = 1; source->get(source, seq, &cursor, &batch) == 1; seq = batch.last + 1) {
                const char *p = (const char *) batch.payload, *end = p + batch.size;

                ck_assert_int_eq(batch.reason, BATCH_RECORDS);
                for (; p < end; p = strchr(p, '\n') + 1) {
                        char text[32];
                        int size = snprintf(text, sizeof text, "%" PRIu64 "\n", ++n);

                        if (n <= expected)
                                ck_assert_mem_eq(p, text, (size_t) size);
                        else
                                ck_assert_mem_eq(p, "end\n", 4);
                }
        }
        ck_assert_uint_eq(n, expected + 1);
        ring = ring_free(ring);
}

START_TEST(a_killed_process_loses_and_repeats_nothing)
{
        uint64_t number = 0;
        unsigned killed = 0;
        int fds[2];
        pid_t pid;

        options.size = 16 << 20; /* all of it is looked at in the end */
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
        for (unsigned i = 0; i < KILLS; i++) {
                bool inside = random_below(2);

                /* By itself at a step, or by us wherever it happens to be. */
                die_at = inside ? 1 + random_below(300) : 0;
                pid = start_child(fds);
                number = send_numbers(fds[0], number, inside ? 10000 : random_below(1500), pid);
                if (!inside)
                        (void) kill(pid, SIGKILL);
                killed += wait_for(pid) == SIGKILL;
        }
        die_at = 0;
        pid = start_child(fds);
        number = send_numbers(fds[0], number, 100, pid);
        ck_assert_int_eq(send(fds[0], "end", 3, 0), 3);
        ck_assert_int_eq(wait_for(pid), 0);
        ck_assert_uint_eq(killed, KILLS);
        printf("# %u kills, %" PRIu64 " datagrams\n", killed, number);
        check_numbers(number);
        (void) close(fds[0]);
        (void) close(fds[1]);
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("ring-crash");
        TCase *tcase = tcase_create("ring-crash");

        seed_begin(argc, argv);
        tcase_add_checked_fixture(tcase, set_up, tear_down);
        tcase_add_test(tcase, a_crash_at_any_step_loses_and_repeats_nothing);
        tcase_add_test(tcase, a_killed_process_loses_and_repeats_nothing);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
