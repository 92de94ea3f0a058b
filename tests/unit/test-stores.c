/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The aggregator's stores on a real directory, with peers that are sessions of their intakes: who waits for what, and what one of
 * them costs the others.
 */

#include "check-main.h"
#include "aggregator/stores-private.h"
#include "capture.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#define WINDOW (1024U * 1024U)
/* Turns of the loop that anything here may take; each waits for as long. */
#define TURNS 400U
#define TURN_USEC (50 * USEC_PER_MSEC)

static char directory[64], log_directory[80];
static Capture capture;
static State *state;
static sd_event *event;
static StoresOptions options;
static Stores *stores;
static bool finished;

static void flush(IntakeSession *session)
{
}

static const IntakeHandler intake_handler = { .flush = flush };
static const StoreLoopHandler store_handler = { 0 };

static void setup(void)
{
        scratch_make(directory);
        (void) snprintf(log_directory, sizeof log_directory, "%s/log", directory);
        capture_begin(&capture);
        log_init("test", LOG_INFO);
        ck_assert_int_eq(state_new(directory, "aggregator", &state), 0);
        ck_assert_int_ge(sd_event_new(&event), 0);
        finished = false;
        options = (StoresOptions) {
                .store = {
                        .directory = log_directory,
                        .store = { .segment_size_max = 1024 * 1024, .links = true },
                        .state = state,
                        .conditions = { "disk_low", "disk_full", "disk_error", "store_damaged", NULL, "node_low",
                                        "node_full" },
                        .node = "Collector",
                        .name = "Collector",
                        .intake = &intake_handler,
                        .window = WINDOW,
                        .handler = &store_handler,
                },
                .by_node = true,
                .own = "Collector",
                .node_use_blocks = true,
                .idle_usec = STORES_IDLE_USEC,
        };
}

static void teardown(void)
{
        stores = stores_free(stores);
        state = state_free(state);
        event = sd_event_unref(event);
        (void) capture_end(&capture);
        scratch_remove(directory);
}

static void open_stores(void)
{
        ck_assert_int_eq(stores_new(event, &options, &stores), 0);
}

static bool turn(void)
{
        int r = sd_event_run(event, TURN_USEC);

        ck_assert_int_ge(r, 0);
        return r > 0;
}

