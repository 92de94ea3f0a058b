/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See store-world.h. What must hold after anything that may happen to a disk or a process:
 *
 * 1. A stream's position is at least what was acked and at most what was sent, at the end of a batch, with
 *    its checksum.
 * 2. What a source shows is every line of every stream up to its position, once, in order, whole; own seqs
 *    that were shown before still mean the same records.
 * 3. Nothing half stays in the open segment's text; the chain of entries holds over all segments.
 * 4. Only what a collector acked was deleted. Opening twice gives the same.
 * 5. Who verifies the store finds nothing; and a checkpoint that somebody keeps is of its chain.
 */

#include "store-world.h"
#include "store-verify.h"

#include <inttypes.h>
#include <stdarg.h>

#define BATCH_LINES_MAX 4U
/* Far more than any world comes to. */
#define WORLD_SEQ_MAX 4096U
#define LINE_SIZE_MAX 80U

__attribute__((format(printf, 2, 3))) static bool wrong(World *world, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        vsnprintf(world->failure, sizeof world->failure, format, ap);
        va_end(ap);
        return false;
}

uint64_t world_below(World *world, uint64_t n)
{
        return fixture_draw(&world->random) % n;
}

static uint64_t mix(unsigned stream, uint64_t seq)
{
        uint64_t state = stream * UINT64_C(1000003) + seq;

        return fixture_draw(&state);
}

/* What a stream's senders have, which is the same in every world: made once, as far as it is asked for.
 * Senders keep boundaries whatever happens: the batch that begins at a seq is always the same. */
typedef struct Line {
        const char *text;
        size_t size;
        uint64_t batch; /* the first seq of its batch */
} Line;

typedef struct Sender {
        Line lines[WORLD_SEQ_MAX + 1];
        Batch batches[WORLD_SEQ_MAX + 1]; /* by their first seqs */
        char text[WORLD_SEQ_MAX * LINE_SIZE_MAX];
        size_t size;
        uint64_t made; /* up to this seq */
} Sender;

static Sender senders[WORLD_STREAMS];

static void make_next_batch(Sender *sender, unsigned stream)
{
        uint64_t first = sender->made + 1, last = first + mix(stream, first) % BATCH_LINES_MAX;
        char *text = sender->text + sender->size;
        Batch *batch;

        assert(last <= WORLD_SEQ_MAX);
        batch = &sender->batches[first];
        *batch = fixture_batch(stream, first, last, text);
        sender->size += batch->size;
        for (uint64_t seq = first; seq <= last; seq++) {
                size_t size = (size_t) (strchr(text, '\n') + 1 - text);

                sender->lines[seq] = (Line) { text, size, first };
                text += size;
        }
        if (mix(stream, first) / 16 % 5 == 0) {
                batch->reason = BATCH_FILTERED;
                batch->count = batch->size = 0;
                batch_seal(batch);
        }
        sender->made = last;
}

static const Line *line_of(unsigned stream, uint64_t seq)
{
        Sender *sender = &senders[stream];

        while (sender->made < seq)
                make_next_batch(sender, stream);
        return &sender->lines[seq];
}

/* Of which `seq` is one. */
static const Batch *batch_of(unsigned stream, uint64_t seq)
{
        return &senders[stream].batches[line_of(stream, seq)->batch];
}

static StoreOptions options(World *world)
{
        Disk *disk = sim_disk_attach(world->sim);
        StoreOptions o = fixture_options(world->front ? world->front(disk, world->front_userdata) : disk);

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
        while (++seq <= last) {
                const Batch *batch = batch_of(stream, seq);

                if (batch->reason != BATCH_FILTERED)
                        return seq;
                seq = batch->last;
        }
        return 0;
}

