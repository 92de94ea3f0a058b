/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Configuration in systemd.syntax(7): /etc, /run, /usr/lib/audit-relay/NAME.conf (the first one found) and
 * then NAME.conf.d/ *.conf of all three, sorted by file name, an earlier directory's file hiding the same
 * name in a later one. Table-driven. An unknown section or key warns with file:line; a wrong value is an
 * error with file:line and what was expected. An empty value takes back what was assigned before it: a list
 * is empty again, anything else has its default. A list that has a default loses it by any assignment.
 */

#include "store/disk.h"

/* No configuration is larger; a bound for what a wrong --config= can make us read. */
#define CONFIG_FILE_MAX (1024U * 1024U)

typedef struct ConfigKey ConfigKey;

/* Parses `value` into the field. Returns 0; -EINVAL when it is not what key->expected says; -ENOMEM. */
typedef int (*ConfigParse)(const ConfigKey *key, const char *value, void *field);

/* A table of keys ends with one whose name is NULL. */
struct ConfigKey {
        const char *section;
        const char *name;
        ConfigParse parse;
        size_t offset;        /* of the field in the configuration struct */
        const char *expected; /* for the message: "a size such as 64M" */
        const void *argument; /* for parse: e.g. the names of an enumeration */
};

/* char *, owned */
int config_parse_string(const ConfigKey *key, const char *value, void *field);
int config_parse_path(const ConfigKey *key, const char *value, void *field);    /* the same, an absolute path */
/* the same, of at most 107 bytes: of a Unix socket */
int config_parse_socket(const ConfigKey *key, const char *value, void *field);
/* char **, NULL-terminated, appended; words separated by blanks, "…" or '…' around one that has blanks. argument: the value
 * that it has where the key is not assigned at all, or NULL */
int config_parse_strings(const ConfigKey *key, const char *value, void *field);
/* char *, a valid node name */
int config_parse_node(const ConfigKey *key, const char *value, void *field);
/* bool */
int config_parse_bool(const ConfigKey *key, const char *value, void *field);
/* uint64_t bytes; K M G T are powers of 1024 */
int config_parse_size(const ConfigKey *key, const char *value, void *field);
/* DiskAmount: bytes as above, or "5%" */
int config_parse_disk_size(const ConfigKey *key, const char *value, void *field);
/* … a plain number, or "5%" */
int config_parse_disk_count(const ConfigKey *key, const char *value, void *field);
/* uint64_t */
int config_parse_unsigned(const ConfigKey *key, const char *value, void *field);
/* uint64_t usec; "30s", "2min", "1h 30min", "infinity" */
int config_parse_usec(const ConfigKey *key, const char *value, void *field);
/* int; argument: NULL-terminated const char ** */
int config_parse_enum(const ConfigKey *key, const char *value, void *field);

/* Fills `config` (whose defaults the caller has set: owned strings from malloc, lists NULL). `path`: the one
 * file to read instead
 * (--config=), with no drop-ins. A missing file is no error unless it was named. Logs warnings and errors
 * itself, this being where they are said, all of them. Returns 0 or -EINVAL, or an errno of the file system;
 * then nothing in `config` may be used, but config_done() frees it. */
int config_load(const char *name, const char *path, const ConfigKey *keys, void *config) _must_check_;
/* /etc/audit-relay, /run/…, /usr/lib/…, NULL. */
extern const char *const config_directories[];
/* The same in other directories, given like these. */
int config_load_from(const char *const *directories, const char *name, const ConfigKey *keys,
                     void *config) _must_check_;

/* Reads one file (subscribers.d/, peers.d/) the same way. */
int config_load_file(const char *path, const ConfigKey *keys, void *config) _must_check_;

/* Reads text that is already in memory; `path` is for messages. */
int config_load_text(const char *path, const char *text, size_t size, const ConfigKey *keys,
                     void *config) _must_check_;

/* Frees the strings and lists that config_parse_string(), _path(), _node() and _strings() made. */
void config_done(const ConfigKey *keys, void *config);

/* The sorted paths of *.conf in /etc/audit-relay/SUBDIR, /run/…, /usr/lib/…, earlier directories hiding
 * later ones; or of the directory `path` alone when given. Empty files and links to /dev/null hide and are
 * left out. *ret_paths: NULL-terminated, owned by the caller (strings_free). Logs errors. */
int config_list(const char *subdir, const char *path, char ***ret_paths) _must_check_;
int config_list_from(const char *const *directories, const char *subdir, char ***ret_paths) _must_check_;

char **strings_free(char **strings);
DEFINE_CLEANUP(char **, strings_free)
size_t strings_count(char *const *strings);
/* Appends a copy. */
int strings_append(char ***strings, const char *string) _must_check_;

/* Whether a node, collector or stream owner name is one: 1 to NODE_NAME_MAX of letters, digits, '.', '-',
 * '_', ':'. */
bool node_name_is_valid(const char *name);
