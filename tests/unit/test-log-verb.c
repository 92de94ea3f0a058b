/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay log, run as a program (its path is the first argument) on stores made here. */

#include "real-store.h"
#include "tool-run.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

static char directory[64];
static uint64_t now = 2000 * USEC_PER_SEC;

/* --- Stores --- */

static uint64_t use_max;

static int mkdir_in(const char *name)
{
        char path[256];

        (void) snprintf(path, sizeof path, "%s/%s", directory, name);
        return mkdir(path, 0750);
}

static Store *open_store(const char *name)
{
        return real_store_open(directory, name, (StoreOptions) { .use_max = use_max, .delete_unacked = true }, now);
}

static void commit(Store *store)
{
        real_store_commit(store, now);
}

/* A batch of the stream from seq `first` on, with these lines, received a second after the last. */
static void append_to(Store *store, StreamId stream, uint64_t first, BatchReason reason, const char *lines)
{
        Batch received = { .first = first, .origin = BATCH_ORIGIN_KERNEL, .payload = (const uint8_t *) lines }, stored;
        Sink *sink = store_sink(store);

        for (const char *p = lines; *p; p++)
                received.count += *p == '\n';
        received.size = (uint32_t) strlen(lines);
        received.last = first + received.count - 1;
        batch_seal(&received);
        stored = received;
        if (reason == BATCH_LOST) {
                received.reason = reason;
                received.count = received.size = 0;
                received.payload = NULL;
                batch_seal(&received);
        }
        now += USEC_PER_SEC;
        ck_assert_int_eq(sink->append(sink, &stream, "owner", &received, &stored, now), 0);
        commit(store);
}

static void append(Store *store, uint8_t id, uint64_t first, BatchReason reason, const char *lines)
{
        append_to(store, (StreamId) { { id } }, first, reason, lines);
}

#define EVENT_1                                                                                                        \
        "node=web type=SYSCALL msg=audit(1000.000:1): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c "       \
        "items=1 pid=42 uid=0 comm=\"cat\" key=6574630173686F77\n"                                                      \
        "node=web type=PATH msg=audit(1000.000:1): item=0 name=\"/etc/shadow\" nametype=NORMAL\n"                       \
        "node=web type=EOE msg=audit(1000.000:1): \n"
#define EVENT_2 "node=db type=USER_LOGIN msg=audit(1060.500:2): pid=7 uid=0 msg='op=login acct=\"root\" res=failed'\n"
#define EVENT_3 "node=web type=SYSCALL msg=audit(1120.000:3): arch=c000003e syscall=2 key=\"boot\"\n"

static void make_three(const char *name)
{
        Store *store = open_store(name);

        append(store, 1, 1, BATCH_RECORDS, EVENT_1);
        append(store, 2, 1, BATCH_RECORDS, EVENT_2);
        store_rotate(store);
        commit(store);
        append(store, 1, 4, BATCH_RECORDS, EVENT_3);
        store_free(store);
}

/* Longer than it may be: but for its newest segment, which has one record, all is deleted. */
static void make_longer(const char *name)
{
        Store *store = open_store(name);

        append(store, 1, 5, BATCH_RECORDS, EVENT_2);
        store_rotate(store);
        append(store, 1, 6, BATCH_RECORDS, EVENT_3);
        store_free(store);
        use_max = 1;
        store = open_store(name);
        commit(store);
        store_free(store);
        use_max = 0;
}

/* --- The program --- */

/* What it writes is in `output`. Returns its exit status. */
static int run(const char *arguments)
{
        return tool_run("cd '%s' && TZ=UTC '%s' log %s", directory, tool, arguments);
}

static void expect(const char *arguments, const char *text)
{
        ck_assert_int_eq(run(arguments), 0);
        ck_assert_str_eq(output, text);
}

static void setup(void)
{
        scratch_make(directory);
}

static void teardown(void)
{
        scratch_remove(directory);
}

