/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "array-source.h"
#include "check-main.h"
#include "receiver-peer.h"
#include "runtime/loop.h"
#include "runtime/outlet.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

/* Far more than anything here takes; reached only by a failure. */
#define PATIENCE_USEC (20 * USEC_PER_SEC)

static sd_event *event;
static Outlet *outlet;
static ArraySource source;

/* What the outlet's handler was told. */
static unsigned n_opens, n_connected, n_disconnected, n_diverged;
static uint64_t open_usec[64];
static OutletTrouble trouble;
static char why[200];
static uint64_t acked;

/* What open() is to do. */
static int open_error;     /* instead of a socket */
static bool open_refused;  /* a TCP port nobody listens on, and another address after it */

/* The other end. */
typedef enum Answer { ANSWER_WELCOME, ANSWER_BYE, ANSWER_GARBAGE, ANSWER_NOTHING } Answer;

static Answer answer;
static uint64_t welcome_last, welcome_checksum;
static bool peer_acks;
static LinkByeCode peer_bye; /* what it heard, or _LINK_BYE_MAX */
static uint16_t peer_features;
static uint64_t peer_asked, peer_told; /* ids of the last COMMAND and REPLY it heard */

static void on_hello(LinkReceiver *r, const LinkHello *hello)
{
        static const uint8_t garbage[64] = "HTTP/1.0 400 Bad Request";

        if (answer == ANSWER_WELCOME)
                ck_assert_int_eq(
                        link_receiver_welcome(r, &output, welcome_last, welcome_checksum, "peer", ""), 0);
        else if (answer == ANSWER_BYE)
                ck_assert_int_eq(
                        link_receiver_end(r, &output, LINK_BYE_NODE, 0, "your name is \"mud\" here"), 0);
        else if (answer == ANSWER_GARBAGE)
                ck_assert_int_eq(buffer_append(&output, garbage, sizeof garbage), 0);
}

static int on_batch(LinkReceiver *r, const Batch *batch)
{
        return peer_acks ? link_receiver_ack(r, &output, batch->last, r->bytes_received) : 0;
}

static void on_bye(LinkReceiver *r, const LinkBye *bye)
{
        peer_bye = bye->code;
}

static void on_peer_command(LinkReceiver *r, const LinkCommand *command)
{
        peer_asked = command->id;
}

static void on_peer_reply(LinkReceiver *r, const LinkReply *reply)
{
        peer_told = reply->id;
}

static const LinkReceiverHandler peer_handler = {
        .hello = on_hello,
        .batch = on_batch,
        .command = on_peer_command,
        .reply = on_peer_reply,
        .bye = on_bye,
};

/* Reads, answers, and hangs up when it has said or heard BYE, or EOF. */
static void peer_pump(void)
{
        if (peer_fd < 0)
                return;
        if (peer_exchange() == 0 || (receiver.state == LINK_RECEIVER_ENDED && buffer_size(&output) == 0))
                peer_close();
}

/* --- The outlet's handler --- */

static int refused_socket(void)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
        socklen_t size = sizeof address;
        int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

        /* Bound but not listening: nobody else can take the port meanwhile. */
        ck_assert_int_eq(bind(listener, (struct sockaddr *) &address, size), 0);
        ck_assert_int_eq(getsockname(listener, (struct sockaddr *) &address, &size), 0);
        ck_assert(connect(fd, (struct sockaddr *) &address, size) < 0);
        close_fd(listener);
        return fd;
}

static int on_open(Outlet *o, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        int pair[2];

        ck_assert_uint_lt(n_opens, ELEMENTSOF(open_usec));
        open_usec[n_opens++] = monotonic_usec();
        outlet_name_peer(o, "somewhere");
        if (open_error < 0)
                return open_error;
        if (open_refused && n_opens == 1) {
                *ret_fd = refused_socket();
                return 0;
        }
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        *ret_fd = pair[0];
        peer_open(pair[1], &peer_handler, peer_features);
        return 0;
}

static bool on_another(Outlet *o)
{
        return open_refused && n_opens == 1;
}

static void on_connected(Outlet *o, const LinkWelcome *welcome)
{
        n_connected++;
}

static void on_disconnected(Outlet *o, OutletTrouble t, const char *text)
{
        n_disconnected++;
        trouble = t;
        (void) snprintf(why, sizeof why, "%s", text);
}

static void on_acked(Outlet *o, uint64_t seq)
{
        acked = seq;
}

