/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Builds crash images from a log, mounts them and has them verified.
 *
 *      check --fs TYPE --images N --seed S [--only I] SENDER.base COLLECTOR.base LOG DIRECTORY
 *
 * An image is that of both disks at one point of the log, each with a fate of its own. DIRECTORY has two
 * empty directories to mount them on, `sender` and `collector`. With --only all but image I are passed over.
 * The last line has the figures, by name.
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
        BlockLog log;
        Medium media[_DISK_MAX];
        uint64_t promised[_DISK_MAX];
        size_t position;
        uint64_t bad, cached; /* images that did not pass; … in which unflushed blocks were lost */
        Verdict sum;
} Check;

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

static void verify_media(Check *check, Verdict *verdict)
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
        if (r < 0) {
                verdict->unreadable++;
                (void) snprintf(verdict->why, sizeof verdict->why, "mounting or unmounting: %s",
                                strerror(-r));
        }
}

static void check_image(Check *check, uint64_t number)
{
        Verdict verdict = {0};
        uint64_t lost = 0;
        Fate fates[_DISK_MAX];

        for (int i = 0; i < _DISK_MAX; i++) {
                fates[i] = (Fate) draw(_FATE_MAX);
                lost += medium_crash(&check->media[i], fates[i], draw);
        }
        if (check->only != UINT64_MAX && check->only != number)
                return;
        current_image = number;
        verify_media(check, &verdict);
        check->cached += lost > 0;
        check->sum.lost += verdict.lost;
        check->sum.duplicated += verdict.duplicated;
        check->sum.unreadable += verdict.unreadable;
        check->sum.cut += verdict.cut;
        check->sum.deleted += verdict.deleted;
        check->sum.ahead += verdict.ahead;
        if (!verdict_good(&verdict) && ++check->bad <= TOLD_MAX)
                printf("image %" PRIu64 ", at %zu of %zu, fates %u and %u: %s\n", number, check->position,
                       check->log.n, fates[0], fates[1], verdict.why);
}

static void on_abort(int number)
{
        dprintf(STDERR_FILENO, "check: died in image %" PRIu64 "\n", current_image);
}

static void must(int r, const char *what)
{
        if (r >= 0)
                return;
        fprintf(stderr, "check: %s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

static void run(Check *check, char **arguments)
{
        static const char *const names[] = {[DISK_SENDER] = "sender", [DISK_COLLECTOR] = "collector"};
        char path[128];
        size_t *points;

        must(block_log_read(arguments[2], &check->log), arguments[2]);
        for (uint32_t i = 0; i < _DISK_MAX; i++) {
                (void) snprintf(path, sizeof path, "%s/%s", arguments[3], names[i]);
                must(medium_init(&check->media[i], i, arguments[i], &check->log, path), arguments[i]);
        }
        points = choose_points(check);
        for (uint64_t i = 0; i < check->n_images; i++) {
                advance(check, points[i]);
                check_image(check, i);
        }
        free(points);
        for (uint32_t i = 0; i < _DISK_MAX; i++)
                medium_done(&check->media[i]);
        block_log_done(&check->log);
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                {"fs", required_argument, NULL, 'f'},
                {"images", required_argument, NULL, 'i'},
                {"seed", required_argument, NULL, 's'},
                {"only", required_argument, NULL, 'o'},
                {0},
        };
        Check check = {.only = UINT64_MAX};
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                switch (c) {
                case 'f':
                        check.type = optarg;
                        break;
                case 'i':
                        check.n_images = strtoull(optarg, NULL, 10);
                        break;
                case 's':
                        random_state = strtoull(optarg, NULL, 10);
                        break;
                case 'o':
                        check.only = strtoull(optarg, NULL, 10);
                        break;
                default:
                        return 2;
                }
        }
        if (argc - optind != 4 || !check.type || check.n_images == 0) {
                fprintf(stderr, "usage: check --fs TYPE --images N --seed S [--only I] SENDER COLLECTOR LOG "
                                "DIRECTORY\n");
                return 2;
        }
        (void) signal(SIGABRT, on_abort);
        run(&check, argv + optind);
        printf("images=%" PRIu64 " bad=%" PRIu64 " lost=%" PRIu64 " duplicated=%" PRIu64
               " unreadable=%" PRIu64 " incomplete=%" PRIu64 " cut=%" PRIu64 " deleted=%" PRIu64
               " ahead=%" PRIu64 "\n",
               check.n_images, check.bad, check.sum.lost, check.sum.duplicated, check.sum.unreadable,
               check.cached, check.sum.cut, check.sum.deleted, check.sum.ahead);
        return check.bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
