/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Seed, clock, trace, machines and processes. Time stands still while something is ready to run and then
 * jumps to the next thing that happens.
 */

#include "sim.h"
#include "sim-event.h"
#include "runtime/loop.h"

#undef NDEBUG
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A program that cannot start is started again, as systemd would. */
#define START_AGAIN_USEC USEC_PER_SEC
#define TRACE_LINES 20000U
#define TRACE_LINE 240U

World sim;

const char *const fault_names[_FAULT_MAX] = {
        [FAULT_KILL_DISPATCHER] = "dispatcher-killed",
        [FAULT_KILL_REMOTE] = "remote-killed",
        [FAULT_KILL_COLLECTOR] = "collector-killed",
        [FAULT_RESTART] = "restarted",
        [FAULT_PAUSE] = "process-stopped",
        [FAULT_CUT] = "connection-cut",
        [FAULT_HALF_OPEN] = "connection-half-open",
        [FAULT_PARTITION] = "network-down",
        [FAULT_CLIENT_DIES] = "client-power-cut",
        [FAULT_CLIENT_SHUT_DOWN] = "client-shut-down",
        [FAULT_COLLECTOR_DIES] = "collector-power-cut",
        [FAULT_NO_SPACE] = "disk-full",
        [FAULT_WRITE_ERROR] = "write-error",
        [FAULT_SYNC_ERROR] = "sync-error",
        [FAULT_SLOW_SYNC] = "sync-slow",
        [FAULT_CLOCK] = "clock-jumped",
        [FAULT_FAILOVER] = "failover",
        [FAULT_CLIENT_ROLLED_BACK] = "client-rolled-back",
        [FAULT_CLIENT_CLONED] = "client-cloned",
        [FAULT_COLLECTOR_RESTORED] = "collector-restored",
};

const char *const bug_names[_BUG_MAX] = {
        [BUG_NONE] = "none",
        [BUG_ACK_BEFORE_SYNC] = "ack-before-sync",
        [BUG_NO_DIRECTORY_SYNC] = "no-directory-sync",
        [BUG_UNSYNCED_ROTATION] = "unsynced-rotation",
        [BUG_RETRY_AFTER_EIO] = "retry-after-eio",
        [BUG_TORN_TAIL_NOT_CUT] = "torn-tail-not-cut",
        [BUG_ACK_BEFORE_COMMIT_END] = "ack-before-commit-end",
        [BUG_LOST_STEP_BACK] = "lost-step-back",
};

/* --- Chance --- */

