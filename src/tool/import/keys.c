/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every key that auditd 3.0.9 and 4.2 know in their files, and what becomes of it. docs/migration.md shows this table,
 * and a test compares them.
 */

#include "tool/import/take.h"

#define TAKEN(name, text, take, argument) { name, IMPORT_TAKEN, text, take, argument }
#define UNNEEDED(name, text) { name, IMPORT_UNNEEDED, text, NULL, NULL }
#define IMPOSSIBLE(name, text) { name, IMPORT_IMPOSSIBLE, text, NULL, NULL }
/* Only where auditd listens. */
#define LISTENER(name, fate, text) { name, IMPORT_##fate, text, take_of_listener, NULL }
#define KERBEROS(name) \
        { name, IMPORT_IMPOSSIBLE, "there is no Kerberos: both sides show a certificate, see `audit-relay cert`", take_kerberos, NULL }

static const char ciphers[] = "TLS 1.3 alone, with the cipher suites of tls.md";

static const ImportKey auditd_keys[] = {
        TAKEN("local_events", "the client target reads the kernel; `no`: enable the collector's target alone", take_local_events, NULL),
        TAKEN("write_logs", "remote.conf `KeepAcked=7d`, also where no line says `yes`: a local log, bounded by time; a collector always writes", take_write_logs, NULL),
        UNNEEDED("log_file", "the log is in /var/log/audit-relay (collector) or /var/lib/audit-relay/remote (client); "
                             "`ausearch -if …/ausearch` and `audit-relay log` read it"),
        TAKEN("log_group", "no configuration: add its members to the group audit-relay-read", take_log_group, NULL),
        TAKEN("log_format", "`ENRICHED`: remote.conf `Enrich=yes`", take_log_format, NULL),
        UNNEEDED("flush", "nothing is acked before fdatasync, and one fdatasync serves all that arrived meanwhile"),
        UNNEEDED("freq", "nothing is acked before fdatasync, and one fdatasync serves all that arrived meanwhile"),
        TAKEN("max_log_file", "collector: `SegmentMaxSize=`; client: not needed, `KeepAcked=` bounds its log", take_segment_size, NULL),
        TAKEN("num_logs", "collector that rotates: `MaxUse=`, num_logs times max_log_file; client: as max_log_file", take_segment_size, NULL),
        TAKEN("max_log_file_action", "collector: `ROTATE`: `WhenFull=drop-oldest`; others: nothing is deleted, which is the default",
              take_size_action, NULL),
        TAKEN("space_left", "`SpaceLeft=`", take_space, NULL),
        TAKEN("space_left_action", "reaction to `remote/spool_low` or `aggregator/disk_low`", take_action,
              "remote-spool_low/aggregator-disk_low"),
        TAKEN("admin_space_left", "`KeepFree=`; the store counts as full there", take_admin_space, NULL),
        TAKEN("admin_space_left_action", "reaction to `remote/spool_full` or `aggregator/disk_full`", take_action,
              "remote-spool_full/aggregator-disk_full"),
        TAKEN("disk_full_action", "reaction to `remote/spool_full` or `aggregator/disk_full`", take_action,
              "remote-spool_full/aggregator-disk_full"),
        TAKEN("disk_error_action", "reaction to `remote/spool_error` or `aggregator/disk_error`", take_action,
              "remote-spool_error/aggregator-disk_error"),
        TAKEN("action_mail_acct", "to whom the reaction `email` writes (`MAILTO=`)", NULL, NULL),
        UNNEEDED("verify_email", "sendmail says in the journal what it cannot deliver"),
        TAKEN("tcp_listen_port", "audit-relay-aggregator-auditd.socket, for clients that stay stock; ours come to port 6560", take_listen_port,
              NULL),
        LISTENER("tcp_listen_queue", UNNEEDED, "the kernel's largest is used"),
        LISTENER("tcp_max_per_addr", UNNEEDED, "64 connections of one address; one more takes the place of the one silent longest"),
        LISTENER("use_libwrap", IMPOSSIBLE, "write the networks into aggregator.conf `AuditdAllow=`: none is served before"),
        LISTENER("tcp_client_ports", IMPOSSIBLE, "a client is known by its certificate or key, not by the port it has"),
        LISTENER("tcp_client_max_idle", UNNEEDED, "a silent connection gives way to a new one; ours say every second that they live"),
        TAKEN("transport", "ours come with certificates; stock ones by plain TCP, or TLS with `AuditdPSKDirectory=`, see tls_psk_file",
              take_listen_transport, NULL),
        KERBEROS("enable_krb5"),
        KERBEROS("krb5_principal"),
        KERBEROS("krb5_key_file"),
        LISTENER("tls_psk_file", IMPOSSIBLE, "copy it to /etc/audit-relay/tls/auditd.psk/IDENTITY.psk and set `AuditdPSKDirectory=`: one key for each client"),
        LISTENER("tls_psk_identity", IMPOSSIBLE, "it is the name of the key's file, see tls_psk_file"),
        LISTENER("tls_allowed_clients", IMPOSSIBLE, "one file IDENTITY.psk for each client, see tls_psk_file"),
        LISTENER("tls_cipher_suites", UNNEEDED, ciphers),
        LISTENER("tls_key_exchange", UNNEEDED, ciphers),
        LISTENER("tls_require_pqc", IMPOSSIBLE, "GnuTLS 3.7 has no ML-KEM"),
        LISTENER("tls_auth", UNNEEDED, ciphers),
        LISTENER("tls_crypto_profile", UNNEEDED, ciphers),
        TAKEN("distribute_network", "aggregator.conf `Publish=yes`", take_distribute, NULL),
        UNNEEDED("q_depth", "the ring holds some 250,000 records (dispatcher.conf `RingSize=`), and each plugin has its own place in it"),
        TAKEN("overflow_action", "reaction to `dispatcher/subscriber_dropping`", take_action, "dispatcher-subscriber_dropping"),
        UNNEEDED("max_restarts", "systemd starts a plugin again as often as it ends, a second later"),
        TAKEN("plugin_dir", "the generator reads /etc/audit/plugins.d", take_plugin_dir, NULL),
        UNNEEDED("priority_boost", "the ring takes what comes while the dispatcher waits for a processor; else `Nice=` in a drop-in"),
        TAKEN("name_format", "`Node=`; default is the host name", take_name_format, NULL),
        TAKEN("name", "`Node=` of dispatcher.conf and remote.conf, with `name_format = user`", take_name, NULL),
        UNNEEDED("end_of_event_timeout", "it is of programs that read the log: ausearch takes `--eoe-timeout`"),
        UNNEEDED("report_interval", "the status is written every second: `audit-relay status`"),
        UNNEEDED("dispatcher", "auditd does not know it any more"),
        UNNEEDED("disp_qos", "auditd does not know it any more"),
        { 0 },
};

