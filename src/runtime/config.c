/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Configuration files: in what order they are read, and what a line of them means.
 *
 * All files are read first into a list of assignments; then each key gets those that come after its last
 * empty one. So an empty value restores the default without anybody keeping a copy of it, and all that is
 * wrong is said in one run. Only of a list nothing is left then; the default that it may have is the table's.
 *
 * Invariants:
 * (1) A field is touched only by the parser of its key, with a value that is not empty.
 * (2) What has no effect is said, with its place.
 */

#include "runtime/config.h"
#include "basic/unix.h"
#include "runtime/log.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

static const char blanks[] = " \t\r";

typedef struct Assignment {
        const ConfigKey *key;
        char *value;
        char *path;
        unsigned line;
} Assignment;

typedef struct Assignments {
        const ConfigKey *keys;
        size_t *begin;  /* for each key: the assignments before this one were taken back by an empty value */
        bool *assigned; /* … and whether there is one, be it empty */
        Assignment *items;
        size_t n;
        size_t allocated;
} Assignments;

static int assignments_init(Assignments *list, const ConfigKey *keys)
{
        size_t n = 0;

        while (keys[n].name)
                n++;
        *list = (Assignments) {
                .keys = keys,
                .begin = calloc(n + 1, sizeof *list->begin),
                .assigned = calloc(n + 1, sizeof *list->assigned),
        };
        return list->begin && list->assigned ? 0 : -ENOMEM;
}

static void assignments_done(Assignments *list)
{
        for (size_t i = 0; i < list->n; i++) {
                free(list->items[i].value);
                free(list->items[i].path);
        }
        free(list->items);
        free(list->begin);
        free(list->assigned);
}

static int assignments_add(Assignments *list, const ConfigKey *key, const char *value, const char *path,
                           unsigned line)
{
        Assignment item = { .key = key, .line = line };

        list->assigned[key - list->keys] = true;
        if (value[0] == '\0') {
                list->begin[key - list->keys] = list->n;
                return 0;
        }
        if (list->n == list->allocated) {
                size_t allocated = list->allocated * 2 + 16;
                Assignment *items = reallocarray(list->items, allocated, sizeof *items);

                if (!items)
                        return -ENOMEM;
                list->items = items;
                list->allocated = allocated;
        }
        item.value = strdup(value);
        item.path = strdup(path);
        if (!item.value || !item.path) {
                free(item.value);
                free(item.path);
                return -ENOMEM;
        }
        list->items[list->n++] = item;
        return 0;
}

static int apply_default(const Assignments *list, const ConfigKey *key, void *config)
{
        if (key->parse != config_parse_strings || !key->argument || list->assigned[key - list->keys])
                return 0;
        return key->parse(key, key->argument, (char *) config + key->offset);
}

static int assignments_apply(const Assignments *list, void *config)
{
        int result = 0;

        for (const ConfigKey *key = list->keys; key->name && result == 0; key++)
                result = apply_default(list, key, config);
        if (result < 0)
                return result;
        for (size_t i = 0; i < list->n; i++) {
                const Assignment *item = &list->items[i];
                int r;

                if (i < list->begin[item->key - list->keys])
                        continue;
                r = item->key->parse(item->key, item->value, (char *) config + item->key->offset);
                if (r == -EINVAL) {
                        log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s:%u: %s=%s: expected %s",
                                    item->path, item->line, item->key->name, item->value,
                                    item->key->expected);
                        result = r;
                } else if (r < 0) {
                        return r;
                }
        }
        return result;
}

/* --- One file --- */

typedef struct Reader {
        const char *path;
        unsigned line; /* of the file, at which the logical line began */
        char *section; /* the one we are in, NULL before the first; points into the text */
        bool section_known;
        Assignments *list;
} Reader;

