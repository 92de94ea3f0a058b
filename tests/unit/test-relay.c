/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library from outside: a plugin at one end of a socket, at the other the dispatcher's own parts. */

#include "check-main.h"
#include "fake-dispatcher.h"
#include "lib/audit-relay.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>

#define LINE(type, serial, text) "node=host type=" type " msg=audit(1700000000.123:" #serial "): " text "\n"

static ArraySource source;
static Fake fake;
static AuditRelay *relay;
static const AuditRelayItem *item;

static void begin(void)
{
        array_init(&source, 7);
        ck_assert_int_eq(audit_relay_new(&relay), 0);
        ck_assert_int_eq(audit_relay_set_start(relay, AUDIT_RELAY_OLDEST), 0);
}

static void end(void)
{
        relay = audit_relay_free(relay);
        fake_done(&fake);
        array_done(&source);
}

/* The dispatcher connects to the plugin. */
static void push(void)
{
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        ck_assert_int_eq(audit_relay_listen(relay, pair[0]), 0);
        fake_begin(&fake, &source, pair[1], false);
}

/* Listens somewhere as the dispatcher does; the address in `text`. */
static int listen_somewhere(char *text, size_t size)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        (void) snprintf(text, size, "/tmp/test-relay-%d", (int) getpid());
        (void) unlink(text);
        ck_assert_uint_lt(strlen(text), sizeof address.sun_path);
        strcpy(address.sun_path, text);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
        ck_assert_int_eq(listen(fd, 8), 0);
        return fd;
}

static int accept_one(int listener)
{
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        return fd;
}

/* Turns both cranks until the plugin has an item; NULL when there is none. */
static const AuditRelayItem *next(void)
{
        for (unsigned i = 0; i < 10; i++) {
                int r;

                fake_pump(&fake);
                r = audit_relay_process(relay, &item);
                ck_assert_int_ge(r, 0);
                if (r > 0)
                        return item;
        }
        return NULL;
}

static void assert_record(const char *line)
{
        ck_assert_ptr_nonnull(next());
        ck_assert_int_eq(item->kind, AUDIT_RELAY_RECORD);
        ck_assert_uint_eq(item->n_records, 1);
        ck_assert_uint_eq(item->records[0].line_size, strlen(line) - 1);
        ck_assert_mem_eq(item->records[0].line, line, strlen(line) - 1);
}

static void three_batches(void)
{
        fake_append(&source, BATCH_ORIGIN_KERNEL, 2, LINE("USER", 1, "a=1") LINE("USER", 2, "a=2"));
        fake_append(&source, BATCH_ORIGIN_KERNEL, 5, "");
        fake_append(&source, BATCH_ORIGIN_LOCAL, 1, LINE("USER", 3, "a=3"));
}

/* --- Records --- */

START_TEST(records_one_by_one)
{
        begin();
        push();
        three_batches();
        assert_record(LINE("USER", 1, "a=1"));
        ck_assert_int_eq(item->origin, AUDIT_RELAY_KERNEL);
        ck_assert_uint_eq(item->records->serial, 1);
        ck_assert_uint_eq(item->records->sec, 1700000000);
        ck_assert_uint_eq(item->records->msec, 123);
        ck_assert_uint_eq(item->records->type_number, 1005);
        ck_assert_mem_eq(item->records->type, "USER", item->records->type_size);
        ck_assert_mem_eq(item->records->node, "host", item->records->node_size);
        ck_assert_uint_eq(item->records->text_size, 3);
        ck_assert_mem_eq(item->records->text, "a=1", 3);
        /* Half a batch can not be acked. */
        ck_assert_uint_eq(item->cursor.seq, 0);
        assert_record(LINE("USER", 2, "a=2"));
        ck_assert_uint_eq(item->cursor.seq, 2);
        ck_assert_uint_eq(source.released, 0);
        assert_record(LINE("USER", 3, "a=3"));
        ck_assert_uint_eq(item->cursor.seq, 8);
        ck_assert_int_eq(item->origin, AUDIT_RELAY_LOCAL);
        /* Asking for the next is the ack. */
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 8);
        end();
}
END_TEST

