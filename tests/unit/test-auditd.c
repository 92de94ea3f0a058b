/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* auditd as the source: its stream taken apart, and its socket read by dispatchers that are killed. The real one is in tests/kernel. */

#include "check-main.h"
#include "capture.h"
#include "dispatcher/auditd.h"
#include "dispatcher/auditd-stream.h"
#include "runtime/log.h"

#include <stdio.h>
#include <sys/socket.h>

/* --- The stream --- */

static uint8_t stream_bytes[64 * 1024];
static size_t stream_size;
static AuditdStream stream;
static AuditdMessage message;

static void stream_begin(void)
{
        stream = (AuditdStream) { 0 };
        stream_size = 0;
}

static void put(const void *data, size_t size)
{
        memcpy(stream_bytes + stream_size, data, size);
        stream_size += size;
}

/* What an auditd before 4 has in the rest of a message: bytes of an earlier one, blanks, zeros. */
static void put_filling(size_t size)
{
        static const char text[] = "audit(1.000:1): left over \0\0\0\0";

        for (size_t i = 0; i < size; i++)
                stream_bytes[stream_size++] = (uint8_t) text[i % sizeof text];
}

static void put_binary(uint32_t version, uint32_t type, const char *text, bool filled)
{
        uint32_t header[] = { version, 16, type, (uint32_t) strlen(text) };

        put(header, sizeof header);
        put(text, strlen(text));
        if (filled)
                put_filling(AUDITD_TEXT_MAX - strlen(text));
}

/* Takes the message at `at`, which must be this line. Returns where the next one begins. */
static size_t expect(size_t at, const char *line)
{
        ssize_t n = auditd_stream_next(&stream, stream_bytes + at, stream_size - at, true, &message);
        uint8_t out[RECORD_LINE_MAX];
        uint64_t replaced = 0;
        size_t size;

        ck_assert_int_gt(n, 0);
        ck_assert_int_eq(auditd_message_format(&message, "n1", out, &size, &replaced), RECORD_OK);
        ck_assert_uint_eq(size, strlen(line));
        ck_assert_mem_eq(out, line, size);
        return at + (size_t) n;
}

#define SYSCALL "audit(1.000:7): arch=c000003e syscall=59"
#define SYSCALL_LINE "node=n1 type=SYSCALL msg=" SYSCALL "\n"
#define USER_LINE "node=n1 type=USER_CMD msg=audit(1.000:8): pid=1\n"

START_TEST(text_is_lines)
{
        size_t at;

        stream_begin();
        put("type=SYSCALL msg=" SYSCALL "\n" USER_LINE "type=EOE m", strlen("type=SYSCALL msg=" SYSCALL "\n" USER_LINE "type=EOE m"));
        at = expect(expect(0, SYSCALL_LINE), USER_LINE);
        ck_assert_int_eq(auditd_stream_next(&stream, stream_bytes + at, stream_size - at, true, &message), 0);
}
END_TEST

/* Filled up or not, version 0 and 1. */
START_TEST(binary_is_headers_and_texts)
{
        bool filled = _i;
        size_t at;

        stream_begin();
        put_binary(0, 1300, SYSCALL, filled);
        put_binary(1, 1123, "type=USER_CMD msg=audit(1.000:8): pid=1", filled);
        put_binary(0, 1300, SYSCALL, filled);
        at = expect(expect(expect(0, SYSCALL_LINE), USER_LINE), SYSCALL_LINE);
        ck_assert_uint_eq(at, stream_size);
        ck_assert_int_eq(auditd_stream_next(&stream, stream_bytes, 0, true, &message), 0);
        /* A stream that begins with a single one. */
        stream_begin();
        put_binary(0, 1300, SYSCALL, filled);
        ck_assert_uint_eq(expect(0, SYSCALL_LINE), stream_size);
}
END_TEST

