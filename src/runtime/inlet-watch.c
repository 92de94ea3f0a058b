/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is done to sessions from outside: by the clock, and by their owner to all of them. */

#include "runtime/inlet-private.h"
#include "runtime/loop.h"

/* A frame that has begun comes at this rate at least, besides the time that silence may last: the largest one
 * over the slowest line, but not a byte a second for ever. */
#define FRAME_RATE_MIN 1024U

/* --- Time --- */

static bool frame_is_late(const InletSession *session, uint64_t now)
{
        uint64_t since = MAX(session->frame_usec, session->since_usec);
        uint64_t idle = session->inlet->options.idle_usec;

        return session->frame_usec != 0 && idle != USEC_INFINITY && now > since &&
               now - since >= idle + session->frame_bytes * USEC_PER_SEC / FRAME_RATE_MIN;
}

static void check_time(InletSession *session, uint64_t now)
{
        const InletOptions *options = &session->inlet->options;
        IntakeSession *intake = &session->intake;
        uint64_t heard = MAX(session->since_usec, connection_heard_usec(session->arrival.connection));

        if (!session->admitted || inlet_session_rests(session))
                return;
        if (intake->receiver.state == LINK_RECEIVER_EXPECTS_HELLO &&
            now - session->since_usec >= options->connect_usec) {
                session->inlet->counters.timeouts++;
                intake_session_end(intake, LINK_BYE_TIMEOUT, 0, "no HELLO came in time");
        } else if (intake->receiver.state == LINK_RECEIVER_CONNECTED &&
                   options->idle_usec != USEC_INFINITY && now > heard && now - heard >= options->idle_usec) {
                session->inlet->counters.timeouts++;
                intake_session_end(intake, LINK_BYE_TIMEOUT, 0, "the sender was silent for too long");
        } else if (frame_is_late(session, now)) {
                session->inlet->counters.timeouts++;
                intake_session_end(intake, LINK_BYE_TIMEOUT, 0, "a frame did not come to its end in time");
        }
}

void inlet_tick(Inlet *inlet)
{
        InletSession *session, *next;
        uint64_t now = monotonic_usec();

        acceptor_tick(inlet->acceptor, now);
        for (session = LIST_FIRST(&inlet->sessions); session; session = next) {
                next = LIST_NEXT(session, sessions);
                check_time(session, now);
        }
}

/* --- The owner --- */

void inlet_review(Inlet *inlet, LinkByeCode (*judge)(InletSession *session, char **ret_why))
{
        InletSession *session, *next;

        for (session = LIST_FIRST(&inlet->sessions); session; session = next) {
                _cleanup_(freep) char *why = NULL;
                LinkByeCode code;

                next = LIST_NEXT(session, sessions);
                if (!session->admitted || session->intake.receiver.state == LINK_RECEIVER_ENDED)
                        continue;
                code = judge(session, &why);
                if (code == 0)
                        continue;
                inlet_tell_refused(session, code, why ? why : "refused");
                intake_session_end(&session->intake, code, 0, why ? why : "refused");
        }
}

void inlet_hold(Inlet *inlet, bool (*hold)(const InletSession *session))
{
        InletSession *session;

        LIST_FOREACH(session, &inlet->sessions, sessions) {
                bool held = session->admitted && hold(session);

                if (held == session->held)
                        continue;
                session->held = held;
                session->since_usec = monotonic_usec();
                if (session->intake.receiver.state != LINK_RECEIVER_ENDED)
                        connection_pause(session->arrival.connection, inlet_session_rests(session));
        }
}
