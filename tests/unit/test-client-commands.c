/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A command for clients that are made up here: who is asked, and what the dispatcher is told of them. */

#include "aggregator/client-commands.h"
#include "check-main.h"
#include "runtime/gathering.h"

#include <stdio.h>

#define CLIENTS_MAX 300U
#define UNDER_WAY_MAX 16U

typedef struct Client {
        char node[NODE_NAME_MAX + 1];
        bool connected, deaf;
        unsigned n_commands;
        uint64_t id;
        uint32_t timeout_sec;
        char verb[32], arguments[128];
} Client;

static Client clients[CLIENTS_MAX];
static unsigned n_clients;
static ClientCommands *commands;
static uint64_t clock_usec;
/* The answers. */
static unsigned n_replies;
static uint64_t reply_id;
static uint16_t reply_status;
static char reply_text[GATHERING_TEXT_MAX + 1];

static void on_find(ClientCommands *of, const char *node, void *userdata)
{
        bool found = false;

        ck_assert_ptr_eq(userdata, clients);
        for (unsigned i = 0; i < n_clients; i++)
                if (!node || strcmp(clients[i].node, node) == 0) {
                        client_commands_add(of, clients[i].node, clients[i].connected ? &clients[i] : NULL,
                                            "not connected");
                        found = true;
                }
        if (node && !found)
                client_commands_add(of, node, NULL, "not known");
}

static int on_send(void *userdata, const LinkCommand *command)
{
        Client *client = userdata;

        if (client->deaf)
                return -ENOBUFS;
        client->n_commands++;
        client->id = command->id;
        client->timeout_sec = command->timeout_sec;
        (void) snprintf(client->verb, sizeof client->verb, "%.*s", (int) command->verb.size, command->verb.data);
        (void) snprintf(client->arguments, sizeof client->arguments, "%.*s", (int) command->arguments.size,
                        command->arguments.data);
        return 0;
}

static const char *on_name(const void *client)
{
        return ((const Client *) client)->node;
}

static void on_reply(const LinkReply *reply, void *userdata)
{
        n_replies++;
        reply_id = reply->id;
        reply_status = reply->status;
        ck_assert_uint_lt(reply->text.size, sizeof reply_text);
        (void) snprintf(reply_text, sizeof reply_text, "%.*s", (int) reply->text.size, reply->text.data);
}

static uint64_t fake_clock(void)
{
        return clock_usec;
}

static void setup(void)
{
        ClientCommandsOptions options = { on_find, on_send, on_name, on_reply, fake_clock, clients };

        memset(clients, 0, sizeof clients);
        n_clients = n_replies = 0;
        clock_usec = 1000 * USEC_PER_SEC;
        ck_assert_int_eq(client_commands_new(&options, &commands), 0);
}

static void teardown(void)
{
        commands = client_commands_free(commands);
}

static Client *add(const char *node, bool connected)
{
        Client *client = &clients[n_clients++];

        strcpy(client->node, node);
        client->connected = connected;
        return client;
}

static void ask_in(const char *arguments, uint32_t timeout_sec)
{
        LinkCommand command = { .id = 700 + n_replies, .timeout_sec = timeout_sec, .verb = link_string("x-a"),
                                .arguments = link_string(arguments) };

        client_commands_take(commands, &command);
}

static void ask(const char *arguments)
{
        ask_in(arguments, 5);
}

static void answer(Client *client, uint16_t status, const char *text)
{
        LinkReply reply = { .id = client->id, .status = status, .text = link_string(text) };

        client_commands_reply(commands, client, &reply);
}

static void expect(unsigned n, LinkReplyStatus status, const char *text)
{
        ck_assert_uint_eq(n_replies, n);
        ck_assert_str_eq(reply_text, text);
        ck_assert_uint_eq(reply_status, status);
        ck_assert_uint_eq(reply_id, 700 + n - 1);
}

START_TEST(one_is_asked_and_no_other)
{
        Client *one = add("web1", true), *other = add("web2", true);

        ask("ADDRESS=192.0.2.7\nNODE=web1\nSECONDS=60\n");
        ck_assert_uint_eq(one->n_commands, 1);
        ck_assert_uint_eq(other->n_commands, 0);
        ck_assert_str_eq(one->verb, "x-a");
        ck_assert_str_eq(one->arguments, "ADDRESS=192.0.2.7\nSECONDS=60\n");
        ck_assert_uint_eq(one->timeout_sec, 2);
        ck_assert_uint_eq(n_replies, 0);
        answer(other, LINK_REPLY_DONE, "not asked");
        answer(one, LINK_REPLY_DONE, "nft-block: added");
        expect(1, LINK_REPLY_DONE, "web1: nft-block: added");
        answer(one, LINK_REPLY_FAILED, "again");
        ck_assert_uint_eq(n_replies, 1);
        /* What it says is what the command says. */
        ask("NODE=web1");
        ck_assert_str_eq(one->arguments, "");
        answer(one, LINK_REPLY_REFUSED, "Commands= does not grant it");
        expect(2, LINK_REPLY_REFUSED, "web1: Commands= does not grant it");
        ask("NODE=web1");
        answer(one, LINK_REPLY_UNKNOWN, "");
        expect(3, LINK_REPLY_UNKNOWN, "web1");
        ask("NODE=web1");
        answer(one, 99, "of a later version");
        expect(4, LINK_REPLY_FAILED, "web1: of a later version");
}
END_TEST

