/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "array-source.h"
#include "check-main.h"
#include "fake-sink.h"
#include "link/link-sender.h"
#include "runtime/intake.h"

#include <stdio.h>

#define STREAMS FAKE_SINK_STREAMS
#define WINDOW (1024U * 1024U)
#define NODE "client.example"

/* --- The intake under test, and what its handler was told --- */

static FakeSink fake;
static Intake *intake;
static int blocked_error;
static unsigned n_dirty, n_refused, n_flushes;

static void on_flush(IntakeSession *session)
{
        n_flushes++;
}

static void on_dirty(Intake *i)
{
        n_dirty++;
}

static void on_blocked(Intake *i, int error)
{
        blocked_error = error;
}

static void on_refused(IntakeSession *session, uint32_t n, RecordFault fault)
{
        ck_assert_int_ne(fault, RECORD_OK);
        n_refused += n;
}

static unsigned n_commands, n_replies, n_gone;

static void on_command(IntakeSession *session, const LinkCommand *command)
{
        n_commands++;
}

static void on_reply(IntakeSession *session, const LinkReply *reply)
{
        n_replies++;
}

static void on_gone(IntakeSession *session)
{
        n_gone++;
}

static const IntakeHandler handler = {
        .flush = on_flush,
        .dirty = on_dirty,
        .blocked = on_blocked,
        .refused = on_refused,
};
static const IntakeHandler commanding_handler = {
        .flush = on_flush, .dirty = on_dirty, .gone = on_gone, .command = on_command, .reply = on_reply,
};

static uint64_t fixed_time(void)
{
        return 1700000000 * USEC_PER_SEC;
}

static void make_intake(const IntakeHandler *with)
{
        IntakeOptions options = {
                .sink = &fake.sink,
                .handler = with,
                .name = "collector.example",
                .window = WINDOW,
                .realtime_usec = fixed_time,
        };

        ck_assert_int_eq(intake_new(&options, &intake), 0);
}

static void setup(void)
{
        fake = (FakeSink) { .sink = { sink_position, sink_append }, .room = UINT32_MAX };
        blocked_error = 0;
        n_dirty = n_refused = n_flushes = 0;
        n_commands = n_replies = n_gone = 0;
        make_intake(&handler);
}

static void teardown(void)
{
        intake = intake_free(intake);
}

static bool commit_begin(void)
{
        sink_begin(&fake);
        return intake_commit_begin(intake);
}

static void commit_end(int error)
{
        sink_end(&fake, error);
        intake_commit_end(intake, error);
}

static void commit(void)
{
        (void) commit_begin();
        commit_end(0);
}

/* --- A peer: a session and the frames it sends and gets --- */

typedef struct Peer {
        IntakeSession session;
        Buffer input, output;
        StreamId stream;
        uint64_t sent;
        bool open;
} Peer;

static void feed(Peer *peer)
{
        ssize_t n =
                intake_session_feed(&peer->session, buffer_head(&peer->input), buffer_size(&peer->input));

        ck_assert_int_ge(n, 0);
        buffer_consume(&peer->input, (size_t) n);
}

static void peer_open(Peer *peer, uint8_t stream, const char *owner)
{
        LinkHello hello = {
                .version_min = LINK_VERSION,
                .version_max = LINK_VERSION,
                .role = LINK_ROLE_SENDER,
                .oldest = 1,
                .features = LINK_FEATURE_COMMANDS,
                .node = link_string(NODE),
                .software = link_string("test"),
        };

        *peer = (Peer) {
                .input = BUFFER_INIT(4 * LINK_FRAME_MAX),
                .output = BUFFER_INIT(4 * LINK_FRAME_MAX),
                .open = true,
        };
        memset(peer->stream.bytes, stream, sizeof peer->stream.bytes);
        hello.stream = peer->stream;
        ck_assert_int_eq(
                intake_session_init(&peer->session, intake, &peer->output, owner, NODE, NODE, 0, peer), 0);
        ck_assert_int_eq(frame_put_hello(&peer->input, &hello), 0);
        feed(peer);
}