START_TEST(records)
{
        make_three("a");
        expect("--store=a", EVENT_1 EVENT_2 EVENT_3);
        expect("--store=a --since=@1060", EVENT_2 EVENT_3);
        expect("--store=a --since=@1060.500 --until=@1060.500", EVENT_2);
        expect("--store=a -S '1970-01-01 00:17' -U '1970-01-01T00:18:00Z'", EVENT_2);
        expect("--store=a --until=@1060.499999", EVENT_1);
        expect("--store=a --node=db", EVENT_2);
        expect("--store=a --node=db --node=web", EVENT_1 EVENT_2 EVENT_3);
        expect("--store=a --node=we", "");
        expect("--store=a --type=user-login", EVENT_2);
        expect("--store=a --type='1300-1310 ~PATH' --since=@1001", EVENT_3);
        expect("--store=a --serial=2", EVENT_2);
        expect("--store=a --serial=2-9", EVENT_2 EVENT_3);
        expect("--store=a --key=boot --key=none", EVENT_3);
        expect("--store=a -n 2", EVENT_2 EVENT_3);
        expect("--store=a -n 0", "");
        expect("--store=a --lines=all", EVENT_1 EVENT_2 EVENT_3);
        expect("--store=a -n 1 --node=db", EVENT_2);
        expect("--store=a --key=show --type=PATH", "");
}
END_TEST

/* The key is in one record, the path in another; what is printed is all of it, but its end. */
START_TEST(events)
{
        static const char event[] = "----\n"
                                    "node=web type=SYSCALL msg=audit(1000.000:1): arch=c000003e syscall=257 success=yes exit=3 "
                                    "a0=ffffff9c items=1 pid=42 uid=0 comm=\"cat\" key=6574630173686F77\n"
                                    "node=web type=PATH msg=audit(1000.000:1): item=0 name=\"/etc/shadow\" nametype=NORMAL\n";

        make_three("a");
        expect("--store=a --event --key=show", event);
        expect("--store=a --event --key=etc --type=PATH", event);
        expect("--store=a --event --type=PATH", event);
        expect("--store=a --event --type=PATH --key=boot", "");
        expect("--store=a --event --type=USER_LOGIN", "----\n" EVENT_2);
        /* Its end never came. */
        expect("--store=a --event --serial=3", "----\n" EVENT_3);
        expect("--store=a --event -n 1", "----\n" EVENT_3);
}
END_TEST

START_TEST(json)
{
        make_three("a");
        expect("--store=a --format=json --serial=2",
               "{\"node\":\"db\",\"time\":1060.500,\"serial\":2,\"type\":\"USER_LOGIN\",\"fields\":{\"pid\":\"7\",\"uid\":\"0\","
               "\"op\":\"login\",\"acct\":\"root\",\"res\":\"failed\"},\"text\":\"pid=7 uid=0 msg='op=login "
               "acct=\\\"root\\\" res=failed'\"}\n");
        expect("--store=a --format=json --serial=3",
               "{\"node\":\"web\",\"time\":1120.000,\"serial\":3,\"type\":\"SYSCALL\",\"keys\":[\"boot\"],\"fields\":{"
               "\"arch\":\"c000003e\",\"syscall\":\"2\",\"key\":\"boot\"},\"text\":\"arch=c000003e syscall=2 "
               "key=\\\"boot\\\"\"}\n");
        ck_assert_int_eq(run("--store=a --format=json --serial=1 --event"), 0);
        ck_assert_ptr_nonnull(strstr(output, "{\"node\":\"web\",\"time\":1000.000,\"serial\":1,\"records\":[{\"type\":\"SYSCALL\","
                                             "\"keys\":[\"etc\",\"show\"],\"fields\":{"));
        ck_assert_ptr_nonnull(strstr(output, "},{\"type\":\"PATH\",\"fields\":{\"item\":\"0\",\"name\":\"/etc/shadow\""));
}
END_TEST

