/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "record/record.h"
#include "remote/enrich.h"
#include "runtime/loop.h"

#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>

#define NODE "web1"
#define PREFIX "node=" NODE " type=USER msg=audit(1700000000.123:1): "
#define PATIENCE_USEC (50 * USEC_PER_MSEC)

static sd_event *event;
static Enricher *enricher;
static unsigned n_ready;
static uint8_t payload[BATCH_PAYLOAD_MAX];
static Batch batch;

/* --- The system's names, as the thread finds them --- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool stuck;         /* look-ups do not come back */
static unsigned n_look_ups;
static const char *user_1000;

static int look_up(NameKind kind, uint32_t id, char *ret, size_t size)
{
        const char *name = NULL;

        pthread_mutex_lock(&mutex);
        n_look_ups++;
        while (stuck)
                pthread_cond_wait(&changed, &mutex);
        if (id == 1)
                name = "daemon";
        else if (id == 1000)
                name = user_1000;
        else if (id == 65534)
                name = kind == NAME_USER ? "nobody" : "nogroup";
        else if (id >= 100000 && id < 200000)
                name = "many";
        if (name)
                (void) snprintf(ret, size, "%s", name);
        pthread_mutex_unlock(&mutex);
        return name != NULL;
}

static void set_stuck(bool on)
{
        pthread_mutex_lock(&mutex);
        stuck = on;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
}

/* The system's own functions (ld --wrap), which a directory service keeps from coming back. */
static void hang(void)
{
        pthread_mutex_lock(&mutex);
        n_look_ups++;
        while (stuck)
                pthread_cond_wait(&changed, &mutex);
        pthread_mutex_unlock(&mutex);
}

int __real_getpwuid_r(uid_t uid, struct passwd *user, char *memory, size_t size, struct passwd **ret);
int __wrap_getpwuid_r(uid_t uid, struct passwd *user, char *memory, size_t size, struct passwd **ret);
int __real_getgrgid_r(gid_t gid, struct group *group, char *memory, size_t size, struct group **ret);
int __wrap_getgrgid_r(gid_t gid, struct group *group, char *memory, size_t size, struct group **ret);

int __wrap_getpwuid_r(uid_t uid, struct passwd *user, char *memory, size_t size, struct passwd **ret)
{
        hang();
        return __real_getpwuid_r(uid, user, memory, size, ret);
}

int __wrap_getgrgid_r(gid_t gid, struct group *group, char *memory, size_t size, struct group **ret)
{
        hang();
        return __real_getgrgid_r(gid, group, memory, size, ret);
}

static unsigned look_ups(void)
{
        unsigned n;

        pthread_mutex_lock(&mutex);
        n = n_look_ups;
        pthread_mutex_unlock(&mutex);
        return n;
}

/* --- Fixture --- */

static void on_ready(void *userdata)
{
        n_ready++;
}

static void make(uint64_t timeout_usec)
{
        EnricherOptions options = {
                .node = NODE,
                .names = { .look_up = look_up, .timeout_usec = timeout_usec, .ready = on_ready },
        };

        ck_assert_int_eq(enricher_new(event, &options, &enricher), 0);
}

static void setup(void)
{
        ck_assert_int_ge(sd_event_new(&event), 0);
        n_ready = n_look_ups = 0;
        stuck = false;
        user_1000 = "alice";
        batch = (Batch) { 0 };
}

static void teardown(void)
{
        set_stuck(false);
        enricher = enricher_free(enricher);
        event = sd_event_unref(event);
}

static void begin_batch(void)
{
        batch = (Batch) { .first = 1, .origin = BATCH_ORIGIN_KERNEL, .payload = payload };
}

static void add_bytes(const char *data, size_t size)
{
        ck_assert_uint_le(batch.size + size, sizeof payload);
        memcpy(payload + batch.size, data, size);
        batch.size += (uint32_t) size;
        batch.last = ++batch.count;
}

static void add_line(const char *line)
{
        add_bytes(line, strlen(line));
}

/* As the intake does: again whenever it is told to. Returns how often it was put off. */
static unsigned enrich(void)
{
        unsigned n = 0;

        batch_seal(&batch);
        while (enricher_batch(enricher, &batch) == -EAGAIN) {
                unsigned before = n_ready;

                while (n_ready == before)
                        ck_assert_int_gt(sd_event_run(event, 10 * USEC_PER_SEC), 0);
                n++;
        }
        ck_assert(batch_payload_intact(&batch));
        ck_assert_int_eq(record_check_batch(&batch, NULL, &(uint32_t) { 0 }, NULL), RECORD_OK);
        return n;
}

