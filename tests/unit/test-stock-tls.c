/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* TLS with audit-userspace 4.2, as tests/vectors/stock-tls.txt has it: a ClientHello contains nothing of the server, so
 * that of its client is said to our server again; that of ours is compared with the one that its collector took; and what both said
 * inside goes through our machines.
 */

#include "basic/bytes.h"
#include "check-main.h"
#include "runtime/tls-psk.h"
#include "stock/stock-receiver.h"
#include "stock/stock-sender.h"
#include "vectors.h"

#include <gnutls/crypto.h>
#include <stdio.h>
#include <sys/socket.h>

#define OTHER "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define BYTES_MAX 4096U

/* The numbers of RFC 8446. */
enum {
        RECORD_ALERT = 21,
        RECORD_HANDSHAKE = 22,
        RECORD_DATA = 23,
        CLIENT_HELLO = 1,
        SERVER_HELLO = 2,
        FINISHED = 20,
        SUPPORTED_GROUPS = 10,
        PRE_SHARED_KEY = 41,
        SUPPORTED_VERSIONS = 43,
        PSK_MODES = 45,
        KEY_SHARE = 51,
        PSK_DHE_KE = 1,
        TLS_1_3 = 0x0304,
        AES_128_GCM_SHA256 = 0x1301,
        SHA256_SIZE = 32,
        RECORD_HEADER = 5,
        TAG_SIZE = 16,
};

static char directory[64], path[128];

