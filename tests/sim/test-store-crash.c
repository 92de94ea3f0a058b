/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Power cuts, kills and failing syncs at random calls of a random workload, over a disk that keeps only what POSIX promises
 * (tests/lib/sim-disk.h). After each, the store is opened again, cut again while it recovers, and compared with what was acked:
 *
 * 1. A stream's position is at least what was acked and at most what was sent, at the end of a batch, with its checksum.
 * 2. What a source shows is every line of every stream up to its position, once, in order, whole; own seqs that were shown
 *    before the cut still mean the same records.
 * 3. Nothing half stays in the open segment's text; the chain of entries holds over all segments.
 * 4. Only what a collector acked was deleted. Opening twice gives the same.
 *
 * Five bugs, put between store and disk, must each be caught by this.
 */

#include "check-main.h"
#include "store-fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

#define STREAMS 3U
#define BATCH_LINES_MAX 4U
#define OPERATIONS 60U
#define LIVES 4U
#define OWN_MAX 4096U

typedef enum Bug {
        BUG_NONE,
        BUG_ACK_BEFORE_SYNC,
        BUG_NO_DIRECTORY_SYNC,
        BUG_UNSYNCED_ROTATION,
        BUG_RETRY_AFTER_EIO,
        BUG_TAIL_NOT_CUT,
        _BUG_MAX,
} Bug;

/* --- The bugs: a disk in front of the disk --- */

typedef struct BuggyDisk {
        Disk disk;
        Disk *inner;
        Bug bug;
} BuggyDisk;

static int buggy_sync(Disk *disk, int handle)
{
        BuggyDisk *buggy = container_of(disk, BuggyDisk, disk);
        int r;

        if (buggy->bug == BUG_ACK_BEFORE_SYNC)
                return 0;
        r = buggy->inner->sync(buggy->inner, handle);
        if (r == -EIO && buggy->bug == BUG_RETRY_AFTER_EIO)
                r = buggy->inner->sync(buggy->inner, handle);
        return r;
}

static int buggy_sync_directory(Disk *disk)
{
        BuggyDisk *buggy = container_of(disk, BuggyDisk, disk);

        return buggy->bug == BUG_NO_DIRECTORY_SYNC ? 0 : buggy->inner->sync_directory(buggy->inner);
}

static int buggy_truncate(Disk *disk, int handle, uint64_t size)
{
        BuggyDisk *buggy = container_of(disk, BuggyDisk, disk);

        return buggy->bug == BUG_TAIL_NOT_CUT ? 0 : buggy->inner->truncate(buggy->inner, handle, size);
}

#define PASS(type, call, parameters, arguments)                                  \
        static type buggy_##call parameters                                      \
        {                                                                        \
                Disk *inner = container_of(disk, BuggyDisk, disk)->inner;        \
                                                                                 \
                return inner->call arguments;                                    \
        }
PASS(int, open, (Disk *disk, const char *name, int flags), (inner, name, flags))
PASS(ssize_t, read, (Disk *disk, int handle, void *data, size_t n, uint64_t at), (inner, handle, data, n, at))
PASS(ssize_t, write, (Disk *disk, int handle, const struct iovec *v, int n, uint64_t at), (inner, handle, v, n, at))
PASS(int, size, (Disk *disk, int handle, uint64_t *ret), (inner, handle, ret))
PASS(int, allocate, (Disk *disk, int handle, uint64_t at, uint64_t n), (inner, handle, at, n))
PASS(int, rename, (Disk *disk, const char *from, const char *to), (inner, from, to))
PASS(int, unlink, (Disk *disk, const char *name), (inner, name))
PASS(int, list, (Disk *disk, const char *name, int (*f)(const char *, void *), void *u), (inner, name, f, u))
PASS(int, space, (Disk *disk, DiskSpace *ret), (inner, ret))
PASS(int, lock, (Disk *disk), (inner))

static void buggy_close(Disk *disk, int handle)
{
        Disk *inner = container_of(disk, BuggyDisk, disk)->inner;

        inner->close(inner, handle);
}

static void buggy_free(Disk *disk)
{
        BuggyDisk *buggy = container_of(disk, BuggyDisk, disk);

        (void) disk_free(buggy->inner);
        free(buggy);
}