static bool check_positions(World *world, uint64_t positions[WORLD_STREAMS])
{
        const Batch *batch;
        uint64_t checksum;
        StreamId id;

        for (unsigned s = 0; s < WORLD_STREAMS; s++) {
                id = fixture_stream(s);
                if (store_sink(world->store)
                            ->position(store_sink(world->store), &id, "owner", &positions[s], &checksum) < 0)
                        return wrong(world, "stream %u: no position", s);
                if (positions[s] < world->acked[s] || positions[s] > world->sent[s])
                        return wrong(world, "stream %u at %" PRIu64 ", acked %" PRIu64 ", sent %" PRIu64, s,
                                     positions[s], world->acked[s], world->sent[s]);
                if (positions[s] == 0)
                        continue;
                batch = batch_of(s, positions[s]);
                if (batch->last != positions[s] || batch->checksum != checksum)
                        return wrong(world, "stream %u at %" PRIu64 ": no batch ends there", s,
                                     positions[s]);
        }
        return true;
}

/* Whose line it is, by what it says itself. */
static bool read_line(const char *p, const char *end, unsigned *ret_stream, uint64_t *ret_seq)
{
        static const char head[] = "node=n", middle[] = " type=USER msg=audit(1.000:";
        size_t head_size = sizeof head - 1, middle_size = sizeof middle - 1;
        uint64_t seq = 0;

        if ((size_t) (end - p) <= head_size + 1 + middle_size || memcmp(p, head, head_size) != 0 ||
            memcmp(p + head_size + 1, middle, middle_size) != 0)
                return false;
        *ret_stream = (unsigned) (p[head_size] - '0');
        for (p += head_size + 1 + middle_size; p < end && *p >= '0' && *p <= '9' && seq < WORLD_SEQ_MAX; p++)
                seq = 10 * seq + (uint64_t) (*p - '0');
        *ret_seq = seq;
        return *ret_stream < WORLD_STREAMS && seq > 0 && seq <= WORLD_SEQ_MAX;
}

/* One shown batch: its lines are the next of their stream. */
static bool check_batch(World *world, const Batch *batch, uint64_t shown[WORLD_STREAMS],
                        bool whole[WORLD_STREAMS], const uint64_t positions[WORLD_STREAMS])
{
        const char *p = (const char *) batch->payload, *end = p + batch->size;
        const Line *line;
        uint64_t seq;
        unsigned s;

        for (uint64_t own = batch->first; own <= batch->last; own++) {
                if (!read_line(p, end, &s, &seq) || seq > world->sent[s])
                        return wrong(world, "own seq %" PRIu64 ": no line of ours", own);
                line = line_of(s, seq);
                if ((size_t) (end - p) < line->size || memcmp(p, line->text, line->size) != 0)
                        return wrong(world, "own seq %" PRIu64 ": other bytes", own);
                p += line->size;
                if (whole[s] ? next_line(s, shown[s], positions[s]) != seq : seq > positions[s])
                        return wrong(world, "stream %u: %" PRIu64 " follows %" PRIu64, s, seq, shown[s]);
                whole[s] = true;
                shown[s] = seq;
                if (own <= world->own_durable && (world->own[own].stream != s || world->own[own].seq != seq))
                        return wrong(world, "own seq %" PRIu64 " means another record", own);
                assert(own < WORLD_OWN_MAX);
                world->own[own] = (WorldOwn) { s, seq, batch->first };
        }
        return p == end || wrong(world, "own seq %" PRIu64 ": more than its lines", batch->last);
}

