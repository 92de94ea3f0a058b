/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Group commit in the loop, and what becomes of a disk that is full or fails.
 *
 *      intake dirty ─▶ commit ─▶ store_commit_begin ─▶ worker: sync ─▶ store_commit_end ─▶ acks, sources
 *                        ▲                                                     │
 *                        └───────── dirty again: all that came meanwhile ──────┘
 *
 *  1. Store and intake begin and end their groups together.
 *  2. A step back never happens while a job is in flight: what was submitted is judged by its own job, what
 *     came after is forgotten.
 *  3. No room is an ordinary state: nothing is forgotten, everything is tried again each second.
 *  4. The link `boot` names the boot in which the store was last used. It moves on only when the gap record
 *     about the machine's death is durable: better told twice than not.
 *  5. The mark of a clean end says that nobody who delivers holds anything more. So it is taken back before
 *     anybody is served, and not written while somebody may (store-loop-owed.h).
 */

#include "runtime/store-loop-private.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/notify.h"

#include <inttypes.h>
#include <sys/random.h>
#include <sys/stat.h>

#define RETRY_USEC USEC_PER_SEC
#define BOOT_LINK "boot"

/* --- Trouble --- */

/* What was appended is submitted now. */
static void groups_begin(StoreLoop *loop)
{
        (void) intake_commit_begin(loop->intake);
        store_gaps_commit_begin(&loop->gaps);
        if (loop->options.handler->submitted)
                loop->options.handler->submitted(loop, loop->options.userdata);
}

/* What was submitted is durable; or nothing is that was not before. */
static void groups_end(StoreLoop *loop, int error)
{
        store_gaps_commit_end(&loop->gaps, error);
        intake_commit_end(loop->intake, error);
        if (loop->options.handler->settled)
                loop->options.handler->settled(loop, error, loop->options.userdata);
}

/* An append or commit_begin failed, and no job is in flight. */
static void step_back(StoreLoop *loop, int error)
{
        loop->failed = 0;
        store_step_back(loop->store);
        groups_end(loop, error);
        store_loop_checkpoint_end(loop, error);
}

/* --- Commit --- */

static void request_commit(StoreLoop *loop)
{
        store_workers_commit(loop->workers, &loop->commit);
}

static void end_now(StoreLoop *loop, const char *why)
{
        if (why)
                log_warning("The store was left without its clean-end mark: %s", why);
        loop->ending = ENDING_DONE;
        loop->done(loop->done_userdata);
}

/* Nothing is in flight and, while the disk lets us, nothing is left to commit. Returns whether a commit is
 * to follow. */
static bool advance_ending(StoreLoop *loop)
{
        bool clean = store_owed_nothing(&loop->owed);
        int r;

        if (loop->ending == ENDING_MARK) {
                end_now(loop, NULL);
                return false;
        }
        intake_end_all(loop->intake, LINK_BYE_ENDING, 0, "the receiver is stopping");
        /* Behind the mark nobody would tell these any more. */
        if (!store_gaps_told(&loop->gaps)) {
                r = store_gaps_write(&loop->gaps, loop->store, realtime_usec());
                if (r < 0)
                        end_now(loop, strerror(-r));
                return r >= 0;
        }
        if (!clean)
                log_info("This is no clean end of the store: who delivers here may hold more");
        r = store_finish(loop->store, clean, realtime_usec());
        if (r < 0) {
                end_now(loop, strerror(-r));
                return false;
        }
        loop->ending = ENDING_MARK;
        return true;
}

/* The machine's death is told: from now on the store belongs to this boot. */
static void note_boot(StoreLoop *loop)
{
        if (loop->boot_known || !loop->options.boot_id)
                return;
        if (loop->disk->link(loop->disk, loop->options.boot_id, BOOT_LINK) >= 0)
                loop->boot_known = true;
}

/* Who ends is freed when its last commit is, and makes them then. */
static void make_links(StoreLoop *loop)
{
        if (loop->ending == ENDING_NOT)
                store_workers_links(loop->workers, loop->store, &loop->links_rest_until);
}

static void after_commit(StoreLoop *loop)
{
        loop->commits++;
        histogram_add(&loop->commit_time, monotonic_usec() - loop->commit_usec);
        if (store_gaps_told(&loop->gaps))
                note_boot(loop);
        store_loop_calm(loop, true);
        make_links(loop);
        if (loop->options.handler->durable)
                loop->options.handler->durable(loop, loop->options.userdata);
}