static Disk *buggy_disk(Disk *inner, Bug bug)
{
        BuggyDisk *buggy = calloc(1, sizeof *buggy);

        assert(buggy);
        *buggy = (BuggyDisk) {
                .disk = {
                        .open = buggy_open,
                        .close = buggy_close,
                        .read = buggy_read,
                        .write = buggy_write,
                        .size = buggy_size,
                        .truncate = buggy_truncate,
                        .allocate = buggy_allocate,
                        .sync = buggy_sync,
                        .sync_directory = buggy_sync_directory,
                        .rename = buggy_rename,
                        .unlink = buggy_unlink,
                        .list = buggy_list,
                        .space = buggy_space,
                        .lock = buggy_lock,
                        .free = buggy_free,
                },
                .inner = inner,
                .bug = bug,
        };
        return &buggy->disk;
}

/* --- The world: what was sent, acked and shown --- */

typedef struct Own {
        unsigned stream;
        uint64_t seq;
} Own;

typedef struct World {
        uint64_t random;
        Bug bug;
        SimDisk *sim;
        Store *store;
        uint64_t now;
        uint64_t acked[STREAMS], flight[STREAMS], written[STREAMS]; /* last seqs */
        uint64_t sent[STREAMS]; /* ever, before any step back */
        Own own[OWN_MAX];     /* what own seqs meant when they were durable */
        uint64_t own_durable; /* up to where */
        uint64_t released;    /* the most that a collector ever acked */
        StoreJob job;
        bool in_flight, failed;
        char failure[256];
        uint64_t cuts;
} World;

__attribute__((format(printf, 2, 3))) static bool wrong(World *world, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        vsnprintf(world->failure, sizeof world->failure, format, ap);
        va_end(ap);
        return false;
}

static uint64_t below(World *world, uint64_t n)
{
        return fixture_draw(&world->random) % n;
}

static uint64_t mix(unsigned stream, uint64_t seq)
{
        uint64_t state = stream * UINT64_C(1000003) + seq;

        return fixture_draw(&state);
}

/* Senders keep boundaries whatever happens: the batch that begins at a seq is always the same. */
static uint64_t batch_end(unsigned stream, uint64_t first)
{
        return first + mix(stream, first) % BATCH_LINES_MAX;
}

static bool is_filtered(unsigned stream, uint64_t first)
{
        return mix(stream, first) / 16 % 5 == 0;
}

static Batch make_batch(unsigned stream, uint64_t first, char *out)
{
        Batch batch = fixture_batch(stream, first, batch_end(stream, first), out);

        if (is_filtered(stream, first)) {
                batch.reason = BATCH_FILTERED;
                batch.count = batch.size = 0;
                batch_seal(&batch);
        }
        return batch;
}

static StoreOptions options(World *world)
{
        StoreOptions o = fixture_options(buggy_disk(sim_disk_attach(world->sim), world->bug));

        o.hash = fixture_hash;
        o.segment_size_max = 900;
        o.group_bytes_max = 2000;
        o.delete_acked = true;
        return o;
}

/* --- Checks --- */

/* The next line that the stream must show behind seq, up to its position; 0: none. */
static uint64_t next_line(unsigned stream, uint64_t seq, uint64_t last)
{
        uint64_t first = 1, end;

        while (first <= last) {
                end = batch_end(stream, first);
                if (end > seq && !is_filtered(stream, first))
                        return seq + 1 > first ? seq + 1 : first;
                first = end + 1;
        }
        return 0;
}

static bool check_positions(World *world, uint64_t positions[STREAMS])
{
        char text[4096];
        uint64_t checksum, first;
        StreamId id;
        Batch batch;

        for (unsigned s = 0; s < STREAMS; s++) {
                id = fixture_stream(s);
                if (store_sink(world->store)->position(store_sink(world->store), &id, "owner", &positions[s], &checksum) < 0)
                        return wrong(world, "stream %u: no position", s);
                if (positions[s] < world->acked[s] || positions[s] > world->sent[s])
                        return wrong(world, "stream %u at %" PRIu64 ", acked %" PRIu64 ", sent %" PRIu64, s, positions[s],
                                    world->acked[s], world->sent[s]);
                for (first = 1; first <= positions[s]; first = batch.last + 1)
                        batch = make_batch(s, first, text);
                if (first != positions[s] + 1 || (positions[s] > 0 && checksum != batch.checksum))
                        return wrong(world, "stream %u at %" PRIu64 ": no batch ends there", s, positions[s]);
        }
        return true;
}

