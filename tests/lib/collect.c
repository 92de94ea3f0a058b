/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A small receiver for tests: listens on a Unix socket, takes what a dispatcher sends by the link, appends
 * the payloads to a file, acks them. One connection at a time; positions of streams are kept over
 * connections, as remote keeps them.
 *
 *      collect SOCKET FILE [OPTION]…
 *
 *      --pause-after=BATCHES   stops reading after so many, until SIGUSR1
 *      --mute                  accepts and does nothing more, until SIGUSR1
 *      --slow                  reads a byte a second, until SIGUSR1
 *      --kept                  may be killed: it goes on where FILE ends
 *
 * A lost range becomes a line "LOST first last reason". With --kept each batch is followed by "END last
 * checksum", and what a dead predecessor wrote behind the last of these is cut. SIGTERM ends it; then it says
 * "records N batches N lost N".
 */

#undef NDEBUG
#include "link/link-receiver.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define STREAMS_MAX 64U
#define READ_SIZE (256U * 1024U)

typedef struct Position {
        StreamId stream;
        uint64_t last, checksum;
} Position;

static struct {
        int out;
        Position positions[STREAMS_MAX];
        Position *position; /* of this session */
        Buffer output;
        uint64_t records, batches, lost, pause_after;
        bool mute, slow, kept;
        bool taken; /* something is to be acked */
} collect;

static volatile sig_atomic_t stop, resume;

static void on_signal(int signal)
{
        if (signal == SIGUSR1)
                resume = 1;
        else
                stop = 1;
}

static void die(const char *what)
{
        perror(what);
        exit(EXIT_FAILURE);
}

static void on_hello(LinkReceiver *receiver, const LinkHello *hello)
{
        collect.position = NULL;
        for (size_t i = 0; i < STREAMS_MAX && !collect.position; i++) {
                Position *p = &collect.positions[i];

                if (stream_id_is_null(&p->stream))
                        p->stream = hello->stream;
                if (stream_id_equal(&p->stream, &hello->stream))
                        collect.position = p;
        }
        assert(collect.position);
        assert(link_receiver_welcome(receiver, &collect.output, collect.position->last,
                                     collect.position->checksum, "collect", "") == 0);
}

static void write_all(const uint8_t *data, size_t size)
{
        while (size > 0) {
                ssize_t n = write(collect.out, data, size);

                if (n < 0)
                        die("write");
                data += n;
                size -= (size_t) n;
        }
}

static void write_end(const Batch *batch)
{
        char line[64];
        int n = snprintf(line, sizeof line, "END %" PRIu64 " %" PRIx64 "\n", batch->last, batch->checksum);

        write_all((const uint8_t *) line, (size_t) n);
}

static int on_batch(LinkReceiver *receiver, const Batch *batch)
{
        collect.taken = true;
        if (batch_is_heartbeat(batch))
                return 0;
        if (batch->reason == BATCH_LOST) {
                char line[BATCH_ARGUMENT_MAX + 64];
                int n = snprintf(line, sizeof line, "LOST %" PRIu64 " %" PRIu64 " %.*s\n", batch->first,
                                 batch->last, (int) batch->size, (const char *) batch->payload);

                write_all((const uint8_t *) line, (size_t) n);
                collect.lost += batch_range(batch);
        } else {
                write_all(batch->payload, batch->size);
        }
        collect.records += batch->count;
        collect.batches++;
        collect.position->last = batch->last;
        collect.position->checksum = batch->checksum;
        if (collect.kept)
                write_end(batch);
        return 0;
}

static const LinkReceiverHandler handler = {
        .hello = on_hello,
        .batch = on_batch,
};

static bool flush(int fd)
{
        while (buffer_size(&collect.output) > 0) {
                ssize_t n =
                        send(fd, buffer_head(&collect.output), buffer_size(&collect.output), MSG_NOSIGNAL);

                if (n < 0)
                        return false;
                buffer_consume(&collect.output, (size_t) n);
        }
        return true;
}

static void wait_for_resume(void)
{
        while (!resume && !stop)
                (void) poll(NULL, 0, 50);
}

