/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A list of networks: "192.0.2.0/24", "2001:db8::/32", or one address without bits. */

#include "basic/macro.h"

#include <netinet/in.h>

/* As digits, for a record's node=. */
#define ADDRESS_NAME_MAX INET6_ADDRSTRLEN

/* An address of either kind; IPv4 as IPv6 has it (::ffff:0:0/96). */
typedef struct Address {
        uint8_t bytes[16];
} Address;

typedef struct Network {
        Address address;
        unsigned bits;
} Network;

typedef struct Networks {
        Network *networks;
        size_t n;
} Networks;

/* Of texts, NULL-terminated or NULL. Returns 0, or -EINVAL with *ret_wrong, one of them. */
int networks_parse(char *const *texts, Networks *ret, const char **ret_wrong) _must_check_;
void networks_done(Networks *networks);
bool networks_contain(const Networks *networks, const Address *address);

/* Of a socket's peer. Returns 0, or -EAFNOSUPPORT when it is neither IPv4 nor IPv6. */
int address_of(const struct sockaddr *socket_address, Address *ret) _must_check_;
/* Its digits, IPv4's as IPv4 has them. */
void address_format(const Address *address, char ret_text[static ADDRESS_NAME_MAX]);
bool address_equal(const Address *a, const Address *b);
