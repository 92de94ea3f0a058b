/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Outlets of subscribers that connect to us, and of those that only read. */

#define ARRAY_PAYLOAD_MAX 16384U
#include "array-source.h"
#include "check-main.h"
#include "receiver-peer.h"
#include "dispatcher/text.h"
#include "runtime/loop.h"

#include <sys/socket.h>

/* Far more than anything here takes; reached only by a failure. */
#define PATIENCE_USEC (20 * USEC_PER_SEC)
/* Longer than the look at what a reader has read, twice. */
#define LOOKED_USEC (300 * USEC_PER_MSEC)

static sd_event *event;
static Outlet *outlet;
static ArraySource source;
static Text text;

/* What the outlet's handler was told. */
static unsigned n_opens, n_hellos, n_connected, n_disconnected, n_ended;
static OutletTrouble trouble;
static char why[200];
static uint64_t acked;
static bool refuses;

/* The subscriber. */
static uint64_t start_behind; /* what its WELCOME says; UINT64_MAX: now */
static LinkByeCode peer_bye;
static char peer_why[200];
static bool peer_eof;

static void on_peer_hello(LinkReceiver *r, const LinkHello *hello)
{
        uint64_t last = start_behind == UINT64_MAX ? hello->newest : start_behind;

        ck_assert_int_eq(link_receiver_welcome(r, &output, last, 0, "peer", ""), 0);
}

static int on_peer_batch(LinkReceiver *r, const Batch *batch)
{
        return link_receiver_ack(r, &output, batch->last, r->bytes_received);
}

static void on_peer_bye(LinkReceiver *r, const LinkBye *bye)
{
        peer_bye = bye->code;
        (void) snprintf(peer_why, sizeof peer_why, "%.*s", (int) bye->reason.size, bye->reason.data);
}

static const LinkReceiverHandler peer_handler = {
        .hello = on_peer_hello, .batch = on_peer_batch, .bye = on_peer_bye
};

static void peer_pump(void)
{
        if (peer_fd >= 0 && peer_exchange() == 0)
                peer_eof = true;
}

static void subscribe(void)
{
        LinkHello hello = { .node = link_string("peer"), .filter = link_string("AVC") };

        ck_assert_int_eq(link_receiver_subscribe(&receiver, &output, &hello), 0);
}

/* --- The outlet's handler --- */

static int on_open(Outlet *o, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        int pair[2];

        n_opens++;
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        *ret_fd = pair[0];
        close_fd(peer_fd);
        peer_fd = pair[1];
        return 0;
}

static LinkByeCode on_hello(Outlet *o, const LinkHello *hello, Source **ret_source, char **ret_why)
{
        n_hellos++;
        ck_assert(hello->filter.size == 3 && memcmp(hello->filter.data, "AVC", 3) == 0);
        if (refuses) {
                *ret_why = strdup("no such type");
                return LINK_BYE_PROTOCOL;
        }
        *ret_source = &source.source;
        return 0;
}

static void on_connected(Outlet *o, const LinkWelcome *welcome)
{
        n_connected++;
}

static void on_disconnected(Outlet *o, OutletTrouble t, const char *reason)
{
        n_disconnected++;
        trouble = t;
        (void) snprintf(why, sizeof why, "%s", reason);
}

static void on_acked(Outlet *o, uint64_t seq)
{
        acked = seq;
}

static void on_ended(Outlet *o)
{
        ck_assert_ptr_eq(o, outlet);
        n_ended++;
        outlet = outlet_free(outlet);
}

static const OutletHandler handler = {
        .open = on_open,
        .hello = on_hello,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .acked = on_acked,
        .ended = on_ended,
};

/* --- Running --- */

static OutletOptions options(void)
{
        return (OutletOptions) {
                .handler = &handler,
                .node = "here.example",
                .connect_usec = PATIENCE_USEC,
                .timeout_usec = USEC_INFINITY,
                .backoff_min_usec = 10 * USEC_PER_MSEC,
                .backoff_max_usec = 40 * USEC_PER_MSEC,
        };
}

static OutletOptions text_options(void)
{
        OutletOptions o = options();

        o.source = &source.source;
        o.speech = &text_speech;
        o.speaker = &text;
        return o;
}

static void accept_peer(const OutletOptions *o)
{
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        peer_open(pair[1], &peer_handler, 0);
        ck_assert_int_eq(outlet_accept(event, o, pair[0], &outlet), 0);
}

