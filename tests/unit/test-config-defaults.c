/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The documented default of each key is the one that the program has: of the examples in conf/ and of the tables
 * "| … | default |" in docs/, and in what plugins say of themselves. The calls that read a file are wrapped (-Wl,--wrap): there the tables of keys come by, and
 * the configuration with its defaults, before anything is read.
 */

#include "check-main.h"
#include "aggregator/config.h"
#include "aggregator/peers.h"
#include "capture.h"
#include "dispatcher/config.h"
#include "dispatcher/subscriber-config.h"
#include "remote/config.h"
#include "runtime/credentials.h"
#include "runtime/log.h"

#include <stdio.h>

#define DOCUMENT_MAX (512U * 1024U)

static const char *source_root;
static char directory[64];

/* What was there to be read, before it was. */
static const ConfigKey *seen_keys;
static const char *seen_config;
static void (*look)(void);
/* Beside these: not after it. */
static bool look_only;

int __real_config_load(const char *name, const char *path, const ConfigKey *keys, void *config);
int __wrap_config_load(const char *name, const char *path, const ConfigKey *keys, void *config);
int __real_config_load_file(const char *path, const ConfigKey *keys, void *config);
int __wrap_config_load_file(const char *path, const ConfigKey *keys, void *config);

static void see(const ConfigKey *keys, const void *config)
{
        seen_keys = keys;
        seen_config = config;
        look();
}

int __wrap_config_load(const char *name, const char *path, const ConfigKey *keys, void *config)
{
        see(keys, config);
        return look_only ? -ECANCELED : __real_config_load(name, path, keys, config);
}

int __wrap_config_load_file(const char *path, const ConfigKey *keys, void *config)
{
        see(keys, config);
        return __real_config_load_file(path, keys, config);
}

/* --- A documented default, and the program's --- */

static bool is_text(const ConfigKey *key)
{
        return key->parse == config_parse_string || key->parse == config_parse_path || key->parse == config_parse_socket ||
               key->parse == config_parse_node;
}

static bool is_amount(const ConfigKey *key)
{
        return key->parse == config_parse_disk_size || key->parse == config_parse_disk_count;
}

/* How much of the configuration the key's field is. */
static size_t field_size(const ConfigKey *key)
{
        if (is_amount(key))
                return sizeof(DiskAmount);
        if (key->parse == config_parse_bool)
                return sizeof(bool);
        return key->parse == config_parse_enum ? sizeof(int) : sizeof(uint64_t);
}

/* What the host, the file's name or the certificate says. */
static bool is_derived(const ConfigKey *key)
{
        return strcmp(key->name, "Node") == 0 || strcmp(key->name, "Name") == 0;
}

/* Nobody said anything. */
static bool is_nothing(const ConfigKey *key)
{
        static const char zero[sizeof(DiskAmount)];
        const char *field = seen_config + key->offset;

        if (key->parse == config_parse_strings && key->argument)
                return false;
        return memcmp(field, zero, field_size(key)) == 0;
}

static bool text_is_default(const ConfigKey *key, const char *value)
{
        const char *text = *(char *const *) (seen_config + key->offset);

        /* Files of TLS have theirs where they are read, as a credential of systemd comes first. */
        if (!text && look_only)
                return strcmp(value, "/run/audit-relay/subscribe") == 0; /* the library's, audit-relay.h */
        if (!text)
                return strncmp(value, CREDENTIALS_DIRECTORY "/", strlen(CREDENTIALS_DIRECTORY "/")) == 0;
        return strcmp(text, value) == 0;
}

/* What a list has, or will have where nothing is assigned. */
static bool list_is_default(const ConfigKey *key, const char *value)
{
        char *const *list = *(char **const *) (seen_config + key->offset);
        char text[256] = "";

        for (size_t i = 0, n = 0; list && list[i]; i++)
                n += (size_t) snprintf(text + n, sizeof text - n, "%s%s", i > 0 ? " " : "", list[i]);
        return strcmp(list || !key->argument ? text : key->argument, value) == 0;
}

