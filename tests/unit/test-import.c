/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay import, run as a program (its path is the first argument, that of docs/migration.md the second) on files
 * of auditd in a directory, and what it writes, read by the programs' own readers. */

#include "aggregator/config.h"
#include "remote/config.h"
#include "runtime/log.h"
#include "tool-run.h"

#include <ctype.h>

static const char *manual;
static char directory[64];

#define AUDITD "etc/audit/auditd.conf"
#define REMOTE "etc/audit/audisp-remote.conf"
#define OURS "etc/audit-relay/"
#define UNITS "etc/systemd/system/"

static void setup(void)
{
        scratch_make(directory);
        log_init("test", -1);
}

static void teardown(void)
{
        scratch_remove(directory);
}

/* What it writes is in `output`. Returns its exit status. */
static int run(const char *arguments)
{
        return tool_run("'%s' import --root='%s' %s", tool, directory, arguments);
}

/* A line of the table: key and value, and what became of it. */
static void expect_fate(const char *setting, const char *fate, const char *became)
{
        size_t key = strcspn(setting, " =");
        const char *value = setting + key + strspn(setting + key, " =");
        char text[512];

        for (const char *line = output; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                const char *found;

                (void) snprintf(text, sizeof text, "%.*s", (int) strcspn(line, "\n"), line);
                found = text + MIN(key, strlen(text));
                found += strspn(found, " ");
                if (strncmp(text, setting, key) != 0 || text[key] != ' ' || strncmp(found, value, strlen(value)) != 0)
                        continue;
                ck_assert_msg(strstr(text, fate) && strstr(text, became), "not %s, %s: %s", fate, became, text);
                return;
        }
        ck_abort_msg("\"%s\" is not in:\n%.2000s", setting, output);
}

static void expect_text(const char *name, const char *text)
{
        const char *found = scratch_read(directory, name);

        ck_assert_msg(found, "%s is not there", name);
        ck_assert_msg(strstr(found, text), "\"%s\" is not in %s:\n%s", text, name, found);
}

static void expect_link(const char *name, const char *target)
{
        char path[512], found[512];
        ssize_t n;

        (void) snprintf(path, sizeof path, "%s/%s", directory, name);
        n = readlink(path, found, sizeof found - 1);
        ck_assert_msg(n > 0, "%s is no link", path);
        found[n] = '\0';
        ck_assert_str_eq(found, target);
}

static bool is_there(const char *name)
{
        char path[512];
        struct stat st;

        (void) snprintf(path, sizeof path, "%s/%s", directory, name);
        return lstat(path, &st) == 0;
}

