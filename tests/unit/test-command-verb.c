/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "dispatcher/command-verb.h"

#include <stdio.h>

static Command command;
static const char *why;

static LinkReplyStatus parse(const char *verb, const char *arguments)
{
        LinkCommand frame = { .verb = link_string(verb), .arguments = link_string(arguments) };

        why = NULL;
        return command_parse(&frame, &command, &why);
}

static void assert_string(LinkString string, const char *expected)
{
        ck_assert_uint_eq(string.size, strlen(expected));
        ck_assert_mem_eq(string.data, expected, string.size);
}

START_TEST(verbs_by_name)
{
        static const char *const known[] = { "state", "pause", "resume", "block-address", "unblock-address",
                                             "log", "x-1", "x-my-verb" };
        static const char *const unknown[] = { "", "State", "pause ", "paus", "pausee", "x-", "x", "x_a", "x-A", "x-a_b",
                                               "x-a.b", "exec", "y-a" };
        char longest[COMMAND_NAME_MAX + 2] = "x-";
        CommandVerb verb;

        for (unsigned i = 0; i < ELEMENTSOF(known); i++) {
                ck_assert(command_verb_find(link_string(known[i]), &verb));
                ck_assert_int_eq(verb, MIN(i, (unsigned) COMMAND_OTHER));
        }
        for (unsigned i = 0; i < ELEMENTSOF(unknown); i++) {
                ck_assert_msg(!command_verb_find(link_string(unknown[i]), &verb), "%s", unknown[i]);
                ck_assert_int_eq(parse(unknown[i], ""), LINK_REPLY_UNKNOWN);
                ck_assert_str_ne(why, "");
        }
        memset(longest + 2, 'a', COMMAND_NAME_MAX - 1);
        ck_assert(!command_verb_find(link_string(longest), &verb));
        longest[COMMAND_NAME_MAX] = '\0';
        ck_assert(command_verb_find(link_string(longest), &verb));
}
END_TEST

START_TEST(a_state)
{
        char arguments[COMMAND_NAME_MAX + 32] = "ON=1\nNAME=";

        ck_assert_int_eq(parse("state", "NAME=under_attack\nON=1\nREASON=so many logins\n"), LINK_REPLY_DONE);
        ck_assert_str_eq(command.condition, "command_under_attack");
        ck_assert(command.on);
        ck_assert(!command.passed_on);
        assert_string(command.reason, "so many logins");
        ck_assert_int_eq(parse("state", "ON=0\nNAME=a1"), LINK_REPLY_DONE);
        ck_assert_str_eq(command.condition, "command_a1");
        ck_assert(!command.on);
        memset(arguments + strlen(arguments), 'n', COMMAND_NAME_MAX);
        ck_assert_int_eq(parse("state", arguments), LINK_REPLY_DONE);
        ck_assert_uint_eq(strlen(command.condition), COMMAND_CONDITION_SIZE - 1);
        arguments[strlen(arguments)] = 'n';
        ck_assert_int_eq(parse("state", arguments), LINK_REPLY_FAILED);
}
END_TEST

/* What commands of a plugin have no argument for is a state; what has one is for another plugin. */
START_TEST(verbs_of_plugins)
{
        ck_assert_int_eq(parse("x-lock-down", ""), LINK_REPLY_DONE);
        ck_assert_str_eq(command.condition, "command_x_lock_down");
        ck_assert(command.on);
        ck_assert(!command.passed_on);
        ck_assert_int_eq(parse("x-lock-down", "USER=joe\nUSER=jim\nPATH=\n"), LINK_REPLY_DONE);
        ck_assert_str_eq(command.condition, "");
        ck_assert(command.passed_on);
        ck_assert_int_eq(parse("x-lock-down", "user=joe"), LINK_REPLY_FAILED);
        ck_assert_int_eq(parse("x-lock-down", "joe"), LINK_REPLY_FAILED);
        ck_assert_int_eq(parse("x-lock-down", "A=1\n\nB=2"), LINK_REPLY_FAILED);
}
END_TEST