START_TEST(one_that_cannot_be_asked)
{
        Client *one = add("web1", false);

        ask("NODE=web1");
        expect(1, LINK_REPLY_FAILED, "web1: not reached: not connected");
        ask("NODE=web");
        expect(2, LINK_REPLY_FAILED, "web: not reached: not known");
        one->connected = one->deaf = true;
        ask("NODE=web1");
        expect(3, LINK_REPLY_FAILED, "web1: does not read");
        one->deaf = false;
        ask("NODE=web1");
        client_commands_gone(commands, one);
        expect(4, LINK_REPLY_FAILED, "web1: no answer");
        ck_assert_uint_eq(client_commands_counters(commands)->silent, 1);
}
END_TEST

START_TEST(all_are_asked_and_each_is_told)
{
        Client *a = add("a", true), *b = add("b", true), *c, *d;

        (void) add("off", false);
        c = add("c", true);
        d = add("d", true);
        ask("NODE=all\nB=1");
        ck_assert_uint_eq(a->n_commands + b->n_commands + c->n_commands + d->n_commands, 4);
        ck_assert_str_eq(d->arguments, "B=1");
        answer(b, LINK_REPLY_DONE, "blocked");
        answer(a, LINK_REPLY_REFUSED, "no");
        answer(d, LINK_REPLY_DONE, "");
        clock_usec += 3500 * USEC_PER_MSEC - 1;
        client_commands_tick(commands);
        ck_assert_uint_eq(n_replies, 0);
        clock_usec++;
        client_commands_tick(commands);
        expect(1, LINK_REPLY_FAILED,
               "2 done, 1 refused, 1 no answer, 1 not reached\noff: not reached: not connected\na: refused: no\n"
               "c: no answer\nb: done: blocked\nd: done");
        answer(c, LINK_REPLY_DONE, "late");
        ck_assert_uint_eq(n_replies, 1);
        ck_assert_uint_eq(client_commands_counters(commands)->taken, 1);
        ck_assert_uint_eq(client_commands_counters(commands)->sent, 4);
}
END_TEST

/* Those who are not there have not failed. */
START_TEST(what_all_have_done_is_done)
{
        Client *a = add("a", true), *b = add("b", true);

        (void) add("off", false);
        for (LinkReplyStatus status = LINK_REPLY_DONE; status <= LINK_REPLY_FAILED; status++) {
                ask("NODE=all");
                answer(a, status, "");
                answer(b, status, "");
                ck_assert_uint_eq(n_replies, status + 1U);
                ck_assert_uint_eq(reply_status, status);
        }
        for (LinkReplyStatus status = LINK_REPLY_REFUSED; status <= LINK_REPLY_FAILED; status++) {
                ask("NODE=all");
                answer(a, LINK_REPLY_DONE, "");
                answer(b, status, "");
                ck_assert_uint_eq(reply_status, LINK_REPLY_FAILED);
        }
        a->connected = b->connected = false;
        ask("NODE=all");
        ck_assert_uint_eq(reply_status, LINK_REPLY_FAILED);
        n_clients = 0;
        ask("NODE=all");
        ck_assert_str_eq(reply_text, "no client is known");
        ck_assert_uint_eq(reply_status, LINK_REPLY_FAILED);
}
END_TEST

START_TEST(nobody_speaks_for_another)
{
        Client *a = add("a", true), *b = add("b", true);

        ask("NODE=all");
        answer(a, LINK_REPLY_FAILED, "no\nb: done\r\x1b[2J\x7f");
        answer(b, LINK_REPLY_FAILED, "");
        expect(1, LINK_REPLY_FAILED, "2 failed\na: failed: no?b: done??[2J?\nb: failed");
}
END_TEST