START_TEST(acked_by_hand)
{
        AuditRelayCursor first;

        begin();
        ck_assert_int_eq(audit_relay_set_auto_ack(relay, 0), 0);
        push();
        three_batches();
        ck_assert_ptr_nonnull(next());
        ck_assert_ptr_nonnull(next());
        first = item->cursor;
        ck_assert_ptr_nonnull(next());
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 0);
        ck_assert_int_eq(audit_relay_ack(relay, &first), 0);
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 2);
        first.seq = 8;
        ck_assert_int_eq(audit_relay_ack(relay, &first), 0);
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 8);
        /* What makes no item needs no ack of ours. */
        fake_append(&source, BATCH_ORIGIN_KERNEL, 4, "");
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 12);
        end();
}
END_TEST

START_TEST(whole_batches)
{
        begin();
        ck_assert_int_eq(audit_relay_set_unit(relay, AUDIT_RELAY_BATCH), 0);
        push();
        three_batches();
        ck_assert_ptr_nonnull(next());
        ck_assert_int_eq(item->kind, AUDIT_RELAY_BATCH);
        ck_assert_uint_eq(item->n_records, 2);
        ck_assert_uint_eq(item->first, 1);
        ck_assert_uint_eq(item->last, 2);
        ck_assert_uint_eq(item->cursor.seq, 2);
        ck_assert_mem_eq(item->payload, LINE("USER", 1, "a=1") LINE("USER", 2, "a=2"), item->payload_size);
        ck_assert_ptr_nonnull(next());
        ck_assert_uint_eq(item->first, 8);
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 8);
        end();
}
END_TEST

START_TEST(from_now_on)
{
        begin();
        ck_assert_int_eq(audit_relay_set_start(relay, AUDIT_RELAY_NOW), 0);
        three_batches();
        push();
        ck_assert_ptr_null(next());
        fake_append(&source, BATCH_ORIGIN_KERNEL, 1, LINE("USER", 9, ""));
        assert_record(LINE("USER", 9, ""));
        end();
}
END_TEST

/* --- Gaps --- */

START_TEST(lost_ranges_are_told)
{
        begin();
        push();
        ck_assert_ptr_null(next());
        three_batches();
        source.dropped = 2;
        ck_assert_ptr_nonnull(next());
        ck_assert_int_eq(item->kind, AUDIT_RELAY_GAP);
        ck_assert_uint_eq(item->first, 1);
        ck_assert_uint_eq(item->last, 7);
        ck_assert_str_eq(item->text, "dropped");
        ck_assert_uint_eq(item->cursor.seq, 7);
        assert_record(LINE("USER", 3, "a=3"));
        end();
}
END_TEST

START_TEST(another_stream)
{
        AuditRelayCursor cursor = { .stream = { 1, 2, 3 }, .seq = 99, .checksum = 5 };

        begin();
        ck_assert_int_eq(audit_relay_set_cursor(relay, &cursor), 0);
        push();
        three_batches();
        ck_assert_ptr_nonnull(next());
        ck_assert_int_eq(item->kind, AUDIT_RELAY_GAP);
        ck_assert_uint_eq(item->first, 0);
        ck_assert_uint_eq(item->last, 0);
        ck_assert_str_eq(item->text, "another stream");
        ck_assert_mem_eq(item->cursor.stream, source.stream.bytes, 16);
        assert_record(LINE("USER", 1, "a=1"));
        end();
}
END_TEST

/* The same stream with another past: the dispatcher says so, and the next session begins anew. */
START_TEST(another_past)
{
        AuditRelayCursor cursor = { .seq = 2, .checksum = 5 };
        char address[64];
        int listener = listen_somewhere(address, sizeof address);

        begin();
        memset(cursor.stream, 7, sizeof cursor.stream);
        ck_assert_int_eq(audit_relay_set_cursor(relay, &cursor), 0);
        three_batches();
        ck_assert_int_eq(audit_relay_connect(relay, address), 0);
        fake_begin(&fake, &source, accept_one(listener), true);
        ck_assert_ptr_null(next());
        ck_assert_int_eq(fake.start, LINK_START_CURSOR);
        ck_assert_int_eq(fake.sender.state, LINK_SENDER_ENDED);
        fake_done(&fake);
        ck_assert_int_eq(audit_relay_next(relay, 200 * USEC_PER_MSEC, &item), 0);
        fake_begin(&fake, &source, accept_one(listener), true);
        ck_assert_ptr_nonnull(next());
        ck_assert_int_eq(item->kind, AUDIT_RELAY_GAP);
        assert_record(LINE("USER", 1, "a=1"));
        end();
        close_fd(listener);
        (void) unlink(address);
}
END_TEST