START_TEST(a_pause)
{
        ck_assert_int_eq(parse("pause", "SECONDS=60"), LINK_REPLY_DONE);
        ck_assert_uint_eq(command.seconds, 60);
        ck_assert_uint_eq(command.name.size, 0);
        ck_assert_int_eq(parse("pause", "SECONDS=3600\nNAME=siem"), LINK_REPLY_DONE);
        assert_string(command.name, "siem");
        ck_assert_int_eq(parse("resume", ""), LINK_REPLY_DONE);
        ck_assert(!command.passed_on);
        ck_assert_str_eq(command.condition, "");
        ck_assert_int_eq(parse("resume", "NAME=siem"), LINK_REPLY_DONE);
        assert_string(command.name, "siem");
}
END_TEST

START_TEST(a_message)
{
        ck_assert_int_eq(parse("log", "PRIORITY=3\nMESSAGE=a=b \"c\""), LINK_REPLY_DONE);
        ck_assert_int_eq(command.priority, 3);
        assert_string(command.message, "a=b \"c\"");
        ck_assert(!command.passed_on);
}
END_TEST

START_TEST(addresses)
{
        static const char *const good[] = {
                "192.0.2.1", "192.0.2.0/24", "10.0.0.0/8", "0.0.0.0", "192.0.2.1/32", "2001:db8::1", "2001:db8::/32",
                "2001::/16", "2001:db8::1/128", "::1",
        };
        static const char *const bad[] = {
                "", "x", "192.0.2", "192.0.2.256", "192.0.2.1 ", " 192.0.2.1", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/+24",
                "192.0.2.0/024", "192.0.2.1/24", "0.0.0.0/0", "8.0.0.0/7", "::/0", "2001:db8::/15", "2001:db8::/129",
                "2001:db8::1/64", "fe80::1%eth0", "::ffff:192.0.2.1", "192.0.2.0/24/24", "example.org", "192.0.2.1;reboot",
                "2001:0db8:0000:0000:0000:0000:0000:0000:0001", "0x7f.1",
        };
        char arguments[128];

        for (unsigned i = 0; i < ELEMENTSOF(good); i++) {
                (void) snprintf(arguments, sizeof arguments, "ADDRESS=%s\nSECONDS=3600", good[i]);
                ck_assert_msg(parse("block-address", arguments) == LINK_REPLY_DONE, "%s: %s", good[i], why);
                ck_assert(command.passed_on);
                (void) snprintf(arguments, sizeof arguments, "ADDRESS=%s", good[i]);
                ck_assert_int_eq(parse("unblock-address", arguments), LINK_REPLY_DONE);
                ck_assert(command.passed_on);
        }
        for (unsigned i = 0; i < ELEMENTSOF(bad); i++) {
                (void) snprintf(arguments, sizeof arguments, "SECONDS=3600\nADDRESS=%s\nREASON=x", bad[i]);
                ck_assert_msg(parse("block-address", arguments) == LINK_REPLY_FAILED, "%s", bad[i]);
                ck_assert_str_ne(why, "");
        }
}
END_TEST

START_TEST(what_is_wrong_with_arguments)
{
        /* clang-format off */
        static const struct {
                const char *verb, *arguments;
        } bad[] = {
                { "state", "" },
                { "state", "NAME=a" },
                { "state", "ON=1" },
                { "state", "NAME=a\nON=2" },
                { "state", "NAME=a\nON=" },
                { "state", "NAME=\nON=1" },
                { "state", "NAME=A\nON=1" },
                { "state", "NAME=a-b\nON=1" },
                { "state", "NAME=a/b\nON=1" },
                { "state", "NAME=..\nON=1" },
                { "state", "NAME=a\nON=1\nON=1" },
                { "state", "NAME=a\nON=1\nOTHER=1" },
                { "state", "NAME=a\nON=1\nADDRESS=192.0.2.1" },
                { "pause", "" },
                { "pause", "SECONDS=0" },
                { "pause", "SECONDS=3601" },
                { "pause", "SECONDS=-1" },
                { "pause", "SECONDS=1s" },
                { "pause", "SECONDS=4294967297" },
                { "pause", "SECONDS=5\nNAME=" },
                { "resume", "SECONDS=5" },
                { "resume", "NAME" },
                { "block-address", "ADDRESS=192.0.2.1" },
                { "block-address", "ADDRESS=192.0.2.1\nSECONDS=2592001" },
                { "block-address", "SECONDS=1" },
                { "unblock-address", "" },
                { "unblock-address", "ADDRESS=192.0.2.1\nSECONDS=1" },
                { "log", "PRIORITY=3" },
                { "log", "PRIORITY=8\nMESSAGE=x" },
                { "log", "PRIORITY=err\nMESSAGE=x" },
                { "log", "PRIORITY=3\nMESSAGE=" },
                { "log", "=3\nMESSAGE=x" },
                { "log", "\nPRIORITY=3\nMESSAGE=x" },
        };

        /* clang-format on */
        for (unsigned i = 0; i < ELEMENTSOF(bad); i++) {
                ck_assert_msg(parse(bad[i].verb, bad[i].arguments) == LINK_REPLY_FAILED, "%s %s", bad[i].verb,
                              bad[i].arguments);
                ck_assert_str_ne(why, "");
        }
}
END_TEST

