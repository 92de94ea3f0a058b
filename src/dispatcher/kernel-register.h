/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The audit socket's other direction: opening one, asking the kernel to take us as its audit daemon, and
 * reading its answers. */

#include "basic/macro.h"

#include <linux/audit.h>
#include <linux/netlink.h>

/* A sentence. */
#define KERNEL_WHY_MAX 160U

typedef enum KernelRole {
        KERNEL_ROLE_NONE,       /* nobody asked yet, or to be asked again once the socket is drained */
        KERNEL_ROLE_ASKED,      /* the answer is on its way */
        KERNEL_ROLE_REGISTERED, /* the kernel delivers to this socket */
        KERNEL_ROLE_REFUSED,    /* see `why` */
} KernelRole;

typedef struct KernelRegister {
        int fd; /* not owned */
        KernelRole role;
        uint32_t seq;     /* of the last request */
        uint32_t set_seq; /* of the last AUDIT_SET{PID} */
        bool ours;        /* the kernel's question whether the audit daemon lives came to our own socket */
        bool enabling;    /* auditing is switched on at most once a start */
        unsigned ticks;   /* in this role */
        unsigned status_ticks;
        bool has_status;
        struct audit_status status; /* as last told */
        char why[KERNEL_WHY_MAX];
} KernelRegister;

/* Opens the netlink socket itself: for running without a socket unit. Returns the descriptor or a negative
 * errno. */
int kernel_socket_open(bool multicast, uint64_t receive_buffer) _must_check_;
/* Whether a socket that was handed in is subscribed to the multicast group. Returns 1, 0, or a negative
 * errno: it is no audit socket. */
int kernel_socket_is_multicast(int fd) _must_check_;
/* Bytes that wait in it at most, 0: not known. */
uint64_t kernel_socket_room(int fd);

void kernel_register_init(KernelRegister *reg, int fd);
/* The socket is drained: ask if there is something to ask. */
void kernel_register_drained(KernelRegister *reg);
/* The socket ran over: the kernel may have dropped us. */
void kernel_register_again(KernelRegister *reg);
/* A message that is no record. Returns whether it was a status. */
bool kernel_register_answer(KernelRegister *reg, const struct nlmsghdr *header, const uint8_t *data,
                            size_t size);
/* Ends the registration: before a socket of our own is closed. */
void kernel_register_end(KernelRegister *reg);
/* Once a second. `quiet`: few records come, so that a question cannot wait behind the kernel's backlog. */
void kernel_register_tick(KernelRegister *reg, bool quiet);