/* One shown batch: its lines are the next of their stream. */
static bool check_batch(World *world, const Batch *batch, uint64_t shown[STREAMS], bool whole[STREAMS],
                        const uint64_t positions[STREAMS])
{
        const char *p = (const char *) batch->payload, *end = p + batch->size;
        unsigned long long seq;
        char line[256];
        unsigned s;
        size_t size;

        for (uint64_t own = batch->first; own <= batch->last; own++) {
                if (sscanf(p, "node=n%u type=USER msg=audit(1.000:%llu)", &s, &seq) != 2 || s >= STREAMS)
                        return wrong(world, "own seq %" PRIu64 ": no line of ours", own);
                size = fixture_line(s, seq, line);
                if ((size_t) (end - p) < size || memcmp(p, line, size) != 0)
                        return wrong(world, "own seq %" PRIu64 ": other bytes", own);
                p += size;
                if (whole[s] ? next_line(s, shown[s], positions[s]) != seq : seq > positions[s])
                        return wrong(world, "stream %u: %llu follows %" PRIu64, s, seq, shown[s]);
                whole[s] = true;
                shown[s] = seq;
                if (own <= world->own_durable && (world->own[own].stream != s || world->own[own].seq != seq))
                        return wrong(world, "own seq %" PRIu64 " means another record", own);
                assert(own < OWN_MAX);
                world->own[own] = (Own) { s, seq };
        }
        return p == end || wrong(world, "own seq %" PRIu64 ": more than its lines", batch->last);
}

static bool check_shown(World *world, const uint64_t positions[STREAMS])
{
        Source *source = store_source(world->store, "collector");
        uint64_t shown[STREAMS] = { 0 }, seq;
        bool whole[STREAMS];
        SourceRange range;
        Cursor cursor = { { 0 } };
        StoreStatus status;
        Batch batch;
        int r;

        store_status(world->store, &status);
        source->range(source, &range);
        if (status.oldest > world->released + 1)
                return wrong(world, "deleted up to %" PRIu64 ", acked only %" PRIu64, status.oldest - 1, world->released);
        if (range.newest < world->own_durable)
                return wrong(world, "newest %" PRIu64 " was %" PRIu64, range.newest, world->own_durable);
        /* After a deletion a stream's first shown line may be any. */
        for (unsigned s = 0; s < STREAMS; s++)
                whole[s] = status.oldest == 1;
        for (seq = range.oldest; (r = source->get(source, seq, &cursor, &batch)) > 0; seq = batch.last + 1) {
                if (batch.reason == BATCH_RECORDS ? !check_batch(world, &batch, shown, whole, positions)
                                                  : batch.reason == BATCH_LOST)
                        return world->failure[0] ? false : wrong(world, "%" PRIu64 "..%" PRIu64 " lost", batch.first, batch.last);
        }
        if (r < 0 || seq != range.newest + 1)
                return wrong(world, "reading ends at %" PRIu64 ": %s", seq, strerror(-r));
        for (unsigned s = 0; s < STREAMS; s++)
                if (whole[s] && next_line(s, shown[s], positions[s]) != 0)
                        return wrong(world, "stream %u shown to %" PRIu64 ", position %" PRIu64, s, shown[s], positions[s]);
        world->own_durable = range.newest;
        return true;
}

typedef struct Firsts {
        uint64_t first[256];
        size_t n;
} Firsts;

static int collect_first(const char *entry, void *userdata)
{
        Firsts *firsts = userdata;
        uint64_t first;
        char suffix[8];
        size_t i;

        if (sscanf(entry, "%20" SCNu64 ".%7s", &first, suffix) != 2 || strcmp(suffix, "idx") != 0 || strlen(entry) != 24)
                return 0;
        assert(firsts->n < ELEMENTSOF(firsts->first));
        for (i = firsts->n++; i > 0 && firsts->first[i - 1] > first; i--)
                firsts->first[i] = firsts->first[i - 1];
        firsts->first[i] = first;
        return 0;
}

