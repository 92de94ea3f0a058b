/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients of the two sockets, on a ring of their own. */

#include "capture.h"
#include "check-main.h"
#include "dispatcher/pull.h"
#include "link/link-receiver.h"
#include "record/record.h"
#include "runtime/listen.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Far more than anything here takes; reached only by a failure. */
#define PATIENCE_USEC (20 * USEC_PER_SEC)
#define CLIENTS 6

typedef struct Client {
        int fd;
        LinkReceiver receiver;
        Buffer input, output;
        LinkStart start;
        uint64_t last;       /* LINK_START_CURSOR: what it has */
        uint64_t welcomed;   /* behind what it began */
        bool connected, eof;
        char text[65536];    /* of the records it got, or of lines */
        uint64_t lost;
        LinkByeCode bye;
        char why[4096];
} Client;

static char directory[64], subscribe_path[128], lines_path[128];
static sd_event *event;
static Ring *ring;
static Pull *pull;
static Commands *commands;
static Client clients[CLIENTS];
static uint64_t n_records;

/* --- Clients --- */

static Client *client_of(LinkReceiver *receiver)
{
        return container_of(receiver, Client, receiver);
}

static void on_hello(LinkReceiver *receiver, const LinkHello *hello)
{
        Client *client = client_of(receiver);

        ck_assert_int_eq(hello->role, LINK_ROLE_SENDER);
        if (client->start == LINK_START_NOW)
                client->welcomed = hello->newest;
        else if (client->start == LINK_START_OLDEST)
                client->welcomed = hello->oldest - 1;
        else
                client->welcomed = client->last;
        ck_assert_int_eq(link_receiver_welcome(receiver, &client->output, client->welcomed, 0, "client", ""), 0);
        client->connected = true;
}

static int on_batch(LinkReceiver *receiver, const Batch *batch)
{
        Client *client = client_of(receiver);

        if (batch->reason == BATCH_LOST)
                client->lost += batch_range(batch);
        else if (strlen(client->text) + batch->size < sizeof client->text) /* more is nobody's expectation */
                strncat(client->text, (const char *) batch->payload, batch->size);
        client->last = batch->last;
        return link_receiver_ack(receiver, &client->output, batch->last, receiver->bytes_received);
}

static void on_bye(LinkReceiver *receiver, const LinkBye *bye)
{
        Client *client = client_of(receiver);

        client->bye = bye->code;
        (void) snprintf(client->why, sizeof client->why, "%.*s", (int) bye->reason.size, bye->reason.data);
}

static const LinkReceiverHandler receiver_handler = { .hello = on_hello, .batch = on_batch, .bye = on_bye };

static void connect_to(Client *client, const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        ck_assert_uint_lt(strlen(path), sizeof address.sun_path);
        strcpy(address.sun_path, path);
        client->bye = _LINK_BYE_MAX;
        client->input = BUFFER_INIT(4 * LINK_FRAME_MAX);
        client->output = BUFFER_INIT(LINK_FRAME_MAX);
        client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(client->fd, 0);
        ck_assert_int_eq(connect(client->fd, (struct sockaddr *) &address, sizeof address), 0);
        link_receiver_init(&client->receiver, &receiver_handler, LINK_WINDOW_DEFAULT, 0);
}

static void subscribe(Client *client, LinkStart start, const char *filter)
{
        LinkHello hello = { .node = link_string("client"), .filter = link_string(filter), .start = start };

        connect_to(client, subscribe_path);
        client->start = start;
        ck_assert_int_eq(link_receiver_subscribe(&client->receiver, &client->output, &hello), 0);
}

static void leave(Client *client)
{
        if (client->fd >= 0) {
                link_receiver_done(&client->receiver);
                buffer_done(&client->input);
                buffer_done(&client->output);
        }
        close_fd(client->fd);
        *client = (Client) { .fd = -EBADF };
}

/* One that speaks the link. */
static void pump(Client *client)
{
        uint8_t *space = buffer_reserve(&client->input, LINK_FRAME_MAX);
        ssize_t n;

        ck_assert_ptr_nonnull(space);
        if (buffer_size(&client->output) > 0) {
                n = send(client->fd, buffer_head(&client->output), buffer_size(&client->output), MSG_NOSIGNAL);
                if (n > 0)
                        buffer_consume(&client->output, (size_t) n);
        }
        n = recv(client->fd, space, LINK_FRAME_MAX, 0);
        client->eof = client->eof || n == 0 || (n < 0 && errno == ECONNRESET);
        if (n <= 0)
                return;
        buffer_extend(&client->input, (size_t) n);
        n = link_receiver_feed(&client->receiver, buffer_head(&client->input), buffer_size(&client->input),
                               &client->output);
        ck_assert_int_ge(n, 0);
        buffer_consume(&client->input, (size_t) n);
}