static void peer_close(Peer *peer)
{
        intake_session_done(&peer->session);
        buffer_done(&peer->input);
        buffer_done(&peer->output);
        peer->open = false;
}

static void peer_put(Peer *peer, BatchReason reason, uint32_t range, uint32_t count, const char *payload)
{
        Batch batch = {
                .first = peer->sent + 1,
                .last = peer->sent + range,
                .count = count,
                .size = (uint32_t) strlen(payload),
                .origin = BATCH_ORIGIN_KERNEL,
                .reason = reason,
                .payload = (const uint8_t *) payload,
        };

        batch_seal(&batch);
        ck_assert_int_eq(frame_put_batch(&peer->input, &batch), 0);
        peer->sent = batch.last;
}

#define LINE "node=" NODE " type=SYSCALL msg=audit(1700000000.123:7): arch=c000003e\n"

static void peer_send(Peer *peer)
{
        peer_put(peer, BATCH_RECORDS, 1, 1, LINE);
        feed(peer);
}

/* Takes the next frame out of the output, which must be of that type. */
static Frame peer_take(Peer *peer, FrameType type)
{
        const char *why = "";
        Frame frame;

        ck_assert_int_eq(frame_decode(buffer_head(&peer->output), buffer_size(&peer->output), &frame, &why),
                         1);
        ck_assert_int_eq(frame.type, type);
        buffer_consume(&peer->output, frame.size);
        return frame;
}

static void assert_silent(Peer *peer)
{
        ck_assert_uint_eq(buffer_size(&peer->output), 0);
}

/* --- Order of HELLO, commit and ACK --- */

START_TEST(acks_once_and_only_after_the_commit)
{
        Peer peer;
        Frame frame;

        peer_open(&peer, 1, "a");
        frame = peer_take(&peer, FRAME_WELCOME);
        ck_assert_uint_eq(frame.welcome.last, 0);
        ck_assert_uint_eq(frame.welcome.credit, WINDOW);
        ck_assert_uint_eq(frame.welcome.name.size, strlen("collector.example"));
        peer_send(&peer);
        peer_send(&peer);
        peer_send(&peer);
        ck_assert_uint_eq(n_dirty, 3);
        ck_assert(commit_begin());
        assert_silent(&peer);
        commit_end(0);
        frame = peer_take(&peer, FRAME_ACK);
        ck_assert_uint_eq(frame.ack.seq, 3);
        ck_assert_uint_eq(frame.ack.credit, WINDOW + peer.session.receiver.bytes_received);
        assert_silent(&peer);
        ck_assert(!commit_begin());
        commit_end(0);
        assert_silent(&peer);
        peer_close(&peer);
}
END_TEST

START_TEST(what_comes_during_a_commit_waits_for_the_next)
{
        uint64_t bytes;
        Peer peer;
        Frame frame;

        peer_open(&peer, 1, "a");
        (void) peer_take(&peer, FRAME_WELCOME);
        peer_send(&peer);
        bytes = peer.session.receiver.bytes_received;
        (void) commit_begin();
        peer_send(&peer);
        commit_end(0);
        frame = peer_take(&peer, FRAME_ACK);
        ck_assert_uint_eq(frame.ack.seq, 1);
        ck_assert_uint_eq(frame.ack.credit, WINDOW + bytes);
        commit();
        frame = peer_take(&peer, FRAME_ACK);
        ck_assert_uint_eq(frame.ack.seq, 2);
        peer_close(&peer);
}
END_TEST