/* However the bytes come, the messages are the same; nothing is given before it is whole. */
START_TEST(binary_may_come_in_pieces)
{
        bool filled = _i;
        size_t one = AUDITD_HEADER_SIZE + (filled ? AUDITD_TEXT_MAX : strlen(SYSCALL));

        stream_begin();
        put_binary(0, 1300, SYSCALL, filled);
        put_binary(0, 1300, SYSCALL, filled);
        for (size_t size = 0; size <= stream_size; size++) {
                AuditdStream piece = { 0 };
                ssize_t n = auditd_stream_next(&piece, stream_bytes, size, false, &message);

                ck_assert(n == 0 || (n == (ssize_t) one && size >= one));
        }
        expect(expect(0, SYSCALL_LINE), SYSCALL_LINE);
}
END_TEST

START_TEST(the_longest_text_fills_itself)
{
        char text[AUDITD_TEXT_MAX + 1];

        memset(text, 'x', sizeof text - 1);
        memcpy(text, SYSCALL " ", strlen(SYSCALL " "));
        text[AUDITD_TEXT_MAX] = '\0';
        for (unsigned n = 1; n <= 3; n++) {
                size_t at = 0;

                stream_begin();
                for (unsigned i = 0; i < n; i++)
                        put_binary(0, 1300, text, false);
                for (unsigned i = 0; i < n; i++)
                        at += (size_t) auditd_stream_next(&stream, stream_bytes + at, stream_size - at, true, &message);
                ck_assert_uint_eq(at, stream_size);
                ck_assert_uint_eq(message.size, AUDITD_TEXT_MAX);
        }
}
END_TEST

START_TEST(what_is_no_header_ends_the_stream)
{
        static const uint32_t bad[][4] = { { 0, 15, 1300, 10 }, { 1, 16, 70000, 10 }, { 0, 16, 1300, AUDITD_TEXT_MAX + 1 },
                                           { 0x200, 16, 1300, 10 } };

        stream_begin();
        put(bad[_i], sizeof bad[_i]);
        put_filling(AUDITD_MESSAGE_MAX);
        ck_assert_int_eq(auditd_stream_next(&stream, stream_bytes, stream_size, true, &message), -EBADMSG);
        ck_assert_int_eq(auditd_stream_next(&stream, stream_bytes, 15, true, &message), 0);
        /* In the midst of it. */
        stream_begin();
        put_binary(0, 1300, SYSCALL, false);
        put_binary(0, 1300, SYSCALL, false);
        put(bad[_i], sizeof bad[_i]);
        put_filling(AUDITD_MESSAGE_MAX);
        stream.filling = AUDITD_NOT_FILLED;
        ck_assert_int_eq(auditd_stream_next(&stream, stream_bytes + expect(expect(0, SYSCALL_LINE), SYSCALL_LINE), 1000, true,
                                            &message), -EBADMSG);
}
END_TEST

START_TEST(a_line_without_end_comes_in_pieces)
{
        stream_begin();
        memset(stream_bytes, 'x', sizeof stream_bytes);
        ck_assert_int_eq(auditd_stream_next(&stream, stream_bytes, RECORD_LINE_MAX - 1, true, &message), 0);
        ck_assert_int_eq(auditd_stream_next(&stream, stream_bytes, sizeof stream_bytes, true, &message), RECORD_LINE_MAX);
        ck_assert_uint_eq(message.size, RECORD_LINE_MAX);
}
END_TEST

START_TEST(types_and_serials_are_found)
{
        static const char line[] = "node=n1 type=UNKNOWN[1399] msg=audit(12.345:678): x\n", named[] = SYSCALL_LINE;
        RecordTime time;
        uint16_t type;

        ck_assert(auditd_line_type((const uint8_t *) line, strlen(line), &type, &time));
        ck_assert_uint_eq(type, 1399);
        ck_assert_uint_eq(time.serial, 678);
        ck_assert(auditd_line_type((const uint8_t *) named, strlen(named), &type, &time));
        ck_assert_uint_eq(type, 1300);
        ck_assert(!auditd_line_type((const uint8_t *) "x", 1, &type, &time));
}
END_TEST

/* --- The socket --- */

static char directory[64];
static Capture capture;
static sd_event *event;
static State *state;
static Ring *ring;
static Auditd *auditd;
static uint64_t n_dropped;
/* auditd's end, and the plugin's, which outlives the dispatcher. */
static int auditd_fd, plugin_fd;
/* The dispatcher is killed instead of its nth call that takes bytes out, or behind it. */
static unsigned kill_before, kill_behind;
static bool killed;

