/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/note.h"
#include "basic/bytes.h"

#include <inttypes.h>
#include <stdio.h>

#define ORIGIN "audit-relay/"
#define DASH "\xe2\x80\x94 "
#define BASE64_HASH_MAX 44U

/* --- Base64 --- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_size(size_t size)
{
        return (size + 2) / 3 * 4;
}

void base64_encode(const uint8_t *data, size_t size, char *ret_text)
{
        for (; size > 0; data += MIN(size, (size_t) 3), size -= MIN(size, (size_t) 3)) {
                uint32_t bits = (uint32_t) data[0] << 16 | (uint32_t) (size > 1 ? data[1] : 0) << 8 |
                                (uint32_t) (size > 2 ? data[2] : 0);

                for (unsigned i = 0; i < 4; i++)
                        *ret_text++ = i > size ? '=' : digits[bits >> (18 - 6 * i) & 63];
        }
        *ret_text = '\0';
}

bool base64_decode(const char *text, size_t text_size, uint8_t *ret_data, size_t size)
{
        if (text_size != base64_size(size))
                return false;
        for (; text_size > 0; text += 4, text_size -= 4) {
                size_t n = MIN(size, (size_t) 3);
                uint32_t bits = 0;

                for (unsigned i = 0; i < 4; i++) {
                        const char *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;

                        if (i > n ? text[i] != '=' : !digit)
                                return false;
                        bits = bits << 6 | (i > n ? 0 : (uint32_t) (digit - digits));
                }
                /* One text for each value. */
                if ((bits & ((UINT32_C(1) << (8 * (3 - n))) - 1)) != 0)
                        return false;
                for (size_t i = 0; i < n; i++)
                        *ret_data++ = (uint8_t) (bits >> (16 - 8 * i));
                size -= n;
        }
        return true;
}

/* --- Writing --- */

void note_format(Note *note, char ret_text[static NOTE_MAX])
{
        char head[BASE64_HASH_MAX + 1], previous[BASE64_HASH_MAX + 1], store[33];
        int n;

        base64_encode(note->head, sizeof note->head, head);
        base64_encode(note->previous, sizeof note->previous, previous);
        stream_id_format(&note->store, store);
        n = snprintf(ret_text, NOTE_MAX,
                     ORIGIN "%s\n%" PRIu64 "\n%s\n%" PRIu64 "\nstore %s\ncheckpoint %" PRIu64 "\nprevious %s\n", note->name,
                     note->seq, head, note->time_sec, store, note->number, previous);
        assert(n > 0 && (size_t) n < NOTE_MAX);
        note->size = (size_t) n;
}

void note_add_signature(const Note *note, const uint8_t id[static KEY_ID_SIZE],
                        const uint8_t signature[static SIGNATURE_SIZE], char text[static NOTE_MAX])
{
        uint8_t blob[KEY_ID_SIZE + SIGNATURE_SIZE];
        char encoded[(sizeof blob + 2) / 3 * 4 + 1];
        int n;

        memcpy(blob, id, KEY_ID_SIZE);
        memcpy(blob + KEY_ID_SIZE, signature, SIGNATURE_SIZE);
        base64_encode(blob, sizeof blob, encoded);
        n = snprintf(text + note->size, NOTE_MAX - note->size, "\n" DASH "%s %s\n", note->name, encoded);
        assert(n > 0 && (size_t) n < NOTE_MAX - note->size);
        (void) n;
}

/* --- Reading --- */

/* The next line, without its LF; NULL: there is no whole one. */
static const char *take_line(const char **p, const char *end, size_t *ret_size)
{
        const char *line = *p, *newline = memchr(line, '\n', (size_t) (end - line));

        if (!newline)
                return NULL;
        *ret_size = (size_t) (newline - line);
        *p = newline + 1;
        return line;
}

static bool take_prefix(const char **line, size_t *size, const char *prefix)
{
        size_t n = strlen(prefix);

        if (*size < n || memcmp(*line, prefix, n) != 0)
                return false;
        *line += n;
        *size -= n;
        return true;
}

/* Decimal, without leading zeros. */
static bool parse_number(const char *line, size_t size, uint64_t *ret)
{
        uint64_t value = 0;

        if (size == 0 || (line[0] == '0' && size > 1))
                return false;
        for (size_t i = 0; i < size; i++)
                if (line[i] < '0' || line[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (line[i] - '0'), &value))
                        return false;
        *ret = value;
        return true;
}

