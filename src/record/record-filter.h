/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which records a subscriber wants, by type. The text is words, separated by space or comma:
 *
 *      AVC             a type's name, in any case; UNKNOWN[n] is one
 *      1112            a number
 *      1100-1199       a range of numbers
 *      user-auth       a group, in lower case (docs/records.md): "avc" is the group, "AVC" the type in it
 *      ~PROCTITLE      not this one: any of these with a ~ before it
 *
 * A record passes if a word without ~ names its type, or there is no such word, and none with ~ names it.
 * So the order says nothing, and the empty text lets all pass. A type that libaudit does not know passes by
 * its number, UNKNOWN[n]; one of another name than that has no number and passes where there are only words
 * with ~.
 */

#include "basic/batch.h"

typedef struct RecordFilter RecordFilter;

/* Longest text: a filter arrives in a HELLO too. */
#define RECORD_FILTER_TEXT_MAX 4096U

/* Reads the text. Returns 0; -EINVAL with *ret_why, a sentence that names the word and what is allowed (to
 * be freed); -ENOMEM. */
int record_filter_parse(const char *text, size_t size, RecordFilter **ret, char **ret_why) _must_check_;
RecordFilter *record_filter_free(RecordFilter *filter);
DEFINE_CLEANUP(RecordFilter *, record_filter_free)

/* In all these, NULL is the filter that lets all pass. */

bool record_filter_passes_all(const RecordFilter *filter);

/* Whether the two let the same pass. */
bool record_filter_equal(const RecordFilter *a, const RecordFilter *b);

/* Whether a line passes. A line without a type passes like a type without a number. */
bool record_filter_line(const RecordFilter *filter, const uint8_t *line, size_t size);

/* What is left of a batch: the same range, with those records that pass, sealed, reason filtered, the
 * payload in `scratch` (BATCH_PAYLOAD_MAX bytes). Where all pass, and where the batch explains (custody,
 * lost), it is the batch itself. */
void record_filter_batch(const RecordFilter *filter, const Batch *batch, uint8_t *scratch, Batch *ret);

/* Records of a batch that `filter` lets pass and `instead` does not. */
uint32_t record_filter_lost(const RecordFilter *filter, const RecordFilter *instead, const Batch *batch);

/* The number of a type by its name as it stands in a line; false when it has none. */
bool record_type_number(const uint8_t *name, size_t size, uint32_t *ret);

/* Name and words of group i; false behind the last. */
bool record_filter_group(size_t i, const char **ret_name, const char **ret_words);