static unsigned enrich_line(const char *line)
{
        begin_batch();
        add_line(line);
        return enrich();
}

static void expect(const char *text)
{
        ck_assert_msg(batch.size == strlen(text) && memcmp(batch.payload, text, batch.size) == 0, "%.*s is not %s",
                      (int) batch.size, (const char *) batch.payload, text);
}

/* --- Tests --- */

/* tests/data/enriched.log is what Debian's auditd 3.0.9 wrote with log_format=ENRICHED. */
START_TEST(says_what_auditd_says)
{
        FILE *file = fopen(ENRICHED_LOG, "r");
        static char expected[BATCH_PAYLOAD_MAX];
        char line[RECORD_LINE_MAX];
        size_t size = 0;

        ck_assert_ptr_nonnull(file);
        make(10 * USEC_PER_SEC);
        begin_batch();
        while (fgets(line, sizeof line, file)) {
                size_t n = strlen(line), raw = strcspn(line, "\x1d\n");

                memcpy(expected + size, line, n);
                size += n;
                line[raw] = '\n';
                add_bytes(line, raw + 1);
        }
        (void) fclose(file);
        ck_assert_uint_ge(batch.count, 20);
        enrich();
        expected[size] = '\0';
        expect(expected);
        ck_assert_uint_ge(enricher_counters(enricher)->records, 20);
}
END_TEST

START_TEST(names_are_looked_up_once)
{
        make(10 * USEC_PER_SEC);
        ck_assert_uint_eq(enrich_line(PREFIX "uid=1000 gid=65534\n"), 1);
        expect(PREFIX "uid=1000 gid=65534\x1dUID=\"alice\" GID=\"nogroup\"\n");
        ck_assert_uint_eq(look_ups(), 2);
        ck_assert_uint_eq(enrich_line(PREFIX "auid=1000\n"), 0);
        expect(PREFIX "auid=1000\x1d" "AUID=\"alice\"\n");
        ck_assert_uint_eq(look_ups(), 2);
        ck_assert_uint_eq(enricher_names_counters(enricher)->looked_up, 2);
        /* That there is none is known as well. */
        ck_assert_uint_eq(enrich_line(PREFIX "uid=77\n"), 1);
        ck_assert_uint_eq(enrich_line(PREFIX "uid=77\n"), 0);
        expect(PREFIX "uid=77\x1dUID=\"unknown(77)\"\n");
        ck_assert_uint_eq(look_ups(), 3);
        ck_assert_uint_eq(enricher_counters(enricher)->unnamed, 2);
}
END_TEST

/* A directory service that is dead costs one wait, not one for each name; what it says later is used then. */
START_TEST(a_name_that_does_not_come_is_not_waited_for)
{
        make(PATIENCE_USEC);
        set_stuck(true);
        ck_assert_uint_eq(enrich_line(PREFIX "uid=1000\n"), 1);
        expect(PREFIX "uid=1000\x1dUID=\"unknown(1000)\"\n");
        ck_assert_uint_eq(enricher_names_counters(enricher)->overdue, 1);
        ck_assert_uint_eq(enrich_line(PREFIX "uid=65534\n"), 0);
        expect(PREFIX "uid=65534\x1dUID=\"unknown(65534)\"\n");
        ck_assert_uint_eq(enrich_line(PREFIX "uid=0 auid=4294967295\n"), 0);
        expect(PREFIX "uid=0 auid=4294967295\x1dUID=\"root\" AUID=\"unset\"\n");
        set_stuck(false);
        while (enricher_names_counters(enricher)->looked_up < 2)
                ck_assert_int_gt(sd_event_run(event, 10 * USEC_PER_SEC), 0);
        ck_assert_uint_eq(enrich_line(PREFIX "uid=1000 euid=65534\n"), 0);
        expect(PREFIX "uid=1000 euid=65534\x1dUID=\"alice\" EUID=\"nobody\"\n");
}
END_TEST

#define HANGING_BATCHES 500U
#define HANGING_NAMES 3U

/* The system's own look-up hangs in the first of 1,500 names: all batches go through, one of them after one wait; each record is there
 * as it came, and what is added says only that nobody knows. And who ends meanwhile does not wait for it either. */
