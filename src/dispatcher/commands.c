/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The way of a command:
 *
 *      rate ─▶ verb and arguments ─▶ policy ─▶ can it be done? ─▶ record ─▶ done, or passed on ─▶ answer
 *
 *  1. Nothing is done that is not in the ring as a record before, and nothing is refused without one: what
 *     is asked for too often is counted, and the count recorded.
 *  2. Every command is answered once, unless its sender wants no answer or is gone.
 *  3. What commands can take is bounded: per client by a rate and by how many are under way, in all by
 *     UNDER_WAY_MAX and COMMANDS_CONDITIONS_MAX.
 *  4. Handlers of sessions end up here: subscribers are woken from the loop, never from within their own
 *     session.
 */

#include "dispatcher/commands-private.h"
#include "runtime/loop.h"

/* Passed on and not answered so far: each is some memory and somebody who waits. */
#define UNDER_WAY_MAX 64U
#define UNDER_WAY_CLIENT_MAX 16U

const char *const command_vias[] = {
        [COMMAND_VIA_PUSH] = "push",
        [COMMAND_VIA_PULL] = "pull",
        [COMMAND_VIA_INPUT] = "input",
};

const char *const command_answers[] = {
        [LINK_REPLY_DONE] = "done",
        [LINK_REPLY_REFUSED] = "refused",
        [LINK_REPLY_UNKNOWN] = "unknown",
        [LINK_REPLY_FAILED] = "failed",
};

void commands_wake(Commands *commands)
{
        (void) sd_event_source_set_enabled(commands->wake, SD_EVENT_ONESHOT);
}

static int on_wake(sd_event_source *source, void *userdata)
{
        Commands *commands = userdata;

        commands->options.published(commands->options.userdata);
        return 0;
}

/* --- Answers --- */

static void answer(CommandPeer *peer, uint64_t id, LinkReplyStatus status, const char *text)
{
        LinkReply reply = { .id = id, .status = (uint16_t) status, .text = link_string(text) };

        /* Whoever is gone, or does not read, has no answer. */
        (void) peer->handler->reply(peer, &reply);
}

void commands_answered(const GatheringAnswer *a, void *userdata)
{
        Commands *commands = userdata;

        commands->counts[a->status]++;
        if (!commands_record_answer(commands, a))
                commands->unrecorded++;
        if (a->asker)
                answer(a->asker, a->asker_id, a->status, a->text);
}

/* --- What the sessions call --- */

static void see_sender(Judgement *j)
{
        pid_t pid;
        uid_t uid;
        int pidfd;

        connection_sender(j->peer->handler->connection(j->peer), &pid, &uid, &pidfd);
        command_sender_see(&j->sender, pid, uid, pidfd);
        (void) close_fd(pidfd);
}

static void settle(Commands *commands, Judgement *j)
{
        see_sender(j);
        judgement_make(commands, j);
        if (!commands_record(commands, j)) {
                j->client->untold++;
                judgement_set(j, LINK_REPLY_FAILED, "the ring has no room for the record of it");
        } else if (j->status == LINK_REPLY_DONE) {
                judgement_perform(commands, j);
                if (j->command.passed_on)
                        return;
        }
        commands->counts[j->status]++;
        if (j->frame->timeout_sec > 0)
                answer(j->peer, j->frame->id, j->status, j->why);
}

void commands_take(Commands *commands, CommandPeer *peer, const LinkCommand *frame)
{
        Judgement j = { .peer = peer, .frame = frame, .id = ++commands->last_id };
        bool push = peer->via == COMMAND_VIA_PUSH;
        uint64_t now = commands->options.monotonic_usec();
        pid_t pid;
        gid_t gid;

        connection_credentials(peer->handler->connection(peer), &pid, &j.uid, &gid);
        j.client = command_budget_find(&commands->budget, push ? peer->name : NULL,
                                       push ? -1 : (int64_t) j.uid, now);
        if (command_budget_spend(j.client, now)) {
                settle(commands, &j);
                free(j.receivers);
                return;
        }
        commands->counts[LINK_REPLY_REFUSED]++;
        if (frame->timeout_sec > 0)
                answer(peer, frame->id, LINK_REPLY_REFUSED, "too many commands");
}

void commands_reply(Commands *commands, CommandPeer *peer, const LinkReply *reply)
{
        /* An aggregator says itself whose words they are. */
        gathering_reply(commands->gathering, peer, peer->aggregator ? NULL : peer->name, reply);
}

void commands_attach(Commands *commands, CommandPeer *peer)
{
        LIST_INSERT_HEAD(&commands->peers, peer, peers);
}

void commands_detach(Commands *commands, CommandPeer *peer)
{
        LIST_REMOVE(peer, peers);
        gathering_forget(commands->gathering, peer);
}

void commands_disconnected(Commands *commands, CommandPeer *peer)
{
        gathering_forget(commands->gathering, peer);
}

/* --- What the dispatcher calls --- */

void commands_set_policy(Commands *commands, CommandPolicy *policy)
{
        command_policy_done(&commands->policy);
        commands->policy = *policy;
        *policy = (CommandPolicy) { 0 };
}

void commands_tick(Commands *commands)
{
        uint64_t now = commands->options.monotonic_usec();

        gathering_tick(commands->gathering, now);
        commands_record_surplus(commands, now);
        /* Whoever is only written to asks for nothing when its pause ends. */
        if (commands->paused_usec > 0)
                commands_wake(commands);
        if (commands->paused_usec <= now)
                commands->paused_usec = 0;
}

void commands_status(const Commands *commands)
{
        State *state = commands->options.state;
        const char *help = "Commands, by what was answered in the end";

        for (LinkReplyStatus status = 0; status <= LINK_REPLY_FAILED; status++, help = NULL)
                status_counter(state, "commands", status_label(state, "answer", command_answers[status]),
                               commands->counts[status], help);
        status_counter(state, "command_answers_unrecorded", NULL, commands->unrecorded,
                       "Answers for whose record the ring had no room");
}

int commands_new(const CommandsOptions *options, Commands **ret)
{
        _cleanup_(commands_freep) Commands *commands = calloc(1, sizeof *commands);
        GatheringOptions gathering = {
                .commands_max = UNDER_WAY_MAX,
                .client_max = UNDER_WAY_CLIENT_MAX,
                .answered = commands_answered,
                .userdata = commands,
        };
        int r;

        if (!commands)
                return -ENOMEM;
        commands->options = *options;
        r = gathering_new(&gathering, &commands->gathering);
        if (r >= 0)
                r = sd_event_add_defer(options->event, &commands->wake, on_wake, commands);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(commands->wake, "commands");
        r = sd_event_source_set_priority(commands->wake, LOOP_DATA);
        if (r >= 0)
                r = sd_event_source_set_enabled(commands->wake, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(commands);
        return 0;
}

Commands *commands_free(Commands *commands)
{
        if (!commands)
                return NULL;
        assert(LIST_EMPTY(&commands->peers));
        gathering_free(commands->gathering);
        sd_event_source_disable_unref(commands->wake);
        command_policy_done(&commands->policy);
        free(commands);
        return NULL;
}
