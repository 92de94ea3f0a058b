/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sessions and streams; what becomes of the groups is in intake-commit.c.
 *
 * A stream exists here while a session delivers it or something of it is not yet in custody; between times
 * the sink knows its position. What of it is pending is two marks, one for the open group and one for the
 * group in flight.
 *
 *  1. At most one session is attached to a stream, the newest.
 *  2. A session appends only after WELCOME, and WELCOME goes out only when nothing of the stream is pending.
 *     So marks always count the bytes of the attached session, and the position told is one in custody.
 *  3. ACK goes out for a mark of the group in flight when its commit has succeeded, and for nothing else; a
 *     heartbeat needs no custody of its own: its bytes join the newest mark, and are acked at once when
 *     nothing is pending.
 *  4. After an error nothing is appended before all streams have stepped back.
 */

#include "runtime/intake-private.h"
#include "runtime/intake-content.h"

#include <stdio.h>
#include <strings.h>

/* --- Streams --- */

static struct StreamList *bucket_of(Intake *intake, const StreamId *id)
{
        return &intake->buckets[checksum64(id->bytes, sizeof id->bytes) % STREAM_BUCKETS];
}

static IntakeStream *stream_find(Intake *intake, const StreamId *id)
{
        IntakeStream *stream;

        LIST_FOREACH(stream, bucket_of(intake, id), bucket)
                if (stream_id_equal(&stream->id, id))
                        return stream;
        return NULL;
}

static IntakeStream *stream_new(Intake *intake, const StreamId *id, const char *owner)
{
        IntakeStream *stream = calloc(1, sizeof *stream);

        if (!stream)
                return NULL;
        stream->id = *id;
        memcpy(stream->owner, owner, strlen(owner));
        LIST_INSERT_HEAD(bucket_of(intake, id), stream, bucket);
        return stream;
}

void intake_stream_free(IntakeStream *stream)
{
        if (stream->open.last != 0)
                LIST_REMOVE(stream, opens);
        if (stream->flying.last != 0)
                LIST_REMOVE(stream, flyings);
        LIST_REMOVE(stream, bucket);
        free(stream);
}

void intake_stream_free_if_idle(IntakeStream *stream)
{
        if (!stream->session && !intake_stream_pending(stream))
                intake_stream_free(stream);
}

/* --- Sessions --- */

void intake_session_end_quietly(IntakeSession *session, LinkByeCode code, uint32_t retry_after_msec,
                                const char *reason)
{
        session->waiting = session->stalled = session->preparing = false;
        session->end_code = code;
        session->end_why = reason;
        (void) link_receiver_end(&session->receiver, session->output, code, retry_after_msec, reason);
}

void intake_session_end(IntakeSession *session, LinkByeCode code, uint32_t retry_after_msec,
                        const char *reason)
{
        if (session->receiver.state == LINK_RECEIVER_ENDED)
                return;
        intake_session_end_quietly(session, code, retry_after_msec, reason);
        intake_session_flush(session);
}

void intake_session_ack(IntakeSession *session, uint64_t seq, uint64_t bytes)
{
        session->acked_bytes = bytes;
        if (link_receiver_ack(&session->receiver, session->output, seq, bytes) < 0)
                intake_session_end_quietly(session, LINK_BYE_OVERLOAD, 0, "acks are not being read");
}

/* Whose records it may deliver besides its own. */
static char *const *also_of(const IntakeSession *session)
{
        const IntakeHandler *handler = session->intake->options.handler;

        return session->accept && handler->also ? handler->also(session) : NULL;
}

void intake_session_welcome(IntakeSession *session)
{
        Intake *intake = session->intake;
        Sink *sink = intake->options.sink;
        uint64_t last, checksum;

        session->waiting = false;
        if (sink->position(sink, &session->stream->id, session->owner, &last, &checksum) < 0 ||
            link_receiver_welcome(&session->receiver, session->output, last, checksum, intake->name,
                                  session->accept && !also_of(session) ? session->accept : "") < 0) {
                intake_session_end_quietly(session, LINK_BYE_INTERNAL, 0, "the receiver could not answer");
                return;
        }
        session->welcomed = true;
        if (intake->options.handler->connected)
                intake->options.handler->connected(session);
}

/* --- The receiver's handler --- */

static const char of_another[] = "this stream belongs to another node";

