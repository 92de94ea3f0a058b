/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "aggregator/peers.h"
#include "runtime/config.h"
#include "runtime/log.h"

#include <stddef.h>
#include <strings.h>

struct Peers {
        Peer *items; /* sorted by name */
        size_t n;
};

static const char *const actions[] = { "allow", "refuse", NULL };
static const ConfigBounds connections = { 1, 1024U * 1024U };
const ConfigBounds peer_rate_bounds = { 65536, UINT64_MAX / 2 };

#define BOUNDED(name, parse, field, expected, argument) \
        { "Peer", name, parse, offsetof(Peer, field), expected, argument }

static const ConfigKey keys[] = {
        BOUNDED("Name", config_parse_node, name, "a name as in a certificate", NULL),
        BOUNDED("Action", config_parse_enum, action, "allow or refuse", actions),
        BOUNDED("Forget", config_parse_bool, forget, "yes or no", NULL),
        BOUNDED("RelayNames", config_parse_strings, relay_names, "names of nodes", NULL),
        BOUNDED("MaxConnections", config_parse_unsigned_within, connections_max, "a number from 1 to 1048576",
                &connections),
        BOUNDED("Rate", config_parse_size_within, rate, "bytes a second, at least 64K, such as 1M",
                &peer_rate_bounds),
        { 0 },
};

static int wrong(const char *path, const char *what, const char *name)
{
        log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s: %s%s", path, what, name);
        return -EINVAL;
}

/* "/etc/audit-relay/peers.d/web1.conf" → "web1". */
static char *name_of_path(const char *path)
{
        const char *slash = strrchr(path, '/');
        const char *base = slash ? slash + 1 : path;
        const char *dot = strrchr(base, '.');

        return strndup(base, dot ? (size_t) (dot - base) : strlen(base));
}

static int check(const Peer *peer)
{
        if (!node_name_is_valid(peer->name))
                return wrong(peer->path, "Name= is missing, and the file's name is none: ", peer->name);
        /* Forgotten while it delivers, it would deliver again what it still holds. */
        if (peer->forget && peer->action != PEER_REFUSE)
                return wrong(peer->path, "Forget=yes is for Action=refuse: ", "whoever delivers is remembered");
        for (size_t i = 0; peer->relay_names && peer->relay_names[i]; i++)
                if (!node_name_is_valid(peer->relay_names[i]))
                        return wrong(peer->path, "RelayNames= has no node's name: ", peer->relay_names[i]);
        return 0;
}

static void peer_done(Peer *peer)
{
        config_done(keys, peer);
        free(peer->path);
        *peer = (Peer) { 0 };
}

static int load_one(const char *path, Peer *ret)
{
        Peer peer = { .path = strdup(path), .name = name_of_path(path) };
        int r = -ENOMEM;

        if (peer.path && peer.name)
                r = config_load_file(path, keys, &peer);
        if (r >= 0)
                r = check(&peer);
        if (r < 0)
                peer_done(&peer);
        else
                *ret = peer;
        return r;
}

static int compare(const void *a, const void *b)
{
        return strcasecmp(((const Peer *) a)->name, ((const Peer *) b)->name);
}

/* Two files for one peer could say two things. */
static int check_unique(const Peers *peers)
{
        for (size_t i = 1; i < peers->n; i++)
                if (compare(&peers->items[i - 1], &peers->items[i]) == 0) {
                        log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s: %s is named in %s already",
                                    peers->items[i].path, peers->items[i].name, peers->items[i - 1].path);
                        return -EINVAL;
                }
        return 0;
}

int peers_load(const char *directory, Peers **peers)
{
        _cleanup_(strings_freep) char **paths = NULL;
        _cleanup_(peers_freep) Peers *new = calloc(1, sizeof *new);
        int r;

        if (!new)
                return -ENOMEM;
        r = config_list("peers.d", directory, &paths);
        if (r < 0)
                return r;
        new->items = calloc(strings_count(paths) + 1, sizeof *new->items);
        if (!new->items)
                return -ENOMEM;
        for (size_t i = 0; paths[i]; i++, new->n++) {
                r = load_one(paths[i], &new->items[i]);
                if (r < 0)
                        return r;
        }
        qsort(new->items, new->n, sizeof *new->items, compare);
        r = check_unique(new);
        if (r < 0)
                return r;
        peers_free(*peers);
        *peers = TAKE_PTR(new);
        return 0;
}

Peers *peers_free(Peers *peers)
{
        if (!peers)
                return NULL;
        for (size_t i = 0; i < peers->n; i++)
                peer_done(&peers->items[i]);
        free(peers->items);
        free(peers);
        return NULL;
}

const Peer *peers_find(const Peers *peers, const char *name)
{
        Peer key = { .name = (char *) name };

        return peers->n > 0 ? bsearch(&key, peers->items, peers->n, sizeof key, compare) : NULL;
}

const Peer *peers_get(const Peers *peers, size_t i)
{
        return i < peers->n ? &peers->items[i] : NULL;
}

char *const *peers_relay_names(const Peers *peers, const char *name)
{
        const Peer *peer = peers_find(peers, name);

        return peer && peer->action == PEER_ALLOW && strings_count(peer->relay_names) > 0 ? peer->relay_names
                                                                                          : NULL;
}

bool peer_may_relay(const Peers *peers, const char *name, const char *node)
{
        char *const *names = peers_relay_names(peers, name);

        for (; names && *names; names++)
                if (strcasecmp(*names, node) == 0)
                        return true;
        return false;
}