static void run_some(uint64_t usec)
{
        uint64_t end = monotonic_usec() + usec;

        while (monotonic_usec() < end)
                ck_assert_int_ge(sd_event_run(event, 1000), 0);
}

#define RUN_UNTIL(condition)                                            \
        do {                                                            \
                uint64_t _end = monotonic_usec() + PATIENCE_USEC;       \
                while (!(condition)) {                                  \
                        ck_assert_uint_lt(monotonic_usec(), _end);      \
                        ck_assert_int_ge(sd_event_run(event, 1000), 0); \
                        peer_pump();                                    \
                }                                                       \
        } while (false)

#define RUN_UNTIL_SILENT(condition)                                     \
        do {                                                            \
                uint64_t _end = monotonic_usec() + PATIENCE_USEC;       \
                while (!(condition)) {                                  \
                        ck_assert_uint_lt(monotonic_usec(), _end);      \
                        ck_assert_int_ge(sd_event_run(event, 1000), 0); \
                }                                                       \
        } while (false)

static uint64_t noon(void)
{
        return UINT64_C(1700000012345000);
}

static void setup(void)
{
        ck_assert_int_ge(sd_event_new(&event), 0);
        array_init(&source, 1);
        text = (Text) { .source = &source.source, .node = "here.example", .realtime_usec = noon };
        n_opens = n_hellos = n_connected = n_disconnected = n_ended = 0;
        acked = start_behind = 0;
        refuses = peer_eof = false;
        peer_bye = _LINK_BYE_MAX;
}

static void teardown(void)
{
        outlet = outlet_free(outlet);
        peer_close();
        array_done(&source);
        event = sd_event_unref(event);
}

/* Reads exactly this, however it comes. */
static void expect_text(const char *expected)
{
        uint64_t end = monotonic_usec() + PATIENCE_USEC;
        char data[1024];
        size_t size = 0;

        while (size < strlen(expected)) {
                ssize_t n = recv(peer_fd, data + size, sizeof data - size, MSG_DONTWAIT);

                size += n > 0 ? (size_t) n : 0;
                ck_assert_uint_lt(monotonic_usec(), end);
                ck_assert_int_ge(sd_event_run(event, 1000), 0);
        }
        ck_assert_uint_eq(size, strlen(expected));
        ck_assert_int_eq(memcmp(data, expected, size), 0);
}

/* --- The link --- */

START_TEST(a_subscriber_gets_what_it_asks_for)
{
        OutletOptions o = options();

        array_append(&source, 3, 0);
        accept_peer(&o);
        run_some(50 * USEC_PER_MSEC);
        ck_assert_int_eq(recv(peer_fd, why, sizeof why, MSG_DONTWAIT), -1); /* not a byte before its HELLO */
        subscribe();
        RUN_UNTIL(acked == 3);
        array_append(&source, 2, 0);
        outlet_wake(outlet);
        RUN_UNTIL(acked == 5);
        ck_assert_uint_eq(receiver.received, 5);
        ck_assert_uint_eq(n_hellos, 1);
        ck_assert_uint_eq(n_connected, 1);
}
END_TEST

START_TEST(from_now_on)
{
        OutletOptions o = options();

        start_behind = UINT64_MAX;
        array_append(&source, 3, 0);
        accept_peer(&o);
        subscribe();
        RUN_UNTIL(n_connected == 1);
        array_append(&source, 2, 0);
        outlet_wake(outlet);
        RUN_UNTIL(acked == 5);
        ck_assert_uint_gt(receiver.bytes_received, 0);
        ck_assert_uint_eq(source.released, 5);
}
END_TEST

START_TEST(it_ends_with_its_connection)
{
        OutletOptions o = options();

        accept_peer(&o);
        subscribe();
        RUN_UNTIL(n_connected == 1);
        peer_close();
        RUN_UNTIL(n_ended == 1);
        ck_assert_uint_eq(n_disconnected, 1);
        ck_assert_ptr_null(outlet);
        run_some(100 * USEC_PER_MSEC);
        ck_assert_uint_eq(n_opens, 0);
}
END_TEST

