/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a simulated disk is made of; for sim-disk*.c alone. */

#include "sim-disk.h"

#define SECTOR 512U
#define FILE_MAX (64U * 1024U * 1024U)

typedef struct Bytes {
        uint8_t *data;
        uint64_t size, room;
} Bytes;

typedef enum NodeType {
        NODE_FILE,
        NODE_LINK,
        NODE_DIRECTORY,
} NodeType;

typedef struct Node Node;

struct Node {
        Node *next;
        NodeType type;
        char target[128];
        Bytes cache, medium;
        uint8_t *dirty; /* a byte each sector */
        uint64_t n_sectors;
        bool soiled;
        bool resized;
        uint64_t allocated;
        unsigned references; /* names in both tables, log and handles */
        Node *copy;          /* while the disk is being copied */
};

typedef struct Name {
        char name[128];
        Node *node;
} Name;

typedef struct Names {
        Name *names;
        size_t n, allocated;
} Names;

/* name gets `node` (NULL: goes); `from`: a rename, which takes that name away at the same time. */
typedef struct Change {
        char name[128], from[128];
        Node *node;
} Change;

struct SimDisk {
        uint64_t random;
        uint64_t capacity;
        uint64_t calls, cut_at, syncs, fail_sync_at;
        bool cut;
        Node *nodes;
        Names now, durable;
        Change *changes;
        size_t n_changes, allocated_changes;
        const void *owner; /* the process that has the lock */
};

/* Grows with zeros. */
void sim_bytes_resize(Bytes *bytes, uint64_t size);
/* A file, link or directory without a name; it lives while something refers to it. */
Node *sim_node_new(SimDisk *sim, NodeType type);
/* The sectors of from..to differ from the medium now. */
void sim_node_soil(Node *node, uint64_t from, uint64_t to);
/* No sector does. */
void sim_node_clean(Node *node);
/* The name refers to the node; NULL: it goes. */
void sim_names_set(SimDisk *sim, Names *names, const char *name, Node *node);
/* The same in the directory as it is seen now, and in the log of what was done since it was synced. */
void sim_disk_change(SimDisk *sim, const char *name, const char *from, Node *node);
/* What was done to the directory is on the medium. */
void sim_directory_durable(SimDisk *sim);
