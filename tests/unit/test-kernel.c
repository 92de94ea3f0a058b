/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel's socket without a kernel: what recvmmsg() says is a script. Records of the real one are in tests/kernel. */

#include "check-main.h"
#include "capture.h"
#include "dispatcher/kernel.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <linux/audit.h>
#include <linux/netlink.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static char directory[64];
static Capture capture;
static sd_event *event;
static State *state;
static Ring *ring;
static Kernel *kernel;
static unsigned n_published;
static uint64_t published_usec; /* the last time */
static uint64_t room; /* in the socket */

/* --- The script --- */

/* Each step is a record, or an errno; behind the last the socket is drained. */
static const struct {
        const char *text;
        int error;
} *script;
static size_t n_script, at_script;

int __wrap_recvmmsg(int fd, struct mmsghdr *headers, unsigned n, int flags, struct timespec *timeout);
int __wrap_kernel_socket_is_multicast(int fd);
uint64_t __wrap_kernel_socket_room(int fd);

int __wrap_recvmmsg(int fd, struct mmsghdr *headers, unsigned n, int flags, struct timespec *timeout)
{
        struct nlmsghdr header = { .nlmsg_type = AUDIT_FIRST_USER_MSG };
        uint8_t *message = headers[0].msg_hdr.msg_iov->iov_base;
        const char *text;

        ck_assert_uint_gt(n, 0);
        if (at_script == n_script) {
                errno = EAGAIN;
                return -1;
        }
        text = script[at_script].text;
        errno = script[at_script++].error;
        if (!text)
                return -1;
        header.nlmsg_len = (uint32_t) (sizeof header + strlen(text));
        memcpy(message, &header, sizeof header);
        memcpy(message + sizeof header, text, strlen(text));
        headers[0].msg_len = header.nlmsg_len;
        return 1;
}

int __wrap_kernel_socket_is_multicast(int fd)
{
        return 1;
}

uint64_t __wrap_kernel_socket_room(int fd)
{
        return room;
}

/* --- Around it --- */

static void on_published(void *userdata)
{
        n_published++;
        published_usec = monotonic_usec();
}

static void on_dropped(uint64_t n, void *userdata)
{
        ck_abort_msg("the ring has room");
}

static void setup(void)
{
        RingOptions options = { .size = RING_SIZE_MIN, .node = "n1", .stream = { { 1 } } };
        char path[80];
        bool created;

        scratch_make(directory);
        (void) snprintf(path, sizeof path, "%s/ring", directory);
        options.path = path;
        capture_begin(&capture);
        log_init("test", LOG_INFO);
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(state_new(directory, "dispatcher", &state), 0);
        ck_assert_int_eq(ring_open(&options, &ring, &created), 0);
        n_published = 0;
        at_script = 0;
        room = 0;
}

static void teardown(void)
{
        kernel = kernel_free(kernel);
        ring = ring_free(ring);
        state = state_free(state);
        event = sd_event_unref(event);
        (void) capture_end(&capture);
        scratch_remove(directory);
}

/* Reads what the script says. */
static int start(const void *steps, size_t n)
{
        KernelOptions options = {
                .event = event,
                .ring = ring,
                .state = state,
                .fd = eventfd(1, EFD_CLOEXEC), /* there is always something to be read */
                .published = on_published,
                .dropped = on_dropped,
        };

        script = steps;
        n_script = n;
        return kernel_new(&options, &kernel);
}

#define START(...)                                                                      \
        __extension__({                                                                 \
                static const struct { const char *text; int error; } _steps[] = { __VA_ARGS__ }; \
                start(_steps, ELEMENTSOF(_steps));                                      \
        })

/* The text of the batch at seq. */
static const char *text_at(uint64_t seq)
{
        static char text[RECORD_LINE_MAX];
        Source *source = ring_source(ring, "test", false);
        Cursor cursor = { { 0 } };
        Batch batch;

        ck_assert_int_eq(source->get(source, seq, &cursor, &batch), 1);
        ck_assert_uint_lt(batch.size, sizeof text);
        memcpy(text, batch.payload, batch.size);
        text[batch.size] = '\0';
        ring_source_free(ring, source);
        return text;
}

START_TEST(records_become_lines)
{
        ck_assert_int_eq(START({ "audit(1.000:1): a", 0 }, { "audit(1.000:2): b", 0 }), 0);
        ck_assert_str_eq(text_at(1), "node=n1 type=USER_AUTH msg=audit(1.000:1): a\n");
        ck_assert_str_eq(text_at(2), "node=n1 type=USER_AUTH msg=audit(1.000:2): b\n");
        ck_assert_uint_eq(kernel_counters(kernel)->records, 2);
        ck_assert_uint_eq(n_published, 2);
        ck_assert(!state_holds(state, "kernel_lost"));
}
END_TEST

