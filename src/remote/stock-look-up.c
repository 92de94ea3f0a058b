/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote/stock-look-up.h"
#include "runtime/loop.h"
#include "runtime/worker.h"

#include <sys/socket.h>

struct StockLookUp {
        Worker *worker;
        char *host, *port;
        StockLookUpDone done;
        void *userdata;
        struct addrinfo *addresses; /* the running one's */
};

static int run(void *userdata)
{
        static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
        StockLookUp *look_up = userdata;

        return getaddrinfo(look_up->host, look_up->port, &hints, &look_up->addresses);
}

static void on_done(int error, void *userdata)
{
        StockLookUp *look_up = userdata;
        struct addrinfo *addresses = TAKE_PTR(look_up->addresses);

        look_up->done(error, addresses, look_up->userdata);
}

void stock_look_up_start(StockLookUp *look_up)
{
        if (!worker_busy(look_up->worker))
                worker_start(look_up->worker, run, on_done, look_up);
}

int stock_look_up_new(sd_event *event, const char *host, const char *port, StockLookUpDone done,
                      void *userdata, StockLookUp **ret)
{
        _cleanup_(stock_look_up_freep) StockLookUp *look_up = calloc(1, sizeof *look_up);
        int r;

        if (!look_up)
                return -ENOMEM;
        look_up->done = done;
        look_up->userdata = userdata;
        look_up->host = strdup(host);
        look_up->port = strdup(port);
        if (!look_up->host || !look_up->port)
                return -ENOMEM;
        r = worker_new(event, "resolver", LOOP_DATA, &look_up->worker);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(look_up);
        return 0;
}

StockLookUp *stock_look_up_free(StockLookUp *look_up)
{
        /* One that runs cannot be ended, and may take longer than a stop may: what it uses stays until the
         * process ends. */
        if (!look_up || (look_up->worker && worker_busy(look_up->worker)))
                return NULL;
        worker_free(look_up->worker);
        if (look_up->addresses)
                freeaddrinfo(look_up->addresses);
        free(look_up->host);
        free(look_up->port);
        free(look_up);
        return NULL;
}
