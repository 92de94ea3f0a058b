/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Of the programs' configuration what the checks need, and what this host is. A program judges its configuration itself, and
 * does not start with a wrong one; so nothing is said here about keys that are wrong.
 */

#include "runtime/config.h"
#include "runtime/log.h"
#include "tool/doctor/doctor.h"

#include <limits.h>
#include <stdio.h>

#define KEY(section, name, parse, field) { section, name, parse, offsetof(DoctorConfig, field), "a value", NULL }
#define SHARED(section)                                                                                     \
        KEY(section, "TLSCertificate", config_parse_string, tls.certificate),                               \
        KEY(section, "TLSKey", config_parse_string, tls.key),                                               \
        KEY(section, "TLSAuthority", config_parse_string, tls.authority),                                   \
        KEY(section, "TLSRevocation", config_parse_string, tls.revocation),                                 \
        KEY(section, "Directory", config_parse_path, directory),                                            \
        KEY(section, "MaxUse", config_parse_size, use_max),                                                 \
        KEY(section, "SpaceLeft", config_parse_disk_size, space_left),                                      \
        KEY(section, "InodesLeft", config_parse_disk_count, inodes_left)

static const ConfigKey dispatcher_keys[] = {
        KEY("Dispatcher", "Node", config_parse_node, node),
        { 0 },
};
static const ConfigKey remote_keys[] = {
        SHARED("Remote"),
        KEY("Remote", "Node", config_parse_node, node),
        KEY("Remote", "Protocol", config_parse_string, protocol),
        KEY("Remote", "Collector", config_parse_strings, collectors),
        KEY("Remote", "CollectorName", config_parse_string, collector_name),
        { 0 },
};
static const ConfigKey aggregator_keys[] = {
        SHARED("Aggregator"),
        KEY("Aggregator", "Name", config_parse_node, node),
        { 0 },
};

static void load(const Doctor *doctor, const char *name, const ConfigKey *keys, const char *directory, uint64_t space_left,
                 DoctorConfig *ret)
{
        char paths[3][PATH_MAX];
        const char *directories[4] = { paths[0], paths[1], paths[2], NULL };

        *ret = (DoctorConfig) { .directory = strdup(directory), .space_left = { .n = space_left }, .inodes_left = { .n = 1000 } };
        for (size_t i = 0; i < 3; i++)
                (void) snprintf(paths[i], sizeof paths[i], "%s%s", doctor->facts.root, config_directories[i]);
        if (config_load_from(directories, name, keys, ret) < 0) {
                config_done(keys, ret);
                *ret = (DoctorConfig) { .directory = strdup(directory), .space_left = { .n = space_left } };
        }
}

static bool is_role(const Doctor *doctor, const char *target)
{
        return doctor_unit_is(doctor, target, "UnitFileState", "enabled") || doctor_unit_is(doctor, target, "ActiveState", "active");
}

void doctor_begin(Doctor *doctor)
{
        /* Keys that are not in the tables are no fault. */
        log_init_tool("audit-relay", -1);
        load(doctor, "dispatcher", dispatcher_keys, "/run/audit-relay/dispatcher", 0, &doctor->dispatcher);
        load(doctor, "remote", remote_keys, "/var/lib/audit-relay/remote", 256U * 1024 * 1024, &doctor->remote);
        load(doctor, "aggregator", aggregator_keys, "/var/log/audit-relay", 1024U * 1024 * 1024, &doctor->aggregator);
        log_init_tool("audit-relay", LOG_INFO);
        doctor->collector = is_role(doctor, "audit-relay-collector.target");
        doctor->client = is_role(doctor, "audit-relay-client.target") || (!doctor->collector && strings_count(doctor->remote.collectors) > 0);
}

void doctor_done(Doctor *doctor)
{
        for (size_t i = 0; i < doctor->n_findings; i++) {
                free(doctor->findings[i].what);
                free(doctor->findings[i].todo);
        }
        free(doctor->findings);
        config_done(dispatcher_keys, &doctor->dispatcher);
        free(doctor->dispatcher.directory);
        config_done(remote_keys, &doctor->remote);
        config_done(aggregator_keys, &doctor->aggregator);
        free(doctor->facts.units);
        free(doctor->facts.host);
        *doctor = (Doctor) { 0 };
}
