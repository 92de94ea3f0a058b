/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each part alone, on one thread, with batches as a busy input makes them: what a record costs there.
 *
 *      adopt    a producer's lines become lines of the node (dispatcher)
 *      check    a batch's lines are looked at (each receiver)
 *      hash     XXH3-64 of the payload (each hop, at both ends)
 *      sha256   of the payload (aggregator)
 *      codec    a batch into a frame and out of it, hash included
 *      ring     sealed, published, read by one subscriber that is waited for, released
 *      link     the same ring, both machines of the link between: framed, sent, taken apart, acked a window at a time
 *      store    appended, and synced each MiB
 *      tls      one end encrypts, the other decrypts
 */

#include "bench.h"
#include "link/frame.h"
#include "link/link-receiver.h"
#include "link/link-sender.h"
#include "record/record.h"
#include "records.h"
#include "ring/ring.h"
#include "runtime/tls.h"
#include "store/store.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <sys/random.h>
#include <sys/socket.h>

#define NODE "client"
/* What a Unix socket holds, and so what one turn of the dispatcher takes. */
#define PAYLOAD (192U * 1024U)
/* In turns: more than a cache of the second level holds. */
#define BATCHES 16U
#define SYNC_EACH (1024U * 1024U)
/* Batches that wait for their ack, as many as a default window holds. */
#define ACK_EACH (LINK_WINDOW_DEFAULT / PAYLOAD / 2U)

typedef struct Part {
        const char *directory;
        Batch batches[BATCHES];
        uint8_t *payloads[BATCHES];
        uint64_t next; /* seq of the next batch */
        /* Of the part measured. */
        uint8_t *scratch;
        Buffer buffer;
        Ring *ring;
        Source *source;
        Cursor cursor;
        LinkSender sender;
        LinkReceiver receiver;
        Buffer back; /* what the receiver says */
        unsigned unacked;
        Store *store;
        size_t unsynced;
        Tls *tls[2];
        Transport *sessions[2];
} Part;

static int make_batches(Part *part, const char *node)
{
        Records records;
        int r = records_init(&records, node);

        if (r < 0)
                return r;
        for (unsigned i = 0; i < BATCHES; i++) {
                Batch *batch = &part->batches[i];
                uint64_t first = records.next;

                part->payloads[i] = malloc(PAYLOAD);
                if (!part->payloads[i])
                        return -ENOMEM;
                batch->size = (uint32_t) records_fill(&records, part->payloads[i], PAYLOAD, UINT64_MAX);
                batch->count = (uint32_t) (records.next - first);
                batch->origin = BATCH_ORIGIN_LOCAL;
                batch->payload = part->payloads[i];
        }
        records_done(&records);
        part->next = 1;
        return 0;
}

/* The batch gets the seqs that come next; its hash stays. */
static Batch *next_batch(Part *part, unsigned i)
{
        Batch *batch = &part->batches[i % BATCHES];

        if (batch->payload_hash == 0)
                batch_seal(batch);
        batch_renumber(batch, part->next, part->next + batch->count - 1);
        part->next += batch->count;
        return batch;
}

/* --- The parts: begin, one batch --- */

static int begin_nothing(Part *part)
{
        return 0;
}

static int adopt(Part *part, Batch *batch)
{
        const uint8_t *p = batch->payload, *end = p + batch->size, *newline;
        RecordAdopter adopter;

        record_adopter_init(&adopter, NODE, p, batch->size);
        for (; p < end && (newline = memchr(p, '\n', (size_t) (end - p))); p = newline + 1) {
                size_t size;

                if (record_adopt_next(&adopter, p, (size_t) (newline - p), part->scratch, &size) != RECORD_OK)
                        return -EBADMSG;
        }
        return 0;
}

static int check(Part *part, Batch *batch)
{
        BatchSpan span;
        uint32_t line;

        return record_check_batch(batch, NODE, &line, &span) == RECORD_OK ? 0 : -EBADMSG;
}

static int hash(Part *part, Batch *batch)
{
        return batch_payload_intact(batch) ? 0 : -EBADMSG;
}

static void sha256_of(const void *data, size_t size, uint8_t ret_digest[static SHA256_SIZE])
{
        if (gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, ret_digest) < 0)
                abort();
}

static int sha256(Part *part, Batch *batch)
{
        sha256_of(batch->payload, batch->size, part->scratch);
        return 0;
}

static int codec(Part *part, Batch *batch)
{
        const char *why;
        Frame frame;
        int r;

        batch_seal(batch);
        r = frame_put_batch(&part->buffer, batch);
        if (r < 0)
                return r;
        r = frame_decode(buffer_head(&part->buffer), buffer_size(&part->buffer), &frame, &why);
        if (r > 0)
                r = frame_open_batch(&frame, NULL, NULL, &why);
        buffer_consume(&part->buffer, buffer_size(&part->buffer));
        return r;
}

