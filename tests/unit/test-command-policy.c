/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may ask for what, how often, and who it was. */

#include "check-main.h"
#include "dispatcher/command-budget.h"
#include "dispatcher/command-policy.h"
#include "dispatcher/command-sender.h"
#include "runtime/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* --- Policy --- */

typedef struct Config {
        CommandPolicy policy;
        char **verbs;
} Config;

static const ConfigKey keys[] = {
        { "S", "Commands", command_policy_parse, offsetof(Config, policy), "grants", NULL },
        { "S", "Verbs", command_verbs_parse, offsetof(Config, verbs), "verbs", NULL },
        { 0 },
};

static Config config;

static int load(const char *text)
{
        int r = config_load_text("test", text, strlen(text), keys, &config);

        if (r >= 0)
                command_policy_resolve(&config.policy);
        return r;
}

static void setup(void)
{
        log_init_tool("test", LOG_EMERG);
        config = (Config) { 0 };
}

static void teardown(void)
{
        command_policy_done(&config.policy);
        strings_free(config.verbs);
}

static bool may(uid_t uid, gid_t gid, const char *verb)
{
        static const gid_t groups[] = { 7, 4000 };
        CommandIdentity who = { uid, gid, groups, ELEMENTSOF(groups) };

        CommandWish wish = { link_string(verb), false };

        return command_policy_allows(&config.policy, &who, &wish);
}

static bool has(const char *verb, bool node)
{
        CommandWish wish = { link_string(verb), node };

        return command_verbs_allow(config.verbs, &wish);
}

START_TEST(nothing_is_granted_by_itself)
{
        ck_assert_int_eq(load("[S]\n"), 0);
        ck_assert(!may(0, 0, "log"));
        ck_assert(!has("log", false));
}
END_TEST

START_TEST(users_and_groups)
{
        ck_assert_int_eq(load("[S]\n"
                              "Commands=user:root state  pause\n"
                              "Commands=user:1234 log\n"
                              "Commands=group:root resume x-mine\n"
                              "Commands=group:4000\tblock-address\n"),
                         0);
        ck_assert_uint_eq(config.policy.n, 4);
        ck_assert(may(0, 5, "state"));
        ck_assert(may(0, 5, "pause"));
        ck_assert(!may(0, 5, "paus"));
        ck_assert(!may(0, 5, "resume")); /* not of the group */
        ck_assert(!may(0, 5, "log"));
        ck_assert(may(5, 0, "resume"));
        ck_assert(may(5, 0, "x-mine"));
        ck_assert(!may(5, 0, "x-min"));
        ck_assert(!may(5, 0, "state"));
        ck_assert(may(1234, 5, "log"));
        ck_assert(!may(5, 1234, "log")); /* a group is no user */
        ck_assert(may(5, 5, "block-address")); /* by a supplementary group */
        ck_assert(!may(5, 5, "unblock-address"));
}
END_TEST

START_TEST(who_does_not_exist_is_granted_nothing)
{
        ck_assert_int_eq(load("[S]\nCommands=user:no-such-user-here log\nCommands=group:no-such-group-here log\n"), 0);
        ck_assert(!may(0, 0, "log"));
        ck_assert(!may((uid_t) -1, (gid_t) -1, "log"));
}
END_TEST

START_TEST(an_empty_value_takes_all_back)
{
        ck_assert_int_eq(load("[S]\nCommands=user:root log\nCommands=\nCommands=user:1 log\nVerbs=log\nVerbs=\n"), 0);
        ck_assert_uint_eq(config.policy.n, 1);
        ck_assert(!may(0, 5, "log"));
        ck_assert_uint_eq(strings_count(config.verbs), 0);
}
END_TEST

START_TEST(bad_grants_are_errors)
{
        static const char *const bad[] = {
                "Commands=root log",      "Commands=user: log",          "Commands=group: log", "Commands=user:root",
                "Commands=user:root lo",  "Commands=user:root log x-A",  "Commands=log",        "Commands=User:root log",
                "Verbs=state logg",       "Verbs=*",                     "Verbs=x-",            "Verbs=user:root log",
                "Verbs=node:",            "Verbs=node:lo",               "Verbs=node: log",     "Verbs=node:node:log",
        };
        char text[80];

        for (unsigned i = 0; i < ELEMENTSOF(bad); i++) {
                (void) snprintf(text, sizeof text, "[S]\n%s\n", bad[i]);
                ck_assert_msg(load(text) == -EINVAL, "%s", bad[i]);
                teardown();
                setup();
        }
}
END_TEST

