/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The way of commands between peers that are made up here, over a real ring and a real state directory. */

#include "check-main.h"
#include "dispatcher/command-budget.h"
#include "dispatcher/commands.h"
#include "runtime/log.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLIES_MAX 256U

typedef struct Peer {
        CommandPeer peer;
        Connection *connection;
        int fd; /* its other end */
        bool takes, deaf;
        /* What it was told. */
        unsigned n_commands, n_replies, n_pauses;
        LinkCommand command;
        char verb[64], arguments[512];
        uint64_t reply_id;
        uint16_t reply_status;
        char reply_text[512];
        uint64_t paused_usec;
} Peer;

static char directory[sizeof "/tmp/test-commands.XXXXXX"];
static char path[64];
static sd_event *event;
static Ring *ring;
static State *state;
static Commands *commands;
static Peer guard, firewall, siem, shell, tool, aggregator;
static unsigned n_published;
static uint64_t clock_usec;

/* --- The peers --- */

static bool on_takes(const CommandPeer *peer)
{
        return container_of(peer, Peer, peer)->takes;
}

static int on_command(CommandPeer *base, const LinkCommand *command)
{
        Peer *peer = container_of(base, Peer, peer);

        if (peer->deaf)
                return -ENOBUFS;
        peer->n_commands++;
        peer->command = *command;
        (void) snprintf(peer->verb, sizeof peer->verb, "%.*s", (int) command->verb.size, command->verb.data);
        (void) snprintf(peer->arguments, sizeof peer->arguments, "%.*s", (int) command->arguments.size,
                        command->arguments.data);
        return 0;
}

static int on_reply(CommandPeer *base, const LinkReply *reply)
{
        Peer *peer = container_of(base, Peer, peer);

        peer->n_replies++;
        peer->reply_id = reply->id;
        peer->reply_status = reply->status;
        (void) snprintf(peer->reply_text, sizeof peer->reply_text, "%.*s", (int) reply->text.size,
                        reply->text.data);
        return 0;
}

static void on_pause(CommandPeer *base, uint64_t until_usec)
{
        Peer *peer = container_of(base, Peer, peer);

        peer->n_pauses++;
        peer->paused_usec = until_usec;
}

static const Connection *on_connection(const CommandPeer *peer)
{
        return container_of(peer, Peer, peer)->connection;
}

static const CommandPeerHandler subscriber = { on_takes, on_command, on_reply, on_pause, on_connection };
static const CommandPeerHandler producer = { .reply = on_reply, .connection = on_connection };
static const CommandPeerHandler collector = { on_takes, on_command, on_reply, NULL, on_connection };

static int on_established(Connection *connection)
{
        return 0;
}

static int on_received(Connection *connection, Buffer *input)
{
        return 0;
}

static void on_closed(Connection *connection, int error, const char *why)
{
}

static const ConnectionHandler connection_handler = { .established = on_established, .received = on_received,
                                                      .closed = on_closed };

static void peer_open(Peer *peer, CommandVia via, const char *name, bool takes)
{
        int pair[2];

        *peer = (Peer) { .takes = takes };
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        peer->fd = pair[1];
        ck_assert_int_eq(connection_new(event, pair[0], NULL, &connection_handler, peer, &peer->connection), 0);
        ck_assert_int_ge(connection_start(peer->connection, USEC_INFINITY), 0);
        peer->peer.handler = via == COMMAND_VIA_INPUT ? takes ? &collector : &producer : &subscriber;
        peer->peer.aggregator = peer->peer.handler == &collector;
        peer->peer.via = via;
        peer->peer.name = name;
        commands_attach(commands, &peer->peer);
}

static void peer_close(Peer *peer)
{
        if (!peer->connection)
                return;
        commands_detach(commands, &peer->peer);
        peer->connection = connection_free(peer->connection);
        close_fd(peer->fd);
}

/* --- Setting up --- */

static uint64_t fake_clock(void)
{
        return clock_usec;
}

static void on_published(void *userdata)
{
        n_published++;
}