static bool check_shown(World *world, const uint64_t positions[WORLD_STREAMS])
{
        Source *source = store_source(world->store, "collector");
        uint64_t shown[WORLD_STREAMS] = { 0 }, seq;
        bool whole[WORLD_STREAMS];
        SourceRange range;
        Cursor cursor = { { 0 } };
        StoreStatus status;
        Batch batch;
        int r;

        store_status(world->store, &status);
        source->range(source, &range);
        if (status.oldest > world->released + 1)
                return wrong(world, "deleted up to %" PRIu64 ", acked only %" PRIu64, status.oldest - 1,
                             world->released);
        if (range.newest < world->own_durable)
                return wrong(world, "newest %" PRIu64 " was %" PRIu64, range.newest, world->own_durable);
        /* After a deletion a stream's first shown line may be any. */
        for (unsigned s = 0; s < WORLD_STREAMS; s++)
                whole[s] = status.oldest == 1;
        for (seq = range.oldest; (r = source->get(source, seq, &cursor, &batch)) > 0; seq = batch.last + 1) {
                if (batch.reason == BATCH_RECORDS ? !check_batch(world, &batch, shown, whole, positions)
                                                  : batch.reason == BATCH_LOST)
                        return world->failure[0] ? false
                                                 : wrong(world, "%" PRIu64 "..%" PRIu64 " lost", batch.first,
                                                         batch.last);
        }
        if (r < 0 || seq != range.newest + 1)
                return wrong(world, "reading ends at %" PRIu64 ": %s", seq, strerror(-r));
        for (unsigned s = 0; s < WORLD_STREAMS; s++)
                if (whole[s] && next_line(s, shown[s], positions[s]) != 0)
                        return wrong(world, "stream %u shown to %" PRIu64 ", position %" PRIu64, s, shown[s],
                                     positions[s]);
        world->own_durable = range.newest;
        return true;
}

typedef struct Firsts {
        uint64_t first[256];
        size_t n;
} Firsts;

#define SEGMENT_DIGITS 20U

static void segment_file(uint64_t first, const char *suffix, char *ret_name)
{
        for (size_t i = SEGMENT_DIGITS; i-- > 0; first /= 10)
                ret_name[i] = (char) ('0' + first % 10);
        ret_name[SEGMENT_DIGITS] = '.';
        strcpy(ret_name + SEGMENT_DIGITS + 1, suffix);
}

static int collect_first(const char *entry, void *userdata)
{
        Firsts *firsts = userdata;
        uint64_t first = 0;
        size_t i;

        for (i = 0; entry[i] >= '0' && entry[i] <= '9'; i++)
                first = 10 * first + (uint64_t) (entry[i] - '0');
        if (i != SEGMENT_DIGITS || strcmp(entry + i, ".idx") != 0)
                return 0;
        assert(firsts->n + 1 < ELEMENTSOF(firsts->first));
        for (i = firsts->n++; i > 0 && firsts->first[i - 1] > first; i--)
                firsts->first[i] = firsts->first[i - 1];
        firsts->first[i] = first;
        return 0;
}

/* An entry of an index, looked at. What is found depends on its bytes, its number and the chain before it
 * alone, and most are looked at again and again: the last ones are kept, and are the same as long as those
 * three are, byte for byte. */
typedef struct Seen {
        uint8_t bytes[INDEX_ENTRY_SIZE], before[SHA256_SIZE], after[SHA256_SIZE];
        uint32_t number;
        bool decodes, fits;
        uint64_t last, text_end; /* of a batch with lines; else 0 */
} Seen;

#define SEEN_MAX 1024U

static void look_at(Seen *seen)
{
        uint8_t again[INDEX_ENTRY_SIZE];
        IndexEntry entry;

        seen->last = seen->text_end = 0;
        seen->fits = false;
        seen->decodes = index_decode(seen->bytes, seen->number, &entry) == 0;
        if (!seen->decodes)
                return;
        if (seen->number == 0)
                memcpy(seen->before, entry.segment.head, SHA256_SIZE);
        memcpy(seen->after, seen->before, SHA256_SIZE);
        index_encode(&entry, fixture_hash, seen->after, again);
        seen->fits = memcmp(again, seen->bytes, INDEX_ENTRY_SIZE) == 0;
        if (entry.kind == INDEX_BATCH && entry.batch.stored.count > 0) {
                seen->last = entry.batch.stored.last;
                seen->text_end = entry.batch.offset + entry.batch.stored.size;
        }
}