START_TEST(a_client)
{
        RemoteConfig config;
        char path[512];

        scratch_write(directory, AUDITD, "# comment\nLocal_Events = YES\nwrite_logs = yes\nspace_left = 5%\nspace_left_action = email\n"
                                         "action_mail_acct = sec@example.org\nadmin_space_left = 50\nname_format = user\nname = web1\n"
                                         "log_format = enriched\nnum_logs = 5\n");
        scratch_write(directory, REMOTE, "remote_server = logs.example.org\nport = 60\nnetwork_retry_time = 40\nmax_time_per_record = 9\n"
                                         "network_failure_action = stop\ndisk_full_action = exec /usr/local/bin/page\n"
                                         "disk_error_action = halt\nqueue_error_action = suspend\nremote_ending_action = reconnect\n");
        ck_assert_int_eq(run(""), 0);
        expect_output("Would be written with --write:\n");
        ck_assert(!is_there("etc/audit-relay"));
        ck_assert_int_eq(run("--write"), 0);
        expect_fate("remote_server = ", "taken", "Collector=logs.example.org");
        expect_fate("port = 60", "not needed", "6560");
        expect_fate("network_failure_action = stop", "not needed", "by itself");
        expect_fate("num_logs = 5", "not needed", "KeepAcked=");
        expect_fate("remote_ending_action = reconnect", "not needed", "by itself");
        expect_fate("disk_error_action = halt", "taken", "remote/collector_disk_error");
        expect_text(OURS "dispatcher.conf.d/50-imported.conf", "[Dispatcher]\nNode=web1\n");
        (void) snprintf(path, sizeof path, "%s/" OURS "remote.conf.d/50-imported.conf", directory);
        ck_assert_int_eq(remote_config_load(path, &config), 0);
        ck_assert_str_eq(config.collectors[0], "logs.example.org");
        ck_assert_str_eq(config.node, "web1");
        ck_assert_uint_eq(config.retry_min_usec, 40 * USEC_PER_SEC);
        ck_assert_uint_eq(config.retry_max_usec, 40 * USEC_PER_SEC);
        ck_assert_uint_eq(config.network_timeout_usec, 9 * USEC_PER_SEC);
        ck_assert_uint_eq(config.keep_acked_usec, 7 * 24 * 3600 * USEC_PER_SEC);
        ck_assert(config.enrich);
        ck_assert_uint_eq(config.keep_free.n, 50U * 1024 * 1024);
        remote_config_done(&config);
        expect_link(UNITS "audit-relay-state@remote-spool_low.service.d/50-imported-email.conf", "/usr/lib/audit-relay/reactions/email.conf");
        expect_text(UNITS "audit-relay-state@remote-spool_low.service.d/50-imported-mailto.conf", "Environment=MAILTO=sec@example.org\n");
        expect_link(UNITS "paths.target.wants/audit-relay-state@remote-spool_low.path", "/usr/lib/systemd/system/audit-relay-state@.path");
        expect_text(UNITS "audit-relay-state@remote-collector_disk_full.service.d/50-imported-exec.conf",
                    "[Service]\nExecStartPre=-+/usr/local/bin/page \"%I\"\n");
        expect_link(UNITS "audit-relay-state@remote-store_damaged.service.d/50-imported-suspend.conf",
                    "/usr/lib/audit-relay/reactions/suspend.conf");
        expect_output("systemctl daemon-reload && systemctl start audit-relay-state@remote-spool_low.path ");
}
END_TEST

START_TEST(a_collector)
{
        AggregatorConfig config;
        char path[512];

        scratch_write(directory, AUDITD, "tcp_listen_port = 61\nmax_log_file = 100\nnum_logs = 9\nmax_log_file_action = rotate\n"
                                         "space_left = 200\nspace_left_action = exec /bin/a b\nadmin_space_left = 100\n"
                                         "disk_full_action = single\ndistribute_network = yes\nuse_libwrap = yes\ntransport = tcp\n"
                                         "krb5_principal = auditd\n");
        ck_assert_int_eq(run("--write"), 3);
        expect_fate("space_left_action = exec /bin/a b", "not possible", "plain path");
        expect_fate("admin_space_left = 100", "not possible", "drop-oldest");
        expect_fate("use_libwrap = yes", "not possible", "AuditdAllow=");
        expect_fate("krb5_principal = auditd", "not needed", "not in use");
        expect_text(UNITS "audit-relay-aggregator-auditd.socket.d/50-imported.conf", "[Socket]\nListenStream=\nListenStream=61\n");
        expect_link(UNITS "audit-relay-state@aggregator-disk_full.service.d/50-imported-single.conf",
                    "/usr/lib/audit-relay/reactions/single.conf");
        (void) snprintf(path, sizeof path, "%s/" OURS "aggregator.conf.d/50-imported.conf", directory);
        ck_assert_int_eq(aggregator_config_load(path, &config), 0);
        ck_assert_uint_eq(config.segment_size_max, 100U * 1024 * 1024);
        ck_assert_uint_eq(config.use_max, 900U * 1024 * 1024);
        ck_assert(config.publish);
        aggregator_config_done(&config);
        expect_output("Next:\n"
                      "  audit-relay import --write --collector=NAME    # its own records too: NAME as in its certificate\n"
                      "  audit-relay cert collector NAME --out=/etc/audit-relay/tls    # NAME as clients call it; audit-relay-tls(7)\n"
                      "  systemctl disable auditd && service auditd stop\n"
                      "  systemctl enable audit-relay-aggregator-auditd.socket ");
        expect_output("AuditdAllow=\n  systemctl enable --now audit-relay-collector.target\n  systemctl daemon-reload ");
}
END_TEST