/* Every verb may be another host's; then nothing of it is done here. */
START_TEST(of_another_node)
{
        static const struct {
                const char *verb, *arguments;
        } all[] = {
                { "state", "NAME=a\nON=1\n" },    { "pause", "SECONDS=5\n" },      { "resume", "" },
                { "block-address", "ADDRESS=192.0.2.1\nSECONDS=5\n" },            { "unblock-address", "ADDRESS=192.0.2.1\n" },
                { "log", "PRIORITY=3\nMESSAGE=x\n" }, { "x-a", "" },                { "x-a", "B=1\nB=2\n" },
        };
        static const char *const bad[] = { "", "a b", "a/b", "a\nNODE=b", "\001" };
        char arguments[NODE_NAME_MAX + 64], name[NODE_NAME_MAX + 2];

        for (unsigned i = 0; i < ELEMENTSOF(all); i++) {
                (void) snprintf(arguments, sizeof arguments, "%sNODE=web1.example.org", all[i].arguments);
                ck_assert_msg(parse(all[i].verb, arguments) == LINK_REPLY_DONE, "%s: %s", all[i].verb, why);
                assert_string(command.node, "web1.example.org");
                ck_assert_str_eq(command.condition, "");
                ck_assert(command.passed_on);
                ck_assert_int_ne(parse(all[i].verb, all[i].arguments), LINK_REPLY_UNKNOWN);
                ck_assert_uint_eq(command.node.size, 0);
                for (unsigned j = 0; j < ELEMENTSOF(bad); j++) {
                        (void) snprintf(arguments, sizeof arguments, "NODE=%s\n%s", bad[j], all[i].arguments);
                        ck_assert_msg(parse(all[i].verb, arguments) == LINK_REPLY_FAILED, "%s %s", all[i].verb, bad[j]);
                        ck_assert_str_ne(why, "");
                }
        }
        memset(name, 'n', NODE_NAME_MAX);
        name[NODE_NAME_MAX] = '\0';
        (void) snprintf(arguments, sizeof arguments, "NODE=%s", name);
        ck_assert_int_eq(parse("resume", arguments), LINK_REPLY_DONE);
        strcat(arguments, "n");
        ck_assert_int_eq(parse("resume", arguments), LINK_REPLY_FAILED);
}
END_TEST

START_TEST(arguments_have_a_bound)
{
        char arguments[COMMAND_ARGUMENTS_MAX + 2] = "PRIORITY=7\nMESSAGE=";
        size_t n = strlen(arguments);

        memset(arguments + n, 'm', COMMAND_ARGUMENTS_MAX - n);
        ck_assert_int_eq(parse("log", arguments), LINK_REPLY_DONE);
        arguments[COMMAND_ARGUMENTS_MAX] = 'm';
        ck_assert_int_eq(parse("log", arguments), LINK_REPLY_FAILED);
        memcpy(arguments, "A=", 2);
        ck_assert_int_eq(parse("x-much", arguments), LINK_REPLY_FAILED);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("command-verb");
        TCase *tc = tcase_create("all");

        tcase_add_test(tc, verbs_by_name);
        tcase_add_test(tc, a_state);
        tcase_add_test(tc, verbs_of_plugins);
        tcase_add_test(tc, a_pause);
        tcase_add_test(tc, a_message);
        tcase_add_test(tc, addresses);
        tcase_add_test(tc, what_is_wrong_with_arguments);
        tcase_add_test(tc, of_another_node);
        tcase_add_test(tc, arguments_have_a_bound);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
