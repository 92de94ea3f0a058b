/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libauparse, as auditd uses it, reads each record and says which of its fields are which; it also has the words for
 * system calls, architectures and addresses. The names of users and groups, for which it would ask the system and
 * wait, are asked of Names; the words for those without a name are its own: "unset", "unknown(1000)".
 *
 *  1. A record's own bytes are never changed, only added to.
 *  2. What is added to a line keeps the line one line, and below RECORD_LINE_MAX; and there is always room left for
 *     all lines of the batch that are still to come, as they are.
 *  3. A batch is put off at most PUT_OFF_MAX times in a row, so hosts with more names than the cache holds go on.
 */

#include "remote/enrich.h"
#include "record/record.h"

#include <auparse.h>
#include <ctype.h>
#include <libaudit.h>
#include <stdio.h>

#define PUT_OFF_MAX 8U

struct Enricher {
        char *node;
        Names *names;
        auparse_state_t *parser;
        unsigned put_off;       /* in a row */
        uint64_t flushed;       /* checksum of the batch for which names were forgotten */
        bool wait;              /* for names, during this batch */
        bool incomplete;        /* a name is worth waiting for */
        uint32_t added, too_long, unnamed; /* in this batch */
        size_t size;            /* of what is added to this record */
        bool full;              /* it does not fit */
        char line[RECORD_LINE_MAX + 1], addition[RECORD_LINE_MAX];
        uint8_t payload[BATCH_PAYLOAD_MAX];
        EnricherCounters counters;
};

/* --- What is added to a record --- */

static void add(Enricher *enricher, const char *data, size_t size)
{
        if (enricher->full || size > sizeof enricher->addition - enricher->size) {
                enricher->full = true;
                return;
        }
        memcpy(enricher->addition + enricher->size, data, size);
        enricher->size += size;
}

/* NAME=value behind what is there. A path in an address may have any byte in it: whoever names a socket neither begins a line
 * nor an escape sequence for a terminal. */
static void add_field(Enricher *enricher, const char *field, const char *value)
{
        char separator = enricher->size == 0 ? ENRICH_SEPARATOR : ' ';
        size_t begin;

        add(enricher, &separator, 1);
        begin = enricher->size;
        add(enricher, field, strlen(field));
        add(enricher, "=", 1);
        add(enricher, value, strlen(value));
        for (size_t i = begin; i < enricher->size; i++)
                if (memchr("\n\r\033", enricher->addition[i], 3))
                        enricher->addition[i] = ' ';
}

/* The words of libauparse for what has no name. */
static const char *name_of(Enricher *enricher, NameKind kind, const char *value, char ret[static NAME_SIZE_MAX])
{
        const char *name;
        unsigned long id;
        int r;

        errno = 0;
        id = strtoul(value, NULL, 10);
        if (errno != 0) {
                (void) snprintf(ret, NAME_SIZE_MAX, "conversion error(%.200s)", value);
                return ret;
        }
        if ((uint32_t) id == UINT32_MAX)
                return "unset";
        if ((uint32_t) id == 0)
                return "root";
        r = names_get(enricher->names, kind, (uint32_t) id, enricher->wait, &name);
        if (r > 0)
                return name;
        enricher->incomplete |= r == -EAGAIN;
        enricher->unnamed++;
        (void) snprintf(ret, NAME_SIZE_MAX, "unknown(%d)", (int) id);
        return ret;
}

static void add_name(Enricher *enricher, NameKind kind, const char *field, const char *value)
{
        char text[NAME_SIZE_MAX];
        const char *name = name_of(enricher, kind, value, text);
        _cleanup_(freep) char *encoded = audit_encode_nv_string(field, name, (unsigned) strlen(name));

        /* "AUID=" again comes from add_field(): what is encoded begins with it. */
        if (encoded)
                add_field(enricher, field, encoded + strlen(field) + 1);
}

static void upper_case(const char *name, char ret[static 64])
{
        size_t n = 0;

        for (; name[n] != '\0' && n < 63; n++)
                ret[n] = (char) toupper((unsigned char) name[n]);
        ret[n] = '\0';
}

static void interpret_field(Enricher *enricher)
{
        auparse_state_t *parser = enricher->parser;
        const char *name = auparse_get_field_name(parser), *value;
        char field[64];

        if (!name)
                return;
        upper_case(name, field);
        switch (auparse_get_field_type(parser)) {
        case AUPARSE_TYPE_UID:
        case AUPARSE_TYPE_GID:
                value = auparse_get_field_str(parser);
                if (value)
                        add_name(enricher, auparse_get_field_type(parser) == AUPARSE_TYPE_UID ? NAME_USER : NAME_GROUP,
                                 field, value);
                break;
        case AUPARSE_TYPE_SYSCALL:
        case AUPARSE_TYPE_ARCH:
        case AUPARSE_TYPE_SOCKADDR:
                value = auparse_interpret_field(parser);
                add_field(enricher, field, value ? value : "?");
                break;
        default:
                break;
        }
}

static int begin_parser(Enricher *enricher, size_t size)
{
        if (enricher->parser)
                return auparse_new_buffer(enricher->parser, enricher->line, size);
        enricher->parser = auparse_init(AUSOURCE_BUFFER, enricher->line);
        if (!enricher->parser)
                return -1;
        auparse_set_escape_mode(enricher->parser, AUPARSE_ESC_RAW);
        return 0;
}

