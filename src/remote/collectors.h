/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The collectors that there are, their order, and whose turn it is: a list without I/O.
 *
 * What Collector= names is an entry: a host, or a service in the DNS (SRV), which stands for the hosts that were
 * last found for it. A round tries each once. It goes from the top (the first is the preferred one), or from
 * behind the collector that was lost.
 */

#include "basic/batch.h"

/* Entries, and hosts of a service; more are no order that anybody means. */
#define COLLECTORS_MAX 16U

/* One record of a service, names without the dot at the end. */
typedef struct CollectorsService {
        char host[NODE_NAME_MAX + 1];
        uint16_t port, priority, weight;
} CollectorsService;

/* Valid until something is learned about its entry. */
typedef struct Collector {
        char name[NODE_NAME_MAX + 1]; /* in its certificate, and for its custody in the store */
        char *host;
        char port[6];
        bool tried;         /* in this round */
        uint64_t left_usec; /* when it was left for another one, though it was there; 0: never */
} Collector;

typedef struct Collectors Collectors;

/* Whether it is HOST, HOST:PORT, ADDRESS:PORT, [ADDRESS]:PORT, each with #NAME behind it, or srv:DOMAIN. Returns 0, or
 * -EINVAL with what is wrong. */
int collectors_check(const char *text, const char **ret_why) _must_check_;
/* Whether it is srv:DOMAIN, which may be several. */
bool collectors_is_service(const char *text);

/* The same of a single host that has no name. Returns 0 with both, owned by the caller, or as above; -ENOMEM. */
int collectors_split(const char *text, const char *port_default, char **ret_host, char **ret_port,
                     const char **ret_why) _must_check_;

/* `texts`: NULL-terminated, in the order wanted; with `spread` in one that follows from `node`. Returns -EINVAL for
 * what collectors_check() refuses, and -E2BIG, -EEXIST when a name is there twice. */
int collectors_new(char *const *texts, const char *node, bool spread, Collectors **ret) _must_check_;
Collectors *collectors_free(Collectors *collectors);
DEFINE_CLEANUP(Collectors *, collectors_free)

/* --- A round --- */

/* From the top, services to be found anew. It ends before the one named `until`; NULL: behind the last. */
void collectors_begin(Collectors *collectors, const char *until);
/* Behind the current one, which is not in it, and once around. */
void collectors_begin_behind(Collectors *collectors);
/* From the one of that name (the top, if it is not known any more), and once around. */
void collectors_begin_at(Collectors *collectors, const char *name);
/* The current one is the next, once more. */
void collectors_again(Collectors *collectors);
/* The current one is there, but of no use now: whether it is to be left for another one of the round. One that was left less than
 * `again_usec` ago is not: nobody else could be had since, or none was of more use. */
bool collectors_leave(Collectors *collectors, uint64_t now_usec, uint64_t again_usec);
/* Nobody is left. */
void collectors_end(Collectors *collectors);

typedef enum CollectorsStep {
        COLLECTORS_NONE, /* the round is over */
        COLLECTORS_TRY,  /* this one, current from now on */
        COLLECTORS_FIND, /* first the service of that domain: collectors_found() */
} CollectorsStep;

CollectorsStep collectors_next(Collectors *collectors, const Collector **ret_collector, const char **ret_domain);
/* Whether that would be other than NONE. */
bool collectors_more(const Collectors *collectors);

/* What was found for the last COLLECTORS_FIND. Replaces what was found before; put in order by priority and, within
 * one, by weight and node. Not called when the look-up failed: the ones before stay. */
int collectors_found(Collectors *collectors, const CollectorsService *services, size_t n) _must_check_;

/* --- Where we are --- */

/* Name of the last one that was tried; "" before the first. */
const char *collectors_current(const Collectors *collectors);
/* Whether that is the first of all. */
bool collectors_preferred(const Collectors *collectors);
