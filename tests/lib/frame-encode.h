/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link/frame.h"

/* Encodes a frame as it was decoded; one of an unknown type is nothing. */
static int frame_encode(Buffer *buffer, const Frame *frame)
{
        switch (frame->type) {
        case FRAME_HELLO:
                return frame_put_hello(buffer, &frame->hello);
        case FRAME_WELCOME:
                return frame_put_welcome(buffer, &frame->welcome);
        case FRAME_BATCH:
                return frame_put_batch(buffer, &frame->batch);
        case FRAME_ACK:
                return frame_put_ack(buffer, &frame->ack);
        case FRAME_RECEIPT:
                return frame_put_receipt(buffer, &frame->receipt);
        case FRAME_STATE:
                return frame_put_state(buffer, &frame->state);
        case FRAME_COMMAND:
                return frame_put_command(buffer, &frame->command);
        case FRAME_REPLY:
                return frame_put_reply(buffer, &frame->reply);
        case FRAME_BYE:
                return frame_put_bye(buffer, &frame->bye);
        default:
                return 0;
        }
}
