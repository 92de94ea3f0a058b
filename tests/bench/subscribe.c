/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A subscriber of the dispatcher, as a plugin is one: takes batches by the link's receiver and acks them. The bytes
 * it got are proven by their hash, which costs less than to look at each record; where it is another than it
 * should be, the numbers at the batches' edges say what is missing.
 *
 *      good      reads and acks
 *      careless  the same, and looks at nothing: to be killed
 *      silent    says WELCOME and never reads again
 *      slow      says WELCOME and reads a byte a second
 */

#include "bench.h"
#include "link/link-receiver.h"
#include "records.h"

#include <inttypes.h>
#include <sys/socket.h>
#include <xxhash.h>

#define READ_SIZE (256U * 1024U)

typedef struct Subscriber {
        LinkReceiver receiver;
        Buffer input, output;
        XXH3_state_t *hash;
        StreamId stream;
        uint64_t last, checksum; /* where the stream stands, over all connections */
        bool appended;
        uint64_t count;
        bool careless;
        uint64_t records, newest, lost, duplicated;
} Subscriber;

static Subscriber *subscriber_of(LinkReceiver *receiver)
{
        return container_of(receiver, Subscriber, receiver);
}

static void on_hello(LinkReceiver *receiver, const LinkHello *hello)
{
        Subscriber *subscriber = subscriber_of(receiver);
        bool known = stream_id_equal(&subscriber->stream, &hello->stream);

        subscriber->stream = hello->stream;
        if (!known)
                subscriber->last = subscriber->checksum = 0;
        if (link_receiver_welcome(receiver, &subscriber->output, subscriber->last, subscriber->checksum, "bench",
                                  "") < 0)
                abort();
}

/* Numbers of the first and last line must follow on, and lie as far apart as there are records. */
static void count_records(Subscriber *subscriber, const Batch *batch)
{
        const uint8_t *payload = batch->payload, *end = payload + batch->size;
        const uint8_t *first_end = memchr(payload, '\n', batch->size);
        uint64_t first = first_end ? records_number(payload, (size_t) (first_end - payload)) : 0;
        uint64_t last = records_number(payload, (size_t) (end - payload));

        (void) XXH3_64bits_update(subscriber->hash, payload, batch->size);
        subscriber->records += batch->count;
        if (first == 0 || last == 0) /* not ours: the hash will say so */
                return;
        if (first > subscriber->newest + 1)
                subscriber->lost += first - subscriber->newest - 1;
        else if (first <= subscriber->newest)
                subscriber->duplicated += subscriber->newest + 1 - first;
        if (last - first + 1 > batch->count)
                subscriber->lost += last - first + 1 - batch->count;
        subscriber->newest = MAX(subscriber->newest, last);
}

static int on_batch(LinkReceiver *receiver, const Batch *batch)
{
        Subscriber *subscriber = subscriber_of(receiver);

        subscriber->appended = true;
        if (batch_is_heartbeat(batch))
                return 0;
        if (batch->reason == BATCH_RECORDS && !subscriber->careless)
                count_records(subscriber, batch);
        subscriber->last = batch->last;
        subscriber->checksum = batch->checksum;
        return 0;
}

static const LinkReceiverHandler handler = {
        .hello = on_hello,
        .batch = on_batch,
};

static int report(const Subscriber *subscriber, uint64_t wanted)
{
        bool whole = XXH3_64bits_digest(subscriber->hash) == wanted;

        printf("{\"end_ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64 ", \"records\": %" PRIu64 ", \"lost\": %" PRIu64
               ", \"duplicated\": %" PRIu64 ", \"strange\": %d}\n",
               bench_now(), bench_cpu(), subscriber->records, subscriber->lost, subscriber->duplicated, whole ? 0 : 1);
        (void) fflush(stdout);
        return EXIT_SUCCESS;
}

/* Takes what one read() brings. Returns 0 at the end of the connection. */
static ssize_t turn(Subscriber *subscriber, int fd)
{
        uint8_t *space = buffer_reserve(&subscriber->input, READ_SIZE);
        ssize_t n = space ? read(fd, space, READ_SIZE) : -1;

        if (n <= 0)
                return n;
        buffer_extend(&subscriber->input, (size_t) n);
        subscriber->appended = false;
        n = link_receiver_feed(&subscriber->receiver, buffer_head(&subscriber->input), buffer_size(&subscriber->input),
                               &subscriber->output);
        if (n < 0)
                return n;
        buffer_consume(&subscriber->input, (size_t) n);
        if (subscriber->appended &&
            link_receiver_ack(&subscriber->receiver, &subscriber->output, subscriber->receiver.received,
                              subscriber->receiver.bytes_received) < 0)
                return -1;
        if (bench_write(fd, buffer_head(&subscriber->output), buffer_size(&subscriber->output)) < 0)
                return -1;
        buffer_consume(&subscriber->output, buffer_size(&subscriber->output));
        return 1;
}

static void misbehave(int fd, bool slow)
{
        uint8_t byte;

        while (!slow)
                (void) pause();
        while (read(fd, &byte, 1) >= 0)
                (void) sleep(1);
}

static void serve(Subscriber *subscriber, int fd, const char *way)
{
        bool good = strcmp(way, "good") == 0 || strcmp(way, "careless") == 0;

        link_receiver_init(&subscriber->receiver, &handler, LINK_WINDOW_DEFAULT, 0);
        buffer_consume(&subscriber->input, buffer_size(&subscriber->input));
        while (subscriber->newest < subscriber->count && turn(subscriber, fd) > 0)
                if (!good && subscriber->receiver.state == LINK_RECEIVER_CONNECTED)
                        misbehave(fd, strcmp(way, "slow") == 0);
        link_receiver_done(&subscriber->receiver);
}

int verb_subscribe(int argc, char **argv)
{
        Subscriber subscriber = {
                .input = BUFFER_INIT(LINK_FRAME_MAX + 2 * READ_SIZE),
                .output = BUFFER_INIT(64U * 1024U),
                .hash = XXH3_createState(),
                .count = strtoull(argv[2], NULL, 10),
        };
        int listener = atoi(argv[1]);
        RecordsSum sum = { 0 };
        bool good = strcmp(argv[4], "good") == 0;

        subscriber.careless = !good;
        if (!subscriber.hash || (good && records_sum(argv[3], subscriber.count, &sum) < 0))
                return bench_fail("subscribe", ENOMEM);
        (void) XXH3_64bits_reset(subscriber.hash);
        puts("{\"ready\": true}");
        (void) fflush(stdout);
        while (subscriber.newest < subscriber.count) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd < 0)
                        return bench_fail("accept", errno);
                serve(&subscriber, fd, argv[4]);
                /* Kept open at the end: the dispatcher need not deal with one that leaves before the others. */
                if (subscriber.newest < subscriber.count)
                        (void) close(fd);
        }
        (void) report(&subscriber, sum.hash);
        (void) pause();
        return EXIT_SUCCESS;
}
