/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Audit records as text: the one place where their bytes are looked at. A line is
 *
 *      node=NODE type=TYPE msg=audit(SEC.MSEC:SERIAL): TEXT\n
 *
 * Type and the prefix audit(…) are all that is ever parsed. Nothing here does I/O or asks for the time.
 */

#include "basic/batch.h"
#include "record/record-filter.h"

typedef struct RecordSlice {
        const uint8_t *data;
        size_t size;
} RecordSlice;

typedef struct RecordTime {
        uint64_t sec;
        uint32_t msec;
        uint64_t serial;
} RecordTime;

/* Of a record of our own, from microseconds. Its serial is no kernel's: it only tells one from the next. */
static inline RecordTime record_time(uint64_t usec, uint64_t serial)
{
        return (RecordTime) { usec / USEC_PER_SEC, (uint32_t) (usec % USEC_PER_SEC / USEC_PER_MSEC), serial };
}

/* A line's fixed prefix. */
typedef struct RecordPrefix {
        RecordSlice node; /* empty when the line has none */
        RecordSlice type; /* the name */
        RecordTime time;
        size_t type_offset; /* of "type=" in the line: what follows a node= */
} RecordPrefix;

/* What a line has in common with the one before it, so that it is looked at once: the records of an event follow each other, and
 * have one stamp. Slices are of the lines themselves. */
typedef struct RecordKnown {
        char node[sizeof "node=" + NODE_NAME_MAX + 1]; /* as a line of that node begins: "node=NAME " */
        size_t node_size;                              /* 0: none is known */
        RecordSlice stamp;                             /* "audit(…):" */
        RecordTime time;                               /* … as read */
} RecordKnown;

typedef enum RecordFault {
        RECORD_OK = 0,
        RECORD_E_FORM,    /* not node= type= msg=audit(SEC.MSEC:SERIAL): */
        RECORD_E_NODE,    /* another node than the sender may speak for, or none */
        RECORD_E_LONG,    /* longer than RECORD_LINE_MAX */
        RECORD_E_CONTROL, /* CR or NUL inside */
        RECORD_E_COUNT,   /* a batch whose lines are not as many as it says, or whose last is not ended */
        RECORD_E_TYPE,    /* of a type that the sender may not send */
        _RECORD_FAULT_MAX,
} RecordFault;

/* A short lower-case phrase: "no audit record", "foreign node" … */
const char *record_fault_to_string(RecordFault fault);

/* The type's name as libaudit has it, "UNKNOWN[n]" otherwise. Valid for ever. */
const char *record_type_name(uint16_t type);

/* Formats a kernel message (text "audit(SEC.MSEC:SERIAL): …", no newline) as a line. LF, CR and NUL inside become spaces,
 * counted in *replaced (added to); text beyond RECORD_TEXT_MAX is cut. Deterministic: the same input gives the same bytes.
 * `out` has RECORD_LINE_MAX bytes. Returns the size of the line, or 0 when the text does not begin with audit(…):. */
size_t record_format(uint16_t type, const uint8_t *text, size_t text_size, const char *node, uint8_t *out,
                     uint64_t *replaced);

/* Reads "audit(SEC.MSEC:SERIAL):" at the front of a text. Returns its size, 0 if it is not there. */
size_t record_parse_time(const uint8_t *text, size_t size, RecordTime *ret);

/* Reads the prefix of a line (with or without its newline). */
RecordFault record_parse(const uint8_t *line, size_t size, RecordPrefix *ret);
/* The same of lines that follow each other: their stamps are looked up in *known first. */
RecordFault record_parse_next(const uint8_t *line, size_t size, RecordKnown *known, RecordPrefix *ret);
void record_know_node(RecordKnown *known, const char *node);

/* Whether the line, which ends with its only newline, is a record of `node` (NULL: of any node, but of one). The reference for
 * record_check_batch(), which says the same of many lines faster. */
RecordFault record_check(const uint8_t *line, size_t size, const char *node);

/* Takes a line that a producer wrote ("type=… msg=audit(…): …", node= or not, no newline) and writes it as a complete line of
 * `node` to `out` (RECORD_LINE_MAX bytes). LF, CR and NUL become spaces, counted. A line that names another node is a fault:
 * whoever may speak for it uses the link. Returns RECORD_OK and the size, or the fault. */
RecordFault record_adopt(const uint8_t *line, size_t size, const char *node, uint8_t *out, size_t *ret_size,
                         uint64_t *replaced);

/* The same for all lines of a text, one after the other: what is the same for them is looked at once. */
typedef struct RecordAdopter {
        RecordKnown known;
        bool clean;        /* there is no CR and no NUL in the text */
        uint64_t replaced; /* so far */
} RecordAdopter;

void record_adopter_init(RecordAdopter *adopter, const char *node, const uint8_t *text, size_t size);
/* `line` is in the text, up to a newline. */
RecordFault record_adopt_next(RecordAdopter *adopter, const uint8_t *line, size_t size, uint8_t *out, size_t *ret_size);

/* The next line of a payload: returns its size with the newline, 0 at the end, SIZE_MAX when the rest has no newline. */
size_t record_next(const uint8_t *payload, size_t size);