static int begin_ring(Part *part)
{
        RingOptions options = { .size = RING_SIZE_DEFAULT, .node = NODE, .stream = { { 1 } } };
        _cleanup_(freep) char *path = NULL;
        bool created;
        int r;

        if (asprintf(&path, "%s/ring", part->directory) < 0)
                return -ENOMEM;
        options.path = path;
        r = ring_open(&options, &part->ring, &created);
        if (r < 0)
                return r;
        part->source = ring_source(part->ring, "subscriber", true);
        return part->source ? 0 : -ENOMEM;
}

static int publish(Part *part, const Batch *batch)
{
        uint8_t *room = ring_begin(part->ring, batch->size, false);

        if (!room)
                return -ENOSPC;
        memcpy(room, batch->payload, batch->size);
        ring_seal(part->ring, batch->size, batch->count, batch->origin);
        ring_publish(part->ring);
        return 0;
}

static int through_ring(Part *part, Batch *batch)
{
        Batch read;
        int r = publish(part, batch);

        if (r < 0)
                return r;
        r = part->source->get(part->source, batch->first, &part->cursor, &read);
        if (r <= 0)
                return r < 0 ? r : -ENOMSG;
        part->source->release(part->source, read.last, read.checksum);
        return 0;
}

static void on_hello(LinkReceiver *receiver, const LinkHello *hello)
{
        Part *part = container_of(receiver, Part, receiver);

        if (link_receiver_welcome(receiver, &part->back, 0, 0, "subscriber", NODE) < 0)
                abort();
}

static int on_batch(LinkReceiver *receiver, const Batch *batch)
{
        return 0;
}

/* What one machine has written, to the other. */
static int pass_on(Part *part)
{
        ssize_t n = link_receiver_feed(&part->receiver, buffer_head(&part->buffer), buffer_size(&part->buffer), &part->back);

        if (n < 0)
                return (int) n;
        buffer_consume(&part->buffer, (size_t) n);
        n = link_sender_feed(&part->sender, buffer_head(&part->back), buffer_size(&part->back), &part->buffer, 1);
        if (n < 0)
                return (int) n;
        buffer_consume(&part->back, (size_t) n);
        return 0;
}

static int begin_link(Part *part)
{
        static const LinkSenderHandler sender_handler = { 0 };
        static const LinkReceiverHandler receiver_handler = { .hello = on_hello, .batch = on_batch };
        int r = begin_ring(part);

        if (r < 0)
                return r;
        part->back = BUFFER_INIT(LINK_FRAME_MAX);
        link_sender_init(&part->sender, part->source, &sender_handler, NODE, 0);
        link_receiver_init(&part->receiver, &receiver_handler, LINK_WINDOW_DEFAULT, 0);
        r = link_sender_start(&part->sender, &part->buffer, 1);
        return r < 0 ? r : pass_on(part);
}

static int through_link(Part *part, Batch *batch)
{
        int r = publish(part, batch);

        if (r >= 0)
                r = link_sender_fill(&part->sender, &part->buffer, 1);
        if (r >= 0)
                r = pass_on(part);
        if (r < 0 || ++part->unacked < ACK_EACH)
                return r;
        part->unacked = 0;
        r = link_receiver_ack(&part->receiver, &part->back, part->receiver.received, part->receiver.bytes_received);
        return r < 0 ? r : pass_on(part);
}

static void random_bytes(void *bytes, size_t size)
{
        if (getrandom(bytes, size, 0) != (ssize_t) size)
                abort();
}

static int begin_store(Part *part)
{
        StoreOptions options = {
                .random = random_bytes,
                .segment_size_max = 128U * 1024U * 1024U,
                .group_bytes_max = 16U * 1024U * 1024U,
        };
        StoreReport report;
        int r = disk_open(part->directory, &options.disk);

        if (r < 0)
                return r;
        r = store_open(&options, 1, &part->store, &report);
        if (r < 0)
                disk_free(options.disk);
        else
                store_report_done(&report);
        return r;
}

static int into_store(Part *part, Batch *batch)
{
        static const StreamId stream = { { 2 } };
        Sink *sink = store_sink(part->store);
        StoreJob job;
        int r;

        r = sink->append(sink, &stream, NODE, batch, batch, 2);
        part->unsynced += batch->size;
        if (r < 0 || part->unsynced < SYNC_EACH)
                return r;
        part->unsynced = 0;
        r = store_commit_begin(part->store, 3, &job);
        if (r > 0)
                r = store_commit_end(part->store, store_job_run(&job), 3);
        return r;
}

