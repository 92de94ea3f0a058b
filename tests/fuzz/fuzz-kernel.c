/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Anything as what the kernel's audit socket gives: the first byte says unicast or multicast and how many seconds pass at the end;
 * then groups: how many messages (none: ENOBUFS), and of each its size (2), a byte that is 0 when it is the kernel's, its bytes.
 * Whatever comes, the ring's records are whole lines of our node, as many as were counted, and a group that landed in a process
 * that died is formatted by the next one.
 */

#include "fuzz.h"
#include "dispatcher/kernel.h"
#include "record/record.h"
#include "runtime/log.h"

#include <linux/netlink.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODE "n1"

static char directory[] = "/tmp/fuzz-kernel-XXXXXX", path[64];
static const RingOptions ring_options = { .path = path, .size = RING_SIZE_MIN, .node = NODE, .stream = { { 1 } } };
static sd_event *event;
static State *state;

/* --- The socket --- */

static struct {
        const uint8_t *data;
        size_t size;
        bool multicast;
} script;

int __wrap_recvmmsg(int fd, struct mmsghdr *headers, unsigned n, int flags, struct timespec *timeout);
int __wrap_kernel_socket_is_multicast(int fd);
ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t to_size);
ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags);

static size_t take(void *to, size_t size)
{
        size = MIN(size, script.size);
        if (size > 0)
                memcpy(to, script.data, size);
        script.data += size;
        script.size -= size;
        return size;
}

static bool next_message(struct mmsghdr *header)
{
        struct sockaddr_nl *sender = header->msg_hdr.msg_name;
        uint8_t head[3];
        size_t size;

        if (take(head, sizeof head) < sizeof head)
                return false;
        size = MIN((size_t) get_le16(head), header->msg_hdr.msg_iov->iov_len);
        sender->nl_pid = head[2];
        header->msg_len = (unsigned) take(header->msg_hdr.msg_iov->iov_base, size);
        return true;
}

int __wrap_recvmmsg(int fd, struct mmsghdr *headers, unsigned n, int flags, struct timespec *timeout)
{
        unsigned taken = 0;
        uint8_t wanted;

        if (take(&wanted, 1) == 0) {
                errno = EAGAIN;
                return -1;
        }
        while (taken < MIN((unsigned) wanted, n) && next_message(&headers[taken]))
                taken++;
        if (taken > 0)
                return (int) taken;
        errno = ENOBUFS;
        return -1;
}

int __wrap_kernel_socket_is_multicast(int fd)
{
        return script.multicast;
}

/* Requests are well received, and have the same numbers each time. */
ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t to_size)
{
        return (ssize_t) size;
}

ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags)
{
        memset(data, 0, size);
        return (ssize_t) size;
}

/* --- What must hold --- */

static void on_published(void *userdata)
{
}

static void on_dropped(uint64_t n, void *userdata)
{
        CHECK(n > 0);
}

/* Returns how many records of the kernel are in the ring: nobody is waited for, so the oldest may be gone. */
static uint64_t check_ring(Ring *ring, bool *ret_whole)
{
        Source *source = ring_source(ring, "fuzz", false);
        uint64_t records = 0;
        Cursor cursor = { { 0 } };
        SourceRange range;
        uint32_t bad;
        Batch batch;

        source->range(source, &range);
        *ret_whole = range.oldest == 1;
        for (uint64_t seq = range.oldest; seq <= range.newest; seq = batch.last + 1) {
                CHECK(source->get(source, seq, &cursor, &batch) == 1);
                CHECK(batch_payload_intact(&batch) && record_check_batch(&batch, NODE, &bad, NULL) == RECORD_OK);
                if (batch.origin == BATCH_ORIGIN_KERNEL)
                        records += batch.count;
        }
        ring_source_free(ring, source);
        return records;
}

static void clean_up(void)
{
        state_free(state);
        sd_event_unref(event);
        (void) unlink(path);
        (void) rmdir(directory);
}

static void set_up(void)
{
        CHECK(mkdtemp(directory) && atexit(clean_up) == 0);
        (void) snprintf(path, sizeof path, "%s/ring", directory);
        log_init_tool("fuzz", -1);
        CHECK(sd_event_new(&event) >= 0 && state_new(directory, "dispatcher", &state) == 0);
}

/* A group lands, and the process dies before it is looked at. */
static void die_with_landed(Ring *ring)
{
        struct mmsghdr *headers = ring_landing_prepare(ring);
        bool created, whole;

        (void) __wrap_recvmmsg(-1, headers, RING_LANDING_MAX, 0, NULL);
        (void) ring_free(ring);
        CHECK(ring_open(&ring_options, &ring, &created) == 0 && !created);
        (void) kernel_recover(ring);
        CHECK(ring_landed(ring) == 0);
        (void) check_ring(ring, &whole);
        (void) ring_free(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        KernelOptions options = { .published = on_published, .dropped = on_dropped };
        Kernel *kernel = NULL;
        Ring *ring = NULL;
        bool created, whole;
        uint64_t records;

        if (size == 0)
                return 0;
        if (!event)
                set_up();
        script.multicast = data[0] & 1;
        script.data = data + 1;
        script.size = data[0] & 2 ? (size - 1) / 2 : size - 1;
        CHECK(ring_open(&ring_options, &ring, &created) == 0 && created);
        options.event = event;
        options.ring = ring;
        options.state = state;
        options.fd = eventfd(1, EFD_CLOEXEC); /* always readable */
        CHECK(kernel_new(&options, &kernel) == 0);
        while (script.size > 0)
                CHECK(sd_event_run(event, 0) > 0);
        for (unsigned i = 0; i < (data[0] >> 2) % 16; i++)
                kernel_tick(kernel);
        records = check_ring(ring, &whole);
        CHECK(whole ? records == kernel_counters(kernel)->records : records < kernel_counters(kernel)->records);
        kernel = kernel_free(kernel);
        state_clear(state, "kernel_lost");
        state_clear(state, "kernel_refused");
        if (data[0] & 2) {
                script.size = (size_t) (data + size - script.data);
                die_with_landed(ring);
        } else {
                (void) ring_free(ring);
        }
        CHECK(unlink(path) == 0);
        return 0;
}