/* The chain over one segment, from `chain` until `end` (NULL: to the end of the file). */
static bool check_segment_chain(World *world, uint64_t first, uint8_t chain[SHA256_SIZE], const uint8_t *end)
{
        uint8_t again[INDEX_ENTRY_SIZE];
        IndexEntry entry;
        const uint8_t *bytes;
        uint64_t size;
        char name[64];

        sprintf(name, "%020" PRIu64 ".idx", first);
        bytes = sim_disk_bytes(world->sim, name, &size);
        for (uint32_t i = 0; i < size / INDEX_ENTRY_SIZE; i++) {
                if (i > 0 && end && memcmp(chain, end, SHA256_SIZE) == 0)
                        return true;
                if (index_decode(bytes + (size_t) i * INDEX_ENTRY_SIZE, i, &entry) < 0)
                        return wrong(world, "%s: entry %u does not verify", name, i);
                if (i == 0)
                        memcpy(chain, entry.segment.head, SHA256_SIZE);
                index_encode(&entry, fixture_hash, chain, again);
                if (memcmp(again, bytes + (size_t) i * INDEX_ENTRY_SIZE, INDEX_ENTRY_SIZE) != 0)
                        return wrong(world, "%s: the chain breaks at entry %u", name, i);
        }
        return !end || memcmp(chain, end, SHA256_SIZE) == 0 || wrong(world, "%s: the next segment has another head", name);
}

static bool check_files(World *world)
{
        Disk *disk = sim_disk_attach(world->sim);
        uint8_t chain[SHA256_SIZE], *head;
        Firsts firsts = { .n = 0 };
        IndexEntry entry;
        const uint8_t *bytes;
        uint64_t size, expected = 0;
        char name[64];
        int r;

        r = disk->list(disk, ".", collect_first, &firsts);
        (void) disk_free(disk);
        assert(r == 0);
        for (size_t i = 0; i < firsts.n; i++) {
                head = NULL;
                if (i + 1 < firsts.n) {
                        sprintf(name, "%020" PRIu64 ".idx", firsts.first[i + 1]);
                        bytes = sim_disk_bytes(world->sim, name, &size);
                        if (size < INDEX_ENTRY_SIZE || index_decode(bytes, 0, &entry) < 0)
                                return wrong(world, "%s has no header", name);
                        head = entry.segment.head;
                }
                if (!check_segment_chain(world, firsts.first[i], chain, head))
                        return false;
        }
        if (firsts.n == 0)
                return true;
        sprintf(name, "%020" PRIu64 ".idx", firsts.first[firsts.n - 1]);
        bytes = sim_disk_bytes(world->sim, name, &size);
        for (uint32_t i = 0; i < size / INDEX_ENTRY_SIZE; i++)
                if (index_decode(bytes + (size_t) i * INDEX_ENTRY_SIZE, i, &entry) == 0 && entry.kind == INDEX_BATCH)
                        expected = MAX(expected, entry.batch.offset + entry.batch.stored.size);
        sprintf(name, "%020" PRIu64 ".log", firsts.first[firsts.n - 1]);
        if (!sim_disk_bytes(world->sim, name, &size) || size != expected)
                return wrong(world, "%s has %" PRIu64 " bytes, its batches %" PRIu64, name, size, expected);
        return true;
}

/* --- Life --- */

static int open_store(World *world, StoreReport *report)
{
        StoreOptions o = options(world);
        int r = store_open(&o, ++world->now, &world->store, report);

        if (r < 0) {
                (void) disk_free(o.disk);
                world->store = NULL;
        }
        return r;
}

static void die(World *world)
{
        world->store = store_free(world->store);
        world->in_flight = world->failed = false;
}

