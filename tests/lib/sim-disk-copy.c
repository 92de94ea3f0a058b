/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A disk set back or cloned: a snapshot is what the medium would have after a power cut. */

#include "sim-disk-internal.h"

static void copy_bytes(Bytes *to, const Bytes *from)
{
        sim_bytes_resize(to, from->size);
        if (from->size > 0)
                memcpy(to->data, from->data, from->size);
}

static Node *copy_node(SimDisk *to, Node *node)
{
        Node *copy;

        if (!node || node->copy)
                return node ? node->copy : NULL;
        copy = node->copy = sim_node_new(to, node->type);
        strcpy(copy->target, node->target);
        copy_bytes(&copy->cache, &node->cache);
        copy_bytes(&copy->medium, &node->medium);
        for (uint64_t s = 0; node->soiled && s < node->n_sectors && s * SECTOR < node->cache.size; s++)
                if (node->dirty[s])
                        sim_node_soil(copy, s * SECTOR, s * SECTOR + 1);
        copy->resized = node->resized;
        return copy;
}

SimDisk *sim_disk_copy(const SimDisk *sim, uint64_t seed)
{
        SimDisk *copy = sim_disk_new(seed);

        for (size_t i = 0; i < sim->durable.n; i++)
                sim_names_set(copy, &copy->durable, sim->durable.names[i].name,
                    copy_node(copy, sim->durable.names[i].node));
        /* sim_disk_change() does them again, which leads from the one table to the other. */
        for (size_t i = 0; i < copy->durable.n; i++)
                sim_names_set(copy, &copy->now, copy->durable.names[i].name, copy->durable.names[i].node);
        for (size_t i = 0; i < sim->n_changes; i++)
                sim_disk_change(copy, sim->changes[i].name, sim->changes[i].from,
                       copy_node(copy, sim->changes[i].node));
        for (Node *node = sim->nodes; node; node = node->next)
                node->copy = NULL;
        sim_disk_power_cycle(copy);
        return copy;
}

void sim_disk_settle(SimDisk *sim)
{
        sim_directory_durable(sim);
        for (Node *node = sim->nodes; node; node = node->next) {
                copy_bytes(&node->medium, &node->cache);
                sim_node_clean(node);
        }
}
