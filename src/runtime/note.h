/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checkpoints as text: signed notes in the manner of C2SP's signed-note and tlog-checkpoint (docs/protocol.md, RECEIPT).
 * Pure; who signs is signing.h.
 */

#include "basic/batch.h"
#include "store/index.h"

/* The longest name in each place, and to spare: a note with its NUL. */
#define NOTE_MAX 1024U
#define KEY_ID_SIZE 4U

/* What a checkpoint says. */
typedef struct Note {
        char name[NODE_NAME_MAX + 1]; /* of the collector, and of its key */
        uint64_t seq;                 /* last own seq of the store … */
        uint8_t head[SHA256_SIZE];    /* … and the chain up to there */
        uint64_t time_sec;
        StreamId store;               /* the store's own stream */
        uint64_t number;              /* of the checkpoint, in this store, from 1 */
        uint8_t previous[SHA256_SIZE]; /* SHA-256 of the signature of the one before; zeros: the first */
        size_t size;                  /* of the text that is signed */
} Note;

/* The text that is signed; note->size is set. */
void note_format(Note *note, char ret_text[static NOTE_MAX]);
/* Adds the signature to that. */
void note_add_signature(const Note *note, const uint8_t id[static KEY_ID_SIZE],
                        const uint8_t signature[static SIGNATURE_SIZE], char text[static NOTE_MAX]);
/* Returns 0 or -EBADMSG. */
int note_parse(const char *text, size_t size, Note *ret) _must_check_;
/* The signature by the key of that name and id. Whether there is one; it is not verified. */
bool note_signature(const char *text, size_t size, const char *name, const uint8_t id[static KEY_ID_SIZE],
                    uint8_t ret_signature[static SIGNATURE_SIZE]);

/* A note as an index entry keeps it, and back; the name is the key's. */
void note_to_entry(const Note *note, const uint8_t id[static KEY_ID_SIZE],
                   const uint8_t signature[static SIGNATURE_SIZE], IndexEntry *ret);
void note_from_entry(const IndexEntry *entry, const char *name, Note *ret);
void note_entry_id(const IndexEntry *entry, uint8_t ret[static KEY_ID_SIZE]);

/* Base64 with padding, as in notes. */
size_t base64_size(size_t size);
void base64_encode(const uint8_t *data, size_t size, char *ret_text);
/* Whether the text is that of exactly `size` bytes. */
bool base64_decode(const char *text, size_t text_size, uint8_t *ret_data, size_t size);
