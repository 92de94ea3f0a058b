/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See verify.h. What must hold:
 *
 * 1. Both stores open, find no damage, and opening them again gives the same.
 * 2. Each has all that it said is in its custody; the sender's has deleted nothing but what the collector
 * said is in its own; so every accepted record is in one of the two. The collector has nothing that the
 * sender has not.
 * 3. What a store shows, and what stands in its text files, is every record from its oldest to its newest
 * once, in order, each byte as it was sent, and nothing besides. Every index entry verifies, and the
 * collector's chain.
 * 4. The two go on: whatever the dispatcher still has reaches the collector's text, again once each.
 */

#include "verify.h"
#include "records.h"
#include "relay.h"

#include <dirent.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/stat.h>

/* Records that arrive after the crash. */
#define MORE_RECORDS 24U
/* Turns in which these must have arrived. */
#define TURNS_MAX 2000U

/* What a store says of itself; the same each time it is opened. */
typedef struct Facts {
        StreamId stream;
        uint64_t oldest, newest, released;
        uint64_t position, checksum;
} Facts;

typedef struct Verifier {
        const char *const *directories;
        Verdict *verdict;
        Host hosts[_DISK_MAX];
        Facts facts[_DISK_MAX];
} Verifier;

static const char *const host_names[] = { [DISK_SENDER] = "sender", [DISK_COLLECTOR] = "collector" };

static _printf_(4, 5) void wrong(Verdict *verdict, uint64_t *count, uint64_t n, const char *format, ...)
{
        va_list ap;

        *count += n;
        if (verdict->why[0] != '\0')
                return;
        va_start(ap, format);
        (void) vsnprintf(verdict->why, sizeof verdict->why, format, ap);
        va_end(ap);
}

/* --- Text, as anybody reads it --- */

static int is_text(const struct dirent *entry)
{
        return strlen(entry->d_name) == 24 && strcmp(entry->d_name + 20, ".log") == 0;
}

static int is_index(const struct dirent *entry)
{
        return strlen(entry->d_name) == 24 && strcmp(entry->d_name + 20, ".idx") == 0;
}

/* Reads a whole file; the caller frees. NULL: it could not be read. */
static uint8_t *read_file(const char *directory, const char *name, size_t *ret_size)
{
        char path[512];
        _cleanup_(close_fdp) int fd = -EBADF;
        struct stat st;
        uint8_t *bytes;

        (void) snprintf(path, sizeof path, "%s/%s", directory, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return NULL;
        bytes = malloc((size_t) st.st_size + 1);
        if (bytes && read(fd, bytes, (size_t) st.st_size) != st.st_size) {
                free(bytes);
                return NULL;
        }
        *ret_size = (size_t) st.st_size;
        return bytes;
}

/* Compares bytes with the records from *seq on, which moves on. `what` names the place. */
static void compare_records(Verdict *verdict, const char *what, const uint8_t *bytes, size_t size,
                            uint64_t *seq)
{
        char line[RECORD_LINE_SIZE], number[64];
        unsigned long long found;
        size_t n;

        while (size > 0) {
                n = records_line(*seq, line);
                if (n <= size && memcmp(bytes, line, n) == 0) {
                        (*seq)++;
                        bytes += n;
                        size -= n;
                        continue;
                }
                (void) snprintf(number, sizeof number, "%.*s", (int) MIN(size, sizeof number - 1),
                                (const char *) bytes);
                if (sscanf(number, "node=" RECORDS_NODE " type=USER msg=audit(1700000000.000:%llu)",
                           &found) != 1 ||
                    found == *seq) {
                        wrong(verdict, &verdict->unreadable, 1, "%s: other bytes at record %" PRIu64, what,
                              *seq);
                        return;
                }
                if (found > *seq) {
                        wrong(verdict, &verdict->lost, found - *seq, "%s: record %llu in place of %" PRIu64,
                              what, found, *seq);
                        *seq = found;
                        continue;
                }
                wrong(verdict, &verdict->duplicated, 1, "%s: record %llu again, at %" PRIu64, what, found,
                      *seq);
                n = records_line(found, line);
                if (n > size || memcmp(bytes, line, n) != 0)
                        return;
                bytes += n;
                size -= n;
        }
}

static void verify_text(Verdict *verdict, const char *directory, const char *host, uint64_t first,
                        uint64_t last)
{
        struct dirent **names = NULL;
        uint64_t seq = first;
        uint8_t *bytes;
        char what[64];
        size_t size;
        int n;

        n = scandir(directory, &names, is_text, alphasort);
        for (int i = 0; i < n; i++) {
                (void) snprintf(what, sizeof what, "%s's %.24s", host, names[i]->d_name);
                bytes = read_file(directory, names[i]->d_name, &size);
                if (bytes)
                        compare_records(verdict, what, bytes, size, &seq);
                else
                        wrong(verdict, &verdict->unreadable, 1, "%s cannot be read", what);
                free(bytes);
                free(names[i]);
        }
        free(names);
        if (seq <= last)
                wrong(verdict, &verdict->lost, last + 1 - seq,
                      "%s's text ends before record %" PRIu64 " of %" PRIu64, host, seq, last);
        else if (seq > last + 1)
                wrong(verdict, &verdict->unreadable, 1, "%s's text goes on behind record %" PRIu64, host,
                      last);
}

/* --- Index --- */

static void sha256(const void *data, size_t size, uint8_t ret_digest[static SHA256_SIZE])
{
        int r = gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, ret_digest);

        assert(r >= 0);
}