START_TEST(a_collector_that_keeps_its_log)
{
        scratch_write(directory, AUDITD, "tcp_listen_port = 60\nmax_log_file = 100\nmax_log_file_action = keep_logs\nadmin_space_left = 10%\n"
                                         "admin_space_left_action = halt\n");
        ck_assert_int_eq(run("--write"), 0);
        expect_text(OURS "aggregator.conf.d/50-imported.conf", "SegmentMaxSize=100M\nKeepFree=10%\nWhenFull=block\n");
        expect_link(UNITS "audit-relay-state@aggregator-disk_full.service.d/50-imported-halt.conf",
                    "/usr/lib/audit-relay/reactions/halt.conf");
        ck_assert(!is_there(UNITS "audit-relay-aggregator-auditd.socket.d/50-imported.conf"));
}
END_TEST

START_TEST(a_stock_collector_stays)
{
        RemoteConfig config;
        char path[512];

        scratch_write(directory, REMOTE, "remote_server = 2001:db8::1\nport = 66\ntransport = tls\ntls_psk_file = /etc/audit/psk\n"
                                         "tls_psk_identity = web1\n");
        ck_assert_int_eq(run("--write --stock-collector"), 0);
        (void) snprintf(path, sizeof path, "%s/" OURS "remote.conf.d/50-imported.conf", directory);
        ck_assert_int_eq(remote_config_load(path, &config), 0);
        ck_assert_int_eq(config.protocol, PROTOCOL_AUDITD);
        ck_assert_str_eq(config.host, "2001:db8::1");
        ck_assert_str_eq(config.port, "66");
        ck_assert_str_eq(config.auditd_psk_identity, "web1");
        remote_config_done(&config);
        ck_assert_int_eq(run("--write --collector=logs"), 0);
        expect_text(OURS "remote.conf.d/50-imported.conf", "Collector=logs\n");
        ck_assert_ptr_null(strstr(scratch_read(directory, OURS "remote.conf.d/50-imported.conf"), "auditd"));
}
END_TEST

/* Most files in the world name an address; what remote would refuse is not written. */
START_TEST(a_collector_by_address)
{
        RemoteConfig config;
        char path[512];

        scratch_write(directory, REMOTE, "remote_server = 192.0.2.7\n");
        ck_assert_int_eq(run("--write"), 3);
        ck_assert(!is_there(OURS "remote.conf.d/50-imported.conf"));
        expect_output("audit-relay import --write --collector=ADDRESS#NAME ");
        ck_assert_int_eq(run("--write --collector=192.0.2.7"), 2);
        expect_output("the address 192.0.2.7 needs #NAME behind it");
        ck_assert_int_eq(run("--write --collector=192.0.2.7#logs.example.org"), 0);
        (void) snprintf(path, sizeof path, "%s/" OURS "remote.conf.d/50-imported.conf", directory);
        ck_assert_int_eq(remote_config_load(path, &config), 0);
        ck_assert_str_eq(config.collectors[0], "192.0.2.7#logs.example.org");
        remote_config_done(&config);
        ck_assert_int_eq(run("--write --stock-collector"), 0);
        expect_text(OURS "remote.conf.d/50-imported.conf", "Collector=192.0.2.7\nProtocol=auditd\n");
}
END_TEST

/* auditd's default; audit 2.4 had no word for it. */
START_TEST(a_log_that_no_line_speaks_of)
{
        static const char ours[] = OURS "remote.conf.d/50-imported.conf";

        scratch_write(directory, AUDITD, "log_format = RAW\n");
        ck_assert_int_eq(run("--write"), 0);
        expect_text(ours, "KeepAcked=7d\n");
        scratch_write(directory, AUDITD, "log_format = NOLOG\n");
        ck_assert_int_eq(run("--write"), 0);
        ck_assert(!is_there(ours));
        scratch_write(directory, AUDITD, "tcp_listen_port = 60\n");
        ck_assert_int_eq(run("--write"), 0);
        ck_assert(!is_there(ours));
}
END_TEST