static void pause_if_asked(void)
{
        if (collect.pause_after == 0 || collect.batches < collect.pause_after)
                return;
        collect.pause_after = 0;
        wait_for_resume();
}

/* How much to read now. */
static size_t read_size(void)
{
        if (collect.mute)
                wait_for_resume();
        if (!collect.slow || resume)
                return READ_SIZE;
        (void) poll(NULL, 0, 1000);
        return 1;
}

static void serve(int fd)
{
        Buffer input = BUFFER_INIT(2 * LINK_FRAME_MAX);
        LinkReceiver receiver;

        link_receiver_init(&receiver, &handler, LINK_WINDOW_DEFAULT, LINK_FEATURE_ZSTD);
        while (!stop) {
                uint8_t *space = buffer_reserve(&input, READ_SIZE);
                ssize_t n;

                assert(space);
                n = read(fd, space, read_size());
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                buffer_extend(&input, (size_t) n);
                collect.taken = false;
                n = link_receiver_feed(&receiver, buffer_head(&input), buffer_size(&input), &collect.output);
                if (n < 0) {
                        fprintf(stderr, "collect: %s\n", receiver.why ? receiver.why : strerror((int) -n));
                        (void) flush(fd);
                        break;
                }
                buffer_consume(&input, (size_t) n);
                if (collect.taken)
                        assert(link_receiver_ack(&receiver, &collect.output, receiver.received,
                                                 receiver.bytes_received) == 0);
                if (!flush(fd))
                        break;
                pause_if_asked();
        }
        link_receiver_done(&receiver);
        buffer_done(&input);
        buffer_done(&collect.output);
}

static int listen_on(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void) snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        (void) unlink(path);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof address) < 0 || listen(fd, 16) < 0)
                die(path);
        return fd;
}

/* What a predecessor had: all up to its last whole batch. Of one stream: the first it is sent. */
static void resume_file(const char *path)
{
        FILE *file = fopen(path, "r");
        char *line = NULL;
        size_t allocated = 0;
        off_t whole = 0;
        ssize_t size;

        if (!file)
                die(path);
        while ((size = getline(&line, &allocated, file)) > 0) {
                uint64_t last, checksum;

                if (line[size - 1] != '\n' || sscanf(line, "END %" SCNu64 " %" SCNx64, &last, &checksum) != 2)
                        continue;
                collect.positions[0].last = last;
                collect.positions[0].checksum = checksum;
                whole = ftello(file);
        }
        free(line);
        fclose(file);
        if (ftruncate(collect.out, whole) < 0)
                die(path);
}

static bool take_option(const char *option)
{
        if (strcmp(option, "--mute") == 0)
                collect.mute = true;
        else if (strcmp(option, "--slow") == 0)
                collect.slow = true;
        else if (strcmp(option, "--kept") == 0)
                collect.kept = true;
        else
                return sscanf(option, "--pause-after=%" SCNu64, &collect.pause_after) == 1;
        return true;
}

int main(int argc, char **argv)
{
        /* Without SA_RESTART: read() and accept() return. */
        struct sigaction action = { .sa_handler = on_signal };
        int listener;

        if (argc < 3) {
                fprintf(stderr, "Usage: collect SOCKET FILE [OPTION]…\n");
                return 2;
        }
        for (int i = 3; i < argc; i++)
                assert(take_option(argv[i]));
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGUSR1, &action, NULL);
        collect.output = BUFFER_INIT(1024 * 1024);
        collect.out = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (collect.out < 0)
                die(argv[2]);
        if (collect.kept)
                resume_file(argv[2]);
        listener = listen_on(argv[1]);
        while (!stop) {
                int fd = accept(listener, NULL, NULL);

                if (fd < 0 && errno == EINTR)
                        continue;
                if (fd < 0)
                        die("accept");
                serve(fd);
                (void) close(fd);
        }
        printf("records %" PRIu64 " batches %" PRIu64 " lost %" PRIu64 "\n", collect.records,
               collect.batches, collect.lost);
        return 0;
}
