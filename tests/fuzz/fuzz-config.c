/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bytes as a configuration file. Whatever was taken is within what the keys allow, and reading it again
 * gives the same. */

#include "fuzz.h"
#include "runtime/config.h"
#include "runtime/log.h"

typedef struct Sample {
        char *string;
        char *node;
        char **words;
        bool flag;
        uint64_t size;
        uint64_t number;
        uint64_t usec;
        int choice;
} Sample;

static const char *const choices[] = { "block", "drop-oldest", "drop-newest", NULL };

static const ConfigKey keys[] = {
        { "A", "String", config_parse_string, offsetof(Sample, string), "text", NULL },
        { "A", "Node", config_parse_node, offsetof(Sample, node), "a node name", NULL },
        { "A", "Words", config_parse_strings, offsetof(Sample, words), "words", NULL },
        { "A", "Flag", config_parse_bool, offsetof(Sample, flag), "yes or no", NULL },
        { "B", "Size", config_parse_size, offsetof(Sample, size), "a size", NULL },
        { "B", "Number", config_parse_unsigned, offsetof(Sample, number), "a number", NULL },
        { "B", "Time", config_parse_usec, offsetof(Sample, usec), "a time", NULL },
        { "B", "Choice", config_parse_enum, offsetof(Sample, choice), "a choice", choices },
        { NULL, NULL, NULL, 0, NULL, NULL },
};

static int load(const uint8_t *data, size_t size, Sample *ret)
{
        *ret = (Sample) { 0 };
        return config_load_text("fuzz.conf", (const char *) data, size, keys, ret);
}

static void check_text(const char *text)
{
        CHECK(!text || (text[0] != '\0' && !strchr(text, '\n') && !strchr(" \t\r", text[0]) &&
                        !strchr(" \t\r", text[strlen(text) - 1])));
}

static void check_same(const char *a, const char *b)
{
        CHECK(!a == !b);
        CHECK(!a || strcmp(a, b) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Sample first, second;
        int r;

        log_init_tool("fuzz", -1);
        r = load(data, size, &first);
        CHECK(r == 0 || r == -EINVAL);
        CHECK(load(data, size, &second) == r);
        check_text(first.string);
        CHECK(!first.node || node_name_is_valid(first.node));
        CHECK(first.choice >= 0 && first.choice < (int) ELEMENTSOF(choices) - 1);
        check_same(first.string, second.string);
        check_same(first.node, second.node);
        CHECK(strings_count(first.words) == strings_count(second.words));
        for (size_t i = 0; i < strings_count(first.words); i++) {
                CHECK(!strchr(first.words[i], '\n'));
                check_same(first.words[i], second.words[i]);
        }
        CHECK(first.flag == second.flag && first.size == second.size && first.number == second.number &&
              first.usec == second.usec && first.choice == second.choice);
        config_done(keys, &first);
        config_done(keys, &second);
        return 0;
}
