/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An inlet whose records go into memory. How it judges is the test's. */

#include "acceptor-fixture.h"
#include "fake-sink.h"
#include "runtime/inlet.h"
#include "runtime/loop.h"

static FakeSink sink;
static Intake *intake;
static Inlet *inlet;

static inline void on_flush(IntakeSession *session)
{
        inlet_flush(session);
}

static inline void on_dirty(Intake *dirty)
{
}

static inline void on_blocked(Intake *blocked, int error)
{
}

/* The handler and what bounds it are in `options`; of the intake's sessions judge() judges, if it is not NULL. */
static inline void inlet_setup(InletOptions options,
                               LinkByeCode (*judge)(IntakeSession *session, const LinkHello *hello, const char **ret_why))
{
        static IntakeHandler handler = { .flush = on_flush, .dirty = on_dirty, .blocked = on_blocked };
        IntakeOptions intake_options = {
                .sink = &sink.sink,
                .handler = &handler,
                .name = "collector",
                .window = LINK_WINDOW_DEFAULT,
                .realtime_usec = realtime_usec,
        };

        handler.judge = judge;
        loop_setup();
        sink = (FakeSink) { .sink = { .position = sink_position, .append = sink_append }, .room = UINT32_MAX };
        ck_assert_int_eq(intake_new(&intake_options, &intake), 0);
        options.intake = intake;
        ck_assert_int_eq(inlet_new(event, &options, &inlet), 0);
}

static inline void inlet_teardown(void)
{
        inlet = inlet_free(inlet);
        intake = intake_free(intake);
        loop_teardown();
}
