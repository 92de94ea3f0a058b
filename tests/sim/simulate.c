/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* simulate --histories=N --seed=S: N histories that count, from seed S on. In each, clients deliver to a
 * collector while things fail; then nothing fails any more, and everything that was accepted has to arrive.
 * docs/testing.md says how to read this.
 */

#include "mark.h"
#include "sim.h"

#undef NDEBUG
#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>

/* Without faults everything arrives within this, or never. */
#define LIVENESS_USEC (900 * USEC_PER_SEC)
#define SETTLE_USEC (3 * USEC_PER_SEC)
/* So many histories come to every state that the table in tests/lib/mark.c wants. */
#define MARKED_HISTORIES 300U
#define USE_MAX_MIN UINT64_C(65536)
#define EVENTS_MAX UINT64_C(20000000)
#define TRACE_LINES 200U
/* Histories in which each kind of fault strikes, unless something is wrong here. */
#define ENOUGH 300U

typedef struct Command {
        Options options;
        uint64_t seed, histories;
        const char *seeds_file;
        uint64_t expect; /* with a bug: it must be caught within so many histories */
} Command;

typedef struct Total {
        uint64_t histories, skipped;
        uint64_t struck[_FAULT_MAX];
        uint64_t events;
        Verdict verdict;
} Total;

/* --- One history --- */

static uint64_t power_of_two(unsigned from, unsigned to)
{
        return UINT64_C(1) << (from + sim_below(to - from + 1));
}

static void choose_sizes(void)
{
        /* A place is left for a clone. */
        sim.n_clients = 1 + (unsigned) (sim_below(10) * sim_below(10) * (SIM_CLIENTS_MAX - 1) / 100);
        sim.n_collectors = sim_chance(40) ? 2 : 1;
        sim.segment_size = power_of_two(12, 18);
        sim.window = power_of_two(12, 20);
        sim.socket_size = power_of_two(11, 18);
        sim.delay_usec = power_of_two(6, 16);
        sim.job_usec = power_of_two(6, 16);
        sim.text_max = sim_chance(30) ? RECORD_TEXT_MAX : 600;
        sim.long_percent = sim_chance(15) ? 100 : 14;
        sim.timeout_usec = (5 + sim_below(20)) * USEC_PER_SEC;
        sim.activated = sim_chance(50);
        /* Not drawn: the seeds of old findings keep their histories. */
        sim.compress = sim.seed % 3 == 0;
        sim.fails_over = sim.n_collectors > 1 && sim.seed % 2 == 0;
        sim.age_usec = sim_chance(20) ? (1 + sim_below(10)) * USEC_PER_SEC : 0;
        /* Less than what most histories have to say. */
        sim.use_max = sim.options.drop_oldest ? USE_MAX_MIN << (sim.seed * UINT64_C(0x9e3779b97f4a7c15) >> 32) % 3 : 0;
}

static bool drained(void)
{
        for (unsigned i = 0; i < sim.n_clients; i++)
                if (!sim_client_drained(i))
                        return false;
        return sim_collectors_drained();
}

static void run_until(uint64_t usec)
{
        while (sim.now < usec && sim_step())
                if (sim.events > EVENTS_MAX)
                        sim_fail("no end after %" PRIu64 " events", sim.events);
}

/* What is tried again each second has to be there, too. */
static void run_until_drained(void)
{
        uint64_t limit = sim.now + LIVENESS_USEC;

        do {
                /* Looking is not free: not behind each event. */
                while (sim.now < limit && !sim.failure[0] && !drained())
                        run_until(sim.now + 50 * USEC_PER_MSEC);
                run_until(sim.now + SETTLE_USEC);
        } while (sim.now < limit && !sim.failure[0] && !drained());
        if (!sim.failure[0] && !drained())
                sim_fail("what was accepted does not arrive");
}

