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
 *      sim-client.c       a machine with kernel and dispatcher (kernel records → ring → outlet)
 *      sim-remote.c       … and remote; which collector it uses
 *      sim-collector.c    aggregator; what it and remote have in common
 *      sim-faults.c       what strikes, and when
 *      sim-oracle.c       who promised what
 *      sim-history.c      what became of records that were in a store which was set back
 *      sim-judge.c        what must be in the collectors' stores in the end
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

#define SIM_COLLECTORS_MAX 2U
/* Clones among them. */
#define SIM_CLIENTS_MAX 5U
/* The world itself, a dispatcher and a remote for each client, the aggregators. */
#define SIM_PROCESSES_MAX (1 + 2 * SIM_CLIENTS_MAX + SIM_COLLECTORS_MAX)

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
        FAULT_CLIENT_SHUT_DOWN,
        FAULT_COLLECTOR_DIES,
        FAULT_NO_SPACE,
        FAULT_WRITE_ERROR,
        FAULT_SYNC_ERROR,
        FAULT_SLOW_SYNC,
        FAULT_CLOCK,
        FAULT_FAILOVER,
        FAULT_CLIENT_ROLLED_BACK,
        FAULT_CLIENT_CLONED,
        FAULT_COLLECTOR_RESTORED,
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

/* How a machine is shut down: one process after the other. */
typedef enum ShutDown {
        SHUT_DOWN_NOT,
        SHUT_DOWN_DISPATCHER,
        SHUT_DOWN_REMOTE,
} ShutDown;

struct Process {
        char name[16];
        const Program *program;
        Machine *machine;
        sd_event *event;
        bool alive;
        bool terminating;      /* it was told to end */
        bool starting;         /* in its program's start() */
        bool tried;            /* it was started in this boot, well or not */
        bool held;             /* it is not started: its machine is being shut down */
        const Process *after;  /* it is not started before that one was tried, nor while that one stops */
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
        SimDisk *snapshot;                /* of earlier, to go back to; NULL: none */
        int64_t clock_usec;               /* what its clock is off by */
        ShutDown shut_down;
        uint64_t shut_down_usec;          /* until when the process in turn has to end */
        uint64_t slow_until;              /* syncs take seconds */
        uint64_t space_until;             /* capacity is limited */
        uint64_t die_usec;                /* at the latest, when a cut is armed */
        Service *service;                 /* where its receiver listens */
        void (*died)(Machine *machine);   /* it goes down, in order or not … */
        void (*reborn)(Machine *machine); /* … and what RAM held is gone */
        unsigned client;                  /* number, or SIM_CLIENTS_MAX */
        unsigned collector;               /* number, or SIM_COLLECTORS_MAX */
};

typedef struct Options {
        Bug bug;
        unsigned trace;    /* so many lines of a history that fails are printed */
        bool no_ack_check; /* leave it to the end to find what was acked and is not there */
        bool drop_oldest;  /* remote's disk is small: when it is full, the oldest goes, whoever has it */
} Options;