ssize_t __real_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);

ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
        ssize_t n;

        if (flags & MSG_PEEK || killed) {
                if (!killed)
                        return __real_recv(fd, data, size, flags);
                errno = EAGAIN;
                return -1;
        }
        if (kill_before > 0 && --kill_before == 0) {
                killed = true;
                errno = EIO;
                return -1;
        }
        n = __real_recv(fd, data, size, flags);
        if (kill_behind > 0 && --kill_behind == 0) {
                killed = true;
                errno = EIO;
                return -1;
        }
        return n;
}

static void on_published(void *userdata)
{
}

static void on_dropped(uint64_t n, void *userdata)
{
        n_dropped += n;
}

static void start_dispatcher(void)
{
        RingOptions ring_options = { .size = RING_SIZE_MIN, .node = "n1", .stream = { { 1 } } };
        AuditdOptions options = { .published = on_published, .dropped = on_dropped };
        char path[80];
        bool created;

        (void) snprintf(path, sizeof path, "%s/ring", directory);
        ring_options.path = path;
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(state_new(directory, "dispatcher", &state), 0);
        ck_assert_int_eq(ring_open(&ring_options, &ring, &created), 0);
        options.event = event;
        options.ring = ring;
        options.state = state;
        ck_assert_int_eq(auditd_new(&options, &auditd), 0);
        ck_assert_int_eq(auditd_take_socket(auditd, dup(plugin_fd)), 0);
        killed = false;
}

static void stop_dispatcher(void)
{
        auditd = auditd_free(auditd);
        ring = ring_free(ring);
        state = state_free(state);
        event = sd_event_unref(event);
}

static void setup(void)
{
        int fds[2];

        scratch_make(directory);
        capture_begin(&capture);
        log_init("test", LOG_INFO);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        auditd_fd = fds[0];
        plugin_fd = fds[1];
        kill_before = kill_behind = 0;
        n_dropped = 0;
        start_dispatcher();
}

static void teardown(void)
{
        stop_dispatcher();
        auditd_fd = close_fd(auditd_fd);
        plugin_fd = close_fd(plugin_fd);
        (void) capture_end(&capture);
        scratch_remove(directory);
}

/* Until nothing is to be done. */
static void turn(void)
{
        while (sd_event_run(event, 0) > 0)
                ;
}

/* As auditd writes all its records, one call each. */
enum { TEXT, BINARY, FILLED, _FORMATS };

static void write_record(unsigned number, int format)
{
        char text[64];

        stream_begin();
        (void) snprintf(text, sizeof text, "%saudit(1.000:%u): n=%u.%s", format == TEXT ? "type=SYSCALL msg=" : "", number, number,
                        format == TEXT ? "\n" : "");
        if (format == TEXT)
                put(text, strlen(text));
        else
                put_binary(0, 1300, text, format == FILLED);
        ck_assert_int_eq(send(auditd_fd, stream_bytes, stream_size, MSG_DONTWAIT), (ssize_t) stream_size);
}

/* All that is in the ring, one after the other. */
static const char *contents(void)
{
        static char out[256 * 1024];
        Source *source = ring_source(ring, "reader", false);
        Cursor cursor = { { 0, 0 } };
        uint64_t seq = 1;
        size_t size = 0;
        Batch batch;

        for (; source->get(source, seq, &cursor, &batch) > 0; seq = batch.last + 1) {
                ck_assert_int_eq(batch.origin, BATCH_ORIGIN_KERNEL);
                memcpy(out + size, batch.payload, batch.size);
                size += batch.size;
        }
        out[size] = '\0';
        ring_source_free(ring, source);
        return out;
}

/* Numbered records from 0 on, each once, in order. */
static void check_records(unsigned n)
{
        char expected[128], *text = strdup(contents());
        const char *p = text;

        for (unsigned i = 0; i < n; i++) {
                int size = snprintf(expected, sizeof expected, "node=n1 type=SYSCALL msg=audit(1.000:%u): n=%u.\n", i, i);

                ck_assert_msg(strncmp(p, expected, (size_t) size) == 0, "not %sbut %.100s", expected, p);
                p += size;
        }
        ck_assert_str_eq(p, "");
        free(text);
}

