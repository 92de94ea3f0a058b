/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* peers.d/ and the roster. */

#include "check-main.h"
#include "aggregator/peers.h"
#include "aggregator/roster.h"
#include "capture.h"
#include "runtime/expiry.h"
#include "runtime/log.h"

#define DAY (24 * 3600)

static char directory[64];
static Capture capture;
static Peers *peers;
static Roster *roster;

static void setup(void)
{
        scratch_make(directory);
        log_init("test", LOG_DEBUG);
        ck_assert_int_eq(peers_load(directory, &peers), 0);
        ck_assert_int_eq(roster_new(&roster), 0);
}

static void teardown(void)
{
        peers = peers_free(peers);
        roster = roster_free(roster);
        scratch_remove(directory);
}

/* --- peers.d --- */

/* Expects the files to be wrong, and one of these words in what is said; all stays as it was. */
static void expect_wrong(const char *words)
{
        const Peers *before = peers;

        capture_begin(&capture);
        log_init("test", LOG_DEBUG);
        ck_assert_int_eq(peers_load(directory, &peers), -EINVAL);
        ck_assert_ptr_nonnull(strstr(capture_end(&capture), words));
        ck_assert_ptr_eq(peers, before);
}

START_TEST(no_file_names_nobody)
{
        ck_assert_ptr_null(peers_find(peers, "web1"));
        ck_assert_ptr_null(peers_get(peers, 0));
        ck_assert_ptr_null(peers_relay_names(peers, "web1"));
        ck_assert(!peer_may_relay(peers, "web1", "web2"));
}
END_TEST

START_TEST(a_file_names_a_peer)
{
        const Peer *peer;

        scratch_write(directory, "web1.conf", "[Peer]\nAction=refuse\nForget=yes\n");
        scratch_write(directory, "tier.conf",
                      "[Peer]\nName=Relay.example.org\nRelayNames=db1 db2\nMaxConnections=3\nRate=1M\n");
        scratch_write(directory, "all.conf", "[Peer]\nName=\n");
        ck_assert_int_eq(peers_load(directory, &peers), 0);
        peer = peers_find(peers, "WEB1");
        ck_assert_ptr_nonnull(peer);
        ck_assert_int_eq(peer->action, PEER_REFUSE);
        ck_assert(peer->forget);
        ck_assert_ptr_nonnull(strstr(peer->path, "/web1.conf"));
        peer = peers_find(peers, "relay.example.org");
        ck_assert_ptr_nonnull(peer);
        ck_assert_int_eq(peer->action, PEER_ALLOW);
        ck_assert_uint_eq(peer->connections_max, 3);
        ck_assert_uint_eq(peer->rate, 1024 * 1024);
        ck_assert_ptr_nonnull(peers_find(peers, "all"));
        ck_assert_ptr_null(peers_find(peers, "tier"));
        ck_assert_ptr_nonnull(peers_get(peers, 2));
        ck_assert_ptr_null(peers_get(peers, 3));
        ck_assert(peer_may_relay(peers, "Relay.Example.org", "DB2"));
        ck_assert(!peer_may_relay(peers, "relay.example.org", "db3"));
        ck_assert(!peer_may_relay(peers, "all", "db1"));
}
END_TEST

START_TEST(who_is_refused_may_not_relay)
{
        scratch_write(directory, "r.conf", "[Peer]\nAction=refuse\nRelayNames=a\n");
        ck_assert_int_eq(peers_load(directory, &peers), 0);
        ck_assert(!peer_may_relay(peers, "r", "a"));
}
END_TEST

START_TEST(a_wrong_file_changes_nothing)
{
        scratch_write(directory, "good.conf", "[Peer]\nName=web1\n");
        ck_assert_int_eq(peers_load(directory, &peers), 0);
        scratch_write(directory, "z.conf", "[Peer]\nName=WEB1\n");
        expect_wrong("is named in");
        scratch_write(directory, "z.conf", "[Peer]\nForget=yes\n");
        expect_wrong("Forget=yes is for Action=refuse");
        scratch_write(directory, "z.conf", "[Peer]\nRelayNames=a/b\n");
        expect_wrong("RelayNames= has no node's name: a/b");
        scratch_write(directory, "z.conf", "[Peer]\nAction=perhaps\n");
        expect_wrong("allow or refuse");
        scratch_write(directory, "z.conf", "[Peer]\nRate=1\n");
        expect_wrong("at least 64K");
        scratch_write(directory, "z.conf", "");
        scratch_write(directory, "a b.conf", "[Peer]\n");
        expect_wrong("the file's name is none: a b");
        ck_assert_ptr_nonnull(peers_find(peers, "web1"));
}
END_TEST