START_TEST(verbs_of_a_subscriber)
{
        ck_assert_int_eq(load("[S]\nVerbs=block-address unblock-address\nVerbs=x-a\n"), 0);
        ck_assert(has("block-address", false));
        ck_assert(has("x-a", false));
        ck_assert(!has("x-ab", false));
        ck_assert(!has("block", false));
        ck_assert(!has("", false));
}
END_TEST

START_TEST(other_hosts_are_a_grant_of_their_own)
{
        CommandIdentity root = { 0, 5, NULL, 0 };
        CommandWish here = { link_string("log"), false }, there = { link_string("log"), true };

        ck_assert_int_eq(load("[S]\nVerbs=state node:block-address node:x-a\nCommands=user:root node:log\n"), 0);
        ck_assert(has("state", false));
        ck_assert(!has("state", true));
        ck_assert(has("block-address", true));
        ck_assert(!has("block-address", false));
        ck_assert(has("x-a", true));
        ck_assert(!has("x-a", false));
        ck_assert(!has("node:x-a", false)); /* no verb is called so */
        ck_assert(command_policy_allows(&config.policy, &root, &there));
        ck_assert(!command_policy_allows(&config.policy, &root, &here));
}
END_TEST

/* --- Budget --- */

static CommandBudget budget;

static unsigned spend(const char *name, int64_t uid, unsigned n, uint64_t now)
{
        unsigned good = 0;

        for (unsigned i = 0; i < n; i++)
                good += command_budget_spend(command_budget_find(&budget, name, uid, now), now);
        return good;
}

START_TEST(a_burst_and_then_a_rate)
{
        uint64_t now = 1000 * USEC_PER_SEC, second = USEC_PER_SEC / COMMAND_INTERVAL_USEC;

        budget = (CommandBudget) { 0 };
        ck_assert_uint_eq(spend(NULL, 1000, 2 * COMMAND_BURST, now), COMMAND_BURST);
        ck_assert_uint_eq(spend(NULL, 1000, 1000, now + USEC_PER_SEC), second);
        ck_assert_uint_eq(spend(NULL, 1000, 1, now + USEC_PER_SEC + COMMAND_INTERVAL_USEC - 1), 0);
        ck_assert_uint_eq(spend(NULL, 1000, 1, now + USEC_PER_SEC + COMMAND_INTERVAL_USEC), 1);
        /* Others have their own. */
        ck_assert_uint_eq(spend(NULL, 1001, 1000, now), COMMAND_BURST);
        ck_assert_uint_eq(spend("guard", -1, 1000, now), COMMAND_BURST);
        ck_assert_uint_eq(spend("siem", -1, 1000, now), COMMAND_BURST);
        ck_assert_uint_eq(spend("guard", -1, 1000, now), 0);
        /* Whoever rests has all of it again. */
        ck_assert_uint_eq(spend(NULL, 1000, 1000, now + 60 * USEC_PER_SEC), COMMAND_BURST);
}
END_TEST

START_TEST(what_was_too_much_is_told_exactly_and_seldom)
{
        uint64_t now = 1000 * USEC_PER_SEC;
        CommandClient *client;
        uint64_t sum = 0;

        budget = (CommandBudget) { 0 };
        ck_assert_ptr_null(command_budget_untold(&budget, now));
        (void) spend(NULL, 1000, COMMAND_BURST + 5, now);
        client = command_budget_untold(&budget, now);
        ck_assert_ptr_nonnull(client);
        ck_assert_int_eq(client->uid, 1000);
        ck_assert_uint_eq(client->untold, 5);
        sum += client->untold;
        client->untold = 0;
        client->told_usec = now;
        ck_assert_uint_eq(spend(NULL, 1000, 3, now), 0);
        ck_assert_ptr_null(command_budget_untold(&budget, now + COMMAND_TELL_USEC - 1));
        /* It is owed also when the client has its rate again and its place would be free. */
        ck_assert_uint_eq(spend(NULL, 2000, 1, now + COMMAND_TELL_USEC), 1);
        client = command_budget_untold(&budget, now + COMMAND_TELL_USEC);
        ck_assert_ptr_nonnull(client);
        ck_assert_int_eq(client->uid, 1000);
        ck_assert_uint_eq(sum + client->untold, 8);
}
END_TEST