/* audispd had files of its own: its name counts. Where auditd knows a plugin's queue, they are left over. */
START_TEST(audit_2)
{
        static const char ours[] = OURS "dispatcher.conf.d/50-imported.conf";

        scratch_write(directory, AUDITD, "write_logs = no\nname_format = NONE\ndispatcher = /sbin/audispd\n");
        scratch_write(directory, "etc/audisp/audispd.conf", "q_depth = 250\nplugin_dir = /etc/audisp/plugins.d/\nname_format = USER\nname = web1\n");
        scratch_write(directory, "etc/audisp/plugins.d/mine.conf", "active = yes\npath = /opt/mine\n");
        ck_assert_int_eq(run("--write"), 3);
        expect_fate("name_format = NONE", "not needed", "line 3 of audispd.conf");
        expect_fate("plugin_dir = ", "not needed", "see each plugin");
        expect_text(ours, "Node=web1\n");
        expect_fate("path = /opt/mine", "not possible", "/etc/audit/plugins.d: move the file there");
        scratch_write(directory, AUDITD, "write_logs = no\nname_format = NONE\nq_depth = 2000\n");
        ck_assert_int_eq(run("--write"), 0);
        ck_assert(!is_there(ours));
        ck_assert_ptr_null(strstr(output, "audispd.conf"));
}
END_TEST

START_TEST(what_is_unknown_is_said)
{
        scratch_write(directory, AUDITD, "colour = blue\nspace_left = much\ndisk_full_action = dance\nname_format = fqd\nspace_left_action\n"
                                         "log_group = adm\nlog_group = root\n");
        ck_assert_int_eq(run(""), 3);
        expect_fate("colour = blue", "unknown", "3.0.9 nor 4.2");
        expect_fate("space_left = much", "unknown", "megabytes");
        expect_fate("disk_full_action = dance", "unknown", "no action");
        expect_fate("name_format = fqd", "not possible", "Node=");
        expect_fate("space_left_action = -", "not needed", "no value");
        expect_fate("log_group = adm", "not needed", "line 7 of auditd.conf");
        expect_output("audit-relay import --collector=HOST");
        ck_assert_int_eq(run("--json"), 3);
        expect_output("      \"line\": 1,\n      \"key\": \"colour\",\n      \"value\": \"blue\",\n      \"option\": \"\",\n"
               "      \"becomes\": \"unknown\",\n");
        ck_assert_int_eq(run("--colour"), 2);
        ck_assert_int_eq(run("colour"), 2);
}
END_TEST

/* One line of a file, what became of it, and a word of how. */
typedef struct Line {
        const char *file, *others, *line, *fate, *how;
} Line;

