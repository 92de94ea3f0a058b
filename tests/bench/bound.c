/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What this machine can do at best: the same bytes, the same syncs, the same cipher, and nothing else. One thread at each
 * end, blocking calls, no format, no acks, no loop.
 *
 *      one      read, TLS 1.3 AES-128-GCM, write, fdatasync each MiB
 *      two      the same, and before TLS: write, fdatasync each MiB
 *      hashed   the same, with SHA-256 of all bytes at both ends
 */

#include "bench.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define BLOCK (64U * 1024U)
#define SYNC_EACH (1024U * 1024U)
#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:-KX-ALL:+ECDHE-PSK:+DHE-PSK"

typedef struct Log {
        int fd;
        size_t unsynced;
        gnutls_hash_hd_t hash; /* NULL: none */
} Log;

/* What an end says to the other: shared memory. */
typedef struct Shared {
        uint64_t end_ns, cpu_ns, peak_kib;
        int failed;
} Shared;

static uint8_t key[32];
/* Of the one session that each process has. */
static gnutls_psk_server_credentials_t server_credentials;
static gnutls_psk_client_credentials_t client_credentials;

static int open_log(Log *log, const char *directory, const char *name, bool hashed)
{
        _cleanup_(freep) char *path = NULL;

        *log = (Log) { .fd = -EBADF };
        if (asprintf(&path, "%s/%s", directory, name) < 0)
                return -ENOMEM;
        log->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (log->fd < 0)
                return -errno;
        return hashed && gnutls_hash_init(&log->hash, GNUTLS_DIG_SHA256) < 0 ? -ENOMEM : 0;
}

static int append(Log *log, const uint8_t *data, size_t size)
{
        int r;

        if (log->hash)
                (void) gnutls_hash(log->hash, data, size);
        r = bench_write(log->fd, data, size);
        log->unsynced += size;
        if (r < 0 || log->unsynced < SYNC_EACH)
                return r;
        log->unsynced = 0;
        return fdatasync(log->fd) < 0 ? -errno : 0;
}

static int finish_log(Log *log)
{
        uint8_t digest[32];
        int r = fdatasync(log->fd) < 0 ? -errno : 0;

        if (log->hash)
                gnutls_hash_deinit(log->hash, digest);
        (void) close(log->fd);
        return r;
}

/* --- TLS --- */

static int give_key(gnutls_session_t session, const char *name, gnutls_datum_t *ret)
{
        ret->data = gnutls_malloc(sizeof key);
        ret->size = sizeof key;
        if (!ret->data)
                return -1;
        memcpy(ret->data, key, sizeof key);
        return 0;
}

/* A key known before, as certificates make no difference behind the handshake. */
static gnutls_session_t handshake(int fd, bool server)
{
        static const gnutls_datum_t datum = { key, sizeof key };
        gnutls_session_t session;
        int r;

        if (gnutls_init(&session, server ? GNUTLS_SERVER | GNUTLS_NO_TICKETS : GNUTLS_CLIENT) < 0 ||
            gnutls_priority_set_direct(session, PRIORITY, NULL) < 0)
                return NULL;
        if (server) {
                r = gnutls_psk_allocate_server_credentials(&server_credentials);
                if (r < 0)
                        return NULL;
                gnutls_psk_set_server_credentials_function(server_credentials, give_key);
                r = gnutls_credentials_set(session, GNUTLS_CRD_PSK, server_credentials);
        } else {
                r = gnutls_psk_allocate_client_credentials(&client_credentials);
                if (r < 0)
                        return NULL;
                r = gnutls_psk_set_client_credentials(client_credentials, "bench", &datum, GNUTLS_PSK_KEY_RAW);
                if (r >= 0)
                        r = gnutls_credentials_set(session, GNUTLS_CRD_PSK, client_credentials);
        }
        gnutls_transport_set_int(session, fd);
        while (r >= 0 && (r = gnutls_handshake(session)) < 0 && !gnutls_error_is_fatal(r))
                r = 0;
        if (r >= 0 && gnutls_cipher_get(session) == GNUTLS_CIPHER_AES_128_GCM)
                return session;
        gnutls_deinit(session);
        return NULL;
}

static void end_session(gnutls_session_t session)
{
        if (session)
                gnutls_deinit(session);
        if (server_credentials)
                gnutls_psk_free_server_credentials(server_credentials);
        if (client_credentials)
                gnutls_psk_free_client_credentials(client_credentials);
}

