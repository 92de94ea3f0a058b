/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote/passage.h"
#include "runtime/gathering.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <stdio.h>

/* Under way at once; a collector that asks for more is told so. */
#define UNDER_WAY_MAX 16U
#define TIMEOUT_SEC_MAX 60U
#define TIMEOUT_SEC_DEFAULT 10U
/* Behind the time that the dispatcher has, so that it is the one to say that time was up. */
#define GRACE_USEC (2 * USEC_PER_SEC)
#define LOG_INTERVAL_USEC (10 * USEC_PER_SEC)
#define LOG_BURST 20U

struct Passage {
        Inlet *const *inlet;
        Gathering *gathering;
        uint64_t last_id;
        LogBurst burst;
};

static void answer(Outlet *collector, uint64_t id, LinkReplyStatus status, const char *text)
{
        LinkReply reply = { .id = id, .status = (uint16_t) status, .text = link_string(text) };

        if (outlet_reply(collector, &reply) < 0)
                log_debug("The collector is not told what became of its command");
}

static void on_answered(const GatheringAnswer *a, void *userdata)
{
        if (a->asker)
                answer(a->asker, a->asker_id, a->status, a->text);
}

/* The newest session that takes commands. */
static InletSession *find_dispatcher(const Passage *passage)
{
        InletSession *session = NULL;

        while (*passage->inlet && (session = inlet_session_next(*passage->inlet, session)))
                if (link_receiver_commands(&inlet_session_intake(session)->receiver))
                        return session;
        return NULL;
}

/* Returns what to answer at once; NULL: nothing. */
static const char *pass_on(Passage *passage, Outlet *collector, InletSession *dispatcher,
                           const LinkCommand *command)
{
        uint32_t timeout = command->timeout_sec > 0 ? MIN(command->timeout_sec, TIMEOUT_SEC_MAX)
                                                    : TIMEOUT_SEC_DEFAULT;
        GatheringCommand asked = {
                .id = passage->last_id + 1,
                .asker = command->timeout_sec > 0 ? collector : NULL,
                .asker_id = command->id,
                .deadline_usec = monotonic_usec() + timeout * USEC_PER_SEC + GRACE_USEC,
        };
        void *receiver = (void *) inlet_session_intake(dispatcher);
        LinkCommand frame = *command;
        LinkReply failed = { .id = asked.id, .status = LINK_REPLY_FAILED,
                             .text = link_string("the dispatcher does not read") };

        if (gathering_begin(passage->gathering, &asked, &receiver, 1) < 0)
                return "too many commands are under way";
        passage->last_id++;
        frame.id = asked.id;
        if (inlet_session_command(dispatcher, &frame) < 0)
                gathering_reply(passage->gathering, receiver, NULL, &failed);
        return NULL;
}

void passage_command(Passage *passage, Outlet *collector, const LinkCommand *command)
{
        InletSession *dispatcher = find_dispatcher(passage);
        const char *why = "the dispatcher is not connected";

        if (log_burst(&passage->burst, LOG_INTERVAL_USEC, LOG_BURST))
                log_notice("Collector %s asks for %.*s", outlet_peer(collector), (int) command->verb.size,
                           command->verb.data);
        if (dispatcher)
                why = pass_on(passage, collector, dispatcher, command);
        if (why && command->timeout_sec > 0)
                answer(collector, command->id, LINK_REPLY_FAILED, why);
}

void passage_reply(Passage *passage, const IntakeSession *dispatcher, const LinkReply *reply)
{
        gathering_reply(passage->gathering, dispatcher, NULL, reply);
}

void passage_forget(Passage *passage, const void *session)
{
        gathering_forget(passage->gathering, session);
}

void passage_tick(Passage *passage)
{
        gathering_tick(passage->gathering, monotonic_usec());
}

int passage_new(Inlet *const *inlet, Passage **ret)
{
        _cleanup_(passage_freep) Passage *passage = calloc(1, sizeof *passage);
        GatheringOptions options = {
                .commands_max = UNDER_WAY_MAX,
                .client_max = UNDER_WAY_MAX,
                .answered = on_answered,
                .userdata = passage,
        };
        int r;

        if (!passage)
                return -ENOMEM;
        passage->inlet = inlet;
        r = gathering_new(&options, &passage->gathering);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(passage);
        return 0;
}

Passage *passage_free(Passage *passage)
{
        if (!passage)
                return NULL;
        gathering_free(passage->gathering);
        free(passage);
        return NULL;
}