START_TEST(a_directory_that_hangs_costs_the_words_alone)
{
        EnricherOptions options = {
                .node = NODE,
                .names = { .timeout_usec = PATIENCE_USEC, .ready = on_ready },
        };
        char line[256], expected[512];
        unsigned put_off = 0;

        ck_assert_int_eq(enricher_new(event, &options, &enricher), 0);
        set_stuck(true);
        for (unsigned i = 0; i < HANGING_BATCHES; i++) {
                unsigned id = 100000 + HANGING_NAMES * i;

                (void) snprintf(line, sizeof line, PREFIX "arch=c000003e syscall=59 uid=%u gid=%u auid=%u\n", id, id + 1, id + 2);
                (void) snprintf(expected, sizeof expected,
                                "%.*s\x1d" "ARCH=x86_64 SYSCALL=execve UID=\"unknown(%u)\" GID=\"unknown(%u)\" AUID=\"unknown(%u)\"\n",
                                (int) strlen(line) - 1, line, id, id + 1, id + 2);
                put_off += enrich_line(line);
                expect(expected);
        }
        ck_assert_uint_eq(put_off, 1);
        ck_assert_uint_eq(enricher_names_counters(enricher)->overdue, 1);
        ck_assert_uint_eq(enricher_names_counters(enricher)->looked_up, 0);
        ck_assert_uint_eq(look_ups(), 1);
        ck_assert_uint_eq(enricher_counters(enricher)->records, HANGING_BATCHES);
        ck_assert_uint_eq(enricher_counters(enricher)->unnamed, HANGING_BATCHES * HANGING_NAMES);
        enricher = enricher_free(enricher);
        ck_assert_uint_eq(look_ups(), 1);
}
END_TEST

START_TEST(a_change_of_accounts_is_noticed)
{
        make(10 * USEC_PER_SEC);
        enrich_line(PREFIX "uid=1000\n");
        user_1000 = "bob";
        enrich_line(PREFIX "uid=1000\n");
        expect(PREFIX "uid=1000\x1dUID=\"alice\"\n");
        enrich_line("node=" NODE " type=DEL_USER msg=audit(1700000000.123:1): id=1000\n");
        expect("node=" NODE " type=DEL_USER msg=audit(1700000000.123:1): id=1000\x1dID=\"bob\"\n");
        user_1000 = NULL;
        enrich_line(PREFIX "uid=1000\n");
        expect(PREFIX "uid=1000\x1dUID=\"unknown(1000)\"\n");
}
END_TEST

/* More names than the cache holds, in one batch: it goes through all the same. */
START_TEST(many_names_do_not_stop_it)
{
        char line[2048] = PREFIX;

        make(10 * USEC_PER_SEC);
        begin_batch();
        for (unsigned i = 0; i < 400; i++) {
                size_t size = sizeof PREFIX - 1;

                for (unsigned j = 0; j < 15; j++)
                        size += (size_t) snprintf(line + size, sizeof line - size, "uid=%u ", 100000 + i * 15 + j);
                line[size - 1] = '\n';
                add_bytes(line, size);
        }
        ck_assert_uint_le(enrich(), 8);
        ck_assert_uint_eq(enricher_counters(enricher)->records, 400);
        ck_assert_uint_gt(enricher_counters(enricher)->unnamed, 0);
}
END_TEST

/* Whoever may name a socket could else write lines into the log, as he can into auditd's. */
START_TEST(an_address_forges_no_line)
{
        static const char line[] = "node=" NODE " type=SOCKADDR msg=audit(1700000000.123:1): "
                                   "saddr=01002F746D702F776974680A6E65776C696E6520747970653D581B5B324A00\n";

        make(10 * USEC_PER_SEC);
        enrich_line(line);
        ck_assert_uint_eq(batch.count, 1);
        ck_assert_ptr_eq(memchr(batch.payload, '\n', batch.size), batch.payload + batch.size - 1);
        ck_assert_ptr_nonnull(memmem(batch.payload, batch.size, "path=/tmp/with newline type=X [2J }", 35));
}
END_TEST

