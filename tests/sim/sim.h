/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The simulated world. What ships runs here as it is: ring, link, store, intake, inlet, outlet, connection,
 * store-loop. What is simulated is below it: sd-event, sockets, the worker's thread, clocks, randomness, the
 * disk.
 *
 *      simulate.c         histories, the command line, the last line
 *      sim-world.c        seed, clock, trace, machines and processes, who runs next
 *      sim-event.c        sd-event
 *      sim-net.c          sockets: chunks, delay, loss of connections, half-open peers
 *      sim-sockets.c      … and the C library\'s functions on them
 *      sim-system.c       the rest of what the shipping code asks the system for
 *      sim-faulty-disk.c  a SimDisk as one process sees it: fails, dies, and has the seeded bugs
 *      sim-client.c       dispatcher (kernel records → ring → outlet) and remote
 *      sim-collector.c    aggregator; what it and remote have in common
 *      sim-faults.c       what strikes, and when
 *      sim-oracle.c       who promised what; what must be in the collector's store in the end
 *      sim-reader.c       reads a store's files, without the store's code
 *
 * One seed is one history: everything random comes from it, and nothing depends on addresses or on the time
 * of day.
 */

#include "basic/batch.h"
#include "sim-disk.h"

#include <inttypes.h>
#include <setjmp.h>
#include <systemd/sd-event.h>

#define SIM_CLIENTS_MAX 4U
/* The world itself, a dispatcher and a remote for each client, the aggregator. */
#define SIM_PROCESSES_MAX (2 + 2 * SIM_CLIENTS_MAX)

typedef enum Fault {
        FAULT_KILL_DISPATCHER,
        FAULT_KILL_REMOTE,
        FAULT_KILL_COLLECTOR,
        FAULT_RESTART,
        FAULT_PAUSE,
        FAULT_CUT,
        FAULT_HALF_OPEN,
        FAULT_PARTITION,
        FAULT_CLIENT_DIES,
        FAULT_COLLECTOR_DIES,
        FAULT_NO_SPACE,
        FAULT_WRITE_ERROR,
        FAULT_SYNC_ERROR,
        FAULT_SLOW_SYNC,
        _FAULT_MAX,
} Fault;

extern const char *const fault_names[_FAULT_MAX];

/* Mistakes that people make, made here on purpose: the oracle has to find each. */
typedef enum Bug {
        BUG_NONE,
        BUG_ACK_BEFORE_SYNC,       /* the job says it is done and syncs with the next one */
        BUG_NO_DIRECTORY_SYNC,     /* a new segment's names are never synced */
        BUG_UNSYNCED_ROTATION,     /* the segment rotated out is not synced */
        BUG_RETRY_AFTER_EIO,       /* a failed sync is tried again, and the second "success" believed */
        BUG_TORN_TAIL_NOT_CUT,     /* recovery leaves what is behind the last good batch */
        BUG_ACK_BEFORE_COMMIT_END, /* what was appended is acked at once */
        BUG_LOST_STEP_BACK,        /* the store steps back, the sessions do not */
        _BUG_MAX,
} Bug;

extern const char *const bug_names[_BUG_MAX];

typedef struct Process Process;
typedef struct Machine Machine;
typedef struct Service Service;

/* A program: what runs in a process. Told to end, it is started again. */
typedef struct Program {
        /* Returns 0, or a negative errno: it could not start and is tried again. */
        int (*start)(Process *process);
        void (*free)(Process *process);
        /* SIGTERM: it ends in order, by sim_process_exit(). NULL: it does not hear. */
        void (*terminate)(Process *process);
} Program;

struct Process {
        char name[16];
        const Program *program;
        Machine *machine;
        sd_event *event;
        bool alive;
        bool terminating;      /* it was told to end */
        bool starting;         /* in its program's start() */
        bool condemned;        /* it dies behind this event: nothing it still does has an effect */
        uint64_t paused_until; /* SIGSTOP */
        uint64_t start_usec;   /* while not alive: when it is started (again) */
        uint64_t kill_step;    /* dispatcher: dies at the nth step of the ring; 0: not */
        uint64_t kill_call;    /* dies at the nth call of its disk; 0: not */
        uint64_t fail_write;   /* the nth write from now fails with EIO; 0: none */
        void *data;            /* the program's */
};

