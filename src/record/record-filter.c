/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A filter by record type: a bit for each number, and one table for all that leads from a name as it stands
 * in a line to its number. So a record costs a look at its type field, a hash, a comparison of the name and
 * a bit; libaudit is asked once, when the table is filled.
 *
 *  1. What a filter lets pass depends on its text alone, never on the records before.
 *  2. A derived batch has the boundaries of the one it is made of, and its lines in their order, untouched.
 */

#include "record/record-filter.h"
#include "record/record.h"

#include <libaudit.h>
#include <stdatomic.h>
#include <stdio.h>

#define TYPES (UINT16_MAX + 1U)
#define WORD_MAX 64U
/* Of a word that is none, in the sentence that says so. */
#define WORD_SHOWN 40

struct RecordFilter {
        bool others; /* types that have no number */
        uint64_t numbers[TYPES / 64];
};

typedef struct Group {
        const char *name;
        const char *words;
} Group;

/* In the order of docs/records.md. */
static const Group groups[] = {
        { "avc", "AVC AVC_PATH SELINUX_ERR USER_AVC USER_SELINUX_ERR 1500-1599" },
        { "mac", "1400-1599 USER_AVC USER_SELINUX_ERR MAC_CHECK 2300-2399" },
        { "user-auth", "USER_AUTH USER_ACCT USER_ERR USER_CHAUTHTOK GRP_AUTH GRP_CHAUTHTOK CRED_ACQ "
                       "CRED_REFR CRED_DISP" },
        { "user-login", "LOGIN USER_LOGIN USER_LOGOUT USER_START USER_END" },
        { "account", "USER_MGMT GRP_MGMT ADD_USER DEL_USER ADD_GROUP DEL_GROUP CHUSER_ID CHGRP_ID ACCT_LOCK "
                     "ACCT_UNLOCK USER_CHAUTHTOK GRP_CHAUTHTOK ROLE_ASSIGN ROLE_REMOVE ROLE_MODIFY" },
        { "command", "USER_CMD USER_TTY TTY" },
        { "syscall", "1300-1304 1306-1315 1317-1318 1320-1323 1327 1330-1334 1336-1399" },
        { "config", "CONFIG_CHANGE FEATURE_CHANGE USYS_CONFIG DAEMON_CONFIG NETFILTER_CFG EVENT_LISTENER "
                    "MAC_CONFIG_CHANGE MAC_POLICY_LOAD MAC_STATUS USER_MAC_CONFIG_CHANGE "
                    "USER_MAC_POLICY_LOAD USER_MAC_STATUS APPARMOR_STATUS" },
        { "integrity", "1800-1899" },
        { "anomaly", "1700-1799 2100-2199" },
        { "response", "2200-2299" },
        { "crypto", "1600-1699 2400-2499" },
        { "netfilter", "NETFILTER_PKT NETFILTER_CFG" },
        { "seccomp", "SECCOMP" },
        { "system",
          "SYSTEM_BOOT SYSTEM_SHUTDOWN SYSTEM_RUNLEVEL SERVICE_START SERVICE_STOP SOFTWARE_UPDATE" },
        { "virt", "2500-2599" },
        { "daemon", "1200-1299" },
        { "user", "1005 1100-1199 2100-2999" },
        { "kernel", "1006 1300-2099" },
};

bool record_filter_group(size_t i, const char **ret_name, const char **ret_words)
{
        if (i >= ELEMENTSOF(groups))
                return false;
        *ret_name = groups[i].name;
        *ret_words = groups[i].words;
        return true;
}

/* --- From name to number --- */

/* libaudit knows some 200 names: less than half full. */
#define SLOTS 512U

typedef struct Slot {
        const char *name; /* libaudit's; NULL: free */
        uint32_t size;
        uint32_t number;
} Slot;

static Slot slots[SLOTS];
static atomic_uint slots_turn; /* 0: empty, 1: being filled, 2: filled */

