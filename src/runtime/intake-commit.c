/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Groups and custody: what is acked when, and what is told to all sessions at once. The invariants:
 * intake.c. Callbacks may end and unblock sessions, but free none of those walked over.
 */

#include "runtime/intake-private.h"

/* --- Commit --- */

/* Sessions whose batch found no room may offer it again. */
static void unstall(Intake *intake)
{
        IntakeSession *session, *next;

        if (intake->error != 0 || intake->stopped)
                return;
        for (session = LIST_FIRST(&intake->sessions); session; session = next) {
                next = LIST_NEXT(session, sessions);
                if (session->stalled) {
                        session->stalled = false;
                        intake_session_flush(session);
                }
        }
}

void intake_prepared(Intake *intake)
{
        IntakeSession *session, *next;

        for (session = LIST_FIRST(&intake->sessions); session; session = next) {
                next = LIST_NEXT(session, sessions);
                if (session->preparing) {
                        session->preparing = false;
                        intake_session_flush(session);
                }
        }
}

bool intake_commit_begin(Intake *intake)
{
        IntakeStream *stream;
        bool some = !LIST_EMPTY(&intake->opens);

        assert(LIST_EMPTY(&intake->flyings));
        while ((stream = LIST_FIRST(&intake->opens))) {
                LIST_REMOVE(stream, opens);
                LIST_INSERT_HEAD(&intake->flyings, stream, flyings);
                stream->flying = stream->open;
                stream->open = (Mark) { 0 };
        }
        unstall(intake);
        return some;
}

static void step_back(Intake *intake)
{
        IntakeStream *stream;

        MARK("intake.step-back");
        intake->counters.resumed++;
        while ((stream = LIST_FIRST(&intake->opens)) || (stream = LIST_FIRST(&intake->flyings))) {
                if (stream->session)
                        stream->session->stream = NULL;
                intake_stream_free(stream);
        }
        intake_end_all(intake, LINK_BYE_RESUME, 1000,
                       "what was not yet durable is forgotten here: send it again");
        intake->error = 0;
}

void intake_commit_end(Intake *intake, int error)
{
        IntakeStream *stream;

        if (error != 0) {
                step_back(intake);
                return;
        }
        while ((stream = LIST_FIRST(&intake->flyings))) {
                IntakeSession *session = stream->session;
                Mark mark = stream->flying;

                LIST_REMOVE(stream, flyings);
                stream->flying = (Mark) { 0 };
                if (!session) {
                        MARK("intake.commit-of-a-dead-session");
                        intake_stream_free_if_idle(stream);
                        continue;
                }
                if (intake_session_connected(session))
                        intake_session_ack(session, mark.last, mark.bytes);
                else if (session->waiting && !intake_stream_pending(stream)) {
                        MARK("intake.welcome-waited");
                        intake_session_welcome(session);
                }
                intake_session_flush(session);
        }
        unstall(intake);
}

void intake_retry(Intake *intake)
{
        intake->error = 0;
        unstall(intake);
}

bool intake_idle(const Intake *intake)
{
        return LIST_EMPTY(&intake->sessions) && LIST_EMPTY(&intake->opens) && LIST_EMPTY(&intake->flyings);
}

/* --- All sessions --- */

void intake_stop(Intake *intake)
{
        intake->stopped = true;
}

void intake_tell(Intake *intake, const LinkState *state)
{
        IntakeSession *session, *next;

        for (session = LIST_FIRST(&intake->sessions); session; session = next) {
                next = LIST_NEXT(session, sessions);
                intake_session_tell(session, state);
        }
}

void intake_cover(Intake *intake)
{
        IntakeSession *session;

        LIST_FOREACH(session, &intake->sessions, sessions)
                session->covered = intake_session_connected(session) ? session->receiver.acked : 0;
}

void intake_receipt(Intake *intake, const char *note)
{
        IntakeSession *session, *next;

        for (session = LIST_FIRST(&intake->sessions); session; session = next) {
                LinkReceipt receipt = { .seq = session->covered, .note = link_string(note) };

                next = LIST_NEXT(session, sessions);
                session->covered = 0;
                if (receipt.seq == 0 || !intake_session_connected(session))
                        continue;
                if (frame_put_receipt(session->output, &receipt) < 0)
                        intake_session_end_quietly(session, LINK_BYE_OVERLOAD, 0, "receipts are not being read");
                intake_session_flush(session);
        }
}

void intake_end_all(Intake *intake, LinkByeCode code, uint32_t retry_after_msec, const char *reason)
{
        IntakeSession *session, *next;

        for (session = LIST_FIRST(&intake->sessions); session; session = next) {
                next = LIST_NEXT(session, sessions);
                intake_session_end(session, code, retry_after_msec, reason);
        }
}

static void repeat_ack(IntakeSession *session)
{
        if (!intake_session_connected(session))
                return;
        intake_session_ack(session, session->receiver.acked, session->acked_bytes);
        intake_session_flush(session);
}

void intake_remind(Intake *intake)
{
        IntakeSession *session, *next;

        for (session = LIST_FIRST(&intake->sessions); session; session = next) {
                next = LIST_NEXT(session, sessions);
                repeat_ack(session);
        }
}

void intake_hold(Intake *intake, bool hold)
{
        IntakeSession *session, *next;

        if (intake->held == hold)
                return;
        intake->held = hold;
        for (session = LIST_FIRST(&intake->sessions); session; session = next) {
                next = LIST_NEXT(session, sessions);
                session->receiver.window = hold ? 0 : intake->options.window;
                if (!hold)
                        repeat_ack(session);
        }
}
