/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Look-ups go through one thread, one after the other, as the system's functions block and know no time-out.
 *
 *  1. Waiting begins when the first name is wanted and ends when none is wanted any more, or timeout_usec later.
 *     In the latter case nobody waits for anything until REST_USEC have passed: a dead directory service costs one
 *     wait in that time, not one for each name.
 *  2. What is wanted stays wanted: the answer comes into the cache whenever it comes.
 *  3. A name that is old is used while it is looked up again; only one that was never known is waited for.
 *  4. An answer to a question that names_flush() overtook is thrown away.
 */

#include "remote/names.h"
#include "runtime/loop.h"
#include "runtime/worker.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/queue.h>

/* Names remembered; an entry has some 330 bytes. */
#define NAMES_MAX 2048U
#define BUCKETS 512U
/* Of these at most so many wait for the thread: the rest is not known, this time. */
#define WANTED_MAX 1024U
/* How long an answer counts. Account changes that are audited are noticed at once. */
#define FRESH_USEC (10 * 60 * USEC_PER_SEC)
#define REST_USEC (10 * USEC_PER_SEC)
/* getpwuid_r() and getgrgid_r() say ERANGE above that: a group of ten thousand members has a name, too. */
#define ANSWER_MIN (16U * 1024U)
#define ANSWER_MAX (16U * 1024U * 1024U)

typedef struct Name {
        NameKind kind;
        uint32_t id;
        bool answered, found, wanted;
        uint64_t usec; /* of the answer */
        char name[NAME_SIZE_MAX];
        LIST_ENTRY(Name) bucket;
        TAILQ_ENTRY(Name) used;   /* by when it was asked for: the longest unused first */
        TAILQ_ENTRY(Name) queue; /* of the wanted */
} Name;

struct Names {
        NamesOptions options;
        Worker *worker;
        sd_event_source *timer;
        LIST_HEAD(, Name) buckets[BUCKETS];
        TAILQ_HEAD(NameQueue, Name) used, wanted;
        size_t n, n_wanted;
        bool waited_for;     /* somebody was told to wait */
        bool overtaken;      /* the timer says so: names_flush() may be called by who is told */
        bool forgotten;      /* the running look-up's question is of before a flush */
        uint64_t rest_until; /* nobody waits */
        NamesCounters counters;

        /* The running look-up's; the thread has it. */
        NameKind kind;
        uint32_t id;
        char name[NAME_SIZE_MAX];
};

/* --- On the thread --- */

static int ask(NameKind kind, uint32_t id, char *memory, size_t size, const char **ret)
{
        struct passwd user, *found_user = NULL;
        struct group group, *found_group = NULL;
        int r;

        if (kind == NAME_USER) {
                r = getpwuid_r(id, &user, memory, size, &found_user);
                *ret = found_user ? user.pw_name : NULL;
        } else {
                r = getgrgid_r(id, &group, memory, size, &found_group);
                *ret = found_group ? group.gr_name : NULL;
        }
        return r;
}

static int look_up_in_system(NameKind kind, uint32_t id, char *ret, size_t size)
{
        for (size_t n = ANSWER_MIN; n <= ANSWER_MAX; n *= 4) {
                _cleanup_(freep) char *memory = malloc(n);
                const char *name;
                int r;

                if (!memory)
                        return 0;
                r = ask(kind, id, memory, n, &name);
                if (r == ERANGE)
                        continue;
                return name && (size_t) snprintf(ret, size, "%s", name) < size;
        }
        return 0;
}

static int run(void *userdata)
{
        Names *names = userdata;

        return names->options.look_up(names->kind, names->id, names->name, sizeof names->name);
}

/* --- The cache --- */

static size_t bucket_of(NameKind kind, uint32_t id)
{
        return (id * UINT32_C(2654435761) >> 16 ^ (uint32_t) kind) % BUCKETS;
}

static Name *find(const Names *names, NameKind kind, uint32_t id)
{
        Name *name;

        LIST_FOREACH(name, &names->buckets[bucket_of(kind, id)], bucket)
                if (name->kind == kind && name->id == id)
                        return name;
        return NULL;
}

static void forget(Names *names, Name *name)
{
        if (name->wanted) {
                TAILQ_REMOVE(&names->wanted, name, queue);
                names->n_wanted--;
        }
        TAILQ_REMOVE(&names->used, name, used);
        LIST_REMOVE(name, bucket);
        names->n--;
        free(name);
}

/* In place of the one that was not asked for for the longest time; never of one that is wanted, of which there are
 * fewer. NULL: no memory. */
static Name *add(Names *names, NameKind kind, uint32_t id)
{
        Name *name = calloc(1, sizeof *name), *oldest;

        if (!name)
                return NULL;
        if (names->n >= NAMES_MAX) {
                TAILQ_FOREACH (oldest, &names->used, used)
                        if (!oldest->wanted)
                                break;
                forget(names, oldest);
        }
        name->kind = kind;
        name->id = id;
        LIST_INSERT_HEAD(&names->buckets[bucket_of(kind, id)], name, bucket);
        TAILQ_INSERT_TAIL(&names->used, name, used);
        names->n++;
        return name;
}