START_TEST(many_find_no_room_and_are_counted)
{
        char name[32], words[1000], *last;
        unsigned shown = 0, more;

        memset(words, 'w', sizeof words - 1);
        words[sizeof words - 1] = '\0';
        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
                (void) snprintf(name, sizeof name, "node%u", i);
                (void) add(name, true);
        }
        ask("NODE=all");
        for (unsigned i = 0; i < CLIENTS_MAX; i++)
                answer(&clients[i], i % 2 == 0 ? LINK_REPLY_DONE : LINK_REPLY_FAILED, words);
        ck_assert_uint_eq(n_replies, 1);
        ck_assert_uint_eq(strncmp(reply_text, "150 done, 150 failed\nnode1: failed: www", 38), 0);
        ck_assert_ptr_nonnull(strstr(reply_text, "\nnode0: done: www"));
        for (const char *p = reply_text; (p = strstr(p, "\nnode")); p++)
                shown++;
        ck_assert_uint_gt(shown, 2);
        last = strrchr(reply_text, '\n');
        ck_assert_int_eq(sscanf(last, "\nand %u more", &more), 1);
        ck_assert_uint_eq(shown + more, CLIENTS_MAX);
}
END_TEST

START_TEST(what_names_no_client)
{
        char longer[NODE_NAME_MAX + 16] = "NODE=", much[5000];

        (void) add("a", true);
        memset(longer + 5, 'n', NODE_NAME_MAX + 1);
        memset(much, '\n', sizeof much - 1);
        memcpy(much, "NODE=a", 6);
        much[sizeof much - 1] = '\0';
        for (unsigned i = 0; i < 6; i++) {
                ask(((const char *const[]) { "", "NODE=", "A=NODE=a", "NODE=a\nNODE=a", longer, much })[i]);
                expect(i + 1, LINK_REPLY_FAILED, "NODE= of a client is missing");
        }
        ck_assert_uint_eq(clients->n_commands, 0);
        ask_in("", 0);
        ck_assert_uint_eq(n_replies, 6);
}
END_TEST

START_TEST(so_many_at_once_and_no_more)
{
        (void) add("a", true);
        for (unsigned i = 0; i < UNDER_WAY_MAX; i++)
                ask("NODE=a");
        ck_assert_uint_eq(n_replies, 0);
        ask("NODE=a");
        expect(1, LINK_REPLY_FAILED, "too many commands are under way");
        answer(clients, LINK_REPLY_DONE, "");
        ck_assert_uint_eq(n_replies, 2);
        ask("NODE=a");
        ck_assert_uint_eq(n_replies, 2);
        ck_assert_uint_eq(clients->n_commands, UNDER_WAY_MAX + 1);
}
END_TEST

/* However short: there is some time, and the answer comes before it is over. */
START_TEST(a_short_time)
{
        for (uint32_t seconds = 1; seconds <= 4; seconds++) {
                unsigned n = n_replies;

                n_clients = 0;
                (void) add("a", true);
                ask_in("NODE=a", seconds);
                ck_assert_uint_eq(clients->timeout_sec, 1);
                clock_usec += seconds * USEC_PER_SEC / 3;
                client_commands_tick(commands);
                ck_assert_uint_eq(n_replies, n);
                clock_usec += seconds * USEC_PER_SEC / 2;
                client_commands_tick(commands);
                expect(n + 1, LINK_REPLY_FAILED, "a: no answer");
        }
}
END_TEST

START_TEST(nobody_waits)
{
        Client *a = add("a", true);

        ask_in("NODE=a", 0);
        ck_assert_uint_eq(a->timeout_sec, 7);
        answer(a, LINK_REPLY_DONE, "");
        ask_in("NODE=a", UINT32_MAX);
        ck_assert_uint_eq(a->timeout_sec, 57);
        client_commands_abandon(commands);
        answer(a, LINK_REPLY_DONE, "");
        ck_assert_uint_eq(n_replies, 0);
        /* The next dispatcher's are. */
        ask("NODE=a");
        answer(a, LINK_REPLY_DONE, "");
        ck_assert_uint_eq(n_replies, 1);
        ask("NODE=a"); /* and the end of all does not wait for it */
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("client-commands");
        TCase *tc = tcase_create("all");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, one_is_asked_and_no_other);
        tcase_add_test(tc, one_that_cannot_be_asked);
        tcase_add_test(tc, all_are_asked_and_each_is_told);
        tcase_add_test(tc, what_all_have_done_is_done);
        tcase_add_test(tc, nobody_speaks_for_another);
        tcase_add_test(tc, many_find_no_room_and_are_counted);
        tcase_add_test(tc, what_names_no_client);
        tcase_add_test(tc, so_many_at_once_and_no_more);
        tcase_add_test(tc, a_short_time);
        tcase_add_test(tc, nobody_waits);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
