/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Keys whose meaning depends on others, or on what this host is: a client, or a collector (auditd listens). */

#include "tool/import/take.h"
#include "basic/decimal.h"
#include "runtime/config.h"

#include <arpa/inet.h>
#include <inttypes.h>

/* auditd bounds its local log by size. A time is what says that of a store whose other records nobody has yet. */
#define LOCAL_LOG "7d"

static void assign(Import *import, ImportSetting *setting, const char *program, const char *key, const char *value)
{
        import_assign(import, program, key, value);
        import_became(import, setting, IMPORT_TAKEN, "%s.conf %s=%s", program, key, value);
}

static void unknown_value(Import *import, ImportSetting *setting, const char *expected)
{
        import_became(import, setting, IMPORT_UNKNOWN, "\"%s\" is not %s", setting->value, expected);
}

/* Of which the log's keys speak. */
static const char *log_program(const Import *import)
{
        return import_listens(import) ? "aggregator" : "remote";
}

static bool is_word(const ImportSetting *setting, const char *word)
{
        return strcasecmp(setting->value, word) == 0;
}

static bool read_number(const char *text, uint64_t max, uint64_t *ret)
{
        const uint8_t *end = (const uint8_t *) text + strlen(text);

        return decimal_take((const uint8_t *) text, end, ret) == end && *ret <= max;
}

/* --- audisp-remote.conf --- */

static void assign_collector(Import *import, const char *collector)
{
        import_assign(import, "remote", "Collector", collector);
        if (import->stock)
                import_assign(import, "remote", "Protocol", "auditd");
}

bool import_lacks_name(const Import *import, const char *host)
{
        uint8_t address[sizeof(struct in6_addr)];

        return !import->stock && (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1);
}

void take_remote_server(Import *import, const ImportKey *key, ImportSetting *setting)
{
        const ImportSetting *port = import_find(import, IMPORT_REMOTE, "port");
        const char *host = import->collector ? import->collector : setting->value;
        bool colon = strchr(host, ':') != NULL && host[0] != '[';
        char value[512];

        if (import_lacks_name(import, host)) {
                import_became(import, setting, IMPORT_IMPOSSIBLE, "certificates have names, no addresses: --collector=%s%s%s#NAME, as its certificate says",
                              colon ? "[" : "", host, colon ? "]" : "");
                return;
        }
        if (import->stock && port && !import->collector)
                (void) snprintf(value, sizeof value, colon ? "[%.250s]:%.20s" : "%.250s:%.20s", host, port->value);
        else
                (void) snprintf(value, sizeof value, colon && !import->collector ? "[%.250s]" : "%.250s", host);
        assign_collector(import, value);
        import_became(import, setting, IMPORT_TAKEN, "remote.conf Collector=%s%s", value, import->stock ? ", Protocol=auditd" : "");
}

void take_port(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (import->stock)
                import_became(import, setting, IMPORT_TAKEN, "part of Collector=");
        else
                import_became(import, setting, IMPORT_UNNEEDED, "collectors of ours listen on 6560");
}

void take_local_port(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (is_word(setting, "any") || is_word(setting, "0"))
                import_became(import, setting, IMPORT_UNNEEDED, "any is what the kernel chooses");
        else
                import_became(import, setting, IMPORT_IMPOSSIBLE, "a client is known by its certificate, not by the port it has");
}

void take_transport(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (!import->stock)
                import_became(import, setting, IMPORT_UNNEEDED, "TLS 1.3 with certificates: audit-relay cert");
        else if (is_word(setting, "krb5"))
                import_became(import, setting, IMPORT_IMPOSSIBLE, "there is no Kerberos: use tls or tcp on both sides");
        else
                import_became(import, setting, IMPORT_TAKEN, "%s", is_word(setting, "tls") ? "TLS, with the key of AuditdPSKFile="
                                                                                           : "plain TCP, as auditd listens");
}

void take_format(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (is_word(setting, "managed"))
                import_became(import, setting, IMPORT_TAKEN, "every record is acked");
        else
                import_became(import, setting, IMPORT_IMPOSSIBLE, "records without acks are not carried; auditd drops them, too");
}