static const Line lines[] = {
        { AUDITD, "", "local_events = no", "taken", "audit-relay-collector.target alone" },
        { AUDITD, "", "write_logs = no", "not needed", "KeepAcked=no" },
        { AUDITD, "tcp_listen_port = 60\n", "write_logs = no", "not possible", "could not ack" },
        { AUDITD, "tcp_listen_port = 60\n", "write_logs = yes", "not needed", "always writes" },
        { AUDITD, "", "log_format = raw", "not needed", "Enrich=no" },
        { AUDITD, "", "log_format = nolog", "not needed", "KeepAcked=no" },
        { AUDITD, "", "log_group = adm", "not possible", "audit-relay-read" },
        { AUDITD, "", "name = x", "not needed", "name_format = user" },
        { AUDITD, "name_format = user\n", "name = a b", "taken", "Node=a" },
        { AUDITD, "name_format = user\n", "name = a/b", "not possible", "no name of a host" },
        { AUDITD, "", "name_format = user", "taken", "see name" },
        { AUDITD, "", "name_format = hostname", "not needed", "node=" },
        { AUDITD, "", "plugin_dir = /etc/audit/plugins.d", "taken", "generator" },
        { AUDITD, "", "plugin_dir = /etc/audit/plugins.d/", "taken", "generator" },
        { AUDITD, "", "plugin_dir = /opt/plugins", "not possible", "link the files" },
        { AUDITD, "", "tcp_listen_port = many", "unknown", "a port" },
        { AUDITD, "", "tcp_listen_queue = 5", "not needed", "does not listen" },
        { AUDITD, "tcp_listen_port = 60\n", "tcp_listen_queue = 5", "not needed", "largest" },
        { AUDITD, "tcp_listen_port = 60\n", "transport = tls", "not possible", "AuditdPSKDirectory=" },
        { AUDITD, "tcp_listen_port = 60\n", "transport = krb5", "not possible", "no Kerberos" },
        { AUDITD, "tcp_listen_port = 60\ntransport = krb5\n", "krb5_principal = x", "not possible", "no Kerberos" },
        { AUDITD, "tcp_listen_port = 60\n", "distribute_network = no", "not needed", "Publish=no" },
        { AUDITD, "tcp_listen_port = 60\n", "num_logs = 5", "not needed", "does not rotate" },
        { AUDITD, "tcp_listen_port = 60\n", "max_log_file = big", "unknown", "megabytes" },
        { AUDITD, "tcp_listen_port = 60\n", "max_log_file_action = exec /x", "not possible", "disk_full" },
        { AUDITD, "", "max_log_file_action = rotate", "not needed", "KeepAcked=" },
        { AUDITD, "", "space_left_action = rotate", "not needed", "WhenFull=drop-oldest" },
        { AUDITD, "", "disk_full_action = suspend", "not needed", "nothing is acked" },
        { AUDITD, "", "space_left_action = suspend", "not needed", "goes on until the disk is full" },
        { REMOTE, "", "disk_low_action = suspend", "taken", "reaction `suspend` to remote/collector_disk_low" },
        { REMOTE, "", "network_failure_action = exec /bin/page", "taken", "/bin/page runs as root" },
        { REMOTE, "", "generic_error_action = stop", "taken", "reaction `stop` to remote/collector_error" },
        { AUDITD, "", "overflow_action = suspend", "not possible", "too slow" },
        { AUDITD, "", "admin_space_left = x", "unknown", "megabytes" },
        { AUDITD, "tcp_listen_port = 60\n", "local_events = yes", "taken", "a client of itself" },
        { REMOTE, "", "remote_server = 192.0.2.7", "not possible", "--collector=192.0.2.7#NAME" },
        { REMOTE, "", "remote_server = 2001:db8::7", "not possible", "--collector=[2001:db8::7]#NAME" },
        { REMOTE, "", "port = 60", "not needed", "6560" },
        { REMOTE, "", "local_port = any", "not needed", "the kernel chooses" },
        { REMOTE, "", "local_port = 99", "not possible", "certificate" },
        { REMOTE, "", "transport = tcp", "not needed", "TLS 1.3" },
        { REMOTE, "", "format = managed", "taken", "acked" },
        { REMOTE, "", "format = ascii", "not possible", "without acks" },
        { REMOTE, "", "max_time_per_record = 5", "not needed", "NetworkTimeout=30s" },
        { REMOTE, "", "network_retry_time = 0", "unknown", "seconds" },
        { REMOTE, "", "krb5_client_name = x", "not needed", "not in use" },
        { REMOTE, "", "tls_psk_file = /x", "not needed", "certificate" },
        { REMOTE, "", "disk_low_action = ignore", "not needed", "no reaction" },
        { REMOTE, "", "startup_failure_action = warn_once_continue", "taken", "reaction `warn_once` to remote/network_down" },
        { "etc/audit/plugins.d/x.conf", "active = yes\n", "path = builtin_other", "not possible", "part of auditd" },
        { "etc/audisp/plugins.d/x.conf", "active = yes\n", "path = /sbin/other", "not possible", "move the file" },
        { "etc/audisp/plugins.d/x.conf", "active = yes\n", "path = builtin_af_unix", "taken", "audit-relay-dispatcher-lines.socket" },
        { "etc/audit/plugins.d/x.conf", "active = yes\n", "path = /usr/lib/audit-relay/auditd-plugin", "not needed", "reads the kernel" },
        { "etc/audit/plugins.d/x.conf", "active = yes\npath = /opt/x\n", "format = string", "taken", "lines for audit-relay-plugin@x" },
};