/* Makes the session the stream's only one. */
static LinkByeCode attach(IntakeSession *session, const StreamId *id, const char **ret_why)
{
        Intake *intake = session->intake;
        IntakeStream *stream = stream_find(intake, id);
        Sink *sink = intake->options.sink;
        uint64_t last, checksum;
        int r;

        r = sink->position(sink, id, session->owner, &last, &checksum);
        if (r == -EPERM || (stream && strcasecmp(stream->owner, session->owner) != 0)) {
                *ret_why = of_another;
                return LINK_BYE_NODE;
        }
        if (r >= 0 && !stream)
                stream = stream_new(intake, id, session->owner);
        if (r < 0 || !stream) {
                *ret_why = "the receiver could not look up the stream";
                return LINK_BYE_INTERNAL;
        }
        if (stream->session) {
                IntakeSession *old = stream->session;

                MARK("intake.replaced");
                old->stream = NULL;
                stream->session = NULL;
                intake->counters.replaced += intake_session_connected(old);
                intake_session_end(old, LINK_BYE_REPLACED, 0, "another session delivers this stream now");
        }
        stream->session = session;
        session->stream = stream;
        return 0;
}

/* `intake` takes the session's stream. */
static void take(IntakeSession *session, Intake *intake)
{
        const StreamId *id = &session->receiver.stream;
        const char *why = "refused";
        LinkByeCode code;

        if (intake != session->intake) {
                LIST_REMOVE(session, sessions);
                session->intake = intake;
                LIST_INSERT_HEAD(&intake->sessions, session, sessions);
        }
        code = attach(session, id, &why);
        if (code != 0) {
                intake_session_end_quietly(session, code, 0, why);
                return;
        }
        session->waiting = intake_stream_pending(session->stream);
        if (!session->waiting)
                intake_session_welcome(session);
}

static void on_hello(LinkReceiver *receiver, const LinkHello *hello)
{
        IntakeSession *session = container_of(receiver, IntakeSession, receiver);
        Intake *intake = session->intake;
        const char *why = "refused";
        LinkByeCode code = 0;

        if (hello->role != LINK_ROLE_SENDER || stream_id_is_null(&hello->stream)) {
                code = LINK_BYE_PROTOCOL;
                why = "only streams are taken here";
        }
        if (code == 0 && intake->options.handler->judge)
                code = intake->options.handler->judge(session, hello, &why);
        if (code == 0 && !session->owner) {
                code = LINK_BYE_NODE;
                why = "the receiver does not know who speaks";
        }
        if (code == 0 && intake->options.handler->place) {
                intake = NULL;
                code = session->intake->options.handler->place(session, &intake, &why);
        }
        if (code != 0)
                intake_session_end_quietly(session, code, 0, why);
        else if (intake)
                take(session, intake);
        else
                session->waiting = true;
}

/* How old the last record of the batch is. What has no time, or one that is yet to come, is not late. */
static uint64_t delay_of(const Batch *batch, uint64_t now)
{
        const uint8_t *begin = batch->payload, *newline;
        RecordPrefix prefix;
        uint64_t usec;

        if (batch->count == 0 || batch->size < 2)
                return 0;
        newline = memrchr(begin, '\n', batch->size - 1);
        if (newline)
                begin = newline + 1;
        if (record_parse(begin, (size_t) (batch->payload + batch->size - begin), &prefix) != RECORD_OK)
                return 0;
        usec = prefix.time.sec * USEC_PER_SEC + prefix.time.msec * USEC_PER_MSEC;
        return now > usec ? now - usec : 0;
}

static void count(IntakeSession *session, const Batch *batch, uint32_t n_refused, RecordFault fault)
{
        IntakeCounters *counters = &session->intake->counters;

        session->records += batch->count;
        session->bytes += batch->size;
        session->refused += n_refused;
        counters->batches++;
        counters->records += batch->count;
        counters->bytes += batch->size;
        counters->refused += n_refused;
        if (batch->reason == BATCH_LOST) {
                session->lost += batch_range(batch);
                counters->lost += batch_range(batch);
        }
        if (fault != RECORD_OK && session->intake->options.handler->refused)
                session->intake->options.handler->refused(session, n_refused, fault);
}

static bool is_of_another(const IntakeSession *session)
{
        Sink *sink = session->intake->options.sink;
        uint64_t last, checksum;

        return sink->position(sink, &session->stream->id, session->owner, &last, &checksum) == -EPERM;
}

