/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A client's machine: a kernel that numbers its records, and the dispatcher. remote is in sim-remote.c.
 *
 * The kernel's queue is two numbers; it outlives the dispatcher, as a socket that PID 1 holds does, and not
 * the machine. Messages land in the ring as recvmmsg() would put them there, and are formatted and published
 * by the shipping writer.
 */

#include "sim-client.h"
#include "dispatcher/gap.h"
#include "dispatcher/writer.h"
#include "record/record.h"
#include "runtime/loop.h"

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
#define LOCAL_CONNECT_USEC (60 * USEC_PER_SEC)
#define BACKOFF_MIN_USEC (100 * USEC_PER_MSEC)
#define BACKOFF_MAX_USEC (5 * USEC_PER_SEC)

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

        if (client->dispatcher->terminating) {
                sim_process_exit(client->dispatcher);
                return 0;
        }
        client->drop_ticks = dropped == client->dropped ? client->drop_ticks + 1 : 0;
        client->dropped = dropped;
        if (dropped > 0 && client->drop_ticks >= DROP_TICKS && gap_write_dropped(client->ring, true)) {
                ring_publish(client->ring);
                observe(client);
        }
        (void) sd_event_source_set_time(source, sim.now + TICK_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- Its outlet --- */

Client *client_of(const Process *process)
{
        return &clients[process->machine->client];
}

/* As the dispatcher's on_terminate(): all acked, a BYE, and the connection's end. */
static void finish_if_drained(Client *client)
{
        RingStatus status;

        if (!client->dispatcher->terminating || client->leaving)
                return;
        ring_status(client->ring, &status);
        if (!outlet_connected(client->subscriber)) {
                sim_process_exit(client->dispatcher);
        } else if (status.used == 0) {
                client->leaving = true;
                outlet_end(client->subscriber, LINK_BYE_ENDING, "the dispatcher is stopping", false);
        }
}

static int on_open(Outlet *outlet, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        const Client *client = outlet_userdata(outlet);
        int fd = sim_connect(client->machine->service);

        if (fd < 0)
                return fd;
        *ret_fd = fd;
        *ret_transport = NULL;
        return 0;
}

static void on_acked(Outlet *outlet, uint64_t seq)
{
        if (seq > 0 && !sim_process_is_gone(sim.current))
                oracle_acked(&outlet_sender(outlet)->stream, seq, KEEPER_REMOTE);
        finish_if_drained(outlet_userdata(outlet));
}

static void on_connected(Outlet *outlet, const LinkWelcome *welcome)
{
        sim_trace("connected, %" PRIu64 " are in custody", welcome->last);
        on_acked(outlet, welcome->last);
}

static void on_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        Client *client = outlet_userdata(outlet);

        sim_trace("no connection: %s", why);
        if (!sim_process_is_gone(sim.current) &&
            (trouble == OUTLET_E_PROTOCOL || trouble == OUTLET_E_REFUSED || trouble == OUTLET_E_SOURCE))
                sim_fail("%s: %s", sim.current->name, why);
        if (client->dispatcher->terminating)
                sim_process_exit(client->dispatcher);
}

static void on_diverged(Outlet *outlet, uint64_t peer_last)
{
        if (!sim_process_is_gone(sim.current))
                sim_fail("%s: remote has another history, up to %" PRIu64, sim.current->name, peer_last);
}

static const OutletHandler outlet_handler = {
        .open = on_open,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .acked = on_acked,
        .diverged = on_diverged,
};

/* --- The program --- */

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
                .userdata = client,
        };
        int r = open_ring(client);

        if (r < 0)
                return r;
        options.source = client->source;
        r = outlet_new(process->event, &options, &client->subscriber);
        if (r < 0)
                return r;
        client->leaving = false;
        /* What the one before said is not its word, whether or not remote gets to hear it. */
        client->goodbye = false;
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