static void on_diverged(Outlet *o, uint64_t peer_last)
{
        n_diverged++;
        memset(source.stream.bytes, 99, sizeof source.stream.bytes);
        welcome_last = welcome_checksum = 0;
}

static uint64_t asked, told; /* ids of the last COMMAND and REPLY */

static void on_command(Outlet *o, const LinkCommand *command)
{
        LinkReply reply = { .id = command->id };

        asked = command->id;
        ck_assert_int_eq(outlet_reply(o, &reply), 0);
}

static void on_reply(Outlet *o, const LinkReply *reply)
{
        told = reply->id;
}

static const OutletHandler handler = {
        .open = on_open,
        .another = on_another,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .acked = on_acked,
        .diverged = on_diverged,
};
static const OutletHandler commanding_handler = {
        .open = on_open,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .command = on_command,
        .reply = on_reply,
};

/* --- Running --- */

static OutletOptions options(void)
{
        return (OutletOptions) {
                .source = &source.source,
                .handler = &handler,
                .node = "here.example",
                .connect_usec = PATIENCE_USEC,
                .timeout_usec = PATIENCE_USEC,
                .backoff_min_usec = 10 * USEC_PER_MSEC,
                .backoff_max_usec = 40 * USEC_PER_MSEC,
        };
}

static void start(const OutletOptions *o)
{
        ck_assert_int_eq(outlet_new(event, o, &outlet), 0);
}

#define RUN_UNTIL(condition)                                                  \
        do {                                                                  \
                uint64_t _end = monotonic_usec() + PATIENCE_USEC;             \
                while (!(condition)) {                                        \
                        ck_assert_uint_lt(monotonic_usec(), _end);            \
                        ck_assert_int_ge(sd_event_run(event, 1000), 0);       \
                        peer_pump();                                          \
                }                                                             \
        } while (false)

static void setup(void)
{
        ck_assert_int_ge(sd_event_new(&event), 0);
        array_init(&source, 1);
        n_opens = n_connected = n_disconnected = n_diverged = 0;
        open_error = 0;
        open_refused = false;
        answer = ANSWER_WELCOME;
        welcome_last = welcome_checksum = acked = 0;
        peer_acks = true;
        peer_bye = _LINK_BYE_MAX;
        peer_features = LINK_FEATURE_COMMANDS;
        peer_asked = peer_told = asked = told = 0;
}

static void teardown(void)
{
        outlet = outlet_free(outlet);
        peer_close();
        array_done(&source);
        event = sd_event_unref(event);
}

/* --- Tests --- */

START_TEST(delivers_what_there_is_and_what_comes)
{
        OutletOptions o = options();

        for (unsigned i = 0; i < 50; i++)
                array_append(&source, 3, i);
        start(&o);
        RUN_UNTIL(acked == 150);
        ck_assert(outlet_connected(outlet));
        array_append(&source, 1, 0);
        outlet_wake(outlet);
        RUN_UNTIL(acked == 151);
        ck_assert_uint_eq(source.released, 151);
        ck_assert_uint_eq(n_opens, 1);
        ck_assert_uint_eq(n_disconnected, 0);
}
END_TEST

START_TEST(comes_back_and_resumes)
{
        OutletOptions o = options();

        array_append(&source, 3, 0);
        start(&o);
        RUN_UNTIL(acked == 3);
        welcome_last = 3;
        welcome_checksum = source.batches[0].batch.checksum;
        array_append(&source, 4, 0);
        peer_close();
        RUN_UNTIL(acked == 7);
        ck_assert_uint_eq(n_connected, 2);
        ck_assert_uint_eq(n_disconnected, 1);
        ck_assert_int_eq(trouble, OUTLET_E_NETWORK);
}
END_TEST

START_TEST(a_refusal_is_told_verbatim)
{
        OutletOptions o = options();

        answer = ANSWER_BYE;
        start(&o);
        RUN_UNTIL(n_disconnected == 1);
        ck_assert_int_eq(trouble, OUTLET_E_REFUSED);
        ck_assert_str_eq(why, "your name is \"mud\" here");
        ck_assert_uint_eq(n_connected, 0);
}
END_TEST

