/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "link/link-command.h"

int link_command_take(const Frame *frame, uint16_t features, bool owned, Buffer *output,
                      const char **ret_why)
{
        LinkReply unknown = { .id = frame->command.id, .status = LINK_REPLY_UNKNOWN };

        if (!(features & LINK_FEATURE_COMMANDS)) {
                *ret_why = frame->type == FRAME_COMMAND ? "COMMAND without the feature"
                                                        : "REPLY without the feature";
                return -EBADMSG;
        }
        if (owned)
                return 1;
        return frame->type == FRAME_COMMAND && frame->command.timeout_sec > 0
                       ? frame_put_reply(output, &unknown)
                       : 0;
}