START_TEST(interpreted)
{
        make_three("a");
        ck_assert_int_eq(run("--store=a --format=interpreted --event --serial=1"), 0);
        ck_assert_str_eq(output,
                         "----\n"
                         "node=web type=SYSCALL msg=audit(1970-01-01 00:16:40.000:1) : arch=x86_64 syscall=openat success=yes "
                         "exit=3 a0=AT_FDCWD items=1 pid=42 uid=root comm=cat key=etc key=show\n"
                         "node=web type=PATH msg=audit(1970-01-01 00:16:40.000:1) : item=0 name=/etc/shadow nametype=NORMAL\n");
        ck_assert_int_eq(run("--store=a --format=interpreted --type=PATH"), 0);
        ck_assert_str_eq(output, "node=web type=PATH msg=audit(1970-01-01 00:16:40.000:1) : item=0 name=/etc/shadow "
                                 "nametype=NORMAL\n");
        ck_assert_int_eq(run("--store=a --format=interpreted --serial=2"), 0);
        ck_assert_ptr_nonnull(strstr(output, "type=USER_LOGIN msg=audit(1970-01-01 00:17:40.500:2) : pid=7 uid=root "));
        ck_assert_ptr_nonnull(strstr(output, "acct=root"));
}
END_TEST

/* Two collectors of one sender, of which each has a part, and both what was in flight when it changed; and a
 * copy of one of them. */
START_TEST(several_stores)
{
        Store *a = open_store("a"), *b = open_store("b");
        static const char *const r[] = {
                "node=n type=USER msg=audit(1.000:1): \n", "node=n type=USER msg=audit(2.000:2): \n",
                "node=n type=USER msg=audit(3.000:3): \n", "node=n type=USER msg=audit(4.000:4): \n",
                "node=n type=DAEMON_ERR msg=audit(9.000:9): op=relay-gap\n",
        };

        append(a, 1, 1, BATCH_RECORDS, r[0]);
        append(a, 1, 2, BATCH_RECORDS, r[1]);
        append(b, 1, 1, BATCH_LOST, r[4]);
        append(b, 1, 2, BATCH_RECORDS, r[1]);
        append(b, 1, 3, BATCH_RECORDS, r[2]);
        append(a, 1, 3, BATCH_LOST, r[4]);
        append(a, 1, 4, BATCH_RECORDS, r[3]);
        store_free(a);
        store_free(b);
        ck_assert_int_eq(run("--help && cp -r a copy"), 0);
        /* A record that stands for lost ones hides none of them, and is hidden where they are. */
        (void) snprintf(output, sizeof output, "%s%s%s%s", r[0], r[1], r[2], r[3]);
        {
                char *expected = strdup(output);

                expect("--store=a --store=b", expected);
                expect("--store=b --store=a --store=copy", expected);
                free(expected);
        }
        (void) snprintf(output, sizeof output, "%s%s%s%s", r[0], r[1], r[4], r[3]);
        {
                char *expected = strdup(output);

                expect("--store=copy --store=a", expected);
                free(expected);
        }
}
END_TEST

/* The sender's own store, and the collector's, which has the same under the sender's seqs. */
/* Layout=by-node: each in a folder; what was there before the layout was changed is read with them. */
START_TEST(stores_of_nodes)
{
        Store *store;

        (void) mkdir_in("log");
        make_three("log/b.example");
        store = open_store("log/a");
        append(store, 7, 1, BATCH_RECORDS, "node=a type=EOE msg=audit(1.000:9): \n");
        store_free(store);
        (void) mkdir_in("log/empty");
        (void) mkdir_in("log/lost+found");
        expect("--store=log", EVENT_1 EVENT_2 EVENT_3 "node=a type=EOE msg=audit(1.000:9): \n");
        expect("--store=log --node=a", "node=a type=EOE msg=audit(1.000:9): \n");
        store = open_store("log");
        append(store, 8, 1, BATCH_RECORDS, "node=c type=EOE msg=audit(1.000:9): \n");
        store_free(store);
        expect("--store=log -n 2", "node=a type=EOE msg=audit(1.000:9): \nnode=c type=EOE msg=audit(1.000:9): \n");
        ck_assert_int_eq(run("--store=log/empty"), 1);
        ck_assert_ptr_nonnull(strstr(output, "There is no store"));
}
END_TEST

