/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "aggregator/networks.h"

#include <arpa/inet.h>

#define BITS (8U * sizeof(Address))
#define MAPPED_BITS 96U

static const uint8_t mapped[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool is_mapped(const Address *address)
{
        return memcmp(address->bytes, mapped, sizeof mapped) == 0;
}

static void map(const struct in_addr *address, Address *ret)
{
        memcpy(ret->bytes, mapped, sizeof mapped);
        memcpy(ret->bytes + sizeof mapped, address, sizeof *address);
}

int address_of(const struct sockaddr *socket_address, Address *ret)
{
        if (socket_address->sa_family == AF_INET)
                map(&((const struct sockaddr_in *) socket_address)->sin_addr, ret);
        else if (socket_address->sa_family == AF_INET6)
                memcpy(ret->bytes, &((const struct sockaddr_in6 *) socket_address)->sin6_addr,
                       sizeof ret->bytes);
        else
                return -EAFNOSUPPORT;
        return 0;
}

void address_format(const Address *address, char ret_text[static ADDRESS_NAME_MAX])
{
        bool short_form = is_mapped(address);

        (void) inet_ntop(short_form ? AF_INET : AF_INET6, address->bytes + (short_form ? sizeof mapped : 0),
                         ret_text, ADDRESS_NAME_MAX);
}

bool address_equal(const Address *a, const Address *b)
{
        return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bool parse_bits(const char *text, unsigned most, unsigned *ret)
{
        unsigned n = 0;

        if (*text == '\0')
                return false;
        for (; *text; text++) {
                if (*text < '0' || *text > '9' || (n = n * 10 + (unsigned) (*text - '0')) > most)
                        return false;
        }
        *ret = n;
        return true;
}

static bool parse(const char *text, Network *ret)
{
        const char *slash = strchr(text, '/');
        char address[ADDRESS_NAME_MAX];
        size_t n = slash ? (size_t) (slash - text) : strlen(text);
        unsigned offset = 0;
        struct in_addr ipv4;

        if (n >= sizeof address)
                return false;
        memcpy(address, text, n);
        address[n] = '\0';
        if (inet_pton(AF_INET, address, &ipv4) == 1) {
                map(&ipv4, &ret->address);
                offset = MAPPED_BITS;
        } else if (inet_pton(AF_INET6, address, ret->address.bytes) != 1) {
                return false;
        }
        ret->bits = BITS - offset;
        if (slash && !parse_bits(slash + 1, BITS - offset, &ret->bits))
                return false;
        ret->bits += offset;
        return true;
}

int networks_parse(char *const *texts, Networks *ret, const char **ret_wrong)
{
        Networks networks = { 0 };

        for (size_t n = 0; texts && texts[n]; n++) {
                Network *bigger = reallocarray(networks.networks, n + 1, sizeof *bigger);

                if (!bigger) {
                        networks_done(&networks);
                        return -ENOMEM;
                }
                networks.networks = bigger;
                if (!parse(texts[n], &networks.networks[n])) {
                        *ret_wrong = texts[n];
                        networks_done(&networks);
                        return -EINVAL;
                }
                networks.n = n + 1;
        }
        *ret = networks;
        return 0;
}

void networks_done(Networks *networks)
{
        free(networks->networks);
        *networks = (Networks) { 0 };
}

static bool contains(const Network *network, const Address *address)
{
        size_t whole = network->bits / 8;
        unsigned rest = network->bits % 8;

        if (memcmp(network->address.bytes, address->bytes, whole) != 0)
                return false;
        return rest == 0 || (network->address.bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

bool networks_contain(const Networks *networks, const Address *address)
{
        for (size_t i = 0; i < networks->n; i++)
                if (contains(&networks->networks[i], address))
                        return true;
        return false;
}