START_TEST(welcome_waits_for_what_a_dead_session_left)
{
        Peer first, second;
        Frame frame;

        peer_open(&first, 1, "a");
        peer_send(&first);
        (void) commit_begin();
        peer_send(&first);
        peer_close(&first);
        peer_open(&second, 1, "a");
        assert_silent(&second);
        ck_assert(intake_session_blocked(&second.session));
        commit_end(0);
        assert_silent(&second); /* seq 2 is still in the open group */
        commit();
        frame = peer_take(&second, FRAME_WELCOME);
        ck_assert_uint_eq(frame.welcome.last, 2);
        ck_assert(!intake_session_blocked(&second.session));
        second.sent = 2;
        peer_send(&second);
        commit();
        ck_assert_uint_eq(peer_take(&second, FRAME_ACK).ack.seq, 3);
        peer_close(&second);
}
END_TEST

START_TEST(a_new_session_takes_the_place_of_the_old)
{
        Peer first, second;

        peer_open(&first, 1, "a");
        (void) peer_take(&first, FRAME_WELCOME);
        peer_open(&second, 1, "a");
        ck_assert_uint_eq(peer_take(&first, FRAME_BYE).bye.code, LINK_BYE_REPLACED);
        (void) peer_take(&second, FRAME_WELCOME);
        peer_close(&first);
        peer_send(&second);
        commit();
        ck_assert_uint_eq(peer_take(&second, FRAME_ACK).ack.seq, 1);
        ck_assert_uint_eq(intake_counters(intake)->replaced, 1);
        peer_close(&second);
}
END_TEST

START_TEST(a_stream_has_one_owner)
{
        Peer first, second, third;

        peer_open(&first, 1, "a");
        peer_open(&second, 1, "b"); /* nothing of it is in the sink yet */
        ck_assert_uint_eq(peer_take(&second, FRAME_BYE).bye.code, LINK_BYE_NODE);
        peer_close(&second);
        peer_send(&first);
        commit();
        peer_close(&first);
        peer_open(&third, 1, "b"); /* known to the sink alone */
        ck_assert_uint_eq(peer_take(&third, FRAME_BYE).bye.code, LINK_BYE_NODE);
        peer_close(&third);
}
END_TEST

START_TEST(heartbeats_are_acked_at_once_unless_something_is_pending)
{
        Peer peer;

        peer_open(&peer, 1, "a");
        (void) peer_take(&peer, FRAME_WELCOME);
        peer_put(&peer, BATCH_RECORDS, 0, 0, "");
        feed(&peer);
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 0);
        ck_assert_uint_eq(n_dirty, 0);
        peer_send(&peer);
        peer_put(&peer, BATCH_RECORDS, 0, 0, "");
        feed(&peer);
        assert_silent(&peer);
        (void) commit_begin();
        peer_put(&peer, BATCH_RECORDS, 0, 0, "");
        feed(&peer);
        assert_silent(&peer);
        commit_end(0);
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 1);
        assert_silent(&peer);
        ck_assert_uint_eq(fake.batches, 1);
        /* The sink hears that the stream lives. */
        ck_assert_uint_eq(fake.beats, 3);
        peer_close(&peer);
}
END_TEST

/* --- A sink in trouble --- */

START_TEST(a_failed_commit_steps_all_streams_back)
{
        Peer a, b, again;

        peer_open(&a, 1, "a");
        peer_open(&b, 2, "b");
        (void) peer_take(&a, FRAME_WELCOME);
        (void) peer_take(&b, FRAME_WELCOME);
        peer_send(&a);
        commit();
        (void) peer_take(&a, FRAME_ACK);
        peer_send(&a);
        (void) commit_begin();
        peer_send(&b);
        commit_end(-EIO);
        ck_assert_uint_eq(peer_take(&a, FRAME_BYE).bye.code, LINK_BYE_RESUME);
        ck_assert_uint_eq(peer_take(&b, FRAME_BYE).bye.code, LINK_BYE_RESUME);
        peer_close(&a);
        peer_close(&b);
        peer_open(&again, 1, "a");
        ck_assert_uint_eq(peer_take(&again, FRAME_WELCOME).welcome.last, 1);
        peer_close(&again);
        ck_assert_uint_eq(intake_counters(intake)->resumed, 1);
}
END_TEST

