/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What can be asked for: the verbs and their arguments, judged by form alone. Pure. */

#include "link/frame.h"

/* Longer arguments are refused: what is taken is shown whole in its record. */
#define COMMAND_ARGUMENTS_MAX 2048U
/* Of a verb that is passed on, and of a condition's name without the prefix. */
#define COMMAND_NAME_MAX 64U
/* Conditions that commands raise begin with it: none of the dispatcher's own does, so that nobody can feign
 * or end one of these. */
#define COMMAND_CONDITION_PREFIX "command_"
#define COMMAND_CONDITION_SIZE (sizeof COMMAND_CONDITION_PREFIX + COMMAND_NAME_MAX)
/* A subscriber that is paused for longer than a meal was forgotten. */
#define COMMAND_PAUSE_SEC_MAX 3600U
/* 30 days: addresses change hands. */
#define COMMAND_BLOCK_SEC_MAX (30U * 24U * 3600U)
/* NODE= of a command for all clients of this host's collector. */
#define COMMAND_NODE_ALL "all"

typedef enum CommandVerb {
        COMMAND_STATE,
        COMMAND_PAUSE,
        COMMAND_RESUME,
        COMMAND_BLOCK_ADDRESS,
        COMMAND_UNBLOCK_ADDRESS,
        COMMAND_LOG,
        COMMAND_OTHER, /* "x-…" */
        _COMMAND_VERB_MAX,
} CommandVerb;

typedef struct Command {
        CommandVerb verb;
        char condition[COMMAND_CONDITION_SIZE]; /* to be raised or ended; "": the command raises none */
        bool on;
        bool passed_on; /* to those who take commands */
        LinkString node; /* a client of the collector on this host, or COMMAND_NODE_ALL; empty: it is for this host */
        LinkString name; /* of a subscriber; empty: the sender */
        LinkString reason, message;
        uint32_t seconds;
        int priority;
} Command;

/* Whether there is such a verb: one of the table, or "x-" and letters, digits and '-'. */
bool command_verb_find(LinkString name, CommandVerb *ret);

/* Returns LINK_REPLY_DONE, or what is to be answered, with a static sentence in *ret_why. Strings point into
 * the frame. */
LinkReplyStatus command_parse(const LinkCommand *frame, Command *ret, const char **ret_why) _must_check_;