/* Checks all lines of a batch's payload; a batch that explains (custody, lost) has none. RECORD_OK, and what they have in common
 * in *ret_span (NULL: not wanted), or the first fault with the line's number (from 0). */
RecordFault record_check_batch(const Batch *batch, const char *node, uint32_t *ret_line, BatchSpan *ret_span);

/* Times and node of the lines of a payload; times both 0 when one of them is no record. An empty one has none. */
void record_span(const uint8_t *payload, size_t size, BatchSpan *ret);
/* The same line by line, for who has read its prefix anyway: from RECORD_SPAN_INIT on, each line, the end. */
typedef struct RecordSpan {
        BatchSpan span;
        RecordSlice node; /* of the first */
        bool one;         /* all are of that */
} RecordSpan;

#define RECORD_SPAN_INIT ((RecordSpan) { .span = BATCH_SPAN_NONE, .one = true })

void record_span_add(RecordSpan *sum, const RecordPrefix *prefix);
void record_span_end(const RecordSpan *sum, BatchSpan *ret);

/* --- Records of our own --- */

/* `type=DAEMON_ERR … op=relay-gap`: what was lost, where, how many (docs/records.md). */
typedef struct RecordGap {
        const char *node;
        RecordTime time;
        const char *where;  /* "kernel", "ring", "store", "stream" … */
        const char *reason; /* one word or words-with-dashes */
        uint64_t lost;
        bool at_least;        /* lost is a lower bound; with 0: unknown */
        const char *stream; /* 32 hex digits or NULL */
        uint64_t first, last; /* seqs of stream, when it is given */
        const char *detail;   /* further "key=value key=value" of the writer's making, or NULL */
} RecordGap;

/* Writes the line to `out` (RECORD_LINE_MAX bytes); returns its size. */
size_t record_gap(const RecordGap *gap, uint8_t *out);

/* Bytes of a command's arguments that its record shows; more are cut, and said. */
#define RECORD_COMMAND_ARGUMENTS_MAX 2048U
/* … and of what was answered, which may be the words of many. */
#define RECORD_COMMAND_WHY_MAX 1024U

/* `type=DAEMON_CONFIG … op=relay-command`: somebody asked something of us, and whether we took it. With `op` "relay-answer":
 * what became of a command that was passed on. Negative numbers and NULL are not known, or do not apply, and are left out. */
typedef struct RecordCommand {
        const char *node;
        RecordTime time;
        const char *op;
        int64_t id;            /* binds an answer to its command */
        RecordSlice verb;
        RecordSlice arguments; /* as they came */
        const char *via;       /* "push", "pull", "input" */
        const char *from;      /* name of the peer, as configured (push) or as it calls itself */
        int64_t pid, uid, auid, ses;
        const char *unit;
        int64_t receivers;     /* it was passed on to so many */
        int64_t count;         /* the record stands for so many commands */
        const char *answer;    /* a word */
        const char *why;       /* a sentence; empty: none */
        bool success;
} RecordCommand;

/* Writes the line to `out` (RECORD_LINE_MAX bytes); returns its size. */
size_t record_command(const RecordCommand *command, uint8_t *out);

/* What a sender's lines are held to, and what is written in place of those that break a rule. */
typedef struct RecordRules {
        const char *node;          /* of records made here: the authenticated one */
        const char *accept;        /* node= that lines may have; NULL: any, but one */
        const char *peer;          /* who sent them, as authenticated; NULL: node */
        const RecordFilter *types; /* that lines may have; NULL: any */
        char *const *also;         /* besides `accept`: further nodes, in any case, NULL-terminated; NULL: none */
} RecordRules;

/* record_check_batch() and the types: RECORD_OK and the span, or the first fault with the line's number. */
RecordFault record_judge_batch(const Batch *batch, const RecordRules *rules, uint32_t *ret_line, BatchSpan *ret_span);

/* Builds what is stored in place of a batch with refused lines: good lines as they are, each refused one escaped inside
 * `node=… type=DAEMON_ERR msg=audit(…): op=relay-refused fault="…" peer=… size=N hash=… line="…"`, cut where RECORD_LINE_MAX
 * or BATCH_PAYLOAD_MAX end. Refused lines for which no room is left beside the good ones are counted in one more record, which
 * also stands for a wrong count. `out` has BATCH_PAYLOAD_MAX bytes. On return ret_stored is sealed, with payload in `out`;
 * *ret_refused is the number of lines refused. */
void record_refuse(const Batch *received, const RecordRules *rules, RecordTime time, uint8_t *out, Batch *ret_stored,
                   uint32_t *ret_refused);

/* The same for one line: writes the record that stands for it to `out` (RECORD_LINE_MAX bytes); returns its size. */
size_t record_refuse_line(const uint8_t *line, size_t size, RecordFault fault, const RecordRules *rules, RecordTime time,
                          uint8_t *out);

/* `type=DAEMON_ERR … op=relay-gap` as a sealed one-record batch that stands for a lost range (reason lost). */
void record_explain_lost(const Batch *lost, const char *node, const char *stream, RecordTime time, uint8_t *out,
                         Batch *ret_stored);