/* Opens, perhaps cut several times on the way, and checks everything twice. */
static bool come_back(World *world)
{
        uint64_t positions[STREAMS], again[STREAMS];
        StoreReport report;
        int r;

        for (unsigned i = 0; below(world, 3) == 0 && i < 4; i++) {
                sim_disk_cut_at(world->sim, 1 + below(world, 12));
                r = open_store(world, &report);
                if (r == 0)
                        store_report_done(&report);
                die(world);
                sim_disk_cut_at(world->sim, 0);
                if (sim_disk_is_cut(world->sim)) {
                        world->cuts++;
                        sim_disk_power_cycle(world->sim);
                } else if (r < 0) {
                        return wrong(world, "opening: %s", strerror(-r));
                }
        }
        for (unsigned i = 0; i < 2; i++) {
                sim_disk_drop_caches(world->sim);
                r = open_store(world, &report);
                if (r < 0)
                        return wrong(world, "opening: %s", strerror(-r));
                r = (int) report.n_damages;
                store_report_done(&report);
                if (r > 0)
                        return wrong(world, "%d ranges reported as damaged", r);
                if (!check_positions(world, i == 0 ? positions : again) || !check_shown(world, positions) || !check_files(world))
                        return false;
                if (i == 0)
                        die(world);
        }
        if (memcmp(positions, again, sizeof positions) != 0)
                return wrong(world, "opening again gives other positions");
        for (unsigned s = 0; s < STREAMS; s++)
                world->acked[s] = world->flight[s] = world->written[s] = positions[s];
        return true;
}

static void append(World *world)
{
        unsigned s = (unsigned) below(world, STREAMS);
        uint64_t first = world->written[s] + 1;
        Sink *sink = store_sink(world->store);
        StreamId id = fixture_stream(s);
        char text[4096];
        Batch batch = make_batch(s, first, text);
        int r;

        world->sent[s] = MAX(world->sent[s], batch.last);
        r = sink->append(sink, &id, "owner", &batch, &batch, ++world->now);

        if (r == 0)
                world->written[s] = batch.last;
        else if (r != -ENOSPC && r != -EAGAIN)
                world->failed = true;
}

static void step_back(World *world)
{
        world->failed = false;
        for (unsigned s = 0; s < STREAMS; s++)
                world->written[s] = world->flight[s] = world->acked[s];
}

static void begin(World *world)
{
        int r = store_commit_begin(world->store, ++world->now, &world->job);

        world->in_flight = r > 0;
        if (r > 0)
                memcpy(world->flight, world->written, sizeof world->flight);
        else if (r < 0 && r != -ENOSPC && !sim_disk_is_cut(world->sim)) {
                store_step_back(world->store);
                step_back(world);
        }
}

static void remember_own(World *world)
{
        Source *source = store_source(world->store, "collector");
        unsigned long long seq;
        SourceRange range;
        Batch batch;
        unsigned s;

        source->range(source, &range);
        for (uint64_t own = MAX(world->own_durable + 1, range.oldest); own <= range.newest; own = batch.last + 1) {
                if (source->get(source, own, NULL, &batch) <= 0 || batch.reason != BATCH_RECORDS)
                        return;
                for (const char *p = (const char *) batch.payload; own <= batch.last; own++, p = strchr(p, '\n') + 1)
                        if (sscanf(p, "node=n%u type=USER msg=audit(1.000:%llu)", &s, &seq) == 2)
                                world->own[own] = (Own) { s, seq };
                world->own_durable = batch.last;
        }
}

static void end(World *world)
{
        int r;

        if (world->bug == BUG_UNSYNCED_ROTATION && world->job.n_handles == 4) {
                memmove(world->job.handles, world->job.handles + 2, 2 * sizeof world->job.handles[0]);
                world->job.n_handles = 2;
        }
        r = store_job_run(&world->job);
        /* More may be written while the job runs. */
        if (below(world, 2))
                append(world);
        r = store_commit_end(world->store, r, ++world->now);
        world->in_flight = false;
        if (r == 0) {
                memcpy(world->acked, world->flight, sizeof world->acked);
                remember_own(world);
        } else if (!sim_disk_is_cut(world->sim)) {
                step_back(world);
        }
}