START_TEST(single_lines)
{
        const Line *line = &lines[_i];
        char text[512];

        (void) snprintf(text, sizeof text, "%s%s\n", line->others, line->line);
        scratch_write(directory, line->file, text);
        (void) run("");
        expect_fate(line->line, line->fate, line->how);
}
END_TEST

START_TEST(single_lines_with_a_stock_collector)
{
        scratch_write(directory, REMOTE, "remote_server = logs\nport = 61\ntransport = krb5\ntls_psk_file = /x\n");
        ck_assert_int_eq(run("--stock-collector"), 3);
        expect_fate("remote_server = logs", "taken", "Collector=logs:61, Protocol=auditd");
        expect_fate("port = 61", "taken", "part of Collector=");
        expect_fate("transport = krb5", "not possible", "use tls or tcp");
        expect_fate("tls_psk_file = /x", "not possible", "need each other");
        scratch_write(directory, REMOTE, "transport = tls\n");
        ck_assert_int_eq(run("--stock-collector"), 0);
        expect_fate("transport = tls", "taken", "AuditdPSKFile=");
}
END_TEST

START_TEST(plugins)
{
        scratch_write(directory, "etc/audit/plugins.d/mine.conf", "active = yes\ndirection = out\npath = /opt/mine\ntype = always\n"
                                                                  "args = a b\nformat = binary\n");
        scratch_write(directory, "etc/audit/plugins.d/af_unix.conf", "active = yes\npath = builtin_af_unix\n");
        scratch_write(directory, "etc/audit/plugins.d/au-remote.conf", "active = yes\npath = /sbin/audisp-remote\n");
        scratch_write(directory, "etc/audit/plugins.d/off.conf", "active = no\npath = /sbin/off\n");
        scratch_write(directory, "etc/audit/plugins.d/old.conf.dpkg-old", "active = yes\n");
        ck_assert_int_eq(run("--write"), 0);
        expect_fate("path = /opt/mine", "taken", "audit-relay-plugin@mine");
        expect_fate("format = binary", "taken", "binary format for audit-relay-plugin@mine");
        expect_fate("path = builtin_af_unix", "taken", "audit-relay-dispatcher-lines.socket");
        expect_fate("path = /sbin/audisp-remote", "not needed", "audit-relay-remote.service");
        expect_fate("path = /sbin/off", "not needed", "not active");
        ck_assert_ptr_null(strstr(output, "dpkg-old"));
        expect_link(UNITS "audit-relay-dispatcher-lines.socket.d/50-imported.conf", "/usr/share/audit-relay/audispd-paths.conf");
}
END_TEST

START_TEST(the_next_import_replaces_the_one_before)
{
        static const char old[] = UNITS "audit-relay-state@remote-spool_full.service.d/50-imported-halt.conf";

        scratch_write(directory, REMOTE, "remote_server = logs\noverflow_action = halt\n");
        scratch_write(directory, UNITS "audit-relay-state@remote-spool_full.service.d/mine.conf", "[Service]\n");
        ck_assert_int_eq(run("--write"), 0);
        ck_assert(is_there(old));
        scratch_write(directory, REMOTE, "overflow_action = ignore\n");
        ck_assert_int_eq(run("--write"), 0);
        ck_assert(!is_there(old));
        ck_assert(!is_there(OURS "remote.conf.d/50-imported.conf"));
        ck_assert(is_there(UNITS "audit-relay-state@remote-spool_full.service.d/mine.conf"));
}
END_TEST

START_TEST(nothing_to_read)
{
        ck_assert_int_eq(run(""), 1);
        expect_output("there is no configuration of auditd in ");
        scratch_write(directory, AUDITD "/x", "");
        ck_assert_int_eq(run(""), 1);
        expect_output("auditd.conf: ");
}
END_TEST