static void take_seconds(Import *import, ImportSetting *setting, const char *ours)
{
        uint64_t seconds;
        char value[32];

        if (!read_number(setting->value, INT32_MAX, &seconds) || seconds == 0) {
                unknown_value(import, setting, "a number of seconds");
                return;
        }
        (void) snprintf(value, sizeof value, "%" PRIu64 "s", seconds);
        assign(import, setting, "remote", ours, value);
        /* A retry's upper bound is 30 s unless it says so. */
        if (strcmp(ours, "RetryMin") == 0 && seconds > 30)
                import_assign(import, "remote", "RetryMax", value);
}

void take_retry(Import *import, const ImportKey *key, ImportSetting *setting)
{
        take_seconds(import, setting, "RetryMin");
}

void take_timeout(Import *import, const ImportKey *key, ImportSetting *setting)
{
        /* Ours is longer as a disk may be slow: nothing is acked before it has the record. */
        if (is_word(setting, "5"))
                import_became(import, setting, IMPORT_UNNEEDED, "audisp-remote ships with 5; ours is NetworkTimeout=30s");
        else
                take_seconds(import, setting, "NetworkTimeout");
}

void take_psk(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (!import->stock)
                import_became(import, setting, IMPORT_UNNEEDED, "%s", "the certificate in /etc/audit-relay/tls takes its place");
        else if (!import_find(import, IMPORT_REMOTE, "tls_psk_file") || !import_find(import, IMPORT_REMOTE, "tls_psk_identity"))
                import_became(import, setting, IMPORT_IMPOSSIBLE, "tls_psk_file and tls_psk_identity need each other");
        else
                assign(import, setting, "remote", key->argument, setting->value);
}

/* --- auditd.conf: what it does --- */

void take_local_events(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (is_word(setting, "no"))
                import_became(import, setting, IMPORT_TAKEN, "enable audit-relay-collector.target alone, not audit-relay-client.target");
        else if (import_listens(import))
                import_became(import, setting, IMPORT_TAKEN, "audit-relay-client.target reads the kernel: a collector is a client of itself");
        else
                import_became(import, setting, IMPORT_TAKEN, "audit-relay-client.target reads the kernel");
}

void take_write_logs(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (import_listens(import) && is_word(setting, "no"))
                import_became(import, setting, IMPORT_IMPOSSIBLE, "a collector that writes no log could not ack");
        else if (import_listens(import))
                import_became(import, setting, IMPORT_UNNEEDED, "a collector always writes its log");
        else if (is_word(setting, "no"))
                import_became(import, setting, IMPORT_UNNEEDED, "records leave this disk when the collector has them (KeepAcked=no)");
        else
                assign(import, setting, "remote", "KeepAcked", LOCAL_LOG);
}

/* auditd writes its log unless a line of its file says that it does not. */
static void take_default_log(Import *import)
{
        bool auditd = import->n_settings > 0 && import->settings[0].file == IMPORT_AUDITD;

        if (auditd && !import_listens(import) && !import_find(import, IMPORT_AUDITD, "write_logs") &&
            !import_is(import, IMPORT_AUDITD, "log_format", "nolog"))
                import_assign(import, "remote", "KeepAcked", LOCAL_LOG);
}

void take_log_format(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (is_word(setting, "enriched"))
                assign(import, setting, "remote", "Enrich", "yes");
        else if (is_word(setting, "raw"))
                import_became(import, setting, IMPORT_UNNEEDED, "records are carried as they are (Enrich=no)");
        else
                import_became(import, setting, IMPORT_UNNEEDED, "no local log (KeepAcked=no), unless write_logs asks for one");
}

void take_name_format(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (is_word(setting, "fqd") || is_word(setting, "numeric"))
                import_became(import, setting, IMPORT_IMPOSSIBLE,
                              "write the name into Node= of dispatcher.conf and remote.conf: it is the one in the certificate");
        else if (is_word(setting, "user"))
                import_became(import, setting, IMPORT_TAKEN, "see name");
        else
                import_became(import, setting, IMPORT_UNNEEDED, "every record has its host's name: node=");
}