typedef struct World {
        Options options;
        uint64_t seed;
        uint64_t random;
        uint64_t now; /* monotonic; realtime is SIM_EPOCH later */
        Process processes[SIM_PROCESSES_MAX];
        unsigned n_processes;
        Machine machines[SIM_COLLECTORS_MAX + SIM_CLIENTS_MAX]; /* the collectors' first */
        unsigned n_machines;
        unsigned n_clients, n_collectors;
        unsigned identity[SIM_CLIENTS_MAX]; /* as whom each client speaks: a clone as another */
        Process *current;
        jmp_buf jump; /* out of the step at which the current process dies */
        uint64_t struck[_FAULT_MAX];
        uint64_t events;
        char failure[512]; /* the first; empty: none */

        /* Sizes and timings of this history. */
        uint64_t segment_size, window, socket_size, delay_usec, job_usec, text_max, long_percent;
        uint64_t timeout_usec, interval_usec, age_usec;
        uint64_t use_max; /* of remote's store, 0: none */
        bool compress;  /* on the way to collectors */
        bool fails_over; /* the clients know all collectors */
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
/* SIGTERM. */
void sim_process_terminate(Process *process);
/* The machine loses power now; its processes start again when it is back. */
void sim_machine_kill(Machine *machine, uint64_t back_usec);
/* While it is down its disk becomes what it was at the snapshot. */
void sim_machine_set_back(Machine *machine);
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
/* A socket that connects to the collector later, as uplink.c does it. */
int sim_socket(void);
void sim_socket_connect(int fd, Service *service);
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

/* --- sim-client.c, sim-remote.c, sim-collector.c --- */

void sim_client_new(unsigned number, uint64_t n_records);
/* A second machine with what the snapshot holds. Returns false when there is none, or no place. */
bool sim_client_clone(const Machine *machine);
void sim_client_fail_over(const Machine *machine);
/* Whose turn it is in that stage. */
Process *sim_client_process(const Machine *machine, ShutDown stage);
/* Everything that landed is on its way: nothing is left in kernel, ring and store. */
bool sim_client_drained(unsigned number);
Machine *sim_collector_new(unsigned number);
/* Where collectors' ports are: SIM_PORT + number. */
#define SIM_PORT 6560
const char *sim_collector_name(unsigned number);
bool sim_collectors_drained(void);
void sim_clients_free(void);

/* --- sim-faults.c --- */

void sim_faults_begin(uint64_t until_usec);
/* All faults end: from now on everything has to work. */
void sim_faults_end(void);

/* --- sim-oracle.c --- */

/* Who keeps what he acked: a collector's number, or: */
#define KEEPER_REMOTE SIM_COLLECTORS_MAX

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
void oracle_acked(const StreamId *stream, uint64_t seq, unsigned keeper);
/* A receiver says so now: it must be on its medium. */
void oracle_ack_out(const Machine *machine, const StreamId *stream, uint64_t seq);
/* The machine of a client went down, and its ring with it. `begun`: its store was in use; `clean`: it ended
 * with nothing left to be delivered, so that no death may be told. */
void oracle_client_died(unsigned client, bool begun, bool clean);

/* --- sim-history.c --- */

typedef struct Store Store;

/* remote starts, with what is on its disk. */
void oracle_remote_started(unsigned client, Store *store);
/* The collector's WELCOME was accepted: it has all up to `last`. */
void oracle_welcomed(unsigned client, unsigned collector, const StreamId *stream, uint64_t last, Store *store);
void oracle_heard(unsigned client, unsigned collector, const StreamId *stream, uint64_t seq);
/* The collector knows another history; the store's newest is `newest`. */
void oracle_diverged(unsigned client, uint64_t newest);
/* Something became durable in remote's store. */
void oracle_durable(unsigned client, Store *store);
/* How far the collector is, by all that the client heard of it. */
uint64_t oracle_heard_up_to(unsigned client, unsigned collector);
/* The disk of a client will be what `snapshot` is; of a collector; a second client begins with what the
 * snapshot of the first holds. */
void oracle_rolled_back(unsigned client, const SimDisk *snapshot);
void oracle_restored(unsigned collector, const SimDisk *now, const SimDisk *snapshot);
void oracle_cloned(unsigned original, unsigned clone, const SimDisk *disk);

/* --- sim-judge.c --- */

typedef struct Verdict {
        uint64_t records; /* accepted: published by a ring */
        uint64_t lost, duplicated, unaccounted;
        uint64_t machine_death; /* of them, those that died with their machine */
        uint64_t dropped;       /* never accepted: a full ring said so */
        uint64_t death_records; /* gap records about a machine's death */
        uint64_t gap_records;   /* gap records of full rings */
        uint64_t rolled_back;   /* gone with a client's disk before any collector had them */
        uint64_t restored;      /* gone with a collector's disk, and told as lost */
        uint64_t deleted;       /* by a remote that was full, before any collector had them, and told as lost */
        uint64_t restarts;      /* new streams */
        uint64_t set_backs;     /* collectors with less than they had acked, noticed by a client */
        uint64_t sent_twice;    /* records that two collectors have, or one in two streams */
        uint64_t clean_ends;    /* shut down with nothing left behind */
} Verdict;

/* Everything has arrived: compares. */
void oracle_judge(Verdict *ret);

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
/* The same for every batch that can be read in a store that is in use, or has just crashed; from that own seq on. */
void reader_scan(const SimDisk *disk, uint64_t from, void (*found)(const ReaderBatch *batch, void *userdata), void *userdata);
/* How far a stream is on the medium, by the newest segment alone: what a receiver would say after a power
 * cut. */
uint64_t reader_durable(const SimDisk *disk, const StreamId *stream);
/* What the medium says of a collector's custody. */
uint64_t reader_custody(const SimDisk *disk, const char *collector);
/* … and how many bytes the segment had that ended with this own seq, and was deleted; 0: nothing. */
uint64_t reader_deleted(const SimDisk *disk, uint64_t last);
/* The chain's hash: not SHA-256, but 32 bytes that depend on everything. */
void reader_hash(const void *data, size_t size, uint8_t ret_digest[static 32]);