START_TEST(sender_and_collector)
{
        Store *sender = open_store("sender"), *collector = open_store("collector");
        StoreStatus status;

        append(sender, 1, 1, BATCH_RECORDS, EVENT_2);
        store_status(sender, &status);
        append_to(collector, status.stream, 1, BATCH_RECORDS, EVENT_2);
        append(sender, 1, 2, BATCH_RECORDS, EVENT_3);
        store_free(sender);
        store_free(collector);
        expect("--store=sender --store=collector", EVENT_2 EVENT_3);
        expect("--store=collector --store=sender", EVENT_2 EVENT_3);
        expect("--store=collector", EVENT_2);
}
END_TEST

START_TEST(damage)
{
        char path[256];
        FILE *file;

        make_three("a");
        (void) snprintf(path, sizeof path, "%s/a/%020d.log", directory, 1);
        file = fopen(path, "r+e");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_eq(fputc('N', file), 'N');
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(run("--store=a"), 3);
        ck_assert_ptr_nonnull(strstr(output, "a: 3 records, seqs 1 to 3, are damaged: `audit-relay verify` says how\n"));
        ck_assert_ptr_nonnull(strstr(output, EVENT_2 EVENT_3));
        ck_assert_int_eq(run("--store=a --format=json -n 9"), 3);
        ck_assert_ptr_nonnull(strstr(output, "{\"gap\":\"store-damaged\",\"first\":1,\"last\":3}\n"));
}
END_TEST

/* The last of many, with a question that few answer. */
START_TEST(the_last_of_many)
{
        Store *store = open_store("a");
        char *lines = malloc(256 * 1024);
        uint64_t seq = 1;

        ck_assert_ptr_nonnull(lines);
        for (unsigned batch = 0; batch < 40; batch++) {
                size_t size = 0;
                uint64_t first = seq;

                for (unsigned i = 0; i < 500; i++, seq++)
                        size += (size_t) sprintf(lines + size, "node=n type=%s msg=audit(%" PRIu64 ".000:%" PRIu64 "): x=1\n",
                                                 seq % 1000 == 7 ? "USER_LOGIN" : "USER", 1000 + seq, seq);
                append(store, 1, first, BATCH_RECORDS, lines);
                if (batch % 10 == 9) {
                        store_rotate(store);
                        commit(store);
                }
        }
        free(lines);
        store_free(store);
        expect("--store=a --type=USER_LOGIN -n 3", "node=n type=USER_LOGIN msg=audit(18007.000:17007): x=1\n"
                                                   "node=n type=USER_LOGIN msg=audit(19007.000:18007): x=1\n"
                                                   "node=n type=USER_LOGIN msg=audit(20007.000:19007): x=1\n");
        expect("--store=a --type=USER_LOGIN -n 2 --event", "----\nnode=n type=USER_LOGIN msg=audit(19007.000:18007): x=1\n"
                                                           "----\nnode=n type=USER_LOGIN msg=audit(20007.000:19007): x=1\n");
        expect("--store=a -n 1", "node=n type=USER msg=audit(21000.000:20000): x=1\n");
}
END_TEST

#define EVENT_1_BACK                                                                                                   \
        "node=web type=EOE msg=audit(1000.000:1): \n"                                                                   \
        "node=web type=PATH msg=audit(1000.000:1): item=0 name=\"/etc/shadow\" nametype=NORMAL\n"                       \
        "node=web type=SYSCALL msg=audit(1000.000:1): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c "       \
        "items=1 pid=42 uid=0 comm=\"cat\" key=6574630173686F77\n"