START_TEST(what_auditd_writes_is_in_the_ring)
{
        for (unsigned i = 0; i < 100; i++) {
                write_record(i, _i);
                if (i % 7 == 0)
                        turn();
        }
        turn();
        check_records(100);
        ck_assert_uint_eq(auditd_counters(auditd)->records, 100);
        ck_assert(auditd_counters(auditd)->connected);
        auditd_fd = close_fd(auditd_fd);
        turn();
        ck_assert(!auditd_counters(auditd)->connected);
}
END_TEST

/* Killed between publishing and taking out, or behind it, again and again. */
START_TEST(a_kill_loses_and_repeats_nothing)
{
        unsigned written = 0;

        for (unsigned life = 0; life < 60; life++) {
                for (unsigned i = 0; i <= life % 4; i++)
                        write_record(written++, _i);
                kill_before = life % 3 == 0 ? 1 : 0;
                kill_behind = life % 3 == 1 ? 1 : 0;
                turn();
                ck_assert_msg(killed == (life % 3 != 2), "life %u", life);
                if (life % 5 == 0)
                        write_record(written++, _i);
                stop_dispatcher();
                start_dispatcher();
        }
        turn();
        check_records(written);
}
END_TEST

START_TEST(a_message_may_have_to_wait_for_its_end)
{
        static const char line[] = "type=SYSCALL msg=audit(1.000:0): n=0.\n",
                          more[] = "type=SYSCALL msg=audit(1.000:1): n=1.\ntype=SYSC", rest[] = "ALL msg=audit(1.000:2): n=2.\n";

        for (size_t i = 0; i < strlen(line); i++) {
                ck_assert_str_eq(contents(), "");
                ck_assert_int_eq(send(auditd_fd, line + i, 1, 0), 1);
                turn();
        }
        check_records(1);
        /* Behind one that is whole. */
        ck_assert_int_gt(send(auditd_fd, more, strlen(more), 0), 0);
        turn();
        check_records(2);
        ck_assert_int_gt(send(auditd_fd, rest, strlen(rest), 0), 0);
        turn();
        check_records(3);
}
END_TEST

START_TEST(what_is_no_record_of_this_node_is_stored_escaped)
{
        static const char foreign[] = "node=other type=SYSCALL msg=audit(1.000:1): x\nnonsense\n";

        ck_assert_int_gt(send(auditd_fd, foreign, strlen(foreign), 0), 0);
        turn();
        ck_assert_ptr_nonnull(strstr(contents(), "op=relay-refused fault=\"foreign\\x20node\" peer=auditd size=45"));
        ck_assert_ptr_nonnull(strstr(contents(), "line=\"nonsense\""));
        ck_assert_uint_eq(auditd_counters(auditd)->refused, 2);
        /* A line that auditd did not end. */
        ck_assert_int_gt(send(auditd_fd, "type=SYSCALL", 12, 0), 0);
        auditd_fd = close_fd(auditd_fd);
        turn();
        ck_assert_ptr_nonnull(strstr(contents(), "line=\"type\\x3dSYSCALL\""));
        ck_assert(!auditd_counters(auditd)->connected);
}
END_TEST

START_TEST(a_broken_stream_ends_and_is_kept)
{
        stream_begin();
        put_binary(5, 1300, SYSCALL, false);
        put_binary(0, 1300, SYSCALL, true);
        stream_bytes[0] = 1;
        stream_bytes[4] = 9;
        ck_assert_int_gt(send(auditd_fd, stream_bytes, stream_size, 0), 0);
        turn();
        ck_assert_ptr_nonnull(strstr(contents(), "op=relay-refused"));
        ck_assert(!auditd_counters(auditd)->connected);
        ck_assert_int_eq(send(plugin_fd, "", 0, 0), 0);
}
END_TEST

