/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Builds crash images from a log, mounts them and has them verified.
 *
 *      check --fs TYPE --images N --seed S [--acked S,C] [--only I] [--save DIR] SENDER.base COLLECTOR.base
 * LOG DIRECTORY
 *
 * An image is that of both disks at one point of the log, each with a fate of its own. DIRECTORY has two
 * empty directories to mount them on, `sender` and `collector`. With --only all but image I are passed over.
 * The last line has the figures, by name.
 *
 * --acked is what the two had acked when the log began. --save writes one of the images to files `sender`
 * and `collector` in DIR, as a machine finds its disks that comes back; what was acked then is in the last
 * line.
 */

#include "image.h"
#include "verify.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

/* More than so many are not told one by one. */
#define TOLD_MAX 5U

typedef struct Check {
        const char *type;
        uint64_t n_images, only;
        const char *save;
        uint64_t n_save;
        BlockLog log;
        Medium media[_DISK_MAX];
        uint64_t promised[_DISK_MAX], saved[_DISK_MAX];
        size_t position;
        uint64_t bad;        /* images that did not pass */
        uint64_t incomplete; /* … in which blocks were lost */
        Verdict sum;
} Check;

static const char *const names[] = { [DISK_SENDER] = "sender", [DISK_COLLECTOR] = "collector" };

static uint64_t random_state;
/* For a failed assertion in the code under test. */
static volatile uint64_t current_image;

static uint64_t draw(uint64_t n)
{
        uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return (z ^ z >> 31) % n;
}

