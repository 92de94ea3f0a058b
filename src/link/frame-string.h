/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a string of a frame may hold. Encoder and decoder ask the same function, so that we never send what a
 * peer would call a violation.
 */

#include "link/frame.h"

typedef enum FrameStringKind {
        FRAME_STRING_NAME,     /* 1 to NODE_NAME_MAX printable ASCII characters without space */
        FRAME_STRING_OPTIONAL, /* the same, or empty */
        FRAME_STRING_TEXT,     /* for people and filters: any bytes but NUL */
        FRAME_STRING_LINES,    /* lines separated by LF; no NUL, no CR */
} FrameStringKind;

/* No frame has more. */
#define FRAME_STRINGS_MAX 3U

bool frame_string_valid(LinkString string, FrameStringKind kind);

/* The kinds of a frame's strings, in order; *ret_n is their number. */
const FrameStringKind *frame_string_kinds(FrameType type, size_t *ret_n);