static void grant(uid_t uid, const char *verbs)
{
        CommandPolicy policy = { 0 };
        char line[128];

        if (verbs) {
                (void) snprintf(line, sizeof line, "user:%u %s", (unsigned) uid, verbs);
                ck_assert_int_eq(command_policy_parse(NULL, line, &policy), 0);
        }
        command_policy_resolve(&policy);
        commands_set_policy(commands, &policy);
}

static void setup(void)
{
        static char *const guard_verbs[] = { (char *) "block-address", (char *) "state", NULL };
        RingOptions options = { .path = path, .size = RING_SIZE_MIN, .node = "host", .stream = { { 1 } } };
        CommandsOptions commands_options = { .monotonic_usec = fake_clock, .published = on_published };
        bool created;

        log_init_tool("test", LOG_EMERG);
        strcpy(directory, "/tmp/test-commands.XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        (void) snprintf(path, sizeof path, "%s/ring", directory);
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(ring_open(&options, &ring, &created), 0);
        ck_assert_int_eq(state_new(directory, "dispatcher", &state), 0);
        commands_options.event = event;
        commands_options.ring = ring;
        commands_options.state = state;
        ck_assert_int_eq(commands_new(&commands_options, &commands), 0);
        n_published = 0;
        clock_usec = 1000 * USEC_PER_SEC;
        peer_open(&guard, COMMAND_VIA_PUSH, "guard", true);
        guard.peer.verbs = guard_verbs;
        peer_open(&firewall, COMMAND_VIA_PUSH, "nft-block", true);
        peer_open(&siem, COMMAND_VIA_PUSH, "siem", false);
        peer_open(&shell, COMMAND_VIA_PULL, "guard", false); /* it may call itself as it likes */
        peer_open(&tool, COMMAND_VIA_INPUT, "command", false);
        peer_open(&aggregator, COMMAND_VIA_INPUT, "uid:997", true);
}

static void teardown(void)
{
        char command[128];

        peer_close(&guard);
        peer_close(&firewall);
        peer_close(&siem);
        peer_close(&shell);
        peer_close(&tool);
        peer_close(&aggregator);
        commands = commands_free(commands);
        state = state_free(state);
        ring = ring_free(ring);
        event = sd_event_unref(event);
        (void) snprintf(command, sizeof command, "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}

/* --- Asking and looking --- */

static void ask_in(Peer *peer, const char *verb, const char *arguments, uint32_t timeout_sec)
{
        LinkCommand command = { .id = 5000 + peer->n_replies, .timeout_sec = timeout_sec,
                                .verb = link_string(verb), .arguments = link_string(arguments) };

        commands_take(commands, &peer->peer, &command);
}

static void ask(Peer *peer, const char *verb, const char *arguments)
{
        ask_in(peer, verb, arguments, 5);
}

static void expect(const Peer *peer, unsigned n, LinkReplyStatus status, const char *text)
{
        ck_assert_uint_eq(peer->n_replies, n);
        ck_assert_uint_eq(peer->reply_id, 5000 + n - 1);
        ck_assert_msg(peer->reply_status == status, "%u: %s", peer->reply_status, peer->reply_text);
        if (text)
                ck_assert_str_eq(peer->reply_text, text);
}

static void reply(Peer *peer, LinkReplyStatus status, const char *text)
{
        LinkReply r = { .id = peer->command.id, .status = (uint16_t) status, .text = link_string(text) };

        commands_reply(commands, &peer->peer, &r);
}

/* Lines in the ring that hold all of these words; the newest in `ret`. */
static unsigned find_records(const char *a, const char *b, char *ret)
{
        Source *source = ring_source(ring, "reader", false);
        Cursor cursor = { { 0, 0 } };
        uint64_t seq = 1;
        unsigned n = 0;
        Batch batch;

        for (; source->get(source, seq, &cursor, &batch) > 0; seq = batch.last + 1) {
                ck_assert(batch_payload_intact(&batch));
                ck_assert_uint_eq(batch.count, 1);
                ck_assert_int_eq(batch.origin, BATCH_ORIGIN_LOCAL);
                if (!memmem(batch.payload, batch.size, a, strlen(a)) ||
                    !memmem(batch.payload, batch.size, b, strlen(b)))
                        continue;
                n++;
                if (ret)
                        (void) snprintf(ret, 4096, "%.*s", (int) batch.size, (const char *) batch.payload);
        }
        ring_source_free(ring, source);
        return n;
}

static uint64_t newest(void)
{
        RingStatus status;

        ring_status(ring, &status);
        return status.newest;
}

/* --- Tests --- */

START_TEST(passed_on_and_answered)
{
        char line[4096], expected[512];

        ask(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60");
        ck_assert_uint_eq(guard.n_commands, 0); /* not to the sender */
        ck_assert_uint_eq(siem.n_commands, 0);  /* nor to whoever takes none */
        ck_assert_uint_eq(firewall.n_commands, 1);
        ck_assert_str_eq(firewall.verb, "block-address");
        ck_assert_str_eq(firewall.arguments, "ADDRESS=192.0.2.7\nSECONDS=60");
        ck_assert_uint_eq(firewall.command.timeout_sec, 5);
        ck_assert_uint_ne(firewall.command.id, 5000); /* its own, not the sender's */
        ck_assert_uint_eq(guard.n_replies, 0);
        ck_assert_uint_eq(find_records("op=relay-command", "", line), 1);
        (void) snprintf(expected, sizeof expected,
                        "): op=relay-command command=1 verb=block-address via=push from=guard pid=%d uid=%u ", getpid(),
                        getuid());
        ck_assert_ptr_nonnull(strstr(line, expected));
        ck_assert_ptr_nonnull(strstr(line, " args=\"ADDRESS\\x3d192.0.2.7\\x0aSECONDS\\x3d60\" receivers=1 "
                                           "answer=taken res=success\n"));
        reply(&firewall, LINK_REPLY_DONE, "added");
        expect(&guard, 1, LINK_REPLY_DONE, "nft-block: added");
        ck_assert_uint_eq(find_records("op=relay-answer command=1 answer=done", "res=success\n", line), 1);
        ck_assert_uint_eq(newest(), 2);
        reply(&firewall, LINK_REPLY_FAILED, "again");
        ck_assert_uint_eq(guard.n_replies, 1);
        /* Subscribers are woken from the loop. */
        ck_assert_uint_eq(n_published, 0);
        ck_assert_int_ge(sd_event_run(event, 0), 0);
        ck_assert_uint_eq(n_published, 1);
}
END_TEST

START_TEST(the_best_answer_counts)
{
        siem.takes = true;
        ask(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60");
        reply(&siem, LINK_REPLY_UNKNOWN, "");
        reply(&firewall, LINK_REPLY_FAILED, "no table");
        expect(&guard, 1, LINK_REPLY_FAILED, "nft-block: no table");
        ck_assert_uint_eq(find_records("op=relay-answer", "answer=failed why=\"nft-block:\\x20no\\x20table\" res=failed",
                                       NULL),
                          1);
}
END_TEST

START_TEST(nobody_there)
{
        firewall.takes = false;
        ask(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60");
        expect(&guard, 1, LINK_REPLY_FAILED, "no subscriber takes commands");
        firewall.takes = firewall.deaf = true;
        ask(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60");
        expect(&guard, 2, LINK_REPLY_FAILED, "nft-block: does not read");
        firewall.deaf = false;
        ask(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60");
        commands_disconnected(commands, &firewall.peer);
        expect(&guard, 3, LINK_REPLY_FAILED, NULL);
        ck_assert_uint_eq(find_records("op=relay-command", "answer=taken", NULL), 2);
        ck_assert_uint_eq(find_records("op=relay-answer", "answer=failed", NULL), 2);
        ck_assert_uint_eq(find_records("op=relay-command", "answer=failed", NULL), 1);
}
END_TEST

START_TEST(time_is_up)
{
        ask(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60");
        clock_usec += 5 * USEC_PER_SEC - 1;
        commands_tick(commands);
        ck_assert_uint_eq(guard.n_replies, 0);
        clock_usec++;
        commands_tick(commands);
        expect(&guard, 1, LINK_REPLY_FAILED, "no answer came in time");
        reply(&firewall, LINK_REPLY_DONE, "late");
        ck_assert_uint_eq(guard.n_replies, 1);
        /* No time is longer than a minute. */
        ask_in(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60", UINT32_MAX);
        ck_assert_uint_eq(firewall.command.timeout_sec, 60);
        clock_usec += 60 * USEC_PER_SEC;
        commands_tick(commands);
        ck_assert_uint_eq(guard.n_replies, 2);
}
END_TEST

START_TEST(who_asked_may_leave)
{
        ask(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60");
        commands_disconnected(commands, &guard.peer);
        reply(&firewall, LINK_REPLY_DONE, "");
        ck_assert_uint_eq(guard.n_replies, 0);
        ck_assert_uint_eq(find_records("op=relay-answer", "answer=done", NULL), 1);
}
END_TEST

START_TEST(who_wants_no_answer_gets_none)
{
        ask_in(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60", 0);
        ck_assert_uint_gt(firewall.command.timeout_sec, 0); /* the record of what became of it does */
        reply(&firewall, LINK_REPLY_DONE, "");
        ask_in(&guard, "log", "", 0);
        ask_in(&guard, "state", "NAME=a\nON=1", 0);
        ck_assert_uint_eq(guard.n_replies, 0);
        ck_assert_uint_eq(newest(), 4);
        ck_assert(state_holds(state, "command_a"));
}
END_TEST

START_TEST(refused_without_a_grant_and_recorded)
{
        static const char *const verbs[] = { "state", "pause", "resume", "block-address", "unblock-address", "log", "x-a" };
        char line[4096], word[64];

        grant(getuid() + 1, "state pause resume block-address unblock-address log x-a");
        for (unsigned i = 0; i < ELEMENTSOF(verbs); i++) {
                ask(&tool, verbs[i], "");
                expect(&tool, i + 1, LINK_REPLY_REFUSED, NULL);
                ask(&shell, verbs[i], "");
                expect(&shell, i + 1, LINK_REPLY_REFUSED, NULL);
                (void) snprintf(word, sizeof word, " verb=%s ", verbs[i]);
                ck_assert_uint_eq(find_records(word, "via=input from=command", line), 1);
                ck_assert_uint_eq(find_records(word, "via=pull from=guard", line), 1);
                ck_assert_ptr_nonnull(strstr(line, " answer=refused why="));
                ck_assert_ptr_nonnull(strstr(line, " res=failed\n"));
        }
        ask(&guard, "pause", "SECONDS=5");
        expect(&guard, 1, LINK_REPLY_REFUSED, "Commands= of the subscriber guard does not grant it");
        ck_assert_uint_eq(guard.n_pauses + firewall.n_commands, 0);
        ck_assert_uint_eq(state_list(state, NULL, 0), 0);
        /* A reload may grant it. */
        grant(getuid(), "log");
        ask(&tool, "log", "PRIORITY=7\nMESSAGE=hello");
        expect(&tool, ELEMENTSOF(verbs) + 1, LINK_REPLY_DONE, "");
        /* To the user: a subscriber that we connect to has its file. */
        ask(&guard, "log", "PRIORITY=7\nMESSAGE=hello");
        expect(&guard, 2, LINK_REPLY_REFUSED, NULL);
        grant(0, NULL);
        ask(&tool, "log", "PRIORITY=7\nMESSAGE=hello");
        expect(&tool, ELEMENTSOF(verbs) + 2, LINK_REPLY_REFUSED, NULL);
}
END_TEST

START_TEST(unknown_and_malformed_ones_are_recorded_too)
{
        char line[4096];

        grant(getuid(), "log");
        ask(&tool, "reboot", "NOW=1");
        expect(&tool, 1, LINK_REPLY_UNKNOWN, NULL);
        ck_assert_uint_eq(find_records("verb=reboot", "answer=unknown", NULL), 1);
        ask(&tool, "log", "PRIORITY=9\nMESSAGE=x");
        expect(&tool, 2, LINK_REPLY_FAILED, "PRIORITY is none of 0 to 7");
        ck_assert_uint_eq(find_records("verb=log", "answer=failed", NULL), 1);
        /* Nobody forges a field, or a record, by what he asks for. */
        ask(&tool, "x\" uid=0", "A=1\" auid=0 uid=0\nnode=host type=LOGIN msg=audit(1.000:1): res=success\n");
        ck_assert_uint_eq(find_records("verb=\"x\\x22\\x20uid\\x3d0\"", "answer=unknown", line), 1);
        ck_assert_ptr_null(strstr(line, " uid=0\n"));
        ck_assert_ptr_null(strstr(line, " auid=0 "));
        ck_assert_ptr_null(strstr(line, "type=LOGIN"));
        ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
}
END_TEST

START_TEST(a_condition_of_its_own_kind)
{
        char text[1024];
        FILE *file;
        size_t n;

        ask(&guard, "state", "NAME=ring_full\nON=1\nREASON=a $(b) \"c\"");
        expect(&guard, 1, LINK_REPLY_DONE, "");
        ck_assert(!state_holds(state, "ring_full"));
        ck_assert(state_holds(state, "command_ring_full"));
        (void) snprintf(text, sizeof text, "%s/dispatcher/command_ring_full", directory);
        file = fopen(text, "re");
        ck_assert_ptr_nonnull(file);
        n = fread(text, 1, sizeof text - 1, file);
        text[n] = '\0';
        (void) fclose(file);
        ck_assert_ptr_nonnull(strstr(text, "REASON=\"a \\$(b) \\\"c\\\"\"\n"));
        ck_assert_ptr_nonnull(strstr(text, "FROM=guard\nVIA=push\n"));
        /* What we raise ourselves nobody ends. */
        state_raise(state, "ring_full", "it is", NULL);
        ask(&guard, "state", "NAME=ring_full\nON=0");
        ck_assert(!state_holds(state, "command_ring_full"));
        ck_assert(state_holds(state, "ring_full"));
        /* Ending what does not hold is no failure. */
        ask(&guard, "state", "NAME=ring_full\nON=0");
        expect(&guard, 3, LINK_REPLY_DONE, "");
}
END_TEST

START_TEST(a_verb_without_arguments_is_a_condition)
{
        grant(getuid(), "x-lock-down state");
        ask(&tool, "x-lock-down", "");
        expect(&tool, 1, LINK_REPLY_DONE, "");
        ck_assert_uint_eq(firewall.n_commands, 0);
        ck_assert(state_holds(state, "command_x_lock_down"));
        ask(&tool, "state", "NAME=x_lock_down\nON=0");
        ck_assert(!state_holds(state, "command_x_lock_down"));
        ask(&tool, "x-lock-down", "ROOM=3");
        ck_assert_uint_eq(firewall.n_commands, 1);
        ck_assert(!state_holds(state, "command_x_lock_down"));
}
END_TEST

START_TEST(of_other_nodes)
{
        char line[4096];

        /* What guard may ask of this host it may not ask of others. */
        ask(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60\nNODE=all");
        expect(&guard, 1, LINK_REPLY_REFUSED, NULL);
        ck_assert_uint_eq(find_records("op=relay-command", "answer=refused", line), 1);
        ck_assert_ptr_nonnull(strstr(line, "NODE\\x3dall"));
        grant(getuid(), "node:block-address node:state node:pause");
        ask(&tool, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60");
        expect(&tool, 1, LINK_REPLY_REFUSED, NULL);
        ask(&tool, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60\nNODE=web1");
        ck_assert_uint_eq(aggregator.n_commands, 1);
        ck_assert_uint_eq(firewall.n_commands + guard.n_commands, 0);
        ck_assert_str_eq(aggregator.arguments, "ADDRESS=192.0.2.7\nSECONDS=60\nNODE=web1");
        ck_assert_uint_eq(find_records("op=relay-command", "receivers=1 answer=taken", NULL), 1);
        reply(&aggregator, LINK_REPLY_FAILED, "web1: no answer came in time");
        expect(&tool, 2, LINK_REPLY_FAILED, "web1: no answer came in time");
        ck_assert_uint_eq(find_records("op=relay-answer", "answer=failed why=\"web1:\\x20no\\x20answer", NULL), 1);
        /* A subscriber by its own file. */
        guard.peer.verbs = (char *const[]) { (char *) "node:x-a", NULL };
        ask(&guard, "x-a", "NODE=all");
        ck_assert_uint_eq(aggregator.n_commands, 2);
        ck_assert_uint_eq(firewall.n_commands, 0);
        reply(&aggregator, LINK_REPLY_DONE, "2 done\na: done\nb: done");
        expect(&guard, 2, LINK_REPLY_DONE, "2 done\na: done\nb: done");
        /* Nothing of it is done here. */
        ask(&tool, "state", "NAME=a\nON=1\nNODE=web1");
        ask(&tool, "pause", "NAME=siem\nSECONDS=5\nNODE=web1");
        ck_assert_uint_eq(aggregator.n_commands, 4);
        ck_assert(!state_holds(state, "command_a"));
        ck_assert_uint_eq(siem.n_pauses, 0);
        clock_usec += 5 * USEC_PER_SEC;
        commands_tick(commands);
        ck_assert_uint_eq(tool.n_replies, 4);
        peer_close(&aggregator);
        ask(&tool, "state", "NAME=a\nON=1\nNODE=web1");
        expect(&tool, 5, LINK_REPLY_FAILED, "no aggregator of this host passes commands on");
        ck_assert_uint_eq(find_records("op=relay-command", "answer=failed", NULL), 1);
}
END_TEST

START_TEST(conditions_are_bounded)
{
        char arguments[64];

        grant(getuid(), "state");
        for (unsigned i = 0; i < 40; i++) {
                (void) snprintf(arguments, sizeof arguments, "NAME=n%u\nON=1", i);
                ask(&tool, "state", arguments);
                expect(&tool, i + 1, i < 32 ? LINK_REPLY_DONE : LINK_REPLY_FAILED, NULL);
        }
        ask(&tool, "state", "NAME=n5\nON=1"); /* holds already */
        expect(&tool, 41, LINK_REPLY_DONE, NULL);
        ask(&tool, "state", "NAME=n5\nON=0");
        ask(&tool, "state", "NAME=n39\nON=1");
        expect(&tool, 43, LINK_REPLY_DONE, NULL);
}
END_TEST

START_TEST(pausing)
{
        grant(getuid(), "pause resume");
        ask(&tool, "pause", "SECONDS=60\nNAME=siem");
        expect(&tool, 1, LINK_REPLY_DONE, "");
        ck_assert_uint_eq(siem.n_pauses, 1);
        ck_assert_uint_eq(siem.paused_usec, clock_usec + 60 * USEC_PER_SEC);
        ask(&tool, "resume", "NAME=siem");
        ck_assert_uint_eq(siem.paused_usec, 0);
        ck_assert_uint_eq(siem.n_pauses, 2);
        ask(&tool, "pause", "SECONDS=60");
        expect(&tool, 3, LINK_REPLY_FAILED, "the sender is no subscriber: NAME is missing");
        ask(&tool, "pause", "SECONDS=60\nNAME=nobody");
        expect(&tool, 4, LINK_REPLY_FAILED, "there is no subscriber of that name");
        ask(&tool, "pause", "SECONDS=60\nNAME=command"); /* a producer's */
        expect(&tool, 5, LINK_REPLY_FAILED, NULL);
        ask(&shell, "pause", "SECONDS=60");
        ck_assert_uint_eq(shell.n_pauses, 1);
        /* Of two with a name, the one that the configuration gave it. */
        ask(&tool, "pause", "SECONDS=60\nNAME=guard");
        ck_assert_uint_eq(guard.n_pauses, 1);
        ck_assert_uint_eq(shell.n_pauses, 1);
        peer_close(&guard);
        ask(&tool, "pause", "SECONDS=60\nNAME=guard");
        ck_assert_uint_eq(shell.n_pauses, 2);
}
END_TEST

START_TEST(too_many_are_refused_and_counted)
{
        char line[4096];

        grant(getuid(), "log");
        for (unsigned i = 0; i < COMMAND_BURST; i++)
                ask(&tool, "log", "PRIORITY=7\nMESSAGE=x");
        expect(&tool, COMMAND_BURST, LINK_REPLY_DONE, "");
        /* Another connection of the same user is no other client. */
        for (unsigned i = 0; i < 200; i++)
                ask(&shell, "log", "PRIORITY=7\nMESSAGE=x");
        ck_assert_uint_eq(shell.n_replies, 200);
        expect(&shell, 200, LINK_REPLY_REFUSED, "too many commands");
        ck_assert_uint_eq(newest(), COMMAND_BURST);
        /* A subscriber with a file of its own is. */
        ask(&guard, "state", "NAME=a\nON=1");
        expect(&guard, 1, LINK_REPLY_DONE, "");
        commands_tick(commands);
        ck_assert_uint_eq(find_records("op=relay-command uid=", "count=", line), 1);
        ck_assert_ptr_nonnull(strstr(line, " count=200 answer=refused why=\"too\\x20many\\x20commands\" res=failed\n"));
        commands_tick(commands);
        ck_assert_uint_eq(find_records("count=", "", NULL), 1);
}
END_TEST

START_TEST(so_many_under_way)
{
        grant(getuid(), "x-a");
        for (unsigned i = 0; i < 17; i++)
                ask(&tool, "x-a", "A=1");
        expect(&tool, 1, LINK_REPLY_FAILED, NULL); /* the last; 16 wait */
        ck_assert_uint_eq(firewall.n_commands, 16);
        ask(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60");
        ck_assert_uint_eq(firewall.n_commands, 17);
}
END_TEST

/* Nothing is done that is not recorded. */
START_TEST(a_full_ring)
{
        Source *source = ring_source(ring, "remote", true);
        char line[4096];

        while (ring_begin(ring, BATCH_PAYLOAD_MAX, false)) {
                ring_seal(ring, BATCH_PAYLOAD_MAX, 1, BATCH_ORIGIN_KERNEL);
                ring_publish(ring);
        }
        while (ring_begin(ring, RECORD_LINE_MAX, false)) {
                ring_seal(ring, RECORD_LINE_MAX, 1, BATCH_ORIGIN_KERNEL);
                ring_publish(ring);
        }
        ask(&guard, "state", "NAME=a\nON=1");
        expect(&guard, 1, LINK_REPLY_FAILED, "the ring has no room for the record of it");
        ck_assert(!state_holds(state, "command_a"));
        ask(&guard, "block-address", "ADDRESS=192.0.2.7\nSECONDS=60");
        ck_assert_uint_eq(guard.n_replies, 2);
        ck_assert_uint_eq(firewall.n_commands, 0);
        commands_tick(commands);
        source->release(source, newest(), 0);
        commands_tick(commands);
        {
                Cursor cursor = { { 0, 0 } };
                Batch batch;

                ck_assert_int_eq(source->get(source, newest(), &cursor, &batch), 1);
                (void) snprintf(line, sizeof line, "%.*s", (int) batch.size, (const char *) batch.payload);
        }
        ck_assert_ptr_nonnull(strstr(line, "op=relay-command via=push from=guard count=2 answer=refused"));
        ring_source_free(ring, source);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("commands");
        TCase *tc = tcase_create("all");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, passed_on_and_answered);
        tcase_add_test(tc, the_best_answer_counts);
        tcase_add_test(tc, nobody_there);
        tcase_add_test(tc, time_is_up);
        tcase_add_test(tc, who_asked_may_leave);
        tcase_add_test(tc, who_wants_no_answer_gets_none);
        tcase_add_test(tc, refused_without_a_grant_and_recorded);
        tcase_add_test(tc, unknown_and_malformed_ones_are_recorded_too);
        tcase_add_test(tc, a_condition_of_its_own_kind);
        tcase_add_test(tc, a_verb_without_arguments_is_a_condition);
        tcase_add_test(tc, of_other_nodes);
        tcase_add_test(tc, conditions_are_bounded);
        tcase_add_test(tc, pausing);
        tcase_add_test(tc, too_many_are_refused_and_counted);
        tcase_add_test(tc, so_many_under_way);
        tcase_add_test(tc, a_full_ring);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