START_TEST(the_newest_first)
{
        Store *b;

        make_three("a");
        expect("--store=a --reverse", EVENT_3 EVENT_2 EVENT_1_BACK);
        expect("--store=a -r -n 2", EVENT_3 EVENT_2);
        expect("--store=a -r -n 0", "");
        expect("--store=a -r -n 1 --type=PATH,EOE", "node=web type=EOE msg=audit(1000.000:1): \n");
        expect("--store=a -r --until=@1060.500", EVENT_2 EVENT_1_BACK);
        /* Of several, each once. */
        b = open_store("b");
        append(b, 3, 1, BATCH_RECORDS, EVENT_2);
        store_free(b);
        ck_assert_int_eq(run("--help && cp -r a copy"), 0);
        expect("--store=a --store=b --store=copy -r", EVENT_2 EVENT_3 EVENT_2 EVENT_1_BACK);
}
END_TEST

/* --- Going on --- */

START_TEST(what_came_since)
{
        Store *store;

        make_three("a");
        expect("--store=a --cursor=place", EVENT_1 EVENT_2 EVENT_3);
        expect("--store=a --cursor=place", "");
        store = open_store("a");
        append(store, 2, 2, BATCH_RECORDS, EVENT_2);
        append(store, 1, 5, BATCH_RECORDS, EVENT_3);
        store_free(store);
        /* Somebody else asks without moving it. */
        expect("--store=a --cursor=$(cat place)", EVENT_2 EVENT_3);
        expect("--store=a --cursor=place --node=db", EVENT_2);
        /* What was not asked for was come to all the same. */
        expect("--store=a --cursor=place", "");
        expect("--store=a -n 0 --show-cursor | tail -n 1 | sed 's/-- cursor: //' | cmp - place", "");
        expect("--store=a --cursor=$(cat place) --format=json --show-cursor | sed 's/.*:\"//; s/\"}//' | cmp - place", "");
}
END_TEST

START_TEST(what_came_since_in_several_stores)
{
        Store *a, *b;

        make_three("a");
        make_three("b");
        ck_assert_int_eq(run("--help && cp -r a copy"), 0);
        a = open_store("a");
        append(a, 1, 5, BATCH_RECORDS, EVENT_3);
        store_free(a);
        expect("--store=a --store=copy --cursor=place", EVENT_1 EVENT_2 EVENT_3 EVENT_3);
        expect("--store=a --store=copy --cursor=place", "");
        b = open_store("b");
        append(b, 2, 2, BATCH_RECORDS, EVENT_2);
        store_free(b);
        /* One that was not there last time is new. */
        expect("--store=a --store=copy --store=b --cursor=place", EVENT_1 EVENT_2 EVENT_3 EVENT_2);
        expect("--store=b --cursor=place", "");
        ck_assert_int_eq(run("--store=a --cursor=place"), 1);
        ck_assert_str_eq(output, "The cursor is of none of these stores: name its store by --store=, or begin anew without it\n");
        expect("--store=b --cursor=place", "");
}
END_TEST

START_TEST(a_cursor_that_leads_nowhere)
{
        Store *store;

        make_three("a");
        ck_assert_int_eq(run("--help && cp -r a before"), 0);
        store = open_store("a");
        append(store, 1, 5, BATCH_RECORDS, EVENT_3);
        store_free(store);
        expect("--store=a --cursor=place", EVENT_1 EVENT_2 EVENT_3 EVENT_3);
        /* Set back: it has less, and then others. The cursor stays as it is, for a person to decide. */
        ck_assert_int_eq(run("--store=before --cursor=place"), 1);
        ck_assert_ptr_nonnull(strstr(output, "before: its records are not those that the cursor knows"));
        store = open_store("before");
        append(store, 1, 5, BATCH_RECORDS, EVENT_2);
        store_free(store);
        ck_assert_int_eq(run("--store=before --cursor=place"), 1);
        ck_assert_ptr_nonnull(strstr(output, "before: its records are not those that the cursor knows"));
        expect("--store=a --cursor=place", "");
        ck_assert_int_eq(run("--store=a --cursor=nowhere/place"), 1);
        ck_assert_ptr_nonnull(strstr(output, "Cannot save the cursor in nowhere/place: No such file or directory"));
        ck_assert_int_eq(run("--store=a --cursor=a"), 1);
        ck_assert_ptr_nonnull(strstr(output, "--cursor=a: Is a directory"));
        ck_assert_int_eq(run("--store=a --cursor=a/00000000000000000001.log"), 1);
        ck_assert_ptr_nonnull(strstr(output, ".log: this is neither a cursor nor a file that holds one"));
        ck_assert_int_eq(run("--store=a --cursor="), 1);
}
END_TEST

