/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The receiving programs: the aggregator whole, and the half of remote that is the same. The sockets are
 * handed in; everything else is put together as the programs do it.
 */

#include "sim-keeper.h"
#include "runtime/loop.h"

#undef NDEBUG
#include <assert.h>
#include <stdlib.h>

#define TICK_USEC USEC_PER_SEC
#define HELLO_USEC (10 * USEC_PER_SEC)
#define CONNECTIONS_MAX 32U

struct Keeper {
        Process *process;
        KeeperOptions options;
        StoreLoop *store;
        Inlet *inlet;
        sd_event_source *tick;
};

/* --- Handlers --- */

static LinkByeCode on_admit(InletSession *session, InletIdentity *ret_identity, char **ret_why)
{
        Keeper *keeper = inlet_userdata(inlet_session_inlet(session));

        store_loop_owe(keeper->store);
        *ret_identity = (InletIdentity){.owner = keeper->options.owner, .node = keeper->options.name};
        return 0;
}

static void on_refused(InletSession *session, LinkByeCode code, const char *why)
{
        /* A connection that breaks before HELLO counts as one that did not like our certificate. */
        if (code != LINK_BYE_CERTIFICATE && !sim_process_is_gone(sim.current))
                sim_fail("%s refuses a peer: %s", sim.current->name, why);
}

static const InletHandler inlet_handler = {
        .admit = on_admit,
        .refused = on_refused,
};

/* The last moment at which an ACK can be judged before it is on its way. */
static void on_flush(IntakeSession *session)
{
        LinkReceiver *receiver = &session->receiver;

        if (sim.options.bug == BUG_ACK_BEFORE_COMMIT_END && receiver->state == LINK_RECEIVER_CONNECTED)
                assert(link_receiver_ack(receiver, session->output, receiver->received,
                                         receiver->bytes_received) == 0);
        if (receiver->state == LINK_RECEIVER_CONNECTED && receiver->acked > 0 &&
            !sim_process_is_gone(sim.current))
                oracle_ack_out(sim.current->machine, &receiver->stream, receiver->acked);
        inlet_flush(session);
}

static LinkByeCode on_judge(IntakeSession *session, const LinkHello *hello, const char **ret_why)
{
        const Keeper *keeper = inlet_userdata(inlet_session_inlet(inlet_session_of(session)));
        char node[NODE_NAME_MAX + 1] = "";

        if (keeper->options.hello)
                keeper->options.hello(keeper->options.userdata);
        if (session->owner)
                return 0;
        assert(hello->node.size < sizeof node);
        memcpy(node, hello->node.data, hello->node.size);
        return intake_session_identify(session, node, node) < 0 ? LINK_BYE_INTERNAL : 0;
}

static void on_records_refused(IntakeSession *session, uint32_t n, RecordFault fault)
{
        sim_fail("%s refuses records: %s", sim.current->name, record_fault_to_string(fault));
}

static void on_bye(IntakeSession *session, const LinkBye *bye)
{
        const Keeper *keeper = inlet_userdata(inlet_session_inlet(inlet_session_of(session)));

        if (keeper->options.bye)
                keeper->options.bye(&session->receiver, bye, keeper->options.userdata);
}

/* As the aggregator says it: with WELCOME, and when it begins or ends. */
static LinkState full_state(bool on)
{
        return (LinkState){.on = on, .name = link_string("disk_full"), .keys = link_string("")};
}

static void on_connected(IntakeSession *session)
{
        const Keeper *keeper = inlet_userdata(inlet_session_inlet(inlet_session_of(session)));
        LinkState state = full_state(true);

        if (keeper->options.chained && store_loop_holds(keeper->store, STORE_FULL))
                intake_session_tell(session, &state);
}

static const IntakeHandler intake_handler = {
        .flush = on_flush,
        .connected = on_connected,
        .judge = on_judge,
        .bye = on_bye,
        .refused = on_records_refused,
};

static void on_durable(StoreLoop *loop, void *userdata)
{
        Keeper *keeper = userdata;

        if (keeper->options.durable)
                keeper->options.durable(loop, keeper->options.userdata);
}

static void on_condition(StoreLoop *loop, StoreCondition condition, bool on, void *userdata)
{
        const Keeper *keeper = userdata;
        LinkState state = full_state(on);

        if (keeper->options.chained && condition == STORE_FULL)
                intake_tell(store_loop_intake(loop), &state);
        /* No medium here forgets what it has said is safe. */
        if (condition == STORE_DAMAGED)
                sim_fail("the store of %s is damaged", sim.current->name);
}