static void must(int r, const char *what)
{
        if (r >= 0)
                return;
        fprintf(stderr, "check: %s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

static int compare(const void *a, const void *b)
{
        size_t x = *(const size_t *) a, y = *(const size_t *) b;

        return (x > y) - (x < y);
}

/* Half of the points anywhere; half just behind a promise, where it is most easily broken. In the log's
 * order. */
static size_t *choose_points(const Check *check)
{
        size_t *points = reallocarray(NULL, check->n_images + 1, sizeof *points), *acks, n_acks = 0, point;

        acks = reallocarray(NULL, check->log.n + 1, sizeof *acks);
        assert(points && acks);
        for (size_t i = 0; i < check->log.n; i++)
                if (check->log.entries[i].entry.kind == LOG_ACK)
                        acks[n_acks++] = i + 1;
        for (uint64_t i = 0; i < check->n_images; i++) {
                point = n_acks > 0 && i % 2 == 0 ? acks[draw(n_acks)] + draw(3) : draw(check->log.n + 1);
                points[i] = MIN(point, check->log.n);
        }
        free(acks);
        qsort(points, check->n_images, sizeof *points, compare);
        return points;
}

static void advance(Check *check, size_t point)
{
        const LoggedEntry *logged;

        for (; check->position < point; check->position++) {
                logged = &check->log.entries[check->position];
                for (int i = 0; i < _DISK_MAX; i++)
                        medium_advance(&check->media[i], logged);
                if (logged->entry.kind == LOG_ACK)
                        check->promised[logged->entry.disk] = logged->entry.value;
        }
}

/* Returns 0, or why the file systems could not be mounted or unmounted. */
static int verify_media(Check *check, Verdict *verdict)
{
        const char *directories[_DISK_MAX];
        int r = 0;

        for (int i = 0; i < _DISK_MAX && r >= 0; i++) {
                directories[i] = check->media[i].path;
                r = medium_mount(&check->media[i], check->type);
        }
        if (r >= 0)
                verify_stores(directories, check->promised, verdict);
        for (int i = 0; i < _DISK_MAX; i++) {
                int u = medium_unmount(&check->media[i]);

                r = r < 0 ? r : u;
        }
        return r;
}

static void save_image(Check *check)
{
        char path[256];

        for (int i = 0; i < _DISK_MAX; i++) {
                (void) snprintf(path, sizeof path, "%s/%s", check->save, names[i]);
                must(medium_save(&check->media[i], path), path);
                check->saved[i] = check->promised[i];
        }
}

static uint64_t crash(Check *check, uint64_t number, Fate fates[static _DISK_MAX])
{
        uint64_t lost = 0;

        for (int i = 0; i < _DISK_MAX; i++) {
                fates[i] = (Fate) draw(_FATE_MAX);
                lost += medium_crash(&check->media[i], fates[i], draw);
        }
        if (check->save && number == check->n_save)
                save_image(check);
        return lost;
}

static void add_verdict(Check *check, const Verdict *verdict)
{
        check->sum.lost += verdict->lost;
        check->sum.duplicated += verdict->duplicated;
        check->sum.unreadable += verdict->unreadable;
        check->sum.cut += verdict->cut;
        check->sum.deleted += verdict->deleted;
        check->sum.ahead += verdict->ahead;
}

static void check_image(Check *check, uint64_t number, uint64_t seed)
{
        Verdict verdict = { 0 };
        Fate fates[_DISK_MAX];
        int r;

        random_state = seed;
        current_image = number;
        check->incomplete += crash(check, number, fates) > 0;
        r = verify_media(check, &verdict);
        if (r < 0) {
                verdict.unreadable++;
                (void) snprintf(verdict.why, sizeof verdict.why, "mounting or unmounting: %s", strerror(-r));
        }
        add_verdict(check, &verdict);
        if (!verdict_good(&verdict) && ++check->bad <= TOLD_MAX)
                printf("image %" PRIu64 ", at %zu of %zu, fates %u and %u: %s\n", number, check->position,
                       check->log.n, fates[0], fates[1], verdict.why);
}

static void on_abort(int number)
{
        dprintf(STDERR_FILENO, "check: died in image %" PRIu64 "\n", current_image);
}

static void run(Check *check, char **arguments)
{
        char path[128];
        size_t *points;
        uint64_t seed;

        must(block_log_read(arguments[2], &check->log), arguments[2]);
        for (uint32_t i = 0; i < _DISK_MAX; i++) {
                (void) snprintf(path, sizeof path, "%s/%s", arguments[3], names[i]);
                must(medium_init(&check->media[i], i, arguments[i], &check->log, path), arguments[i]);
        }
        points = choose_points(check);
        for (uint64_t i = 0; i < check->n_images; i++) {
                seed = draw(UINT64_MAX);
                advance(check, points[i]);
                if (check->only == UINT64_MAX || check->only == i)
                        check_image(check, i, seed);
                random_state = seed;
        }
        free(points);
        for (uint32_t i = 0; i < _DISK_MAX; i++)
                medium_done(&check->media[i]);
        block_log_done(&check->log);
}

static bool parse(Check *check, int argc, char **argv)
{
        static const struct option options[] = {
                { "fs", required_argument, NULL, 'f' },
                { "images", required_argument, NULL, 'i' },
                { "seed", required_argument, NULL, 's' },
                { "only", required_argument, NULL, 'o' },
                { "acked", required_argument, NULL, 'a' },
                { "save", required_argument, NULL, 'w' },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == 'f')
                        check->type = optarg;
                else if (c == 'i')
                        check->n_images = strtoull(optarg, NULL, 10);
                else if (c == 's')
                        random_state = strtoull(optarg, NULL, 10);
                else if (c == 'o')
                        check->only = strtoull(optarg, NULL, 10);
                else if (c == 'w')
                        check->save = optarg;
                else if (c != 'a' || sscanf(optarg, "%" SCNu64 ",%" SCNu64, &check->promised[DISK_SENDER],
                                            &check->promised[DISK_COLLECTOR]) != 2)
                        return false;
        }
        if (argc - optind != 4 || !check->type || check->n_images == 0)
                return false;
        check->n_save = random_state % check->n_images;
        return true;
}

int main(int argc, char **argv)
{
        Check check = { .only = UINT64_MAX };

        if (!parse(&check, argc, argv)) {
                fprintf(stderr, "usage: check --fs TYPE --images N --seed S [--acked S,C] [--only I] "
                                "[--save DIR] SENDER COLLECTOR LOG DIRECTORY\n");
                return 2;
        }
        (void) signal(SIGABRT, on_abort);
        run(&check, argv + optind);
        if (check.save)
                printf("acked=%" PRIu64 ",%" PRIu64 "\n", check.saved[DISK_SENDER],
                       check.saved[DISK_COLLECTOR]);
        printf("images=%" PRIu64 " bad=%" PRIu64 " lost=%" PRIu64 " duplicated=%" PRIu64
               " unreadable=%" PRIu64 " incomplete=%" PRIu64 " cut=%" PRIu64 " deleted=%" PRIu64
               " ahead=%" PRIu64 "\n",
               check.n_images, check.bad, check.sum.lost, check.sum.duplicated, check.sum.unreadable,
               check.incomplete, check.sum.cut, check.sum.deleted, check.sum.ahead);
        return check.bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