static uint32_t hash_name(const uint8_t *name, size_t size)
{
        uint32_t hash = 2166136261U; /* FNV-1a: names are short */

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ name[i]) * 16777619U;
        return hash ^ hash >> 15;
}

/* The slot of a name, or the free one where it would be. */
static Slot *find_slot(const uint8_t *name, size_t size)
{
        for (uint32_t i = hash_name(name, size);; i++) {
                Slot *slot = &slots[i % SLOTS];

                if (!slot->name || (slot->size == size && memcmp(slot->name, name, size) == 0))
                        return slot;
        }
}

static void fill_slots(void)
{
        unsigned n = 0;

        for (uint16_t number = 1; number <= AUDIT_LAST_USER_MSG2; number++) {
                const char *name = audit_msg_type_to_name(number);

                if (!name || n >= SLOTS / 4 * 3)
                        continue;
                *find_slot((const uint8_t *) name, strlen(name)) =
                        (Slot) { name, (uint32_t) strlen(name), number };
                n++;
        }
}

/* Once a process; a thread that comes meanwhile waits some microseconds. */
static void need_slots(void)
{
        unsigned turn = 0;

        if (atomic_load(&slots_turn) == 2)
                return;
        if (atomic_compare_exchange_strong(&slots_turn, &turn, 1)) {
                fill_slots();
                atomic_store(&slots_turn, 2);
        }
        while (atomic_load(&slots_turn) != 2)
                ;
}

/* "UNKNOWN[n]" with a number there is. */
static bool unknown_number(const uint8_t *name, size_t size, uint32_t *ret)
{
        static const char begin[] = "UNKNOWN[";
        const size_t begin_size = sizeof begin - 1;
        uint32_t number = 0;

        if (size < begin_size + 2 || size > begin_size + 6 || memcmp(name, begin, begin_size) != 0 ||
            name[size - 1] != ']')
                return false;
        for (size_t i = begin_size; i < size - 1; i++) {
                if (name[i] < '0' || name[i] > '9')
                        return false;
                number = number * 10 + (name[i] - '0');
        }
        *ret = number;
        return number < TYPES;
}

static bool type_number(const uint8_t *name, size_t size, uint32_t *ret)
{
        const Slot *slot = find_slot(name, size);

        if (!slot->name)
                return unknown_number(name, size, ret);
        *ret = slot->number;
        return true;
}

bool record_type_number(const uint8_t *name, size_t size, uint32_t *ret)
{
        need_slots();
        return type_number(name, size, ret);
}

/* --- The text --- */

typedef struct Words {
        uint64_t wanted[TYPES / 64];
        uint64_t unwanted[TYPES / 64];
        bool any_wanted;
} Words;

static void set_range(uint64_t *numbers, uint32_t first, uint32_t last)
{
        for (uint32_t i = first / 64; i <= last / 64; i++) {
                uint64_t bits = UINT64_MAX;

                if (i == first / 64)
                        bits &= UINT64_MAX << first % 64;
                if (i == last / 64)
                        bits &= UINT64_MAX >> (63 - last % 64);
                numbers[i] |= bits;
        }
}

static bool parse_number(const char **text, uint32_t *ret)
{
        const char *p = *text;
        uint32_t number = 0;

        for (; *p >= '0' && *p <= '9'; p++) {
                number = number * 10 + (uint32_t) (*p - '0');
                if (number >= TYPES)
                        return false;
        }
        *ret = number;
        if (p == *text)
                return false;
        *text = p;
        return true;
}

/* "1112" or "1100-1199". */
static bool parse_range(const char *word, uint32_t *ret_first, uint32_t *ret_last)
{
        if (!parse_number(&word, ret_first))
                return false;
        *ret_last = *ret_first;
        if (*word == '-') {
                word++;
                if (!parse_number(&word, ret_last))
                        return false;
        }
        return *word == '\0' && *ret_first <= *ret_last;
}