static void on_commit_end(StoreCommit *commit, int result)
{
        StoreLoop *loop = container_of(commit, StoreLoop, commit);
        int r;

        r = store_commit_end(loop->store, result, realtime_usec());
        if (r < 0)
                store_loop_note_failure(loop, r);
        groups_end(loop, r);
        store_loop_checkpoint_end(loop, r);
        if (r >= 0)
                after_commit(loop);
        else
                loop->failed = 0; /* all have stepped back already */
        if (loop->failed < 0)
                step_back(loop, loop->failed);
        if (loop->ending == ENDING_MARK || (loop->ending != ENDING_NOT && r < 0))
                end_now(loop, r < 0 ? strerror(-r) : NULL);
        else if (store_dirty(loop->store) || loop->ending != ENDING_NOT)
                request_commit(loop);
}

static void commit_failed(StoreLoop *loop, int error)
{
        if (store_loop_no_room(error)) {
                store_loop_note_no_room(loop, error);
        } else {
                store_loop_note_failure(loop, error);
                step_back(loop, error);
        }
        if (loop->ending != ENDING_NOT)
                end_now(loop, strerror(-error));
}

/* Returns 1 when a job is to be run; 0 when all is durable: nothing was there to be submitted; or a negative errno. */
static int commit_once(StoreLoop *loop)
{
        int r = store_commit_begin(loop->store, realtime_usec(), &loop->commit.job);

        if (r < 0) {
                commit_failed(loop, r);
                return r;
        }
        groups_begin(loop);
        if (r == 0)
                groups_end(loop, 0);
        return r;
}

static bool on_commit_begin(StoreCommit *commit)
{
        StoreLoop *loop = container_of(commit, StoreLoop, commit);
        int r;

        if (loop->ending == ENDING_DONE)
                return false;
        if (loop->failed < 0)
                step_back(loop, loop->failed);
        do
                r = commit_once(loop);
        while (r == 0 && loop->ending != ENDING_NOT && advance_ending(loop));
        loop->commit_usec = monotonic_usec();
        return r > 0;
}

/* --- The intake's handler --- */

static void on_dirty(Intake *intake)
{
        request_commit(intake_userdata(intake));
}

static void on_blocked(Intake *intake, int error)
{
        StoreLoop *loop = intake_userdata(intake);

        if (store_loop_no_room(error)) {
                store_loop_note_no_room(loop, error);
                loop->blocked = true;
                return;
        }
        store_loop_note_failure(loop, error);
        loop->failed = error;
        request_commit(loop);
}

static LinkByeCode on_judge(IntakeSession *session, const LinkHello *hello, const char **ret_why)
{
        StoreLoop *loop = intake_userdata(session->intake);
        LinkByeCode code = loop->options.intake->judge ? loop->options.intake->judge(session, hello, ret_why) : 0;

        if (code == 0 && loop->options.boot_id)
                store_owed_note(&loop->owed, &hello->stream);
        return code;
}

static void on_bye(IntakeSession *session, const LinkBye *bye)
{
        StoreLoop *loop = intake_userdata(session->intake);

        if (session->welcomed)
                store_owed_bye(&loop->owed, &session->receiver, bye);
        if (bye->code == LINK_BYE_DONE && session->stream &&
            store_stream_end(loop->store, &session->receiver.stream, realtime_usec()) >= 0)
                request_commit(loop);
        if (loop->options.intake->bye)
                loop->options.intake->bye(session, bye);
}

/* --- Once a second --- */

static void retry(StoreLoop *loop)
{
        uint64_t now = monotonic_usec();

        if (store_loop_full(loop) && now - loop->reminded_usec >= LINK_REPEAT_USEC) {
                loop->reminded_usec = now;
                intake_remind(loop->intake);
        }
        if (loop->blocked) {
                loop->blocked = false;
                intake_retry(loop->intake);
        }
}