/* One of lines. */
static void read_lines(Client *client)
{
        size_t size = strlen(client->text);
        ssize_t n = recv(client->fd, client->text + size, sizeof client->text - 1 - size, 0);

        client->eof = client->eof || n == 0 || (n < 0 && errno == ECONNRESET);
}

#define RUN_UNTIL(condition, step)                                      \
        do {                                                            \
                uint64_t _end = monotonic_usec() + PATIENCE_USEC;       \
                while (!(condition)) {                                  \
                        ck_assert_uint_lt(monotonic_usec(), _end);      \
                        ck_assert_int_ge(sd_event_run(event, 1000), 0); \
                        step;                                           \
                }                                                       \
        } while (false)

/* --- The ring --- */

/* Record n. */
static const char *record(uint64_t n)
{
        static char line[200];

        (void) snprintf(line, sizeof line, "node=host type=%s msg=audit(1700000000.000:%" PRIu64 "): n=%" PRIu64 "\n",
                        n % 2 ? "SYSCALL" : "AVC", n, n);
        return line;
}

static void publish_one(void)
{
        const char *line = record(++n_records);
        uint8_t *out = ring_begin(ring, strlen(line), false);

        ck_assert_ptr_nonnull(out);
        memcpy(out, line, strlen(line));
        ring_seal(ring, strlen(line), 1, BATCH_ORIGIN_KERNEL);
        ring_publish(ring);
        pull_wake(pull);
}

static void publish(unsigned n)
{
        while (n-- > 0)
                publish_one();
}

static void make(uint64_t clients_max, uint64_t user_clients_max)
{
        PullOptions options = {
                .event = event,
                .ring = ring,
                .commands = commands,
                .clients_max = clients_max,
                .user_clients_max = user_clients_max,
        };
        int fd;

        ck_assert_int_eq(pull_new(&options, &pull), 0);
        fd = listen_unix(subscribe_path, 0600);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(pull_listen(pull, fd, false), 0);
        fd = listen_unix(lines_path, 0600);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(pull_listen(pull, fd, true), 0);
}

static void on_published(void *userdata)
{
        pull_wake(pull);
}

static void setup(void)
{
        char path[128];
        RingOptions options = { .path = path, .size = RING_SIZE_MIN, .node = "host", .stream = { { 1 } } };
        CommandsOptions commands_options = { .monotonic_usec = monotonic_usec, .published = on_published };
        bool created;

        scratch_make(directory);
        (void) snprintf(path, sizeof path, "%s/ring", directory);
        (void) snprintf(subscribe_path, sizeof subscribe_path, "%s/subscribe", directory);
        (void) snprintf(lines_path, sizeof lines_path, "%s/lines", directory);
        ck_assert_int_ge(sd_event_new(&event), 0);
        ck_assert_int_eq(ring_open(&options, &ring, &created), 0);
        commands_options.event = event;
        commands_options.ring = ring;
        ck_assert_int_eq(commands_new(&commands_options, &commands), 0);
        for (unsigned i = 0; i < CLIENTS; i++)
                clients[i] = (Client) { .fd = -EBADF };
        n_records = 0;
}

static void teardown(void)
{
        for (unsigned i = 0; i < CLIENTS; i++)
                leave(&clients[i]);
        pull = pull_free(pull);
        commands = commands_free(commands);
        ring = ring_free(ring);
        event = sd_event_unref(event);
        scratch_remove(directory);
}

/* Records first..last, each once, in order. */
static void expect_records(Client *client, uint64_t first, uint64_t last)
{
        const char *text = client->text;

        for (uint64_t i = first; i <= last; i++) {
                const char *line = record(i);

                ck_assert_msg(strncmp(text, line, strlen(line)) == 0, "record %" PRIu64 ": %.60s", i, text);
                text += strlen(line);
        }
        ck_assert_str_eq(text, "");
}

/* --- Tests --- */

START_TEST(each_begins_where_it_says)
{
        make(10, 10);
        publish(5);
        subscribe(&clients[0], LINK_START_NOW, "");
        subscribe(&clients[1], LINK_START_OLDEST, "");
        clients[2].last = 3;
        subscribe(&clients[2], LINK_START_CURSOR, "");
        RUN_UNTIL(clients[0].connected && clients[1].connected && clients[2].connected,
                  for (unsigned i = 0; i < 3; i++) pump(&clients[i]));
        publish(2);
        RUN_UNTIL(clients[0].last == 7 && clients[1].last == 7 && clients[2].last == 7,
                  for (unsigned i = 0; i < 3; i++) pump(&clients[i]));
        expect_records(&clients[0], 6, 7);
        expect_records(&clients[1], 1, 7);
        expect_records(&clients[2], 4, 7);
}
END_TEST

