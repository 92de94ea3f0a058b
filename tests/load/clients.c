/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Many clients of one collector in one process: the shipping outlet, link and TLS, each with a certificate, a
 * stream and an address of its own. What it is to do comes on standard input, a command a line, and each is
 * answered by a line.
 *
 *      clients prepare DIRECTORY N            makes a CA, a collector's certificate and N clients'
 *      clients gnutls DIRECTORY N             bytes that a server's session takes of GnuTLS alone
 *      clients run DIRECTORY FIRST N ADDRESS PORT [BATCH]   N of them from that number on, with the commands
 *
 *              send K            each client gets K more records, at once; BATCH of them (1) are a batch, and K is a multiple
 *              trickle K SECONDS each gets K more, one by one, spread over that time
 *              streams K FIRST   each delivers one record in each of K streams, numbered from FIRST, its own name in another case each time
 *              connected         answers when all are
 *              acked             answers when all that was sent is acked
 *              end               says BYE for all
 */

#include "load.h"
#include "runtime/issue.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/outlet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define TICK_USEC (20 * USEC_PER_MSEC)
#define LINE_MAX 512U
/* A machine that plays all the hosts of a fleet may be out of breath. */
#define PATIENCE_USEC (120 * USEC_PER_SEC)

typedef struct Client {
        Source source;
        StreamId stream;
        char node[16];
        unsigned number;
        uint64_t newest, acked;
        unsigned long streams, stream_number; /* to be begun still, and the number of the next */
        uint64_t checksum; /* of the batch that ends at `acked` */
        Tls *tls;
        Outlet *outlet;
        char *text; /* of the batch asked for last */
} Client;

/* Who sends batches is measured: lines as long as audit's are, 267 bytes on average. */
static const char bulk[] = " exe=\"/usr/lib/x86_64-linux-gnu/libexec/some-program\" hostname=client-17.example.org "
                           "addr=192.0.2.17 terminal=/dev/pts/17 subj=unconfined_u:unconfined_r:unconfined_t";

static Client *clients;
static unsigned n_clients;
static uint64_t batch_records = 1;
static uint64_t n_disconnects, sent, wanted_trickle, trickled, trickle_begin, trickle_usec;
static struct sockaddr_in collector;
static sd_event *event;
static char waiting_for[16]; /* a command that is still to be answered */
static uint64_t asked_usec;

/* --- A source that makes its records when they are asked for --- */

static Client *client_of(Source *source)
{
        return container_of(source, Client, source);
}

static size_t make_line(const Client *client, uint64_t seq, char *line)
{
        int n = snprintf(line, LINE_MAX,
                         "node=%s type=USER msg=audit(1700000000.000:%lu): pid=1 uid=0 auid=0 ses=1%s "
                         "msg='op=load n=%lu res=success'\n",
                         client->node, (unsigned long) seq, batch_records > 1 ? bulk : "", (unsigned long) seq);

        return (size_t) n;
}

/* The one that begins with seq. */
static void make_batch(Client *client, uint64_t first, Batch *ret)
{
        size_t size = 0;

        for (uint64_t seq = first; seq < first + batch_records; seq++)
                size += make_line(client, seq, client->text + size);
        *ret = (Batch) { .first = first, .last = first + batch_records - 1, .count = (uint32_t) batch_records,
                         .size = (uint32_t) size, .origin = BATCH_ORIGIN_LOCAL,
                         .payload = (const uint8_t *) client->text };
        batch_seal(ret);
}

static void on_range(Source *source, SourceRange *ret)
{
        const Client *client = client_of(source);

        *ret = (SourceRange) { client->stream, 1, client->newest };
}

static int on_get(Source *source, uint64_t seq, Cursor *cursor, Batch *ret)
{
        Client *client = client_of(source);

        if (seq > client->newest)
                return seq == client->newest + 1 ? 0 : -ESTALE;
        make_batch(client, seq, ret);
        return 1;
}

static int on_ended(Source *source, uint64_t seq, uint64_t *ret_checksum)
{
        Client *client = client_of(source);
        Batch batch;

        if (seq > client->newest)
                return -ESTALE;
        make_batch(client, seq - batch_records + 1, &batch);
        *ret_checksum = batch.checksum;
        return 1;
}

static void on_release(Source *source, uint64_t seq, uint64_t checksum)
{
        client_of(source)->acked = seq;
}

/* --- The outlets --- */

