/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote/service.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVICE "_audit-relay._tcp."
/* Before the name of the target: priority, weight, port. */
#define FIXED_SIZE 6U

static int parse_record(const ns_msg *answer, const ns_rr *record, CollectorsService *ret)
{
        const uint8_t *data = ns_rr_rdata(*record);
        char target[NS_MAXDNAME];
        size_t size;

        if (ns_rr_type(*record) != ns_t_srv || ns_rr_class(*record) != ns_c_in || ns_rr_rdlen(*record) <= FIXED_SIZE)
                return 0;
        if (dn_expand(ns_msg_base(*answer), ns_msg_end(*answer), data + FIXED_SIZE, target, sizeof target) < 0)
                return -EBADMSG;
        size = strlen(target);
        *ret = (CollectorsService) {
                .priority = (uint16_t) ns_get16(data),
                .weight = (uint16_t) ns_get16(data + 2),
                .port = (uint16_t) ns_get16(data + 4),
        };
        /* The root as target: there is no such service. */
        if (size == 0 || size > NODE_NAME_MAX || ret->port == 0)
                return 0;
        memcpy(ret->host, target, size + 1);
        return 1;
}

int service_parse(const uint8_t *answer, size_t size, CollectorsService *ret, size_t max)
{
        ns_msg message;
        int n = 0;

        if (size > NS_MAXMSG || ns_initparse(answer, (int) size, &message) < 0)
                return -EBADMSG;
        for (int i = 0; i < ns_msg_count(message, ns_s_an) && (size_t) n < max; i++) {
                ns_rr record;
                int r;

                if (ns_parserr(&message, ns_s_an, i, &record) < 0)
                        return -EBADMSG;
                r = parse_record(&message, &record, &ret[n]);
                if (r < 0)
                        return r;
                n += r;
        }
        return n;
}

int service_find(const char *domain, CollectorsService *ret, size_t max)
{
        _cleanup_(freep) uint8_t *answer = malloc(NS_MAXMSG);
        char name[NODE_NAME_MAX + sizeof SERVICE];
        struct __res_state state = { 0 };
        int n, error;

        if (!answer)
                return -ENOMEM;
        if (res_ninit(&state) < 0)
                return -EAGAIN;
        (void) snprintf(name, sizeof name, SERVICE "%s", domain);
        n = res_nquery(&state, name, ns_c_in, ns_t_srv, answer, NS_MAXMSG);
        error = state.res_h_errno;
        res_nclose(&state);
        if (n < 0)
                return error == TRY_AGAIN ? -EAGAIN : -ENXIO;
        return service_parse(answer, MIN((size_t) n, (size_t) NS_MAXMSG), ret, max);
}
