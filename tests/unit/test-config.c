/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check-main.h"
#include "capture.h"
#include "runtime/config.h"
#include "runtime/log.h"

typedef struct Sample {
        char *collector;
        char *node;
        char **domains;
        bool enrich;
        uint64_t window;
        uint64_t count;
        uint64_t timeout;
        int overflow;
} Sample;

static const char *const overflow_names[] = { "block", "drop-oldest", "drop-newest", NULL };

static const ConfigKey keys[] = {
        { "Remote", "Collector", config_parse_string, offsetof(Sample, collector), "a name", NULL },
        { "Remote", "Node", config_parse_node, offsetof(Sample, node), "a node name", NULL },
        { "Remote", "Domains", config_parse_strings, offsetof(Sample, domains), "words", NULL },
        { "Remote", "Enrich", config_parse_bool, offsetof(Sample, enrich), "yes or no", NULL },
        { "Link", "Window", config_parse_size, offsetof(Sample, window), "a size such as 8M", NULL },
        { "Link", "Count", config_parse_unsigned, offsetof(Sample, count), "a number", NULL },
        { "Link", "Timeout", config_parse_usec, offsetof(Sample, timeout), "a time such as 30s", NULL },
        { "Link", "Overflow", config_parse_enum, offsetof(Sample, overflow),
          "block, drop-oldest or drop-newest", overflow_names },
        { NULL, NULL, NULL, 0, NULL, NULL },
};

static Sample sample;
static Capture capture;
static char directory[64];

static void setup(void)
{
        sample = (Sample) { .collector = strdup("default"), .window = 7, .timeout = 9 };
        scratch_make(directory);
        log_init("test", LOG_DEBUG);
}

static void teardown(void)
{
        config_done(keys, &sample);
        ck_assert_ptr_null(sample.collector);
        ck_assert_ptr_null(sample.domains);
        scratch_remove(directory);
}

/* Loads the text as "x.conf" and expects exactly this log. */
static int load(const char *text, const char *expected_log)
{
        int r;

        capture_begin(&capture);
        log_init("test", LOG_DEBUG);
        r = config_load_text("x.conf", text, strlen(text), keys, &sample);
        ck_assert_str_eq(capture_end(&capture), expected_log);
        return r;
}

static int load_dirs(const char *expected_log)
{
        char etc[96], run[96], usr[96];
        const char *const directories[] = { etc, run, usr, NULL };
        int r;

        (void) snprintf(etc, sizeof etc, "%s/etc", directory);
        (void) snprintf(run, sizeof run, "%s/run", directory);
        (void) snprintf(usr, sizeof usr, "%s/usr", directory);
        capture_begin(&capture);
        log_init("test", LOG_DEBUG);
        r = config_load_from(directories, "remote", keys, &sample);
        ck_assert_str_eq(capture_end(&capture), expected_log);
        return r;
}

START_TEST(reads_every_kind_of_value)
{
        ck_assert_int_eq(
                load("[Remote]\n"
                     "Collector = log.example.org:6560 \n"
                     "Node=web-1.example.org\n"
                     "Domains=a \"b c\" 'd\"e'\n"
                     "Domains=f\n"
                     "Enrich=On\n"
                     "[Link]\n"
                     "Window=8M\nCount=18446744073709551615\nTimeout=1h 30min 5\nOverflow=drop-newest\n",
                     ""),
                0);
        ck_assert_str_eq(sample.collector, "log.example.org:6560");
        ck_assert_str_eq(sample.node, "web-1.example.org");
        ck_assert_uint_eq(strings_count(sample.domains), 4);
        ck_assert_str_eq(sample.domains[1], "b c");
        ck_assert_str_eq(sample.domains[2], "d\"e");
        ck_assert_str_eq(sample.domains[3], "f");
        ck_assert(sample.enrich);
        ck_assert_uint_eq(sample.window, 8 << 20);
        ck_assert_uint_eq(sample.count, UINT64_MAX);
        ck_assert_uint_eq(sample.timeout, 5405 * USEC_PER_SEC);
        ck_assert_int_eq(sample.overflow, 2);
}
END_TEST