static int on_open(Outlet *outlet, int *ret_fd, Transport **ret_transport, char **ret_why)
{
        Client *client = outlet_userdata(outlet);
        /* 127.1.0.1 and so on: each an address of its own. */
        struct sockaddr_in own = { .sin_family = AF_INET,
                                   .sin_addr = { htonl(0x7f010001U + client->number / 250U * 256U +
                                                       client->number % 250U) } };
        _cleanup_(close_fdp) int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int on = 1, r;

        if (fd < 0 || bind(fd, (struct sockaddr *) &own, sizeof own) < 0)
                return -errno;
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(fd, (struct sockaddr *) &collector, sizeof collector) < 0 && errno != EINPROGRESS)
                return -errno;
        r = tls_session_new(client->tls, false, LOAD_COLLECTOR, fd, ret_transport);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int on_judge(Outlet *outlet, Transport *transport, char **ret_why)
{
        return tls_session_judge(tls_session_of(transport), ((Client *) outlet_userdata(outlet))->tls, ret_why);
}

static void on_disconnected(Outlet *outlet, OutletTrouble trouble, const char *why)
{
        static uint64_t said_usec;

        n_disconnects++;
        if (log_limit(&said_usec, USEC_PER_SEC))
                log_info("%s: %s", ((Client *) outlet_userdata(outlet))->node, why ? why : "disconnected");
}

static const OutletHandler handler = {
        .open = on_open,
        .judge = on_judge,
        .disconnected = on_disconnected,
};

static unsigned count_connected(void)
{
        unsigned n = 0;

        for (unsigned i = 0; i < n_clients; i++)
                n += outlet_connected(clients[i].outlet);
        return n;
}

static bool all_acked(void)
{
        for (unsigned i = 0; i < n_clients; i++)
                if (clients[i].acked < clients[i].newest)
                        return false;
        return true;
}

/* --- Commands --- */

static void give(Client *client, uint64_t n)
{
        client->newest += n;
        sent += n;
        outlet_wake(client->outlet);
}

static void answer(void)
{
        printf("%s %.3f disconnects=%lu sent=%lu\n", waiting_for,
               (double) (monotonic_usec() - asked_usec) / (double) USEC_PER_SEC, (unsigned long) n_disconnects,
               (unsigned long) sent);
        (void) fflush(stdout);
        waiting_for[0] = '\0';
}

static void trickle(void)
{
        uint64_t elapsed = monotonic_usec() - trickle_begin, due;

        if (trickled >= wanted_trickle)
                return;
        due = elapsed >= trickle_usec ? wanted_trickle : wanted_trickle * elapsed / trickle_usec;
        for (; trickled < due; trickled++)
                give(&clients[trickled % n_clients], 1);
}