/* --- Look-ups --- */

static void start_next(Names *names);

/* Nobody waits any more, for whatever reason. */
static void tell_ready(Names *names)
{
        (void) sd_event_source_set_enabled(names->timer, SD_EVENT_OFF);
        if (!names->waited_for)
                return;
        names->waited_for = false;
        names->options.ready(names->options.userdata);
}

static void on_done(int found, void *userdata)
{
        Names *names = userdata;
        Name *name = names->forgotten ? NULL : find(names, names->kind, names->id);

        names->forgotten = false;
        names->counters.looked_up++;
        if (name && name->wanted) {
                TAILQ_REMOVE(&names->wanted, name, queue);
                names->n_wanted--;
                name->wanted = false;
                name->answered = true;
                name->found = found > 0;
                name->usec = monotonic_usec();
                memcpy(name->name, names->name, sizeof name->name);
        }
        start_next(names);
        if (names->n_wanted == 0)
                tell_ready(names);
}

static void start_next(Names *names)
{
        const Name *name = TAILQ_FIRST(&names->wanted);

        if (!name || worker_busy(names->worker))
                return;
        names->kind = name->kind;
        names->id = name->id;
        worker_start(names->worker, run, on_done, names);
}

static int on_overdue(sd_event_source *source, uint64_t usec, void *userdata)
{
        Names *names = userdata;

        if (!names->overtaken) {
                names->counters.overdue++;
                names->rest_until = monotonic_usec() + REST_USEC;
        }
        names->overtaken = false;
        tell_ready(names);
        return 0;
}

static void want(Names *names, Name *name)
{
        if (name->wanted || names->n_wanted >= WANTED_MAX)
                return;
        name->wanted = true;
        TAILQ_INSERT_TAIL(&names->wanted, name, queue);
        names->n_wanted++;
        start_next(names);
}

/* Whether there is a bound to how long: without a timer nobody waits. */
static bool may_wait(Names *names)
{
        uint64_t now = monotonic_usec();

        if (now < names->rest_until)
                return false;
        if (names->waited_for)
                return true;
        names->waited_for = sd_event_source_set_time(names->timer, now + names->options.timeout_usec) >= 0 &&
                            sd_event_source_set_enabled(names->timer, SD_EVENT_ONESHOT) >= 0;
        return names->waited_for;
}

int names_get(Names *names, NameKind kind, uint32_t id, bool wait, const char **ret)
{
        Name *name = find(names, kind, id);

        if (!name)
                name = add(names, kind, id);
        if (!name)
                return 0;
        TAILQ_REMOVE(&names->used, name, used);
        TAILQ_INSERT_TAIL(&names->used, name, used);
        if (!name->answered || monotonic_usec() - name->usec >= FRESH_USEC)
                want(names, name);
        if (name->answered) {
                *ret = name->name;
                return name->found;
        }
        return wait && name->wanted && may_wait(names) ? -EAGAIN : 0;
}

void names_flush(Names *names)
{
        Name *name;

        while ((name = TAILQ_FIRST(&names->used)))
                forget(names, name);
        names->forgotten = worker_busy(names->worker);
        if (names->waited_for) {
                names->overtaken = true;
                (void) sd_event_source_set_time(names->timer, 0);
        }
}

const NamesCounters *names_counters(const Names *names)
{
        return &names->counters;
}

/* --- Life --- */

int names_new(sd_event *event, const NamesOptions *options, Names **ret)
{
        _cleanup_(names_freep) Names *names = calloc(1, sizeof *names);
        int r;

        if (!names)
                return -ENOMEM;
        names->options = *options;
        if (!names->options.look_up)
                names->options.look_up = look_up_in_system;
        TAILQ_INIT(&names->used);
        TAILQ_INIT(&names->wanted);
        r = sd_event_add_time(event, &names->timer, CLOCK_MONOTONIC, USEC_INFINITY, USEC_PER_MSEC, on_overdue,
                              names);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(names->timer, "names");
        r = sd_event_source_set_priority(names->timer, LOOP_DATA);
        if (r < 0)
                return r;
        r = worker_new(event, "names", LOOP_DATA, &names->worker);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(names);
        return 0;
}

Names *names_free(Names *names)
{
        Name *name;

        /* A look-up that runs cannot be ended, and may take longer than a stop may: what it uses stays until the
         * process ends. */
        if (!names || (names->worker && worker_busy(names->worker)))
                return NULL;
        while ((name = TAILQ_FIRST(&names->used)))
                forget(names, name);
        worker_free(names->worker);
        sd_event_source_disable_unref(names->timer);
        free(names);
        return NULL;
}