/* The subscriber that the ring waits for is away: auditd is read on, and what finds no room is counted by type. */
START_TEST(a_full_ring_is_read_on_and_counts)
{
        Source *awaited = ring_source(ring, "remote", true);
        unsigned written = 0;
        char text[8000];

        memset(text, 'x', sizeof text);
        while (n_dropped < 100) {
                memcpy(text, "type=SYSCALL msg=audit(1.000:1): ", 33);
                text[sizeof text - 1] = '\n';
                ck_assert_int_eq(send(auditd_fd, text, sizeof text, 0), sizeof text);
                written++;
                turn();
        }
        ck_assert_uint_eq(ring_state(ring)->dropped, n_dropped);
        ck_assert_uint_eq(ring_state(ring)->n_dropped_types, 1);
        ck_assert_uint_eq(ring_state(ring)->dropped_types[0].type, 1300);
        ck_assert_uint_eq(auditd_counters(auditd)->records + n_dropped, written);
        ring_source_free(ring, awaited);
}
END_TEST

/* --- The plugin's connection --- */

static void greet(const void *text, size_t size, int fd, const char *answer)
{
        struct iovec part = { (void *) (uintptr_t) text, size };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
        struct msghdr greeting = { .msg_iov = &part, .msg_iovlen = 1 };
        char reply[256];
        ssize_t n;
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        if (fd >= 0) {
                memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
                greeting.msg_control = &control;
                greeting.msg_controllen = sizeof control;
        }
        ck_assert_int_eq(sendmsg(pair[0], &greeting, 0), (ssize_t) size);
        auditd_take_plugin(auditd, pair[1]);
        n = recv(pair[0], reply, sizeof reply - 1, MSG_PEEK | MSG_DONTWAIT);
        ck_assert_int_gt(n, 0);
        reply[n] = '\0';
        ck_assert_msg(strstr(reply, geteuid() == 0 ? answer : "only root"), "%s", reply);
        close_fd(pair[0]);
}

START_TEST(the_plugin_hands_over_one_stream_socket)
{
        int fds[2], datagram[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram), 0);
        greet(AUDITD_GREETING, strlen(AUDITD_GREETING), fds[0], "another auditd");
        auditd_fd = close_fd(auditd_fd);
        turn();
        ck_assert(!auditd_counters(auditd)->connected);
        greet(AUDITD_GREETING, strlen(AUDITD_GREETING), -1, "no descriptor");
        greet("AUDITD 2\n", 9, fds[0], "not a greeting");
        greet(AUDITD_GREETING, strlen(AUDITD_GREETING), datagram[0], "no Unix stream socket");
        ck_assert(!auditd_counters(auditd)->connected);
        greet(AUDITD_GREETING, strlen(AUDITD_GREETING), fds[0], "ok\n");
        ck_assert_int_eq(auditd_counters(auditd)->connected, geteuid() == 0);
        auditd_refuse(auditd, "because");
        greet(AUDITD_GREETING, strlen(AUDITD_GREETING), fds[0], "because");
        close_fd(fds[0]);
        close_fd(fds[1]);
        close_fd(datagram[0]);
        close_fd(datagram[1]);
}
END_TEST

int main(void)
{
        Suite *s = suite_create("auditd");
        TCase *pure = tcase_create("stream"), *socket_case = tcase_create("socket");

        tcase_add_test(pure, text_is_lines);
        tcase_add_loop_test(pure, binary_is_headers_and_texts, 0, 2);
        tcase_add_loop_test(pure, binary_may_come_in_pieces, 0, 2);
        tcase_add_test(pure, the_longest_text_fills_itself);
        tcase_add_loop_test(pure, what_is_no_header_ends_the_stream, 0, 4);
        tcase_add_test(pure, a_line_without_end_comes_in_pieces);
        tcase_add_test(pure, types_and_serials_are_found);
        suite_add_tcase(s, pure);
        tcase_add_checked_fixture(socket_case, setup, teardown);
        tcase_add_loop_test(socket_case, what_auditd_writes_is_in_the_ring, 0, _FORMATS);
        tcase_add_loop_test(socket_case, a_kill_loses_and_repeats_nothing, 0, _FORMATS);
        tcase_add_test(socket_case, a_message_may_have_to_wait_for_its_end);
        tcase_add_test(socket_case, what_is_no_record_of_this_node_is_stored_escaped);
        tcase_add_test(socket_case, a_broken_stream_ends_and_is_kept);
        tcase_add_test(socket_case, a_full_ring_is_read_on_and_counts);
        tcase_add_test(socket_case, the_plugin_hands_over_one_stream_socket);
        suite_add_tcase(s, socket_case);
        return check_main(s);
}