START_TEST(what_is_not_ours_to_interpret_stays)
{
        static const char *const lines[] = {
                "node=other type=USER msg=audit(1700000000.123:1): uid=1000\n",
                PREFIX "uid=1000\x1dUID=\"somebody\"\n",
                PREFIX "nothing to say\n",
                "node=" NODE " type=EOE msg=audit(1700000000.123:1): \n",
        };

        make(10 * USEC_PER_SEC);
        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                ck_assert_uint_eq(enrich_line(lines[i]), 0);
                expect(lines[i]);
        }
        begin_batch();
        add_line(PREFIX "uid=1000\n");
        batch.origin = BATCH_ORIGIN_REMOTE;
        ck_assert_uint_eq(enrich(), 0);
        expect(PREFIX "uid=1000\n");
        begin_batch();
        batch.reason = BATCH_CUSTODY;
        ck_assert_int_eq(enricher_batch(enricher, &batch), 0);
        ck_assert_uint_eq(look_ups(), 0);
        ck_assert_uint_eq(enricher_counters(enricher)->records, 0);
}
END_TEST

/* A line that would become too long stays as it is, and leaves the others theirs. */
START_TEST(long_lines_stay_as_they_are)
{
        char line[RECORD_LINE_MAX + 1];
        size_t size = sizeof line - 1;

        make(10 * USEC_PER_SEC);
        memset(line, 'x', sizeof line);
        memcpy(line, PREFIX "uid=0 a=", sizeof PREFIX - 1 + 8);
        for (unsigned spare = 0; spare < 24; spare++) {
                uint64_t too_long = enricher_counters(enricher)->too_long;
                bool fits = spare >= strlen("\x1dUID=\"root\"");

                memset(line + 300, 'x', size - 300);
                line[size - spare - 1] = '\n';
                begin_batch();
                add_bytes(line, size - spare);
                add_line(PREFIX "uid=0\n");
                enrich();
                ck_assert_uint_eq(enricher_counters(enricher)->too_long - too_long, !fits);
                ck_assert_int_eq(memcmp(batch.payload, line, size - spare - 1), 0);
                ck_assert_int_eq(batch.payload[size - spare - 1], fits ? ENRICH_SEPARATOR : '\n');
                ck_assert_ptr_nonnull(memmem(batch.payload + size - spare, batch.size - size + spare, "\x1dUID=\"root\"", 11));
        }
}
END_TEST

START_TEST(a_full_batch_keeps_all_its_lines)
{
        uint64_t records;

        make(10 * USEC_PER_SEC);
        begin_batch();
        while (batch.size + 200 < BATCH_PAYLOAD_MAX)
                add_line(PREFIX "uid=0 auid=4294967295 gid=0 euid=0 egid=0\n");
        records = batch.count;
        enrich();
        ck_assert_uint_eq(batch.count, records);
        ck_assert_uint_le(batch.size, BATCH_PAYLOAD_MAX);
        ck_assert_uint_gt(enricher_counters(enricher)->records, 0);
        ck_assert_uint_eq(enricher_counters(enricher)->records + enricher_counters(enricher)->too_long, records);
}
END_TEST

/* The system itself, as remote asks it. */
START_TEST(the_system_knows_root_s_neighbours)
{
        EnricherOptions options = {
                .node = NODE,
                .names = { .timeout_usec = 10 * USEC_PER_SEC, .ready = on_ready },
        };

        ck_assert_int_eq(enricher_new(event, &options, &enricher), 0);
        enrich_line(PREFIX "uid=1 gid=1 euid=4000000001 egid=4000000001\n");
        expect(PREFIX "uid=1 gid=1 euid=4000000001 egid=4000000001\x1dUID=\"daemon\" GID=\"daemon\" "
                      "EUID=\"unknown(-294967295)\" EGID=\"unknown(-294967295)\"\n");
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("enrich");
        TCase *tcase = tcase_create("enrich");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, says_what_auditd_says);
        tcase_add_test(tcase, names_are_looked_up_once);
        tcase_add_test(tcase, a_name_that_does_not_come_is_not_waited_for);
        tcase_add_test(tcase, a_directory_that_hangs_costs_the_words_alone);
        tcase_add_test(tcase, a_change_of_accounts_is_noticed);
        tcase_add_test(tcase, many_names_do_not_stop_it);
        tcase_add_test(tcase, an_address_forges_no_line);
        tcase_add_test(tcase, what_is_not_ours_to_interpret_stays);
        tcase_add_test(tcase, long_lines_stay_as_they_are);
        tcase_add_test(tcase, a_full_batch_keeps_all_its_lines);
        tcase_add_test(tcase, the_system_knows_root_s_neighbours);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