static void upper(char *text)
{
        for (; *text; text++)
                if (*text >= 'a' && *text <= 'z')
                        *text = (char) (*text - 'a' + 'A');
}

static const Group *find_group(const char *word)
{
        for (size_t i = 0; i < ELEMENTSOF(groups); i++)
                if (strcmp(groups[i].name, word) == 0)
                        return &groups[i];
        return NULL;
}

/* The next word, of at most WORD_MAX - 1 bytes: a longer one is none and stays cut. Returns what follows,
 * NULL at the end. */
static const char *next_word(const char *text, const char *end, char word[static WORD_MAX])
{
        static const char separators[] = " ,\t\n";
        size_t size = 0;

        while (text < end && *text && strchr(separators, *text))
                text++;
        if (text == end)
                return NULL;
        for (; text < end && (!*text || !strchr(separators, *text)); text++)
                if (size < WORD_MAX - 1)
                        word[size++] = *text ? *text : '?'; /* no word holds a ? */
        word[size] = '\0';
        return text;
}

static bool add_name(uint64_t *numbers, char *word)
{
        uint32_t number;

        upper(word);
        if (!type_number((const uint8_t *) word, strlen(word), &number))
                return false;
        set_range(numbers, number, number);
        return true;
}

/* A group's words are names and ranges. */
static void add_group(uint64_t *numbers, const Group *group)
{
        const char *end = group->words + strlen(group->words), *p = group->words;
        uint32_t first, last;
        char word[WORD_MAX];

        while ((p = next_word(p, end, word))) {
                if (parse_range(word, &first, &last))
                        set_range(numbers, first, last);
                else
                        (void) add_name(numbers, word); /* an older libaudit may not know it */
        }
}

static bool add_word(uint64_t *numbers, char *word)
{
        const Group *group = find_group(word);
        uint32_t first, last;

        if (group)
                add_group(numbers, group);
        else if (parse_range(word, &first, &last))
                set_range(numbers, first, last);
        else
                return add_name(numbers, word);
        return true;
}

/* A sentence about a word. What is not printable must not reach a terminal. */
static char *explain(const char *word)
{
        size_t size = 0, all = 1024;
        char *why = malloc(all);

        if (!why)
                return NULL;
        size = (size_t) snprintf(why, all, "\"%.*s\" is no record type", WORD_SHOWN, word);
        for (size_t i = 0; i < size; i++)
                if (why[i] < ' ' || why[i] > '~')
                        why[i] = '?';
        size += (size_t) snprintf(why + size, all - size,
                                  ": allowed are names such as USER_LOGIN, numbers and ranges such as "
                                  "1100-1199, and the groups");
        for (size_t i = 0; i < ELEMENTSOF(groups); i++)
                size += (size_t) snprintf(why + size, all - size, " %s", groups[i].name);
        (void) snprintf(why + size, all - size, "; with ~ before it a word leaves out");
        return why;
}

static bool parse_words(const char *text, size_t size, Words *words, char **ret_why)
{
        const char *end = text + size, *p = text;
        char word[WORD_MAX];

        while ((p = next_word(p, end, word))) {
                bool without = word[0] == '~';
                char shown[WORD_MAX];

                memcpy(shown, word, sizeof shown);
                if (!add_word(without ? words->unwanted : words->wanted, word + without)) {
                        *ret_why = explain(shown);
                        return false;
                }
                words->any_wanted = words->any_wanted || !without;
        }
        return true;
}

int record_filter_parse(const char *text, size_t size, RecordFilter **ret, char **ret_why)
{
        _cleanup_(record_filter_freep) RecordFilter *filter = calloc(1, sizeof *filter);
        _cleanup_(freep) Words *words = calloc(1, sizeof *words);

        *ret_why = NULL;
        if (!filter || !words)
                return -ENOMEM;
        need_slots();
        if (size > RECORD_FILTER_TEXT_MAX) {
                *ret_why = strdup("the filter is longer than 4096 bytes");
                return -EINVAL;
        }
        if (size > 0 && !parse_words(text, size, words, ret_why))
                return -EINVAL;
        filter->others = !words->any_wanted;
        for (size_t i = 0; i < ELEMENTSOF(filter->numbers); i++)
                filter->numbers[i] =
                        (words->any_wanted ? words->wanted[i] : UINT64_MAX) & ~words->unwanted[i];
        *ret = TAKE_PTR(filter);
        return 0;
}

