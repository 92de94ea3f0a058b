/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel has one audit daemon and knows it by the port of its socket, not by its process. So when PID 1
 * keeps the socket, a dispatcher that starts again is registered already: its AUDIT_SET{PID} is refused with
 * EEXIST, and the kernel's question whether the registered daemon lives (AUDIT_REPLACE, with our pid in it)
 * comes to our own socket just before. EEXIST without that question: somebody else is the audit daemon.
 *
 *  1. Nothing is asked before the socket is drained: on a full one the answers would be lost, and after an
 *     overrun the kernel delivers nothing before it is empty.
 *  2. Answers to a predecessor's requests, still in the socket, are told by their sequence number.
 *  3. Auditing is switched on once, at start, and only where it is off: an administrator may switch it off
 *     later, and a locked configuration refuses any change.
 */

#include "dispatcher/kernel-register.h"
#include "runtime/log.h"

#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>

/* The answer to AUDIT_SET is in the socket when sendto() returns; only an overrun can lose it. */
#define ANSWER_TICKS 3U
/* How often a refused dispatcher tries: each try is a record of its own in the log of the audit daemon there
 * is. */
#define REFUSED_TICKS 10U
/* How often the kernel's counter of lost records is read; each time the kernel starts a thread to answer. */
#define STATUS_TICKS 10U
/* pid in a status. */
#define NO_AUDIT_DAEMON 0U

typedef struct Request {
        struct nlmsghdr header;
        struct audit_status status;
} Request;

int kernel_socket_open(bool multicast, uint64_t receive_buffer)
{
        struct sockaddr_nl address = {
                .nl_family = AF_NETLINK,
                .nl_groups = multicast ? 1U << (AUDIT_NLGRP_READLOG - 1) : 0,
        };
        _cleanup_(close_fdp) int fd =
                socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_AUDIT);
        int size = (int) MIN(receive_buffer, (uint64_t) INT32_MAX / 2);

        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0 &&
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) < 0)
                return -errno;
        if (bind(fd, (struct sockaddr *) &address, sizeof address) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int kernel_socket_is_multicast(int fd)
{
        struct sockaddr_nl address;
        socklen_t size = sizeof address;
        int protocol;
        socklen_t protocol_size = sizeof protocol;

        if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &protocol_size) < 0 ||
            getsockname(fd, (struct sockaddr *) &address, &size) < 0)
                return -errno;
        if (size < sizeof address || address.nl_family != AF_NETLINK || protocol != NETLINK_AUDIT)
                return -EPROTOTYPE;
        return address.nl_groups != 0;
}

uint64_t kernel_socket_room(int fd)
{
        int size;
        socklen_t size_size = sizeof size;

        return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &size_size) == 0 ? (uint64_t) size : 0;
}

void kernel_register_init(KernelRegister *reg, int fd)
{
        *reg = (KernelRegister) { .fd = fd };
        /* Different in every process, see 2. */
        if (getrandom(&reg->seq, sizeof reg->seq, GRND_NONBLOCK) != sizeof reg->seq)
                reg->seq = (uint32_t) getpid() << 16;
}

static int send_request(KernelRegister *reg, uint16_t type, uint16_t flags,
                        const struct audit_status *status)
{
        struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        Request request = {
                .header.nlmsg_len = status ? sizeof request : sizeof request.header,
                .header.nlmsg_type = type,
                .header.nlmsg_flags = NLM_F_REQUEST | flags,
                .header.nlmsg_seq = ++reg->seq,
        };

        if (status)
                request.status = *status;
        if (sendto(reg->fd, &request, request.header.nlmsg_len, MSG_DONTWAIT, (struct sockaddr *) &kernel,
                   sizeof kernel) < 0)
                return -errno;
        return 0;
}

static void set_role(KernelRegister *reg, KernelRole role)
{
        reg->role = role;
        reg->ticks = 0;
}

static void refuse(KernelRegister *reg, int error)
{
        if (error == -EPERM)
                (void) snprintf(reg->why, sizeof reg->why,
                                "the kernel does not take an audit daemon from here: that needs "
                                "CAP_AUDIT_CONTROL in the first PID namespace");
        else
                (void) snprintf(reg->why, sizeof reg->why, "the kernel refused us as audit daemon: %s",
                                strerror(-error));
        set_role(reg, KERNEL_ROLE_REFUSED);
}