START_TEST(a_full_group_stalls_until_the_commit_begins)
{
        Peer peer;

        peer_open(&peer, 1, "a");
        (void) peer_take(&peer, FRAME_WELCOME);
        fake.room = 1;
        peer_send(&peer);
        peer_send(&peer);
        ck_assert(intake_session_blocked(&peer.session));
        ck_assert_uint_gt(buffer_size(&peer.input), 0);
        ck_assert_int_eq(blocked_error, 0);
        ck_assert_uint_eq(n_dirty, 2);
        n_flushes = 0;
        (void) commit_begin();
        ck_assert_uint_eq(n_flushes, 1);
        ck_assert(!intake_session_blocked(&peer.session));
        feed(&peer);
        commit_end(0);
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 1);
        commit();
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 2);
        peer_close(&peer);
}
END_TEST

START_TEST(without_room_nothing_is_taken_and_nothing_forgotten)
{
        Peer peer, other;

        peer_open(&peer, 1, "a");
        peer_open(&other, 2, "b");
        (void) peer_take(&peer, FRAME_WELCOME);
        (void) peer_take(&other, FRAME_WELCOME);
        peer_send(&peer);
        fake.error = -ENOSPC;
        peer_send(&peer);
        ck_assert_int_eq(blocked_error, -ENOSPC);
        blocked_error = 0;
        peer_send(&other); /* the sink is not even asked */
        ck_assert_int_eq(blocked_error, 0);
        ck_assert(intake_session_blocked(&other.session));
        commit();
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 1);
        intake_remind(intake);
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 1);
        ck_assert_uint_eq(peer_take(&other, FRAME_ACK).ack.seq, 0);
        fake.error = 0;
        intake_retry(intake);
        feed(&peer);
        feed(&other);
        commit();
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 2);
        ck_assert_uint_eq(peer_take(&other, FRAME_ACK).ack.seq, 1);
        peer_close(&peer);
        peer_close(&other);
}
END_TEST

START_TEST(a_failed_append_is_followed_by_a_step_back)
{
        Peer peer;

        peer_open(&peer, 1, "a");
        (void) peer_take(&peer, FRAME_WELCOME);
        fake.error = -EIO;
        peer_send(&peer);
        ck_assert_int_eq(blocked_error, -EIO);
        fake.error = 0;
        feed(&peer); /* nothing before the step back */
        ck_assert_uint_eq(fake.batches, 0);
        commit_end(-EIO);
        ck_assert_uint_eq(peer_take(&peer, FRAME_BYE).bye.code, LINK_BYE_RESUME);
        peer_close(&peer);
        peer_open(&peer, 1, "a");
        (void) peer_take(&peer, FRAME_WELCOME);
        peer_send(&peer);
        ck_assert_uint_eq(fake.batches, 1);
        peer_close(&peer);
}
END_TEST

START_TEST(credit_rests_while_held)
{
        uint64_t credit;
        Peer peer;

        peer_open(&peer, 1, "a");
        credit = peer_take(&peer, FRAME_WELCOME).welcome.credit;
        intake_hold(intake, true);
        peer_send(&peer);
        commit();
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.credit, credit);
        intake_hold(intake, false);
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.credit,
                          credit + peer.session.receiver.bytes_received);
        peer_close(&peer);
}
END_TEST