static const char certificates[] = "with certificates there is no need; with `--stock-collector`: remote.conf";

static const ImportKey remote_keys[] = {
        TAKEN("remote_server", "remote.conf `Collector=`; of an address, `--collector=ADDRESS#NAME`", take_remote_server, NULL),
        TAKEN("port", "ours is 6560; with `--stock-collector` it is part of `Collector=`", take_port, NULL),
        TAKEN("local_port", "the kernel's choice; a client is known by its certificate", take_local_port, NULL),
        TAKEN("transport", "TLS 1.3 with certificates; with `--stock-collector`: as it is, but for Kerberos", take_transport, NULL),
        UNNEEDED("mode", "every record is on disk before it is sent (`forward`)"),
        UNNEEDED("queue_file", "the store is in /var/lib/audit-relay/remote; send what is left in the old file before you change over"),
        UNNEEDED("queue_depth", "the store is bounded by the disk, or by remote.conf `MaxUse=`"),
        TAKEN("format", "`managed`: every record is acked; `ascii` is not possible, auditd drops such records", take_format, NULL),
        TAKEN("network_retry_time", "remote.conf `RetryMin=`", take_retry, NULL),
        UNNEEDED("max_tries_per_record", "it tries until a collector has the record"),
        TAKEN("max_time_per_record", "remote.conf `NetworkTimeout=`, if it is not the 5 that audisp-remote ships with", take_timeout, NULL),
        UNNEEDED("heartbeat_timeout", "there is one every second"),
        TAKEN("network_failure_action", "reaction to `remote/network_down` and `remote/network_timeout`", take_action_but_stop,
              "remote-network_down remote-network_timeout"),
        TAKEN("disk_low_action", "reaction to `remote/collector_disk_low`", take_action, "remote-collector_disk_low"),
        TAKEN("disk_full_action", "reaction to `remote/collector_disk_full`", take_action, "remote-collector_disk_full"),
        TAKEN("disk_error_action", "reaction to `remote/collector_disk_error`", take_action, "remote-collector_disk_error"),
        TAKEN("remote_ending_action", "reaction to `remote/collector_ending`; `reconnect` is what remote does", take_action,
              "remote-collector_ending"),
        TAKEN("generic_error_action", "reaction to `remote/collector_error`", take_action, "remote-collector_error"),
        TAKEN("generic_warning_action", "reaction to `remote/refused`", take_action, "remote-refused"),
        TAKEN("queue_error_action", "reaction to `remote/spool_error` and `remote/store_damaged`", take_action_but_stop,
              "remote-spool_error remote-store_damaged"),
        TAKEN("overflow_action", "reaction to `remote/spool_full`", take_action, "remote-spool_full"),
        TAKEN("startup_failure_action", "reaction to `remote/network_down`", take_action, "remote-network_down"),
        KERBEROS("enable_krb5"),
        KERBEROS("krb5_principal"),
        KERBEROS("krb5_client_name"),
        KERBEROS("krb5_key_file"),
        { "tls_psk_file", IMPORT_TAKEN, certificates, take_psk, "AuditdPSKFile" },
        { "tls_psk_identity", IMPORT_TAKEN, certificates, take_psk, "AuditdPSKIdentity" },
        UNNEEDED("tls_cipher_suites", ciphers),
        UNNEEDED("tls_key_exchange", ciphers),
        UNNEEDED("tls_crypto_profile", ciphers),
        IMPOSSIBLE("tls_require_pqc", "GnuTLS 3.7 has no ML-KEM"),
        UNNEEDED("tls_auth", ciphers),
        { 0 },
};

static const ImportKey plugin_keys[] = {
        TAKEN("active", "`audit-relay-plugin@NAME`: the generator reads the file itself, at boot and at `systemctl daemon-reload`", take_active,
              NULL),
        UNNEEDED("direction", "there is one direction"),
        TAKEN("path", "the unit's program", take_plugin_path, NULL),
        UNNEEDED("type", "what auditd has built in is a unit of ours: audit-relay-dispatcher-lines.socket"),
        TAKEN("args", "the program's arguments", take_plugin_args, NULL),
        TAKEN("format", "`string`: lines; `binary`: with auditd's header", take_plugin_format, NULL),
        { 0 },
};

const ImportKey *const import_keys[N_IMPORT_FILES] = { auditd_keys, remote_keys, plugin_keys };