/* Whose stream is acked begins the next one. */
static void begin_streams(void)
{
        for (Client *client = clients; client < clients + n_clients; client++) {
                if (client->streams == 0 || client->acked < client->newest)
                        continue;
                client->node[0] ^= ' ';
                memcpy(client->stream.bytes + sizeof client->stream / 2, &client->stream_number, sizeof client->stream_number);
                client->stream_number++;
                client->streams--;
                client->acked = 0;
                client->newest = 1;
                outlet_end(client->outlet, LINK_BYE_ENDING, "another stream", true);
        }
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
        trickle();
        begin_streams();
        if ((strcmp(waiting_for, "connected") == 0 && count_connected() == n_clients) ||
            (strcmp(waiting_for, "acked") == 0 && trickled >= wanted_trickle && all_acked()))
                answer();
        (void) sd_event_source_set_time_relative(source, TICK_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int command(const char *line)
{
        unsigned long n, number;
        double seconds;

        asked_usec = monotonic_usec();
        (void) snprintf(waiting_for, sizeof waiting_for, "%.*s", (int) strcspn(line, " \n"), line);
        if (sscanf(line, "send %lu", &n) == 1) {
                for (unsigned i = 0; i < n_clients; i++)
                        give(&clients[i], n);
                answer();
        } else if (sscanf(line, "trickle %lu %lf", &n, &seconds) == 2) {
                trickled = 0;
                wanted_trickle = n * n_clients;
                trickle_begin = monotonic_usec();
                trickle_usec = (uint64_t) (seconds * (double) USEC_PER_SEC);
                answer();
        } else if (sscanf(line, "streams %lu %lu", &n, &number) == 2) {
                for (unsigned i = 0; i < n_clients; i++) {
                        clients[i].streams = n;
                        clients[i].stream_number = number;
                }
                answer();
        } else if (strncmp(line, "connected", 9) != 0 && strncmp(line, "acked", 5) != 0) {
                return sd_event_exit(event, strncmp(line, "end", 3) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
        }
        return 0;
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        static char text[LINE_MAX];
        static size_t size;
        ssize_t n = read(fd, text + size, sizeof text - size - 1);
        char *newline;

        if (n <= 0)
                return sd_event_exit(event, EXIT_SUCCESS);
        size += (size_t) n;
        text[size] = '\0';
        while ((newline = strchr(text, '\n'))) {
                int r = command(text);

                if (r < 0)
                        return r;
                size -= (size_t) (newline + 1 - text);
                memmove(text, newline + 1, size + 1);
        }
        return 0;
}

/* --- Life --- */

static int make_client(const char *directory, unsigned first, unsigned i)
{
        Client *client = &clients[i];
        OutletOptions options = {
                .source = &client->source,
                .handler = &handler,
                .connect_usec = PATIENCE_USEC,
                .timeout_usec = PATIENCE_USEC,
                .backoff_min_usec = 20 * USEC_PER_MSEC,
                .backoff_max_usec = 2 * USEC_PER_SEC,
                .userdata = client,
        };

        *client = (Client) { .source = { on_range, on_get, on_ended, on_release }, .number = first + i };
        (void) snprintf(client->node, sizeof client->node, "n%u", first + i);
        memcpy(client->stream.bytes, client->node, sizeof client->node);
        options.node = client->node;
        client->text = malloc(batch_records * LINE_MAX);
        client->tls = client->text ? load_tls(directory, client->node) : NULL;
        return client->tls ? outlet_new(event, &options, &client->outlet) : -EIO;
}

static int run(const char *directory, unsigned first, unsigned n, const char *address, const char *port)
{
        sd_event_source *ticks;
        int r;

        collector = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons((uint16_t) atoi(port)) };
        if (inet_pton(AF_INET, address, &collector.sin_addr) != 1)
                return -EINVAL;
        n_clients = n;
        clients = calloc(n, sizeof *clients);
        r = clients ? sd_event_new(&event) : -ENOMEM;
        for (unsigned i = 0; r >= 0 && i < n; i++)
                r = make_client(directory, first, i);
        if (r >= 0)
                r = sd_event_add_io(event, NULL, STDIN_FILENO, EPOLLIN, on_input, NULL);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &ticks, CLOCK_MONOTONIC, TICK_USEC, 0, on_tick, NULL);
        if (r < 0)
                return r;
        printf("ready\n");
        (void) fflush(stdout);
        r = sd_event_loop(event);
        for (unsigned i = 0; i < n; i++) {
                outlet_free(clients[i].outlet);
                tls_unref(clients[i].tls);
                free(clients[i].text);
        }
        free(clients);
        return r;
}

static int write_file(const char *directory, const char *name, const char *kind, const char *text)
{
        char path[512];
        FILE *file;
        int r;

        (void) snprintf(path, sizeof path, "%s/%s.%s.pem", directory, name, kind);
        file = fopen(path, "we");
        if (!file)
                return -errno;
        r = fputs(text, file) < 0 ? -EIO : 0;
        return fclose(file) != 0 ? -EIO : r;
}

static int issue(const char *directory, IssueKind kind, const char *name, const IssuePair *ca, IssuePair *ret)
{
        IssueRequest request = { .kind = kind, .name = name, .not_before = time(NULL) - 3600,
                                 .not_after = time(NULL) + 7 * 24 * 3600 };
        _cleanup_(freep) char *why = NULL;
        int r = issue_certificate(&request, ca, ret, &why);

        if (r >= 0)
                r = write_file(directory, name, "cert", ret->certificate);
        if (r >= 0)
                r = write_file(directory, name, "key", ret->key);
        return r;
}

static int prepare(const char *directory, unsigned n)
{
        IssuePair ca = { 0 }, pair = { 0 };
        int r = issue(directory, ISSUE_CA, LOAD_CA, NULL, &ca);

        if (r >= 0)
                r = issue(directory, ISSUE_COLLECTOR, LOAD_COLLECTOR, &ca, &pair);
        for (unsigned i = 0; r >= 0 && i < n; i++) {
                char name[16];

                issue_pair_done(&pair);
                (void) snprintf(name, sizeof name, "n%u", i);
                r = issue(directory, ISSUE_CLIENT, name, &ca, &pair);
        }
        issue_pair_done(&pair);
        issue_pair_done(&ca);
        return r;
}

int main(int argc, char **argv)
{
        unsigned n = argc > 3 ? (unsigned) atoi(argv[3]) : 0;
        int r = -EINVAL;

        log_init_tool("clients", LOG_INFO);
        if (n > 0 && argc == 4 && strcmp(argv[1], "prepare") == 0)
                r = prepare(argv[2], n);
        else if (n > 0 && argc == 4 && strcmp(argv[1], "gnutls") == 0)
                r = load_gnutls_share(argv[2], n);
        else if (argc >= 7 && strcmp(argv[1], "run") == 0 && (batch_records = argc > 7 ? strtoull(argv[7], NULL, 10) : 1) > 0)
                r = run(argv[2], n, (unsigned) atoi(argv[4]), argv[5], argv[6]);
        if (r < 0)
                log_error("%s", strerror(-r));
        return r < 0 ? EXIT_FAILURE : r;
}
