/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What strikes, and when: a process of its own that belongs to no machine. Each history has its own subset
 * of kinds and its own rate: where everything happens at once, nothing gets far enough to go wrong in an
 * interesting place.
 */

#include "sim.h"
#include "runtime/loop.h"

#undef NDEBUG
#include <assert.h>

static bool enabled[_FAULT_MAX];
static uint64_t until, pause_usec;
static bool snapshots; /* somebody may want one */

static Process *random_process(const char *prefix)
{
        Process *chosen = NULL;
        unsigned n = 0;

        for (unsigned i = 0; i < sim.n_processes; i++) {
                Process *p = &sim.processes[i];

                if (p->alive && p->machine && strncmp(p->name, prefix, strlen(prefix)) == 0 &&
                    sim_below(++n) == 0)
                        chosen = p;
        }
        return chosen;
}

static Machine *random_client(void)
{
        return &sim.machines[sim.n_collectors + sim_below(sim.n_clients)];
}

static Machine *random_collector(void)
{
        return &sim.machines[sim_below(sim.n_collectors)];
}

static Machine *random_machine(void)
{
        return &sim.machines[sim_below(sim.n_machines)];
}

/* Between two events, or within: at a step of the ring, at a call of the disk. */
static bool kill_process(const char *prefix, uint64_t *at, uint64_t scale)
{
        Process *process = random_process(prefix);

        if (!process)
                return false;
        at = at ? (uint64_t *) (void *) ((char *) process + ((char *) at - (char *) &sim.processes[0]))
                : NULL;
        if (at && sim_chance(70))
                *at = 1 + sim_below(scale);
        else
                sim_process_kill(process, sim_absence(USEC_PER_SEC));
        return true;
}

static bool restart(void)
{
        Process *process = random_process(sim_chance(40)   ? "aggregator"
                                          : sim_chance(70) ? "remote"
                                                           : "dispatch");

        if (!process || process->terminating)
                return false;
        sim_process_terminate(process);
        return true;
}

static bool die(Machine *machine)
{
        if (!machine->up || machine->die_usec != 0)
                return false;
        if (sim_chance(30)) {
                sim_machine_kill(machine, sim_absence(2 * USEC_PER_SEC));
                return true;
        }
        sim_disk_cut_at(machine->disk, 1 + sim_below(20));
        machine->die_usec = sim.now + 2 * USEC_PER_SEC;
        return true;
}

static bool fill_disk(Machine *machine)
{
        Disk *disk = sim_disk_attach(machine->disk);
        DiskSpace space;

        assert(disk->space(disk, &space) == 0 || !machine->up);
        (void) disk_free(disk);
        if (!machine->up || machine->space_until != 0)
                return false;
        sim_trace("the disk of %s is nearly full", machine->name);
        sim_disk_set_capacity(machine->disk,
                              space.bytes_total - space.bytes_free + sim_below(3 * sim.segment_size));
        machine->space_until = sim.now + sim_spread(5 * USEC_PER_SEC);
        return true;
}

static bool fail_write(void)
{
        Process *process = random_process(sim_chance(50) ? "aggregator" : "remote");

        if (process)
                process->fail_write = 1 + sim_below(20);
        return process;
}

static bool pause_process(void)
{
        Process *process = random_process("");

        if (!process)
                return false;
        process->paused_until = sim.now + sim_spread(3 * USEC_PER_SEC);
        sim_trace("%s is stopped for %.3f s", process->name,
                  (double) (process->paused_until - sim.now) / USEC_PER_SEC);
        return true;
}

/* By seconds, hours, years, or to the beginning of time, as with an empty battery. */
static bool set_clock(Machine *machine)
{
        static const uint64_t steps[] = {USEC_PER_SEC, 3600 * USEC_PER_SEC, 86400 * 365 * USEC_PER_SEC};
        int64_t step = (int64_t) sim_spread(steps[sim_below(ELEMENTSOF(steps))]);

        if (sim_chance(10))
                machine->clock_usec = -(int64_t) SIM_EPOCH;
        else
                machine->clock_usec = sim_chance(50) ? step : -step;
        sim_trace("the clock of %s is off by %" PRId64 " s", machine->name,
                  machine->clock_usec / (int64_t) USEC_PER_SEC);
        return true;
}

static bool shut_down(Machine *machine)
{
        if (!machine->up || machine->shut_down != SHUT_DOWN_NOT)
                return false;
        sim_trace("machine %s is shut down", machine->name);
        machine->shut_down = SHUT_DOWN_DISPATCHER;
        machine->shut_down_usec = sim.now + LOOP_EXIT_TIMEOUT_USEC + USEC_PER_SEC;
        return true;
}

static void take_snapshot(Machine *machine)
{
        sim_trace("snapshot of the disk of %s", machine->name);
        machine->snapshot = sim_disk_free(machine->snapshot);
        machine->snapshot = sim_disk_copy(machine->disk, sim_draw());
}

static bool set_back(Machine *machine)
{
        if (!machine->up || !machine->snapshot)
                return false;
        sim_machine_kill(machine, sim_absence(2 * USEC_PER_SEC));
        if (machine->client < SIM_CLIENTS_MAX)
                oracle_rolled_back(machine->client, machine->snapshot);
        else
                oracle_restored(machine->collector, machine->disk, machine->snapshot);
        sim_machine_set_back(machine);
        return true;
}

static bool fail_over(Machine *machine)
{
        if (sim.n_collectors == 1)
                return false;
        sim_client_fail_over(machine);
        return true;
}

