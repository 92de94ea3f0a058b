/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The list of collectors.
 *
 *  1. Within a round nobody is tried twice, whatever is learned meanwhile; so each round ends.
 *  2. Order depends on nothing but configuration, node and DNS: a node comes back to the collectors it had, and
 *     with one more or less only those nodes move that must (rendezvous hashing: each host draws a lot for the
 *     node, the best one is first).
 */

#include "remote/collectors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PORT_DEFAULT "6560"
#define SERVICE_PREFIX "srv:"
/* SRV's weight 0 is "hardly any"; of several of them each has the same share. */
#define WEIGHT_NONE (1.0 / 65536)

typedef struct Entry {
        const char *text; /* not owned */
        char *domain;     /* of a service; NULL: a host, the only one of `hosts` */
        Collector *hosts;
        size_t n;
        bool find; /* the service is to be found in this round */
} Entry;

struct Collectors {
        Entry entries[COLLECTORS_MAX];
        size_t n;
        char *node;
        size_t begin_entry, begin_host; /* of the round */
        size_t finding;                 /* index of the entry that is looked for */
        char current[NODE_NAME_MAX + 1], until[NODE_NAME_MAX + 1];
};

/* --- Text --- */

typedef struct Parts {
        const char *host, *port, *name; /* port, name: NULL if not said */
        size_t host_size, port_size;
        bool service;
} Parts;

static bool port_is_valid(const char *port, size_t size)
{
        return size > 0 && size <= 5 && strspn(port, "0123456789") >= size && strtoul(port, NULL, 10) <= 65535 &&
               strtoul(port, NULL, 10) > 0;
}