/* --- The roster --- */

static StreamId stream(uint8_t n)
{
        return (StreamId) { { n } };
}

static const RosterRow *look(const char *node, uint8_t n, uint64_t seq, uint64_t seen)
{
        StreamId id = stream(n);

        roster_look_begin(roster);
        ck_assert_int_eq(roster_look_stream(roster, node, &id, seq, seen), 0);
        roster_look_end(roster);
        return roster_find(roster, node);
}

START_TEST(a_peer_that_is_away_keeps_its_row)
{
        RosterCounters counters = { 1, 2, 3, 4 };
        const RosterRow *row;
        StreamId id = stream(1);

        ck_assert_ptr_nonnull(roster_connected(roster, "web1", "192.0.2.1:4711", &id));
        row = look("web1", 1, 7, 100);
        ck_assert_str_eq(row->address, "192.0.2.1");
        ck_assert_uint_eq(row->seq, 7);
        roster_look_begin(roster);
        roster_look_session(roster, "web1", &counters, 55);
        roster_look_session(roster, "stranger", &counters, 55);
        roster_look_end(roster);
        ck_assert_uint_eq(row->live.lost, 4);
        ck_assert_uint_eq(row->delay_usec, 55);
        roster_disconnected(roster, "web1", &counters);
        roster_disconnected(roster, "web1", &counters);
        roster_disconnected(roster, "stranger", &counters);
        row = look("web1", 1, 9, 101);
        ck_assert_uint_eq(row->sessions, 0);
        ck_assert_uint_eq(row->seq, 9);
        ck_assert_uint_eq(row->ended.records, 1);
        ck_assert_uint_eq(row->live.records, 0);
        ck_assert_uint_eq(roster_count(roster), 1);
}
END_TEST

START_TEST(its_stream_is_the_one_it_delivers_or_the_last_that_moved)
{
        StreamId one = stream(1), two = stream(2);
        const RosterRow *row;

        roster_look_begin(roster);
        ck_assert_int_eq(roster_look_stream(roster, "web1", &two, 20, 200), 0);
        ck_assert_int_eq(roster_look_stream(roster, "web1", &one, 10, 100), 0);
        roster_look_end(roster);
        row = roster_find(roster, "web1");
        ck_assert(stream_id_equal(&row->stream, &two));
        ck_assert_uint_eq(row->seq, 20);
        ck_assert_ptr_nonnull(roster_connected(roster, "web1", "[2001:db8::1]:4711", &one));
        ck_assert_str_eq(row->address, "2001:db8::1");
        ck_assert_uint_eq(row->seq, 0);
        roster_look_begin(roster);
        ck_assert_int_eq(roster_look_stream(roster, "web1", &two, 20, 200), 0);
        ck_assert_int_eq(roster_look_stream(roster, "web1", &one, 11, 100), 0);
        roster_look_end(roster);
        ck_assert_uint_eq(row->seq, 11);
        ck_assert_uint_eq(roster_count(roster), 1);
}
END_TEST

START_TEST(streams_are_counted_and_the_longest_silent_is_known)
{
        const uint64_t seen[] = { 300, 100, 200 };
        const RosterRow *row;
        StreamId id = stream(2);

        roster_look_begin(roster);
        for (uint8_t i = 0; i < ELEMENTSOF(seen); i++) {
                StreamId one = stream(i + 1);

                ck_assert_int_eq(roster_look_stream(roster, "web1", &one, 1, seen[i]), 0);
        }
        roster_look_end(roster);
        row = roster_find(roster, "web1");
        ck_assert_uint_eq(row->streams, 3);
        ck_assert(stream_id_equal(&row->silent, &id));
        row = look("web1", 7, 1, 900);
        id = stream(7);
        ck_assert_uint_eq(row->streams, 1);
        ck_assert(stream_id_equal(&row->silent, &id));
}
END_TEST

