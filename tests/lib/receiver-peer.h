/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The other end of an outlet under test: a receiver on a socket, moved by hand. One for each program. */

#include "check-main.h"
#include "link/link-receiver.h"

#include <sys/socket.h>

static int peer_fd = -EBADF;
static LinkReceiver receiver;
static Buffer input, output;

static void peer_close(void)
{
        if (peer_fd < 0)
                return;
        peer_fd = close_fd(peer_fd);
        link_receiver_done(&receiver);
        buffer_done(&input);
        buffer_done(&output);
}

static void peer_open(int fd, const LinkReceiverHandler *handler, uint16_t features)
{
        peer_close();
        peer_fd = fd;
        input = BUFFER_INIT(4 * LINK_FRAME_MAX);
        output = BUFFER_INIT(4 * LINK_FRAME_MAX);
        link_receiver_init(&receiver, handler, LINK_WINDOW_DEFAULT, features);
}

/* Takes what has come and sends what is to be said. Returns what recv() did. */
static ssize_t peer_exchange(void)
{
        uint8_t *space = buffer_reserve(&input, LINK_FRAME_MAX);
        ssize_t received, n;

        ck_assert_ptr_nonnull(space);
        received = recv(peer_fd, space, LINK_FRAME_MAX, MSG_DONTWAIT);
        if (received > 0) {
                buffer_extend(&input, (size_t) received);
                n = link_receiver_feed(&receiver, buffer_head(&input), buffer_size(&input), &output);
                ck_assert_int_ge(n, 0);
                buffer_consume(&input, (size_t) n);
        }
        if (buffer_size(&output) > 0) {
                n = send(peer_fd, buffer_head(&output), buffer_size(&output), MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n > 0)
                        buffer_consume(&output, (size_t) n);
        }
        return received;
}