static int on_batch(LinkReceiver *receiver, const Batch *batch)
{
        IntakeSession *session = container_of(receiver, IntakeSession, receiver);
        Intake *intake = session->intake;
        Sink *sink = intake->options.sink;
        uint64_t now = intake->options.realtime_usec();
        const IntakeHandler *handler = intake->options.handler;
        ContentRules rules = {
                .lines = { session->node, session->accept, session->owner, session->types,
                           batch->origin == BATCH_ORIGIN_REMOTE ? also_of(session) : NULL },
                .origin = session->origin,
        };
        Batch screened = *batch, stored;
        uint32_t n_refused;
        RecordFault fault;
        bool rewritten;
        int r;

        if (batch_is_heartbeat(batch)) {
                session->beat = true;
                (void) sink->append(sink, &session->stream->id, session->owner, batch, batch, now);
                /* Who has credit and beats has sent all it has. */
                if (session->acked_bytes == receiver->bytes_received)
                        session->delay_usec = 0;
                return 0;
        }
        session->stalled = true;
        if (intake->error != 0 || intake->stopped)
                return -EAGAIN;
        if (handler->screen)
                handler->screen(session, &screened);
        fault = content_judge(&rules, &session->stream->id, &screened, now, intake->serial + 1, intake->scratch,
                              &stored, &n_refused);
        rewritten = stored.payload == intake->scratch;
        if (handler->prepare && handler->prepare(session, &stored) == -EAGAIN) {
                session->stalled = false;
                session->preparing = true;
                return -EAGAIN;
        }
        r = sink->append(sink, &session->stream->id, session->owner, batch, &stored, now);
        if (r == -EAGAIN)
                return -EAGAIN;
        /* The sink may have got it from elsewhere since WELCOME: that is nobody else's trouble. */
        if (r == -EPERM && is_of_another(session)) {
                intake_session_end_quietly(session, LINK_BYE_NODE, 0, of_another);
                return -EAGAIN;
        }
        if (r < 0) {
                intake->error = r;
                handler->blocked(intake, r);
                return -EAGAIN;
        }
        if (rewritten)
                intake->serial++;
        session->stalled = false;
        session->appended = true;
        session->delay_usec = delay_of(batch, now);
        count(session, batch, n_refused, fault);
        return 0;
}

static void on_command(LinkReceiver *receiver, const LinkCommand *command)
{
        IntakeSession *session = container_of(receiver, IntakeSession, receiver);

        if (session->intake->options.handler->command)
                session->intake->options.handler->command(session, command);
}

static void on_reply(LinkReceiver *receiver, const LinkReply *reply)
{
        IntakeSession *session = container_of(receiver, IntakeSession, receiver);

        if (session->intake->options.handler->reply)
                session->intake->options.handler->reply(session, reply);
}

static void on_bye(LinkReceiver *receiver, const LinkBye *bye)
{
        IntakeSession *session = container_of(receiver, IntakeSession, receiver);

        session->waiting = session->stalled = session->preparing = false;
        if (session->intake->options.handler->bye)
                session->intake->options.handler->bye(session, bye);
}

static const LinkReceiverHandler receiver_handler = {
        .hello = on_hello,
        .batch = on_batch,
        .command = on_command,
        .reply = on_reply,
        .bye = on_bye,
};

/* --- Feeding --- */

int intake_session_init(IntakeSession *session, Intake *intake, Buffer *output, const char *owner,
                        const char *node, const char *accept, BatchOrigin origin, void *userdata)
{
        const IntakeHandler *handler = intake->options.handler;
        uint16_t features = intake->options.uncompressed ? 0 : LINK_FEATURE_ZSTD;

        if (handler->command || handler->reply)
                features |= LINK_FEATURE_COMMANDS;
        *session = (IntakeSession) {
                .intake = intake,
                .output = output,
                .node = node,
                .accept = accept,
                .origin = origin,
                .userdata = userdata,
        };
        if (owner) {
                assert(strlen(owner) <= NODE_NAME_MAX);
                session->owner = strdup(owner);
                if (!session->owner)
                        return -ENOMEM;
        }
        link_receiver_init(&session->receiver, &receiver_handler, intake->held ? 0 : intake->options.window,
                           features);
        LIST_INSERT_HEAD(&intake->sessions, session, sessions);
        return 0;
}

int intake_session_identify(IntakeSession *session, const char *name, const char *node)
{
        char *both;

        assert(strlen(name) <= NODE_NAME_MAX && strlen(node) <= NODE_NAME_MAX);
        if (asprintf(&both, "%s%c%s", name, '\0', node) < 0)
                return -ENOMEM;
        free(session->owner);
        session->owner = both;
        session->node = session->accept = both + strlen(name) + 1;
        return 0;
}