START_TEST(who_is_neither_connected_nor_known_leaves)
{
        StreamId id = stream(1);
        char node[16];
        unsigned n = 0;

        for (unsigned i = 0; i < 3000; i++) {
                (void) snprintf(node, sizeof node, "n%u", i);
                ck_assert_ptr_nonnull(roster_get(roster, node));
        }
        ck_assert_ptr_nonnull(roster_connected(roster, "n7", "somewhere", &id));
        for (RosterRow *row = NULL; (row = roster_next(roster, row));)
                n++;
        ck_assert_uint_eq(n, 3000);
        ck_assert_ptr_nonnull(look("n8", 2, 1, 1));
        ck_assert_uint_eq(roster_count(roster), 2);
        ck_assert_ptr_nonnull(roster_find(roster, "n7"));
}
END_TEST

START_TEST(a_rate_is_for_all_sessions_of_a_peer)
{
        StreamId id = stream(1);
        RosterRow *row = roster_connected(roster, "web1", "x:1", &id);

        /* Any. */
        ck_assert(!roster_charge(row, UINT32_MAX));
        ck_assert(!roster_refill(roster, USEC_PER_SEC));
        row->rate = row->tokens = 100000;
        ck_assert(!roster_charge(row, 100000));
        ck_assert(roster_charge(row, 150000));
        /* It waits already. */
        ck_assert(!roster_charge(row, 1));
        ck_assert(roster_refill(roster, USEC_PER_SEC));
        ck_assert_int_lt(row->tokens, 0);
        ck_assert(!roster_refill(roster, USEC_PER_SEC));
        ck_assert_int_gt(row->tokens, 0);
        /* No more than a second's worth is saved up. */
        ck_assert(!roster_refill(roster, 1000 * USEC_PER_SEC));
        ck_assert_int_eq(row->tokens, 100000);
        row->rate = INT64_MAX;
        ck_assert(!roster_refill(roster, UINT64_MAX / 2));
        ck_assert_int_eq(row->tokens, INT64_MAX);
}
END_TEST

/* --- Expiry --- */

START_TEST(each_warning_is_given_once)
{
        unsigned warned = 0;
        char text[64];

        ck_assert(!expiry_due(&warned, 0, 1000));
        ck_assert(!expiry_due(&warned, 31 * DAY, 0));
        ck_assert(expiry_due(&warned, 30 * DAY, 0));
        ck_assert(!expiry_due(&warned, 30 * DAY, DAY));
        ck_assert(expiry_due(&warned, 30 * DAY, 23 * DAY));
        ck_assert(expiry_due(&warned, 30 * DAY, 29 * DAY));
        ck_assert(!expiry_due(&warned, 30 * DAY, 30 * DAY - 1));
        ck_assert(expiry_due(&warned, 30 * DAY, 30 * DAY));
        ck_assert(!expiry_due(&warned, 30 * DAY, 40 * DAY));
        /* Renewed, and close to its end again. */
        ck_assert(!expiry_due(&warned, 100 * DAY, 40 * DAY));
        ck_assert(expiry_due(&warned, 100 * DAY, 80 * DAY));
        /* Seen first shortly before its end: one warning, not three. */
        warned = 0;
        ck_assert(expiry_due(&warned, DAY / 2, 0));
        ck_assert(!expiry_due(&warned, DAY / 2, 1));
        ck_assert_str_eq(expiry_text(6 * DAY + 5, 0, text, sizeof text), "expires in 6 days");
        ck_assert_str_eq(expiry_text(5 * 3600, 0, text, sizeof text), "expires in 5 hours");
        ck_assert_str_eq(expiry_text(1, 1 + 2 * DAY, text, sizeof text), "expired 2 days ago");
        ck_assert(expiry_days(3 * DAY, DAY) == 2.0);
        ck_assert(expiry_days(0, DAY) != expiry_days(0, DAY));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("peers");
        TCase *tcase = tcase_create("peers");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, no_file_names_nobody);
        tcase_add_test(tcase, a_file_names_a_peer);
        tcase_add_test(tcase, who_is_refused_may_not_relay);
        tcase_add_test(tcase, a_wrong_file_changes_nothing);
        tcase_add_test(tcase, a_peer_that_is_away_keeps_its_row);
        tcase_add_test(tcase, its_stream_is_the_one_it_delivers_or_the_last_that_moved);
        tcase_add_test(tcase, streams_are_counted_and_the_longest_silent_is_known);
        tcase_add_test(tcase, who_is_neither_connected_nor_known_leaves);
        tcase_add_test(tcase, a_rate_is_for_all_sessions_of_a_peer);
        tcase_add_test(tcase, each_warning_is_given_once);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
