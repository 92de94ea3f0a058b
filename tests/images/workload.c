/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A sender and a collector at work on the two disks under test:
 *
 *      records ──hop──▶ sender's store ──hop──▶ collector's store
 *
 *      workload --seed S --records N [--bug NAME] [--after R,S,C] SENDER-DIRECTORY COLLECTOR-DIRECTORY ACKS
 *
 * Sessions break and hosts are killed now and then, so that the log has recoveries in it, too. Each promise
 * of custody is written to ACKS before the one it is given to can read it. Ends when the collector has all
 * records, to number N.
 *
 * --after: the two come back from a crash; the dispatcher has had R records, the sender has acked S of them,
 * the collector C.
 */

#include "front-disk.h"
#include "records.h"
#include "relay.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#define TURN_SIZE (12U * 1024U)
/* The ring gets this many records at most at a time, so that neither host ever idles or runs far ahead. */
#define ARRIVAL_MAX 12U
/* More turns than any good run needs. */
#define TURNS_PER_RECORD 100U

static uint64_t random_state;
static Bug bug;
static int acks_fd = -EBADF;
static const char *directories[_DISK_MAX];

static Records records;
static Host hosts[_DISK_MAX];
static Hop hops[_DISK_MAX];
static struct {
        uint64_t commits, kills, breaks, clean_ends;
} seen;

static uint64_t draw(uint64_t n)
{
        random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
        return (random_state >> 33) % n;
}