/* Every entry of one index, and that the chain goes on from that of the one before where there is one. */
static bool verify_entries(const uint8_t *bytes, size_t size, bool chained, uint8_t chain[SHA256_SIZE],
                           bool first)
{
        uint8_t again[INDEX_ENTRY_SIZE];
        IndexEntry entry;

        if (size == 0 || size % INDEX_ENTRY_SIZE != 0)
                return false;
        for (uint32_t i = 0; i < size / INDEX_ENTRY_SIZE; i++) {
                if (index_decode(bytes + (size_t) i * INDEX_ENTRY_SIZE, i, &entry) < 0)
                        return false;
                if (i == 0 && entry.kind != INDEX_SEGMENT)
                        return false;
                if (!chained)
                        continue;
                if (i == 0 && first)
                        memcpy(chain, entry.segment.head, SHA256_SIZE);
                if (i == 0 && memcmp(chain, entry.segment.head, SHA256_SIZE) != 0)
                        return false;
                index_encode(&entry, sha256, chain, again);
                if (memcmp(again, bytes + (size_t) i * INDEX_ENTRY_SIZE, INDEX_ENTRY_SIZE) != 0)
                        return false;
        }
        return true;
}

static void verify_index(Verdict *verdict, const char *directory, const char *host, bool chained)
{
        uint8_t chain[SHA256_SIZE], *bytes;
        struct dirent **names = NULL;
        size_t size = 0;
        int n;

        n = scandir(directory, &names, is_index, alphasort);
        for (int i = 0; i < n; i++) {
                bytes = read_file(directory, names[i]->d_name, &size);
                if (!bytes || !verify_entries(bytes, size, chained, chain, i == 0))
                        wrong(verdict, &verdict->unreadable, 1, "%s's %s does not verify", host,
                              names[i]->d_name);
                free(bytes);
                free(names[i]);
        }
        free(names);
}

/* --- Stores --- */

/* Nothing crashes any more, so what is in the page cache is as good as on the disk, and much faster. */
static int sync_nothing(Disk *disk, int handle)
{
        return 0;
}

static int sync_no_directory(Disk *disk)
{
        return 0;
}

static bool open_host(Verifier *verifier, int which)
{
        Verdict *verdict = verifier->verdict;
        StoreReport report = { 0 };
        Disk *disk;
        int r;

        r = disk_open(verifier->directories[which], &disk);
        if (r >= 0) {
                disk->sync = sync_nothing;
                disk->sync_directory = sync_no_directory;
                r = host_open(&verifier->hosts[which], which, disk, &report);
        }
        if (r < 0) {
                wrong(verdict, &verdict->unreadable, 1, "%s's store does not open: %s", host_names[which],
                      strerror(-r));
                return false;
        }
        for (size_t i = 0; i < report.n_damages; i++)
                wrong(verdict, &verdict->unreadable,
                      MAX(report.damages[i].last + 1 - report.damages[i].first, 1U),
                      "%s's store found %" PRIu64 "..%" PRIu64 " damaged", host_names[which],
                      report.damages[i].first, report.damages[i].last);
        verdict->cut += report.cut_bytes > 0;
        store_report_done(&report);
        return true;
}