/* Each client goes to the other collector and back: whatever one of them misses is explained there. */
static void visit_all(void)
{
        for (unsigned round = 0; sim.n_collectors > 1 && round < 2; round++) {
                for (unsigned i = 0; i < sim.n_clients && !sim.failure[0]; i++)
                        sim_client_fail_over(&sim.machines[sim.n_collectors + i]);
                run_until_drained();
        }
}

static void run(uint64_t seed, const Options *options, Verdict *ret)
{
        uint64_t length, n_records;

        *ret = (Verdict) { 0 };
        sim_begin(seed, options);
        choose_sizes();
        length = (2 + sim_below(30)) * USEC_PER_SEC;
        n_records = 20 + sim_below(sim_chance(30) ? 1500 : 500);
        sim.interval_usec = length / n_records / 2;
        oracle_begin();
        for (unsigned i = 0; i < sim.n_collectors; i++)
                (void) sim_collector_new(i);
        for (unsigned i = 0; i < sim.n_clients; i++)
                sim_client_new(i, n_records / sim.n_clients);
        sim_faults_begin(length);
        run_until(length);
        sim_faults_end();
        run_until_drained();
        visit_all();
        /* Everything is there now: it is there also after this. */
        if (!sim.failure[0] && sim_chance(50)) {
                sim_machine_kill(&sim.machines[sim_below(sim.n_collectors)], USEC_PER_SEC);
                run_until_drained();
        }
        if (!sim.failure[0])
                oracle_judge(ret);
        sim_end();
        oracle_done();
}

static bool counts(void)
{
        /* No crash, no cut, no fault of a disk. */
        static const unsigned harmless = 1U << FAULT_RESTART | 1U << FAULT_PAUSE | 1U << FAULT_SLOW_SYNC |
                                         1U << FAULT_CLIENT_SHUT_DOWN | 1U << FAULT_CLOCK | 1U << FAULT_FAILOVER;

        for (unsigned i = 0; i < _FAULT_MAX; i++)
                if (sim.struck[i] > 0 && !(harmless & 1U << i))
                        return true;
        return false;
}

/* --- Many --- */

static void add(Total *total, const Verdict *verdict)
{
        if (!counts() && !sim.failure[0]) {
                total->skipped++;
                return;
        }
        total->histories++;
        total->events += sim.events;
        for (unsigned i = 0; i < _FAULT_MAX; i++)
                total->struck[i] += sim.struck[i];
        total->verdict.records += verdict->records;
        total->verdict.lost += verdict->lost;
        total->verdict.duplicated += verdict->duplicated;
        total->verdict.unaccounted += verdict->unaccounted;
        total->verdict.machine_death += verdict->machine_death;
        total->verdict.dropped += verdict->dropped;
        total->verdict.death_records += verdict->death_records;
        total->verdict.gap_records += verdict->gap_records;
        total->verdict.rolled_back += verdict->rolled_back;
        total->verdict.restored += verdict->restored;
        total->verdict.deleted += verdict->deleted;
        total->verdict.restarts += verdict->restarts;
        total->verdict.set_backs += verdict->set_backs;
        total->verdict.sent_twice += verdict->sent_twice;
        total->verdict.clean_ends += verdict->clean_ends;
}

static bool run_one(const Command *command, uint64_t seed, Total *total)
{
        Verdict verdict;

        run(seed, &command->options, &verdict);
        /* What fails before the end could not be judged. */
        if (sim.failure[0] && verdict.lost + verdict.duplicated + verdict.unaccounted == 0)
                verdict.unaccounted = 1;
        add(total, &verdict);
        if (!sim.failure[0])
                return true;
        if (command->options.bug != BUG_NONE)
                return false;
        printf("# FAILED --seed=%" PRIu64 ": %s\n", seed, sim.failure);
        if (command->options.trace)
                sim_trace_print();
        return false;
}