#define reader_warn(reader, format, ...)                                                                    \
        log_message(LOG_WARNING, MESSAGE_ID_CONFIG_WARNING, NULL, "%s:%u: " format, (reader)->path,         \
                    (reader)->line, ##__VA_ARGS__)

static const ConfigKey *find_key(const ConfigKey *keys, const char *section, const char *name)
{
        for (const ConfigKey *key = keys; key->name; key++)
                if (strcmp(key->section, section) == 0 && strcmp(key->name, name) == 0)
                        return key;
        return NULL;
}

static bool has_section(const ConfigKey *keys, const char *section)
{
        for (const ConfigKey *key = keys; key->name; key++)
                if (strcmp(key->section, section) == 0)
                        return true;
        return false;
}

/* Cuts blanks at both ends, in place. */
static char *strip(char *text)
{
        size_t n;

        text += strspn(text, blanks);
        n = strlen(text);
        while (n > 0 && strchr(blanks, text[n - 1]))
                n--;
        text[n] = '\0';
        return text;
}

static int reader_take_section(Reader *reader, char *line)
{
        size_t n = strlen(line);

        if (line[n - 1] != ']') {
                reader_warn(reader, "the section \"%s\" has no ']', ignored", line);
                reader->section = NULL;
                return 0;
        }
        line[n - 1] = '\0';
        reader->section = line + 1;
        reader->section_known = has_section(reader->list->keys, reader->section);
        if (!reader->section_known)
                reader_warn(reader, "unknown section [%s], ignored with all its keys", reader->section);
        return 0;
}

/* One logical line, without blanks at its ends and not empty. */
static int reader_take_line(Reader *reader, char *line)
{
        const ConfigKey *key;
        char *value;

        if (line[0] == '[')
                return reader_take_section(reader, line);
        value = strchr(line, '=');
        if (!value) {
                reader_warn(reader, "\"%s\" is not of the form Key=value, ignored", line);
                return 0;
        }
        *value++ = '\0';
        line = strip(line);
        if (!reader->section) {
                reader_warn(reader, "%s= is in no section, ignored", line);
                return 0;
        }
        if (!reader->section_known)
                return 0;
        key = find_key(reader->list->keys, reader->section, line);
        if (!key) {
                reader_warn(reader, "unknown key %s= in section [%s], ignored", line, reader->section);
                return 0;
        }
        return assignments_add(reader->list, key, strip(value), reader->path, reader->line);
}

/* Whether a physical line that is not a comment goes on in the next one; takes the backslash off. */
static bool line_goes_on(char *line)
{
        size_t n = strlen(line);

        if (n > 0 && line[n - 1] == '\r')
                line[--n] = '\0';
        if (n == 0 || line[n - 1] != '\\')
                return false;
        line[n - 1] = '\0';
        return true;
}

/* Joins continued lines, in place: the text of the logical line grows from `logical` on, always behind what
 * is read. */
static int reader_take_text(Reader *reader, char *text)
{
        char *logical = NULL, *end = NULL;
        unsigned n = 0;

        for (char *line = text, *next; line; line = next) {
                const char *content = line + strspn(line, blanks);
                bool more;
                size_t size;
                int r;

                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                n++;
                /* A comment within a continued line does not end it. */
                if ((*content == '#' || *content == ';') && next)
                        continue;
                if (*content == '#' || *content == ';')
                        line += strlen(line);
                more = line_goes_on(line);
                size = strlen(line);
                if (logical) {
                        *end++ = ' '; /* where the backslash was */
                        memmove(end, line, size + 1);
                } else {
                        logical = line;
                        end = line;
                        reader->line = n;
                }
                end += size;
                if (more && next)
                        continue;
                logical = strip(logical);
                r = logical[0] == '\0' ? 0 : reader_take_line(reader, logical);
                if (r < 0)
                        return r;
                logical = NULL;
        }
        return 0;
}

static int assignments_read_text(Assignments *list, const char *path, const char *text, size_t size)
{
        _cleanup_(freep) char *copy = malloc(size + 1);
        Reader reader = { .path = path, .list = list };

        if (!copy)
                return -ENOMEM;
        if (memchr(text, '\0', size)) {
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s: has a NUL byte: expected text",
                            path);
                return -EINVAL;
        }
        memcpy(copy, text, size);
        copy[size] = '\0';
        return reader_take_text(&reader, copy);
}

