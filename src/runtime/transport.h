/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stands between a connection and its socket, as a table: TLS (tls.h) is one. A plain connection has none. It is a part of
 * the object that it belongs to.
 *
 * Those that may fail return a negative errno: that of the socket, or -EPROTO when the transport itself failed (the
 * handshake, an alert of the peer, a bad record), and error() is the sentence. -EAGAIN: wait for the socket; to become
 * writable as well when wants_write(). After another error nothing works any more.
 */

#include "basic/macro.h"

#include <sys/types.h>
#include <sys/uio.h>

typedef struct Transport Transport;

struct Transport {
        /* 0: done; what the peer showed was not judged. */
        int (*handshake)(Transport *transport);
        /* As many bytes as there are, up to `size`: fewer means that the socket has no more now, or that the peer makes too
         * much of them; then poll() tells of the rest. 0: the peer ended its direction. EOF without its saying so is
         * -ECONNRESET. */
        ssize_t (*read)(Transport *transport, void *data, size_t size);
        /* Takes bytes of these two pieces, one behind the other, and never wants them again, though they may still wait here
         * (wants_write()). Returns how many; -EAGAIN: none, because others wait. With nothing to take it only moves those: 0
         * when all are with the socket. */
        ssize_t (*write)(Transport *transport, const struct iovec pieces[static 2]);
        /* Bytes of ours wait here for the socket to become writable. */
        bool (*wants_write)(const Transport *transport);
        /* Bytes that were taken from the socket already and that read() has yet to deliver; poll() does not see them. (At
         * least 1 also when the next read has an end or an error to tell.) */
        size_t (*pending)(const Transport *transport);
        /* Half-close: says so to the peer, then shutdown(SHUT_WR). Repeat after -EAGAIN. */
        int (*shutdown)(Transport *transport);
        /* The last error as a sentence; "": the errno says all. Valid until the next call. */
        const char *(*error)(const Transport *transport);
        void (*free)(Transport *transport);
};

static inline Transport *transport_free(Transport *transport)
{
        if (transport)
                transport->free(transport);
        return NULL;
}
DEFINE_CLEANUP(Transport *, transport_free)