START_TEST(stopped_it_commits_and_acks_but_takes_nothing)
{
        Peer peer;

        peer_open(&peer, 1, "a");
        (void) peer_take(&peer, FRAME_WELCOME);
        peer_send(&peer);
        intake_stop(intake);
        peer_send(&peer);
        commit();
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 1);
        ck_assert_uint_eq(fake.batches, 1);
        /* Also when nothing waits any more. */
        feed(&peer);
        commit();
        assert_silent(&peer);
        ck_assert_uint_eq(peer.session.receiver.received, 1);
        intake_end_all(intake, LINK_BYE_ENDING, 0, "ending");
        ck_assert_uint_eq(peer_take(&peer, FRAME_BYE).bye.code, LINK_BYE_ENDING);
        peer_close(&peer);
}
END_TEST

/* --- Content --- */

START_TEST(bad_content_is_stored_escaped_and_acked)
{
        Peer peer;

        peer_open(&peer, 1, "a");
        (void) peer_take(&peer, FRAME_WELCOME);
        peer_put(&peer, BATCH_RECORDS, 2, 2, LINE "node=other.example type=X msg=audit(1.000:1): x\n");
        feed(&peer);
        ck_assert_uint_eq(n_refused, 1);
        ck_assert_ptr_nonnull(strstr(fake.text, "op=relay-refused"));
        ck_assert_ptr_nonnull(strstr(fake.text, LINE));
        ck_assert_uint_eq(fake.stored.count, 2);
        commit();
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 2);
        ck_assert_uint_eq(intake_counters(intake)->refused, 1);
        peer_close(&peer);
}
END_TEST

START_TEST(what_a_sender_lost_becomes_a_gap_record)
{
        Peer peer;

        peer_open(&peer, 1, "a");
        peer_put(&peer, BATCH_LOST, 1000, 0, "ring-full");
        feed(&peer);
        ck_assert_ptr_nonnull(strstr(fake.text, "op=relay-gap"));
        ck_assert_ptr_nonnull(strstr(fake.text, "reason=ring-full"));
        ck_assert_ptr_nonnull(strstr(fake.text, "lost=1000"));
        ck_assert_uint_eq(fake.stored.reason, BATCH_RECORDS);
        ck_assert_uint_eq(intake_counters(intake)->lost, 1000);
        peer_close(&peer);
}
END_TEST

START_TEST(filtered_records_are_stored_as_records)
{
        Peer peer;

        peer_open(&peer, 1, "a");
        peer_put(&peer, BATCH_FILTERED, 10, 1, LINE);
        feed(&peer);
        ck_assert_uint_eq(fake.stored.reason, BATCH_RECORDS);
        ck_assert_uint_eq(fake.stored.count, 1);
        ck_assert_uint_eq(batch_range(&fake.stored), 1);
        peer_put(&peer, BATCH_FILTERED, 10, 0, "");
        peer_put(&peer, BATCH_CUSTODY, 5, 0, "other.example");
        feed(&peer);
        ck_assert_uint_eq(fake.stored.reason, BATCH_CUSTODY);
        commit();
        (void) peer_take(&peer, FRAME_WELCOME);
        ck_assert_uint_eq(peer_take(&peer, FRAME_ACK).ack.seq, 25);
        peer_close(&peer);
}
END_TEST