/* Reads up to CONFIG_FILE_MAX bytes. Non-blocking, so that a FIFO of that name cannot stop us for ever. */
static int read_file(const char *path, char **ret_text, size_t *ret_size)
{
        _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        _cleanup_(freep) char *text = NULL;
        int r;

        if (fd < 0)
                return -errno;
        r = read_text(fd, CONFIG_FILE_MAX + 1, &text, ret_size);
        if (r < 0)
                return r;
        if (*ret_size > CONFIG_FILE_MAX)
                return -EFBIG;
        *ret_text = TAKE_PTR(text);
        return 0;
}

/* Returns -ENOENT without a word when there is no such file. */
static int assignments_read_file(Assignments *list, const char *path)
{
        _cleanup_(freep) char *text = NULL;
        size_t size = 0;
        int r = read_file(path, &text, &size);

        if (r == -ENOENT)
                return r;
        if (r < 0) {
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s: cannot be read: %s", path,
                            strerror(-r));
                return r;
        }
        return assignments_read_text(list, path, text, size);
}

/* --- All of it --- */

static int assignments_read_main(Assignments *list, const char *const *directories, const char *name)
{
        for (size_t i = 0; directories[i]; i++) {
                char path[PATH_MAX];
                int r;

                if (snprintf(path, sizeof path, "%s/%s.conf", directories[i], name) >= (int) sizeof path)
                        return -ENAMETOOLONG;
                r = assignments_read_file(list, path);
                if (r != -ENOENT)
                        return r;
        }
        return 0;
}

static int assignments_read_all(Assignments *list, const char *const *directories, const char *name)
{
        _cleanup_(strings_freep) char **paths = NULL;
        char subdir[NAME_MAX];
        int r = assignments_read_main(list, directories, name);

        if (r < 0)
                return r;
        if (snprintf(subdir, sizeof subdir, "%s.conf.d", name) >= (int) sizeof subdir)
                return -ENAMETOOLONG;
        r = config_list_from(directories, subdir, &paths);
        for (size_t i = 0; r == 0 && paths[i]; i++) {
                r = assignments_read_file(list, paths[i]);
                if (r == -ENOENT) /* removed since, or a link to nothing */
                        r = 0;
        }
        return r;
}

int config_load_from(const char *const *directories, const char *name, const ConfigKey *keys, void *config)
{
        _cleanup_(assignments_done) Assignments list;
        int r = assignments_init(&list, keys);

        if (r == 0)
                r = assignments_read_all(&list, directories, name);
        if (r == 0)
                r = assignments_apply(&list, config);
        return r;
}

int config_load_file(const char *path, const ConfigKey *keys, void *config)
{
        _cleanup_(assignments_done) Assignments list;
        int r = assignments_init(&list, keys);

        if (r == 0)
                r = assignments_read_file(&list, path);
        if (r == -ENOENT)
                log_message(LOG_ERR, MESSAGE_ID_CONFIG_ERROR, NULL, "%s: cannot be read: %s", path,
                            strerror(-r));
        if (r == 0)
                r = assignments_apply(&list, config);
        return r;
}

int config_load(const char *name, const char *path, const ConfigKey *keys, void *config)
{
        if (path)
                return config_load_file(path, keys, config);
        return config_load_from(config_directories, name, keys, config);
}

int config_load_text(const char *path, const char *text, size_t size, const ConfigKey *keys, void *config)
{
        _cleanup_(assignments_done) Assignments list;
        int r = assignments_init(&list, keys);

        if (r == 0)
                r = assignments_read_text(&list, path, text, size);
        if (r == 0)
                r = assignments_apply(&list, config);
        return r;
}
