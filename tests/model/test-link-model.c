/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Both ends of the link in random histories: two hosts (the second a clone of the first), a collector, and connections that
 * deliver in random pieces, are cut, lose their tail, linger after the sender gave them up, and flip bits. Hosts append, drop
 * what was not acked, crash, and are rolled back; the collector commits when it likes, blocks, and crashes back to what was
 * durable.
 *
 *  1. What the collector has of a stream is the stream from seq 1, each seq once: as it was sealed, or explained as lost, and
 *     explained only if it was dropped.
 *  2. A source is told to release only what is durable at the collector, with the checksum the collector has.
 *  3. When a sender takes a WELCOME, the collector's history of the stream is the sender's, unless it once had to resume behind
 *     what it had dropped.
 *  4. A stream is found diverged only if there was a roll back or a clone.
 *  5. Two honest ends never call each other's bytes a violation.
 *  6. When nothing fails any more, everything arrives and is released.
 *
 * AUDIT_RELAY_SEED or --seed=N runs the one history with that seed; --histories=N that many of random seeds.
 */

#include "check-main.h"
#include "mark.h"
#include "array-source.h"
#include "link/link-receiver.h"
#include "link/link-sender.h"

#include <inttypes.h>
#include <sys/random.h>

enum { HOSTS = 2, SESSIONS = 6, STREAMS = 200, STEPS = 400, HISTORIES = 2500, BATCHES_MAX = 80 };

typedef struct Entry {
        Batch batch;
        uint64_t session; /* number of the one that delivered it */
        uint64_t bytes;   /* counted there when it was taken */
} Entry;

typedef struct Sealed {
        uint64_t first, last, checksum;
} Sealed;

typedef struct Session Session;

/* A stream as the collector sees it, and beside it what its source really sealed. */
typedef struct Stream {
        Entry entries[BATCHES_MAX * 12];
        size_t n_entries, n_durable;
        Session *session;
        Sealed sealed[BATCHES_MAX * 4];
        size_t n_sealed;
        uint64_t oldest; /* the highest oldest seq there ever was: below it everything may be explained as lost */
        bool blind;      /* a WELCOME was taken that could not be compared, as what it names was dropped */
} Stream;

typedef struct Host {
        ArraySource array;
        LinkSender sender;
        Session *session;
        size_t stream;
        unsigned salt;
        bool exists;
} Host;

struct Session {
        bool used, corrupt;
        uint64_t number;
        Host *host; /* NULL when the sender has given it up */
        LinkReceiver receiver;
        Buffer up, down;                /* what one end wrote and the other has not received */
        Buffer receiver_in, sender_in;  /* received and not consumed */
        Stream *stream;
        uint64_t acked_bytes;
        bool owes_welcome;
};

static struct {
        Host hosts[HOSTS];
        Session sessions[SESSIONS];
        Stream *streams[STREAMS];
        size_t n_streams;
        uint64_t n_sessions;
        uint64_t now_usec;
        bool blocked, forked, calm;
        uint64_t seed, state;
        unsigned step;
} world;

/* What must have been seen in all histories together. */
static struct {
        unsigned diverged, replaced, lost, blocked, exhausted, resumed, corrupted, heartbeats, compressed,
                crashes;
} seen;