uint64_t sim_draw(void)
{
        uint64_t z = (sim.random += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

uint64_t sim_below(uint64_t n)
{
        return n > 1 ? sim_draw() % n : 0;
}

bool sim_chance(unsigned percent)
{
        return sim_below(100) < percent;
}

uint64_t sim_spread(uint64_t mean)
{
        return sim_below(2 * mean + 1) * (1 + sim_below(4)) / 2 / (1 + sim_below(4)) + 1;
}

uint64_t sim_absence(uint64_t mean)
{
        return sim_spread(sim_chance(10) ? 20 * mean : mean);
}

/* --- Trace --- */

static char trace_lines[TRACE_LINES][TRACE_LINE];
static uint64_t n_trace;

void sim_trace(const char *format, ...)
{
        char *line = trace_lines[n_trace % TRACE_LINES];
        va_list ap;
        int n;

        if (!sim.options.trace)
                return;
        n_trace++;
        n = snprintf(line, TRACE_LINE, "%12.6f %-10s ", (double) sim.now / USEC_PER_SEC,
                     sim.current ? sim.current->name : "");
        va_start(ap, format);
        (void) vsnprintf(line + n, TRACE_LINE - (size_t) n, format, ap);
        va_end(ap);
}

void sim_trace_print(void)
{
        uint64_t n = MIN((uint64_t) sim.options.trace, TRACE_LINES);

        for (uint64_t i = n_trace > n ? n_trace - n : 0; i < n_trace; i++)
                printf("%s\n", trace_lines[i % TRACE_LINES]);
}

void sim_fail(const char *format, ...)
{
        va_list ap;

        if (sim.failure[0])
                return;
        va_start(ap, format);
        (void) vsnprintf(sim.failure, sizeof sim.failure, format, ap);
        va_end(ap);
        sim_trace("FAILED: %s", sim.failure);
}

/* --- Machines and processes --- */

static void new_boot(Machine *machine)
{
        machine->boots++;
        (void) snprintf(machine->boot_id, sizeof machine->boot_id, "boot-%u", machine->boots);
}

Machine *sim_machine_new(const char *name)
{
        Machine *machine = &sim.machines[sim.n_machines++];

        assert(sim.n_machines <= ELEMENTSOF(sim.machines));
        (void) snprintf(machine->name, sizeof machine->name, "%s", name);
        machine->up = true;
        machine->client = SIM_CLIENTS_MAX;
        machine->collector = SIM_COLLECTORS_MAX;
        machine->disk = sim_disk_new(sim_draw());
        new_boot(machine);
        return machine;
}

Process *sim_process_new(const char *name, Machine *machine, const Program *program)
{
        Process *process = &sim.processes[sim.n_processes++];

        assert(sim.n_processes <= SIM_PROCESSES_MAX);
        (void) snprintf(process->name, sizeof process->name, "%s", name);
        process->machine = machine;
        process->program = program;
        process->start_usec = sim_spread(200 * USEC_PER_MSEC);
        return process;
}

bool sim_process_is_gone(const Process *process)
{
        const Machine *machine = process->machine;

        return process->condemned ||
               (machine && (machine->dying || !machine->up || sim_disk_is_cut(machine->disk)));
}

/* Frees what it had in memory; nothing of that has an effect outside. */
static void bury(Process *process, uint64_t back_usec)
{
        Process *before = sim.current;

        process->condemned = true;
        sim.current = process;
        process->program->free(process);
        sim_net_process_died(process);
        sim_event_free(process->event);
        sim.current = before;
        process->event = NULL;
        process->alive = process->condemned = process->terminating = false;
        process->paused_until = process->kill_step = process->kill_call = process->fail_write = 0;
        process->start_usec = sim.now + back_usec;
}

static void after_event(Process *process);

void sim_process_exit(Process *process)
{
        sim_trace("%s ends", process->name);
        process->condemned = true;
}

/* A process that is armed to die at a step of the ring may do so here too. */
void sim_process_terminate(Process *process)
{
        Process *before = sim.current;
        jmp_buf jump;

        if (!process->alive || process->terminating)
                return;
        sim_trace("%s is told to stop", process->name);
        process->terminating = true;
        sim.current = process;
        memcpy(&jump, &sim.jump, sizeof jump);
        if (_setjmp(sim.jump) == 0)
                process->program->terminate(process);
        else
                process->condemned = true;
        memcpy(&sim.jump, &jump, sizeof jump);
        after_event(process);
        sim.current = before;
}

void sim_process_kill(Process *process, uint64_t back_usec)
{
        if (!process->alive)
                return;
        sim_trace("%s is killed", process->name);
        bury(process, back_usec);
}

/* All that it has in memory goes, and its disk loses what is not yet on the medium. */
static void machine_down(Machine *machine, uint64_t back_usec)
{
        machine->up = false;
        machine->shut_down = SHUT_DOWN_NOT;
        machine->dying = false;
        machine->die_usec = machine->slow_until = machine->cut_until = 0;
        machine->up_usec = sim.now + back_usec;
        sim_net_machine_died(machine);
        for (unsigned i = 0; i < sim.n_processes; i++) {
                if (sim.processes[i].machine != machine)
                        continue;
                if (sim.processes[i].alive)
                        bury(&sim.processes[i], 0);
                sim.processes[i].held = sim.processes[i].tried = false;
        }
        if (machine->died)
                machine->died(machine);
        sim_disk_cut_at(machine->disk, 0);
        sim_disk_fail_sync_at(machine->disk, 0);
        sim_disk_power_cycle(machine->disk);
        new_boot(machine);
        if (machine->reborn)
                machine->reborn(machine);
}

void sim_machine_kill(Machine *machine, uint64_t back_usec)
{
        if (!machine->up)
                return;
        sim_trace("machine %s loses power", machine->name);
        machine_down(machine, back_usec);
}

void sim_machine_set_back(Machine *machine)
{
        assert(!machine->up && machine->snapshot);
        sim_trace("the disk of %s is set back", machine->name);
        machine->disk = sim_disk_free(machine->disk);
        machine->disk = sim_disk_copy(machine->snapshot, sim_draw());
}

static void start(Process *process)
{
        int r;

        process->event = sim_event_new(process);
        process->alive = true;
        sim.current = process;
        sim_trace("starts");
        process->starting = true;
        r = process->program->start(process);
        process->starting = false;
        process->tried = true;
        if (r < 0)
                sim_trace("cannot start: %s", strerror(-r));
        if (r < 0 && !sim_process_is_gone(process))
                sim_process_kill(process, START_AGAIN_USEC);
}

/* What became of the process while it ran. */
static void after_event(Process *process)
{
        Machine *machine = process->machine;

        if (machine && sim_disk_is_cut(machine->disk))
                machine->dying = true;
        if (machine && machine->dying)
                sim_machine_kill(machine, sim_absence(2 * USEC_PER_SEC));
        else if (process->condemned)
                sim_process_kill(process, sim_absence(500 * USEC_PER_MSEC));
        sim.current = NULL;
}

/* --- Who runs next --- */

static bool may_run(const Process *process)
{
        return process->alive && process->paused_until <= sim.now;
}

static void wake_machines(void)
{
        for (unsigned i = 0; i < sim.n_machines; i++) {
                Machine *machine = &sim.machines[i];

                if (machine->up || machine->up_usec > sim.now)
                        continue;
                machine->up = true;
                sim_trace("machine %s is up again", machine->name);
                for (unsigned k = 0; k < sim.n_processes; k++)
                        if (sim.processes[k].machine == machine)
                                sim.processes[k].start_usec = sim.now + sim_spread(300 * USEC_PER_MSEC);
        }
}

/* SIGTERM to one process after the other, and SIGKILL for those that do not go; then everything is written. */
static void shut_down(Machine *machine)
{
        Process *process = sim_client_process(machine, machine->shut_down);

        process->held = true;
        if (process->alive && machine->shut_down_usec > sim.now) {
                sim_process_terminate(process);
                return;
        }
        if (process->alive)
                sim_process_kill(process, 0);
        machine->shut_down_usec = sim.now + LOOP_EXIT_TIMEOUT_USEC + USEC_PER_SEC;
        if (machine->shut_down++ < SHUT_DOWN_REMOTE)
                return;
        sim_trace("machine %s is down", machine->name);
        sim_disk_settle(machine->disk);
        machine_down(machine, sim_absence(2 * USEC_PER_SEC));
}

static void shut_down_machines(void)
{
        for (unsigned i = 0; i < sim.n_machines; i++)
                if (sim.machines[i].shut_down != SHUT_DOWN_NOT && sim.machines[i].up)
                        shut_down(&sim.machines[i]);
}

/* Whether nothing but time holds it up. Who is ordered after another waits for it to be tried, and while it stops. */
static bool may_start(const Process *process)
{
        const Process *before = process->after;

        return !process->alive && !process->held && (!process->machine || process->machine->up) &&
               (!before || (before->tried && !before->terminating));
}

static bool start_one(void)
{
        for (unsigned i = 0; i < sim.n_processes; i++) {
                Process *process = &sim.processes[i];

                if (!may_start(process) || process->start_usec > sim.now)
                        continue;
                start(process);
                after_event(process);
                return true;
        }
        return false;
}

/* In a process that may die within: the ring's steps jump out of it. */
static void dispatch(sd_event_source *source)
{
        if (_setjmp(sim.jump) == 0) {
                sim_event_dispatch(source);
        } else {
                sim.current->condemned = true;
                sim_event_abandon(sim.current->event);
        }
}

static bool run_one(void)
{
        sd_event_source *source, *chosen = NULL;
        Process *process = NULL;
        unsigned n = 0;

        for (unsigned i = 0; i < sim.n_processes; i++) {
                if (!may_run(&sim.processes[i]))
                        continue;
                source = sim_event_ready(sim.processes[i].event);
                if (source && sim_below(++n) == 0) {
                        chosen = source;
                        process = &sim.processes[i];
                }
        }
        if (!chosen)
                return false;
        sim.current = process;
        dispatch(chosen);
        after_event(process);
        return true;
}

static uint64_t next_time(void)
{
        uint64_t next = sim_net_next();

        for (unsigned i = 0; i < sim.n_processes; i++) {
                const Process *process = &sim.processes[i];

                if (may_start(process))
                        next = MIN(next, process->start_usec);
                else if (process->alive)
                        next = MIN(next, MAX(sim_event_next(process->event), process->paused_until));
        }
        for (unsigned i = 0; i < sim.n_machines; i++) {
                const Machine *machine = &sim.machines[i];

                if (!machine->up)
                        next = MIN(next, machine->up_usec);
                else if (machine->shut_down != SHUT_DOWN_NOT)
                        next = MIN(next, machine->shut_down_usec);
        }
        return next;
}

bool sim_step(void)
{
        uint64_t next;

        if (sim.failure[0])
                return false;
        sim.events++;
        wake_machines();
        shut_down_machines();
        sim_net_advance();
        if (start_one() || run_one()) {
                sim.now += 1 + sim_below(20);
                return true;
        }
        next = next_time();
        if (next == USEC_INFINITY)
                return false;
        sim.now = MAX(next, sim.now + 1);
        return true;
}

void sim_begin(uint64_t seed, const Options *options)
{
        sim = (World){.seed = seed, .random = seed * UINT64_C(0x2545f4914f6cdd1d) + 1, .options = *options};
        n_trace = 0;
}

void sim_end(void)
{
        for (unsigned i = 0; i < sim.n_processes; i++)
                if (sim.processes[i].alive)
                        bury(&sim.processes[i], 0);
        sim_net_reset();
        for (unsigned i = 0; i < sim.n_machines; i++) {
                sim.machines[i].disk = sim_disk_free(sim.machines[i].disk);
                sim.machines[i].snapshot = sim_disk_free(sim.machines[i].snapshot);
        }
        sim_clients_free();
}
