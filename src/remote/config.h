/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* remote.conf; conf/remote.conf says what each key means. */

#include "runtime/credentials.h"
#include "store/disk.h"

typedef enum RemoteProtocol {
        PROTOCOL_LINK,
        PROTOCOL_AUDITD, /* to a stock auditd */
} RemoteProtocol;

typedef struct RemoteConfig {
        char **collectors; /* as collectors_new() takes them */
        char *collector_name; /* already said in the first of them */
        bool spread;
        char *node;
        CredentialsPaths tls;
        char **verifier_keys; /* of collectors; NULL: their receipts are kept as they come */
        char *directory;
        char *state_directory;
        char *listen;
        char *dispatcher_user;
        int protocol; /* RemoteProtocol */
        uint64_t auditd_window; /* records */
        char *auditd_psk_identity, *auditd_psk_file;
        uint64_t window;
        uint64_t network_timeout_usec;
        uint64_t connect_timeout_usec;
        uint64_t retry_min_usec, retry_max_usec, fail_back_usec;
        uint64_t segment_size_max, segment_age_usec;
        uint64_t use_max;
        DiskAmount keep_free, space_left, inodes_left;
        int when_full; /* WhenFull */
        uint64_t retention_usec;
        uint64_t keep_acked_usec; /* 0: no, USEC_INFINITY: as long as the other bounds let them */
        int compress; /* OutletCompress */
        bool enrich, relay;
        uint64_t enrich_timeout_usec;

        char *host, *port; /* of the stock collector, made of the above */
} RemoteConfig;

/* Reads remote.conf, or `path` alone. Says itself what is wrong. */
int remote_config_load(const char *path, RemoteConfig *ret) _must_check_;
void remote_config_done(RemoteConfig *config);