/* What the manual pages of auditd 3.0.9 name, and what 4.2 added. */
static const char *const known[3][64] = {
        { "local_events", "log_file", "write_logs", "log_format", "log_group", "priority_boost", "flush", "freq", "num_logs", "name_format",
          "name", "max_log_file", "max_log_file_action", "verify_email", "action_mail_acct", "space_left", "space_left_action",
          "admin_space_left", "admin_space_left_action", "disk_full_action", "disk_error_action", "tcp_listen_port", "tcp_listen_queue",
          "tcp_max_per_addr", "use_libwrap", "tcp_client_ports", "tcp_client_max_idle", "transport", "enable_krb5", "krb5_principal",
          "krb5_key_file", "distribute_network", "q_depth", "overflow_action", "max_restarts", "plugin_dir", "end_of_event_timeout",
          "report_interval", "dispatcher", "disp_qos", "tls_psk_file", "tls_psk_identity", "tls_allowed_clients", "tls_cipher_suites",
          "tls_key_exchange", "tls_require_pqc", "tls_auth", "tls_crypto_profile" },
        { "remote_server", "port", "local_port", "transport", "mode", "queue_file", "queue_depth", "format", "network_retry_time",
          "max_tries_per_record", "max_time_per_record", "heartbeat_timeout", "network_failure_action", "disk_low_action",
          "disk_full_action", "disk_error_action", "remote_ending_action", "generic_error_action", "generic_warning_action",
          "queue_error_action", "overflow_action", "startup_failure_action", "enable_krb5", "krb5_principal", "krb5_client_name",
          "krb5_key_file", "tls_psk_file", "tls_psk_identity", "tls_cipher_suites", "tls_key_exchange", "tls_crypto_profile",
          "tls_require_pqc", "tls_auth" },
        { "active", "direction", "path", "type", "args", "format" },
};

/* The keys that name an action, and the words that auditd 3.0.9 or 4.2 takes there. */
#define OWN_ACTIONS "ignore syslog suspend single halt"
#define DISK_ACTIONS OWN_ACTIONS " rotate exec"
#define FAILURE_ACTIONS OWN_ACTIONS " exec warn_once_continue warn_once stop"

static const struct {
        const char *file, *key, *words;
} actions[] = {
        { AUDITD, "max_log_file_action", "ignore syslog suspend exec rotate keep_logs" },
        { AUDITD, "space_left_action", DISK_ACTIONS " email" },
        { AUDITD, "admin_space_left_action", DISK_ACTIONS " email" },
        { AUDITD, "disk_full_action", DISK_ACTIONS },
        { AUDITD, "disk_error_action", OWN_ACTIONS " exec" },
        { AUDITD, "overflow_action", OWN_ACTIONS },
        { REMOTE, "network_failure_action", FAILURE_ACTIONS },
        { REMOTE, "disk_low_action", FAILURE_ACTIONS },
        { REMOTE, "disk_full_action", FAILURE_ACTIONS },
        { REMOTE, "disk_error_action", FAILURE_ACTIONS },
        { REMOTE, "remote_ending_action", FAILURE_ACTIONS " reconnect" },
        { REMOTE, "generic_error_action", FAILURE_ACTIONS },
        { REMOTE, "generic_warning_action", FAILURE_ACTIONS },
        { REMOTE, "queue_error_action", FAILURE_ACTIONS },
        { REMOTE, "overflow_action", OWN_ACTIONS },
        { REMOTE, "startup_failure_action", "ignore syslog warn_once_continue warn_once exec" },
};

/* What is taken is a reaction of that name; what is not says why. */
static void expect_action(const char *key, const char *word)
{
        bool exec = strcmp(word, "exec") == 0;
        char setting[128], reaction[64];

        (void) snprintf(setting, sizeof setting, "%s = %s", key, word);
        (void) snprintf(reaction, sizeof reaction, exec ? "/bin/page runs as root when " : "reaction `%s` to ",
                        strcmp(word, "warn_once_continue") == 0 ? "warn_once" : word);
        if (strstr(output, " taken "))
                expect_fate(setting, "taken", reaction);
        else
                ck_assert_msg(strstr(output, " not needed ") || strstr(output, " not possible "), "%s: %s", setting, output);
        ck_assert_msg(!strstr(output, " unknown "), "%s: %s", setting, output);
}