START_TEST(commands_go_both_ways)
{
        LinkCommand command = { .id = 3, .timeout_sec = 5, .verb = link_string("x-one") };
        LinkReply reply = { .id = 4, .status = LINK_REPLY_REFUSED };
        Peer peer;

        /* Who has no handler takes none. */
        peer_open(&peer, 1, "owner");
        ck_assert_uint_eq(peer_take(&peer, FRAME_WELCOME).welcome.features, 0);
        peer_close(&peer);
        intake = intake_free(intake);
        make_intake(&commanding_handler);
        peer_open(&peer, 1, "owner");
        ck_assert_uint_eq(peer_take(&peer, FRAME_WELCOME).welcome.features, LINK_FEATURE_COMMANDS);
        ck_assert_int_eq(frame_put_command(&peer.input, &command), 0);
        ck_assert_int_eq(frame_put_reply(&peer.input, &reply), 0);
        feed(&peer);
        ck_assert_uint_eq(n_commands, 1);
        ck_assert_uint_eq(n_replies, 1);
        n_flushes = 0;
        ck_assert_int_eq(intake_session_command(&peer.session, &command), 0);
        ck_assert_int_eq(intake_session_reply(&peer.session, &reply), 0);
        ck_assert_uint_eq(n_flushes, 2);
        ck_assert_uint_eq(peer_take(&peer, FRAME_COMMAND).command.id, 3);
        ck_assert_uint_eq(peer_take(&peer, FRAME_REPLY).reply.id, 4);
        intake_session_end(&peer.session, LINK_BYE_ENDING, 0, "");
        ck_assert_int_eq(intake_session_command(&peer.session, &command), -ENOTCONN);
        ck_assert_int_eq(intake_session_reply(&peer.session, &reply), -ENOTCONN);
        ck_assert_uint_eq(n_gone, 0);
        peer_close(&peer);
        ck_assert_uint_eq(n_gone, 1);
}
END_TEST

START_TEST(an_origin_can_be_forced)
{
        uint8_t header[BATCH_HEADER_SIZE];
        Batch decoded;
        Peer peer;

        peer_open(&peer, 1, "a");
        peer.session.origin = BATCH_ORIGIN_LOCAL;
        peer_send(&peer);
        ck_assert_int_eq(fake.stored.origin, BATCH_ORIGIN_LOCAL);
        batch_encode(&fake.stored, header);
        ck_assert_int_eq(batch_decode(header, &decoded), 0);
        peer_close(&peer);
}
END_TEST

/* --- All together, in a random order: the link's own senders, connections that die, commits that fail --- */

typedef struct Client {
        ArraySource source;
        LinkSender sender;
        Buffer output;
        Peer peer;
        bool connected;
} Client;

static Client clients[STREAMS];

static uint64_t next_random(uint64_t *seed)
{
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        return *seed;
}

static void on_client_acked(LinkSender *sender, uint64_t seq)
{
        Client *client = container_of(sender, Client, sender);

        /* The heart of it: custody is never promised before it is there. */
        ck_assert_uint_le(seq, sink_find(&fake, &client->source.stream)->durable_last);
}

static void on_client_diverged(LinkSender *sender, uint64_t peer_last)
{
        ck_abort_msg("a stream diverged");
}

static void on_client_welcomed(LinkSender *sender, const LinkWelcome *welcome)
{
        on_client_acked(sender, welcome->last);
}

static const LinkSenderHandler client_handler = {
        .welcomed = on_client_welcomed,
        .acked = on_client_acked,
        .diverged = on_client_diverged,
};

static void client_connect(Client *client)
{
        Peer *peer = &client->peer;

        *peer = (Peer) {
                .input = BUFFER_INIT(8 * LINK_FRAME_MAX),
                .output = BUFFER_INIT(8 * LINK_FRAME_MAX),
        };
        ck_assert_int_eq(
                intake_session_init(&peer->session, intake, &peer->output, "owner", NODE, NULL, 0, peer), 0);
        ck_assert_int_eq(link_sender_start(&client->sender, &peer->input, 1), 0);
        client->connected = true;
}

static void client_drop(Client *client)
{
        peer_close(&client->peer);
        client->connected = false;
}

/* Moves bytes both ways. */
static void client_pump(Client *client)
{
        Peer *peer = &client->peer;
        ssize_t n;

        n = link_sender_feed(&client->sender, buffer_head(&peer->output), buffer_size(&peer->output),
                             &peer->input, 1);
        ck_assert_int_ge(n, 0);
        buffer_consume(&peer->output, (size_t) n);
        ck_assert_int_ge(link_sender_fill(&client->sender, &peer->input, 1), 0);
        if (!intake_session_blocked(&peer->session))
                feed(peer);
        if (client->sender.state == LINK_SENDER_ENDED)
                client_drop(client);
}

