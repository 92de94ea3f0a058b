/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One answer out of many.
 *
 *  1. Each command is answered exactly once, within its time, whatever the receivers do.
 *  2. A receiver counts once, and only for commands that it was sent.
 *  3. Done, if anybody did it; else the reply that tells most: a failure, a refusal, a silence, and last
 *     that the verb is unknown, which those say whom the command does not concern.
 */

#include "runtime/gathering.h"

#include <stdio.h>
#include <sys/queue.h>

typedef struct Errand {
        GatheringCommand command;
        unsigned rank;
        LinkReplyStatus status;
        char text[GATHERING_TEXT_MAX + 1];
        LIST_ENTRY(Errand) errands;
        size_t n_receivers, n_waited; /* of them: without an answer so far */
        const void *receivers[];      /* NULL: has answered */
} Errand;

struct Gathering {
        GatheringOptions options;
        LIST_HEAD(, Errand) errands;
};

/* Of a silence; those of replies are around it. */
#define RANK_SILENCE 2U

static unsigned rank_of(LinkReplyStatus status)
{
        static const unsigned ranks[] = {
                [LINK_REPLY_UNKNOWN] = 1,
                [LINK_REPLY_REFUSED] = RANK_SILENCE + 1,
                [LINK_REPLY_FAILED] = RANK_SILENCE + 2,
                [LINK_REPLY_DONE] = RANK_SILENCE + 3,
        };

        return ranks[status];
}

static void hear(const Gathering *gathering, const Errand *errand, const void *receiver, bool silent,
                 LinkReplyStatus status, LinkString text)
{
        GatheringVoice voice = { errand->command.asker, receiver, silent, status, text };

        if (gathering->options.heard)
                gathering->options.heard(&voice, gathering->options.userdata);
}

static void note(Errand *errand, unsigned rank, LinkReplyStatus status, const char *name, LinkString text)
{
        int size = (int) MIN(text.size, (size_t) GATHERING_TEXT_MAX);

        if (rank <= errand->rank)
                return;
        errand->rank = rank;
        errand->status = status;
        (void) snprintf(errand->text, sizeof errand->text, "%s%s%.*s", name ? name : "",
                        name && size > 0 ? ": " : "", size, size > 0 ? text.data : "");
}

static void finish(Gathering *gathering, Errand *errand)
{
        GatheringAnswer answer = {
                .id = errand->command.id,
                .asker = errand->command.asker,
                .asker_id = errand->command.asker_id,
                .status = errand->status,
                .text = errand->text,
        };

        LIST_REMOVE(errand, errands);
        gathering->options.answered(&answer, gathering->options.userdata);
        free(errand);
}

/* Returns whether the receiver's answer was waited for. */
static bool strike_off(Errand *errand, const void *receiver)
{
        for (size_t i = 0; i < errand->n_receivers; i++)
                if (errand->receivers[i] == receiver) {
                        errand->receivers[i] = NULL;
                        errand->n_waited--;
                        return true;
                }
        return false;
}

bool gathering_has_room(const Gathering *gathering, uint64_t client)
{
        unsigned n = 0, n_client = 0;
        const Errand *errand;

        LIST_FOREACH(errand, &gathering->errands, errands) {
                n++;
                n_client += errand->command.client == client;
        }
        return n < gathering->options.commands_max && n_client < gathering->options.client_max;
}

int gathering_begin(Gathering *gathering, const GatheringCommand *command, void *const *receivers, size_t n)
{
        Errand *errand;

        assert(n > 0);
        if (!gathering_has_room(gathering, command->client))
                return -ENOBUFS;
        errand = calloc(1, sizeof *errand + n * sizeof errand->receivers[0]);
        if (!errand)
                return -ENOMEM;
        errand->command = *command;
        errand->status = LINK_REPLY_FAILED;
        errand->n_receivers = errand->n_waited = n;
        memcpy(errand->receivers, receivers, n * sizeof errand->receivers[0]);
        LIST_INSERT_HEAD(&gathering->errands, errand, errands);
        return 0;
}

void gathering_reply(Gathering *gathering, const void *receiver, const char *name, const LinkReply *reply)
{
        LinkReplyStatus status = reply->status <= LINK_REPLY_FAILED ? reply->status : LINK_REPLY_FAILED;
        Errand *errand;

        LIST_FOREACH(errand, &gathering->errands, errands)
                if (errand->command.id == reply->id)
                        break;
        if (!errand || !strike_off(errand, receiver))
                return;
        hear(gathering, errand, receiver, false, status, reply->text);
        note(errand, rank_of(status), status, name, reply->text);
        if (errand->n_waited == 0)
                finish(gathering, errand);
}

static void fall_silent(const Gathering *gathering, Errand *errand, const void *receiver, const char *why)
{
        LinkString text = link_string(why);

        hear(gathering, errand, receiver, true, LINK_REPLY_FAILED, text);
        note(errand, RANK_SILENCE, LINK_REPLY_FAILED, NULL, text);
}

void gathering_forget(Gathering *gathering, const void *session)
{
        Errand *errand, *next;

        for (errand = LIST_FIRST(&gathering->errands); errand; errand = next) {
                next = LIST_NEXT(errand, errands);
                if (errand->command.asker == session)
                        errand->command.asker = NULL;
                if (!strike_off(errand, session))
                        continue;
                fall_silent(gathering, errand, session, "whoever it went to left without an answer");
                if (errand->n_waited == 0)
                        finish(gathering, errand);
        }
}

void gathering_tick(Gathering *gathering, uint64_t now_usec)
{
        Errand *errand, *next;

        for (errand = LIST_FIRST(&gathering->errands); errand; errand = next) {
                next = LIST_NEXT(errand, errands);
                if (now_usec < errand->command.deadline_usec)
                        continue;
                for (size_t i = 0; i < errand->n_receivers; i++)
                        if (errand->receivers[i])
                                fall_silent(gathering, errand, errand->receivers[i], "no answer came in time");
                finish(gathering, errand);
        }
}

int gathering_new(const GatheringOptions *options, Gathering **ret)
{
        Gathering *gathering = calloc(1, sizeof *gathering);

        if (!gathering)
                return -ENOMEM;
        gathering->options = *options;
        *ret = gathering;
        return 0;
}

Gathering *gathering_free(Gathering *gathering)
{
        Errand *errand;

        if (!gathering)
                return NULL;
        while ((errand = LIST_FIRST(&gathering->errands))) {
                LIST_REMOVE(errand, errands);
                free(errand);
        }
        free(gathering);
        return NULL;
}