START_TEST(refused_it_is_told_why)
{
        OutletOptions o = options();

        refuses = true;
        accept_peer(&o);
        subscribe();
        RUN_UNTIL(peer_eof);
        ck_assert_int_eq(peer_bye, LINK_BYE_PROTOCOL);
        ck_assert_str_eq(peer_why, "no such type");
        ck_assert_int_eq(trouble, OUTLET_E_REFUSED);
        ck_assert_str_eq(why, "no such type");
        peer_close();
        RUN_UNTIL(n_ended == 1);
        ck_assert_uint_eq(n_connected, 0);
        ck_assert_uint_eq(n_disconnected, 1);
}
END_TEST

START_TEST(without_hello_it_is_ended)
{
        OutletOptions o = options();

        o.connect_usec = 50 * USEC_PER_MSEC;
        accept_peer(&o);
        RUN_UNTIL(peer_eof);
        ck_assert_int_eq(peer_bye, LINK_BYE_TIMEOUT);
        peer_close();
        RUN_UNTIL(n_ended == 1);
        ck_assert_int_eq(trouble, OUTLET_E_TIMEOUT);
}
END_TEST

START_TEST(a_subscriber_cannot_send_batches)
{
        OutletOptions o = options();
        Batch batch = { .first = 1, .last = 1, .count = 1, .size = 2, .origin = BATCH_ORIGIN_LOCAL,
                        .payload = (const uint8_t *) "x\n" };

        accept_peer(&o);
        subscribe();
        RUN_UNTIL(n_connected == 1);
        batch_seal(&batch);
        ck_assert_int_eq(frame_put_batch(&output, &batch), 0);
        RUN_UNTIL(peer_eof);
        ck_assert_int_eq(peer_bye, LINK_BYE_PROTOCOL);
        ck_assert_int_eq(trouble, OUTLET_E_PROTOCOL);
        peer_close();
        RUN_UNTIL(n_ended == 1);
}
END_TEST

START_TEST(a_sender_is_no_subscriber)
{
        OutletOptions o = options();
        LinkHello hello = { .version_min = 1, .version_max = 1, .role = LINK_ROLE_SENDER, .stream = { { 1 } },
                            .oldest = 1, .node = link_string("peer") };

        accept_peer(&o);
        ck_assert_int_eq(frame_put_hello(&output, &hello), 0);
        RUN_UNTIL(peer_eof);
        ck_assert_int_eq(peer_bye, LINK_BYE_PROTOCOL);
        ck_assert_uint_eq(n_hellos, 0);
}
END_TEST

START_TEST(we_end_it_with_a_bye)
{
        OutletOptions o = options();

        accept_peer(&o);
        subscribe();
        RUN_UNTIL(n_connected == 1);
        outlet_end(outlet, LINK_BYE_ENDING, "stopping", false);
        RUN_UNTIL(peer_eof);
        ck_assert_int_eq(peer_bye, LINK_BYE_ENDING);
        peer_close();
        RUN_UNTIL(n_ended == 1);
        ck_assert_int_eq(trouble, OUTLET_OK);
}
END_TEST

/* --- Those that only read --- */

START_TEST(what_is_read_is_acked)
{
        OutletOptions o = text_options();

        array_append(&source, 2, 7);
        accept_peer(&o);
        ck_assert_uint_eq(n_connected, 1);
        run_some(LOOKED_USEC);
        ck_assert_uint_eq(acked, 0);
        expect_text("1-7\n2-7\n");
        RUN_UNTIL_SILENT(acked == 2);
        array_append(&source, 1, 7);
        outlet_wake(outlet);
        run_some(LOOKED_USEC);
        ck_assert_uint_eq(acked, 2);
        expect_text("3-7\n");
        RUN_UNTIL_SILENT(acked == 3);
        ck_assert_uint_eq(source.released, 3);
}
END_TEST

/* A reader has nothing to say: it may close that side, or fill it up, and still reads. */
START_TEST(what_a_reader_says_is_nothing)
{
        OutletOptions o = text_options();
        char nonsense[4096] = "AR\1";

        accept_peer(&o);
        while (send(peer_fd, nonsense, sizeof nonsense, MSG_DONTWAIT) > 0)
                ;
        run_some(50 * USEC_PER_MSEC);
        ck_assert_int_eq(shutdown(peer_fd, SHUT_WR), 0);
        run_some(50 * USEC_PER_MSEC);
        array_append(&source, 2, 7);
        outlet_wake(outlet);
        expect_text("1-7\n2-7\n");
        RUN_UNTIL_SILENT(acked == 2);
        ck_assert_uint_eq(n_disconnected, 0);
}
END_TEST