static bool strike(Fault fault)
{
        Machine *machine = random_machine();

        switch (fault) {
        case FAULT_KILL_DISPATCHER:
                return kill_process("dispatch", &sim.processes[0].kill_step, 40);
        case FAULT_KILL_REMOTE:
                return kill_process("remote", &sim.processes[0].kill_call, 30);
        case FAULT_KILL_COLLECTOR:
                return kill_process("aggregator", &sim.processes[0].kill_call, 30);
        case FAULT_RESTART:
                return restart();
        case FAULT_PAUSE:
                return pause_process();
        case FAULT_CUT:
                return sim_net_strike(NET_CUT);
        case FAULT_HALF_OPEN:
                return sim_net_strike(NET_HALF_OPEN);
        case FAULT_PARTITION:
                machine->cut_until = sim.now + sim_spread(5 * USEC_PER_SEC);
                return true;
        case FAULT_CLIENT_DIES:
                return die(random_client());
        case FAULT_CLIENT_SHUT_DOWN:
                return shut_down(random_client());
        case FAULT_COLLECTOR_DIES:
                return die(random_collector());
        case FAULT_NO_SPACE:
                return fill_disk(machine);
        case FAULT_WRITE_ERROR:
                return fail_write();
        case FAULT_SYNC_ERROR:
                sim_disk_fail_sync_at(machine->disk, 1 + sim_below(6));
                return true;
        case FAULT_SLOW_SYNC:
                machine->slow_until = sim.now + sim_spread(3 * USEC_PER_SEC);
                return true;
        case FAULT_CLOCK:
                return set_clock(machine);
        case FAULT_FAILOVER:
                return fail_over(random_client());
        case FAULT_CLIENT_ROLLED_BACK:
                return set_back(random_client());
        case FAULT_CLIENT_CLONED:
                /* Speaking to different collectors, two of one name would not meet. */
                return sim.n_collectors == 1 && sim_client_clone(random_client());
        case FAULT_COLLECTOR_RESTORED:
                return set_back(random_collector());
        case _FAULT_MAX:
                break;
        }
        return false;
}

/* What was armed for a while comes to its end. */
static void expire(void)
{
        for (unsigned i = 0; i < sim.n_machines; i++) {
                Machine *machine = &sim.machines[i];

                if (machine->die_usec != 0 && machine->die_usec <= sim.now)
                        sim_machine_kill(machine, sim_absence(2 * USEC_PER_SEC));
                if (machine->space_until != 0 && machine->space_until <= sim.now) {
                        sim_trace("the disk of %s has room again", machine->name);
                        sim_disk_set_capacity(machine->disk, UINT64_C(1) << 40);
                        machine->space_until = 0;
                }
        }
}

static int on_fault(sd_event_source *source, uint64_t usec, void *userdata)
{
        Fault fault = (Fault) sim_below(_FAULT_MAX);

        expire();
        if (sim.now >= until)
                return 0;
        if (snapshots && sim_chance(25))
                take_snapshot(random_machine());
        for (unsigned i = 0; i < _FAULT_MAX && !enabled[fault]; i++)
                fault = (Fault) ((fault + 1) % _FAULT_MAX);
        if (enabled[fault] && strike(fault))
                sim.struck[fault]++;
        (void) sd_event_source_set_time(source, sim.now + sim_spread(pause_usec));
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int world_start(Process *process)
{
        sd_event_source *source;

        return sd_event_add_time(process->event, &source, CLOCK_MONOTONIC, sim.now + sim_spread(pause_usec),
                                 0, on_fault, NULL);
}

static void world_free(Process *process)
{
}

void sim_faults_begin(uint64_t until_usec)
{
        static const Program program = {.start = world_start, .free = world_free};
        unsigned percent = 10 + (unsigned) sim_below(50);

        until = until_usec;
        pause_usec = sim_spread(USEC_PER_SEC) + 20 * USEC_PER_MSEC;
        for (unsigned i = 0; i < _FAULT_MAX; i++)
                enabled[i] = sim_chance(percent);
        enabled[sim_below(_FAULT_MAX)] = true;
        /* Two clones that a restored collector does not know apart: neither has the batches to compare any more. */
        if (enabled[FAULT_CLIENT_CLONED] && enabled[FAULT_COLLECTOR_RESTORED])
                enabled[sim_chance(50) ? FAULT_CLIENT_CLONED : FAULT_COLLECTOR_RESTORED] = false;
        /* What went with a disk and what was deleted could not be told apart. */
        if (sim.options.drop_oldest)
                enabled[FAULT_CLIENT_ROLLED_BACK] = enabled[FAULT_CLIENT_CLONED] = enabled[FAULT_COLLECTOR_RESTORED] = false;
        snapshots = enabled[FAULT_CLIENT_ROLLED_BACK] || enabled[FAULT_CLIENT_CLONED] ||
                    enabled[FAULT_COLLECTOR_RESTORED];
        (void) sim_process_new("world", NULL, &program);
}

void sim_faults_end(void)
{
        sim_trace("all faults end");
        for (unsigned i = 0; i < sim.n_machines; i++) {
                Machine *machine = &sim.machines[i];

                machine->space_until = machine->space_until != 0 ? sim.now : 0;
                machine->die_usec = machine->die_usec != 0 ? sim.now : 0;
                machine->slow_until = machine->cut_until = 0;
                sim_disk_fail_sync_at(machine->disk, 0);
        }
        expire();
        for (unsigned i = 0; i < sim.n_processes; i++) {
                Process *process = &sim.processes[i];

                process->paused_until = process->kill_step = process->kill_call = process->fail_write = 0;
        }
}