static bool parse_stream(const char *line, size_t size, StreamId *ret)
{
        static const char hex[] = "0123456789abcdef";

        if (size != 2 * sizeof ret->bytes)
                return false;
        for (size_t i = 0; i < size; i++) {
                const char *digit = line[i] != '\0' ? strchr(hex, line[i]) : NULL;

                if (!digit)
                        return false;
                ret->bytes[i / 2] = (uint8_t) (ret->bytes[i / 2] << 4 | (digit - hex));
        }
        return true;
}

static bool parse_name(const char *line, size_t size, char ret[static NODE_NAME_MAX + 1])
{
        if (size == 0 || size > NODE_NAME_MAX)
                return false;
        for (size_t i = 0; i < size; i++)
                if (line[i] <= ' ' || line[i] > '~' || line[i] == '+')
                        return false;
        memcpy(ret, line, size);
        ret[size] = '\0';
        return true;
}

/* The i-th line of the text that is signed. Lines of later versions are passed over. */
static bool parse_line(unsigned i, const char *line, size_t size, Note *note)
{
        switch (i) {
        case 0:
                return take_prefix(&line, &size, ORIGIN) && parse_name(line, size, note->name);
        case 1:
                return parse_number(line, size, &note->seq);
        case 2:
                return base64_decode(line, size, note->head, sizeof note->head);
        case 3:
                return parse_number(line, size, &note->time_sec);
        case 4:
                return take_prefix(&line, &size, "store ") && parse_stream(line, size, &note->store);
        case 5:
                return take_prefix(&line, &size, "checkpoint ") && parse_number(line, size, &note->number);
        case 6:
                return take_prefix(&line, &size, "previous ") &&
                       base64_decode(line, size, note->previous, sizeof note->previous);
        default:
                return true;
        }
}

int note_parse(const char *text, size_t size, Note *ret)
{
        const char *p = text, *end = text + size, *line;
        Note note = { .size = 0 };
        size_t n;

        for (unsigned i = 0;; i++) {
                note.size = (size_t) (p - text);
                line = take_line(&p, end, &n);
                if (!line)
                        return -EBADMSG;
                if (n == 0 && i > 6)
                        break;
                if (!parse_line(i, line, n, &note))
                        return -EBADMSG;
        }
        *ret = note;
        return 0;
}

bool note_signature(const char *text, size_t size, const char *name, const uint8_t id[static KEY_ID_SIZE],
                    uint8_t ret_signature[static SIGNATURE_SIZE])
{
        const char *p = memmem(text, size, "\n\n", 2), *end = text + size, *line;
        uint8_t blob[KEY_ID_SIZE + SIGNATURE_SIZE];
        size_t n;

        for (p = p ? p + 2 : end; (line = take_line(&p, end, &n));)
                if (take_prefix(&line, &n, DASH) && take_prefix(&line, &n, name) && take_prefix(&line, &n, " ") &&
                    base64_decode(line, n, blob, sizeof blob) && memcmp(blob, id, KEY_ID_SIZE) == 0) {
                        memcpy(ret_signature, blob + KEY_ID_SIZE, SIGNATURE_SIZE);
                        return true;
                }
        return false;
}

/* --- Entries --- */

void note_to_entry(const Note *note, const uint8_t id[static KEY_ID_SIZE],
                   const uint8_t signature[static SIGNATURE_SIZE], IndexEntry *ret)
{
        *ret = (IndexEntry) {
                .kind = INDEX_CHECKPOINT,
                .checkpoint = {
                        .seq = note->seq,
                        .time_usec = note->time_sec * USEC_PER_SEC,
                        .serial = note->number,
                        .key_id = get_le32(id),
                        .stream = note->store,
                },
        };
        memcpy(ret->checkpoint.previous, note->previous, SHA256_SIZE);
        memcpy(ret->checkpoint.head, note->head, SHA256_SIZE);
        memcpy(ret->checkpoint.signature, signature, SIGNATURE_SIZE);
}

void note_from_entry(const IndexEntry *entry, const char *name, Note *ret)
{
        *ret = (Note) {
                .seq = entry->checkpoint.seq,
                .time_sec = entry->checkpoint.time_usec / USEC_PER_SEC,
                .store = entry->checkpoint.stream,
                .number = entry->checkpoint.serial,
        };
        (void) snprintf(ret->name, sizeof ret->name, "%s", name);
        memcpy(ret->head, entry->checkpoint.head, SHA256_SIZE);
        memcpy(ret->previous, entry->checkpoint.previous, SHA256_SIZE);
}

void note_entry_id(const IndexEntry *entry, uint8_t ret[static KEY_ID_SIZE])
{
        put_le32(ret, (uint32_t) entry->checkpoint.key_id);
}