/* "seed [drop-oldest]  # why it is here" */
static bool run_seeds(const Command *command, Total *total)
{
        FILE *file = fopen(command->seeds_file, "re");
        Command one = *command;
        char line[256];
        bool fine = true;

        if (!file) {
                fprintf(stderr, "%s: %s\n", command->seeds_file, strerror(errno));
                return false;
        }
        while (fgets(line, sizeof line, file)) {
                char word[16] = "";
                uint64_t seed;

                if (sscanf(line, "%" SCNu64 " %15s", &seed, word) < 1)
                        continue;
                one.options.drop_oldest = strcmp(word, "drop-oldest") == 0;
                fine = run_one(&one, seed, total) && fine;
        }
        (void) fclose(file);
        return fine;
}

static double seconds(void)
{
        struct timespec now;

        (void) syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
        return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void report(const Command *command, const Total *total, double took)
{
        const Verdict *v = &total->verdict;

        printf("# faults:");
        for (unsigned i = 0; i < _FAULT_MAX; i++)
                printf(" %s %" PRIu64 "%s", fault_names[i], total->struck[i],
                       i + 1 < _FAULT_MAX ? "," : "\n");
        printf("# never accepted, and said so by a full ring: %" PRIu64 " in %" PRIu64 " gap records\n",
               v->dropped, v->gap_records);
        printf("# machine-death: %" PRIu64 " records died in the ring of their machine unacked, %" PRIu64
               " gap records say that one died\n",
               v->machine_death, v->death_records);
        printf("# clean ends: %" PRIu64 ", behind which no death may be told\n", v->clean_ends);
        printf("# set back: %" PRIu64 " new streams, %" PRIu64 " times a collector was found to have less; %" PRIu64
               " records went with a client's disk, %" PRIu64 " with a collector's and were told as lost; %" PRIu64
               " are in two places\n",
               v->restarts, v->set_backs, v->rolled_back, v->restored, v->sent_twice);
        printf("# %" PRIu64 " events, %" PRIu64 " histories without a fault\n", total->events, total->skipped);
        (void) fflush(stdout);
        /* The one line that does not follow from the seed. */
        fprintf(stderr, "# %.1f histories and %.0f records a second\n", (double) total->histories / took,
                (double) v->records / took);
        /* Another name: what is deleted and told is no loss that other histories may have. */
        if (command->options.drop_oldest)
                printf("dropping %" PRIu64 " records %" PRIu64 " deleted %" PRIu64, total->histories, v->records, v->deleted);
        else
                printf("histories %" PRIu64 " records %" PRIu64, total->histories, v->records);
        printf(" lost %" PRIu64 " duplicated %" PRIu64 " unaccounted %" PRIu64 "\n", v->lost, v->duplicated, v->unaccounted);
}

static int run_bug(const Command *command)
{
        const char *bug = bug_names[command->options.bug];
        Command without = *command;
        Total total = { 0 };
        uint64_t seed;

        for (seed = command->seed; total.histories < command->histories; seed++)
                if (!run_one(command, seed, &total))
                        break;
        if (!sim.failure[0]) {
                printf("bug %s was NOT caught by %" PRIu64 " histories\n", bug, total.histories);
                return EXIT_FAILURE;
        }
        printf("bug %s caught by history %" PRIu64 " (--seed=%" PRIu64 "): %s\n", bug, total.histories, seed,
               sim.failure);
        if (command->options.trace)
                sim_trace_print();
        /* It is this bug that was caught. */
        without.options.bug = BUG_NONE;
        return run_one(&without, seed, &total) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Whether so many histories have seen everything that can happen to them. */
static bool saw_all(const Command *command, const Total *total)
{
        /* Without the one there is the other. */
        static const unsigned setting_back = 1U << FAULT_CLIENT_ROLLED_BACK | 1U << FAULT_CLIENT_CLONED |
                                             1U << FAULT_COLLECTOR_RESTORED;
        const Verdict *v = &total->verdict;
        bool drops = command->options.drop_oldest, all = true;

        if (total->histories < ENOUGH)
                return true;
        for (unsigned i = 0; i < _FAULT_MAX; i++)
                if (total->struck[i] == 0 && !(drops && setting_back & 1U << i)) {
                        printf("# %s never struck\n", fault_names[i]);
                        all = false;
                }
        if (v->clean_ends == 0 ||
            (drops ? v->deleted == 0 : v->restarts == 0 || v->set_backs == 0 || v->restored == 0)) {
                printf("# something that is counted below never happened\n");
                all = false;
        }
        return all;
}

static int run_all(const Command *command)
{
        Total total = { 0 };
        double begin = seconds();
        bool fine = true;

        printf("# --seed=%" PRIu64 "\n", command->seed);
        (void) fflush(stdout);
        if (command->seeds_file)
                fine = run_seeds(command, &total);
        for (uint64_t i = 0; total.histories < command->histories; i++)
                fine = run_one(command, command->seed + i, &total) && fine;
        fine = saw_all(command, &total) && fine;
        report(command, &total, seconds() - begin);
        /* Fewer need not have come everywhere. */
        if (total.histories >= MARKED_HISTORIES && !command->options.drop_oldest && !marks_reached("simulate"))
                fine = false;
        return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- The command line --- */

static Bug find_bug(const char *name)
{
        for (unsigned i = 0; i < _BUG_MAX; i++)
                if (strcmp(name, bug_names[i]) == 0)
                        return (Bug) i;
        fprintf(stderr, "There is no bug \"%s\". There are:", name);
        for (unsigned i = BUG_NONE + 1; i < _BUG_MAX; i++)
                fprintf(stderr, " %s", bug_names[i]);
        fprintf(stderr, "\n");
        exit(EXIT_FAILURE);
}

static void usage(void)
{
        puts("simulate [--histories=N] [--seed=S] [--trace[=LINES]] [--seeds=FILE] [--bug=NAME] "
             "[--no-ack-check] [--drop-oldest]\n"
             "  --histories=N   so many histories that count: with a crash, a cut or a disk fault (300)\n"
             "  --seed=S        from this seed on; without it a fresh one, which is printed\n"
             "  --seeds=FILE    first those in a file, one a line\n"
             "  --trace[=LINES] print the last events of a history that failed (200)\n"
             "  --bug=NAME      with a seeded bug: success is that one of the histories fails\n"
             "  --no-ack-check  do not compare acks with what is on the medium, only the end\n"
             "  --drop-oldest   remote's store is small and drops its oldest; no disk is set back");
}

static uint64_t fresh_seed(void)
{
        struct timespec now;

        (void) syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
        return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "histories", required_argument, NULL, 'n' },
                { "seed", required_argument, NULL, 's' },
                { "seeds", required_argument, NULL, 'f' },
                { "trace", optional_argument, NULL, 't' },
                { "bug", required_argument, NULL, 'b' },
                { "no-ack-check", no_argument, NULL, 'a' },
                { "drop-oldest", no_argument, NULL, 'd' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        Command command = { .seed = fresh_seed(), .histories = 300 };
        int option;

        /* Whoever manages this process is nobody in the simulation. */
        (void) unsetenv("NOTIFY_SOCKET");
        while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (option) {
                case 'n':
                        command.histories = strtoull(optarg, NULL, 10);
                        break;
                case 's':
                        command.seed = strtoull(optarg, NULL, 10);
                        break;
                case 'f':
                        command.seeds_file = optarg;
                        break;
                case 't':
                        command.options.trace = optarg ? (unsigned) strtoul(optarg, NULL, 10) : TRACE_LINES;
                        break;
                case 'b':
                        command.options.bug = find_bug(optarg);
                        break;
                case 'a':
                        command.options.no_ack_check = true;
                        break;
                case 'd':
                        command.options.drop_oldest = true;
                        break;
                default:
                        usage();
                        return option == 'h' ? EXIT_SUCCESS : EXIT_FAILURE;
                }
        return command.options.bug != BUG_NONE ? run_bug(&command) : run_all(&command);
}
