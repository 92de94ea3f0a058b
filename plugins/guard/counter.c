/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A hash table of fixed size, and a list in the order of the last failures. An attacker with many addresses
 * (he has them) pushes out the quiet ones; those that he uses often stay.
 */

#include "counter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

typedef struct Entry {
        Address address;
        uint64_t blocked_sec; /* until then */
        unsigned n;           /* failures ever; the last `threshold` are in times */
        struct Entry *bucket_next;
        TAILQ_ENTRY(Entry) entries;
        uint64_t times[];
} Entry;

struct Counter {
        CounterOptions options;
        uint64_t salt; /* nobody can choose addresses that meet in one bucket */
        size_t n, n_buckets;
        Entry **buckets;
        TAILQ_HEAD(, Entry) entries; /* the longest quiet one first */
};

static Entry **bucket_of(Counter *counter, const Address *address)
{
        uint64_t halves[2], hash = counter->salt;

        memcpy(halves, address->bytes, sizeof halves);
        for (unsigned i = 0; i < 2; i++) {
                hash = (hash ^ halves[i]) * UINT64_C(0x9e3779b97f4a7c15);
                hash ^= hash >> 32;
        }
        return &counter->buckets[(hash ^ address->size) % counter->n_buckets];
}

static Entry **find(Counter *counter, const Address *address)
{
        Entry **place = bucket_of(counter, address);

        while (*place && !address_equal(&(*place)->address, address))
                place = &(*place)->bucket_next;
        return place;
}

static void forget(Counter *counter, Entry *entry)
{
        Entry **place = find(counter, &entry->address);

        *place = entry->bucket_next;
        TAILQ_REMOVE(&counter->entries, entry, entries);
        counter->n--;
        free(entry);
}

static Entry *take(Counter *counter, const Address *address)
{
        Entry *entry = *find(counter, address), **bucket;

        if (entry) {
                TAILQ_REMOVE(&counter->entries, entry, entries);
                TAILQ_INSERT_TAIL(&counter->entries, entry, entries);
                return entry;
        }
        if (counter->n == counter->options.addresses_max)
                forget(counter, TAILQ_FIRST(&counter->entries));
        entry = calloc(1, sizeof *entry + counter->options.threshold * sizeof entry->times[0]);
        if (!entry)
                return NULL;
        bucket = bucket_of(counter, address);
        entry->address = *address;
        entry->bucket_next = *bucket;
        *bucket = entry;
        TAILQ_INSERT_TAIL(&counter->entries, entry, entries);
        counter->n++;
        return entry;
}

bool counter_fail(Counter *counter, const Address *address, uint64_t sec)
{
        const CounterOptions *options = &counter->options;
        Entry *entry = take(counter, address);
        uint64_t first;

        /* Out of memory: this one is not counted. */
        if (!entry)
                return false;
        entry->times[entry->n++ % options->threshold] = sec;
        if (entry->n < options->threshold || sec < entry->blocked_sec)
                return false;
        first = entry->times[entry->n % options->threshold];
        if (sec > first && sec - first > options->window_sec)
                return false;
        entry->blocked_sec = sec + options->block_sec;
        return true;
}

void counter_retry(Counter *counter, const Address *address)
{
        Entry *entry = *find(counter, address);

        if (entry)
                entry->blocked_sec = 0;
}

size_t counter_size(const Counter *counter)
{
        return counter->n;
}

int counter_new(const CounterOptions *options, Counter **ret)
{
        Counter *counter = calloc(1, sizeof *counter);

        if (!counter)
                return -ENOMEM;
        counter->options = *options;
        counter->n_buckets = options->addresses_max;
        counter->buckets = calloc(counter->n_buckets, sizeof *counter->buckets);
        TAILQ_INIT(&counter->entries);
        if (!counter->buckets || getrandom(&counter->salt, sizeof counter->salt, 0) < 0) {
                counter_free(counter);
                return -ENOMEM;
        }
        *ret = counter;
        return 0;
}

Counter *counter_free(Counter *counter)
{
        Entry *entry;

        if (!counter)
                return NULL;
        while (counter->buckets && (entry = TAILQ_FIRST(&counter->entries)))
                forget(counter, entry);
        free(counter->buckets);
        free(counter);
        return NULL;
}