START_TEST(a_cursor_goes_on_where_it_left)
{
        make(10, 10);
        publish(3);
        subscribe(&clients[0], LINK_START_OLDEST, "");
        RUN_UNTIL(clients[0].last == 3, pump(&clients[0]));
        leave(&clients[0]);
        publish(3);
        clients[0].last = 3;
        subscribe(&clients[0], LINK_START_CURSOR, "");
        RUN_UNTIL(clients[0].last == 6, pump(&clients[0]));
        expect_records(&clients[0], 4, 6);
}
END_TEST

START_TEST(filters)
{
        make(10, 10);
        publish(4);
        subscribe(&clients[0], LINK_START_OLDEST, "AVC");
        RUN_UNTIL(clients[0].last == 4, pump(&clients[0]));
        ck_assert_ptr_null(strstr(clients[0].text, "SYSCALL"));
        ck_assert_ptr_nonnull(strstr(clients[0].text, "n=2\n"));
        ck_assert_ptr_nonnull(strstr(clients[0].text, "n=4\n"));

        subscribe(&clients[1], LINK_START_OLDEST, "AVC no-such-type");
        RUN_UNTIL(clients[1].eof, pump(&clients[1]));
        ck_assert_int_eq(clients[1].bye, LINK_BYE_PROTOCOL);
        ck_assert_ptr_nonnull(strstr(clients[1].why, "no-such-type"));
        ck_assert(!clients[1].connected);
}
END_TEST

START_TEST(what_the_ring_went_past_is_told)
{
        make(10, 10);
        subscribe(&clients[0], LINK_START_OLDEST, "");
        RUN_UNTIL(clients[0].connected, pump(&clients[0]));
        publish(1);
        RUN_UNTIL(clients[0].last == 1, pump(&clients[0]));
        leave(&clients[0]);
        publish(200000);
        clients[0].last = 1;
        subscribe(&clients[0], LINK_START_CURSOR, "");
        RUN_UNTIL(clients[0].lost > 0, pump(&clients[0]));
        ck_assert_uint_gt(clients[0].lost, 1000);
        ck_assert_uint_lt(clients[0].lost, 200000);
}
END_TEST

START_TEST(lines_are_text_from_now_on)
{
        make(10, 10);
        publish(3);
        connect_to(&clients[0], lines_path);
        connect_to(&clients[1], lines_path);
        for (unsigned i = 0; i < 5; i++)
                ck_assert_int_ge(sd_event_run(event, 1000), 0);
        publish(3);
        RUN_UNTIL(strstr(clients[0].text, "n=6\n"), read_lines(&clients[0]));
        RUN_UNTIL(strstr(clients[1].text, "n=6\n"), read_lines(&clients[1]));
        expect_records(&clients[0], 4, 6);
        expect_records(&clients[1], 4, 6);
}
END_TEST

START_TEST(a_reader_of_lines_that_does_not_read_gets_a_gap)
{
        char *gap, *end;
        uint64_t first = 0, last = 0, lost = 0, next;
        RecordPrefix prefix;

        make(10, 10);
        connect_to(&clients[0], lines_path);
        connect_to(&clients[1], lines_path);
        for (unsigned i = 0; i < 5; i++)
                ck_assert_int_ge(sd_event_run(event, 1000), 0);
        for (unsigned i = 0; i < 200; i++) {
                publish(1000);
                for (unsigned j = 0; j < 3; j++) {
                        clients[1].text[0] = '\0';
                        ck_assert_int_ge(sd_event_run(event, 0), 0);
                        read_lines(&clients[1]);
                        ck_assert_ptr_null(strstr(clients[1].text, "DAEMON_ERR"));
                }
        }
        /* Reads as much as there was before it, then what is lost, and goes on. */
        RUN_UNTIL(strstr(clients[0].text, "DAEMON_ERR") && strchr(strstr(clients[0].text, "DAEMON_ERR"), '\n'), {
                if (strlen(clients[0].text) > sizeof clients[0].text / 2) {
                        char *keep = strrchr(clients[0].text, '\n') + 1;

                        memmove(clients[0].text, keep, strlen(keep) + 1);
                }
                read_lines(&clients[0]);
        });
        gap = strstr(clients[0].text, "node=host type=DAEMON_ERR");
        ck_assert_ptr_nonnull(gap);
        ck_assert(gap == clients[0].text || gap[-1] == '\n');
        end = strchr(gap, '\n') + 1;
        ck_assert_int_eq(record_check((uint8_t *) gap, (size_t) (end - gap), "host"), RECORD_OK);
        ck_assert_ptr_nonnull(strstr(gap, " where=subscriber reason=overflow "));
        ck_assert_int_eq(sscanf(strstr(gap, " lost="), " lost=%" SCNu64, &lost), 1);
        ck_assert_int_eq(sscanf(strstr(gap, " first="), " first=%" SCNu64 " last=%" SCNu64, &first, &last), 2);
        ck_assert_uint_eq(lost, last - first + 1);
        RUN_UNTIL(strchr(end, '\n'), read_lines(&clients[0]));
        ck_assert_int_eq(record_parse((uint8_t *) end, strlen(end), &prefix), RECORD_OK);
        next = prefix.time.serial;
        ck_assert_uint_eq(next, last + 1);
}
END_TEST