/* The kernel's socket is PID 1's and keeps what comes for the next dispatcher. */
static void dispatcher_terminate(Process *process)
{
        Client *client = process->data;

        client->kernel = sd_event_source_disable_unref(client->kernel);
        if (gap_write_dropped(client->ring, true)) {
                ring_publish(client->ring);
                observe(client);
        }
        (void) sd_event_source_set_time(client->tick, sim.now + LOOP_EXIT_TIMEOUT_USEC);
        finish_if_drained(client);
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
        client->begun = client->goodbye = client->clean = false;
}

/* Called before it is reborn. */
static void on_died(Machine *machine)
{
        const Client *client = &clients[machine->client];

        oracle_client_died(client->number, client->begun, client->clean);
}

static void prepare(unsigned number)
{
        static const Program dispatcher = {
                .start = dispatcher_start, .free = dispatcher_free, .terminate = dispatcher_terminate};
        Client *client = &clients[number];
        char name[16];

        (void) snprintf(client->ring_path, sizeof client->ring_path, "%s/ring-%u", directory, number);
        (void) snprintf(name, sizeof name, "c%u", number);
        client->machine = sim_machine_new(name);
        client->machine->client = number;
        client->machine->died = on_died;
        client->machine->reborn = on_reborn;
        client->machine->service = sim_service_new(client->machine, false);
        remote_new(client);
        (void) snprintf(name, sizeof name, "dispatch-%u", number);
        client->dispatcher = sim_process_new(name, client->machine, &dispatcher);
        client->dispatcher->data = client;
        /* As its unit says. */
        client->dispatcher->after = client->remote;
}

void sim_client_new(unsigned number, uint64_t n_records)
{
        if (!directory[0]) {
                strcpy(directory,
                       access("/dev/shm", W_OK) == 0 ? "/dev/shm/simulate-XXXXXX" : "/tmp/simulate-XXXXXX");
                assert(mkdtemp(directory));
        }
        clients[number] = (Client){.number = number, .n_records = n_records};
        clients[number].collector = (unsigned) sim_below(sim.n_collectors);
        sim.identity[number] = number;
        (void) snprintf(clients[number].node, sizeof clients[number].node, "c%u", number);
        prepare(number);
}

bool sim_client_clone(const Machine *machine)
{
        const Client *original = &clients[machine->client];
        unsigned number = sim.n_clients;
        Client *clone = &clients[number];

        if (number == SIM_CLIENTS_MAX || !machine->snapshot)
                return false;
        sim_trace("c%u is cloned as c%u", original->number, number);
        *clone = (Client){
                .number = number, .n_records = 5 + original->n_records / 2, .collector = original->collector};
        strcpy(clone->node, original->node);
        sim.identity[number] = sim.identity[original->number];
        clone->next_usec = sim.now;
        prepare(number);
        sim.n_clients++;
        clone->machine->disk = sim_disk_free(clone->machine->disk);
        clone->machine->disk = sim_disk_copy(machine->snapshot, sim_draw());
        oracle_cloned(original->number, number, clone->machine->disk);
        return true;
}

void sim_client_fail_over(const Machine *machine)
{
        remote_fail_over(&clients[machine->client]);
}

Process *sim_client_process(const Machine *machine, ShutDown stage)
{
        const Client *client = &clients[machine->client];

        return stage == SHUT_DOWN_DISPATCHER ? client->dispatcher : client->remote;
}

bool sim_client_drained(unsigned number)
{
        Client *client = &clients[number];
        RingStatus ring;

        if (!client->dispatcher->alive || !client->remote->alive || client->read < client->n_records)
                return false;
        ring_status(client->ring, &ring);
        return ring.used == 0 && ring_state(client->ring)->dropped == 0 && remote_drained(client);
}

void sim_clients_free(void)
{
        for (unsigned i = 0; i < SIM_CLIENTS_MAX; i++)
                (void) unlink(clients[i].ring_path);
        if (directory[0])
                (void) rmdir(directory);
        directory[0] = '\0';
}
