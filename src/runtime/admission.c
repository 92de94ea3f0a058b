/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/admission.h"
#include "basic/batch.h"

#include <netinet/in.h>

/* Chains of a few when all that may be there are of different addresses. */
#define BUCKETS 512U

struct AdmissionAddress {
        AdmissionKey key;
        size_t served, waiting;
        LIST_ENTRY(AdmissionAddress) bucket;
};

TAILQ_HEAD(VisitorList, Visitor);

struct Admission {
        AdmissionOptions options;
        struct VisitorList served, waiting; /* the oldest first */
        size_t n_served, n_waiting;
        LIST_HEAD(, AdmissionAddress) buckets[BUCKETS];
};

int admission_new(const AdmissionOptions *options, Admission **ret)
{
        Admission *admission = calloc(1, sizeof *admission);

        if (!admission)
                return -ENOMEM;
        admission->options = *options;
        TAILQ_INIT(&admission->served);
        TAILQ_INIT(&admission->waiting);
        *ret = admission;
        return 0;
}

Admission *admission_free(Admission *admission)
{
        assert(!admission || admission->n_served + admission->n_waiting == 0);
        free(admission);
        return NULL;
}

AdmissionKey admission_key(const struct sockaddr *address)
{
        AdmissionKey key = { { 0 } };

        if (address->sa_family == AF_INET) {
                const struct sockaddr_in *in = (const struct sockaddr_in *) address;

                memcpy(key.bytes, &in->sin_addr, sizeof in->sin_addr);
                key.bytes[15] = 4;
        } else if (address->sa_family == AF_INET6) {
                const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) address;

                if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
                        memcpy(key.bytes, &in6->sin6_addr.s6_addr[12], 4);
                        key.bytes[15] = 4;
                } else {
                        memcpy(key.bytes, &in6->sin6_addr, 8);
                        key.bytes[15] = 6;
                }
        }
        return key;
}

static AdmissionAddress *get_address(Admission *admission, const AdmissionKey *key)
{
        uint64_t bucket = checksum64(key, sizeof *key) % BUCKETS;
        AdmissionAddress *address;

        LIST_FOREACH(address, &admission->buckets[bucket], bucket)
                if (memcmp(&address->key, key, sizeof *key) == 0)
                        return address;
        address = calloc(1, sizeof *address);
        if (!address)
                return NULL;
        address->key = *key;
        LIST_INSERT_HEAD(&admission->buckets[bucket], address, bucket);
        return address;
}

static void drop_address(AdmissionAddress *address)
{
        if (address->served + address->waiting > 0)
                return;
        LIST_REMOVE(address, bucket);
        free(address);
}

static void serve(Admission *admission, Visitor *visitor, uint64_t now_usec)
{
        visitor->served = true;
        visitor->since_usec = now_usec;
        visitor->address->served++;
        admission->n_served++;
        TAILQ_INSERT_TAIL(&admission->served, visitor, visitors);
}

/* There is a place for one of this address. */
static bool may_be_served(const Admission *admission, const AdmissionAddress *address)
{
        return admission->n_served < admission->options.max && address->served < admission->options.address_max;
}

int admission_enter(Admission *admission, Visitor *visitor, const AdmissionKey *key, uint64_t now_usec)
{
        AdmissionAddress *address;

        *visitor = (Visitor) { 0 };
        if (admission->options.max == 0)
                return ADMISSION_SERVED;
        address = get_address(admission, key);
        if (!address)
                return -ENOMEM;
        if (address->waiting >= ADMISSION_WAITING * admission->options.address_max) {
                drop_address(address);
                return ADMISSION_SURPLUS;
        }
        *visitor = (Visitor) { .address = address, .since_usec = now_usec };
        /* Nobody is overtaken by another of his address. */
        if (address->waiting == 0 && may_be_served(admission, address)) {
                serve(admission, visitor, now_usec);
                return ADMISSION_SERVED;
        }
        address->waiting++;
        admission->n_waiting++;
        TAILQ_INSERT_TAIL(&admission->waiting, visitor, visitors);
        return ADMISSION_WAITS;
}

static void stop_waiting(Admission *admission, Visitor *visitor)
{
        TAILQ_REMOVE(&admission->waiting, visitor, visitors);
        visitor->address->waiting--;
        admission->n_waiting--;
}

void admission_leave(Admission *admission, Visitor *visitor)
{
        AdmissionAddress *address = visitor->address;

        if (!address)
                return;
        if (visitor->served) {
                TAILQ_REMOVE(&admission->served, visitor, visitors);
                address->served--;
                admission->n_served--;
        } else {
                stop_waiting(admission, visitor);
        }
        visitor->address = NULL;
        drop_address(address);
}

Visitor *admission_next(Admission *admission, uint64_t now_usec)
{
        Visitor *visitor, *best = NULL;

        if (admission->n_served >= admission->options.max)
                return NULL;
        TAILQ_FOREACH(visitor, &admission->waiting, visitors) {
                if (may_be_served(admission, visitor->address) &&
                    (!best || visitor->address->served < best->address->served))
                        best = visitor;
                if (best && best->address->served == 0)
                        break;
        }
        if (!best)
                return NULL;
        stop_waiting(admission, best);
        serve(admission, best, now_usec);
        return best;
}

Visitor *admission_in_the_way(Admission *admission, uint64_t now_usec)
{
        bool full = admission->n_waiting > 0 && admission->n_served >= admission->options.max;
        Visitor *visitor;

        TAILQ_FOREACH(visitor, &admission->served, visitors) {
                const AdmissionAddress *address = visitor->address;

                if (now_usec - visitor->since_usec < admission->options.grace_usec)
                        return NULL; /* those behind it are younger */
                if (full || (address->waiting > 0 && address->served >= admission->options.address_max))
                        return visitor;
        }
        return NULL;
}

Visitor *admission_overdue(Admission *admission, uint64_t now_usec, uint64_t timeout_usec)
{
        Visitor *visitor = TAILQ_FIRST(&admission->waiting);

        return visitor && now_usec - visitor->since_usec >= timeout_usec ? visitor : NULL;
}

bool admission_is_full(const Admission *admission)
{
        return admission->n_waiting >= ADMISSION_WAITING * admission->options.max && admission->options.max > 0;
}

size_t admission_served(const Admission *admission)
{
        return admission->n_served;
}

size_t admission_waiting(const Admission *admission)
{
        return admission->n_waiting;
}