static int send_all(gnutls_session_t session, const uint8_t *data, size_t size)
{
        while (size > 0) {
                ssize_t n = gnutls_record_send(session, data, size);

                if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
                        continue;
                if (n <= 0)
                        return -EPROTO;
                data += n;
                size -= (size_t) n;
        }
        return 0;
}

/* Fills the block; less at the end. */
static ssize_t receive_block(gnutls_session_t session, uint8_t *block)
{
        size_t used = 0;

        while (used < BLOCK) {
                ssize_t n = gnutls_record_recv(session, block + used, BLOCK - used);

                if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
                        continue;
                if (n < 0)
                        return -EPROTO;
                if (n == 0)
                        break;
                used += (size_t) n;
        }
        return (ssize_t) used;
}

/* --- Two ends --- */

static int receive(int listener, const char *directory, bool hashed, Shared *shared)
{
        _cleanup_(freep) uint8_t *block = malloc(BLOCK);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        gnutls_session_t session = fd >= 0 ? handshake(fd, true) : NULL;
        Log log;
        ssize_t n;
        int r = block && session ? open_log(&log, directory, "received", hashed) : -EPROTO;

        while (r >= 0 && (n = receive_block(session, block)) != 0)
                r = n < 0 ? (int) n : append(&log, block, (size_t) n);
        if (r >= 0)
                r = finish_log(&log);
        shared->end_ns = bench_now();
        shared->cpu_ns = bench_cpu();
        shared->peak_kib = bench_peak_kib();
        shared->failed = r;
        end_session(session);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int transmit(int fd, const char *path, const char *directory, bool two, bool hashed, uint64_t *ret_begin)
{
        _cleanup_(freep) uint8_t *block = malloc(BLOCK);
        gnutls_session_t session = handshake(fd, false);
        _cleanup_(close_fdp) int input = open(path, O_RDONLY | O_CLOEXEC);
        Log log;
        ssize_t n;
        int r = block && session && input >= 0 ? 0 : -EPROTO;

        if (r >= 0 && two)
                r = open_log(&log, directory, "sent", hashed);
        *ret_begin = bench_now();
        while (r >= 0 && (n = read(input, block, BLOCK)) != 0) {
                r = n < 0 ? -errno : two ? append(&log, block, (size_t) n) : 0;
                if (r >= 0)
                        r = send_all(session, block, (size_t) n);
        }
        if (r >= 0 && two)
                r = finish_log(&log);
        if (r >= 0)
                r = gnutls_bye(session, GNUTLS_SHUT_WR);
        end_session(session);
        return r;
}

static int listen_loopback(struct sockaddr_in *ret)
{
        socklen_t size = sizeof *ret;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        *ret = (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
        if (fd < 0 || bind(fd, (struct sockaddr *) ret, size) < 0 || listen(fd, 1) < 0 ||
            getsockname(fd, (struct sockaddr *) ret, &size) < 0)
                return -errno;
        return fd;
}

int verb_bound(int argc, char **argv)
{
        bool two = strcmp(argv[4], "one") != 0, hashed = strcmp(argv[4], "hashed") == 0;
        struct sockaddr_in address;
        int listener = listen_loopback(&address), fd, status, r;
        Shared *shared = bench_shared(sizeof *shared);
        uint64_t begin = 0, cpu;
        pid_t child;

        if (listener < 0 || !shared)
                return bench_fail("bound", errno);
        child = fork();
        if (child == 0)
                _exit(receive(listener, argv[3], hashed, shared));
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (child < 0 || fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                return bench_fail("bound", errno);
        r = transmit(fd, argv[2], argv[3], two, hashed, &begin);
        cpu = bench_cpu();
        (void) close(fd);
        (void) waitpid(child, &status, 0);
        if (r < 0 || shared->failed < 0)
                return bench_fail("bound", r < 0 ? r : shared->failed);
        printf("{\"begin_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64 ", \"cpu_ns\": {\"sender\": %" PRIu64
               ", \"receiver\": %" PRIu64 "}, \"peak_kib\": {\"sender\": %" PRIu64 ", \"receiver\": %" PRIu64 "}}\n",
               begin, shared->end_ns, cpu, shared->cpu_ns, bench_peak_kib(), shared->peak_kib);
        return EXIT_SUCCESS;
}