IntakeSession *intake_waiting_next(const Intake *intake, const IntakeSession *session)
{
        IntakeSession *next = session ? LIST_NEXT(session, sessions) : LIST_FIRST(&intake->sessions);

        while (next && !(next->waiting && !next->stream && next->receiver.state != LINK_RECEIVER_ENDED))
                next = LIST_NEXT(next, sessions);
        return next;
}

void intake_session_place(IntakeSession *session, Intake *intake)
{
        assert(session->waiting && !session->stream);
        take(session, intake);
        intake_session_flush(session);
}

void intake_session_done(IntakeSession *session)
{
        if (session->intake->options.handler->gone)
                session->intake->options.handler->gone(session);
        LIST_REMOVE(session, sessions);
        if (session->stream) {
                session->stream->session = NULL;
                intake_stream_free_if_idle(session->stream);
        }
        link_receiver_done(&session->receiver);
        free(session->owner);
        *session = (IntakeSession) { 0 };
}

/* What a feed has taken joins the stream's newest mark. */
static void settle(IntakeSession *session)
{
        IntakeStream *stream = session->stream;
        uint64_t bytes = session->receiver.bytes_received;

        if (session->appended) {
                if (stream->open.last == 0)
                        LIST_INSERT_HEAD(&session->intake->opens, stream, opens);
                stream->open = (Mark) { session->receiver.received, bytes };
        } else if (stream->open.last != 0) {
                stream->open.bytes = bytes;
        } else if (stream->flying.last != 0) {
                stream->flying.bytes = bytes;
        } else if (intake_session_connected(session)) {
                intake_session_ack(session, session->receiver.received, bytes);
        }
}

ssize_t intake_session_feed(IntakeSession *session, const uint8_t *data, size_t size)
{
        size_t before = buffer_size(session->output);
        Intake *intake;
        bool dirty;
        ssize_t n;

        session->appended = session->beat = session->stalled = session->preparing = false;
        n = link_receiver_feed(&session->receiver, data, size, session->output);
        if ((session->appended || session->beat) && session->stream)
                settle(session);
        /* HELLO may have brought it to another one. */
        intake = session->intake;
        /* Also when the open group was full: only a commit makes room. */
        dirty = session->appended || (session->stalled && intake->error == 0);
        if (buffer_size(session->output) != before || session->receiver.state == LINK_RECEIVER_ENDED)
                intake_session_flush(session);
        if (dirty)
                intake->options.handler->dirty(intake);
        return n;
}

bool intake_session_blocked(const IntakeSession *session)
{
        return session->waiting || session->stalled || session->preparing;
}

int intake_session_command(IntakeSession *session, const LinkCommand *command)
{
        int r = -ENOTCONN;

        if (link_receiver_commands(&session->receiver))
                r = frame_put_command(session->output, command);
        if (r >= 0)
                intake_session_flush(session);
        return r;
}

int intake_session_reply(IntakeSession *session, const LinkReply *reply)
{
        int r = -ENOTCONN;

        if (link_receiver_commands(&session->receiver))
                r = frame_put_reply(session->output, reply);
        if (r >= 0)
                intake_session_flush(session);
        return r;
}

void intake_session_tell(IntakeSession *session, const LinkState *state)
{
        if (!intake_session_connected(session))
                return;
        if (frame_put_state(session->output, state) < 0)
                intake_session_end_quietly(session, LINK_BYE_OVERLOAD, 0, "states are not being read");
        intake_session_flush(session);
}

/* --- Facts --- */

const IntakeCounters *intake_counters(const Intake *intake)
{
        return &intake->counters;
}

/* --- Life --- */

int intake_new(const IntakeOptions *options, Intake **ret)
{
        _cleanup_(intake_freep) Intake *intake = calloc(1, sizeof *intake);

        if (!intake)
                return -ENOMEM;
        intake->options = *options;
        intake->scratch = malloc(BATCH_PAYLOAD_MAX);
        intake->name = strdup(options->name);
        if (!intake->scratch || !intake->name)
                return -ENOMEM;
        *ret = TAKE_PTR(intake);
        return 0;
}

Intake *intake_free(Intake *intake)
{
        if (!intake)
                return NULL;
        assert(LIST_EMPTY(&intake->sessions));
        for (size_t i = 0; i < STREAM_BUCKETS; i++) {
                IntakeStream *stream;

                while ((stream = LIST_FIRST(&intake->buckets[i])))
                        intake_stream_free(stream);
        }
        free(intake->scratch);
        free(intake->name);
        free(intake);
        return NULL;
}

void *intake_userdata(const Intake *intake)
{
        return intake->options.userdata;
}