START_TEST(those_without_a_place_share_one)
{
        uint64_t now = 1000 * USEC_PER_SEC;

        budget = (CommandBudget) { 0 };
        for (unsigned i = 0; i < COMMAND_CLIENTS_MAX; i++)
                ck_assert_uint_eq(spend(NULL, i, 1, now), 1);
        ck_assert_uint_eq(spend(NULL, 5000, COMMAND_BURST / 2, now), COMMAND_BURST / 2);
        ck_assert_uint_eq(spend(NULL, 5001, COMMAND_BURST, now), COMMAND_BURST / 2);
        ck_assert_int_eq(command_budget_untold(&budget, now)->uid, -1);
        /* The others have paid by then. */
        ck_assert_uint_eq(spend(NULL, 5001, COMMAND_BURST, now + USEC_PER_SEC), COMMAND_BURST);
}
END_TEST

/* --- Who it was --- */

START_TEST(units_by_control_group)
{
        static const struct {
                const char *cgroup, *unit;
        } groups[] = {
                { "0::/system.slice/ssh.service\n", "ssh.service" },
                { "0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope" },
                { "0::/user.slice/user-1000.slice/user@1000.service/app.slice/evil.service\n", "user@1000.service" },
                { "1:name=systemd:/a.service\n0::/system.slice/b.service\n", "b.service" },
                { "0::/system.slice/system-audit\\x2drelay.slice/audit-relay-plugin@guard.service\n",
                  "audit-relay-plugin@guard.service" },
                { "0::/init.scope\n", "init.scope" },
                { "0::/\n", "" },
                { "0::/../outside.slice\n", "" },
                { "0::/x.slice/.service\n", "" },
                { "", "" },
                { "12:cpu:/a.service\n", "" },
        };
        char unit[64], small[8];

        for (unsigned i = 0; i < ELEMENTSOF(groups); i++) {
                command_sender_unit(groups[i].cgroup, unit, sizeof unit);
                ck_assert_str_eq(unit, groups[i].unit);
        }
        command_sender_unit("0::/long-name.service\n", small, sizeof small);
        ck_assert_str_eq(small, "");
}
END_TEST

static int open_pidfd(pid_t pid)
{
        return (int) syscall(SYS_pidfd_open, pid, 0);
}

START_TEST(a_process_is_looked_up_only_while_it_lives)
{
        unsigned loginuid = 0;
        CommandSender sender;
        FILE *file = fopen("/proc/self/loginuid", "re");
        int pidfd = open_pidfd(getpid());
        pid_t child;

        ck_assert_int_ge(pidfd, 0);
        command_sender_see(&sender, getpid(), 17, pidfd);
        ck_assert_int_eq(sender.pid, getpid());
        ck_assert_int_eq(sender.uid, 17);
        if (file) {
                ck_assert_int_eq(fscanf(file, "%u", &loginuid), 1);
                ck_assert_int_eq(sender.auid, loginuid);
                (void) fclose(file);
        }
        close_fd(pidfd);

        /* Its number alone says nothing. */
        command_sender_see(&sender, getpid(), 17, -EBADF);
        ck_assert_int_eq(sender.pid, getpid());
        ck_assert_int_eq(sender.auid, -1);
        ck_assert_int_eq(sender.ses, -1);
        ck_assert_str_eq(sender.unit, "");

        pidfd = open_pidfd(getpid());
        command_sender_see(&sender, 0, 17, pidfd);
        ck_assert_int_eq(sender.pid, -1);
        ck_assert_int_eq(sender.auid, -1);
        close_fd(pidfd);
        command_sender_see(&sender, -1, (uid_t) -1, -EBADF);
        ck_assert_int_eq(sender.pid, -1);
        ck_assert_int_eq(sender.uid, -1);

        child = fork();
        if (child == 0)
                _exit(0);
        pidfd = open_pidfd(child);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        /* As if the number were ours by now. */
        command_sender_see(&sender, getpid(), 17, pidfd);
        ck_assert_int_eq(sender.auid, -1);
        ck_assert_str_eq(sender.unit, "");
        close_fd(pidfd);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("command-policy");
        TCase *tc = tcase_create("all");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, nothing_is_granted_by_itself);
        tcase_add_test(tc, users_and_groups);
        tcase_add_test(tc, who_does_not_exist_is_granted_nothing);
        tcase_add_test(tc, an_empty_value_takes_all_back);
        tcase_add_test(tc, bad_grants_are_errors);
        tcase_add_test(tc, verbs_of_a_subscriber);
        tcase_add_test(tc, other_hosts_are_a_grant_of_their_own);
        tcase_add_test(tc, a_burst_and_then_a_rate);
        tcase_add_test(tc, what_was_too_much_is_told_exactly_and_seldom);
        tcase_add_test(tc, those_without_a_place_share_one);
        tcase_add_test(tc, units_by_control_group);
        tcase_add_test(tc, a_process_is_looked_up_only_while_it_lives);
        suite_add_tcase(suite, tc);
        return check_main(suite);
}
