/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A client: a kernel that numbers its records, dispatcher and remote.
 *
 * The kernel's queue is two numbers; it outlives the dispatcher, as a socket that PID 1 holds does, and not
 * the machine. Messages land in the ring as recvmmsg() would put them there, and are formatted and published
 * by the shipping writer.
 */

#include "sim-keeper.h"
#include "dispatcher/gap.h"
#include "dispatcher/writer.h"
#include "record/record.h"
#include "runtime/loop.h"
#include "runtime/outlet.h"

#undef NDEBUG
#include <assert.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* AUDIT_USER */
#define RECORD_TYPE 1005
#define LINE_OVERHEAD 128U
#define TICK_USEC USEC_PER_SEC
/* Without a further drop for so long, what was dropped is told out of the reserve. */
#define DROP_TICKS 3U
#define LOCAL_TIMEOUT_USEC (120 * USEC_PER_SEC)
#define CONNECT_USEC (10 * USEC_PER_SEC)
#define LOCAL_CONNECT_USEC (60 * USEC_PER_SEC)
#define BACKOFF_MIN_USEC (100 * USEC_PER_MSEC)
#define BACKOFF_MAX_USEC (5 * USEC_PER_SEC)

typedef struct Client {
        unsigned number;
        char node[16];
        Machine *machine;
        Process *dispatcher, *remote;
        /* The kernel */
        uint64_t n_records, generated, read;
        uint64_t next_usec;
        /* The dispatcher */
        char ring_path[64];
        Ring *ring;
        Source *source, *observed;
        Outlet *subscriber;
        sd_event_source *kernel, *tick;
        uint64_t dropped;
        unsigned drop_ticks;
        /* remote */
        Keeper *keeper;
        Outlet *uplink;
} Client;

static Client clients[SIM_CLIENTS_MAX];
static char directory[32];

/* --- The kernel --- */

static void generate(Client *client)
{
        while (client->generated < client->n_records && client->next_usec <= sim.now) {
                client->generated++;
                /* In bursts: an event has several records. */
                if (sim_chance(20))
                        client->next_usec += sim_spread(5 * sim.interval_usec);
        }
}

static size_t put_message(const Client *client, uint64_t number, uint8_t *out)
{
        size_t size = oracle_text(client->number, number, (char *) out + sizeof(struct nlmsghdr),
                                  RING_MESSAGE_MAX - sizeof(struct nlmsghdr));
        struct nlmsghdr header = {.nlmsg_len = (uint32_t) size, .nlmsg_type = RECORD_TYPE};

        memcpy(out, &header, sizeof header);
        return sizeof header + size;
}

static void receive(Client *client)
{
        struct mmsghdr *headers = ring_landing_prepare(client->ring);
        uint64_t n = 1 + sim_below(RING_LANDING_MAX);

        for (uint64_t i = 0; i < n && client->read < client->generated; i++) {
                headers[i].msg_len = (unsigned) put_message(client, client->read + 1,
                                                            headers[i].msg_hdr.msg_iov->iov_base);
                client->read++;
        }
}

/* --- The dispatcher --- */

static void take_message(Client *client, Writer *writer, const uint8_t *data, size_t size, bool *full)
{
        RingState *state = ring_state(client->ring);
        uint8_t *room = *full ? NULL : writer_room(writer);

        data += sizeof(struct nlmsghdr);
        size -= sizeof(struct nlmsghdr);
        *full = !room;
        if (room)
                writer_commit(writer, record_format(RECORD_TYPE, data, size, ring_node(client->ring), room,
                                                    &state->replaced));
        else
                gap_count_dropped(state, RECORD_TYPE, realtime_usec());
}

static void observe(Client *client)
{
        oracle_published(client->number, client->observed, ring_state(client->ring)->dropped, client->read);
        if (client->subscriber)
                outlet_wake(client->subscriber);
}

static void take_landed(Client *client)
{
        unsigned n = ring_landed(client->ring);
        size_t size, expected = 0;
        const uint8_t *data;
        bool full = false;
        uint32_t port;
        Writer writer;

        for (unsigned i = 0; i < n; i++) {
                (void) ring_landed_message(client->ring, i, &size, &port);
                expected += size + LINE_OVERHEAD;
        }
        writer = writer_begin(client->ring, BATCH_ORIGIN_KERNEL, expected);
        for (unsigned i = 0; i < n; i++) {
                data = ring_landed_message(client->ring, i, &size, &port);
                take_message(client, &writer, data, size, &full);
        }
        (void) writer_end(&writer);
        ring_publish(client->ring);
        observe(client);
}