/* Returns whether one was written. */
static bool write_gaps(StoreLoop *loop)
{
        int r = store_gaps_write(&loop->gaps, loop->store, realtime_usec());

        if (r < 0 && r != -EAGAIN)
                on_blocked(loop->intake, r);
        return r > 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        StoreLoop *loop = userdata;
        /* Who waits for room may get it by a deletion. */
        bool due = loop->blocked || store_due(loop->store, realtime_usec());

        store_loop_check_space(loop);
        store_loop_check_store(loop);
        make_links(loop);
        if (loop->ending == ENDING_NOT)
                store_workers_pack(loop->workers, loop->store);
        if (loop->ending == ENDING_NOT) {
                bool written = write_gaps(loop);

                written = store_loop_checkpoint(loop) || written;
                retry(loop);
                if (store_loop_needs_proof(loop))
                        store_probe(loop->store);
                if (written || due || store_dirty(loop->store))
                        request_commit(loop);
                else if (!loop->commit.in_flight)
                        store_loop_calm(loop, false);
        }
        (void) sd_event_source_set_time(source, monotonic_usec() + RETRY_USEC);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

/* --- What the owner calls --- */

Store *store_loop_store(StoreLoop *loop)
{
        return loop->store;
}

Intake *store_loop_intake(StoreLoop *loop)
{
        return loop->intake;
}

void *store_loop_userdata(const StoreLoop *loop)
{
        return loop->options.userdata;
}

bool store_loop_holds(const StoreLoop *loop, StoreCondition condition)
{
        return loop->held[condition];
}

int store_loop_append(StoreLoop *loop, const StreamId *stream, const char *owner, Batch *batch)
{
        Sink *sink = store_sink(loop->store);
        uint64_t last, checksum;
        int r;

        if (loop->blocked)
                return -ENOSPC;
        if (loop->failed < 0)
                return loop->failed;
        if (loop->ending != ENDING_NOT)
                return -EAGAIN;
        r = sink->position(sink, stream, owner, &last, &checksum);
        if (r < 0)
                return r;
        batch->first = last + 1;
        batch->last = last + batch->count;
        batch_seal(batch);
        r = sink->append(sink, stream, owner, batch, batch, realtime_usec());
        if (r < 0 && r != -EAGAIN)
                on_blocked(loop->intake, r);
        else
                request_commit(loop);
        return r;
}

void store_loop_owe(StoreLoop *loop)
{
        if (loop->options.boot_id)
                store_owed_connected(&loop->owed);
}

void store_loop_wake(StoreLoop *loop)
{
        request_commit(loop);
}

void store_loop_rotate(StoreLoop *loop)
{
        store_rotate(loop->store);
        request_commit(loop);
}

void store_loop_finish(StoreLoop *loop, void (*done)(void *userdata), void *userdata)
{
        if (loop->ending != ENDING_NOT)
                return;
        loop->done = done;
        loop->done_userdata = userdata;
        loop->ending = ENDING_REST;
        intake_stop(loop->intake);
        request_commit(loop);
}

/* --- Life --- */

static void fill_random(void *bytes, size_t size)
{
        uint8_t *p = bytes;

        /* Up to 256 bytes are never cut short once the pool is filled, which it is long before us. */
        while (size > 0) {
                ssize_t n = getrandom(p, MIN(size, (size_t) 256), 0);

                if (n < 0 && errno == EINTR)
                        continue;
                assert(n > 0);
                p += n;
                size -= (size_t) n;
        }
}

/* Compares the kept boot with this one. Without a kept one, which no sync makes lasting, it is another: better told for nothing than
 * not. */
static void judge_boot(StoreLoop *loop)
{
        const StoreReport *report = &loop->gaps.report;
        char kept[64];
        int r;

        if (!loop->options.boot_id)
                return;
        r = loop->disk->read_link(loop->disk, BOOT_LINK, kept, sizeof kept);
        loop->boot_known = r >= 0 && strcmp(kept, loop->options.boot_id) == 0;
        loop->gaps.machine_death = !loop->boot_known && !report->created && !report->clean_end;
        store_owed_init(&loop->owed);
        if (!loop->gaps.machine_death)
                note_boot(loop);
        r = store_begin(loop->store, realtime_usec());
        if (r < 0)
                log_warning("The mark of the store's clean end cannot be taken back yet: %s", strerror(-r));
}

static void tell_report(StoreLoop *loop)
{
        const StoreReport *report = &loop->gaps.report;

        if (report->created)
                log_info("The store in %s is new", loop->options.directory);
        else if (!report->clean_end)
                log_notice("The store in %s has no clean end; %" PRIu64
                           " bytes that nobody had been promised were cut",
                           loop->options.directory, report->cut_bytes);
        if (report->n_damages > 0)
                store_loop_raise_condition(loop, STORE_DAMAGED,
                                           "Stored records were found damaged at the start");
}

int store_loop_open(const StoreLoopOptions *options, StoreOpening *ret)
{
        _cleanup_(disk_freep) Disk *disk = NULL;
        StoreOptions store = options->store;
        int r;

        *ret = (StoreOpening) { 0 };
        if (mkdir(options->directory, 0750) < 0 && errno != EEXIST)
                return -errno;
        r = disk_open(options->directory, &disk);
        if (r < 0)
                return r;
        store.disk = disk;
        store.random = fill_random;
        store.span = record_span;
        store.group_bytes_max = STORE_LOOP_GROUP_MAX;
        r = store_open(&store, realtime_usec(), &ret->store, &ret->report);
        if (r < 0)
                return r;
        ret->disk = TAKE_PTR(disk);
        return 0;
}

void store_loop_log_open(const char *directory, int error)
{
        if (error == -EBUSY)
                log_error("The store in %s is in use by another process: stop that one first", directory);
        else if (error == -EPROTONOSUPPORT)
                log_error("The store in %s was written by a newer version: install that one again", directory);
        else
                log_error("Cannot open the store in %s: %s", directory, strerror(-error));
}

void store_opening_done(StoreOpening *opening)
{
        store_free(opening->store);
        store_report_done(&opening->report);
        *opening = (StoreOpening) { 0 };
}

static int make_intake(StoreLoop *loop)
{
        IntakeOptions options = {
                .sink = store_sink(loop->store),
                .handler = &loop->handler,
                .name = loop->options.name,
                .window = loop->options.window,
                .realtime_usec = realtime_usec,
                .userdata = loop,
        };

        loop->handler = *loop->options.intake;
        loop->handler.dirty = on_dirty;
        loop->handler.blocked = on_blocked;
        loop->handler.judge = on_judge;
        loop->handler.bye = on_bye;
        return intake_new(&options, &loop->intake);
}

static int make_sources(StoreLoop *loop, sd_event *event)
{
        int r;

        loop->commit = (StoreCommit) { .begin = on_commit_begin, .end = on_commit_end };
        loop->workers = loop->options.workers;
        if (!loop->workers) {
                r = store_workers_new(event, loop->options.pack, loop->options.store.links, &loop->own_workers);
                if (r < 0)
                        return r;
                loop->workers = loop->own_workers;
        }
        /* What the start has left to be written. */
        request_commit(loop);
        /* At once, to look at the room on the disk. */
        r = sd_event_add_time(event, &loop->retry, CLOCK_MONOTONIC, 0, RETRY_USEC / 4, on_retry, loop);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(loop->retry, "store-retry");
        return sd_event_source_set_priority(loop->retry, LOOP_STATUS);
}

int store_loop_adopt(sd_event *event, const StoreLoopOptions *options, StoreOpening *opening, StoreLoop **ret)
{
        _cleanup_(store_loop_freep) StoreLoop *loop = calloc(1, sizeof *loop);
        int r;

        if (!loop) {
                store_opening_done(opening);
                return -ENOMEM;
        }
        loop->options = *options;
        loop->disk = opening->disk;
        loop->store = opening->store;
        loop->gaps = (StoreGaps) { .node = options->node, .report = opening->report };
        *opening = (StoreOpening) { 0 };
        judge_boot(loop);
        r = make_intake(loop);
        if (r >= 0)
                r = make_sources(loop, event);
        if (r < 0) {
                log_error("Cannot set up the store: %s", strerror(-r));
                return r;
        }
        tell_report(loop);
        /* Before anybody can deliver: they stand between what was there and what comes. */
        if (write_gaps(loop))
                request_commit(loop);
        *ret = TAKE_PTR(loop);
        return 0;
}

int store_loop_new(sd_event *event, const StoreLoopOptions *options, StoreLoop **ret)
{
        StoreLoopOptions starting = *options;
        StoreOpening opening;
        int r;

        starting.store.progress = notify_starting;
        r = store_loop_open(&starting, &opening);
        if (r < 0) {
                store_loop_log_open(options->directory, r);
                return r;
        }
        return store_loop_adopt(event, options, &opening, ret);
}

bool store_loop_idle(const StoreLoop *loop)
{
        return intake_idle(loop->intake) && !store_dirty(loop->store) && loop->failed == 0 &&
               !store_workers_busy(loop->workers, &loop->commit, loop->store);
}

StoreLoop *store_loop_free(StoreLoop *loop)
{
        if (!loop)
                return NULL;
        store_loop_release_conditions(loop);
        store_workers_free(loop->own_workers);
        if (!loop->own_workers && loop->workers)
                store_workers_leave(loop->workers, &loop->commit);
        /* Of what came just before the end. */
        (void) store_links_now(loop->store);
        if (loop->retry)
                sd_event_source_disable_unref(loop->retry);
        intake_free(loop->intake);
        store_free(loop->store);
        store_gaps_done(&loop->gaps);
        free(loop);
        return NULL;
}
