/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whose handshake is served: the budget for those who have not yet shown who they are. Pure: no I/O, no clock.
 *
 *      at once       so many in all, and of one address; the others wait, and cost a descriptor and a few hundred
 *                    bytes, as nothing is read of them
 *      waiting       a multiple of these; beyond it one more of the same address is surplus, and in all the
 *                    listeners rest: the kernel's queue waits
 *      whose turn    of those who wait, the one of whose address fewest are served: nobody queues behind a crowd that
 *                    is not his own
 *      in the way    who waits does not wait for the slow: the oldest handshake that keeps others from
 *                    theirs gives way once it has had its time
 *
 * An IPv6 address counts by its first 64 bits: whoever has one of them has all of them.
 */

#include "basic/macro.h"

#include <sys/queue.h>

/* So many may wait for each that is served. */
#define ADMISSION_WAITING 16U
/* What a handshake should have before it has to give way: half of what a client waits by default. Much less, and
 * on a machine that is out of breath none would ever end well. */
#define ADMISSION_GRACE_USEC (5 * USEC_PER_SEC)

typedef struct AdmissionKey {
        uint8_t bytes[16];
} AdmissionKey;

typedef struct AdmissionAddress AdmissionAddress;
typedef struct Visitor Visitor;

/* Somebody before his handshake is done; embedded by its owner, all members are the admission's. */
struct Visitor {
        AdmissionAddress *address; /* NULL: he is none */
        bool served;
        uint64_t since_usec; /* he came, or is served */
        TAILQ_ENTRY(Visitor) visitors;
};

typedef struct AdmissionOptions {
        size_t max;         /* handshakes at once; 0: nobody is counted, everybody is served */
        size_t address_max; /* of one address */
        uint64_t grace_usec;
} AdmissionOptions;

typedef enum AdmissionVerdict {
        ADMISSION_SERVED,
        ADMISSION_WAITS,
        ADMISSION_SURPLUS, /* he is no visitor: too many of his address wait */
} AdmissionVerdict;

typedef struct Admission Admission;

int admission_new(const AdmissionOptions *options, Admission **ret) _must_check_;
/* After all visitors have left. */
Admission *admission_free(Admission *admission);
DEFINE_CLEANUP(Admission *, admission_free)

/* The key of a sockaddr; one for all that are no internet addresses. */
struct sockaddr;
AdmissionKey admission_key(const struct sockaddr *address);

/* Somebody came. Negative: -ENOMEM. */
int admission_enter(Admission *admission, Visitor *visitor, const AdmissionKey *key,
                    uint64_t now_usec) _must_check_;
/* His handshake is done, or he is gone. Nothing for who is no visitor. */
void admission_leave(Admission *admission, Visitor *visitor);
/* Whose turn it is now: he is served from here on. NULL: nobody's. */
Visitor *admission_next(Admission *admission, uint64_t now_usec);
/* The handshake that is in another one's way for too long; NULL: none. It is to be ended. */
Visitor *admission_in_the_way(Admission *admission, uint64_t now_usec);
/* One that waits for longer than that; NULL: none. */
Visitor *admission_overdue(Admission *admission, uint64_t now_usec, uint64_t timeout_usec);

/* So many wait that no more are to be accepted. */
bool admission_is_full(const Admission *admission);
size_t admission_served(const Admission *admission);
size_t admission_waiting(const Admission *admission);