/* --- Connections that break --- */

START_TEST(each_batch_once)
{
        char address[64];
        int listener = listen_somewhere(address, sizeof address);

        begin();
        ck_assert_int_eq(audit_relay_set_auto_ack(relay, 0), 0);
        ck_assert_int_eq(audit_relay_set_filter(relay, "USER EOE"), 0);
        ck_assert_int_eq(audit_relay_set_name(relay, "tester"), 0);
        ck_assert_int_eq(audit_relay_connect(relay, address), 0);
        ck_assert_int_eq(audit_relay_set_name(relay, "late"), -EISCONN);
        three_batches();
        fake_begin(&fake, &source, accept_one(listener), true);
        assert_record(LINE("USER", 1, "a=1"));
        ck_assert_str_eq(fake.filter, "USER EOE");
        ck_assert_str_eq(fake.name, "tester");
        ck_assert_int_eq(fake.start, LINK_START_OLDEST);
        assert_record(LINE("USER", 2, "a=2"));
        ck_assert_int_eq(audit_relay_ack(relay, &item->cursor), 0);
        assert_record(LINE("USER", 3, "a=3"));
        /* Seq 8 is not acked when the connection breaks, and comes again. */
        fake_done(&fake);
        ck_assert_int_eq(audit_relay_next(relay, 200 * USEC_PER_MSEC, &item), 0);
        fake_begin(&fake, &source, accept_one(listener), true);
        fake_append(&source, BATCH_ORIGIN_KERNEL, 1, LINE("USER", 4, ""));
        assert_record(LINE("USER", 4, ""));
        ck_assert_int_eq(fake.start, LINK_START_CURSOR);
        ck_assert_uint_eq(source.released, 7);
        ck_assert_int_eq(audit_relay_ack(relay, &item->cursor), 0);
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 9);
        end();
        close_fd(listener);
        (void) unlink(address);
}
END_TEST

/* What came and is not acked has been dropped meanwhile: the explanation covers it, and what we never saw.
 */
START_TEST(explained_again)
{
        char address[64];
        int listener = listen_somewhere(address, sizeof address);

        begin();
        ck_assert_int_eq(audit_relay_set_auto_ack(relay, 0), 0);
        ck_assert_int_eq(audit_relay_connect(relay, address), 0);
        fake_append(&source, BATCH_ORIGIN_KERNEL, 1, LINE("USER", 1, ""));
        fake_append(&source, BATCH_ORIGIN_KERNEL, 1, LINE("USER", 2, ""));
        fake_begin(&fake, &source, accept_one(listener), true);
        assert_record(LINE("USER", 1, ""));
        AuditRelayCursor first = item->cursor;
        assert_record(LINE("USER", 2, ""));
        fake_done(&fake);
        three_batches();
        source.dropped = 4;
        ck_assert_int_eq(audit_relay_next(relay, 200 * USEC_PER_MSEC, &item), 0);
        fake_begin(&fake, &source, accept_one(listener), true);
        ck_assert_ptr_nonnull(next());
        ck_assert_int_eq(item->kind, AUDIT_RELAY_GAP);
        ck_assert_uint_eq(item->first, 3);
        ck_assert_uint_eq(item->last, 9);
        AuditRelayCursor gap = item->cursor;
        /* In the middle of what is now one explanation: waits for its end. */
        ck_assert_int_eq(audit_relay_ack(relay, &first), 0);
        assert_record(LINE("USER", 3, "a=3"));
        ck_assert_uint_eq(source.released, 0);
        ck_assert_int_eq(audit_relay_ack(relay, &gap), 0);
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 9);
        end();
        close_fd(listener);
        (void) unlink(address);
}
END_TEST

