/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A producer and the dispatcher's receiving end. */

#include "check-main.h"
#include "lib/audit-relay.h"
#include "link/link-receiver.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define RECORD "type=USER msg=audit(1700000000.123:7): hello"

static char address_text[64];
static int listener = -EBADF, fd = -EBADF;
static LinkReceiver receiver;
static Buffer input, output;
static AuditRelayProducer *producer;
static const char *node = "host";
static bool acking;
static uint64_t last, last_checksum;
static char lines[100000];

static void on_hello(LinkReceiver *r, const LinkHello *hello)
{
        ck_assert_int_eq(link_receiver_welcome(r, &output, last, last_checksum, "peer", node), 0);
}

static int on_batch(LinkReceiver *r, const Batch *batch)
{
        if (batch_is_heartbeat(batch))
                return 0;
        ck_assert_uint_lt(strlen(lines) + batch->size, sizeof lines);
        strncat(lines, (const char *) batch->payload, batch->size);
        last = batch->last;
        last_checksum = batch->checksum;
        return acking ? link_receiver_ack(r, &output, batch->last, r->bytes_received) : 0;
}

static const LinkReceiverHandler handler = { .hello = on_hello, .batch = on_batch };

static void begin(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        (void) snprintf(address_text, sizeof address_text, "/tmp/test-producer-%d", (int) getpid());
        (void) unlink(address_text);
        strcpy(address.sun_path, address_text);
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(listener, (struct sockaddr *) &address, sizeof address), 0);
        ck_assert_int_eq(listen(listener, 8), 0);
        ck_assert_int_eq(audit_relay_producer_new(address_text, &producer), 0);
        acking = true;
}

static void hang_up(void)
{
        fd = close_fd(fd);
        link_receiver_done(&receiver);
        buffer_done(&input);
        buffer_done(&output);
}

static void end(void)
{
        producer = audit_relay_producer_free(producer);
        hang_up();
        listener = close_fd(listener);
        (void) unlink(address_text);
}

static void pump(void)
{
        ssize_t n;

        if (fd < 0) {
                fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0)
                        return;
                input = BUFFER_INIT(4 * LINK_FRAME_MAX);
                output = BUFFER_INIT(4 * LINK_FRAME_MAX);
                link_receiver_init(&receiver, &handler, LINK_WINDOW_DEFAULT, 0);
        }
        n = recv(fd, buffer_reserve(&input, LINK_FRAME_MAX), LINK_FRAME_MAX, 0);
        if (n > 0) {
                buffer_extend(&input, (size_t) n);
                n = link_receiver_feed(&receiver, buffer_head(&input), buffer_size(&input), &output);
                ck_assert_msg(n >= 0, "%s", receiver.why);
                buffer_consume(&input, (size_t) n);
        }
        n = buffer_size(&output) > 0 ? send(fd, buffer_head(&output), buffer_size(&output), MSG_NOSIGNAL)
                                     : 0;
        if (n > 0)
                buffer_consume(&output, (size_t) n);
}

static void turn(void)
{
        for (unsigned i = 0; i < 6; i++) {
                pump();
                ck_assert_int_eq(audit_relay_producer_process(producer), 0);
        }
}

static int produce(const char *line)
{
        return audit_relay_producer_send(producer, line, strlen(line));
}

START_TEST(records_are_acked)
{
        begin();
        ck_assert_int_eq(produce(RECORD), -EAGAIN);
        turn();
        ck_assert_int_eq(produce(RECORD), 0);
        ck_assert_int_eq(produce("node=host " RECORD), 0);
        ck_assert_uint_eq(audit_relay_producer_pending(producer), 2);
        ck_assert_int_eq(produce("node=other " RECORD), -EBADMSG);
        ck_assert_int_eq(produce("hello"), -EBADMSG);
        ck_assert_str_eq(audit_relay_producer_why(producer), "no audit record");
        turn();
        ck_assert_uint_eq(audit_relay_producer_pending(producer), 0);
        ck_assert_str_eq(lines, "node=host " RECORD "\nnode=host " RECORD "\n");
        ck_assert_int_eq(audit_relay_producer_flush(producer, 0), 0);
        end();
}
END_TEST

START_TEST(what_is_not_acked_comes_again)
{
        begin();
        turn();
        acking = false;
        ck_assert_int_eq(produce(RECORD), 0);
        turn();
        ck_assert_uint_eq(audit_relay_producer_pending(producer), 1);
        ck_assert_int_eq(audit_relay_producer_flush(producer, 0), -ETIMEDOUT);
        /* The dispatcher dies, and with it what it had not acked. */
        hang_up();
        last = last_checksum = 0;
        lines[0] = '\0';
        acking = true;
        ck_assert_int_eq(audit_relay_producer_flush(producer, 300 * USEC_PER_MSEC), -ETIMEDOUT);
        turn();
        ck_assert_str_eq(lines, "node=host " RECORD "\n");
        ck_assert_uint_eq(audit_relay_producer_pending(producer), 0);
        end();
}
END_TEST

START_TEST(the_queue_is_bounded)
{
        static char line[9000];
        unsigned n = 0;

        begin();
        turn();
        acking = false;
        memset(line, 'x', sizeof line - 1);
        memcpy(line, RECORD, strlen(RECORD));
        while (produce(line) == 0) {
                ck_assert_uint_lt(++n, 1000);
        }
        ck_assert_uint_gt(n, 100);
        ck_assert_int_eq(produce(line), -EAGAIN);
        end();
}
END_TEST

START_TEST(another_node)
{
        begin();
        turn();
        acking = false;
        ck_assert_int_eq(produce(RECORD), 0);
        turn();
        hang_up();
        node = "other";
        ck_assert_int_eq(audit_relay_producer_flush(producer, 300 * USEC_PER_MSEC), -ETIMEDOUT);
        pump();
        (void) audit_relay_producer_process(producer);
        pump();
        ck_assert_int_eq(audit_relay_producer_process(producer), -EBADMSG);
        ck_assert_int_eq(audit_relay_producer_process(producer), -EBADMSG);
        end();
}
END_TEST

START_TEST(nobody_there)
{
        ck_assert_int_eq(audit_relay_producer_new("/nonexistent/input", &producer), -ENOENT);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("producer");
        TCase *tc = tcase_create("producer");

        tcase_add_test(tc, records_are_acked);
        tcase_add_test(tc, what_is_not_acked_comes_again);
        tcase_add_test(tc, the_queue_is_bounded);
        tcase_add_test(tc, another_node);
        tcase_add_test(tc, nobody_there);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
