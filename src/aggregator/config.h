/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* aggregator.conf; conf/aggregator.conf says what each key means. */

#include "aggregator/networks.h"
#include "runtime/credentials.h"
#include "store/disk.h"

typedef enum Layout {
        LAYOUT_BLENDED, /* one store */
        LAYOUT_BY_NODE, /* one for each authenticated peer */
} Layout;

typedef struct AggregatorConfig {
        char *name;
        CredentialsPaths tls;
        char *sign_key; /* NULL: the usual one, if it is there */
        uint64_t checkpoint_usec;
        char *directory;
        char *state_directory;
        char **listen;
        char *peers_directory; /* NULL: the usual ones */
        bool peers_required;
        char **auditd_listen;
        char **auditd_allow_texts;
        char *auditd_psk_directory; /* NULL: plain TCP */
        uint64_t window;
        uint64_t network_timeout_usec;
        uint64_t connect_timeout_usec;
        uint64_t connections_max, peer_connections_max;
        uint64_t handshakes_max, address_handshakes_max;
        uint64_t peer_rate; /* bytes a second; 0: any */
        uint64_t segment_size_max, segment_age_usec;
        bool segment_compress;
        int layout; /* Layout */
        DiskAmount node_use_max;
        uint64_t use_max;
        DiskAmount keep_free, space_left, inodes_left;
        int when_full; /* WhenFull; negative: not said */
        uint64_t retention_usec;
        uint64_t stream_forget_usec;
        bool publish;
        char *publish_socket;
        bool pass_commands;

        /* Made of the above. */
        Networks auditd_allow;
} AggregatorConfig;

/* Reads aggregator.conf, or `path` alone. Says itself what is wrong. */
int aggregator_config_load(const char *path, AggregatorConfig *ret) _must_check_;
void aggregator_config_done(AggregatorConfig *config);