static void random_step(uint64_t *seed, bool *flying)
{
        Client *client = &clients[next_random(seed) % STREAMS];

        switch (next_random(seed) % 12) {
        case 0:
                if (client->connected)
                        client_drop(client);
                break;
        case 1:
                if (*flying)
                        commit_end(next_random(seed) % 5 == 0 ? -EIO : 0);
                *flying = false;
                break;
        case 2:
                if (!*flying)
                        *flying = commit_begin() || true;
                break;
        case 3:
                fake.room = (unsigned) (next_random(seed) % 4);
                break;
        case 4:
        case 5:
                array_append(&client->source, 1 + (uint32_t) (next_random(seed) % 5), 0);
                break;
        default:
                if (client->connected)
                        client_pump(client);
                else
                        client_connect(client);
        }
}

static void settle(bool flying)
{
        if (flying)
                commit_end(0);
        for (unsigned i = 0; i < 20; i++) {
                for (size_t c = 0; c < STREAMS; c++) {
                        if (!clients[c].connected)
                                client_connect(&clients[c]);
                        client_pump(&clients[c]);
                }
                commit();
        }
}

START_TEST(random_orders_keep_custody)
{
        const char *option = getenv("TEST_SEED");
        uint64_t seed = option ? strtoull(option, NULL, 0)
                               : UINT64_C(0x9e3779b97f4a7c15) * (unsigned) (getpid() + 1);
        bool flying = false;

        printf("# TEST_SEED=%#lx\n", (unsigned long) seed);
        for (size_t i = 0; i < STREAMS; i++) {
                array_init(&clients[i].source, (uint8_t) (i + 1));
                link_sender_init(&clients[i].sender, &clients[i].source.source, &client_handler, NODE, 0);
        }
        for (unsigned i = 0; i < 50000; i++)
                random_step(&seed, &flying);
        settle(flying);
        for (size_t i = 0; i < STREAMS; i++) {
                ck_assert_uint_gt(clients[i].source.newest, 0);
                ck_assert_uint_eq(clients[i].sender.acked, clients[i].source.newest);
                ck_assert_uint_eq(sink_find(&fake, &clients[i].source.stream)->durable_last,
                                  clients[i].source.newest);
                client_drop(&clients[i]);
                link_sender_done(&clients[i].sender);
                array_done(&clients[i].source);
        }
        ck_assert_uint_gt(intake_counters(intake)->resumed, 10);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("intake");
        TCase *tcase = tcase_create("intake");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, acks_once_and_only_after_the_commit);
        tcase_add_test(tcase, what_comes_during_a_commit_waits_for_the_next);
        tcase_add_test(tcase, welcome_waits_for_what_a_dead_session_left);
        tcase_add_test(tcase, a_new_session_takes_the_place_of_the_old);
        tcase_add_test(tcase, a_stream_has_one_owner);
        tcase_add_test(tcase, heartbeats_are_acked_at_once_unless_something_is_pending);
        tcase_add_test(tcase, a_failed_commit_steps_all_streams_back);
        tcase_add_test(tcase, a_full_group_stalls_until_the_commit_begins);
        tcase_add_test(tcase, without_room_nothing_is_taken_and_nothing_forgotten);
        tcase_add_test(tcase, a_failed_append_is_followed_by_a_step_back);
        tcase_add_test(tcase, credit_rests_while_held);
        tcase_add_test(tcase, stopped_it_commits_and_acks_but_takes_nothing);
        tcase_add_test(tcase, bad_content_is_stored_escaped_and_acked);
        tcase_add_test(tcase, what_a_sender_lost_becomes_a_gap_record);
        tcase_add_test(tcase, filtered_records_are_stored_as_records);
        tcase_add_test(tcase, commands_go_both_ways);
        tcase_add_test(tcase, an_origin_can_be_forced);
        tcase_add_test(tcase, random_orders_keep_custody);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