static void ask_status(KernelRegister *reg)
{
        reg->status_ticks = 0;
        /* Without an answer the counter is read the next time. */
        (void) send_request(reg, AUDIT_GET, 0, NULL);
}

static void ask(KernelRegister *reg)
{
        struct audit_status status = { .mask = AUDIT_STATUS_PID, .pid = (uint32_t) getpid() };
        int r;

        reg->ours = false;
        set_role(reg, KERNEL_ROLE_ASKED);
        r = send_request(reg, AUDIT_SET, NLM_F_ACK, &status);
        reg->set_seq = reg->seq;
        if (r < 0)
                refuse(reg, r);
        else
                ask_status(reg);
}

void kernel_register_drained(KernelRegister *reg)
{
        if (reg->role == KERNEL_ROLE_NONE)
                ask(reg);
}

void kernel_register_again(KernelRegister *reg)
{
        set_role(reg, KERNEL_ROLE_NONE);
}

static void on_set(KernelRegister *reg, int error)
{
        if (error == 0 || (error == -EEXIST && reg->ours)) {
                set_role(reg, KERNEL_ROLE_REGISTERED);
                log_info("Registered as the kernel's audit daemon%s",
                         error == 0 ? "" : " (the socket was already)");
        } else if (error == -EEXIST) {
                (void) snprintf(reg->why, sizeof reg->why, "another process is the audit daemon");
                set_role(reg, KERNEL_ROLE_REFUSED);
        } else {
                refuse(reg, error);
        }
}

static void enable_once(KernelRegister *reg)
{
        struct audit_status status = { .mask = AUDIT_STATUS_ENABLED, .enabled = 1 };
        int r;

        if (reg->enabling)
                return;
        reg->enabling = true;
        if (reg->status.enabled != 0)
                return;
        r = send_request(reg, AUDIT_SET, 0, &status);
        if (r < 0)
                log_warning("Cannot switch kernel auditing on: %s", strerror(-r));
}

static void on_status(KernelRegister *reg, const uint8_t *data, size_t size)
{
        reg->status = (struct audit_status) { 0 };
        /* Older kernels tell less. */
        memcpy(&reg->status, data, MIN(size, sizeof reg->status));
        reg->has_status = true;
        if (reg->role == KERNEL_ROLE_REFUSED && reg->status.pid != NO_AUDIT_DAEMON)
                (void) snprintf(reg->why, sizeof reg->why, "process %u is the audit daemon",
                                reg->status.pid);
        if (reg->role != KERNEL_ROLE_REGISTERED)
                return;
        enable_once(reg);
        if (reg->status.pid == NO_AUDIT_DAEMON)
                kernel_register_again(reg);
}

bool kernel_register_answer(KernelRegister *reg, const struct nlmsghdr *header, const uint8_t *data,
                            size_t size)
{
        uint32_t pid;
        int error;

        switch (header->nlmsg_type) {
        case NLMSG_ERROR:
                if (size >= sizeof error && header->nlmsg_seq == reg->set_seq &&
                    reg->role == KERNEL_ROLE_ASKED) {
                        memcpy(&error, data, sizeof error);
                        on_set(reg, error);
                }
                return false;
        case AUDIT_REPLACE:
                if (size >= sizeof pid) {
                        memcpy(&pid, data, sizeof pid);
                        reg->ours = reg->ours || pid == (uint32_t) getpid();
                }
                return false;
        case AUDIT_GET:
                on_status(reg, data, size);
                return true;
        default:
                return false;
        }
}

void kernel_register_end(KernelRegister *reg)
{
        struct audit_status status = { .mask = AUDIT_STATUS_PID };

        /* Otherwise the kernel finds out with the next record. */
        if (reg->role == KERNEL_ROLE_REGISTERED)
                (void) send_request(reg, AUDIT_SET, 0, &status);
}

void kernel_register_tick(KernelRegister *reg, bool quiet)
{
        reg->ticks++;
        reg->status_ticks++;
        if ((reg->role == KERNEL_ROLE_ASKED && reg->ticks >= ANSWER_TICKS) ||
            (reg->role == KERNEL_ROLE_REFUSED && reg->ticks >= REFUSED_TICKS))
                set_role(reg, KERNEL_ROLE_NONE);
        if (reg->role == KERNEL_ROLE_NONE && quiet)
                ask(reg);
        else if (reg->role == KERNEL_ROLE_REGISTERED && reg->status_ticks >= STATUS_TICKS && quiet)
                ask_status(reg);
}