/* `before`: NULL if it does not matter, as at the first entry. */
static const Seen *entry_at(uint64_t first, uint32_t number, const uint8_t *bytes, const uint8_t *before)
{
        static Seen all[SEEN_MAX];
        Seen *seen = &all[(first * 31 + number) % SEEN_MAX];

        if (seen->decodes && seen->number == number && memcmp(seen->bytes, bytes, INDEX_ENTRY_SIZE) == 0 &&
            (!before || memcmp(seen->before, before, SHA256_SIZE) == 0))
                return seen;
        memcpy(seen->bytes, bytes, INDEX_ENTRY_SIZE);
        if (before)
                memcpy(seen->before, before, SHA256_SIZE);
        seen->number = number;
        look_at(seen);
        return seen;
}

/* The chain over one segment, from `chain` until `end` (NULL: to the end of the file). */
static bool check_segment_chain(World *world, uint64_t first, uint8_t chain[SHA256_SIZE], const uint8_t *end)
{
        const uint8_t *bytes;
        const Seen *seen;
        uint64_t size;
        char name[64];

        segment_file(first, "idx", name);
        bytes = sim_disk_bytes(world->sim, name, &size);
        for (uint32_t i = 0; i < size / INDEX_ENTRY_SIZE; i++) {
                if (i > 0 && end && memcmp(chain, end, SHA256_SIZE) == 0)
                        return true;
                seen = entry_at(first, i, bytes + (size_t) i * INDEX_ENTRY_SIZE, i > 0 ? chain : NULL);
                if (!seen->decodes)
                        return wrong(world, "%s: entry %u does not verify", name, i);
                if (!seen->fits)
                        return wrong(world, "%s: the chain breaks at entry %u", name, i);
                memcpy(chain, seen->after, SHA256_SIZE);
        }
        return !end || memcmp(chain, end, SHA256_SIZE) == 0 ||
               wrong(world, "%s: the next segment has another head", name);
}

/* Nothing but whole batches is in the text of a segment that ends before own seq `end`. */
static bool check_text(World *world, uint64_t first, uint64_t end)
{
        uint64_t size, expected = 0;
        const uint8_t *bytes;
        const Seen *seen;
        char name[64];

        segment_file(first, "idx", name);
        bytes = sim_disk_bytes(world->sim, name, &size);
        for (uint32_t i = 0; i < size / INDEX_ENTRY_SIZE; i++) {
                seen = entry_at(first, i, bytes + (size_t) i * INDEX_ENTRY_SIZE, NULL);
                if (seen->decodes && seen->last < end)
                        expected = MAX(expected, seen->text_end);
        }
        segment_file(first, "log.zst", name);
        bytes = sim_disk_bytes(world->sim, name, &size);
        segment_file(first, "log", name);
        /* Packed: what is in it is read by the source. */
        if (bytes && !sim_disk_bytes(world->sim, name, &size))
                return true;
        if (!sim_disk_bytes(world->sim, name, &size) || size != expected)
                return wrong(world, "%s has %" PRIu64 " bytes, its batches %" PRIu64, name, size, expected);
        return true;
}

static bool check_files(World *world)
{
        Disk *disk = sim_disk_attach(world->sim);
        uint8_t chain[SHA256_SIZE], *head;
        Firsts firsts = { .n = 0 };
        IndexEntry entry;
        const uint8_t *bytes;
        uint64_t size;
        char name[64];
        int r;

        r = disk->list(disk, ".", collect_first, &firsts);
        (void) disk_free(disk);
        assert(r == 0);
        firsts.first[firsts.n] = UINT64_MAX;
        for (size_t i = 0; i < firsts.n; i++) {
                head = NULL;
                if (i + 1 < firsts.n) {
                        segment_file(firsts.first[i + 1], "idx", name);
                        bytes = sim_disk_bytes(world->sim, name, &size);
                        if (size < INDEX_ENTRY_SIZE || index_decode(bytes, 0, &entry) < 0)
                                return wrong(world, "%s has no header", name);
                        head = entry.segment.head;
                }
                if (!check_segment_chain(world, firsts.first[i], chain, head))
                        return false;
                /* A text that a faulty disk refused to cut is hidden by the next segment, from our readers
                 * at least. */
                if ((i + 1 == firsts.n || world->cuts_lasting) &&
                    !check_text(world, firsts.first[i], firsts.first[i + 1]))
                        return false;
        }
        return true;
}