RecordFilter *record_filter_free(RecordFilter *filter)
{
        free(filter);
        return NULL;
}

bool record_filter_passes_all(const RecordFilter *filter)
{
        if (!filter)
                return true;
        for (size_t i = 0; i < ELEMENTSOF(filter->numbers); i++)
                if (filter->numbers[i] != UINT64_MAX)
                        return false;
        return filter->others;
}

bool record_filter_equal(const RecordFilter *a, const RecordFilter *b)
{
        if (!a || !b)
                return record_filter_passes_all(a) && record_filter_passes_all(b);
        return a->others == b->others && memcmp(a->numbers, b->numbers, sizeof a->numbers) == 0;
}

/* --- Records --- */

/* The type field of a line; of no size when there is none. */
static RecordSlice line_type(const uint8_t *line, size_t size)
{
        const uint8_t *end = line + size, *p = line, *space;

        if (size > 5 && memcmp(p, "node=", 5) == 0) {
                p = memchr(p, ' ', size);
                p = p ? p + 1 : end;
        }
        if (end - p < 5 || memcmp(p, "type=", 5) != 0)
                return (RecordSlice) { 0 };
        p += 5;
        space = memchr(p, ' ', (size_t) (end - p));
        return (RecordSlice) { p, (size_t) ((space ? space : end) - p) };
}

bool record_filter_line(const RecordFilter *filter, const uint8_t *line, size_t size)
{
        RecordSlice type;
        uint32_t number;

        if (!filter)
                return true;
        type = line_type(line, size);
        if (type.size == 0 || !type_number(type.data, type.size, &number))
                return filter->others;
        return filter->numbers[number / 64] >> number % 64 & 1;
}

/* The next line, or what is left behind the last newline; 0 at the end. */
static size_t next_line(const uint8_t *payload, size_t left)
{
        size_t size = record_next(payload, left);

        return MIN(size, left);
}

static size_t copy_run(uint8_t *out, const uint8_t *begin, const uint8_t *end)
{
        size_t size = (size_t) (end - begin);

        if (size > 0)
                memcpy(out, begin, size);
        return size;
}

void record_filter_batch(const RecordFilter *filter, const Batch *batch, uint8_t *scratch, Batch *ret)
{
        const uint8_t *p = batch->payload, *run = p; /* of lines that pass, not yet copied */
        size_t left = batch->size, size, kept = 0;
        uint32_t count = 0;

        *ret = *batch;
        if (!filter || batch->reason == BATCH_CUSTODY || batch->reason == BATCH_LOST)
                return;
        for (; (size = next_line(p, left)) > 0; p += size, left -= size) {
                if (record_filter_line(filter, p, size)) {
                        count++;
                        continue;
                }
                kept += copy_run(scratch + kept, run, p);
                run = p + size;
        }
        if (count == batch->count)
                return;
        kept += copy_run(scratch + kept, run, p);
        ret->reason = BATCH_FILTERED;
        ret->count = count;
        ret->size = (uint32_t) kept;
        ret->payload = scratch;
        batch_seal(ret);
}

uint32_t record_filter_lost(const RecordFilter *filter, const RecordFilter *instead, const Batch *batch)
{
        const uint8_t *p = batch->payload;
        size_t left = batch->size, size;
        uint32_t n = 0;

        if (batch->reason == BATCH_CUSTODY || batch->reason == BATCH_LOST)
                return 0;
        for (; (size = next_line(p, left)) > 0; p += size, left -= size)
                n += record_filter_line(filter, p, size) && !record_filter_line(instead, p, size);
        return n;
}