#define HOLDS(condition) \
        ck_assert_msg((condition), "--seed=%" PRIu64 ", step %u: %s", world.seed, world.step, #condition)

/* splitmix64 */
static uint64_t random_next(void)
{
        uint64_t z = (world.state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

static uint64_t random_below(uint64_t n)
{
        return random_next() % n;
}

static bool one_in(uint64_t n)
{
        return random_below(n) == 0;
}

/* --- The collector --- */

static Stream *stream_of(const StreamId *id)
{
        size_t i = (size_t) id->bytes[0] << 8 | id->bytes[1];

        HOLDS(i < world.n_streams);
        return world.streams[i];
}

static uint64_t durable_last(const Stream *stream)
{
        return stream->n_durable > 0 ? stream->entries[stream->n_durable - 1].batch.last : 0;
}

static bool was_sealed(const Stream *stream, const Batch *batch)
{
        for (size_t i = 0; i < stream->n_sealed; i++)
                if (stream->sealed[i].first == batch->first && stream->sealed[i].checksum == batch->checksum)
                        return true;
        return false;
}

static void answer_hello(Session *session)
{
        Stream *stream = session->stream;
        uint64_t checksum;

        /* Either what is appended becomes durable first, or it is cut: WELCOME speaks of custody only. */
        if (one_in(2))
                stream->n_durable = stream->n_entries;
        else
                stream->n_entries = stream->n_durable;
        checksum = stream->n_durable > 0 ? stream->entries[stream->n_durable - 1].batch.checksum : 0;
        session->owes_welcome = false;
        HOLDS(link_receiver_welcome(&session->receiver, &session->down, durable_last(stream), checksum,
                                    "log1", "") == 0);
        seen.resumed += stream->n_durable > 0;
}

static void on_hello(LinkReceiver *receiver, const LinkHello *hello)
{
        Session *session = container_of(receiver, Session, receiver);
        Stream *stream = stream_of(&hello->stream);

        if (stream->session) {
                seen.replaced++;
                HOLDS(link_receiver_end(&stream->session->receiver, &stream->session->down,
                                        LINK_BYE_REPLACED, 0, "another session") == 0);
                stream->session->stream = NULL;
                stream->session->owes_welcome = false;
        }
        stream->session = session;
        session->stream = stream;
        session->owes_welcome = true;
        if (!one_in(4))
                answer_hello(session);
}

static int on_batch(LinkReceiver *receiver, const Batch *batch)
{
        Session *session = container_of(receiver, Session, receiver);
        Stream *stream = session->stream;
        uint64_t last = stream->n_entries > 0 ? stream->entries[stream->n_entries - 1].batch.last : 0;

        HOLDS(stream->session == session);
        HOLDS(batch->first == last + 1);
        if (world.blocked) {
                seen.blocked++;
                return -EAGAIN;
        }
        if (batch_is_heartbeat(batch)) {
                seen.heartbeats++;
                HOLDS(link_receiver_ack(receiver, &session->down, receiver->acked, session->acked_bytes) ==
                      0);
                return 0;
        }
        if (batch->reason == BATCH_LOST) {
                seen.lost++;
                HOLDS(batch->last < stream->oldest);
        } else {
                HOLDS(was_sealed(stream, batch));
        }
        HOLDS(stream->n_entries < ELEMENTSOF(stream->entries));
        stream->entries[stream->n_entries++] = (Entry) { *batch, session->number, receiver->bytes_received };
        return 0;
}

static const LinkReceiverHandler receiver_handler = { .hello = on_hello, .batch = on_batch };

/* Some or all of what is appended becomes durable, and is acked if a session is there to hear it. */
static void commit(Stream *stream)
{
        size_t n = stream->n_entries - stream->n_durable;
        Session *session = stream->session;

        if (n > 0)
                stream->n_durable += world.calm ? n : random_below(n + 1);
        if (!session || session->receiver.state != LINK_RECEIVER_CONNECTED || (!world.calm && one_in(4)))
                return;
        if (stream->n_durable > 0 && stream->entries[stream->n_durable - 1].session == session->number)
                session->acked_bytes = stream->entries[stream->n_durable - 1].bytes;
        HOLDS(link_receiver_ack(&session->receiver, &session->down, durable_last(stream),
                                session->acked_bytes) == 0);
}

/* --- Hosts --- */

static void new_stream(Host *host)
{
        size_t i = world.n_streams++;

        HOLDS(i < STREAMS);
        world.streams[i] = calloc(1, sizeof(Stream));
        world.streams[i]->oldest = 1;
        host->stream = i;
        host->array.stream.bytes[0] = (uint8_t) (i >> 8);
        host->array.stream.bytes[1] = (uint8_t) i;
        host->array.stream.bytes[15] = 1;
}

static void append(Host *host, uint32_t n)
{
        Stream *stream = world.streams[host->stream];
        const Batch *batch;

        if (host->array.n_batches >= BATCHES_MAX || stream->n_sealed == ELEMENTSOF(stream->sealed))
                return;
        array_append(&host->array, n, host->salt++);
        batch = &host->array.batches[host->array.n_batches - 1].batch;
        stream->sealed[stream->n_sealed++] = (Sealed) { batch->first, batch->last, batch->checksum };
}

static void drop(Host *host, size_t n)
{
        Stream *stream = world.streams[host->stream];

        host->array.dropped = MIN(host->array.dropped + n, host->array.n_batches);
        stream->oldest = MAX(stream->oldest, array_oldest(&host->array));
}

/* A new stream with what is still held, numbered from 1. */
static void restart_stream(Host *host)
{
        ArraySource *a = &host->array;
        size_t held = a->n_batches - a->dropped;
        uint32_t counts[BATCHES_MAX];

        for (size_t i = 0; i < held; i++)
                counts[i] = a->batches[a->dropped + i].batch.count;
        a->n_batches = a->dropped = 0;
        a->newest = a->released = a->released_checksum = 0;
        new_stream(host);
        for (size_t i = 0; i < held; i++)
                append(host, counts[i]);
}

static void on_diverged(LinkSender *sender, uint64_t peer_last)
{
        HOLDS(world.forked);
        HOLDS(peer_last == durable_last(world.streams[container_of(sender, Host, sender)->stream]) ||
              !world.calm);
        seen.diverged++;
        restart_stream(container_of(sender, Host, sender));
}

/* Entry by entry: the collector has what this host sealed. */
static void on_welcomed(LinkSender *sender, const LinkWelcome *welcome)
{
        Host *host = container_of(sender, Host, sender);
        Stream *stream = world.streams[host->stream];
        const ArraySource *a = &host->array;
        size_t i_batch = 0;

        HOLDS(welcome->last <= a->newest);
        if (welcome->last > 0 && welcome->last < array_oldest(a))
                stream->blind = true;
        if (stream->blind)
                return;
        for (size_t i = 0; i < stream->n_entries && stream->entries[i].batch.last <= welcome->last; i++) {
                const Batch *batch = &stream->entries[i].batch;

                if (batch->reason == BATCH_LOST)
                        continue;
                while (i_batch < a->n_batches && a->batches[i_batch].batch.first < batch->first)
                        i_batch++;
                HOLDS(i_batch < a->n_batches);
                HOLDS(a->batches[i_batch].batch.checksum == batch->checksum);
        }
}

static void release(Source *source, uint64_t seq, uint64_t checksum)
{
        Host *host = container_of(array_source(source), Host, array);
        const Stream *stream = world.streams[host->stream];

        HOLDS(seq <= durable_last(stream));
        for (size_t i = 0; i < stream->n_durable && checksum != 0; i++)
                if (stream->entries[i].batch.last == seq)
                        HOLDS(stream->entries[i].batch.checksum == checksum);
        array_release(source, seq, checksum);
}

static const LinkSenderHandler sender_handler = { .welcomed = on_welcomed, .diverged = on_diverged };

static void host_init(Host *host)
{
        array_init(&host->array, 0);
        host->array.source.release = release;
        host->array.explain_most = one_in(2) ? 0 : 1 + random_below(5);
        host->array.forgetful = one_in(4);
        host->exists = true;
        new_stream(host);
        link_sender_init(&host->sender, &host->array.source, &sender_handler, "web1",
                         one_in(32) ? LINK_FEATURE_ZSTD : 0);
}

/* --- Connections --- */

static void close_session(Session *session)
{
        if (session->host)
                session->host->session = NULL;
        if (session->stream)
                session->stream->session = NULL;
        link_receiver_done(&session->receiver);
        buffer_done(&session->up);
        buffer_done(&session->down);
        buffer_done(&session->receiver_in);
        buffer_done(&session->sender_in);
        *session = (Session) { 0 };
}

/* The sender's end is gone; what it wrote may still arrive. */
static void abandon(Session *session)
{
        if (session->host)
                session->host->session = NULL;
        session->host = NULL;
}

static void connect_host(Host *host)
{
        static const uint64_t windows[] = { 0, 1, 200, 2000, LINK_WINDOW_DEFAULT };
        Session *session = NULL;

        for (size_t i = 0; i < SESSIONS && !session; i++)
                if (!world.sessions[i].used)
                        session = &world.sessions[i];
        if (host->session || !host->exists || !session)
                return;
        *session = (Session) {
                .used = true, .number = ++world.n_sessions, .host = host,
                .up = BUFFER_INIT(4 * LINK_FRAME_MAX), .down = BUFFER_INIT(4 * LINK_FRAME_MAX),
                .receiver_in = BUFFER_INIT(8 * LINK_FRAME_MAX), .sender_in = BUFFER_INIT(8 * LINK_FRAME_MAX),
        };
        link_receiver_init(&session->receiver, &receiver_handler,
                           world.calm ? 1000 : windows[random_below(ELEMENTSOF(windows))],
                           LINK_FEATURE_ZSTD);
        host->session = session;
        HOLDS(link_sender_start(&host->sender, &session->up, world.now_usec) == 0);
}

static size_t piece(size_t size)
{
        static const size_t most[] = { 3, 40, 400, 100000 };
        size_t n = 1 + random_below(most[random_below(ELEMENTSOF(most))]);

        return world.calm ? size : MIN(size, n);
}

static void deliver_up(Session *session)
{
        size_t size = piece(buffer_size(&session->up));
        ssize_t n;

        HOLDS(buffer_append(&session->receiver_in, buffer_head(&session->up), size) == 0);
        buffer_consume(&session->up, size);
        n = link_receiver_feed(&session->receiver, buffer_head(&session->receiver_in),
                               buffer_size(&session->receiver_in), &session->down);
        HOLDS(n >= 0 || session->corrupt);
        if (n < 0)
                close_session(session);
        else
                buffer_consume(&session->receiver_in, (size_t) n);
}

static void deliver_down(Session *session)
{
        size_t size = piece(buffer_size(&session->down));
        ssize_t n;

        if (session->host) {
                HOLDS(buffer_append(&session->sender_in, buffer_head(&session->down), size) == 0);
                n = link_sender_feed(&session->host->sender, buffer_head(&session->sender_in),
                                     buffer_size(&session->sender_in), &session->up, world.now_usec);
                HOLDS(n >= 0 || session->corrupt);
                if (n >= 0)
                        buffer_consume(&session->sender_in, (size_t) n);
                if (session->host->sender.state == LINK_SENDER_ENDED)
                        abandon(session);
        }
        buffer_consume(&session->down, size);
}

static void reap(void)
{
        for (size_t i = 0; i < SESSIONS; i++) {
                Session *session = &world.sessions[i];
                bool over =
                        session->receiver.state == LINK_RECEIVER_ENDED && buffer_size(&session->down) == 0;

                if (session->used &&
                    (over || (!session->host && buffer_size(&session->up) == 0 && !session->owes_welcome)))
                        close_session(session);
        }
}

/* --- What may happen --- */

static void crash_collector(void)
{
        for (size_t i = 0; i < SESSIONS; i++)
                if (world.sessions[i].used)
                        close_session(&world.sessions[i]);
        for (size_t i = 0; i < world.n_streams; i++)
                world.streams[i]->n_entries = world.streams[i]->n_durable;
        seen.crashes++;
}

static void crash_sender(Host *host)
{
        uint16_t features = host->sender.features;

        if (host->session)
                abandon(host->session);
        link_sender_done(&host->sender);
        link_sender_init(&host->sender, &host->array.source, &sender_handler, "web1", features);
        host->array.released = host->array.released_checksum = 0;
}

static void roll_back(Host *host)
{
        world.forked = true;
        crash_sender(host);
        array_roll_back(&host->array, random_below(host->array.n_batches + 1));
}

static void clone_host(void)
{
        Host *from = &world.hosts[0], *to = &world.hosts[1];
        ArrayBatch *batches;

        if (to->exists || from->array.n_batches == 0)
                return;
        world.forked = true;
        host_init(to);
        batches = calloc(from->array.allocated, sizeof *batches);
        memcpy(batches, from->array.batches, from->array.n_batches * sizeof *batches);
        to->array = from->array;
        to->array.batches = batches;
        to->stream = from->stream;
        to->salt = 1000000;
}

static void flip_bit(Session *session)
{
        Buffer *buffer = one_in(2) ? &session->up : &session->down;

        if (buffer_size(buffer) == 0)
                return;
        buffer_head(buffer)[random_below(buffer_size(buffer))] ^= (uint8_t) (1U << random_below(8));
        session->corrupt = true;
        seen.corrupted++;
}

static void fill(Host *host)
{
        if (!host->session)
                return;
        HOLDS(link_sender_fill(&host->sender, &host->session->up, world.now_usec) >= 0);
        seen.exhausted += host->sender.state == LINK_SENDER_CONNECTED &&
                          host->sender.bytes_sent >= host->sender.credit;
        seen.compressed += host->sender.compressor != NULL;
}

static void append_some(Host *host)
{
        /* Now and then one that is worth compressing. */
        append(host, one_in(8) ? 40 : 1 + (uint32_t) random_below(5));
}

static void drop_some(Host *host)
{
        drop(host, 1 + random_below(4));
}

static void drop_released(Host *host)
{
        while (array_oldest(&host->array) <= host->array.released)
                drop(host, 1);
}

static void lose_connection(Host *host)
{
        if (host->session)
                abandon(host->session);
}

static void welcome_late(Session *session)
{
        if (session->owes_welcome)
                answer_hello(session);
}

static void change_window(Session *session)
{
        session->receiver.window = random_below(3) * 1000;
}

static void commit_any(void)
{
        commit(world.streams[random_below(world.n_streams)]);
}

static void block(void)
{
        world.blocked = !world.blocked;
}

static void pass_time(void)
{
        world.now_usec += random_below(2 * LINK_HEARTBEAT_USEC);
}

/* Index of one of n weights, by weight. */
static size_t pick(const unsigned *weights, size_t stride, size_t n)
{
        uint64_t sum = 0, at;

        for (size_t i = 0; i < n; i++)
                sum += weights[i * stride];
        at = random_below(sum);
        for (size_t i = 0; i < n; i++) {
                if (at < weights[i * stride])
                        return i;
                at -= weights[i * stride];
        }
        return 0;
}

#define PICK(events) pick(&(events)[0].weight, sizeof((events)[0]) / sizeof(unsigned), ELEMENTSOF(events))

static void happen(void)
{
        static const struct {
                unsigned weight;
                void (*fn)(Host *host);
        } to_host[] = {
                { 1200, append_some },  { 1600, fill },       { 900, connect_host },   { 40, drop_some },
                { 120, drop_released }, { 40, crash_sender }, { 40, lose_connection }, { 10, roll_back },
        };
        static const struct {
                unsigned weight;
                void (*fn)(Session *session);
        } to_session[] = {
                { 1800, deliver_up }, { 1800, deliver_down }, { 160, welcome_late }, { 160, change_window },
                { 5, flip_bit },      { 40, close_session }, /* both ends see it end; what is under way is lost */
        };
        static const struct {
                unsigned weight;
                void (*fn)(void);
        } to_collector[] = {
                { 1500, commit_any },    { 100, block },     { 200, pass_time },
                { 30, crash_collector }, { 20, clone_host },
        };
        Host *host = &world.hosts[random_below(HOSTS)];
        Session *session = &world.sessions[random_below(SESSIONS)];

        switch (random_below(5)) {
        case 0:
        case 1:
                if (host->exists)
                        to_host[PICK(to_host)].fn(host);
                break;
        case 2:
        case 3:
                if (session->used)
                        to_session[PICK(to_session)].fn(session);
                break;
        default:
                to_collector[PICK(to_collector)].fn();
                break;
        }
        reap();
}

/* Nothing fails any more: all that the host still holds must arrive. */
static void settle(Host *host)
{
        Stream *stream;

        for (size_t i = 0; i < SESSIONS; i++)
                if (world.sessions[i].used)
                        close_session(&world.sessions[i]);
        world.blocked = false;
        world.calm = true;
        for (unsigned round = 0; round < 1000; round++) {
                connect_host(host);
                fill(host);
                if (host->session) {
                        Session *session = host->session;

                        deliver_up(session);
                        if (session->owes_welcome)
                                answer_hello(session);
                        commit(world.streams[host->stream]);
                        deliver_down(session);
                }
                reap();
                if (host->session && host->sender.state == LINK_SENDER_CONNECTED &&
                    host->sender.acked == host->array.newest)
                        break;
        }
        stream = world.streams[host->stream];
        HOLDS(host->sender.state == LINK_SENDER_CONNECTED);
        HOLDS(host->sender.acked == host->array.newest);
        HOLDS(durable_last(stream) == host->array.newest);
        HOLDS(host->array.newest == 0 || host->array.released == host->array.newest);
}

static void check_streams(void)
{
        for (size_t i = 0; i < world.n_streams; i++) {
                const Stream *stream = world.streams[i];
                uint64_t next = 1;

                for (size_t k = 0; k < stream->n_entries; k++) {
                        HOLDS(stream->entries[k].batch.first == next);
                        next = stream->entries[k].batch.last + 1;
                }
        }
}

static void run_history(uint64_t seed)
{
        memset(&world, 0, sizeof world);
        world.seed = world.state = seed;
        host_init(&world.hosts[0]);
        for (world.step = 0; world.step < STEPS; world.step++)
                happen();
        for (size_t i = 0; i < HOSTS; i++)
                if (world.hosts[i].exists)
                        settle(&world.hosts[i]);
        check_streams();
        for (size_t i = 0; i < SESSIONS; i++)
                if (world.sessions[i].used)
                        close_session(&world.sessions[i]);
        for (size_t i = 0; i < HOSTS; i++) {
                link_sender_done(&world.hosts[i].sender);
                array_done(&world.hosts[i].array);
        }
        for (size_t i = 0; i < world.n_streams; i++)
                free(world.streams[i]);
}

static uint64_t first_seed, n_histories = HISTORIES;

START_TEST(random_histories)
{
        for (uint64_t i = 0; i < n_histories; i++)
                run_history(first_seed + i);
        if (n_histories < HISTORIES)
                return;
        ck_assert(marks_reached("link-model"));
        ck_assert_uint_gt(seen.diverged, 0);
        ck_assert_uint_gt(seen.replaced, 0);
        ck_assert_uint_gt(seen.lost, 0);
        ck_assert_uint_gt(seen.blocked, 0);
        ck_assert_uint_gt(seen.exhausted, 0);
        ck_assert_uint_gt(seen.resumed, 0);
        ck_assert_uint_gt(seen.corrupted, 0);
        ck_assert_uint_gt(seen.heartbeats, 0);
        ck_assert_uint_gt(seen.compressed, 0);
        ck_assert_uint_gt(seen.crashes, 0);
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("link-model");
        TCase *tcase = tcase_create("link-model");
        const char *seed = getenv("AUDIT_RELAY_SEED");

        for (int i = 1; i < argc; i++) {
                if (strncmp(argv[i], "--seed=", 7) == 0)
                        seed = argv[i] + 7;
                else if (strncmp(argv[i], "--histories=", 12) == 0)
                        n_histories = strtoull(argv[i] + 12, NULL, 10);
        }
        if (seed) {
                first_seed = strtoull(seed, NULL, 10);
                n_histories = 1;
        } else if (getrandom(&first_seed, sizeof first_seed, 0) != sizeof first_seed) {
                return EXIT_FAILURE;
        }
        printf("# %" PRIu64 " histories from --seed=%" PRIu64 "\n", n_histories, first_seed);
        fflush(stdout);
        tcase_add_test(tcase, random_histories);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