static Facts facts_of(Verifier *verifier, int which)
{
        Store *store = verifier->hosts[which].store;
        StoreStatus sender, status;
        StreamId stream = records_stream();
        Facts facts;

        memset(&facts, 0, sizeof facts);
        store_status(store, &status);
        facts.stream = status.stream;
        facts.oldest = status.oldest;
        facts.newest = status.newest;
        facts.released = status.released;
        if (which == DISK_COLLECTOR) {
                store_status(verifier->hosts[DISK_SENDER].store, &sender);
                stream = sender.stream;
        }
        if (store_sink(store)->position(store_sink(store), &stream, RELAY_OWNER, &facts.position,
                                        &facts.checksum) < 0)
                wrong(verifier->verdict, &verifier->verdict->unreadable, 1, "%s's store has no position",
                      host_names[which]);
        return facts;
}

/* What a source shows. */
static void verify_shown(Verifier *verifier, int which)
{
        Verdict *verdict = verifier->verdict;
        Source *source = store_source(verifier->hosts[which].store, RELAY_COLLECTOR);
        uint64_t seq = verifier->facts[which].oldest, expected = seq;
        Cursor cursor = { { 0 } };
        Batch batch;
        int r = 0;

        for (; seq <= verifier->facts[which].newest; seq = batch.last + 1) {
                r = source ? source->get(source, seq, &cursor, &batch) : -ENOMEM;
                if (r <= 0 || batch.reason != BATCH_RECORDS) {
                        wrong(verdict, &verdict->unreadable, 1, "%s's store shows no record %" PRIu64,
                              host_names[which], seq);
                        return;
                }
                compare_records(verdict, host_names[which], batch.payload, batch.size, &expected);
        }
        if (expected != seq)
                wrong(verdict, &verdict->unreadable, 1, "%s's store shows other records than it says",
                      host_names[which]);
}

/* The positions against what was promised. */
static void verify_custody(Verifier *verifier, const uint64_t promised[static _DISK_MAX])
{
        const Facts *sender = &verifier->facts[DISK_SENDER], *collector = &verifier->facts[DISK_COLLECTOR];
        Verdict *verdict = verifier->verdict;

        for (int i = 0; i < _DISK_MAX; i++) {
                const Facts *facts = &verifier->facts[i];

                if (facts->newest < promised[i])
                        wrong(verdict, &verdict->lost, promised[i] - facts->newest,
                              "%s acked record %" PRIu64 ", has up to %" PRIu64, host_names[i], promised[i],
                              facts->newest);
                if (facts->position != facts->newest)
                        wrong(verdict, &verdict->unreadable, 1,
                              "%s has record %" PRIu64 ", its position is %" PRIu64, host_names[i],
                              facts->newest, facts->position);
        }
        if (sender->oldest > promised[DISK_COLLECTOR] + 1 || sender->released > promised[DISK_COLLECTOR])
                wrong(verdict, &verdict->lost,
                      MAX(sender->oldest - 1, sender->released) - promised[DISK_COLLECTOR],
                      "sender deleted up to %" PRIu64 " and released up to %" PRIu64
                      ", the collector acked %" PRIu64,
                      sender->oldest - 1, sender->released, promised[DISK_COLLECTOR]);
        if (sender->oldest > collector->newest + 1)
                wrong(verdict, &verdict->lost, sender->oldest - collector->newest - 1,
                      "neither has the records behind %" PRIu64 " before %" PRIu64, collector->newest,
                      sender->oldest);
        if (collector->newest > sender->newest)
                wrong(verdict, &verdict->lost, collector->newest - sender->newest,
                      "the collector has record %" PRIu64 ", the sender only %" PRIu64, collector->newest,
                      sender->newest);
        if (collector->oldest != 1 && collector->newest > 0)
                wrong(verdict, &verdict->lost, collector->oldest - 1, "the collector deleted up to %" PRIu64,
                      collector->oldest - 1);
        verdict->deleted += sender->oldest > 1;
        verdict->ahead += sender->newest > collector->newest;
}