START_TEST(every_action)
{
        char words[256], text[256], *position = NULL;

        ck_assert_uint_lt(strlen(actions[_i].words), sizeof words);
        strcpy(words, actions[_i].words);
        for (char *word = strtok_r(words, " ", &position); word; word = strtok_r(NULL, " ", &position)) {
                (void) snprintf(text, sizeof text, "%s = %s%s\n", actions[_i].key, word, strcmp(word, "exec") == 0 ? " /bin/page" : "");
                scratch_write(directory, actions[_i].file, text);
                (void) run("");
                expect_action(actions[_i].key, word);
        }
}
END_TEST

/* So that none of them is forgotten above. */
START_TEST(every_key_of_an_action_is_among_them)
{
        unsigned n = 0;

        for (unsigned i = 0; i < 2; i++)
                for (const char *const *key = known[i]; *key; key++) {
                        bool found = false;

                        if (!strstr(*key, "_action"))
                                continue;
                        n++;
                        for (size_t a = 0; a < ELEMENTSOF(actions); a++)
                                found = found || (strcmp(actions[a].key, *key) == 0 && strcmp(actions[a].file, i == 0 ? AUDITD : REMOTE) == 0);
                        ck_assert_msg(found, "%s", *key);
                }
        ck_assert_uint_eq(n, ELEMENTSOF(actions));
}
END_TEST

START_TEST(every_key_is_in_the_table_and_the_table_in_the_manual)
{
        static const char *const files[] = { "auditd.conf", "audisp-remote.conf", "plugins.d" };
        static char text[65536];
        size_t n = 0, rows = 0, size;
        FILE *file = fopen(manual, "re");
        const char *begin;

        ck_assert_int_eq(run("--keys"), 0);
        for (unsigned i = 0; i < 3; i++)
                for (const char *const *key = known[i]; *key; key++, n++) {
                        (void) snprintf(text, sizeof text, "| %s | `%s` | ", files[i], *key);
                        expect_output(text);
                }
        for (const char *p = output; (p = strchr(p, '\n')); p++)
                rows++;
        ck_assert_uint_eq(rows, n + 2);
        ck_assert_ptr_nonnull(file);
        size = fread(text, 1, sizeof text - 1, file);
        text[size] = '\0';
        (void) fclose(file);
        begin = strstr(text, "<!-- audit-relay import --keys: begin -->\n\n");
        ck_assert_ptr_nonnull(begin);
        begin = strchr(begin, '|');
        ck_assert_msg(strncmp(begin, output, strlen(output)) == 0, "docs/migration.md is not what `audit-relay import --keys` prints");
        ck_assert_int_eq(strncmp(begin + strlen(output), "\n<!-- audit-relay import --keys: end -->\n", 41), 0);
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("import");
        TCase *tcase = tcase_create("import");

        assert(argc == 3);
        tool = argv[1];
        manual = argv[2];
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_client);
        tcase_add_test(tcase, a_collector);
        tcase_add_test(tcase, a_collector_that_keeps_its_log);
        tcase_add_test(tcase, a_stock_collector_stays);
        tcase_add_test(tcase, a_collector_by_address);
        tcase_add_test(tcase, a_log_that_no_line_speaks_of);
        tcase_add_test(tcase, audit_2);
        tcase_add_test(tcase, what_is_unknown_is_said);
        tcase_add_loop_test(tcase, single_lines, 0, (int) ELEMENTSOF(lines));
        tcase_add_test(tcase, single_lines_with_a_stock_collector);
        tcase_add_test(tcase, plugins);
        tcase_add_test(tcase, the_next_import_replaces_the_one_before);
        tcase_add_test(tcase, nothing_to_read);
        tcase_add_loop_test(tcase, every_action, 0, ELEMENTSOF(actions));
        tcase_add_test(tcase, every_key_of_an_action_is_among_them);
        tcase_add_test(tcase, every_key_is_in_the_table_and_the_table_in_the_manual);
        suite_add_tcase(suite, tcase);
        return check_main(suite);
}