static int on_kernel(sd_event_source *source, uint64_t usec, void *userdata)
{
        Client *client = userdata;

        generate(client);
        if (client->read < client->generated) {
                receive(client);
                take_landed(client);
        }
        (void) sd_event_source_set_time(source,
                                        client->read < client->generated ? sim.now : client->next_usec);
        if (client->read < client->n_records)
                (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

static int on_dispatcher_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
        Client *client = userdata;
        uint64_t dropped = ring_state(client->ring)->dropped;

        client->drop_ticks = dropped == client->dropped ? client->drop_ticks + 1 : 0;
        client->dropped = dropped;
        if (dropped > 0 && client->drop_ticks >= DROP_TICKS && gap_write_dropped(client->ring, true)) {
                ring_publish(client->ring);
                observe(client);
        }
        (void) sd_event_source_set_time(source, sim.now + TICK_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- Both outlets --- */

static Client *client_of(const Outlet *outlet)
{
        return outlet_userdata(outlet);
}

static int on_open(Outlet *outlet, int *ret_fd, TlsSession **ret_tls, char **ret_why)
{
        const Client *client = client_of(outlet);
        bool local = client->dispatcher == sim.current;
        int fd = sim_connect(local ? client->machine->service : sim.machines[0].service);

        if (fd < 0)
                return fd;
        *ret_fd = fd;
        *ret_tls = NULL;
        return 0;
}

static void note_acked(Outlet *outlet, uint64_t seq)
{
        if (seq > 0 && !sim_process_is_gone(sim.current))
                oracle_acked(&outlet_sender(outlet)->stream, seq, client_of(outlet)->remote == sim.current);
}

static void on_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        sim_trace("connected, %" PRIu64 " are in custody", welcome->last);
        note_acked(outlet, welcome->last);
}

static void on_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        sim_trace("no connection: %s", why);
        if (!sim_process_is_gone(sim.current) &&
            (trouble == OUTLET_E_PROTOCOL || trouble == OUTLET_E_REFUSED || trouble == OUTLET_E_SOURCE))
                sim_fail("%s: %s", sim.current->name, why);
}

static void on_diverged(Outlet *outlet, uint64_t peer_last)
{
        if (!sim_process_is_gone(sim.current))
                sim_fail("%s: the peer has another history, up to %" PRIu64, sim.current->name, peer_last);
}

static const OutletHandler outlet_handler = {
        .open = on_open,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .acked = note_acked,
        .diverged = on_diverged,
};

/* --- The programs --- */

static int open_ring(Client *client)
{
        RingOptions options = {.path = client->ring_path, .size = RING_SIZE_MIN, .node = client->node};
        RingStatus status;
        bool created;
        int r;

        for (unsigned i = 0; i < sizeof options.stream; i++)
                options.stream.bytes[i] = (uint8_t) (1 + sim_below(255));
        r = ring_open(&options, &client->ring, &created);
        if (r < 0)
                return r;
        if (ring_set_aside(client->ring))
                sim_fail("the ring of %s was set aside: %s", client->node, ring_set_aside(client->ring));
        ring_status(client->ring, &status);
        if (created)
                oracle_ring(client->number, &status.stream, client->read);
        client->source = ring_source(client->ring, "remote", true);
        client->observed = ring_source(client->ring, "oracle", false);
        assert(client->source && client->observed);
        return 0;
}

static int dispatcher_start(Process *process)
{
        Client *client = process->data;
        OutletOptions options = {
                .handler = &outlet_handler,
                .node = client->node,
                .connect_usec = LOCAL_CONNECT_USEC,
                .timeout_usec = LOCAL_TIMEOUT_USEC,
                .backoff_min_usec = BACKOFF_MIN_USEC,
                .backoff_max_usec = BACKOFF_MAX_USEC,
                .idle = true,
                .userdata = client,
        };
        int r = open_ring(client);

        if (r < 0)
                return r;
        options.source = client->source;
        r = outlet_new(process->event, &options, &client->subscriber);
        if (r < 0)
                return r;
        take_landed(client);
        (void) sd_event_add_time(process->event, &client->kernel, CLOCK_MONOTONIC, sim.now, 0, on_kernel,
                                 client);
        (void) sd_event_source_set_priority(client->kernel, LOOP_DATA);
        return sd_event_add_time(process->event, &client->tick, CLOCK_MONOTONIC, sim.now + TICK_USEC, 0,
                                 on_dispatcher_tick, client);
}

static void dispatcher_free(Process *process)
{
        Client *client = process->data;

        client->kernel = sd_event_source_disable_unref(client->kernel);
        client->tick = sd_event_source_disable_unref(client->tick);
        client->subscriber = outlet_free(client->subscriber);
        client->ring = ring_free(client->ring);
}

static void on_remote_durable(StoreLoop *loop, void *userdata)
{
        Client *client = userdata;

        if (!client->remote->terminating)
                oracle_clean_end(client->number, false);
        if (client->uplink)
                outlet_wake(client->uplink);
}

static int remote_start(Process *process)
{
        Client *client = process->data;
        KeeperOptions keeper = {
                .service = client->machine->service,
                .name = client->node,
                .owner = "local",
                .durable = on_remote_durable,
                .userdata = client,
        };
        OutletOptions options = {
                .handler = &outlet_handler,
                .node = client->node,
                .connect_usec = CONNECT_USEC,
                .timeout_usec = sim.timeout_usec,
                .backoff_min_usec = BACKOFF_MIN_USEC,
                .backoff_max_usec = BACKOFF_MAX_USEC,
                .userdata = client,
        };
        int r = keeper_new(process, &keeper, &client->keeper);

        if (r < 0)
                return r;
        options.source = store_source(keeper_store(client->keeper), "collector");
        assert(options.source);
        return outlet_new(process->event, &options, &client->uplink);
}

static void remote_free(Process *process)
{
        Client *client = process->data;

        client->uplink = outlet_free(client->uplink);
        client->keeper = keeper_free(client->keeper);
}

static void remote_terminate(Process *process)
{
        Client *client = process->data;

        outlet_end(client->uplink, LINK_BYE_ENDING, "remote is stopping", false);
        keeper_finish(client->keeper);
        oracle_clean_end(client->number, true);
}

/* --- The machine --- */

/* What RAM held is gone: ring and kernel. */
static void on_reborn(Machine *machine)
{
        Client *client = &clients[machine->client];

        (void) unlink(client->ring_path);
        generate(client);
        client->read = client->generated;
        client->next_usec = MAX(client->next_usec, machine->up_usec);
        oracle_client_died(client->number);
}

void sim_client_new(unsigned number, uint64_t n_records)
{
        static const Program dispatcher = {.start = dispatcher_start, .free = dispatcher_free};
        static const Program remote = {
                .start = remote_start, .free = remote_free, .terminate = remote_terminate};
        Client *client = &clients[number];
        char name[16];

        if (!directory[0]) {
                strcpy(directory,
                       access("/dev/shm", W_OK) == 0 ? "/dev/shm/simulate-XXXXXX" : "/tmp/simulate-XXXXXX");
                assert(mkdtemp(directory));
        }
        *client = (Client){.number = number, .n_records = n_records};
        (void) snprintf(client->node, sizeof client->node, "c%u", number);
        (void) snprintf(client->ring_path, sizeof client->ring_path, "%s/ring-%u", directory, number);
        client->machine = sim_machine_new(client->node);
        client->machine->client = number;
        client->machine->reborn = on_reborn;
        client->machine->service = sim_service_new(client->machine, false);
        (void) snprintf(name, sizeof name, "dispatch-%u", number);
        client->dispatcher = sim_process_new(name, client->machine, &dispatcher);
        client->dispatcher->data = client;
        (void) snprintf(name, sizeof name, "remote-%u", number);
        client->remote = sim_process_new(name, client->machine, &remote);
        client->remote->data = client;
}

bool sim_client_drained(unsigned number)
{
        Client *client = &clients[number];
        RingStatus ring;
        StoreStatus store;

        if (!client->dispatcher->alive || !client->remote->alive || client->read < client->n_records)
                return false;
        ring_status(client->ring, &ring);
        store_status(keeper_store(client->keeper), &store);
        return ring.used == 0 && ring_state(client->ring)->dropped == 0 && keeper_settled(client->keeper) &&
               store.released == store.newest;
}

void sim_clients_free(void)
{
        for (unsigned i = 0; i < SIM_CLIENTS_MAX; i++)
                (void) unlink(clients[i].ring_path);
        if (directory[0])
                (void) rmdir(directory);
        directory[0] = '\0';
}
