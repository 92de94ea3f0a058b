/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A source as text, for those who do not speak the link: what an outlet says to them (OutletSpeech).
 *
 *      lines   each record as its line, node=… type=… msg=audit(…): …\n
 *      audisp  as auditd gives records to plugins with format=binary (docs/dispatcher.md)
 *
 * A range that is lost is a gap record in the same form (where=subscriber), with whole records before and
 * behind it. A heartbeat is nothing.
 */

#include "runtime/outlet.h"

typedef enum TextFormat {
        TEXT_LINES,
        TEXT_AUDISP,
} TextFormat;

/* auditd's struct audit_dispatcher_header, in host byte order. */
#define TEXT_AUDISP_HEADER 16U
/* Its AUDISP_PROTOCOL_VER2: the payload is the line, with its type. */
#define TEXT_AUDISP_VERSION 1U
/* No payload is longer: plugins read into a buffer of MAX_AUDIT_MESSAGE_LENGTH. A longer record is cut, and
 * counted. */
#define TEXT_AUDISP_MAX RECORD_TEXT_MAX

/* Ends of batches among what is put and not known to be read. Where there are more they stand farther apart,
 * so that a new session begins somewhat earlier than it could. */
#define TEXT_MARKS_MAX 64U

typedef struct TextMark {
        uint64_t end; /* bytes put in this session up to here */
        uint64_t seq; /* all up to this one */
        uint64_t checksum;
} TextMark;

typedef struct Text {
        Source *source;
        TextFormat format;
        const char *node; /* of gap records; audisp leaves it out. Not owned */
        uint64_t (*realtime_usec)(void);

        Cursor cursor;
        uint64_t sent; /* last seq put */
        uint64_t read; /* last seq known to be read; a new session begins behind it */
        uint64_t put;  /* bytes in this session */
        TextMark marks[TEXT_MARKS_MAX];
        size_t n_marks;
        uint64_t known;  /* bytes of this session up to where `read` is */
        uint64_t stride; /* bytes from mark to mark, at least */
        uint64_t gaps;   /* gap records written */
        uint64_t cut;    /* records that were too long for audisp */
} Text;

/* For outlets whose speaker is a Text. Its owner sets it up to realtime_usec, and `read` to where it begins.
 */
extern const OutletSpeech text_speech;
