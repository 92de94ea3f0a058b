/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See relay.h. The order of a commit is that of the programs' loop (runtime/store-loop.c): intake and store
 * begin and end their groups together.
 */

#include "relay.h"
#include "records.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sys/random.h>

/* Small, so that segments end and go many times in a run of seconds. */
#define SENDER_SEGMENT (16U * 1024U)
#define COLLECTOR_SEGMENT (40U * 1024U)
#define GROUP_MAX (24U * 1024U)
#define WINDOW (64U * 1024U)
#define PIPE_MAX (4U * LINK_OUTPUT_TARGET)

/* A clock that stands still for the link: nothing here is to happen for its time. */
#define LINK_NOW USEC_PER_SEC

static uint64_t fixed_time(void)
{
        return UINT64_C(1700000000) * USEC_PER_SEC;
}

static void random_bytes(void *bytes, size_t size)
{
        ssize_t n = getrandom(bytes, size, 0);

        assert(n == (ssize_t) size);
}

static void sha256(const void *data, size_t size, uint8_t ret_digest[static SHA256_SIZE])
{
        int r = gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, ret_digest);

        assert(r >= 0);
}

/* --- Host --- */

/* An answer to the sender is in the output, and not on its way yet. */
static void on_flush(IntakeSession *session)
{
        Host *host = intake_userdata(session->intake);

        if (session->receiver.acked <= host->custody)
                return;
        host->custody = session->receiver.acked;
        if (host->promise)
                host->promise(host);
}

static void on_dirty(Intake *intake)
{
}

/* No fault is injected here; who drives the host finds the error at the next commit. */
static void on_blocked(Intake *intake, int error)
{
}

static const IntakeHandler intake_handler = { .flush = on_flush, .dirty = on_dirty, .blocked = on_blocked };

static StoreOptions options_of(int which, Disk *disk)
{
        StoreOptions options = { .disk = disk, .random = random_bytes, .group_bytes_max = GROUP_MAX };

        if (which == DISK_SENDER) {
                options.segment_size_max = SENDER_SEGMENT;
                options.delete_acked = true;
        } else {
                options.segment_size_max = COLLECTOR_SEGMENT;
                options.hash = sha256;
                options.links = true;
        }
        return options;
}

int host_open(Host *host, int which, Disk *disk, StoreReport *ret_report)
{
        StoreOptions options = options_of(which, disk);
        IntakeOptions intake = {
                .handler = &intake_handler,
                .name = RELAY_COLLECTOR,
                .window = WINDOW,
                .realtime_usec = fixed_time,
                .userdata = host,
        };
        int r;

        r = store_open(&options, fixed_time(), &host->store, ret_report);
        if (r < 0) {
                (void) disk_free(disk);
                return r;
        }
        intake.sink = store_sink(host->store);
        r = intake_new(&intake, &host->intake);
        if (r < 0)
                host_close(host);
        return r;
}

void host_close(Host *host)
{
        if (host->in_flight)
                (void) pthread_join(host->thread, NULL);
        host->in_flight = false;
        host->intake = intake_free(host->intake);
        host->store = store_free(host->store);
}

static void *run_job(void *userdata)
{
        Host *host = userdata;

        host->job_result = store_job_run(&host->job);
        return NULL;
}

int host_commit_begin(Host *host)
{
        int r = store_commit_begin(host->store, fixed_time(), &host->job);

        if (r < 0)
                return r;
        (void) intake_commit_begin(host->intake);
        if (r == 0) {
                intake_commit_end(host->intake, 0);
                return 0;
        }
        r = pthread_create(&host->thread, NULL, run_job, host);
        if (r != 0)
                return -r;
        host->in_flight = true;
        return 1;
}

int host_commit_end(Host *host)
{
        int r = -pthread_join(host->thread, NULL);

        host->in_flight = false;
        if (r < 0)
                return r;
        r = store_commit_end(host->store, host->job_result, fixed_time());
        if (r == 0)
                (void) store_links_now(host->store);
        intake_commit_end(host->intake, r);
        return r;
}

/* --- Hop --- */

static const LinkSenderHandler sender_handler = { 0 };

int hop_open(Hop *hop, Source *source, Host *to)
{
        int r;

        *hop = (Hop) { .forth = BUFFER_INIT(PIPE_MAX), .back = BUFFER_INIT(PIPE_MAX) };
        r = intake_session_init(&hop->session, to->intake, &hop->back, RELAY_OWNER, RECORDS_NODE,
                                RECORDS_NODE, 0, NULL);
        if (r < 0)
                return r;
        link_sender_init(&hop->sender, source, &sender_handler, RECORDS_NODE, 0);
        hop->open = true;
        return link_sender_start(&hop->sender, &hop->forth, LINK_NOW);
}

void hop_close(Hop *hop)
{
        if (!hop->open)
                return;
        intake_session_done(&hop->session);
        link_sender_done(&hop->sender);
        buffer_done(&hop->forth);
        buffer_done(&hop->back);
        hop->open = false;
}

int hop_send(Hop *hop, size_t size)
{
        ssize_t n;
        int r = 0;

        if (hop->sender.state == LINK_SENDER_CONNECTED)
                r = link_sender_fill(&hop->sender, &hop->forth, LINK_NOW);
        if (r < 0)
                return r;
        if (intake_session_blocked(&hop->session) || buffer_size(&hop->forth) == 0)
                return 0;
        /* Frames are taken whole: what of one is there stays until the rest is. */
        n = intake_session_feed(&hop->session, buffer_head(&hop->forth),
                                MIN(size, buffer_size(&hop->forth)));
        if (n < 0)
                return (int) n;
        buffer_consume(&hop->forth, (size_t) n);
        hop->ended = hop->session.receiver.state == LINK_RECEIVER_ENDED;
        return 0;
}

int hop_return(Hop *hop)
{
        ssize_t n;

        if (buffer_size(&hop->back) == 0)
                return 0;
        n = link_sender_feed(&hop->sender, buffer_head(&hop->back), buffer_size(&hop->back), &hop->forth,
                             LINK_NOW);
        if (n < 0)
                return (int) n;
        buffer_consume(&hop->back, (size_t) n);
        hop->ended = hop->ended || hop->sender.state == LINK_SENDER_ENDED;
        return 0;
}
