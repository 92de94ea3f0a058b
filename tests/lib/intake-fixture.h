/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An intake over a sink in memory, and peers that say HELLO to it and deliver one record. For tests of what its owner may do in
 * between: the handler is theirs.
 */

#include "fake-sink.h"
#include "link/link-sender.h"
#include "runtime/intake.h"

#define NODE "client.example"
#define LINE "node=" NODE " type=SYSCALL msg=audit(1700000000.123:7): arch=c000003e\n"

static FakeSink fake;
static Intake *intake;
static unsigned n_dirty, n_flushes;

static inline void on_flush(IntakeSession *session)
{
        n_flushes++;
}

static inline void on_dirty(Intake *i)
{
        n_dirty++;
}

static inline uint64_t fixed_time(void)
{
        return 1700000000 * USEC_PER_SEC;
}

static inline void intake_setup(const IntakeHandler *handler)
{
        IntakeOptions options = {
                .sink = &fake.sink,
                .handler = handler,
                .name = "collector.example",
                .window = LINK_WINDOW_DEFAULT,
                .realtime_usec = fixed_time,
        };

        fake = (FakeSink) { .sink = { sink_position, sink_append }, .room = UINT32_MAX };
        n_dirty = n_flushes = 0;
        ck_assert_int_eq(intake_new(&options, &intake), 0);
}

static inline void intake_teardown(void)
{
        intake = intake_free(intake);
}

static inline void commit(void)
{
        sink_begin(&fake);
        (void) intake_commit_begin(intake);
        sink_end(&fake, 0);
        intake_commit_end(intake, 0);
}

/* --- A peer --- */

typedef struct Peer {
        IntakeSession session;
        Buffer input, output;
} Peer;

static inline void feed(Peer *peer)
{
        ssize_t n = intake_session_feed(&peer->session, buffer_head(&peer->input), buffer_size(&peer->input));

        ck_assert_int_ge(n, 0);
        buffer_consume(&peer->input, (size_t) n);
}

static inline void peer_open(Peer *peer, uint8_t stream, const char *owner)
{
        LinkHello hello = {
                .version_min = LINK_VERSION,
                .version_max = LINK_VERSION,
                .role = LINK_ROLE_SENDER,
                .oldest = 1,
                .stream = { .bytes = { stream } },
                .node = link_string(NODE),
                .software = link_string("test"),
        };

        *peer = (Peer) { .input = BUFFER_INIT(4 * LINK_FRAME_MAX), .output = BUFFER_INIT(4 * LINK_FRAME_MAX) };
        ck_assert_int_eq(intake_session_init(&peer->session, intake, &peer->output, owner, NODE, NODE, 0, peer), 0);
        ck_assert_int_eq(frame_put_hello(&peer->input, &hello), 0);
        feed(peer);
}

static inline void peer_close(Peer *peer)
{
        intake_session_done(&peer->session);
        buffer_done(&peer->input);
        buffer_done(&peer->output);
}

/* Returns the checksum by which the sender knows it. */
static inline uint64_t peer_send(Peer *peer)
{
        Batch batch = { .first = 1, .last = 1, .count = 1, .size = sizeof LINE - 1, .origin = BATCH_ORIGIN_KERNEL,
                        .payload = (const uint8_t *) LINE };

        batch_seal(&batch);
        ck_assert_int_eq(frame_put_batch(&peer->input, &batch), 0);
        feed(peer);
        return batch.checksum;
}

/* Takes the next frame out of the output, which must be of that type. */
static inline Frame peer_take(Peer *peer, FrameType type)
{
        const char *why = "";
        Frame frame;

        ck_assert_int_eq(frame_decode(buffer_head(&peer->output), buffer_size(&peer->output), &frame, &why), 1);
        ck_assert_int_eq(frame.type, type);
        buffer_consume(&peer->output, frame.size);
        return frame;
}