/* --- Life --- */

World *world_new(uint64_t seed)
{
        World *world = calloc(1, sizeof *world);

        assert(world);
        world->random = fixture_random_state = seed;
        world->sim = sim_disk_new(seed);
        sim_disk_set_capacity(world->sim, UINT64_MAX);
        return world;
}

World *world_free(World *world)
{
        world_die(world);
        (void) sim_disk_free(world->sim);
        free(world);
        return NULL;
}

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

void world_die(World *world)
{
        world->store = store_free(world->store);
        world->in_flight = world->failed = false;
}

int world_open(World *world)
{
        StoreReport report;
        int r = open_store(world, &report);

        if (r == 0)
                store_report_done(&report);
        return r;
}

/* Opens, perhaps cut several times on the way, and checks everything twice. */
static bool check_whole(World *world)
{
        const IndexEntry *kept = world->checkpoint.kind == INDEX_CHECKPOINT ? &world->checkpoint : NULL;
        Disk *disk = sim_disk_attach(world->sim);
        static Found found;
        VerifyResult result;
        StoreHead head;
        int r = fixture_verify_kept(disk, kept, &found, &result);

        (void) disk_free(disk);
        if (r < 0 && r != -ENODATA)
                return wrong(world, "verifying: %s", strerror(-r));
        for (size_t i = 0; i < found.n; i++) {
                const VerifyFinding *finding = &found.findings[i];

                if (verify_is_damage(finding->kind) && (world->cuts_lasting || finding->kind != VERIFY_SURPLUS))
                        return wrong(world, "damage of kind %d: segment %" PRIu64 ", %s at %" PRIu64 ", %" PRIu64 "..%" PRIu64,
                                     (int) finding->kind, finding->segment, finding->text ? "text" : "index",
                                     finding->offset, finding->first, finding->last);
        }
        if (!kept)
                return true;
        if (!found.seen && kept->checkpoint.seq >= result.oldest)
                return wrong(world, "checkpoint %" PRIu64 " of seq %" PRIu64 " is of another chain",
                             kept->checkpoint.serial, kept->checkpoint.seq);
        if (!store_head(world->store, &head) || head.last.checkpoint.serial < kept->checkpoint.serial)
                return wrong(world, "checkpoint %" PRIu64 " is forgotten", kept->checkpoint.serial);
        return true;
}

bool world_come_back(World *world, bool cuts)
{
        uint64_t positions[WORLD_STREAMS], again[WORLD_STREAMS];
        StoreReport report;
        int r;

        for (unsigned i = 0; world_below(world, 3) == 0 && i < 4; i++) {
                sim_disk_cut_at(world->sim, 1 + world_below(world, 12));
                r = world_open(world);
                world_die(world);
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
                if (!check_positions(world, i == 0 ? positions : again) || !check_shown(world, positions) ||
                    !check_files(world) || !check_whole(world))
                        return false;
                if (i == 0)
                        world_die(world);
        }
        if (memcmp(positions, again, sizeof positions) != 0)
                return wrong(world, "opening again gives other positions");
        for (unsigned s = 0; s < WORLD_STREAMS; s++)
                world->acked[s] = world->flight[s] = world->written[s] = positions[s];
        return true;
}

static void append(World *world)
{
        unsigned s = (unsigned) world_below(world, WORLD_STREAMS);
        uint64_t first = world->written[s] + 1;
        Sink *sink = store_sink(world->store);
        StreamId id = fixture_stream(s);
        const Batch *batch = batch_of(s, first);
        int r;

        assert(batch->first == first);
        world->sent[s] = MAX(world->sent[s], batch->last);
        r = sink->append(sink, &id, "owner", batch, batch, ++world->now);

        if (r == 0)
                world->written[s] = batch->last;
        else if (r != -ENOSPC && r != -EAGAIN)
                world->failed = true;
}