/* Fills `addition`, with nothing when there is nothing to say. */
static void interpret(Enricher *enricher, const uint8_t *line, size_t size)
{
        enricher->size = 0;
        enricher->full = false;
        memcpy(enricher->line, line, size);
        enricher->line[size] = '\0';
        if (begin_parser(enricher, size) < 0 || auparse_first_record(enricher->parser) <= 0)
                return;
        for (int r = auparse_first_field(enricher->parser); r > 0; r = auparse_next_field(enricher->parser))
                interpret_field(enricher);
}

/* --- Batches --- */

static bool is_ours(const Enricher *enricher, const uint8_t *line, size_t size, const RecordPrefix *prefix)
{
        return prefix->node.size == strlen(enricher->node) &&
               memcmp(prefix->node.data, enricher->node, prefix->node.size) == 0 &&
               !memchr(line, ENRICH_SEPARATOR, size) && !memchr(line, '\0', size);
}

static bool changes_accounts(RecordSlice type)
{
        static const char *const types[] = { "ADD_USER", "ADD_GROUP", "DEL_USER", "DEL_GROUP", "USER_MGMT", "GRP_MGMT" };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (type.size == strlen(types[i]) && memcmp(type.data, types[i], type.size) == 0)
                        return true;
        return false;
}

/* Writes the line to `out`, with what is known of it; `room`: bytes it may take. Returns its size. */
static size_t write_line(Enricher *enricher, const uint8_t *line, size_t size, size_t room, uint8_t *out)
{
        interpret(enricher, line, size);
        memcpy(out, line, size);
        if (enricher->size == 0 && !enricher->full)
                return size;
        if (enricher->full || size + enricher->size > MIN(room, (size_t) RECORD_LINE_MAX)) {
                enricher->too_long++;
                return size;
        }
        enricher->added++;
        memcpy(out + size - 1, enricher->addition, enricher->size);
        out[size + enricher->size - 1] = '\n';
        return size + enricher->size;
}

/* Returns whether names are to be forgotten again behind the batch. */
static bool write_lines(Enricher *enricher, const Batch *batch, uint32_t *ret_size)
{
        const uint8_t *p = batch->payload, *end = p + batch->size;
        uint8_t *out = enricher->payload;
        bool changes = false;

        for (size_t n; p < end; p += n) {
                size_t room = BATCH_PAYLOAD_MAX - (size_t) (out - enricher->payload);
                RecordPrefix prefix;

                n = record_next(p, (size_t) (end - p));
                /* No line at all: judged already, and here only because it is cheap to be sure. */
                if (n > RECORD_LINE_MAX)
                        n = (size_t) (end - p);
                room -= (size_t) (end - p) - n;
                if (n > RECORD_LINE_MAX || record_parse(p, n, &prefix) != RECORD_OK ||
                    !is_ours(enricher, p, n, &prefix)) {
                        memcpy(out, p, n);
                        out += n;
                        continue;
                }
                if (changes_accounts(prefix.type)) {
                        if (enricher->flushed != batch->checksum) {
                                enricher->flushed = batch->checksum;
                                names_flush(enricher->names);
                        }
                        changes = true;
                }
                out += write_line(enricher, p, n, room, out);
        }
        *ret_size = (uint32_t) (out - enricher->payload);
        return changes;
}

int enricher_batch(Enricher *enricher, Batch *batch)
{
        uint32_t size;
        bool changes;

        if (batch->count == 0 || batch->origin == BATCH_ORIGIN_REMOTE)
                return 0;
        enricher->wait = enricher->put_off < PUT_OFF_MAX;
        enricher->incomplete = false;
        enricher->added = enricher->too_long = enricher->unnamed = 0;
        changes = write_lines(enricher, batch, &size);
        if (enricher->incomplete) {
                enricher->put_off++;
                return -EAGAIN;
        }
        enricher->put_off = 0;
        enricher->counters.records += enricher->added;
        enricher->counters.too_long += enricher->too_long;
        enricher->counters.unnamed += enricher->unnamed;
        if (changes) {
                enricher->flushed = 0;
                names_flush(enricher->names);
        }
        batch->payload = enricher->payload;
        batch->size = size;
        batch_seal(batch);
        return 0;
}

const EnricherCounters *enricher_counters(const Enricher *enricher)
{
        return &enricher->counters;
}

const NamesCounters *enricher_names_counters(const Enricher *enricher)
{
        return names_counters(enricher->names);
}

/* --- Life --- */

int enricher_new(sd_event *event, const EnricherOptions *options, Enricher **ret)
{
        _cleanup_(enricher_freep) Enricher *enricher = calloc(1, sizeof *enricher);
        int r;

        if (!enricher)
                return -ENOMEM;
        enricher->node = strdup(options->node);
        if (!enricher->node)
                return -ENOMEM;
        r = names_new(event, &options->names, &enricher->names);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(enricher);
        return 0;
}

Enricher *enricher_free(Enricher *enricher)
{
        if (!enricher)
                return NULL;
        names_free(enricher->names);
        if (enricher->parser)
                auparse_destroy(enricher->parser);
        free(enricher->node);
        free(enricher);
        return NULL;
}