static bool value_is_default(const ConfigKey *key, const char *value)
{
        union {
                uint64_t number;
                int name;
                bool yes;
                DiskAmount amount;
        } said;
        const char *field = seen_config + key->offset;

        if (is_text(key))
                return text_is_default(key, value);
        if (key->parse == config_parse_strings)
                return list_is_default(key, value);
        memset(&said, 0, sizeof said);
        ck_assert_msg(key->parse(key, value, &said) == 0, "%s=%s is none", key->name, value);
        /* A negative one: it depends on other keys, as the explanation says. */
        if (key->parse == config_parse_enum)
                return *(const int *) field < 0 || said.name == *(const int *) field;
        if (is_amount(key))
                return said.amount.n == ((const DiskAmount *) field)->n &&
                       said.amount.percent == ((const DiskAmount *) field)->percent;
        return memcmp(&said, field, field_size(key)) == 0;
}

/* Returns whether there is such a key here. `value`: NULL: that there is none. */
static bool judge(const char *name, const char *value)
{
        const ConfigKey *key = seen_keys;

        while (key->name && strcmp(key->name, name) != 0)
                key++;
        if (!key->name)
                return false;
        if (value)
                ck_assert_msg(value_is_default(key, value), "%s=%s is not the default", name, value);
        else
                ck_assert_msg(is_derived(key) || is_nothing(key), "%s= has a default, and none is documented", name);
        return true;
}

/* --- The documents --- */

static char *document(const char *name)
{
        static char text[DOCUMENT_MAX];
        char path[512];
        FILE *file;
        size_t n;

        (void) snprintf(path, sizeof path, "%s/%s", source_root, name);
        file = fopen(path, "re");
        ck_assert_msg(file != NULL, "%s cannot be read", path);
        n = fread(text, 1, sizeof text - 1, file);
        ck_assert_msg(n < sizeof text - 1, "%s is longer than was thought", path);
        (void) fclose(file);
        text[n] = '\0';
        return text;
}