/* A socket that systemd would have made: one dispatcher after the other. */
START_TEST(listening)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char text[64];
        int listener = listen_somewhere(text, sizeof text);

        begin();
        strcpy(address.sun_path, text);
        ck_assert_int_eq(audit_relay_listen(relay, listener), 0);
        three_batches();
        for (unsigned i = 1; i <= 3; i++) {
                int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

                ck_assert_int_eq(connect(fd, (struct sockaddr *) &address, sizeof address), 0);
                fake_begin(&fake, &source, fd, false);
                ck_assert_ptr_nonnull(next());
                ck_assert_uint_eq(item->records->serial, i);
                if (i < 3)
                        fake_done(&fake);
        }
        end();
        (void) unlink(text);
}
END_TEST

START_TEST(a_connection_that_was_handed_over)
{
        begin();
        push();
        three_batches();
        assert_record(LINE("USER", 1, "a=1"));
        fake_done(&fake);
        /* What came before is given out. */
        ck_assert_int_eq(audit_relay_process(relay, &item), 1);
        ck_assert_int_eq(audit_relay_next(relay, USEC_PER_SEC, &item), 1);
        ck_assert_int_eq(audit_relay_next(relay, USEC_PER_SEC, &item), -ECONNRESET);
        ck_assert_str_ne(audit_relay_why(relay), "");
        end();
}
END_TEST

START_TEST(refused)
{
        char address[64];
        int listener = listen_somewhere(address, sizeof address);

        begin();
        ck_assert_int_eq(audit_relay_connect(relay, "/nonexistent/socket"), -ENOENT);
        relay = audit_relay_free(relay);
        ck_assert_int_eq(audit_relay_new(&relay), 0);
        ck_assert_int_eq(audit_relay_connect(relay, address), 0);
        fake_begin(&fake, &source, accept_one(listener), true);
        ck_assert_ptr_null(next());
        ck_assert_int_eq(link_sender_end(&fake.sender, &fake.output, LINK_BYE_NODE, "not you"), 0);
        fake_pump(&fake);
        ck_assert_int_eq(audit_relay_process(relay, &item), -EACCES);
        ck_assert_str_eq(audit_relay_why(relay), "not you");
        ck_assert_int_eq(audit_relay_process(relay, &item), -EACCES);
        end();
        close_fd(listener);
        (void) unlink(address);
}
END_TEST

START_TEST(it_says_goodbye)
{
        begin();
        push();
        three_batches();
        ck_assert_ptr_nonnull(next());
        relay = audit_relay_free(relay);
        fake_pump(&fake);
        ck_assert_uint_eq(fake.n_byes, 1);
        end();
}
END_TEST

/* Nothing but heartbeats: each is answered, or the dispatcher would take us for dead. */
START_TEST(heartbeats)
{
        begin();
        push();
        three_batches();
        while (next())
                ;
        for (unsigned i = 0; i < 3; i++) {
                fake.now_usec += LINK_HEARTBEAT_USEC;
                fake_pump(&fake);
                ck_assert_uint_ne(fake.sender.unacked_usec, USEC_INFINITY);
                ck_assert_ptr_null(next());
                ck_assert_uint_eq(fake.sender.unacked_usec, USEC_INFINITY);
        }
        end();
}
END_TEST

/* Far more than window and buffers: it flows, and in order. */
START_TEST(a_long_stream)
{
        unsigned serial = 0;

        begin();
        push();
        for (unsigned i = 1; i <= 20000; i++) {
                char line[400];

                (void) snprintf(line, sizeof line, "node=host type=USER msg=audit(1.001:%u): %0300d\n", i,
                                0);
                fake_append(&source, BATCH_ORIGIN_KERNEL, 1, line);
        }
        while (serial < 20000) {
                ck_assert_ptr_nonnull(next());
                ck_assert_uint_eq(item->records->serial, ++serial);
        }
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 20000);
        end();
}
END_TEST

/* --- Events --- */

START_TEST(events_and_what_may_be_acked)
{
        begin();
        ck_assert_int_eq(audit_relay_set_unit(relay, AUDIT_RELAY_EVENT), 0);
        push();
        fake_append(&source, BATCH_ORIGIN_KERNEL, 1, LINE("SYSCALL", 1, "a=1"));
        fake_append(&source, BATCH_ORIGIN_KERNEL, 2, LINE("SYSCALL", 2, "a=1") LINE("CWD", 1, ""));
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 0);
        fake_append(&source, BATCH_ORIGIN_KERNEL, 1, LINE("EOE", 1, ""));
        ck_assert_ptr_nonnull(next());
        ck_assert_int_eq(item->kind, AUDIT_RELAY_EVENT);
        ck_assert_int_eq(item->ended, AUDIT_RELAY_COMPLETE);
        ck_assert_uint_eq(item->n_records, 2);
        ck_assert_mem_eq(item->records[1].type, "CWD", 3);
        /* The second batch has a record of an event that is still open. */
        ck_assert_uint_eq(item->cursor.seq, 1);
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 1);
        fake_append(&source, BATCH_ORIGIN_KERNEL, 1, LINE("PROCTITLE", 2, ""));
        ck_assert_ptr_nonnull(next());
        ck_assert_uint_eq(item->cursor.seq, 5);
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 5);
        end();
}
END_TEST