START_TEST(only_welcome_resets_the_backoff)
{
        OutletOptions o = options();

        answer = ANSWER_BYE;
        start(&o);
        RUN_UNTIL(n_opens == 6);
        /* Jitter takes a half at most; how much later than that it is, depends on the machine. */
        ck_assert_uint_ge(open_usec[1] - open_usec[0], 5 * USEC_PER_MSEC);
        ck_assert_uint_ge(open_usec[2] - open_usec[1], 10 * USEC_PER_MSEC);
        ck_assert_uint_ge(open_usec[3] - open_usec[2], 20 * USEC_PER_MSEC);
        ck_assert_uint_ge(open_usec[4] - open_usec[3], 20 * USEC_PER_MSEC);
}
END_TEST

START_TEST(a_silent_peer_is_given_up)
{
        OutletOptions o = options();

        o.timeout_usec = 50 * USEC_PER_MSEC;
        peer_acks = false;
        array_append(&source, 1, 0);
        start(&o);
        RUN_UNTIL(n_disconnected == 1);
        ck_assert_int_eq(trouble, OUTLET_E_TIMEOUT);
        RUN_UNTIL(peer_bye == LINK_BYE_TIMEOUT);
}
END_TEST

START_TEST(a_peer_that_never_answers_is_given_up)
{
        OutletOptions o = options();

        o.connect_usec = 50 * USEC_PER_MSEC;
        answer = ANSWER_NOTHING;
        start(&o);
        RUN_UNTIL(n_disconnected == 1);
        ck_assert_int_eq(trouble, OUTLET_E_TIMEOUT);
        ck_assert_uint_eq(n_connected, 0);
}
END_TEST

START_TEST(bad_framing_ends_the_session)
{
        OutletOptions o = options();

        answer = ANSWER_GARBAGE;
        start(&o);
        RUN_UNTIL(n_disconnected == 1);
        ck_assert_int_eq(trouble, OUTLET_E_PROTOCOL);
}
END_TEST

START_TEST(an_idle_outlet_waits_for_its_source)
{
        OutletOptions o = options();

        o.idle = true;
        start(&o);
        for (unsigned i = 0; i < 20; i++)
                ck_assert_int_ge(sd_event_run(event, 1000), 0);
        ck_assert_uint_eq(n_opens, 0);
        outlet_wake(outlet);
        ck_assert_int_ge(sd_event_run(event, 1000), 0);
        ck_assert_uint_eq(n_opens, 0);
        array_append(&source, 2, 0);
        outlet_wake(outlet);
        RUN_UNTIL(acked == 2);
}
END_TEST

START_TEST(another_address_is_tried_at_once)
{
        OutletOptions o = options();

        o.backoff_min_usec = o.backoff_max_usec = 10 * PATIENCE_USEC;
        open_refused = true;
        array_append(&source, 1, 0);
        start(&o);
        RUN_UNTIL(acked == 1);
        ck_assert_uint_eq(n_opens, 2);
        ck_assert_uint_eq(n_disconnected, 1);
}
END_TEST

START_TEST(after_divergence_the_new_stream_goes_out)
{
        OutletOptions o = options();

        array_append(&source, 2, 0);
        welcome_last = 2;
        welcome_checksum = source.batches[0].batch.checksum ^ 1;
        start(&o);
        RUN_UNTIL(acked == 2);
        ck_assert_uint_eq(n_diverged, 1);
        ck_assert_uint_eq(n_opens, 2);
        ck_assert_int_eq(trouble, OUTLET_OK);
}
END_TEST

START_TEST(open_may_take_its_time)
{
        OutletOptions o = options();
        int pair[2];

        open_error = -EINPROGRESS;
        array_append(&source, 1, 0);
        start(&o);
        RUN_UNTIL(n_opens == 1);
        outlet_offer(outlet, -EBADF, NULL, -EHOSTUNREACH, "no such name");
        ck_assert_uint_eq(n_disconnected, 1);
        ck_assert_int_eq(trouble, OUTLET_E_NETWORK);
        ck_assert_str_eq(why, "no such name");
        ck_assert_str_eq(outlet_peer(outlet), "somewhere");
        RUN_UNTIL(n_opens == 2);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        peer_open(pair[1], &peer_handler, peer_features);
        outlet_offer(outlet, pair[0], NULL, 0, NULL);
        RUN_UNTIL(acked == 1);
        /* Too late: not its phase any more. */
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        outlet_offer(outlet, pair[0], NULL, 0, NULL);
        ck_assert_int_lt(fcntl(pair[0], F_GETFD), 0);
        close_fd(pair[1]);
        ck_assert(outlet_connected(outlet));
}
END_TEST

