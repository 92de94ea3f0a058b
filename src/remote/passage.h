/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Commands of the collector, passed on to the dispatcher, and its answers back. Whether they are obeyed is
 * the dispatcher's configuration: Commands= in subscribers.d/remote.conf. The other way nothing is passed
 * on. */

#include "runtime/inlet.h"
#include "runtime/outlet.h"

typedef struct Passage Passage;

/* *inlet: who has the dispatcher among its sessions; may be NULL so far. */
int passage_new(Inlet *const *inlet, Passage **ret) _must_check_;
/* After both ends. */
Passage *passage_free(Passage *passage);
DEFINE_CLEANUP(Passage *, passage_free)

/* The collector asks. */
void passage_command(Passage *passage, Outlet *collector, const LinkCommand *command);
/* The dispatcher answers. */
void passage_reply(Passage *passage, const IntakeSession *dispatcher, const LinkReply *reply);
/* An Outlet or IntakeSession has no connection any more. */
void passage_forget(Passage *passage, const void *session);
/* Once a second. */
void passage_tick(Passage *passage);