START_TEST(a_reader_that_goes_is_noticed)
{
        OutletOptions o = text_options();

        accept_peer(&o);
        run_some(50 * USEC_PER_MSEC);
        peer_close();
        RUN_UNTIL_SILENT(n_ended == 1);
        ck_assert_int_eq(trouble, OUTLET_E_NETWORK);
}
END_TEST

/* What was in its socket when it went is sent to the next one. */
START_TEST(what_was_not_read_comes_again)
{
        OutletOptions o = text_options();

        array_append(&source, 1, 7);
        ck_assert_int_eq(outlet_new(event, &o, &outlet), 0);
        RUN_UNTIL_SILENT(n_opens == 1);
        expect_text("1-7\n");
        RUN_UNTIL_SILENT(acked == 1);
        array_append(&source, 1, 7);
        outlet_wake(outlet);
        run_some(LOOKED_USEC);
        peer_fd = close_fd(peer_fd);
        RUN_UNTIL_SILENT(n_opens == 2);
        ck_assert_uint_eq(acked, 1);
        expect_text("2-7\n");
        RUN_UNTIL_SILENT(acked == 2);
        ck_assert_uint_eq(n_disconnected, 1);
}
END_TEST

/* The kernel forgets what a dead reader had unread: that looks like reading. */
START_TEST(the_dead_do_not_read)
{
        enum { BATCHES = 10, RECORDS = 1500 }; /* more than is put between two looks */
        OutletOptions o = text_options();

        array_append(&source, 1, 7);
        ck_assert_int_eq(outlet_new(event, &o, &outlet), 0);
        RUN_UNTIL_SILENT(n_opens == 1);
        expect_text("1-7\n");
        RUN_UNTIL_SILENT(acked == 1);
        array_append(&source, 1, 7);
        outlet_wake(outlet);
        peer_fd = close_fd(peer_fd);
        for (unsigned i = 0; i < BATCHES; i++)
                array_append(&source, RECORDS, 7);
        outlet_wake(outlet);
        ck_assert_uint_eq(acked, 1);
        ck_assert_uint_eq(source.released, 1);
}
END_TEST

START_TEST(a_reader_that_is_slow_gets_all)
{
        enum { BATCHES = 4000, RECORDS = 30 };
        OutletOptions o = text_options();
        Buffer data = BUFFER_INIT(LINK_FRAME_MAX);
        uint64_t expected = 1;

        for (unsigned i = 0; i < BATCHES; i++)
                array_append(&source, RECORDS, 7);
        accept_peer(&o);
        while (expected <= BATCHES * RECORDS) {
                uint8_t *space = buffer_reserve(&data, 3000), *newline;
                ssize_t n;

                ck_assert_int_ge(sd_event_run(event, 1000), 0);
                n = recv(peer_fd, space, 3000, MSG_DONTWAIT);
                buffer_extend(&data, n > 0 ? (size_t) n : 0);
                while (buffer_size(&data) > 0 &&
                       (newline = memchr(buffer_head(&data), '\n', buffer_size(&data)))) {
                        char line[32];

                        (void) snprintf(line, sizeof line, "%lu-7\n", (unsigned long) expected++);
                        n = newline + 1 - buffer_head(&data);
                        ck_assert_int_eq(n, strlen(line));
                        ck_assert_int_eq(memcmp(buffer_head(&data), line, strlen(line)), 0);
                        buffer_consume(&data, strlen(line));
                }
        }
        buffer_done(&data);
        RUN_UNTIL_SILENT(acked == BATCHES * RECORDS);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("outlet-accept");
        TCase *tcase = tcase_create("link");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_subscriber_gets_what_it_asks_for);
        tcase_add_test(tcase, from_now_on);
        tcase_add_test(tcase, it_ends_with_its_connection);
        tcase_add_test(tcase, refused_it_is_told_why);
        tcase_add_test(tcase, without_hello_it_is_ended);
        tcase_add_test(tcase, a_subscriber_cannot_send_batches);
        tcase_add_test(tcase, a_sender_is_no_subscriber);
        tcase_add_test(tcase, we_end_it_with_a_bye);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("reading");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, what_is_read_is_acked);
        tcase_add_test(tcase, what_a_reader_says_is_nothing);
        tcase_add_test(tcase, a_reader_that_goes_is_noticed);
        tcase_add_test(tcase, what_was_not_read_comes_again);
        tcase_add_test(tcase, the_dead_do_not_read);
        tcase_add_test(tcase, a_reader_that_is_slow_gets_all);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