/* --- Going on --- */

static int advance_hop(Hop *hop, Host *to)
{
        int r;

        r = hop_send(hop, SIZE_MAX);
        if (r >= 0)
                r = hop_return(hop);
        if (r >= 0 && hop->ended)
                r = -ECONNRESET;
        if (r >= 0)
                r = host_commit_begin(to);
        return r > 0 ? host_commit_end(to) : r;
}

/* Both hops, until the collector has record `last`. */
static int deliver(Verifier *verifier, Hop hops[static _DISK_MAX], uint64_t last)
{
        StoreStatus status = { 0 };
        int r = 0;

        for (unsigned turn = 0; turn < TURNS_MAX && r >= 0; turn++) {
                for (int i = 0; i < _DISK_MAX && r >= 0; i++)
                        r = advance_hop(&hops[i], &verifier->hosts[i]);
                store_status(verifier->hosts[DISK_COLLECTOR].store, &status);
                if (status.newest >= last)
                        return r;
        }
        return r < 0 ? r : -ETIMEDOUT;
}

static void verify_going_on(Verifier *verifier, const uint64_t promised[static _DISK_MAX])
{
        Source *source = store_source(verifier->hosts[DISK_SENDER].store, RELAY_COLLECTOR);
        uint64_t last = records_batch_last(verifier->facts[DISK_SENDER].newest + MORE_RECORDS);
        Verdict *verdict = verifier->verdict;
        Hop hops[_DISK_MAX] = { 0 };
        Records records;
        int r;

        r = records_init(&records);
        records.newest = last;
        /* What the sender acked the dispatcher need not have any more. */
        records.released = promised[DISK_SENDER];
        if (r >= 0)
                r = hop_open(&hops[DISK_SENDER], &records.source, &verifier->hosts[DISK_SENDER]);
        if (r >= 0)
                r = hop_open(&hops[DISK_COLLECTOR], source, &verifier->hosts[DISK_COLLECTOR]);
        if (r >= 0)
                r = deliver(verifier, hops, last);
        if (r < 0)
                wrong(verdict, &verdict->lost, 1, "sender and collector do not go on: %s", strerror(-r));
        for (int i = 0; i < _DISK_MAX; i++)
                hop_close(&hops[i]);
        records_done(&records);
        if (r >= 0) {
                verify_text(verdict, verifier->directories[DISK_COLLECTOR], "collector, going on", 1, last);
                verify_index(verdict, verifier->directories[DISK_COLLECTOR], "collector, going on", true);
        }
}

/* --- All of it --- */

static void close_hosts(Verifier *verifier)
{
        for (int i = 0; i < _DISK_MAX; i++)
                host_close(&verifier->hosts[i]);
}

static bool open_hosts(Verifier *verifier)
{
        bool good = true;

        for (int i = 0; i < _DISK_MAX; i++)
                good = open_host(verifier, i) && good;
        return good;
}

void verify_stores(const char *const directories[static _DISK_MAX],
                   const uint64_t promised[static _DISK_MAX], Verdict *verdict)
{
        Verifier verifier = { .directories = directories, .verdict = verdict };
        Facts again;

        if (open_hosts(&verifier))
                for (int i = 0; i < _DISK_MAX; i++)
                        verifier.facts[i] = facts_of(&verifier, i);
        close_hosts(&verifier);
        if (!verdict_good(verdict) || !open_hosts(&verifier)) {
                close_hosts(&verifier);
                return;
        }
        for (int i = 0; i < _DISK_MAX; i++) {
                const Facts *facts = &verifier.facts[i];

                again = facts_of(&verifier, i);
                /* A store without a segment has no stream of its own yet. */
                if (facts->newest > 0 && memcmp(&again, facts, sizeof again) != 0)
                        wrong(verdict, &verdict->unreadable, 1, "%s's store is another when opened again",
                              host_names[i]);
                verify_shown(&verifier, i);
                verify_text(verdict, directories[i], host_names[i], facts->oldest, facts->newest);
                verify_index(verdict, directories[i], host_names[i], i == DISK_COLLECTOR);
        }
        verify_custody(&verifier, promised);
        if (verdict_good(verdict))
                verify_going_on(&verifier, promised);
        close_hosts(&verifier);
}