START_TEST(comments_continuation_and_line_ends)
{
        ck_assert_int_eq(load("# Window=1\n; Window=2\r\n  \n"
                              "[Remote]\r\n"
                              "Domains=a \\\n"
                              "# in between\n"
                              "   b\\\n"
                              "; and here\n"
                              "\n"
                              "Collector=x#y\r\n"
                              "Domains=c \\",
                              ""),
                         0);
        ck_assert_uint_eq(strings_count(sample.domains), 3);
        ck_assert_str_eq(sample.domains[0], "a");
        ck_assert_str_eq(sample.domains[1], "b");
        ck_assert_str_eq(sample.domains[2], "c");
        ck_assert_str_eq(sample.collector, "x#y");
}
END_TEST

START_TEST(an_empty_value_takes_back_what_was_before)
{
        ck_assert_int_eq(
                load("[Remote]\nDomains=a b\nCollector=one\nDomains=\nCollector=\nDomains=c\n[Link]\n"
                     "Window=lots\nWindow=\n",
                     ""),
                0);
        ck_assert_str_eq(sample.collector, "default");
        ck_assert_uint_eq(strings_count(sample.domains), 1);
        ck_assert_str_eq(sample.domains[0], "c");
        ck_assert_uint_eq(sample.window, 7);
}
END_TEST