void take_name(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (!import_is(import, IMPORT_AUDITD, "name_format", "user"))
                import_became(import, setting, IMPORT_UNNEEDED, "it counts with name_format = user alone");
        else if (!node_name_is_valid(setting->value))
                import_became(import, setting, IMPORT_IMPOSSIBLE, "\"%s\" is no name of a host, which a certificate has", setting->value);
        else {
                import_assign(import, "dispatcher", "Node", setting->value);
                import_assign(import, "remote", "Node", setting->value);
                import_became(import, setting, IMPORT_TAKEN, "dispatcher.conf and remote.conf Node=%s", setting->value);
        }
}

void take_log_group(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (is_word(setting, "root") || is_word(setting, "0"))
                import_became(import, setting, IMPORT_UNNEEDED, "root reads everything");
        else
                import_became(import, setting, IMPORT_IMPOSSIBLE,
                              "not by a file: add the members of %s to audit-relay-read (usermod -aG audit-relay-read USER)", setting->value);
}

void take_plugin_dir(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (strcmp(setting->value, IMPORT_PLUGINS_2 "/") == 0 || strcmp(setting->value, IMPORT_PLUGINS_2) == 0)
                import_became(import, setting, IMPORT_UNNEEDED, "audit 2's own: see each plugin");
        else if (strcmp(setting->value, IMPORT_PLUGINS) == 0 || strcmp(setting->value, IMPORT_PLUGINS "/") == 0)
                import_became(import, setting, IMPORT_TAKEN, "the generator reads it");
        else
                import_became(import, setting, IMPORT_IMPOSSIBLE, "the generator reads " IMPORT_PLUGINS ": link the files there");
}

/* --- auditd.conf: the listener --- */

static bool listener_is_off(Import *import, ImportSetting *setting)
{
        if (!import_listens(import))
                import_became(import, setting, IMPORT_UNNEEDED, "auditd does not listen here (tcp_listen_port)");
        return !import_listens(import);
}

void take_of_listener(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (!listener_is_off(import, setting))
                import_became(import, setting, key->fate, "%s", key->text);
}

void take_listen_port(Import *import, const ImportKey *key, ImportSetting *setting)
{
        uint64_t port;
        char text[128];

        if (listener_is_off(import, setting))
                return;
        if (!read_number(setting->value, UINT16_MAX, &port)) {
                unknown_value(import, setting, "a port");
                return;
        }
        if (port != 60) {
                (void) snprintf(text, sizeof text, "[Socket]\nListenStream=\nListenStream=%" PRIu64 "\n", port);
                import_drop_in(import, "audit-relay-aggregator-auditd.socket", "", text, NULL);
        }
        import_became(import, setting, IMPORT_TAKEN,
                      "audit-relay-aggregator-auditd.socket on port %" PRIu64 ", which you enable, for networks in AuditdAllow=", port);
}

void take_listen_transport(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (listener_is_off(import, setting))
                return;
        if (is_word(setting, "tcp"))
                import_became(import, setting, IMPORT_TAKEN, "stock clients by plain TCP, ours with certificates");
        else if (is_word(setting, "tls"))
                import_became(import, setting, IMPORT_IMPOSSIBLE, "not by this file: AuditdPSKDirectory=, see tls_psk_file");
        else
                import_became(import, setting, IMPORT_IMPOSSIBLE, "there is no Kerberos: use tls or tcp on both sides");
}

void take_kerberos(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (setting->file == IMPORT_AUDITD && listener_is_off(import, setting))
                return;
        if (import_is(import, setting->file, "transport", "krb5") || import_is(import, setting->file, "enable_krb5", "yes"))
                import_became(import, setting, IMPORT_IMPOSSIBLE, "%s", key->text);
        else
                import_became(import, setting, IMPORT_UNNEEDED, "Kerberos is not in use");
}

void take_distribute(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (listener_is_off(import, setting))
                return;
        if (is_word(setting, "yes"))
                assign(import, setting, "aggregator", "Publish", "yes");
        else
                import_became(import, setting, IMPORT_UNNEEDED, "plugins here see this host's records alone (Publish=no)");
}

/* --- auditd.conf: the log --- */