START_TEST(too_many_are_turned_away)
{
        make(3, 10);
        for (unsigned i = 0; i < 3; i++)
                subscribe(&clients[i], LINK_START_NOW, "");
        RUN_UNTIL(clients[0].connected && clients[1].connected && clients[2].connected,
                  for (unsigned i = 0; i < 3; i++) pump(&clients[i]));
        subscribe(&clients[3], LINK_START_NOW, "");
        connect_to(&clients[4], lines_path);
        RUN_UNTIL(clients[3].eof, pump(&clients[3]));
        ck_assert_int_eq(clients[3].bye, LINK_BYE_OVERLOAD);
        RUN_UNTIL(clients[4].eof, read_lines(&clients[4]));
        /* One leaves, one comes. */
        leave(&clients[0]);
        leave(&clients[3]);
        for (unsigned i = 0; i < 20; i++)
                ck_assert_int_ge(sd_event_run(event, 1000), 0);
        subscribe(&clients[3], LINK_START_NOW, "");
        RUN_UNTIL(clients[3].connected, pump(&clients[3]));
}
END_TEST

START_TEST(of_one_user_too)
{
        make(10, 2);
        for (unsigned i = 0; i < 3; i++)
                subscribe(&clients[i], LINK_START_NOW, "");
        RUN_UNTIL(clients[0].connected && clients[1].connected && clients[2].eof,
                  for (unsigned i = 0; i < 3; i++) pump(&clients[i]));
        ck_assert_int_eq(clients[2].bye, LINK_BYE_OVERLOAD);
}
END_TEST

/* Reading is all it may. */
START_TEST(a_client_that_sends_records_is_ended)
{
        Batch batch = { .first = 1, .last = 1, .count = 1, .origin = BATCH_ORIGIN_KERNEL };
        const char *line = "node=host type=SYSCALL msg=audit(1.000:1): forged\n";
        RingStatus before, after;

        make(10, 10);
        publish(1);
        batch.payload = (const uint8_t *) line;
        batch.size = (uint32_t) strlen(line);
        batch_seal(&batch);
        subscribe(&clients[0], LINK_START_NOW, "");
        RUN_UNTIL(clients[0].connected, pump(&clients[0]));
        ring_status(ring, &before);
        ck_assert_int_eq(frame_put_batch(&clients[0].output, &batch), 0);
        RUN_UNTIL(clients[0].eof, pump(&clients[0]));
        ck_assert_int_eq(clients[0].bye, LINK_BYE_PROTOCOL);
        connect_to(&clients[1], lines_path);
        ck_assert_int_eq(send(clients[1].fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
        for (unsigned i = 0; i < 20; i++)
                ck_assert_int_ge(sd_event_run(event, 1000), 0);
        ring_status(ring, &after);
        ck_assert_uint_eq(after.newest, before.newest);
}
END_TEST

START_TEST(stopped_it_lets_them_wait)
{
        make(10, 10);
        pull_stop(pull);
        subscribe(&clients[0], LINK_START_NOW, "");
        for (unsigned i = 0; i < 20; i++) {
                ck_assert_int_ge(sd_event_run(event, 1000), 0);
                pump(&clients[0]);
                pull_tick(pull);
        }
        ck_assert(!clients[0].connected && !clients[0].eof);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("pull");
        TCase *tcase = tcase_create("all");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, each_begins_where_it_says);
        tcase_add_test(tcase, a_cursor_goes_on_where_it_left);
        tcase_add_test(tcase, filters);
        tcase_add_test(tcase, what_the_ring_went_past_is_told);
        tcase_add_test(tcase, lines_are_text_from_now_on);
        tcase_add_test(tcase, a_reader_of_lines_that_does_not_read_gets_a_gap);
        tcase_add_test(tcase, too_many_are_turned_away);
        tcase_add_test(tcase, of_one_user_too);
        tcase_add_test(tcase, a_client_that_sends_records_is_ended);
        tcase_add_test(tcase, stopped_it_lets_them_wait);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
