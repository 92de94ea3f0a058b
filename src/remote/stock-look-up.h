/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The addresses of a stock collector, looked up on a thread of its own: getaddrinfo() blocks and knows no
 * time-out. */

#include "basic/macro.h"

#include <netdb.h>
#include <systemd/sd-event.h>

typedef struct StockLookUp StockLookUp;

/* From the loop. error: of getaddrinfo(), 0 with the addresses, which are the callee's to free. */
typedef void (*StockLookUpDone)(int error, struct addrinfo *addresses, void *userdata);

int stock_look_up_new(sd_event *event, const char *host, const char *port, StockLookUpDone done,
                      void *userdata, StockLookUp **ret) _must_check_;
/* For the end of the process: one that runs is left running. */
StockLookUp *stock_look_up_free(StockLookUp *look_up);
DEFINE_CLEANUP(StockLookUp *, stock_look_up_free)

/* Begins one, unless one runs. */
void stock_look_up_start(StockLookUp *look_up);