struct Machine {
        char name[16];
        bool up;
        bool dying; /* its disk was cut: it dies behind this event */
        uint64_t up_usec;
        uint64_t cut_until; /* the network does not reach it */
        unsigned boots;
        char boot_id[40];
        SimDisk *disk;
        uint64_t slow_until;              /* syncs take seconds */
        uint64_t space_until;             /* capacity is limited */
        uint64_t die_usec;                /* at the latest, when a cut is armed */
        Service *service;                 /* where its receiver listens */
        void (*reborn)(Machine *machine); /* it comes up after a crash: what RAM held is gone */
        unsigned client;                  /* number, or SIM_CLIENTS_MAX */
};

typedef struct Options {
        Bug bug;
        unsigned trace;    /* so many lines of a history that fails are printed */
        bool no_ack_check; /* leave it to the end to find what was acked and is not there */
} Options;

typedef struct World {
        Options options;
        uint64_t seed;
        uint64_t random;
        uint64_t now; /* monotonic; realtime is SIM_EPOCH later */
        Process processes[SIM_PROCESSES_MAX];
        unsigned n_processes;
        Machine machines[1 + SIM_CLIENTS_MAX]; /* [0]: the collector's */
        unsigned n_machines;
        unsigned n_clients;
        Process *current;
        jmp_buf jump; /* out of the step at which the current process dies */
        uint64_t struck[_FAULT_MAX];
        uint64_t events;
        char failure[512]; /* the first; empty: none */

        /* Sizes and timings of this history. */
        uint64_t segment_size, window, socket_size, delay_usec, job_usec, text_max, long_percent;
        uint64_t timeout_usec, interval_usec;
        bool activated; /* listening sockets are kept by somebody else while their process is dead */
} World;

extern World sim;

/* Realtime at the beginning of each history. */
#define SIM_EPOCH (UINT64_C(1700000000) * USEC_PER_SEC)

/* --- sim-world.c --- */

void sim_begin(uint64_t seed, const Options *options);
void sim_end(void);
uint64_t sim_draw(void);
uint64_t sim_below(uint64_t n); /* 0 for 0 */
bool sim_chance(unsigned percent);
/* Around `mean`, often much less, sometimes several times as much. */
uint64_t sim_spread(uint64_t mean);
/* How long somebody is away: mostly about `mean`, now and then long enough for others to run full. */
uint64_t sim_absence(uint64_t mean);
/* One line of the trace. */
void sim_trace(const char *format, ...) _printf_(1, 2);
void sim_trace_print(void);
/* The history has failed. Only the first time counts. */
void sim_fail(const char *format, ...) _printf_(1, 2);
Machine *sim_machine_new(const char *name);
Process *sim_process_new(const char *name, Machine *machine, const Program *program);
/* Nothing that the process does reaches the outside any more. */
bool sim_process_is_gone(const Process *process);
/* The process ends behind this event. */
void sim_process_exit(Process *process);
void sim_process_kill(Process *process, uint64_t back_usec);
/* The machine loses power now; its processes start again when it is back. */
void sim_machine_kill(Machine *machine, uint64_t back_usec);
/* Runs one event. Returns false when there is none, or the history has failed. */
bool sim_step(void);

/* --- sim-event.c --- */

sd_event *sim_event_new(Process *process);
void sim_event_free(sd_event *event);
/* The source of that process to run next; NULL: none is ready. */
sd_event_source *sim_event_ready(sd_event *event);
void sim_event_dispatch(sd_event_source *source);
/* Time of the next timer; USEC_INFINITY: none. */
uint64_t sim_event_next(const sd_event *event);
Process *sim_event_process(const sd_event *event);

/* --- sim-net.c --- */