START_TEST(events_with_a_key)
{
        begin();
        ck_assert_int_eq(audit_relay_add_key(relay, "mine"), 0);
        ck_assert_int_eq(audit_relay_set_unit(relay, AUDIT_RELAY_RECORD), -EINVAL);
        push();
        fake_append(&source, BATCH_ORIGIN_KERNEL, 4,
                    LINE("SYSCALL", 1, "key=\"other\"") LINE("EOE", 1, "") LINE("SYSCALL", 2, "key=\"mine\"")
                            LINE("EOE", 2, ""));
        fake_append(&source, BATCH_ORIGIN_KERNEL, 2, LINE("SYSCALL", 3, "key=(null)") LINE("EOE", 3, ""));
        ck_assert_ptr_nonnull(next());
        ck_assert_uint_eq(item->records->serial, 2);
        ck_assert_ptr_null(next());
        ck_assert_uint_eq(source.released, 6);
        end();
}
END_TEST

START_TEST(events_time_out)
{
        begin();
        ck_assert_int_eq(audit_relay_set_unit(relay, AUDIT_RELAY_EVENT), 0);
        ck_assert_int_eq(audit_relay_set_event_limits(relay, 10, 10000, 1000), 0);
        push();
        fake_append(&source, BATCH_ORIGIN_KERNEL, 1, LINE("SYSCALL", 1, ""));
        fake_pump(&fake);
        ck_assert_int_ge(audit_relay_process(relay, &item), 0);
        fake_pump(&fake);
        /* The descriptor itself says when it is time. */
        if (!item)
                ck_assert_int_eq(audit_relay_next(relay, 20 * USEC_PER_SEC, &item), 1);
        ck_assert_int_eq(item->ended, AUDIT_RELAY_TIMED_OUT);
        end();
}
END_TEST

/* --- Commands --- */

START_TEST(commands_are_sent)
{
        uint64_t id;

        begin();
        ck_assert_int_eq(audit_relay_set_commands(relay, AUDIT_RELAY_SEND_COMMANDS), 0);
        push();
        ck_assert_int_eq(audit_relay_command(relay, "log", "MESSAGE=early", 5, NULL), -ENOTCONN);
        ck_assert_ptr_null(next());
        fake.answer_text = "done so";
        ck_assert_int_eq(audit_relay_command(relay, "bad verb", "", 5, NULL), -EINVAL);
        ck_assert_int_eq(audit_relay_command(relay, "log", "PRIORITY=5\nMESSAGE=hello", 5, &id), 0);
        ck_assert_ptr_nonnull(next());
        ck_assert_int_eq(item->kind, AUDIT_RELAY_REPLY);
        ck_assert_uint_eq(item->id, id);
        ck_assert_int_eq(item->status, AUDIT_RELAY_DONE);
        ck_assert_str_eq(item->text, "done so");
        ck_assert_str_eq(fake.command, "log PRIORITY=5\nMESSAGE=hello");
        fake.answer = (LinkReplyStatus) 77;
        ck_assert_int_eq(audit_relay_command(relay, "x-mine", NULL, 5, NULL), 0);
        ck_assert_ptr_nonnull(next());
        ck_assert_int_eq(item->status, AUDIT_RELAY_FAILED);
        end();
}
END_TEST

