/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What this machine can do at best in giving the same bytes to several: one process writes 64 KiB at a time to each of their
 * Unix stream sockets, they read and throw away. No frames, no acks, no slow ones.
 */

#include "bench.h"
#include "records.h"

#include <inttypes.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define BLOCK (64U * 1024U)
#define SUBSCRIBERS_MAX 64U

typedef struct Shared {
        uint64_t end_ns, cpu_ns, peak_kib, bytes;
} Shared;

static int consume(int fd, Shared *shared)
{
        _cleanup_(freep) uint8_t *block = malloc(BLOCK);
        ssize_t n;

        while (block && (n = read(fd, block, BLOCK)) > 0)
                shared->bytes += (uint64_t) n;
        shared->end_ns = bench_now();
        shared->cpu_ns = bench_cpu();
        shared->peak_kib = bench_peak_kib();
        return EXIT_SUCCESS;
}

/* The child inherits the other ends of those before it, and must not keep them open. */
static int begin_consumer(int *fds, unsigned i, Shared *shared)
{
        int pair[2];
        pid_t child;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        child = fork();
        if (child < 0)
                return -errno;
        if (child == 0) {
                for (unsigned k = 0; k < i; k++)
                        (void) close(fds[k]);
                (void) close(pair[0]);
                _exit(consume(pair[1], shared));
        }
        (void) close(pair[1]);
        fds[i] = pair[0];
        return 0;
}

static int produce(const int *fds, unsigned n_fds, const char *node, uint64_t count, uint64_t *ret_bytes)
{
        _cleanup_(freep) uint8_t *block = malloc(BLOCK);
        Records records = { 0 };
        size_t n;
        int r = block ? records_init(&records, node) : -ENOMEM;

        *ret_bytes = 0;
        while (r >= 0 && (n = records_fill(&records, block, BLOCK, count)) > 0) {
                for (unsigned i = 0; i < n_fds && r >= 0; i++)
                        r = bench_write(fds[i], block, n);
                *ret_bytes += n;
        }
        records_done(&records);
        return r;
}

int verb_bound_fanout(int argc, char **argv)
{
        unsigned n = (unsigned) strtoul(argv[3], NULL, 10);
        Shared *shared = bench_shared(SUBSCRIBERS_MAX * sizeof *shared);
        uint64_t begin, end = 0, cpu, consumers = 0, bytes;
        int fds[SUBSCRIBERS_MAX] = { 0 }, r = shared && n <= SUBSCRIBERS_MAX ? 0 : -EINVAL;

        for (unsigned i = 0; i < n && r >= 0; i++)
                r = begin_consumer(fds, i, &shared[i]);
        if (r < 0)
                return bench_fail("bound-fanout", r);
        begin = bench_now();
        r = produce(fds, n, argv[2], strtoull(argv[1], NULL, 10), &bytes);
        cpu = bench_cpu();
        for (unsigned i = 0; i < n; i++)
                (void) close(fds[i]);
        while (wait(NULL) > 0)
                ;
        for (unsigned i = 0; i < n && r >= 0; i++) {
                end = MAX(end, shared[i].end_ns);
                consumers += shared[i].cpu_ns;
                r = shared[i].bytes == bytes ? 0 : -EBADMSG;
        }
        if (r < 0)
                return bench_fail("bound-fanout", r);
        printf("{\"begin_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64 ", \"cpu_ns\": {\"producer\": %" PRIu64
               ", \"consumers\": %" PRIu64 "}, \"peak_kib\": {\"producer\": %" PRIu64 ", \"consumers\": %" PRIu64 "}}\n",
               begin, end, cpu, consumers, bench_peak_kib(), shared[0].peak_kib);
        return EXIT_SUCCESS;
}
