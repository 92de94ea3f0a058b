/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

void address_widen(Address *address, uint8_t bits)
{
        if (bits >= address->bits)
                return;
        address->bits = bits;
        for (unsigned bit = bits; bit < 8U * address->size; bit++)
                address->bytes[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
}

static int parse_bits(const char *text, unsigned most, uint8_t *ret)
{
        char *end;
        unsigned long bits;

        if (*text < '0' || *text > '9')
                return -EINVAL;
        bits = strtoul(text, &end, 10);
        if (*end != '\0' || bits > most)
                return -EINVAL;
        *ret = (uint8_t) bits;
        return 0;
}

int address_parse(const char *text, Address *ret)
{
        const char *slash = strchr(text, '/');
        char host[INET6_ADDRSTRLEN];
        size_t size = slash ? (size_t) (slash - text) : strlen(text);
        Address address = { 0 };
        uint8_t bits;

        if (size >= sizeof host)
                return -EINVAL;
        memcpy(host, text, size);
        host[size] = '\0';
        if (inet_pton(AF_INET, host, address.bytes) == 1)
                address.size = 4;
        else if (inet_pton(AF_INET6, host, address.bytes) == 1)
                address.size = 16;
        else
                return -EINVAL;
        bits = (uint8_t) (8 * address.size);
        if (slash && parse_bits(slash + 1, bits, &bits) < 0)
                return -EINVAL;
        if (address.size == 16 && bits >= 96 && memcmp(address.bytes, mapped, sizeof mapped) == 0) {
                memmove(address.bytes, address.bytes + sizeof mapped, 4);
                memset(address.bytes + 4, 0, sizeof mapped);
                address.size = 4;
                bits = (uint8_t) (bits - 96);
        }
        address.bits = (uint8_t) (8 * address.size);
        address_widen(&address, bits);
        *ret = address;
        return 0;
}

void address_format(const Address *address, char text[ADDRESS_TEXT_SIZE])
{
        size_t size;

        if (!inet_ntop(address->size == 4 ? AF_INET : AF_INET6, address->bytes, text, ADDRESS_TEXT_SIZE))
                text[0] = '\0';
        size = strlen(text);
        if (address->bits < 8 * address->size)
                (void) snprintf(text + size, ADDRESS_TEXT_SIZE - size, "/%u", address->bits);
}

bool address_contains(const Address *prefix, const Address *address)
{
        Address wide = *address;

        if (prefix->size != address->size || address->bits < prefix->bits)
                return false;
        address_widen(&wide, prefix->bits);
        return memcmp(wide.bytes, prefix->bytes, sizeof wide.bytes) == 0;
}

bool address_equal(const Address *a, const Address *b)
{
        return a->size == b->size && a->bits == b->bits && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

int address_list_parse(char *const *words, Address **ret, const char **ret_wrong)
{
        Address *list;
        int n = 0;

        while (words && words[n])
                n++;
        list = calloc((size_t) n + 1, sizeof *list);
        if (!list)
                return -ENOMEM;
        for (int i = 0; i < n; i++)
                if (address_parse(words[i], &list[i]) < 0) {
                        *ret_wrong = words[i];
                        free(list);
                        return -EINVAL;
                }
        *ret = list;
        return n;
}

bool address_list_touches(const Address *list, size_t n, const Address *address)
{
        for (size_t i = 0; i < n; i++)
                if (address_contains(&list[i], address) || address_contains(address, &list[i]))
                        return true;
        return false;
}
