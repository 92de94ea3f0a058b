/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Commands that were passed on: the replies of all receivers are gathered, until each has answered or the
 * time is up, and become one answer for whoever asked. No I/O, and the clock is handed in (monotonic usec).
 *
 * Askers and receivers are whatever pointers their owner knows its sessions by; one whose session ends must
 * be forgotten before its pointer is used again.
 */

#include "link/frame.h"

/* Of a REPLY's text, with the receiver's name: a sentence, or those of many nodes that a collector has gathered. */
#define GATHERING_TEXT_MAX 2000U

typedef struct Gathering Gathering;

/* Who asked what. */
typedef struct GatheringCommand {
        uint64_t id;       /* that the COMMANDs to all receivers have: no other one under way has it */
        uint64_t client;   /* for whom it counts, also when his session has ended */
        void *asker;       /* NULL: nobody waits for the answer */
        uint64_t asker_id; /* of the COMMAND that came */
        uint64_t deadline_usec;
} GatheringCommand;

typedef struct GatheringAnswer {
        uint64_t id;        /* as it was begun */
        void *asker;        /* NULL: nobody waits (any more) */
        uint64_t asker_id;
        LinkReplyStatus status;
        const char *text;   /* valid during the call */
} GatheringAnswer;

/* What one receiver said. */
typedef struct GatheringVoice {
        void *asker; /* as in the answer */
        const void *receiver;
        bool silent; /* it said nothing, and its time is up or it has left */
        LinkReplyStatus status;
        LinkString text;
} GatheringVoice;

typedef struct GatheringOptions {
        unsigned commands_max, client_max; /* under way at once, in all and of one client */
        /* Each receiver of a command once, before its answer. Calls nothing here. May be NULL. */
        void (*heard)(const GatheringVoice *voice, void *userdata);
        /* May begin further commands, and calls nothing else here. */
        void (*answered)(const GatheringAnswer *answer, void *userdata);
        void *userdata;
} GatheringOptions;

int gathering_new(const GatheringOptions *options, Gathering **ret) _must_check_;
/* Nobody is answered any more. */
Gathering *gathering_free(Gathering *gathering);
DEFINE_CLEANUP(Gathering *, gathering_free)

bool gathering_has_room(const Gathering *gathering, uint64_t client);
/* The command goes to these `n` receivers (at least one). Returns 0, -ENOBUFS without room, -ENOMEM. */
int gathering_begin(Gathering *gathering, const GatheringCommand *command, void *const *receivers,
                    size_t n) _must_check_;
/* A REPLY came; one that is not waited for is ignored. `name` goes in front of its text; NULL: nothing. */
void gathering_reply(Gathering *gathering, const void *receiver, const char *name, const LinkReply *reply);
/* The session has ended: it answers nothing, and is answered nothing. */
void gathering_forget(Gathering *gathering, const void *session);
/* Answers those whose time is up; once a second. */
void gathering_tick(Gathering *gathering, uint64_t now_usec);