static const StoreLoopHandler store_handler = {
        .durable = on_durable,
        .condition = on_condition,
};

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
        Keeper *keeper = userdata;

        inlet_tick(keeper->inlet);
        if (keeper->options.tick)
                keeper->options.tick(keeper->options.userdata);
        (void) sd_event_source_set_time(source, sim.now + TICK_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- Life --- */

Store *keeper_store(Keeper *keeper)
{
        return store_loop_store(keeper->store);
}

StoreLoop *keeper_store_loop(Keeper *keeper)
{
        return keeper->store;
}

bool keeper_troubled(Keeper *keeper)
{
        return store_loop_holds(keeper->store, STORE_FULL) || store_loop_holds(keeper->store, STORE_ERROR);
}

bool keeper_settled(Keeper *keeper)
{
        StoreStatus status;

        store_status(keeper_store(keeper), &status);
        return status.newest == status.written && !store_dirty(keeper_store(keeper));
}

static int make(Keeper *keeper)
{
        StoreLoopOptions store = {
                .directory = "store",
                .store =
                        {
                                .hash = keeper->options.chained ? reader_hash : NULL,
                                .segment_size_max = sim.segment_size,
                                .segment_age_usec = sim.age_usec,
                                .delete_acked = !keeper->options.chained,
                                .use_max = keeper->options.chained ? 0 : sim.use_max,
                                .delete_unacked = !keeper->options.chained && sim.use_max > 0,
                                .links = keeper->options.chained,
                        },
                .conditions = {"low", "full", "error", "damaged"},
                .node = keeper->options.name,
                .name = keeper->options.name,
                .boot_id = keeper->options.chained ? NULL : keeper->process->machine->boot_id,
                .intake = &intake_handler,
                .window = sim.window,
                .handler = &store_handler,
                .userdata = keeper,
        };
        InletOptions inlet = {
                .handler = &inlet_handler,
                .connections_max = CONNECTIONS_MAX,
                .connect_usec = HELLO_USEC,
                .idle_usec = keeper->options.chained ? sim.timeout_usec : USEC_INFINITY,
                .userdata = keeper,
        };
        int r;

        r = store_loop_new(keeper->process->event, &store, &keeper->store);
        if (r < 0)
                return r;
        inlet.intake = store_loop_intake(keeper->store);
        r = inlet_new(keeper->process->event, &inlet, &keeper->inlet);
        if (r == 0)
                r = acceptor_listen(inlet_acceptor(keeper->inlet), sim_service_listen(keeper->options.service));
        if (r == 0)
                r = sd_event_add_time(keeper->process->event, &keeper->tick, CLOCK_MONOTONIC,
                                      sim.now + TICK_USEC, 0, on_tick, keeper);
        return r;
}

int keeper_new(Process *process, const KeeperOptions *options, Keeper **ret)
{
        Keeper *keeper = calloc(1, sizeof *keeper);
        int r;

        assert(keeper);
        keeper->process = process;
        keeper->options = *options;
        r = make(keeper);
        if (r < 0)
                keeper = keeper_free(keeper);
        *ret = keeper;
        return r;
}

Keeper *keeper_free(Keeper *keeper)
{
        if (!keeper)
                return NULL;
        (void) sd_event_source_disable_unref(keeper->tick);
        (void) inlet_free(keeper->inlet);
        (void) store_loop_free(keeper->store);
        free(keeper);
        return NULL;
}

static void on_finished(void *userdata)
{
        Keeper *keeper = userdata;

        if (keeper->options.finished)
                keeper->options.finished(keeper->options.userdata);
        sim_process_exit(keeper->process);
}

void keeper_finish(Keeper *keeper)
{
        if (acceptor_waiting(inlet_acceptor(keeper->inlet)))
                store_loop_owe(keeper->store);
        acceptor_close(inlet_acceptor(keeper->inlet));
        store_loop_finish(keeper->store, on_finished, keeper);
}

/* --- The aggregators --- */

static Process *aggregators[SIM_COLLECTORS_MAX];

static int aggregator_start(Process *process)
{
        KeeperOptions options = {
                .service = process->machine->service,
                .name = sim_collector_name(process->machine->collector),
                .chained = true,
        };
        Keeper *keeper;
        int r = keeper_new(process, &options, &keeper);

        process->data = keeper;
        return r;
}

static void aggregator_free(Process *process)
{
        process->data = keeper_free(process->data);
}

static void aggregator_terminate(Process *process)
{
        keeper_finish(process->data);
}

Machine *sim_collector_new(unsigned number)
{
        static const Program program = {
                .start = aggregator_start, .free = aggregator_free, .terminate = aggregator_terminate};
        Machine *machine = sim_machine_new(sim_collector_name(number));
        char name[16];

        machine->collector = number;
        machine->service = sim_service_new(machine, true);
        (void) snprintf(name, sizeof name, "aggregator-%u", number);
        aggregators[number] = sim_process_new(name, machine, &program);
        return machine;
}

bool sim_collectors_drained(void)
{
        for (unsigned i = 0; i < sim.n_collectors; i++)
                if (!aggregators[i]->alive || !keeper_settled(aggregators[i]->data))
                        return false;
        return true;
}
