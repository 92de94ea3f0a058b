/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What commands.c (the way of a command), commands-judge.c (may it, can it?), commands-record.c and
 * commands-deed.c (doing it) share; nobody else includes it. */

#include "dispatcher/command-budget.h"
#include "dispatcher/commands.h"
#include "runtime/gathering.h"

/* For a sentence of ours. */
#define COMMANDS_WHY_MAX 200U
/* Names that one may make up: each is a file. */
#define COMMANDS_CONDITIONS_MAX 32U

struct Commands {
        CommandsOptions options;
        sd_event_source *wake; /* a record was published */
        CommandPolicy policy;
        CommandBudget budget;
        Gathering *gathering;
        LIST_HEAD(, CommandPeer) peers;
        uint64_t last_id;
        uint64_t paused_usec; /* when the last pause ends; 0: none */
        uint64_t counts[LINK_REPLY_FAILED + 1]; /* by answer, what was too much included */
        uint64_t unrecorded;                    /* answers of those passed on */
};

/* One command on its way through. */
typedef struct Judgement {
        CommandPeer *peer;
        const LinkCommand *frame;
        CommandClient *client;
        uint64_t id;     /* in the records, and for those it is passed on to */
        Command command;
        uid_t uid;       /* that the peer connected as; what grants are given to */
        CommandSender sender;
        CommandPeer *target;     /* of pause and resume */
        CommandPeer **receivers; /* of one that is passed on */
        size_t n_receivers;
        LinkReplyStatus status;
        char why[COMMANDS_WHY_MAX];
} Judgement;

extern const char *const command_vias[];
extern const char *const command_answers[]; /* by LinkReplyStatus */

/* Whom a command counts for. */
static inline uint64_t judgement_client(const Judgement *j)
{
        return j->peer->via == COMMAND_VIA_PUSH ? checksum64(j->peer->name, strlen(j->peer->name)) : j->uid;
}

/* Sets status, why, target and receivers (the caller's to free). LINK_REPLY_DONE: it can be done, behind
 * this only memory may lack. */
void judgement_make(Commands *commands, Judgement *j);
void judgement_set(Judgement *j, LinkReplyStatus status, const char *why);

/* Each writes a record and has the subscribers woken. Returns whether there was room. */
bool commands_record(Commands *commands, const Judgement *j);
bool commands_record_answer(Commands *commands, const GatheringAnswer *answer);
/* What clients asked for beyond their rate, or without room for a record of its own. */
void commands_record_surplus(Commands *commands, uint64_t now_usec);

/* Does it. What is passed on is answered by commands_answered(), maybe before this returns. */
void judgement_perform(Commands *commands, const Judgement *j);
void commands_answered(const GatheringAnswer *answer, void *userdata);
/* From the loop. */
void commands_wake(Commands *commands);