START_TEST(commands_go_both_ways)
{
        OutletOptions o = options();
        LinkCommand command = { .id = 41, .timeout_sec = 5, .verb = link_string("x-one") };

        o.handler = &commanding_handler;
        start(&o);
        ck_assert_int_eq(outlet_command(outlet, &command), -ENOTCONN);
        RUN_UNTIL(n_connected == 1);
        ck_assert(outlet_commands(outlet));
        ck_assert_int_eq(outlet_command(outlet, &command), 0);
        RUN_UNTIL(peer_asked == 41);
        ck_assert_int_eq(frame_put_reply(&output, &(LinkReply) { .id = 41 }), 0);
        RUN_UNTIL(told == 41);
        command.id = 42;
        ck_assert_int_eq(frame_put_command(&output, &command), 0);
        RUN_UNTIL(asked == 42 && peer_told == 42);
}
END_TEST

/* Of the peer, or of the owner, who has no handler for them. */
START_TEST(commands_are_the_wish_of_both)
{
        OutletOptions o = options();

        if (_i == 0)
                o.handler = &commanding_handler;
        peer_features = _i == 0 ? 0 : LINK_FEATURE_COMMANDS;
        start(&o);
        RUN_UNTIL(n_connected == 1);
        ck_assert(!outlet_commands(outlet));
        ck_assert_int_eq(outlet_command(outlet, &(LinkCommand) { .verb = link_string("x-one") }), -ENOTCONN);
        ck_assert_int_eq(outlet_reply(outlet, &(LinkReply) { .id = 1 }), -ENOTCONN);
}
END_TEST

/* To a peer that offers it and to one that does not; only where it is wanted. A Unix peer is no loopback address. */
START_TEST(compresses_where_both_want_it)
{
        OutletOptions o = options();
        bool wanted = _i & 1, taken = _i & 2;

        if (_i >= 4)
                o.compress = OUTLET_COMPRESS_AUTO;
        else
                o.compress = wanted ? OUTLET_COMPRESS_YES : OUTLET_COMPRESS_NO;
        wanted |= _i >= 4;
        peer_features = taken ? LINK_FEATURE_ZSTD : 0;
        array_append(&source, 100, 0);
        start(&o);
        RUN_UNTIL(acked == 100);
        ck_assert_int_eq(outlet_sender(outlet)->bytes_sent < source.batches[0].batch.size, wanted && taken);
        ck_assert_uint_eq(receiver.bytes_received, outlet_sender(outlet)->bytes_sent);
}
END_TEST

START_TEST(ended_for_good_it_stays_so)
{
        OutletOptions o = options();

        array_append(&source, 1, 0);
        start(&o);
        RUN_UNTIL(acked == 1);
        outlet_end(outlet, LINK_BYE_ENDING, "stopping", false);
        RUN_UNTIL(n_disconnected == 1);
        ck_assert_int_eq(trouble, OUTLET_OK);
        ck_assert_int_eq(peer_bye, LINK_BYE_ENDING);
        for (unsigned i = 0; i < 100; i++)
                ck_assert_int_ge(sd_event_run(event, 1000), 0);
        ck_assert_uint_eq(n_opens, 1);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("outlet");
        TCase *tcase = tcase_create("outlet");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, delivers_what_there_is_and_what_comes);
        tcase_add_test(tcase, comes_back_and_resumes);
        tcase_add_test(tcase, a_refusal_is_told_verbatim);
        tcase_add_test(tcase, only_welcome_resets_the_backoff);
        tcase_add_test(tcase, a_silent_peer_is_given_up);
        tcase_add_test(tcase, a_peer_that_never_answers_is_given_up);
        tcase_add_test(tcase, bad_framing_ends_the_session);
        tcase_add_test(tcase, an_idle_outlet_waits_for_its_source);
        tcase_add_test(tcase, another_address_is_tried_at_once);
        tcase_add_test(tcase, after_divergence_the_new_stream_goes_out);
        tcase_add_test(tcase, open_may_take_its_time);
        tcase_add_test(tcase, commands_go_both_ways);
        tcase_add_loop_test(tcase, commands_are_the_wish_of_both, 0, 2);
        tcase_add_loop_test(tcase, compresses_where_both_want_it, 0, 8);
        tcase_add_test(tcase, ended_for_good_it_stays_so);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