START_TEST(commands_are_received)
{
        LinkCommand command = { .id = 12,
                                .timeout_sec = 5,
                                .verb = { "block-address", 13 },
                                .arguments = { "ADDRESS=192.0.2.1\nSECONDS=60", 28 } };
        char value[20];

        begin();
        ck_assert_int_eq(audit_relay_set_commands(relay, AUDIT_RELAY_TAKE_COMMANDS), 0);
        push();
        ck_assert_ptr_null(next());
        ck_assert_int_eq(frame_put_command(&fake.output, &command), 0);
        ck_assert_ptr_nonnull(next());
        ck_assert_int_eq(item->kind, AUDIT_RELAY_COMMAND);
        ck_assert_str_eq(item->verb, "block-address");
        ck_assert_int_eq(audit_relay_argument(item, "ADDRESS", value, sizeof value), 9);
        ck_assert_str_eq(value, "192.0.2.1");
        ck_assert_int_eq(audit_relay_argument(item, "SECONDS", value, sizeof value), 2);
        ck_assert_str_eq(value, "60");
        ck_assert_int_eq(audit_relay_argument(item, "SECOND", value, sizeof value), -ENOENT);
        ck_assert_int_eq(audit_relay_argument(item, "ADDRESS", value, 9), -ENOBUFS);
        ck_assert_int_eq(audit_relay_reply(relay, item->id, AUDIT_RELAY_DONE, "blocked"), 0);
        fake_pump(&fake);
        ck_assert_str_eq(fake.reply, "12 0 blocked");
        end();
}
END_TEST

/* Who wants none is not bothered, and the sender is told. */
START_TEST(commands_nobody_wants)
{
        LinkCommand command = { .id = 12, .timeout_sec = 5, .verb = { "log", 3 } };

        begin();
        ck_assert_int_eq(audit_relay_set_commands(relay, AUDIT_RELAY_SEND_COMMANDS), 0);
        push();
        ck_assert_ptr_null(next());
        ck_assert_int_eq(frame_put_command(&fake.output, &command), 0);
        ck_assert_ptr_null(next());
        ck_assert_str_eq(fake.reply, "12 2 ");
        end();
}
END_TEST

/* More than are kept: the rest waits in the socket. */
START_TEST(many_commands)
{
        begin();
        ck_assert_int_eq(audit_relay_set_commands(relay, AUDIT_RELAY_TAKE_COMMANDS), 0);
        push();
        ck_assert_ptr_null(next());
        for (unsigned i = 0; i < 500; i++) {
                LinkCommand command = { .id = i, .verb = { "log", 3 } };

                ck_assert_int_eq(frame_put_command(&fake.output, &command), 0);
        }
        for (unsigned i = 0; i < 500; i++) {
                ck_assert_ptr_nonnull(next());
                ck_assert_uint_eq(item->id, i);
        }
        ck_assert_ptr_null(next());
        end();
}
END_TEST

/* --- Waiting for an answer: the other end is a process of its own --- */

static pid_t dispatcher_process(unsigned answers, const char *text)
{
        pid_t pid;
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid > 0) {
                close_fd(pair[1]);
                ck_assert_int_eq(audit_relay_listen(relay, pair[0]), 0);
                return pid;
        }
        close_fd(pair[0]);
        fake_begin(&fake, &source, pair[1], false);
        while (!fake.ended && fake.n_byes == 0) {
                struct pollfd fd = { .fd = fake.fd, .events = POLLIN };

                fake.answer_text = fake.n_commands < answers ? text : NULL;
                fake_pump(&fake);
                (void) poll(&fd, 1, 10);
        }
        _exit(0);
}

START_TEST(waiting_for_the_answer)
{
        char text[8];

        begin();
        ck_assert_int_eq(audit_relay_set_commands(relay, AUDIT_RELAY_SEND_COMMANDS), 0);
        three_batches();
        dispatcher_process(1, "in good time");
        ck_assert_int_eq(audit_relay_command_wait(relay, "log", "MESSAGE=x", 20, text, sizeof text),
                         AUDIT_RELAY_DONE);
        ck_assert_str_eq(text, "in good");
        /* Nobody answers this one. */
        ck_assert_int_eq(audit_relay_command_wait(relay, "log", "MESSAGE=x", 0, text, sizeof text),
                         -ETIMEDOUT);
        /* Nothing of what came meanwhile is lost. */
        for (unsigned serial = 1; serial <= 3; serial++) {
                ck_assert_int_eq(audit_relay_next(relay, 20 * USEC_PER_SEC, &item), 1);
                ck_assert_uint_eq(item->records->serial, serial);
        }
        relay = audit_relay_free(relay);
        array_done(&source);
}
END_TEST