static void must(int r, const char *what)
{
        if (r >= 0)
                return;
        fprintf(stderr, "workload: %s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

static void promise(Host *host)
{
        AckMessage ack = { .disk = (uint32_t) (host - hosts), .seq = host->custody };

        must(write(acks_fd, &ack, sizeof ack) == (ssize_t) sizeof ack ? 0 : -errno, "writing an ack");
}

static Source *source_of(int which)
{
        Source *source = which == DISK_SENDER ? &records.source
                                              : store_source(hosts[DISK_SENDER].store, RELAY_COLLECTOR);

        must(source ? 0 : -ENOMEM, "the store as source");
        return source;
}

static void start_hop(int which)
{
        must(hop_open(&hops[which], source_of(which), &hosts[which]), "opening a hop");
}

static void start(int which)
{
        StoreReport report;
        Disk *disk;

        must(disk_open(directories[which], &disk), directories[which]);
        disk = front_disk_new(disk, bug, draw);
        must(disk ? 0 : -ENOMEM, "the disk");
        hosts[which].promise = promise;
        must(host_open(&hosts[which], which, disk, &report), "opening a store");
        must(report.n_damages > 0 ? -EBADMSG : 0, "what a store found");
        store_report_done(&report);
}

/* Nothing more is in any group. */
static void settle(int which)
{
        int r;

        if (hosts[which].in_flight)
                must(host_commit_end(&hosts[which]), "ending a commit");
        while ((r = host_commit_begin(&hosts[which])) > 0)
                must(host_commit_end(&hosts[which]), "ending a commit");
        must(r, "beginning a commit");
}

/* A host stops, by kill or in order, and comes back. */
static void restart(int which, bool in_order)
{
        if (in_order) {
                settle(which);
                must(store_finish(hosts[which].store, true, USEC_PER_SEC), "the clean end");
                settle(which);
                seen.clean_ends++;
        } else {
                seen.kills++;
        }
        hop_close(&hops[which]);
        if (which == DISK_SENDER)
                hop_close(&hops[DISK_COLLECTOR]);
        host_close(&hosts[which]);
        start(which);
        start_hop(which);
        if (which == DISK_SENDER)
                start_hop(DISK_COLLECTOR);
}

static void reconnect(int which)
{
        hop_close(&hops[which]);
        start_hop(which);
        seen.breaks++;
}

static void commit(int which)
{
        Host *host = &hosts[which];

        if (host->in_flight) {
                must(host_commit_end(host), "ending a commit");
                return;
        }
        must(host_commit_begin(host), "beginning a commit");
        seen.commits += host->in_flight;
}

static void arrive(uint64_t n_records)
{
        uint64_t newest = records.newest + 1 + draw(ARRIVAL_MAX);

        records.newest = records_batch_last(MIN(newest, n_records));
}

/* One random thing that happens. */
static void turn(uint64_t n_records)
{
        int which = (int) draw(_DISK_MAX);
        uint64_t dice = draw(1000);

        if (dice < 150)
                arrive(n_records);
        else if (dice < 550)
                must(hop_send(&hops[which], 1 + draw(TURN_SIZE)), "sending");
        else if (dice < 750)
                must(hop_return(&hops[which]), "returning");
        else if (dice < 980)
                commit(which);
        else if (dice < 985)
                store_rotate(hosts[which].store);
        else if (dice < 992)
                reconnect(which);
        else if (dice < 998)
                restart(which, false);
        else
                restart(which, true);
        if (hops[which].ended)
                reconnect(which);
}

static void run(uint64_t n_records)
{
        uint64_t turns = 0, most = n_records * TURNS_PER_RECORD;

        for (int i = 0; i < _DISK_MAX; i++)
                start(i);
        for (int i = 0; i < _DISK_MAX; i++)
                start_hop(i);
        while (hosts[DISK_COLLECTOR].custody < n_records && turns++ < most)
                turn(n_records);
        if (hosts[DISK_COLLECTOR].custody < n_records) {
                fprintf(stderr, "workload: after %" PRIu64 " turns the collector has %" PRIu64 " records\n",
                        most, hosts[DISK_COLLECTOR].custody);
                exit(EXIT_FAILURE);
        }
        for (int i = 0; i < _DISK_MAX; i++) {
                hop_close(&hops[_DISK_MAX - 1 - i]);
                host_close(&hosts[_DISK_MAX - 1 - i]);
        }
}

static bool parse(int argc, char **argv, uint64_t *ret_records)
{
        static const struct option options[] = {
                { "seed", required_argument, NULL, 's' },
                { "records", required_argument, NULL, 'r' },
                { "bug", required_argument, NULL, 'b' },
                { "after", required_argument, NULL, 'a' },
                { 0 },
        };
        uint64_t had = 0;
        int c;

        *ret_records = 0;
        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == 's')
                        random_state = strtoull(optarg, NULL, 10);
                else if (c == 'r')
                        *ret_records = strtoull(optarg, NULL, 10);
                else if (c == 'b' && (bug = bug_from_string(optarg)) != _BUG_MAX)
                        continue;
                else if (c != 'a' ||
                         sscanf(optarg, "%" SCNu64 ",%" SCNu64 ",%" SCNu64, &had,
                                &hosts[DISK_SENDER].custody, &hosts[DISK_COLLECTOR].custody) != 3)
                        return false;
        }
        if (had > 0)
                records.newest = records_batch_last(had);
        records.released = hosts[DISK_SENDER].custody;
        return argc - optind == 3 && *ret_records > 0;
}

int main(int argc, char **argv)
{
        uint64_t n_records;

        must(records_init(&records), "memory");
        if (!parse(argc, argv, &n_records)) {
                fprintf(stderr, "usage: workload --seed S --records N [--bug NAME] [--after R,S,C] SENDER "
                                "COLLECTOR ACKS\n");
                return 2;
        }
        directories[DISK_SENDER] = argv[optind];
        directories[DISK_COLLECTOR] = argv[optind + 1];
        acks_fd = open(argv[optind + 2], O_WRONLY | O_CLOEXEC);
        must(acks_fd < 0 ? -errno : 0, argv[optind + 2]);
        run(n_records);
        printf("%" PRIu64 " records, %" PRIu64 " commits, %" PRIu64 " kills, %" PRIu64
               " clean ends, %" PRIu64 " sessions broken\n",
               records.newest, seen.commits, seen.kills, seen.clean_ends, seen.breaks);
        records_done(&records);
        return EXIT_SUCCESS;
}