/* The owner has deleted what nobody looked at in time. */
START_TEST(a_cursor_behind_which_records_are_gone)
{
        make_three("a");
        ck_assert_int_eq(run("--store=a --cursor=place --node=none"), 0);
        make_longer("a");
        ck_assert_int_eq(run("--store=a --cursor=place"), 0);
        ck_assert_str_eq(output, "a: records behind the cursor are not there any more, look for them on another collector or in a backup\n" EVENT_3);
}
END_TEST

START_TEST(the_command_line)
{
        static const char *const wrong[] = {
                "--since=x", "--until=10:99", "--serial=x", "--serial=5-4", "--serial=5-", "--lines=x", "--format=xml",
                "--type=NO_SUCH_TYPE", "--key=", "--nothing", "word", "--follow --until=now", "--since=now --until=yesterday",
                "--reverse --follow", "--reverse --event", "--cursor=x --reverse", "--cursor=x --lines=1",
                "--cursor=x --until=now", "--show-cursor --reverse", "--show-cursor --follow",
                "--cursor=x --follow --event",
        };

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                ck_assert_msg(run(wrong[i]) == 2, "%s: %s", wrong[i], output);
        ck_assert_int_eq(run("--store=nowhere"), 1);
        ck_assert_int_eq(run("--store=."), 1);
        ck_assert_str_eq(output, "There is no store in .: check the path\n");
        ck_assert_int_eq(run("--help"), 0);
        ck_assert_ptr_nonnull(strstr(output, "Usage: audit-relay log"));
}
END_TEST

/* --- Following --- */

typedef struct Follower {
        pid_t pid;
        int fd;
        size_t size;
} Follower;

static Follower follow(const char *option)
{
        int pipes[2];
        pid_t pid;

        ck_assert_int_eq(pipe(pipes), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                if (chdir(directory) < 0 || dup2(pipes[1], STDOUT_FILENO) < 0 || dup2(pipes[1], STDERR_FILENO) < 0)
                        _exit(99);
                (void) close(pipes[0]);
                (void) execl(tool, tool, "log", "--store=a", "--follow", option, NULL);
                _exit(99);
        }
        (void) close(pipes[1]);
        return (Follower) { .pid = pid, .fd = pipes[0] };
}

/* Waits until it has written all of this since the last time. */
static void followed(Follower *follower, const char *text)
{
        size_t n = 0, size = strlen(text);

        while (n < size) {
                ssize_t m = read(follower->fd, output + n, size - n);

                ck_assert_int_gt(m, 0);
                n += (size_t) m;
        }
        ck_assert_mem_eq(output, text, size);
}

static void stop(Follower *follower)
{
        ck_assert_int_eq(kill(follower->pid, SIGTERM), 0);
        ck_assert_int_eq(waitpid(follower->pid, NULL, 0), follower->pid);
        (void) close(follower->fd);
}

