/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "runtime/transport.h"

/* One piece. */
static inline ssize_t transport_write(Transport *transport, const void *data, size_t size)
{
        return transport->write(transport, (struct iovec[2]) { { (void *) data, size } });
}