static int begin_end(Part *part, unsigned end, int fd, const char *name)
{
        _cleanup_(freep) char *certificate = NULL, *key = NULL, *ca = NULL, *why = NULL;
        TlsOptions options;
        int r;

        if (asprintf(&certificate, "%s/%s/cert.pem", part->directory, name) < 0 ||
            asprintf(&key, "%s/%s/key.pem", part->directory, name) < 0 ||
            asprintf(&ca, "%s/%s/ca.pem", part->directory, name) < 0)
                return -ENOMEM;
        options = (TlsOptions) { .certificate = certificate, .key = key, .ca = ca };
        r = tls_new(&options, &part->tls[end], &why);
        if (r < 0)
                fprintf(stderr, "%s\n", why);
        return r < 0 ? r : tls_session_new(part->tls[end], end == 1, end == 0 ? "collector" : NULL, fd, &part->sessions[end]);
}

static int begin_tls(Part *part)
{
        int fds[2], r, done[2] = { -EAGAIN, -EAGAIN };

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        r = begin_end(part, 0, fds[0], "client");
        if (r >= 0)
                r = begin_end(part, 1, fds[1], "collector");
        while (r >= 0 && (done[0] < 0 || done[1] < 0))
                for (unsigned i = 0; i < 2; i++) {
                        if (done[i] < 0)
                                done[i] = part->sessions[i]->handshake(part->sessions[i]);
                        if (done[i] < 0 && done[i] != -EAGAIN)
                                return done[i];
                }
        return r;
}

static int through_tls(Part *part, Batch *batch)
{
        size_t sent = 0, received = 0;

        while (received < batch->size) {
                ssize_t n;

                if (sent < batch->size || part->sessions[0]->wants_write(part->sessions[0])) {
                        struct iovec pieces[2] = { { (void *) (batch->payload + sent), batch->size - sent } };

                        n = part->sessions[0]->write(part->sessions[0], pieces);
                        if (n < 0 && n != -EAGAIN)
                                return (int) n;
                        sent += n > 0 ? (size_t) n : 0;
                }
                n = part->sessions[1]->read(part->sessions[1], part->scratch, PAYLOAD);
                if (n < 0 && n != -EAGAIN)
                        return (int) n;
                received += n > 0 ? (size_t) n : 0;
        }
        return 0;
}

/* --- All parts --- */

static const struct {
        const char *name;
        const char *node; /* of the lines it gets */
        int (*begin)(Part *part);
        int (*take)(Part *part, Batch *batch);
} parts[] = {
        { "adopt", NULL, begin_nothing, adopt }, { "check", NODE, begin_nothing, check },
        { "hash", NODE, begin_nothing, hash },   { "sha256", NODE, begin_nothing, sha256 },
        { "codec", NODE, begin_nothing, codec }, { "ring", NODE, begin_ring, through_ring },
        { "link", NODE, begin_link, through_link }, { "store", NODE, begin_store, into_store },
        { "tls", NODE, begin_tls, through_tls },
};

static void part_done(Part *part)
{
        for (unsigned i = 0; i < 2; i++) {
                transport_free(part->sessions[i]);
                tls_unref(part->tls[i]);
        }
        for (unsigned i = 0; i < BATCHES; i++)
                free(part->payloads[i]);
        store_free(part->store);
        if (part->sender.source) {
                link_sender_done(&part->sender);
                link_receiver_done(&part->receiver);
        }
        ring_free(part->ring);
        buffer_done(&part->buffer);
        buffer_done(&part->back);
        free(part->scratch);
}

static int measure(unsigned which, Part *part, uint64_t count)
{
        uint64_t begin, cpu, done = 0;
        int r = make_batches(part, parts[which].node);

        if (r >= 0)
                r = parts[which].begin(part);
        begin = bench_now();
        cpu = bench_cpu();
        for (unsigned i = 0; r >= 0 && done < count; i++) {
                Batch *batch = next_batch(part, i);

                r = parts[which].take(part, batch);
                done += batch->count;
        }
        if (r < 0)
                return r;
        printf("{\"records\": %" PRIu64 ", \"begin_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64 ", \"cpu_ns\": {\"part\": %" PRIu64
               "}, \"peak_kib\": {\"part\": %" PRIu64 "}}\n",
               done, begin, bench_now(), bench_cpu() - cpu, bench_peak_kib());
        return 0;
}

/* DIRECTORY: for ring and store; for tls, with the certificates. */
int verb_part(int argc, char **argv)
{
        Part part = { .directory = argv[3], .scratch = malloc(PAYLOAD), .buffer = BUFFER_INIT(LINK_FRAME_MAX) };
        int r = -ENOENT;

        if (!part.scratch)
                return bench_fail("part", ENOMEM);
        for (unsigned i = 0; i < ELEMENTSOF(parts); i++)
                if (strcmp(argv[1], parts[i].name) == 0)
                        r = measure(i, &part, strtoull(argv[2], NULL, 10));
        part_done(&part);
        return r < 0 ? bench_fail(argv[1], r) : EXIT_SUCCESS;
}