static void setup(void)
{
        strcpy(directory, "/tmp/test-stock-tls.XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        vectors_read("stock-tls.txt", 11);
}

static void teardown(void)
{
        char command[128];

        snprintf(command, sizeof command, "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}

static const Vector *vector(const char *session, const char *what)
{
        char name[64];

        snprintf(name, sizeof name, "%s-%s", session, what);
        return vectors_find(name);
}

/* --- What a hello says --- */

typedef struct Reader {
        const uint8_t *data;
        size_t size;
} Reader;

static Reader take(Reader *from, size_t size)
{
        Reader taken = { from->data, size };

        ck_assert_uint_le(size, from->size);
        from->data += size;
        from->size -= size;
        return taken;
}

/* A number of so many bytes, the first the most significant. */
static size_t number(Reader *from, size_t bytes)
{
        Reader taken = take(from, bytes);
        size_t n = 0;

        while (taken.size > 0)
                n = n << 8 | *take(&taken, 1).data;
        return n;
}

/* What stands behind its size, of so many bytes. */
static Reader sized(Reader *from, size_t bytes)
{
        return take(from, number(from, bytes));
}

typedef struct Numbers {
        uint16_t values[32];
        size_t n;
} Numbers;

typedef struct Hello {
        Numbers suites, versions, groups, shares, modes;
        Reader identity;
        size_t binder; /* its size */
        bool psk;
} Hello;

static void add(Numbers *numbers, size_t value)
{
        ck_assert_uint_lt(numbers->n, ELEMENTSOF(numbers->values));
        numbers->values[numbers->n++] = (uint16_t) value;
}

static void add_all(Numbers *numbers, Reader from, size_t bytes)
{
        while (from.size > 0)
                add(numbers, number(&from, bytes));
}

static bool has(const Numbers *numbers, size_t value)
{
        for (size_t i = 0; i < numbers->n; i++)
                if (numbers->values[i] == value)
                        return true;
        return false;
}

static void expect_same(const Numbers *a, const Numbers *b)
{
        ck_assert_uint_eq(a->n, b->n);
        ck_assert_mem_eq(a->values, b->values, a->n * sizeof a->values[0]);
}

static void read_client_extension(Hello *hello, size_t type, Reader body)
{
        Reader list;

        switch (type) {
        case SUPPORTED_GROUPS:
                add_all(&hello->groups, sized(&body, 2), 2);
                break;
        case SUPPORTED_VERSIONS:
                add_all(&hello->versions, sized(&body, 1), 2);
                break;
        case PSK_MODES:
                add_all(&hello->modes, sized(&body, 1), 1);
                break;
        case KEY_SHARE:
                for (list = sized(&body, 2); list.size > 0; (void) sized(&list, 2))
                        add(&hello->shares, number(&list, 2));
                break;
        case PRE_SHARED_KEY:
                hello->psk = true;
                list = sized(&body, 2);
                hello->identity = sized(&list, 2);
                ck_assert_uint_eq(number(&list, 4), 0); /* the age of one that is no ticket */
                ck_assert_uint_eq(list.size, 0);
                list = sized(&body, 2);
                hello->binder = sized(&list, 1).size;
                ck_assert_uint_eq(list.size, 0);
                break;
        }
}

static void read_server_extension(Hello *hello, size_t type, Reader body)
{
        switch (type) {
        case SUPPORTED_VERSIONS:
                add(&hello->versions, number(&body, 2));
                break;
        case KEY_SHARE:
                add(&hello->shares, number(&body, 2));
                break;
        case PRE_SHARED_KEY:
                hello->psk = true;
                ck_assert_uint_eq(number(&body, 2), 0); /* the first, of one */
                break;
        }
}

/* `type`: of what begins here, in the first record. */
static Hello read_hello(const uint8_t *data, size_t size, size_t type)
{
        Reader all = { data, size }, record, message, extensions;
        Hello hello = { 0 };

        ck_assert_uint_eq(number(&all, 1), RECORD_HANDSHAKE);
        (void) take(&all, 2);
        record = sized(&all, 2);
        ck_assert_uint_eq(number(&record, 1), type);
        message = sized(&record, 3);
        (void) take(&message, 2 + 32);
        (void) sized(&message, 1);
        add_all(&hello.suites, type == CLIENT_HELLO ? sized(&message, 2) : take(&message, 2), 2);
        (void) take(&message, type == CLIENT_HELLO ? 2 : 1);
        for (extensions = sized(&message, 2); extensions.size > 0;) {
                size_t extension = number(&extensions, 2);

                (type == CLIENT_HELLO ? read_client_extension : read_server_extension)(&hello, extension,
                                                                                       sized(&extensions, 2));
        }
        return hello;
}

static Hello read_vector(const Vector *v, size_t type)
{
        return read_hello(v->data, v->size, type);
}

/* What the server chose was offered, and needs no second hello. */
static void expect_match(const Hello *client, const Hello *server)
{
        ck_assert(client->psk && server->psk);
        ck_assert(has(&client->modes, PSK_DHE_KE));
        ck_assert_uint_eq(client->binder, SHA256_SIZE);
        ck_assert_uint_eq(server->versions.values[0], TLS_1_3);
        ck_assert(has(&client->versions, TLS_1_3));
        ck_assert(has(&client->suites, server->suites.values[0]));
        ck_assert_uint_eq(server->shares.n, 1);
        ck_assert(has(&client->groups, server->shares.values[0]));
        ck_assert(has(&client->shares, server->shares.values[0]));
}

/* --- Handshakes --- */

static void write_key(const char *file, const char *hex)
{
        FILE *stream;

        snprintf(path, sizeof path, "%s/%s", directory, file);
        stream = fopen(path, "we");
        ck_assert_ptr_nonnull(stream);
        if (hex)
                ck_assert_int_ge(fputs(hex, stream), 0);
        else
                for (size_t i = 0; i < vectors_find("key")->size; i++)
                        ck_assert_int_eq(fprintf(stream, "%02x", vectors_find("key")->data[i]), 2);
        ck_assert_int_eq(fclose(stream), 0);
}

/* One end of ours, to which `said` is said. Returns how its handshake stands; what it said is in `ret`. */
static int shake(Tls *tls, bool server, const Vector *said, uint8_t ret[static BYTES_MAX], size_t *ret_size)
{
        Transport *session;
        ssize_t n;
        int fds[2], r;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        ck_assert_int_eq(tls_session_new(tls, server, NULL, fds[0], &session), 0);
        if (said)
                ck_assert_int_eq(send(fds[1], said->data, said->size, 0), said->size);
        r = session->handshake(session);
        n = recv(fds[1], ret, BYTES_MAX, 0);
        *ret_size = (size_t) MAX(n, 0);
        transport_free(session);
        tls_unref(tls);
        close_fd(fds[0]);
        close_fd(fds[1]);
        return r;
}

/* The first record that the client sent: its hello. */
static Vector first_record(const char *session)
{
        Vector first = *vector(session, "client");

        first.size = RECORD_HEADER + (size_t) (first.data[3] << 8 | first.data[4]);
        return first;
}

static int replay(uint8_t ret[static BYTES_MAX], size_t *ret_size)
{
        Vector hello = first_record("to-us");
        char *why;
        Tls *tls;

        ck_assert_int_eq(tls_psk_server_new(directory, &tls, &why), 0);
        return shake(tls, true, &hello, ret, ret_size);
}

START_TEST(the_client_is_known_again)
{
        Hello client = read_vector(vector("to-us", "client"), CLIENT_HELLO), server,
              before = read_vector(vector("to-us", "server"), SERVER_HELLO);
        uint8_t bytes[BYTES_MAX];
        size_t size;

        write_key("web1.psk", NULL);
        ck_assert_int_eq(replay(bytes, &size), -EAGAIN);
        server = read_hello(bytes, size, SERVER_HELLO);
        expect_match(&client, &server);
        expect_match(&client, &before);
        expect_same(&server.suites, &before.suites);
        expect_same(&server.shares, &before.shares);
        ck_assert_uint_eq(server.suites.values[0], AES_128_GCM_SHA256);
}
END_TEST

START_TEST(with_another_key_it_is_refused)
{
        static const char *const keys[][2] = { { "web1.psk", OTHER }, { "web2.psk", NULL } };
        uint8_t bytes[BYTES_MAX];
        size_t size;

        write_key(keys[_i][0], keys[_i][1]);
        ck_assert_int_eq(replay(bytes, &size), -EPROTO);
        ck_assert(size == 0 || bytes[0] == RECORD_ALERT);
}
END_TEST

START_TEST(our_hello_is_one_that_the_collector_took)
{
        const Vector *identity = vectors_find("identity");
        Hello before = read_vector(vector("from-us", "client"), CLIENT_HELLO), now,
              server = read_vector(vector("from-us", "server"), SERVER_HELLO);
        uint8_t bytes[BYTES_MAX];
        char name[64], *why;
        size_t size;
        Tls *tls;

        write_key("key", NULL);
        snprintf(name, sizeof name, "%.*s", (int) identity->size, identity->data);
        ck_assert_int_eq(tls_psk_client_new(name, path, &tls, &why), 0);
        ck_assert_int_eq(shake(tls, false, NULL, bytes, &size), -EAGAIN);
        now = read_hello(bytes, size, CLIENT_HELLO);
        expect_match(&before, &server);
        expect_match(&now, &server);
        expect_same(&now.suites, &before.suites);
        expect_same(&now.versions, &before.versions);
        expect_same(&now.groups, &before.groups);
        expect_same(&now.shares, &before.shares);
        expect_same(&now.modes, &before.modes);
        ck_assert_uint_eq(now.identity.size, identity->size);
        ck_assert_mem_eq(now.identity.data, identity->data, identity->size);
        ck_assert_uint_eq(before.identity.size, identity->size);
        ck_assert_mem_eq(before.identity.data, identity->data, identity->size);
}
END_TEST

/* --- What was said inside --- */

typedef struct Keys {
        gnutls_aead_cipher_hd_t cipher;
        uint8_t iv[12];
        uint64_t n; /* of the next record */
} Keys;

static void expand(const Vector *secret, const char *label, uint8_t *ret, size_t size)
{
        const gnutls_datum_t key = { (unsigned char *) secret->data, (unsigned) secret->size };
        uint8_t text[64];
        gnutls_datum_t info = { text, (unsigned) snprintf((char *) text, sizeof text, "%c%c%ctls13 %s%c", 0, (int) size,
                                                         (int) (sizeof "tls13 " - 1 + strlen(label)), label, 0) };

        ck_assert_int_eq(gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &info, ret, size), 0);
}

static void keys_begin(Keys *keys, const Vector *secret)
{
        uint8_t bytes[16];
        gnutls_datum_t key = { bytes, sizeof bytes };

        expand(secret, "key", bytes, sizeof bytes);
        expand(secret, "iv", keys->iv, sizeof keys->iv);
        ck_assert_int_eq(gnutls_aead_cipher_init(&keys->cipher, GNUTLS_CIPHER_AES_128_GCM, &key), 0);
        keys->n = 0;
}

/* Returns the type of what is in the record. */
static uint8_t unseal(Keys *keys, Reader header, Reader sealed, uint8_t ret[static BYTES_MAX], size_t *ret_size)
{
        uint8_t nonce[sizeof keys->iv];

        memcpy(nonce, keys->iv, sizeof nonce);
        for (size_t i = 0; i < 8; i++)
                nonce[sizeof nonce - 1 - i] ^= (uint8_t) (keys->n >> 8 * i);
        keys->n++;
        *ret_size = BYTES_MAX;
        ck_assert_int_eq(gnutls_aead_cipher_decrypt(keys->cipher, nonce, sizeof nonce, header.data, header.size, TAG_SIZE,
                                                    sealed.data, sealed.size, ret, ret_size), 0);
        while (*ret_size > 0 && ret[*ret_size - 1] == 0)
                (*ret_size)--;
        ck_assert_uint_gt(*ret_size, 0);
        return ret[--*ret_size];
}

static bool is_finished(const uint8_t *data, size_t size)
{
        Reader messages = { data, size };
        size_t last = 0;

        while (messages.size > 0) {
                last = number(&messages, 1);
                (void) sized(&messages, 3);
        }
        return last == FINISHED;
}

/* All that one end said, without TLS. */
static void read_session(const char *session, const char *end, Buffer *ret)
{
        const Vector *v = vector(session, end);
        Reader all = { v->data, v->size };
        uint8_t bytes[BYTES_MAX];
        bool finished = false;
        char secret[64];
        Keys keys;

        snprintf(secret, sizeof secret, "secret-%s-handshake", end);
        keys_begin(&keys, vector(session, secret));
        while (all.size > 0) {
                Reader copy = all, header = take(&copy, RECORD_HEADER), body;
                size_t type = number(&all, 1), size;

                (void) take(&all, 2);
                body = sized(&all, 2);
                if (type != RECORD_DATA)
                        continue;
                type = unseal(&keys, header, body, bytes, &size);
                if (type == RECORD_DATA) {
                        ck_assert(finished);
                        ck_assert_int_eq(buffer_append(ret, bytes, size), 0);
                } else if (type == RECORD_HANDSHAKE && !finished && is_finished(bytes, size)) {
                        finished = true;
                        gnutls_aead_cipher_deinit(keys.cipher);
                        snprintf(secret, sizeof secret, "secret-%s-records", end);
                        keys_begin(&keys, vector(session, secret));
                } else {
                        /* No tickets, nor anything else behind it. */
                        ck_assert(type == RECORD_ALERT || !finished);
                }
        }
        gnutls_aead_cipher_deinit(keys.cipher);
        ck_assert(finished);
}

static Buffer client, server, output;

static void read_both(const char *session)
{
        client = server = output = BUFFER_INIT(BYTES_MAX);
        read_session(session, "client", &client);
        read_session(session, "server", &server);
}

static void done(void)
{
        buffer_done(&client);
        buffer_done(&server);
        buffer_done(&output);
}

static void expect_output(const Buffer *wanted)
{
        ck_assert_uint_eq(buffer_size(&output), buffer_size(wanted));
        ck_assert_mem_eq(buffer_head(&output), buffer_head(wanted), buffer_size(wanted));
}

static size_t n_records, n_acked, n_refused;

static void expect_record(const uint8_t *text, size_t size)
{
        char wanted[64];
        int n = snprintf(wanted, sizeof wanted, "type=USER msg=audit(1700000000.%03zu:%zu): op=interop n=%zu ", n_records,
                         n_records, n_records);

        ck_assert_uint_gt(size, (size_t) n);
        ck_assert_mem_eq(text, wanted, (size_t) n);
}

static int on_record(StockReceiver *receiver, const uint8_t *text, size_t size)
{
        n_records++;
        expect_record(text, size);
        return 0;
}

static int on_deliver(StockReceiver *receiver)
{
        return 0;
}

START_TEST(the_client_has_the_same_answers)
{
        static const StockReceiverHandler handler = { .record = on_record, .deliver = on_deliver };
        static const size_t slices[] = { 1, 7, BYTES_MAX };
        StockReceiver receiver;
        size_t size = 0;

        read_both("to-us");
        n_records = 0;
        stock_receiver_init(&receiver, &handler);
        while (buffer_size(&client) > 0) {
                ssize_t n;

                size = MIN(size + slices[_i], buffer_size(&client));
                n = stock_receiver_feed(&receiver, buffer_head(&client), size, &output);
                ck_assert_int_ge(n, 0);
                buffer_consume(&client, (size_t) n);
                size -= (size_t) n;
                ck_assert_int_eq(stock_receiver_durable(&receiver, &output, receiver.taken, false), 0);
        }
        ck_assert_int_eq(stock_receiver_end(&receiver, &output), 0);
        ck_assert_uint_eq(n_records, 3);
        expect_output(&server);
        done();
}
END_TEST

static void on_acked(StockSender *sender)
{
        n_acked++;
}

static void on_refused(StockSender *sender, uint32_t type, const uint8_t *text, size_t size)
{
        ck_assert_uint_eq(type, STOCK_ENDING);
        n_refused++;
}

static void hear(StockSender *sender)
{
        StockFrame frame;
        ssize_t n;

        ck_assert_int_eq(stock_frame_parse(buffer_head(&server), buffer_size(&server), &frame), 1);
        n = stock_sender_feed(sender, buffer_head(&server), stock_frame_size(&frame));
        ck_assert_int_eq(n, (ssize_t) stock_frame_size(&frame));
        buffer_consume(&server, (size_t) n);
}

START_TEST(the_collector_hears_and_says_the_same)
{
        static const StockSenderHandler handler = { .acked = on_acked, .refused = on_refused };
        const uint8_t *said;
        StockSender sender;
        StockFrame frame;
        int r;

        read_both("from-us");
        n_records = n_acked = n_refused = 0;
        stock_sender_init(&sender, &handler, 64);
        said = buffer_head(&client);
        for (size_t at = 0; at < buffer_size(&client); at += stock_frame_size(&frame)) {
                ck_assert_int_eq(stock_frame_parse(said + at, buffer_size(&client) - at, &frame), 1);
                if (frame.type == STOCK_MESSAGE) {
                        n_records++;
                        ck_assert_uint_gt(frame.size, sizeof "node=web1");
                        expect_record(frame.payload + sizeof "node=web1", frame.size - sizeof "node=web1");
                        /* Behind a heartbeat it waits. */
                        while ((r = stock_sender_put(&sender, &output, frame.payload, frame.size)) == -EAGAIN)
                                hear(&sender);
                        ck_assert_int_eq(r, 0);
                } else {
                        while (sender.in_flight > 0)
                                hear(&sender);
                        ck_assert_int_eq(stock_sender_beat(&sender, &output), 0);
                }
        }
        expect_output(&client);
        while (buffer_size(&server) > 0)
                hear(&sender);
        ck_assert_uint_eq(n_records, 3);
        ck_assert_uint_eq(n_acked, 3);
        ck_assert_uint_eq(n_refused, 1);
        done();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("stock-tls");
        TCase *all = tcase_create("all");

        tcase_add_checked_fixture(all, setup, teardown);
        tcase_add_test(all, the_client_is_known_again);
        tcase_add_loop_test(all, with_another_key_it_is_refused, 0, 2);
        tcase_add_test(all, our_hello_is_one_that_the_collector_took);
        tcase_add_loop_test(all, the_client_has_the_same_answers, 0, 3);
        tcase_add_test(all, the_collector_hears_and_says_the_same);
        suite_add_tcase(suite, all);
        return check_main(suite);
}
