/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Internet addresses and prefixes, as text and as bytes. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "2001:db8:…/128" with its NUL. */
#define ADDRESS_TEXT_SIZE 52

typedef struct Address {
        uint8_t bytes[16]; /* IPv4: the first four; the rest zero */
        uint8_t size;      /* 4 or 16 */
        uint8_t bits;      /* of the prefix; 8 * size: one address */
} Address;

/* "192.0.2.1", "2001:db8::/32". Bits behind the prefix become zero; an IPv4 address in IPv6 becomes IPv4.
 * Returns 0 or -EINVAL. */
int address_parse(const char *text, Address *ret);
/* Makes it the prefix of so many bits, if it is longer. */
void address_widen(Address *address, uint8_t bits);
/* Without its "/32" or "/128". */
void address_format(const Address *address, char text[ADDRESS_TEXT_SIZE]);
bool address_contains(const Address *prefix, const Address *address);
bool address_equal(const Address *a, const Address *b);

/* Parses a list of words into *ret (to be freed). Returns how many, -ENOMEM, or -EINVAL with the word in
 * *ret_wrong. */
int address_list_parse(char *const *words, Address **ret, const char **ret_wrong);
/* Whether one of them and the address have anything in common. */
bool address_list_touches(const Address *list, size_t n, const Address *address);