static uint64_t megabytes(const Import *import)
{
        const ImportSetting *size = import_find(import, IMPORT_AUDITD, "max_log_file");
        uint64_t n;

        return size && read_number(size->value, UINT32_MAX, &n) ? n : 0;
}

static uint64_t files(const Import *import)
{
        const ImportSetting *number = import_find(import, IMPORT_AUDITD, "num_logs");
        uint64_t n;

        return number && read_number(number->value, 999, &n) ? n : 0;
}

static bool rotates(const Import *import)
{
        return import_is(import, IMPORT_AUDITD, "max_log_file_action", "rotate") && files(import) > 1 && megabytes(import) > 0;
}

void take_segment_size(Import *import, const ImportKey *key, ImportSetting *setting)
{
        bool is_number = strcmp(key->name, "num_logs") == 0;
        char value[32];

        if (!import_listens(import))
                import_became(import, setting, IMPORT_UNNEEDED, "the local log is bounded by KeepAcked=");
        else if (is_number && !rotates(import))
                import_became(import, setting, IMPORT_UNNEEDED, "nothing is deleted, as max_log_file_action does not rotate");
        else if (!is_number && megabytes(import) == 0)
                unknown_value(import, setting, "a number of megabytes");
        else {
                (void) snprintf(value, sizeof value, "%" PRIu64 "M", megabytes(import) * (is_number ? files(import) : 1));
                assign(import, setting, "aggregator", is_number ? "MaxUse" : "SegmentMaxSize", value);
        }
}

void take_size_action(Import *import, const ImportKey *key, ImportSetting *setting)
{
        if (!import_listens(import))
                import_became(import, setting, IMPORT_UNNEEDED, "the local log is bounded by KeepAcked=");
        else if (rotates(import))
                assign(import, setting, "aggregator", "WhenFull", "drop-oldest");
        else if (is_word(setting, "rotate") || is_word(setting, "keep_logs") || is_word(setting, "ignore"))
                import_became(import, setting, IMPORT_UNNEEDED, "a new segment begins, and nothing is deleted");
        else
                import_became(import, setting, IMPORT_IMPOSSIBLE,
                              "a segment that is full is followed by the next: disk_low and disk_full are what can be reacted to");
}

/* "75" (megabytes) or "5%" */
static bool format_space(const ImportSetting *setting, char ret[static 32])
{
        char number[32];
        uint64_t n;
        size_t size = strlen(setting->value);
        bool percent = size > 0 && setting->value[size - 1] == '%';

        if (size >= sizeof number)
                return false;
        (void) snprintf(number, sizeof number, "%.*s", (int) (size - percent), setting->value);
        if (!read_number(number, percent ? 99 : UINT32_MAX, &n))
                return false;
        (void) snprintf(ret, 32, "%" PRIu64 "%s", n, percent ? "%" : "M");
        return true;
}

void take_space(Import *import, const ImportKey *key, ImportSetting *setting)
{
        char value[32];

        if (!format_space(setting, value))
                unknown_value(import, setting, "a number of megabytes, or a percentage");
        else
                assign(import, setting, log_program(import), "SpaceLeft", value);
}

void take_admin_space(Import *import, const ImportKey *key, ImportSetting *setting)
{
        char value[32];

        if (!format_space(setting, value)) {
                unknown_value(import, setting, "a number of megabytes, or a percentage");
                return;
        }
        if (import_listens(import) && rotates(import)) {
                import_became(import, setting, IMPORT_IMPOSSIBLE, "WhenFull=drop-oldest, as max_log_file_action asks, would delete records there");
                return;
        }
        assign(import, setting, log_program(import), "KeepFree", value);
        if (import_listens(import))
                import_assign(import, "aggregator", "WhenFull", "block");
}

/* --- Plugins --- */

/* The last value of a key in the same file. */
static const char *find_beside(const Import *import, const ImportSetting *setting, const char *name)
{
        for (size_t i = import->n_settings; i > 0; i--)
                if (strcmp(import->settings[i - 1].path, setting->path) == 0 && strcasecmp(import->settings[i - 1].name, name) == 0)
                        return import->settings[i - 1].value;
        return "";
}

