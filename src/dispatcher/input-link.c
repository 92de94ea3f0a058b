/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Producers that speak the link. Each is acked when its batch is in the ring, and resumes after a restart of ours. Its
 * records are of this node and of origin local, whatever it says; but those of RemoteProducers= are of other nodes, and
 * of origin remote.
 */

#include "dispatcher/input-private.h"
#include "runtime/log.h"
#include "runtime/loop.h"

#include <stdio.h>

/* A producer on this host is acked within a turn of the loop: a few batches keep it busy, and the ring must
 * take what all of them have in flight. */
#define WINDOW (1024U * 1024U)
#define HELLO_TIMEOUT_USEC (30 * USEC_PER_SEC)

/* --- What comes --- */

/* Appended is published, and published is in custody. */
static void on_dirty(Intake *intake)
{
        Input *input = intake_userdata(intake);

        (void) intake_commit_begin(intake);
        intake_commit_end(intake, 0);
        input->options.published(input->options.userdata);
}

/* The ring is full: input_retry() comes when there is room. */
static void on_blocked(Intake *intake, int error)
{
        if (error != -ENOSPC)
                log_error("The ring takes nothing from producers: %s", strerror(-error));
}

static void on_refused(IntakeSession *session, uint32_t n, RecordFault fault)
{
        Input *input = intake_userdata(session->intake);

        input->lines.refused[fault] += n;
        if (log_limit(&input->lines.logged_usec, INPUT_LOG_INTERVAL_USEC))
                log_message(LOG_WARNING, MESSAGE_ID_RECORDS_REFUSED, NULL,
                            "Refused %u lines from %s, stored escaped: %s", n,
                            connection_peer(inlet_session_connection(inlet_session_of(session))),
                            record_fault_to_string(fault));
}

static InputPeers *peers_of(const IntakeSession *session)
{
        Input *input = intake_userdata(session->intake);

        return &input->peers;
}

static void on_command(IntakeSession *session, const LinkCommand *command)
{
        input_peers_command(peers_of(session), session, command);
}

static void on_reply(IntakeSession *session, const LinkReply *reply)
{
        input_peers_reply(peers_of(session), session, reply);
}

static void on_connected(IntakeSession *session)
{
        if (session->origin == BATCH_ORIGIN_REMOTE)
                input_peers_aggregator(peers_of(session), session);
}

static void on_gone(IntakeSession *session)
{
        input_peers_gone(peers_of(session), session);
}

static void on_screen(IntakeSession *session, Batch *batch)
{
        Input *input = intake_userdata(session->intake);

        if (session->origin == BATCH_ORIGIN_REMOTE)
                foreign_keep(&input->foreign, ring_node(input->options.ring), batch);
}

static const IntakeHandler intake_handler = {
        .flush = inlet_flush,
        .screen = on_screen,
        .dirty = on_dirty,
        .blocked = on_blocked,
        .refused = on_refused,
        .gone = on_gone,
        .command = on_command,
        .reply = on_reply,
        .connected = on_connected,
};

/* --- Who comes, and what he may --- */

static uid_t session_uid(const InletSession *session)
{
        pid_t pid;
        uid_t uid;
        gid_t gid;

        connection_credentials(inlet_session_connection(session), &pid, &uid, &gid);
        return uid;
}

static bool must_wait(const InletSession *session)
{
        const Input *input = inlet_userdata(inlet_session_inlet(session));

        return quota_exhausted(&input->quota, session_uid(session));
}

static void on_taken(InletSession *session, uint64_t bytes)
{
        input_charge(inlet_userdata(inlet_session_inlet(session)), session_uid(session), bytes);
}

/* Who may connect is the socket file's business; streams belong to the user, so that nobody continues
 * another one's. */
static LinkByeCode on_admit(InletSession *session, InletIdentity *ret_identity, char **ret_why)
{
        static char owner[sizeof "uid:4294967295"]; /* copied before the next session is admitted */
        Input *input = inlet_userdata(inlet_session_inlet(session));
        const char *node = ring_node(input->options.ring);
        uid_t uid = session_uid(session);
        bool remote = input_is_remote(input, uid);

        (void) snprintf(owner, sizeof owner, "uid:%u", uid);
        *ret_identity = (InletIdentity) {
                .owner = owner,
                .node = node,
                .accept = remote ? NULL : node,
                .types = input_types(input, uid),
                .origin = remote ? BATCH_ORIGIN_REMOTE : BATCH_ORIGIN_LOCAL,
                .held = quota_exhausted(&input->quota, uid),
        };
        return 0;
}

static const InletHandler inlet_handler = {
        .admit = on_admit,
        .taken = on_taken,
};

/* --- What input.c calls --- */

void input_link_hold(Input *input)
{
        inlet_hold(input->inlet, must_wait);
}

int input_link_new(Input *input)
{
        IntakeOptions intake = {
                .sink = ring_sink(input->options.ring),
                .handler = &intake_handler,
                .name = "dispatcher",
                .window = WINDOW,
                .uncompressed = true,
                .realtime_usec = realtime_usec,
                .userdata = input,
        };
        InletOptions inlet = {
                .handler = &inlet_handler,
                .connections_max = input->options.quota.connections_max,
                .connect_usec = HELLO_TIMEOUT_USEC,
                .idle_usec = USEC_INFINITY,
                .userdata = input,
        };
        int r = intake_new(&intake, &input->intake);

        if (r < 0)
                return r;
        inlet.intake = input->intake;
        return inlet_new(input->options.event, &inlet, &input->inlet);
}