START_TEST(an_overrun_is_told)
{
        ck_assert_int_eq(START({ "audit(1.000:1): a", 0 }, { NULL, ENOBUFS }, { "audit(1.000:2): b", 0 }), 0);
        ck_assert_uint_eq(kernel_counters(kernel)->records, 2);
        ck_assert_uint_eq(kernel_counters(kernel)->overruns, 1);
        ck_assert(state_holds(state, "kernel_lost"));
        kernel_tick(kernel);
        ck_assert_ptr_nonnull(strstr(text_at(3), " op=relay-gap where=kernel reason=socket-overrun "));
        ck_assert_ptr_nonnull(strstr(text_at(3), " overruns=1 "));
        /* Once. */
        kernel_tick(kernel);
        ck_assert_uint_eq(ring_state(ring)->newest, 3);
}
END_TEST

START_TEST(an_interrupted_call_is_repeated)
{
        ck_assert_int_eq(START({ NULL, EINTR }, { "audit(1.000:1): a", 0 }), 0);
        ck_assert_uint_eq(kernel_counters(kernel)->records, 1);
        ck_assert_uint_eq(kernel_counters(kernel)->overruns, 0);
}
END_TEST

START_TEST(another_error_is_the_owners)
{
        ck_assert_int_eq(START({ NULL, ENOTSOCK }), -ENOTSOCK);
        ck_assert_ptr_null(kernel);
}
END_TEST

/* Turns of the loop until n groups are published. Returns how long after the one before the last was. */
static uint64_t run_until(unsigned n)
{
        uint64_t begin = published_usec;

        while (n_published < n)
                ck_assert_int_ge(sd_event_run(event, UINT64_MAX), 0);
        return published_usec - begin;
}

/* One more record in the socket. */
static void add_to_script(void)
{
        n_script++;
        ck_assert_uint_eq(at_script, n_script - 1);
}

#define PAUSED_STEPS { "audit(1.000:1): a", 0 }, { "audit(1.000:2): b", 0 }, { "audit(1.000:3): c", 0 }, { "audit(1.000:4): d", 0 }

START_TEST(what_comes_in_a_pause_waits_for_its_end)
{
        room = 64U * 1024U * 1024U;
        ck_assert_int_eq(START(PAUSED_STEPS), 0);
        ck_assert_uint_eq(n_published, 4);
        /* Again, one at a time, behind the first read's pause. */
        at_script = 0;
        n_script = 1;
        ck_assert_uint_ge(run_until(5), 2 * USEC_PER_MSEC);
        add_to_script();
        ck_assert_uint_ge(run_until(6), 4 * USEC_PER_MSEC);
        add_to_script();
        ck_assert_uint_ge(run_until(7), 8 * USEC_PER_MSEC);
        /* Nothing came in the next one: now the socket is waited for, and the next pause is a short one. */
        ck_assert_int_ge(sd_event_run(event, UINT64_MAX), 0);
        add_to_script();
        ck_assert_int_eq(sd_event_run(event, 0), 1);
        ck_assert_uint_eq(n_published, 8);
}
END_TEST

START_TEST(a_small_buffer_is_read_at_once)
{
        room = 1024U * 1024U;
        ck_assert_int_eq(START(PAUSED_STEPS), 0);
        at_script = 0;
        ck_assert_int_eq(sd_event_run(event, 0), 1);
        ck_assert_uint_eq(n_published, 8);
}
END_TEST

START_TEST(a_stopped_one_reads_no_more)
{
        room = 64U * 1024U * 1024U;
        ck_assert_int_eq(START(PAUSED_STEPS), 0);
        at_script = 0;
        kernel_stop(kernel, false);
        ck_assert_int_eq(sd_event_run(event, 30 * USEC_PER_MSEC), 0);
        ck_assert_uint_eq(n_published, 4);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("kernel");
        TCase *tcase = tcase_create("kernel");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, records_become_lines);
        tcase_add_test(tcase, an_overrun_is_told);
        tcase_add_test(tcase, an_interrupted_call_is_repeated);
        tcase_add_test(tcase, another_error_is_the_owners);
        tcase_add_test(tcase, what_comes_in_a_pause_waits_for_its_end);
        tcase_add_test(tcase, a_small_buffer_is_read_at_once);
        tcase_add_test(tcase, a_stopped_one_reads_no_more);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