START_TEST(following)
{
        Store *store = open_store("a");
        Follower follower, waiting;

        append(store, 1, 1, BATCH_RECORDS, EVENT_2);
        follower = follow("--lines=1");
        followed(&follower, EVENT_2);
        append(store, 1, 2, BATCH_RECORDS, EVENT_3);
        followed(&follower, EVENT_3);
        store_rotate(store);
        commit(store);
        append(store, 1, 3, BATCH_RECORDS, EVENT_1);
        followed(&follower, EVENT_1);
        stop(&follower);
        /* Without its end an event comes when its time is over. */
        waiting = follow("--event");
        followed(&waiting, "----\n" EVENT_2);
        followed(&waiting, "----\n" EVENT_3);
        stop(&waiting);
        store_free(store);
}
END_TEST

/* As on a new collector, before its first record came. */
START_TEST(following_what_is_not_there_yet)
{
        Follower follower;
        Store *store;

        (void) mkdir_in("a");
        follower = follow("--lines=1");
        followed(&follower, "There is no store in a yet, waiting for it\n");
        store = open_store("a");
        append(store, 7, 1, BATCH_RECORDS, EVENT_1);
        followed(&follower, EVENT_1);
        append(store, 7, 4, BATCH_RECORDS, EVENT_2);
        followed(&follower, EVENT_2);
        stop(&follower);
        store_free(store);
}
END_TEST

/* Also one that was not there. */
START_TEST(following_nodes)
{
        Store *first, *second;
        Follower follower;

        (void) mkdir_in("a");
        first = open_store("a/first");
        append(first, 1, 1, BATCH_RECORDS, EVENT_2);
        follower = follow("--lines=1");
        followed(&follower, EVENT_2);
        second = open_store("a/second");
        append(second, 2, 1, BATCH_RECORDS, EVENT_3);
        followed(&follower, EVENT_3);
        append(first, 1, 2, BATCH_RECORDS, EVENT_1);
        followed(&follower, EVENT_1);
        append(second, 2, 2, BATCH_RECORDS, EVENT_2);
        followed(&follower, EVENT_2);
        stop(&follower);
        store_free(first);
        store_free(second);
}
END_TEST

/* Killed at any time, it has never said that it showed what it did not. */
START_TEST(following_from_a_cursor)
{
        Store *store = open_store("a");
        Follower follower;
        char path[256];

        (void) snprintf(path, sizeof path, "%s/place", directory);
        append(store, 1, 1, BATCH_RECORDS, EVENT_2);
        follower = follow("--cursor=place");
        followed(&follower, EVENT_2);
        while (access(path, F_OK) < 0)
                (void) poll(NULL, 0, 10);
        stop(&follower);
        append(store, 1, 2, BATCH_RECORDS, EVENT_3);
        follower = follow("--cursor=place");
        followed(&follower, EVENT_3);
        append(store, 1, 3, BATCH_RECORDS, EVENT_2);
        followed(&follower, EVENT_2);
        stop(&follower);
        store_free(store);
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("log-verb");
        TCase *tcase = tcase_create("log");

        if (argc < 2)
                return EXIT_FAILURE;
        tool = realpath(argv[1], NULL);
        if (!tool)
                return EXIT_FAILURE;
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, records);
        tcase_add_test(tcase, events);
        tcase_add_test(tcase, json);
        tcase_add_test(tcase, interpreted);
        tcase_add_test(tcase, several_stores);
        tcase_add_test(tcase, stores_of_nodes);
        tcase_add_test(tcase, sender_and_collector);
        tcase_add_test(tcase, damage);
        tcase_add_test(tcase, the_last_of_many);
        tcase_add_test(tcase, the_newest_first);
        tcase_add_test(tcase, what_came_since);
        tcase_add_test(tcase, what_came_since_in_several_stores);
        tcase_add_test(tcase, a_cursor_that_leads_nowhere);
        tcase_add_test(tcase, a_cursor_behind_which_records_are_gone);
        tcase_add_test(tcase, the_command_line);
        tcase_add_test(tcase, following);
        tcase_add_test(tcase, following_what_is_not_there_yet);
        tcase_add_test(tcase, following_nodes);
        tcase_add_test(tcase, following_from_a_cursor);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