/* --- Cursors --- */

START_TEST(cursors_as_text)
{
        static const char *const wrong[] = {
                "",
                "x",
                "00112233445566778899aabbccddeeff",
                "00112233445566778899aabbccddeeff:5",
                "00112233445566778899aabbccddeeff:5:123",
                "00112233445566778899aabbccddeeff:-5:0123456789abcdef",
                "00112233445566778899aabbccddeeff:5:0123456789abcdef0",
                "00112233445566778899aabbccddeefg:5:0123456789abcdef",
                "00112233445566778899aabbccddeeff:18446744073709551616:0123456789abcdef",
                " 0112233445566778899aabbccddeeff:5:0123456789abcdef",
                "00112233445566778899aabbccddeeff:5:+123456789abcdef",
        };
        AuditRelayCursor cursor, again;
        char text[AUDIT_RELAY_CURSOR_SIZE];

        for (unsigned i = 0; i < sizeof cursor.stream; i++)
                cursor.stream[i] = (uint8_t) (i * 17);
        cursor.seq = UINT64_MAX;
        cursor.checksum = 0x0123456789abcdef;
        audit_relay_cursor_format(&cursor, text);
        ck_assert_str_eq(text, "00112233445566778899aabbccddeeff:18446744073709551615:0123456789abcdef");
        ck_assert_int_eq(audit_relay_cursor_parse(text, &again), 0);
        ck_assert_mem_eq(&cursor, &again, sizeof cursor);
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                ck_assert_msg(audit_relay_cursor_parse(wrong[i], &again) == -EINVAL, "%s", wrong[i]);
}
END_TEST

START_TEST(cursors_in_files)
{
        AuditRelayCursor cursor = { .seq = 12 }, again;
        char directory[] = "/tmp/test-relay-XXXXXX", path[64], beside[64];
        struct stat st;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        (void) snprintf(path, sizeof path, "%s/cursor", directory);
        (void) snprintf(beside, sizeof beside, "%s/cursor.new", directory);
        ck_assert_int_eq(audit_relay_cursor_load(path, &again), -ENOENT);
        for (unsigned i = 0; i < 3; i++) {
                cursor.seq++;
                ck_assert_int_eq(audit_relay_cursor_save(path, &cursor), 0);
                ck_assert_int_eq(audit_relay_cursor_load(path, &again), 0);
                ck_assert_mem_eq(&cursor, &again, sizeof cursor);
        }
        ck_assert_int_ne(stat(beside, &st), 0);
        ck_assert_int_eq(truncate(path, 20), 0);
        ck_assert_int_eq(audit_relay_cursor_load(path, &again), -EINVAL);
        (void) unlink(path);
        ck_assert_int_eq(rmdir(directory), 0);
        ck_assert_int_eq(audit_relay_cursor_save("/nonexistent/cursor", &cursor), -ENOENT);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("relay");
        TCase *tc = tcase_create("relay");

        tcase_add_test(tc, records_one_by_one);
        tcase_add_test(tc, acked_by_hand);
        tcase_add_test(tc, whole_batches);
        tcase_add_test(tc, from_now_on);
        tcase_add_test(tc, lost_ranges_are_told);
        tcase_add_test(tc, another_stream);
        tcase_add_test(tc, another_past);
        tcase_add_test(tc, each_batch_once);
        tcase_add_test(tc, explained_again);
        tcase_add_test(tc, listening);
        tcase_add_test(tc, a_connection_that_was_handed_over);
        tcase_add_test(tc, refused);
        tcase_add_test(tc, it_says_goodbye);
        tcase_add_test(tc, heartbeats);
        tcase_add_test(tc, a_long_stream);
        tcase_add_test(tc, events_and_what_may_be_acked);
        tcase_add_test(tc, events_with_a_key);
        tcase_add_test(tc, events_time_out);
        tcase_add_test(tc, commands_are_sent);
        tcase_add_test(tc, commands_are_received);
        tcase_add_test(tc, commands_nobody_wants);
        tcase_add_test(tc, many_commands);
        tcase_add_test(tc, waiting_for_the_answer);
        tcase_add_test(tc, cursors_as_text);
        tcase_add_test(tc, cursors_in_files);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