/* "#Key=value", and behind two blanks what it means */
static unsigned judge_example(const char *name)
{
        unsigned n = 0;

        for (char *rest = NULL, *line = strtok_r(document(name), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                size_t size;
                char *equals, *end;

                line += strspn(line, " ");
                size = strspn(line + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
                equals = line + 1 + size;

                if (line[0] != '#' || size == 0 || *equals != '=')
                        continue;
                *equals = '\0';
                end = strstr(equals + 1, "  ");
                if (end)
                        *end = '\0';
                ck_assert_msg(judge(line + 1, equals[1] != '\0' ? equals + 1 : NULL), "there is no %s=", line + 1);
                n++;
        }
        return n;
}

/* "| `Key=`, `Other=` | `value`, which is … |": a value is in backquotes, or a number; words say that there is none. */
static unsigned judge_row(char *line)
{
        char *cell = strstr(line + 2, " | "), value[64] = "";
        unsigned n = 0;

        if (!cell)
                return 0;
        *cell = '\0';
        cell += 3;
        if (sscanf(cell, "`%63[^`]`", value) != 1 || value[strlen(value) - 1] == '=')
                if (sscanf(cell, "%63[0-9] |", value) != 1)
                        value[0] = '\0';
        for (char *key = strchr(line, '`'); key; key = strchr(key, '`')) {
                char *end = strstr(key, "=`");

                if (!end)
                        break;
                *end = '\0';
                n += judge(key + 1, value[0] != '\0' ? value : NULL);
                key = end + 2;
        }
        return n;
}

static unsigned judge_tables(const char *name)
{
        bool inside = false;
        unsigned n = 0;

        for (char *rest = NULL, *line = strtok_r(document(name), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                inside = line[0] == '|' && (inside || strstr(line, " | default |"));
                if (inside && strncmp(line, "| `", 3) == 0)
                        n += judge_row(line);
        }
        return n;
}

/* --- The programs --- */

static void look_dispatcher(void)
{
        ck_assert_uint_gt(judge_example("conf/dispatcher.conf"), 15);
        ck_assert_uint_gt(judge_tables("docs/dispatcher.md"), 5);
}

static void look_remote(void)
{
        ck_assert_uint_gt(judge_example("conf/remote.conf"), 25);
}

static void look_aggregator(void)
{
        ck_assert_uint_gt(judge_example("conf/aggregator.conf"), 25);
}

static void look_subscriber(void)
{
        ck_assert_uint_gt(judge_tables("docs/dispatcher.md"), 6);
}

static void look_peer(void)
{
        ck_assert_uint_gt(judge_tables("docs/peers.md"), 5);
}

static const char *path_of(const char *name, const char *text)
{
        static char path[128];

        scratch_write(directory, name, text);
        (void) snprintf(path, sizeof path, "%s/%s", directory, name);
        return path;
}

START_TEST(dispatcher)
{
        DispatcherConfig config;

        look = look_dispatcher;
        ck_assert_int_eq(dispatcher_config_load(path_of("a.conf", ""), &config), 0);
        dispatcher_config_done(&config);
}
END_TEST

START_TEST(remote_)
{
        RemoteConfig config;

        look = look_remote;
        ck_assert_int_eq(remote_config_load(path_of("a.conf", "[Remote]\nCollector=c\n"), &config), 0);
        remote_config_done(&config);
}
END_TEST

START_TEST(aggregator)
{
        AggregatorConfig config;

        look = look_aggregator;
        ck_assert_int_eq(aggregator_config_load(path_of("a.conf", ""), &config), 0);
        aggregator_config_done(&config);
}
END_TEST

START_TEST(subscriber)
{
        SubscriberConfig config;

        look = look_subscriber;
        ck_assert_int_eq(subscriber_config_load(path_of("a.conf", "[Subscriber]\nSocket=/a\n"), &config), 0);
        subscriber_config_done(&config);
}
END_TEST

START_TEST(peer)
{
        Peers *peers = NULL;

        look = look_peer;
        (void) path_of("a.conf", "[Peer]\n");
        ck_assert_int_eq(peers_load(directory, &peers), 0);
        peers_free(peers);
}
END_TEST

/* The example plugins, whose main() has another name here. They end when they have no configuration. */
int guard_main(int argc, char **argv);
int nft_block_main(int argc, char **argv);

static void look_guard(void)
{
        ck_assert_uint_gt(judge_example("plugins/guard/README.md"), 6);
}

START_TEST(guard)
{
        look = look_guard;
        look_only = true;
        ck_assert_int_eq(guard_main(1, (char *[]) { (char *) "guard", NULL }), EXIT_FAILURE);
}
END_TEST

#if HAVE_NFTABLES
static void look_nft_block(void)
{
        ck_assert_uint_gt(judge_example("plugins/nft-block/README.md"), 4);
}

START_TEST(nft_block)
{
        look = look_nft_block;
        look_only = true;
        ck_assert_int_eq(nft_block_main(1, (char *[]) { (char *) "nft-block", NULL }), EXIT_FAILURE);
}
END_TEST
#endif

/* The comparison can fail. */
static const ConfigKey one_key[] = {
        { "A", "Size", config_parse_size, 0, "a size", NULL },
        { 0 },
};

START_TEST(another_value_is_found)
{
        uint64_t size = 4096;

        seen_keys = one_key;
        seen_config = (const char *) &size;
        ck_assert(value_is_default(one_key, "4K"));
        ck_assert(!value_is_default(one_key, "4"));
        ck_assert(!is_nothing(one_key));
        ck_assert(!judge("Sise", "4K"));
}
END_TEST

static void setup(void)
{
        scratch_make(directory);
        log_init("test", LOG_ERR);
}

static void teardown(void)
{
        scratch_remove(directory);
}

int main(int argc, char **argv)
{
        Suite *suite = suite_create("config-defaults");
        TCase *c = tcase_create("defaults");

        assert(argc == 2);
        source_root = argv[1];
        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_test(c, dispatcher);
        tcase_add_test(c, remote_);
        tcase_add_test(c, aggregator);
        tcase_add_test(c, subscriber);
        tcase_add_test(c, peer);
        tcase_add_test(c, guard);
#if HAVE_NFTABLES
        tcase_add_test(c, nft_block);
#endif
        tcase_add_test(c, another_value_is_found);
        suite_add_tcase(suite, c);
        return check_main(suite);
}
