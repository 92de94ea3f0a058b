/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* COMMAND and REPLY, the two frames that both ends send: what both machines do with them alike. How long a
 * REPLY is waited for is their owner's business, and so is which commands are obeyed.
 */

#include "link/frame.h"

/* Judges one of the two that came. `features`: those of the session; `owned`: the owner wants frames of this
 * type. Returns 1 when it is to be handed to the owner; 0 when it is done with: nobody here takes commands,
 * and who wants an answer got "unknown verb"; -EBADMSG with *ret_why, static, when the session takes
 * neither; -ENOBUFS. */
int link_command_take(const Frame *frame, uint16_t features, bool owned, Buffer *output,
                      const char **ret_why) _must_check_;