static bool has_program(const Import *import, const ImportSetting *setting, const char *name)
{
        const char *path = find_beside(import, setting, "path");
        const char *slash = strrchr(path, '/');

        return strcmp(slash ? slash + 1 : path, name) == 0;
}

/* Whether the generator makes no unit of it; says why not. */
static bool is_no_unit(Import *import, ImportSetting *setting)
{
        if (strcasecmp(find_beside(import, setting, "active"), "yes") != 0)
                import_became(import, setting, IMPORT_UNNEEDED, "the plugin is not active");
        else if (has_program(import, setting, "audisp-remote"))
                import_became(import, setting, IMPORT_UNNEEDED, "audit-relay-remote.service sends the records");
        else if (has_program(import, setting, "auditd-plugin"))
                import_became(import, setting, IMPORT_UNNEEDED, "the dispatcher reads the kernel itself");
        else if (has_program(import, setting, "audisp-af_unix") || has_program(import, setting, "builtin_af_unix")) {
                import_drop_in(import, "audit-relay-dispatcher-lines.socket", "", NULL, "/usr/share/audit-relay/audispd-paths.conf");
                import_became(import, setting, IMPORT_TAKEN, "audit-relay-dispatcher-lines.socket has audispd's paths as well");
        } else if (strncmp(find_beside(import, setting, "path"), "builtin_", 8) == 0)
                import_became(import, setting, IMPORT_IMPOSSIBLE, "it is a part of auditd, no program");
        else if (strncmp(setting->path, IMPORT_PLUGINS "/", strlen(IMPORT_PLUGINS "/")) != 0)
                import_became(import, setting, IMPORT_IMPOSSIBLE, "the generator reads " IMPORT_PLUGINS ": move the file there");
        else
                return false;
        return true;
}

static void take_of_plugin(Import *import, ImportSetting *setting, const char *what)
{
        const char *slash = strrchr(setting->path, '/');
        int n = (int) strcspn(slash + 1, ".");

        if (!is_no_unit(import, setting))
                import_became(import, setting, IMPORT_TAKEN, "%s audit-relay-plugin@%.*s", what, n, slash + 1);
}

void take_active(Import *import, const ImportKey *key, ImportSetting *setting)
{
        take_of_plugin(import, setting, "the generator makes");
}

void take_plugin_path(Import *import, const ImportKey *key, ImportSetting *setting)
{
        take_of_plugin(import, setting, "the program of");
}

void take_plugin_args(Import *import, const ImportKey *key, ImportSetting *setting)
{
        take_of_plugin(import, setting, "the arguments of");
}

void take_plugin_format(Import *import, const ImportKey *key, ImportSetting *setting)
{
        take_of_plugin(import, setting, is_word(setting, "binary") ? "auditd's binary format for" : "lines for");
}

/* --- All --- */

static const ImportKey *find_key(const ImportSetting *setting)
{
        for (const ImportKey *key = import_keys[setting->file]; key->name; key++)
                if (strcasecmp(key->name, setting->name) == 0)
                        return key;
        return NULL;
}

static void take_setting(Import *import, ImportSetting *setting)
{
        const ImportKey *key = find_key(setting);
        const ImportSetting *last = import_find(import, setting->file, setting->name);

        if (last && last != setting && setting->file != IMPORT_PLUGIN)
                import_became(import, setting, IMPORT_UNNEEDED, "line %u of %s says it again", last->line, strrchr(last->path, '/') + 1);
        else if (!key)
                import_became(import, setting, IMPORT_UNKNOWN, "neither auditd 3.0.9 nor 4.2 has this key");
        else if (setting->value[0] == '\0')
                import_became(import, setting, IMPORT_UNNEEDED, "it has no value");
        else if (key->take)
                key->take(import, key, setting);
        else
                import_became(import, setting, key->fate, "%s", key->text);
}

void import_take(Import *import)
{
        for (size_t i = 0; i < import->n_settings; i++)
                take_setting(import, &import->settings[i]);
        take_default_log(import);
        if (import->collector && !import_find(import, IMPORT_REMOTE, "remote_server"))
                assign_collector(import, import->collector);
}