static void step_back(World *world)
{
        world->failed = false;
        for (unsigned s = 0; s < WORLD_STREAMS; s++)
                world->written[s] = world->flight[s] = world->acked[s];
}

static void remember_checkpoint(World *world)
{
        StoreHead head;

        if (store_head(world->store, &head))
                world->checkpoint = head.last;
}

static void begin(World *world)
{
        int r;

        /* Now and then, without asking for chance. */
        if (world->now % 3 == 0)
                (void) fixture_checkpoint(world->store, world->now);
        r = store_commit_begin(world->store, ++world->now, &world->job);

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
        Cursor cursor = { { 0 } };
        SourceRange range;
        Batch batch;

        source->range(source, &range);
        for (uint64_t own = MAX(world->own_durable + 1, range.oldest); own <= range.newest;
             own = batch.last + 1) {
                const char *p, *end;

                if (source->get(source, own, &cursor, &batch) <= 0 || batch.reason != BATCH_RECORDS)
                        return;
                p = (const char *) batch.payload;
                end = p + batch.size;
                for (WorldOwn *meant = &world->own[own]; own <= batch.last && p < end; own++, meant++) {
                        meant->batch = batch.first;
                        if (read_line(p, end, &meant->stream, &meant->seq))
                                p += line_of(meant->stream, meant->seq)->size;
                        else
                                p = end;
                }
                world->own_durable = batch.last;
        }
}

/* The oldest segment that is not, if there is one; now and then, without asking for chance. */
static void pack(World *world)
{
        StorePack job;

        if (world->now % 7 == 0 && store_pack_begin(world->store, &job))
                (void) store_pack_end(world->store, &job, store_pack_run(&job));
}

static void end(World *world)
{
        int r;

        if (world->spoil)
                world->spoil(&world->job, world->front_userdata);
        r = store_job_run(&world->job);
        /* More may be written while the job runs. */
        if (world_below(world, 2))
                append(world);
        r = store_commit_end(world->store, r, ++world->now);
        world->in_flight = false;
        if (r == 0) {
                memcpy(world->acked, world->flight, sizeof world->acked);
                remember_own(world);
                remember_checkpoint(world);
                pack(world);
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
        seq = range.oldest + world_below(world, range.newest - range.oldest + 1);
        if (seq <= world->own_durable)
                seq = MAX(world->own[seq].batch, range.oldest);
        while (seq >= range.oldest && source->get(source, seq, NULL, &batch) == -ESTALE)
                seq--;
        if (seq < range.oldest || batch.reason != BATCH_RECORDS)
                return;
        world->released = MAX(world->released, batch.last);
        source->release(source, batch.last, batch.checksum);
}

/* The disk is as good as full for a while, or not any more. */
static void change_capacity(World *world)
{
        Disk *disk = sim_disk_attach(world->sim);
        DiskSpace space = { 0 };

        if (disk->space(disk, &space) == 0 && space.bytes_total == UINT64_MAX)
                sim_disk_set_capacity(world->sim,
                                      space.bytes_total - space.bytes_free + world_below(world, 96 * 1024));
        else
                sim_disk_set_capacity(world->sim, UINT64_MAX);
        (void) disk_free(disk);
}

void world_operate(World *world)
{
        uint64_t dice = world_below(world, 100);

        if (world->in_flight && dice < 35)
                end(world);
        else if (!world->in_flight && world->failed && !sim_disk_is_cut(world->sim)) {
                store_step_back(world->store);
                step_back(world);
        }
        else if (!world->in_flight && dice < 30)
                begin(world);
        else if (dice < 90)
                append(world);
        else if (dice < 91)
                change_capacity(world);
        else if (dice < 92)
                assert(store_restart_stream(world->store, world->now) == 0);
        else if (dice < 94)
                store_rotate(world->store);
        else if (dice < 97)
                release(world);
        else if (dice < 98)
                sim_disk_fail_sync_at(world->sim, 1 + world_below(world, 4));
        else if (store_finish(world->store, true, world->now) < 0)
                step_back(world);
}