Service *sim_service_new(Machine *machine, bool network);
/* A descriptor to listen on, as the service manager hands it in. */
int sim_service_listen(Service *service);
/* Connects the current process: returns a descriptor, -ECONNREFUSED, … */
int sim_connect(Service *service);
void sim_net_advance(void);
uint64_t sim_net_next(void);
/* Events out of EPOLLIN, EPOLLOUT, EPOLLHUP that hold for the descriptor now. */
uint32_t sim_net_ready(int fd);
/* The process has died: its descriptors that were not closed are. */
void sim_net_process_died(const Process *process);
void sim_net_machine_died(const Machine *machine);
typedef enum NetFault {
        NET_CUT,
        NET_HALF_OPEN
} NetFault;
/* Strikes one connection at random; `network`: one over the network. Returns whether there was one. */
bool sim_net_strike(NetFault fault);
void sim_net_reset(void);
/* Whether connect() has ended well. */
bool sim_net_connected(int fd);

/* --- sim-faulty-disk.c --- */

/* The machine's disk for that process. */
Disk *sim_faulty_disk(Process *process);

/* --- sim-client.c, sim-collector.c --- */

void sim_client_new(unsigned number, uint64_t n_records);
/* Everything that landed is on its way: nothing is left in kernel, ring and store. */
bool sim_client_drained(unsigned number);
void sim_collector_new(void);
bool sim_collector_drained(void);
void sim_clients_free(void);

/* --- sim-faults.c --- */

void sim_faults_begin(uint64_t until_usec);
/* All faults end: from now on everything has to work. */
void sim_faults_end(void);

/* --- sim-oracle.c --- */

/* The line of record `number` of a client, as it must be in the log; returns its size. */
size_t oracle_line(unsigned client, uint64_t number, char *out, size_t size);
/* The text behind msg= alone, as the kernel says it. */
size_t oracle_text(unsigned client, uint64_t number, char *out, size_t size);
void oracle_begin(void);
void oracle_done(void);
/* A ring begins its life, behind the `read` first records of the kernel. */
void oracle_ring(unsigned client, const StreamId *stream, uint64_t read);
/* The ring has published up to `newest`; `source` reads it. `dropped`: records not yet told by a gap record;
 * `generated`: records that the dispatcher has read from the kernel, all published or dropped. */
void oracle_published(unsigned client, Source *source, uint64_t dropped, uint64_t generated);
/* Whoever sends that stream was told that all up to seq is in custody. */
void oracle_acked(const StreamId *stream, uint64_t seq, bool by_collector);
/* A receiver says so now: it must be on its medium. */
void oracle_ack_out(const Machine *machine, const StreamId *stream, uint64_t seq);
/* The machine of a client died, and its ring with it. */
void oracle_client_died(unsigned client);
/* The last thing in remote's store says that it ended in order: then no death is told, whatever the ring
 * still held. */
void oracle_clean_end(unsigned client, bool clean);

typedef struct Verdict {
        uint64_t records; /* accepted: published by a ring */
        uint64_t lost, duplicated, unaccounted;
        uint64_t machine_death; /* of them, those that died with their machine */
        uint64_t dropped;       /* never accepted: a full ring said so */
        uint64_t death_records; /* gap records about a machine's death */
        uint64_t gap_records;   /* gap records of full rings */
} Verdict;

/* Everything has arrived: compares. */
void oracle_judge(const Machine *collector, Verdict *ret);

/* --- sim-reader.c --- */

typedef struct ReaderBatch {
        uint64_t first, last; /* own seqs */
        StreamId stream;      /* null: the store's own */
        uint64_t received_first, received_last;
        unsigned received_reason;
        uint32_t count;
        const uint8_t *text;
        size_t size;
} ReaderBatch;

/* Calls found() for every batch of a store, in order, and verifies all that there is to verify: checksums,
 * seqs, chain, text that is the batches' and nothing else. Returns NULL or what is wrong. */
const char *reader_walk(const SimDisk *disk, bool chained,
                        void (*found)(const ReaderBatch *batch, void *userdata), void *userdata);
/* How far a stream is on the medium, by the newest segment alone: what a receiver would say after a power
 * cut. */
uint64_t reader_durable(const SimDisk *disk, const StreamId *stream);
/* The chain's hash: not SHA-256, but 32 bytes that depend on everything. */
void reader_hash(const void *data, size_t size, uint8_t ret_digest[static 32]);