static bool name_is_valid(const char *name, size_t size)
{
        static const char allowed[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";

        return size > 0 && size <= NODE_NAME_MAX && strspn(name, allowed) >= size;
}

/* Behind the host: ":PORT", "#NAME", both or nothing. */
static const char *split_rest(const char *rest, Parts *ret)
{
        if (*rest == ':') {
                ret->port = rest + 1;
                ret->port_size = strcspn(ret->port, "#");
                if (!port_is_valid(ret->port, ret->port_size))
                        return "the port is a number from 1 to 65535";
                rest = ret->port + ret->port_size;
        }
        if (*rest == '#') {
                ret->name = rest + 1;
                return name_is_valid(ret->name, strlen(ret->name)) ? NULL : "behind # stands a host name";
        }
        return *rest == '\0' ? NULL : "it is not HOST, HOST:PORT or [ADDRESS]:PORT";
}

bool collectors_is_service(const char *text)
{
        return strncmp(text, SERVICE_PREFIX, strlen(SERVICE_PREFIX)) == 0;
}

/* Returns what is wrong, or NULL. */
static const char *split(const char *text, Parts *ret)
{
        const char *rest;

        *ret = (Parts) { .host = text };
        if (collectors_is_service(text)) {
                ret->service = true;
                ret->host += strlen(SERVICE_PREFIX);
                ret->host_size = strlen(ret->host);
                return name_is_valid(ret->host, ret->host_size) && !strchr(ret->host, ':')
                               ? NULL
                               : "behind srv: stands a domain, and nothing else";
        }
        if (*text == '[') {
                ret->host++;
                ret->host_size = strcspn(ret->host, "]");
                rest = ret->host + ret->host_size;
                if (*rest != ']')
                        return "the ] behind the address is missing";
                rest++;
        } else {
                ret->host_size = strcspn(text, ":#");
                rest = text + ret->host_size;
        }
        if (ret->host_size == 0)
                return "the host is missing";
        /* Only an address in brackets, that of a certain interface, has other characters. */
        if (*text != '[' && !name_is_valid(ret->host, ret->host_size))
                return "it is not a host name";
        return split_rest(rest, ret);
}

/* Certificates name hosts, not addresses. */
static bool is_address(const char *text, const Parts *parts)
{
        return *text == '[' || strspn(parts->host, "0123456789.") >= parts->host_size;
}

int collectors_check(const char *text, const char **ret_why)
{
        Parts parts;

        *ret_why = split(text, &parts);
        if (!*ret_why && !parts.service && !parts.name && is_address(text, &parts))
                *ret_why = "behind an address stands #NAME, the name in the collector's certificate";
        return *ret_why ? -EINVAL : 0;
}

int collectors_split(const char *text, const char *port_default, char **ret_host, char **ret_port,
                     const char **ret_why)
{
        Parts parts;

        *ret_why = split(text, &parts);
        if (!*ret_why && (parts.service || parts.name))
                *ret_why = "it is not HOST, HOST:PORT or [ADDRESS]:PORT";
        if (*ret_why)
                return -EINVAL;
        *ret_host = strndup(parts.host, parts.host_size);
        *ret_port = parts.port ? strndup(parts.port, parts.port_size) : strdup(port_default);
        return *ret_host && *ret_port ? 0 : -ENOMEM;
}

/* --- Making --- */

static void entry_forget(Entry *entry)
{
        for (size_t i = 0; i < entry->n; i++)
                free(entry->hosts[i].host);
        free(TAKE_PTR(entry->hosts));
        entry->n = 0;
}

static int entry_parse(Entry *entry, const char *text)
{
        const char *why;
        Parts parts;
        int r = collectors_check(text, &why);

        if (r < 0)
                return r;
        (void) split(text, &parts);
        entry->text = text;
        if (parts.service) {
                entry->domain = strdup(parts.host);
                return entry->domain ? 0 : -ENOMEM;
        }
        entry->hosts = calloc(1, sizeof *entry->hosts);
        if (!entry->hosts)
                return -ENOMEM;
        entry->n = 1;
        entry->hosts->host = strndup(parts.host, parts.host_size);
        (void) snprintf(entry->hosts->name, sizeof entry->hosts->name, "%.*s",
                        (int) (parts.name ? strlen(parts.name) : parts.host_size),
                        parts.name ? parts.name : parts.host);
        (void) snprintf(entry->hosts->port, sizeof entry->hosts->port, "%.*s",
                        parts.port ? (int) parts.port_size : (int) strlen(PORT_DEFAULT),
                        parts.port ? parts.port : PORT_DEFAULT);
        return entry->hosts->host ? 0 : -ENOMEM;
}

static Collector *find_host(const Entry *entry, const char *name)
{
        for (size_t i = 0; i < entry->n; i++)
                if (strcmp(entry->hosts[i].name, name) == 0)
                        return &entry->hosts[i];
        return NULL;
}

static bool is_listed(const Collectors *collectors, const Entry *except, const char *name)
{
        for (size_t i = 0; i < collectors->n; i++)
                if (&collectors->entries[i] != except && find_host(&collectors->entries[i], name))
                        return true;
        return false;
}

/* The lot that `name` draws for the node: the smallest is first. With that of weight 2 it is so twice as
 * often. */
static double lot(const char *node, const char *name, double weight)
{
        uint64_t hash = checksum64_pair(node, strlen(node) + 1, name, strlen(name));

        return -log(((double) (hash >> 11) + 0.5) / (double) (1ULL << 53)) / weight;
}

static void spread(Collectors *collectors)
{
        double lots[COLLECTORS_MAX];

        for (size_t i = 0; i < collectors->n; i++) {
                Entry entry = collectors->entries[i];
                double mine = lot(collectors->node, entry.domain ? entry.text : entry.hosts->name, 1);
                size_t j = i;

                for (; j > 0 && lots[j - 1] > mine; j--) {
                        collectors->entries[j] = collectors->entries[j - 1];
                        lots[j] = lots[j - 1];
                }
                collectors->entries[j] = entry;
                lots[j] = mine;
        }
}

int collectors_new(char *const *texts, const char *node, bool spreads, Collectors **ret)
{
        _cleanup_(collectors_freep) Collectors *collectors = calloc(1, sizeof *collectors);

        if (!collectors)
                return -ENOMEM;
        collectors->node = strdup(node);
        if (!collectors->node)
                return -ENOMEM;
        for (; texts[collectors->n]; collectors->n++) {
                Entry *entry = &collectors->entries[collectors->n];
                int r;

                if (collectors->n == COLLECTORS_MAX)
                        return -E2BIG;
                r = entry_parse(entry, texts[collectors->n]);
                if (r < 0) {
                        collectors->n++; /* what there is of it is freed */
                        return r;
                }
                if (!entry->domain && is_listed(collectors, entry, entry->hosts->name)) {
                        collectors->n++;
                        return -EEXIST;
                }
        }
        if (spreads)
                spread(collectors);
        collectors_end(collectors);
        *ret = TAKE_PTR(collectors);
        return 0;
}

Collectors *collectors_free(Collectors *collectors)
{
        if (!collectors)
                return NULL;
        for (size_t i = 0; i < collectors->n; i++) {
                entry_forget(&collectors->entries[i]);
                free(collectors->entries[i].domain);
        }
        free(collectors->node);
        free(collectors);
        return NULL;
}

/* --- A round --- */

static void set_tried(Collectors *collectors, bool tried)
{
        for (size_t i = 0; i < collectors->n; i++) {
                Entry *entry = &collectors->entries[i];

                /* One that nobody was found for is looked for in each round. */
                entry->find = !tried && entry->domain && entry->n == 0;
                for (size_t j = 0; j < entry->n; j++)
                        entry->hosts[j].tried = tried;
        }
        collectors->begin_entry = collectors->begin_host = 0;
        collectors->until[0] = '\0';
}

void collectors_end(Collectors *collectors)
{
        set_tried(collectors, true);
}

void collectors_begin(Collectors *collectors, const char *until)
{
        set_tried(collectors, false);
        for (size_t i = 0; i < collectors->n; i++)
                collectors->entries[i].find = collectors->entries[i].domain != NULL;
        (void) snprintf(collectors->until, sizeof collectors->until, "%s", until ? until : "");
}

/* Returns NULL if there is none of that name. */
static Collector *begin_at(Collectors *collectors, const char *name)
{
        set_tried(collectors, false);
        for (size_t i = 0; i < collectors->n; i++) {
                Collector *host = find_host(&collectors->entries[i], name);

                if (!host)
                        continue;
                collectors->begin_entry = i;
                collectors->begin_host = (size_t) (host - collectors->entries[i].hosts);
                return host;
        }
        return NULL;
}

void collectors_begin_at(Collectors *collectors, const char *name)
{
        (void) begin_at(collectors, name);
}

void collectors_begin_behind(Collectors *collectors)
{
        Collector *current = begin_at(collectors, collectors->current);

        if (current)
                current->tried = true;
}

void collectors_again(Collectors *collectors)
{
        collectors_begin_at(collectors, collectors->current);
}

bool collectors_leave(Collectors *collectors, uint64_t now_usec, uint64_t again_usec)
{
        Collector *host = NULL;

        for (size_t i = 0; i < collectors->n && !host; i++)
                host = find_host(&collectors->entries[i], collectors->current);
        if (!host || !collectors_more(collectors) || (host->left_usec != 0 && now_usec - host->left_usec < again_usec))
                return false;
        host->left_usec = now_usec;
        return true;
}

/* Looks at an entry's hosts from that one on. */
static CollectorsStep look(const Collectors *collectors, size_t i, size_t from, size_t *ret_host)
{
        const Entry *entry = &collectors->entries[i];

        if (entry->find)
                return COLLECTORS_FIND;
        for (size_t j = from; j < entry->n; j++) {
                if (strcmp(entry->hosts[j].name, collectors->until) == 0)
                        return COLLECTORS_NONE;
                if (!entry->hosts[j].tried) {
                        *ret_host = j;
                        return COLLECTORS_TRY;
                }
        }
        return COLLECTORS_NONE;
}

/* From the beginning of the round to the end of the list, then from its top. */
static CollectorsStep peek(const Collectors *collectors, size_t *ret_entry, size_t *ret_host)
{
        CollectorsStep step = COLLECTORS_NONE;

        for (size_t pass = 0; pass < 2; pass++)
                for (size_t i = pass == 0 ? collectors->begin_entry : 0; i < collectors->n; i++) {
                        size_t from = pass == 0 && i == collectors->begin_entry ? collectors->begin_host : 0;

                        *ret_entry = i;
                        step = look(collectors, i, from, ret_host);
                        if (step != COLLECTORS_NONE || find_host(&collectors->entries[i], collectors->until))
                                return step;
                }
        return step;
}

CollectorsStep collectors_next(Collectors *collectors, const Collector **ret_collector, const char **ret_domain)
{
        size_t i, j;
        CollectorsStep step = peek(collectors, &i, &j);

        if (step == COLLECTORS_FIND) {
                collectors->finding = i;
                collectors->entries[i].find = false;
                *ret_domain = collectors->entries[i].domain;
        } else if (step == COLLECTORS_TRY) {
                Collector *collector = &collectors->entries[i].hosts[j];

                collector->tried = true;
                memcpy(collectors->current, collector->name, sizeof collectors->current);
                *ret_collector = collector;
        }
        return step;
}

bool collectors_more(const Collectors *collectors)
{
        size_t i, j;

        return peek(collectors, &i, &j) != COLLECTORS_NONE;
}

/* --- Services --- */

typedef struct Found {
        const CollectorsService *service;
        double lot;
} Found;

static int compare_found(const void *a, const void *b)
{
        const Found *f = a, *g = b;

        if (f->service->priority != g->service->priority)
                return f->service->priority < g->service->priority ? -1 : 1;
        return f->lot < g->lot ? -1 : f->lot > g->lot;
}

static int host_of_service(const CollectorsService *service, Collector *ret)
{
        memcpy(ret->name, service->host, sizeof ret->name);
        (void) snprintf(ret->port, sizeof ret->port, "%u", service->port);
        ret->host = strdup(service->host);
        return ret->host ? 0 : -ENOMEM;
}

int collectors_found(Collectors *collectors, const CollectorsService *services, size_t n)
{
        Entry *entry = &collectors->entries[collectors->finding];
        Entry fresh = *entry;
        Found found[COLLECTORS_MAX];
        size_t n_found = 0;

        for (size_t i = 0; i < n && n_found < COLLECTORS_MAX; i++)
                if (name_is_valid(services[i].host, strlen(services[i].host)))
                        found[n_found++] = (Found) {
                                .service = &services[i],
                                .lot = lot(collectors->node, services[i].host,
                                           services[i].weight > 0 ? services[i].weight : WEIGHT_NONE),
                        };
        qsort(found, n_found, sizeof *found, compare_found);
        fresh.n = 0;
        fresh.hosts = calloc(MAX(n_found, (size_t) 1), sizeof *fresh.hosts);
        if (!fresh.hosts)
                return -ENOMEM;
        for (size_t i = 0; i < n_found; i++) {
                Collector *host = &fresh.hosts[fresh.n];
                const Collector *before;

                if (find_host(&fresh, found[i].service->host) ||
                    is_listed(collectors, entry, found[i].service->host))
                        continue; /* one name is one collector */
                if (host_of_service(found[i].service, host) < 0) {
                        entry_forget(&fresh);
                        return -ENOMEM;
                }
                before = find_host(entry, host->name);
                host->tried = before && before->tried;
                host->left_usec = before ? before->left_usec : 0;
                fresh.n++;
        }
        entry_forget(entry);
        *entry = fresh;
        return 0;
}

/* --- Where we are --- */

const char *collectors_current(const Collectors *collectors)
{
        return collectors->current;
}

bool collectors_preferred(const Collectors *collectors)
{
        for (size_t i = 0; i < collectors->n; i++)
                if (collectors->entries[i].n > 0)
                        return strcmp(collectors->entries[i].hosts[0].name, collectors->current) == 0;
        return false;
}