#define until(condition)                                                                                              \
        do {                                                                                                          \
                for (unsigned turns = 0; !(condition); turns++) {                                                     \
                        ck_assert_msg(turns < TURNS, "never: " #condition);                                           \
                        (void) turn();                                                                                \
                }                                                                                                     \
        } while (0)

/* All that is on its way has arrived; timers apart. */
static void settle(void)
{
        while (sd_event_run(event, 0) > 0)
                ;
}

static void on_finished(void *userdata)
{
        finished = true;
}

static void close_stores(void)
{
        finished = false;
        stores_finish(stores, on_finished, NULL);
        until(finished);
        stores = stores_free(stores);
}

static const char *path_of(const char *node, const char *name)
{
        static char path[256];

        (void) snprintf(path, sizeof path, "%.80s/%.60s/%.60s", log_directory, node, name);
        return path;
}

static bool holds(const char *condition)
{
        return state_holds(state, condition);
}

/* --- Peers --- */

typedef struct Peer {
        IntakeSession session;
        Buffer input, output;
        StreamId stream;
        uint64_t sent, acked, last; /* last: as WELCOME said */
        uint64_t checksum;
        bool welcomed;
        unsigned bye;
} Peer;

static void feed(Peer *peer)
{
        ssize_t n = intake_session_feed(&peer->session, buffer_head(&peer->input), buffer_size(&peer->input));

        ck_assert_int_ge(n, 0);
        buffer_consume(&peer->input, (size_t) n);
}

/* Takes what was said to it. */
static void listen_to(Peer *peer)
{
        const char *why = "";
        Frame frame;

        while (frame_decode(buffer_head(&peer->output), buffer_size(&peer->output), &frame, &why) == 1) {
                if (frame.type == FRAME_WELCOME) {
                        peer->welcomed = true;
                        peer->last = peer->sent = peer->acked = frame.welcome.last;
                        peer->checksum = frame.welcome.checksum;
                } else if (frame.type == FRAME_ACK) {
                        peer->acked = frame.ack.seq;
                } else if (frame.type == FRAME_BYE) {
                        peer->bye = frame.bye.code + 1;
                }
                buffer_consume(&peer->output, frame.size);
        }
        if (peer->session.intake && !intake_session_blocked(&peer->session) && buffer_size(&peer->input) > 0)
                feed(peer);
}

static void connect_peer(Peer *peer, const char *node, uint8_t stream)
{
        LinkHello hello = {
                .version_min = LINK_VERSION,
                .version_max = LINK_VERSION,
                .role = LINK_ROLE_SENDER,
                .oldest = 1,
                .node = link_string(node),
                .software = link_string("test"),
        };

        *peer = (Peer) { .input = BUFFER_INIT(4 * LINK_FRAME_MAX), .output = BUFFER_INIT(4 * LINK_FRAME_MAX) };
        memset(peer->stream.bytes, stream, sizeof peer->stream.bytes);
        hello.stream = peer->stream;
        ck_assert_int_eq(intake_session_init(&peer->session, stores_intake(stores), &peer->output, node, node, node, 0,
                                             peer), 0);
        ck_assert_int_eq(frame_put_hello(&peer->input, &hello), 0);
        feed(peer);
}

static bool welcomed(Peer *peer)
{
        listen_to(peer);
        return peer->welcomed;
}

static bool acked(Peer *peer)
{
        listen_to(peer);
        return peer->acked == peer->sent;
}

static bool sent_away(Peer *peer)
{
        listen_to(peer);
        return peer->bye != 0;
}

static void leave(Peer *peer)
{
        intake_session_done(&peer->session);
        buffer_done(&peer->input);
        buffer_done(&peer->output);
}

static void open_peer(Peer *peer, const char *node, uint8_t stream)
{
        connect_peer(peer, node, stream);
        until(welcomed(peer));
}

static const char *line_of(const Peer *peer, uint64_t seq, size_t size, char *ret)
{
        int n = snprintf(ret, size, "node=%s type=SYSCALL msg=audit(1700000000.123:%llu): ", peer->session.owner,
                         (unsigned long long) seq);

        memset(ret + n, 'x', size - (size_t) n - 2);
        strcpy(ret + size - 2, "\n");
        return ret;
}

/* One batch of one line of that size. */
static void put(Peer *peer, size_t size)
{
        char line[8192];
        Batch batch = {
                .first = peer->sent + 1,
                .last = peer->sent + 1,
                .count = 1,
                .origin = BATCH_ORIGIN_KERNEL,
                .payload = (const uint8_t *) line_of(peer, peer->sent + 1, size + 1, line),
        };

        batch.size = (uint32_t) strlen(line);
        batch_seal(&batch);
        peer->sent++;
        ck_assert_int_eq(frame_put_batch(&peer->input, &batch), 0);
        feed(peer);
}

static void deliver(Peer *peer, unsigned n)
{
        while (n-- > 0)
                put(peer, 100);
        until(acked(peer));
}

/* The store has this peer's lines from..to and nothing else. */
static void assert_text(const Peer *peer, const char *place, uint64_t from, uint64_t to)
{
        char expected[8192], found[8192];
        FILE *file = fopen(path_of(place, "audit.log"), "re");

        ck_assert_ptr_nonnull(file);
        for (; from <= to; from++) {
                ck_assert_ptr_nonnull(fgets(found, sizeof found, file));
                ck_assert_str_eq(found, line_of(peer, from, 101, expected));
        }
        ck_assert_ptr_null(fgets(found, sizeof found, file));
        (void) fclose(file);
}

static bool is_open(const char *node)
{
        const NodeStore *found = stores_find(stores, node);

        return found && found->state == NODE_OPEN;
}

static bool is_closed(const char *node)
{
        stores_tick(stores);
        return stores_find(stores, node)->state == NODE_CLOSED;
}

/* --- Who goes where --- */

START_TEST(each_node_has_a_store_of_its_own)
{
        Peer a, b, again;

        open_stores();
        connect_peer(&a, "a.example", 1);
        connect_peer(&b, "B.example", 2);
        /* Their stores are being opened. */
        ck_assert(!welcomed(&a) && intake_session_blocked(&a.session));
        ck_assert(!welcomed(&b) && intake_session_blocked(&b.session));
        until(welcomed(&a) && welcomed(&b));
        ck_assert_uint_eq(a.last, 0);
        deliver(&a, 3);
        deliver(&b, 2);
        assert_text(&a, "a.example", 1, 3);
        assert_text(&b, "b.example", 1, 2);
        /* What is open costs no wait. */
        connect_peer(&again, "a.example", 1);
        ck_assert(welcomed(&again));
        ck_assert_uint_eq(again.last, 3);
        listen_to(&a);
        ck_assert_uint_eq(a.bye, LINK_BYE_REPLACED + 1);
        leave(&again);
        leave(&a);
        leave(&b);
        close_stores();

        open_stores();
        open_peer(&a, "a.example", 1);
        ck_assert_uint_eq(a.last, 3);
        leave(&a);
}
END_TEST

START_TEST(blended_is_one_store_that_waits_for_nobody)
{
        Peer a, b;

        options.by_node = false;
        open_stores();
        connect_peer(&a, "a.example", 1);
        ck_assert(welcomed(&a));
        connect_peer(&b, "b.example", 2);
        ck_assert(welcomed(&b));
        deliver(&a, 1);
        deliver(&b, 1);
        ck_assert_ptr_eq(stores_of(&a.session), stores_own(stores));
        ck_assert_ptr_eq(stores_of(&b.session), stores_own(stores));
        stores_tick(stores);
        leave(&a);
        leave(&b);
        close_stores();
}
END_TEST

static const char *const names_of_files[] = { ".", "..", ".hidden", "audit.log", "AUDIT.LOG", "ausearch", "ausearch.0",
                                              "new.idx", "new.zst", "00000000000000000001.log" };

START_TEST(a_name_of_the_store_s_own_files_is_refused)
{
        Peer peer;

        ck_assert(!stores_name_is_free(names_of_files[_i]));
        open_stores();
        connect_peer(&peer, names_of_files[_i], 1);
        ck_assert(sent_away(&peer));
        ck_assert_uint_eq(peer.bye, LINK_BYE_NODE + 1);
        leave(&peer);
        ck_assert_ptr_null(stores_find(stores, names_of_files[_i]));
}
END_TEST

START_TEST(names_that_only_look_like_files_are_taken)
{
        static const char *const free_names[] = { "audit.log.example", "ausearcher", "new.example", "1.log", "a:b", "-" };

        for (size_t i = 0; i < ELEMENTSOF(free_names); i++)
                ck_assert(stores_name_is_free(free_names[i]));
}
END_TEST

/* --- Open and closed --- */

START_TEST(no_more_stores_are_open_than_may_be)
{
        Peer a, b, c;

        options.open_max = 3;
        open_stores();
        open_peer(&a, "a", 1);
        open_peer(&b, "b", 2);
        deliver(&a, 2);
        connect_peer(&c, "c", 3);
        settle();
        ck_assert(!welcomed(&c));
        ck_assert_uint_eq(stores->n_open, 3);
        /* The next who is gone makes room. */
        leave(&a);
        until((stores_tick(stores), stores_want(stores_find(stores, "c")), welcomed(&c)));
        ck_assert(!is_open("a"));
        ck_assert_uint_eq(stores->n_open, 3);
        deliver(&c, 1);
        leave(&b);
        /* And finds its place again. */
        open_peer(&a, "a", 1);
        ck_assert_uint_eq(a.last, 2);
        leave(&a);
        leave(&c);
}
END_TEST

static size_t count_streams(void)
{
        StoresPosition position = { 0 };
        StoreStream stream;
        size_t n = 0;

        while (stores_stream_next(stores, &position, &stream)) {
                ck_assert_str_eq(stream.owner, "a");
                ck_assert_uint_eq(stream.last, 2);
                n++;
        }
        return n;
}

START_TEST(an_idle_store_is_closed_and_still_known)
{
        StoreFacts before, after;
        Peer peer;

        open_stores();
        open_peer(&peer, "a", 1);
        deliver(&peer, 2);
        settle();
        stores_facts(stores, &before);
        /* Not while somebody is there, and not at once. */
        stores->options.idle_usec = 0;
        stores_tick(stores);
        ck_assert(is_open("a"));
        stores->options.idle_usec = STORES_IDLE_USEC;
        leave(&peer);
        stores_tick(stores);
        ck_assert(is_open("a"));
        stores->options.idle_usec = 0;
        until(is_closed("a"));
        ck_assert(is_open("collector"));
        ck_assert_uint_eq(count_streams(), 1);
        stores_facts(stores, &after);
        ck_assert_uint_eq(after.intake.records, before.intake.records);
        ck_assert_uint_eq(after.store.streams, before.store.streams);
        ck_assert_uint_ge(after.store.bytes, before.store.bytes);
        ck_assert_uint_ge(after.commits, before.commits);

        /* Who comes while it is being closed waits for it. */
        stores->options.idle_usec = STORES_IDLE_USEC;
        open_peer(&peer, "a", 1);
        leave(&peer);
        until(store_loop_idle(stores_find(stores, "a")->loop) || (turn(), false));
        stores_close(stores_find(stores, "a"));
        connect_peer(&peer, "a", 1);
        ck_assert(!welcomed(&peer));
        until(welcomed(&peer));
        ck_assert_uint_eq(peer.last, 2);
        leave(&peer);
        stores_facts(stores, &after);
        ck_assert_uint_eq(after.intake.records, before.intake.records);
}
END_TEST

START_TEST(stores_of_an_earlier_run_are_looked_at_once)
{
        Peer peer;

        open_stores();
        open_peer(&peer, "a", 1);
        deliver(&peer, 2);
        leave(&peer);
        close_stores();

        open_stores();
        ck_assert_uint_eq(count_streams(), 0);
        until((stores_tick(stores), count_streams() == 1));
        until(is_closed("a"));
        ck_assert_uint_eq(count_streams(), 1);
        for (unsigned i = 0; i < 3; i++)
                ck_assert(is_closed("a"));
        /* By who forgets it: it is opened for that. */
        for (bool forgotten = false; !forgotten; settle()) {
                StoresPosition position = { 0 };
                StoreStream stream;

                stores_tick(stores);
                forgotten = !stores_stream_next(stores, &position, &stream);
                if (!forgotten)
                        stores_forget(stores, &stream);
        }
        open_peer(&peer, "a", 1);
        ck_assert_uint_eq(peer.last, 0);
        leave(&peer);
}
END_TEST

START_TEST(a_store_that_cannot_be_opened_is_nobody_else_s_trouble)
{
        Peer good, bad, another;
        int fd;

        open_stores();
        open_peer(&good, "good", 1);
        /* In the place of its directory there is a file. */
        fd = open(path_of(".", "bad"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        (void) close_fd(fd);
        connect_peer(&bad, "bad", 2);
        until(sent_away(&bad));
        ck_assert_uint_eq(bad.bye, LINK_BYE_INTERNAL + 1);
        ck_assert(holds("disk_error"));
        deliver(&good, 3);
        /* Who comes back at once is told so at once. */
        connect_peer(&another, "bad", 2);
        ck_assert(sent_away(&another));
        leave(&another);
        leave(&bad);
        ck_assert_int_eq(unlink(path_of(".", "bad")), 0);
        stores_find(stores, "bad")->retry_usec = 0;
        open_peer(&bad, "bad", 2);
        ck_assert(!holds("disk_error"));
        deliver(&bad, 1);
        leave(&bad);
        leave(&good);
}
END_TEST

/* --- Bounds --- */

static void move_oldest_away(const char *node)
{
        struct dirent **names;
        char first[32] = "", path[256];
        int n = scandir(path_of(node, "."), &names, NULL, alphasort);

        ck_assert_int_gt(n, 0);
        for (int i = 0; i < n; i++) {
                if (!first[0] && strstr(names[i]->d_name, ".idx"))
                        (void) snprintf(first, sizeof first, "%.20s", names[i]->d_name);
                free(names[i]);
        }
        free(names);
        (void) snprintf(path, sizeof path, "%s.idx", first);
        ck_assert_int_eq(unlink(path_of(node, path)), 0);
        (void) snprintf(path, sizeof path, "%s.log", first);
        ck_assert_int_eq(unlink(path_of(node, path)), 0);
}

/* Delivers until it is not acked any more; returns how many were. */
static uint64_t fill(Peer *peer)
{
        for (unsigned i = 0; i < 1000 && !intake_session_blocked(&peer->session); i++) {
                put(peer, 4000);
                for (unsigned turns = 0; !acked(peer) && turns < 100 && !store_loop_full(stores_of(&peer->session)); turns++)
                        (void) turn();
        }
        ck_assert(intake_session_blocked(&peer->session));
        return peer->acked;
}

START_TEST(a_node_at_its_quota_waits_alone)
{
        Peer greedy, modest;
        uint64_t most;

        options.node_use_max.n = 128 * 1024;
        open_stores();
        open_peer(&greedy, "greedy", 1);
        open_peer(&modest, "modest", 2);
        most = fill(&greedy);
        ck_assert_uint_ge(most, 20);
        ck_assert_uint_le(most, 32);
        ck_assert(holds("node_full"));
        until(holds("node_low"));
        ck_assert(!holds("disk_low") && !holds("disk_full"));
        ck_assert(store_loop_full(stores_of(&greedy.session)) && store_loop_low(stores_of(&greedy.session)));
        ck_assert(!store_loop_full(stores_of(&modest.session)) && !store_loop_low(stores_of(&modest.session)));
        deliver(&modest, 5);
        ck_assert_uint_lt(greedy.acked, greedy.sent);

        /* Room is made by hand: it goes on by itself, where it stopped. */
        move_oldest_away("greedy");
        until((intake_session_blocked(&greedy.session) ? (void) 0 : feed(&greedy), acked(&greedy)));
        ck_assert_uint_eq(greedy.acked, most + 1);
        deliver(&modest, 5);
        leave(&greedy);
        leave(&modest);
}
END_TEST

START_TEST(a_quota_deletes_the_node_s_oldest_if_told_so)
{
        Peer greedy, modest;

        options.node_use_max.n = 128 * 1024;
        options.node_use_blocks = false;
        options.store.store.delete_unacked = true;
        open_stores();
        open_peer(&greedy, "greedy", 1);
        open_peer(&modest, "modest", 2);
        deliver(&modest, 5);
        for (unsigned i = 0; i < 60; i++) {
                put(&greedy, 4000);
                until(acked(&greedy));
        }
        ck_assert(!holds("node_full"));
        ck_assert_int_lt(access(path_of("greedy", "00000000000000000001.log"), F_OK), 0);
        assert_text(&modest, "modest", 1, 5);
        leave(&greedy);
        leave(&modest);
}
END_TEST

START_TEST(a_share_of_the_file_system_is_a_quota)
{
        options.node_use_max = (DiskAmount) { 1, true };
        open_stores();
        ck_assert(!stores->options.node_use_max.percent);
        ck_assert_uint_gt(stores->options.node_use_max.n, 0);
}
END_TEST

START_TEST(together_they_have_one_bound)
{
        Peer greedy, late;

        options.store.store.use_max = 512 * 1024;
        options.store.store.segment_size_max = 64 * 1024;
        options.store.store.delete_unacked = _i == 1;
        open_stores();
        open_peer(&greedy, "greedy", 1);
        if (_i == 0) {
                /* Nothing is deleted: full for all. */
                (void) fill(&greedy);
                ck_assert(holds("disk_full"));
                ck_assert(!holds("node_full"));
                ck_assert_uint_le(stores->pool.used, 512 * 1024);
                open_peer(&late, "late", 2);
                put(&late, 8000);
                (void) turn();
                ck_assert(!acked(&late));
        } else {
                /* Who delivers deletes his own oldest; who has nothing makes the others do it. */
                for (unsigned i = 0; i < 200; i++) {
                        put(&greedy, 4000);
                        until(acked(&greedy));
                }
                ck_assert_int_lt(access(path_of("greedy", "00000000000000000001.log"), F_OK), 0);
                ck_assert_uint_le(stores->pool.used, 600 * 1024);
                open_peer(&late, "late", 2);
                put(&late, 8000);
                for (unsigned i = 0; i < 200 && !acked(&late); i++) {
                        put(&greedy, 4000);
                        until(acked(&greedy));
                        (void) turn();
                }
                ck_assert(acked(&late));
        }
        ck_assert_uint_eq(stores->pool.going, 0);
        leave(&greedy);
        leave(&late);
        close_stores();
}
END_TEST

/* --- The other layout --- */

START_TEST(a_change_of_layout_neither_loses_nor_repeats)
{
        Peer a, b;
        uint64_t checksum;

        /* 0: from blended to by-node; 1: the other way round; and back again. */
        options.by_node = _i == 1;
        open_stores();
        open_peer(&a, "A.example", 1);
        deliver(&a, 7);
        leave(&a);
        open_peer(&a, "A.example", 1);
        checksum = a.checksum;
        ck_assert_uint_eq(a.last, 7);
        leave(&a);
        close_stores();

        options.by_node = !options.by_node;
        open_stores();
        open_peer(&a, "A.example", 1);
        ck_assert_uint_eq(a.last, 7);
        ck_assert_uint_eq(a.checksum, checksum);
        open_peer(&b, "b.example", 2);
        ck_assert_uint_eq(b.last, 0);
        deliver(&a, 3);
        assert_text(&a, options.by_node ? "a.example" : ".", 8, 10);
        deliver(&b, 1);
        leave(&a);
        leave(&b);
        close_stores();

        options.by_node = !options.by_node;
        open_stores();
        open_peer(&a, "A.example", 1);
        ck_assert_uint_eq(a.last, 10);
        open_peer(&b, "b.example", 2);
        ck_assert_uint_eq(b.last, 1);
        deliver(&a, 1);
        leave(&a);
        leave(&b);
        close_stores();

        /* It is written down: the other one need not be there any more. */
        open_stores();
        open_peer(&a, "A.example", 1);
        ck_assert_uint_eq(a.last, 11);
        leave(&a);
        close_stores();
}
END_TEST

static bool skip_all(const StoreStream *stream, void *userdata)
{
        return true;
}

START_TEST(what_is_to_be_forgotten_is_not_taken_over)
{
        Peer a;

        options.by_node = false;
        open_stores();
        open_peer(&a, "a", 1);
        deliver(&a, 7);
        leave(&a);
        close_stores();
        options.by_node = true;
        options.skip = skip_all;
        open_stores();
        open_peer(&a, "a", 1);
        ck_assert_uint_eq(a.last, 0);
        leave(&a);
}
END_TEST

/* --- The end --- */

START_TEST(an_end_waits_for_what_is_under_way)
{
        Peer a, b;

        open_stores();
        open_peer(&a, "a", 1);
        put(&a, 100);
        connect_peer(&b, "b", 2);
        stores_finish(stores, on_finished, NULL);
        until(finished);
        listen_to(&a);
        ck_assert_uint_eq(a.acked, 1);
        ck_assert_uint_eq(a.bye, LINK_BYE_ENDING + 1);
        listen_to(&b);
        ck_assert_uint_eq(b.bye, LINK_BYE_ENDING + 1);
        leave(&b);
        connect_peer(&b, "b", 2);
        ck_assert(sent_away(&b));
        leave(&a);
        leave(&b);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("stores");
        TCase *tcase = tcase_create("stores");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, each_node_has_a_store_of_its_own);
        tcase_add_test(tcase, blended_is_one_store_that_waits_for_nobody);
        tcase_add_loop_test(tcase, a_name_of_the_store_s_own_files_is_refused, 0, ELEMENTSOF(names_of_files));
        tcase_add_test(tcase, names_that_only_look_like_files_are_taken);
        tcase_add_test(tcase, no_more_stores_are_open_than_may_be);
        tcase_add_test(tcase, an_idle_store_is_closed_and_still_known);
        tcase_add_test(tcase, stores_of_an_earlier_run_are_looked_at_once);
        tcase_add_test(tcase, a_store_that_cannot_be_opened_is_nobody_else_s_trouble);
        tcase_add_test(tcase, a_node_at_its_quota_waits_alone);
        tcase_add_test(tcase, a_quota_deletes_the_node_s_oldest_if_told_so);
        tcase_add_test(tcase, a_share_of_the_file_system_is_a_quota);
        tcase_add_loop_test(tcase, together_they_have_one_bound, 0, 2);
        tcase_add_loop_test(tcase, a_change_of_layout_neither_loses_nor_repeats, 0, 2);
        tcase_add_test(tcase, what_is_to_be_forgotten_is_not_taken_over);
        tcase_add_test(tcase, an_end_waits_for_what_is_under_way);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