static void release(World *world)
{
        Source *source = store_source(world->store, "collector");
        SourceRange range;
        uint64_t seq;
        Batch batch;

        source->range(source, &range);
        if (range.newest < range.oldest)
                return;
        seq = range.oldest + below(world, range.newest - range.oldest + 1);
        while (seq >= range.oldest && source->get(source, seq, NULL, &batch) == -ESTALE)
                seq--;
        if (seq < range.oldest || batch.reason != BATCH_RECORDS)
                return;
        world->released = MAX(world->released, batch.last);
        source->release(source, batch.last, batch.checksum);
}

static void operate(World *world)
{
        uint64_t dice = below(world, 100);

        if (world->in_flight && dice < 35)
                end(world);
        else if (!world->in_flight && world->failed && !sim_disk_is_cut(world->sim)) {
                store_step_back(world->store);
                step_back(world);
        }
        else if (!world->in_flight && dice < 30)
                begin(world);
        else if (dice < 92)
                append(world);
        else if (dice < 94)
                store_rotate(world->store);
        else if (dice < 97)
                release(world);
        else if (dice < 98)
                sim_disk_fail_sync_at(world->sim, 1 + below(world, 4));
        else if (store_finish(world->store, world->now) < 0)
                step_back(world);
}

/* One seed: several lives of a store, each ended by a power cut at a random call or by a kill. */
static bool run(uint64_t seed, Bug bug, char *ret_failure, uint64_t *cuts)
{
        World *world = calloc(1, sizeof *world);
        bool fine = true;

        assert(world);
        world->random = seed;
        world->bug = bug;
        fixture_random_state = seed;
        world->sim = sim_disk_new(seed);
        fine = come_back(world);
        for (unsigned life = 0; life < LIVES && fine; life++) {
                sim_disk_cut_at(world->sim, below(world, 4) ? 1 + below(world, 4 * OPERATIONS) : 0);
                for (unsigned i = 0; i < OPERATIONS && !sim_disk_is_cut(world->sim); i++)
                        operate(world);
                die(world);
                sim_disk_fail_sync_at(world->sim, 0);
                if (sim_disk_is_cut(world->sim) || below(world, 2)) {
                        world->cuts++;
                        sim_disk_power_cycle(world->sim);
                }
                sim_disk_cut_at(world->sim, 0);
                fine = come_back(world);
        }
        strcpy(ret_failure, world->failure);
        *cuts += world->cuts;
        die(world);
        (void) sim_disk_free(world->sim);
        free(world);
        return fine;
}

static uint64_t environment(const char *name, uint64_t otherwise)
{
        const char *value = getenv(name);

        return value ? strtoull(value, NULL, 0) : otherwise;
}

#define SEEDS 3000U

START_TEST(nothing_acked_is_lost)
{
        uint64_t seed = environment("AUDIT_RELAY_SEED", 1), n = environment("AUDIT_RELAY_SEEDS", SEEDS), cuts = 0;
        struct timespec begin_time, end_time;
        char failure[256];
        double seconds;

        clock_gettime(CLOCK_MONOTONIC, &begin_time);
        for (uint64_t i = seed; i < seed + n; i++)
                ck_assert_msg(run(i, BUG_NONE, failure, &cuts), "AUDIT_RELAY_SEED=%" PRIu64 ": %s", i, failure);
        clock_gettime(CLOCK_MONOTONIC, &end_time);
        seconds = (double) (end_time.tv_sec - begin_time.tv_sec) + (double) (end_time.tv_nsec - begin_time.tv_nsec) / 1e9;
        printf("# %" PRIu64 " power cuts, %.0f a second\n", cuts, (double) cuts / seconds);
}
END_TEST

START_TEST(seeded_bugs_are_caught)
{
        uint64_t cuts = 0, seed;
        char failure[256];

        for (seed = 1; seed <= SEEDS; seed++)
                if (!run(seed, (Bug) _i, failure, &cuts))
                        break;
        ck_assert_msg(seed <= SEEDS, "bug %d was not caught by %u seeds", _i, SEEDS);
        printf("# bug %d caught by seed %" PRIu64 ": %s\n", _i, seed, failure);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("store-crash");
        TCase *tcase = tcase_create("store-crash");

        tcase_add_test(tcase, nothing_acked_is_lost);
        tcase_add_loop_test(tcase, seeded_bugs_are_caught, BUG_NONE + 1, _BUG_MAX);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