/* So that one can say "none". */
START_TEST(a_list_with_a_default_has_it_only_where_nothing_is_said)
{
        static const struct {
                const char *text, *words[3];
        } all[] = {
                { "", { "one", "two" } },
                { "[S]\n", { "one", "two" } },
                { "[S]\nWords=\n", { NULL } },
                { "[S]\nWords=three\n", { "three" } },
                { "[S]\nWords=three\nWords=\n", { NULL } },
                { "[S]\nWords=\nWords=three\nWords=four\n", { "three", "four" } },
        };
        static const ConfigKey table[] = {
                { "S", "Words", config_parse_strings, 0, "words", "one two" },
                { 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                _cleanup_(strings_freep) char **words = NULL;
                size_t n = 0;

                ck_assert_int_eq(config_load_text("x.conf", all[i].text, strlen(all[i].text), table, &words), 0);
                for (; all[i].words[n]; n++) {
                        ck_assert_uint_gt(strings_count(words), n);
                        ck_assert_str_eq(words[n], all[i].words[n]);
                }
                ck_assert_uint_eq(strings_count(words), n);
        }
}
END_TEST

START_TEST(what_is_unknown_warns_and_goes_on)
{
        ck_assert_int_eq(
                load("Early=1\n[Remote]\nColector=x\nnonsense\n[Nowhere]\nWindow=1\n[Link\nWindow=2\n"
                     "[Link]\nWindow=3\n",
                     "<4>test: x.conf:1: Early= is in no section, ignored\n"
                     "<4>test: x.conf:3: unknown key Colector= in section [Remote], ignored\n"
                     "<4>test: x.conf:4: \"nonsense\" is not of the form Key=value, ignored\n"
                     "<4>test: x.conf:5: unknown section [Nowhere], ignored with all its keys\n"
                     "<4>test: x.conf:7: the section \"[Link\" has no ']', ignored\n"
                     "<4>test: x.conf:8: Window= is in no section, ignored\n"),
                0);
        ck_assert_uint_eq(sample.window, 3);
}
END_TEST

START_TEST(a_wrong_value_says_where_and_what_was_expected)
{
        ck_assert_int_eq(
                load("[Link]\n\nWindow=lots\nCount=-1\nTimeout=1 fortnight\n"
                     "Overflow=\\\n  panic\n[Remote]\nEnrich=maybe\nNode=a b\nDomains=\"x\nCollector=fine\n",
                     "<3>test: x.conf:3: Window=lots: expected a size such as 8M\n"
                     "<3>test: x.conf:4: Count=-1: expected a number\n"
                     "<3>test: x.conf:5: Timeout=1 fortnight: expected a time such as 30s\n"
                     "<3>test: x.conf:6: Overflow=panic: expected block, drop-oldest or drop-newest\n"
                     "<3>test: x.conf:9: Enrich=maybe: expected yes or no\n"
                     "<3>test: x.conf:10: Node=a b: expected a node name\n"
                     "<3>test: x.conf:11: Domains=\"x: expected words\n"),
                -EINVAL);
        /* None of them left a trace. */
        ck_assert_uint_eq(sample.window, 7);
        ck_assert_ptr_null(sample.node);
        ck_assert_ptr_null(sample.domains);
}
END_TEST

START_TEST(a_control_character_cannot_forge_a_line_of_the_log)
{
        ck_assert_int_eq(load("[Link]\nWindow=\x1b[2J\n",
                              "<3>test: x.conf:2: Window= [2J: expected a size such as 8M\n"),
                         -EINVAL);
}
END_TEST

START_TEST(a_nul_byte_is_refused)
{
        capture_begin(&capture);
        log_init("test", LOG_DEBUG);
        ck_assert_int_eq(config_load_text("x.conf", "[Link]\nWin\0dow=1\n", 17, keys, &sample), -EINVAL);
        ck_assert_str_eq(capture_end(&capture), "<3>test: x.conf: has a NUL byte: expected text\n");
}
END_TEST

START_TEST(a_share_of_the_disk_is_a_size_a_number_or_hundredths)
{
        static const struct {
                const char *text;
                DiskAmount size, count; /* n 4711: none */
        } amounts[] = {
                { "1G", { 1 << 30, false }, { 4711, false } }, { "1000", { 1000, false }, { 1000, false } },
                { "5%", { 5, true }, { 5, true } },            { "0", { 0, false }, { 0, false } },
                { "100%", { 100, true }, { 100, true } },      { "101%", { 4711, false }, { 4711, false } },
                { "%", { 4711, false }, { 4711, false } },     { "5%%", { 4711, false }, { 4711, false } },
                { "1K%", { 4711, false }, { 4711, false } },
        };

        for (size_t i = 0; i < ELEMENTSOF(amounts); i++) {
                DiskAmount size = { 4711, false }, count = { 4711, false };

                ck_assert_int_eq(config_parse_disk_size(keys, amounts[i].text, &size), amounts[i].size.n == 4711 ? -EINVAL : 0);
                ck_assert_int_eq(config_parse_disk_count(keys, amounts[i].text, &count), amounts[i].count.n == 4711 ? -EINVAL : 0);
                ck_assert_uint_eq(size.n, amounts[i].size.n);
                ck_assert_uint_eq(count.n, amounts[i].count.n);
                ck_assert(size.percent == amounts[i].size.percent && count.percent == amounts[i].count.percent);
        }
}
END_TEST

START_TEST(sizes_and_times_at_their_limits)
{
        static const struct {
                const char *text;
                uint64_t value;
                bool good;
        } sizes[] = {
                { "0", 0, true },          { "1K", 1024, true },        { "64MB", 64 << 20, true },
                { "5B", 5, true },         { "15E", UINT64_C(15) << 60, true },
                { "16E", 0, false },       { "18446744073709551616", 0, false },
                { "K", 0, false },         { "1k", 0, false },          { "1KK", 0, false },
                { "1 K", 0, false },       { "+1", 0, false },          { "0x10", 0, false },
        }, times[] = {
                { "0", 0, true },          { "3", 3000000, true },      { "3 s", 3000000, true },
                { "2min", 120000000, true }, { "250ms", 250000, true }, { "1h1", 3601000000, true },
                { "infinity", UINT64_MAX, true }, { "400d", UINT64_C(34560000000000), true },
                { "18446744073709551615us", 0, false },
                { "1y 99999999999y", 0, false }, { "s", 0, false },     { "3parsecs", 0, false }, { "1.5s", 0, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                uint64_t value = 4711;

                ck_assert_msg((config_parse_size(keys, sizes[i].text, &value) == 0) == sizes[i].good, "%s",
                              sizes[i].text);
                ck_assert_uint_eq(value, sizes[i].good ? sizes[i].value : 4711);
        }
        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                uint64_t value = 4711;

                ck_assert_msg((config_parse_usec(keys, times[i].text, &value) == 0) == times[i].good, "%s",
                              times[i].text);
                ck_assert_uint_eq(value, times[i].good ? times[i].value : 4711);
        }
}
END_TEST

START_TEST(node_names)
{
        char name[122];

        memset(name, 'a', sizeof name);
        name[121] = '\0';
        ck_assert(!node_name_is_valid(name));
        name[120] = '\0';
        ck_assert(node_name_is_valid(name));
        ck_assert(node_name_is_valid("fe80::1"));
        ck_assert(!node_name_is_valid(""));
        ck_assert(!node_name_is_valid("a/b"));
        ck_assert(!node_name_is_valid("a b"));
        ck_assert(!node_name_is_valid("a\n"));
        ck_assert(!node_name_is_valid("m\xc3\xbcller"));
}
END_TEST

START_TEST(nothing_there_is_the_defaults)
{
        ck_assert_int_eq(load_dirs(""), 0);
        ck_assert_str_eq(sample.collector, "default");
}
END_TEST

START_TEST(precedence_of_directories_and_drop_ins)
{
        scratch_write(directory, "usr/remote.conf", "[Link]\nWindow=1\nCount=1\n");
        scratch_write(directory, "etc/remote.conf", "[Link]\nWindow=2\n"); /* hides all of the other */
        scratch_write(directory, "usr/remote.conf.d/50-a.conf", "[Link]\nWindow=3\n");
        scratch_write(directory, "run/remote.conf.d/50-a.conf",
                      "[Link]\nWindow=4\n"); /* hides the one before */
        scratch_write(directory, "etc/remote.conf.d/20-b.conf", "[Link]\nWindow=5\n[Remote]\nDomains=b\n");
        scratch_write(directory, "usr/remote.conf.d/60-c.conf", "[Remote]\nDomains=c\n");
        scratch_write(directory, "usr/remote.conf.d/70-d.conf", "[Remote]\nDomains=d\n");
        scratch_write(directory, "etc/remote.conf.d/70-d.conf", ""); /* masks it */
        scratch_write(directory, "etc/remote.conf.d/80-e.conf~", "[Link]\nWindow=9\n");
        scratch_write(directory, "etc/remote.conf.d/.90.conf", "[Link]\nWindow=9\n");
        ck_assert_int_eq(load_dirs(""), 0);
        ck_assert_uint_eq(sample.window, 4);
        ck_assert_uint_eq(sample.count, 0);
        ck_assert_uint_eq(strings_count(sample.domains), 2);
        ck_assert_str_eq(sample.domains[0], "b");
        ck_assert_str_eq(sample.domains[1], "c");
}
END_TEST

START_TEST(an_unreadable_file_is_an_error)
{
        char expected[256];

        scratch_write(directory, "etc/remote.conf/x", ""); /* a directory of that name */
        (void) snprintf(expected, sizeof expected,
                        "<3>test: %s/etc/remote.conf: cannot be read: Is a directory\n", directory);
        ck_assert_int_eq(load_dirs(expected), -EISDIR);
}
END_TEST

START_TEST(a_named_file_must_exist)
{
        char path[128], expected[256];

        (void) snprintf(path, sizeof path, "%s/none.conf", directory);
        (void) snprintf(expected, sizeof expected,
                        "<3>test: %s: cannot be read: No such file or directory\n", path);
        capture_begin(&capture);
        log_init("test", LOG_DEBUG);
        ck_assert_int_eq(config_load("remote", path, keys, &sample), -ENOENT);
        ck_assert_str_eq(capture_end(&capture), expected);
}
END_TEST

START_TEST(a_file_without_end_is_bounded)
{
        capture_begin(&capture);
        log_init("test", LOG_DEBUG);
        ck_assert_int_eq(config_load_file("/dev/zero", keys, &sample), -EFBIG);
        ck_assert_str_eq(capture_end(&capture), "<3>test: /dev/zero: cannot be read: File too large\n");
}
END_TEST

START_TEST(lists_files_sorted_and_masked)
{
        char etc[96], usr[96];
        const char *const directories[] = { etc, usr, NULL };
        char **paths = NULL;

        (void) snprintf(etc, sizeof etc, "%s/etc", directory);
        (void) snprintf(usr, sizeof usr, "%s/usr", directory);
        scratch_write(directory, "usr/peers.d/a.conf", "x");
        scratch_write(directory, "usr/peers.d/b.conf", "x");
        scratch_write(directory, "usr/peers.d/z.conf", "x");
        scratch_write(directory, "etc/peers.d/b.conf", "");
        scratch_write(directory, "etc/peers.d/c.conf", "x");
        ck_assert_int_eq(config_list_from(directories, "peers.d", &paths), 0);
        ck_assert_uint_eq(strings_count(paths), 3);
        ck_assert_str_eq(paths[0] + strlen(usr), "/peers.d/a.conf");
        ck_assert_str_eq(paths[1] + strlen(etc), "/peers.d/c.conf");
        ck_assert_str_eq(paths[2] + strlen(usr), "/peers.d/z.conf");
        strings_free(paths);

        (void) strcat(usr, "/peers.d");
        ck_assert_int_eq(config_list("ignored", usr, &paths), 0);
        ck_assert_uint_eq(strings_count(paths), 3);
        ck_assert_str_eq(paths[1] + strlen(usr), "/b.conf");
        strings_free(paths);

        (void) strcat(usr, "/none");
        capture_begin(&capture);
        log_init("test", LOG_DEBUG);
        ck_assert_int_eq(config_list("ignored", usr, &paths), -ENOENT);
        ck_assert_ptr_nonnull(
                strstr(capture_end(&capture), "/peers.d/none: cannot be read: No such file or directory\n"));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("config");
        TCase *tcase = tcase_create("config");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, reads_every_kind_of_value);
        tcase_add_test(tcase, comments_continuation_and_line_ends);
        tcase_add_test(tcase, an_empty_value_takes_back_what_was_before);
        tcase_add_test(tcase, a_list_with_a_default_has_it_only_where_nothing_is_said);
        tcase_add_test(tcase, what_is_unknown_warns_and_goes_on);
        tcase_add_test(tcase, a_wrong_value_says_where_and_what_was_expected);
        tcase_add_test(tcase, a_control_character_cannot_forge_a_line_of_the_log);
        tcase_add_test(tcase, a_nul_byte_is_refused);
        tcase_add_test(tcase, a_share_of_the_disk_is_a_size_a_number_or_hundredths);
        tcase_add_test(tcase, sizes_and_times_at_their_limits);
        tcase_add_test(tcase, node_names);
        tcase_add_test(tcase, nothing_there_is_the_defaults);
        tcase_add_test(tcase, precedence_of_directories_and_drop_ins);
        tcase_add_test(tcase, an_unreadable_file_is_an_error);
        tcase_add_test(tcase, a_named_file_must_exist);
        tcase_add_test(tcase, a_file_without_end_is_bounded);
        tcase_add_test(tcase, lists_files_sorted_and_masked);
        suite_add_tcase(suite, tcase);
        (void) unsetenv("AUDIT_RELAY_LOG_LEVEL");
        (void) unsetenv("JOURNAL_STREAM");
        return check_main(suite);
}
