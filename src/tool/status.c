/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* audit-relay status: what the state directories say, on one screen or as JSON.
 *
 * A component runs while it holds the lock on its directory; the status file's age tells whether its loop
 * still turns.
 */

#include "basic/macro.h"
#include "runtime/config.h"
#include "runtime/loop.h"
#include "runtime/state.h"
#include "tool/json.h"
#include "tool/status-peers.h"
#include "tool/tool.h"

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

/* Further exit statuses; the worst one counts. */
#define STATUS_EXIT_CONDITION 3
#define STATUS_EXIT_NOT_RUNNING 4

/* A file of a component is larger only if something is wrong with it: an aggregator tells a kilobyte of each
 * peer. */
#define STATE_FILE_MAX (16U * 1024U * 1024U)
/* A loop that misses its status this often is stuck. */
#define STATUS_STALE_USEC (3 * STATUS_FRESH_USEC)

typedef enum Health {
        HEALTH_RUNNING,
        HEALTH_STUCK,
        HEALTH_NOT_RUNNING,
} Health;

static const char *const health_names[] = { "running", "not responding", "not running" };

typedef struct Component {
        char *name;
        Health health;
        char *status;      /* the line for people, or NULL */
        char *text;        /* of the status file, or NULL */
        char **conditions; /* names */
        char **files;      /* their contents */
} Component;

typedef struct Options {
        const char *directory;
        bool json;
        bool all;
        bool peers;
        bool colour;
} Options;

static void component_done(Component *component)
{
        free(component->name);
        free(component->status);
        free(component->text);
        strings_free(component->conditions);
        strings_free(component->files);
}

/* --- Reading --- */

static char *read_at(int dir, const char *name)
{
        _cleanup_(close_fdp) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        _cleanup_(freep) char *text = NULL;
        size_t size = 0;

        if (fd < 0)
                return NULL;
        text = malloc(STATE_FILE_MAX + 1);
        while (text && size < STATE_FILE_MAX) {
                ssize_t n = read(fd, text + size, STATE_FILE_MAX - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return NULL;
                if (n == 0)
                        break;
                size += (size_t) n;
        }
        if (text)
                text[size] = '\0';
        return TAKE_PTR(text);
}

static Health judge_health(int dir)
{
        struct stat st;
        uint64_t modified;

        /* We got the lock, so nobody has it; it goes with the descriptor. */
        if (flock(dir, LOCK_SH | LOCK_NB) >= 0) {
                (void) flock(dir, LOCK_UN);
                return HEALTH_NOT_RUNNING;
        }
        /* It just starts. */
        if (fstatat(dir, "status", &st, AT_SYMLINK_NOFOLLOW) < 0)
                return HEALTH_RUNNING;
        modified = (uint64_t) st.st_mtim.tv_sec * USEC_PER_SEC + (uint64_t) st.st_mtim.tv_nsec / 1000;
        return modified + STATUS_STALE_USEC < realtime_usec() ? HEALTH_STUCK : HEALTH_RUNNING;
}

/* Takes the backslashes of OpenMetrics or of a quoted value out, in place. */
static void unescape(char *text)
{
        char *to = text;

        for (; *text != '\0'; text++) {
                if (*text == '\\' && text[1] != '\0')
                        text++;
                *to++ = *text;
        }
        *to = '\0';
}

/* A terminal must not be told what to do by whoever wrote the text. */
static void make_printable(char *text)
{
        for (; *text != '\0'; text++)
                if (((unsigned char) *text < 0x20 && *text != '\n') || *text == 0x7f)
                        *text = '?';
}

static char *find_status_line(const char *text)
{
        const char *begin = strstr(text, " STATUS=");
        char *line;

        if (!begin)
                return NULL;
        begin += strlen(" STATUS=");
        line = strndup(begin, strcspn(begin, "\n"));
        if (line)
                unescape(line);
        return line;
}

static bool name_is_condition(const char *name)
{
        return name[0] != '.' && strcmp(name, "status") != 0;
}

static int read_conditions(int fd, Component *component)
{
        struct dirent **entries;
        int n = scandirat(fd, ".", &entries, NULL, alphasort);
        int r = n < 0 ? -errno : 0;

        for (int i = 0; i < n; i++) {
                _cleanup_(freep) char *text = NULL;

                if (r == 0 && name_is_condition(entries[i]->d_name))
                        text = read_at(fd, entries[i]->d_name);
                if (text) {
                        make_printable(text);
                        r = strings_append(&component->conditions, entries[i]->d_name);
                        if (r == 0)
                                r = strings_append(&component->files, text);
                }
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
        return r;
}

static int component_read(const char *directory, const char *name, Component *ret)
{
        _cleanup_(close_fdp) int fd = -EBADF;
        Component component = { .health = HEALTH_NOT_RUNNING };
        char path[PATH_MAX];
        int r = 0;

        if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int) sizeof path)
                return -ENAMETOOLONG;
        component.name = strdup(name);
        if (!component.name)
                return -ENOMEM;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
                component.health = judge_health(fd);
                component.text = read_at(fd, "status");
                if (component.text) {
                        make_printable(component.text);
                        component.status = find_status_line(component.text);
                }
                r = read_conditions(fd, &component);
        } else if (errno != ENOENT) {
                r = -errno;
        }
        if (r < 0)
                component_done(&component);
        else
                *ret = component;
        return r;
}

/* --- Lines of the files --- */

/* One KEY=VALUE line of a condition's file. Returns where the next one begins, NULL at the end; key and
 * value are the caller's to free, NULL when there is no memory. */
static const char *next_pair(const char *p, char **ret_key, char **ret_value)
{
        size_t line = strcspn(p, "\n");
        size_t key = strcspn(p, "=\n");

        if (*p == '\0')
                return NULL;
        *ret_key = strndup(p, key);
        *ret_value = key < line ? strndup(p + key + 1, line - key - 1) : strdup("");
        if (*ret_value && (*ret_value)[0] == '"') {
                size_t n = strlen(*ret_value);

                if (n > 1 && (*ret_value)[n - 1] == '"')
                        (*ret_value)[n - 1] = '\0';
                memmove(*ret_value, *ret_value + 1, strlen(*ret_value));
                unescape(*ret_value);
        }
        return p + line + (p[line] == '\n');
}

/* One sample of the status file: "audit_relay_COMPONENT_NAME{labels} VALUE". Skips all other lines and what
 * is said elsewhere: the conditions, and that it is up. */
static const char *next_sample(const Component *component, const char *p, char **ret_name, char **ret_value)
{
        char prefix[NAME_MAX];
        int n = snprintf(prefix, sizeof prefix, "audit_relay_%s_", component->name);

        for (; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
                size_t line = strcspn(p, "\n");
                const char *space = memrchr(p, ' ', line);

                if (strncmp(p, prefix, (size_t) n) != 0 || !space || strncmp(p + n, "up ", 3) == 0)
                        continue;
                *ret_name = strndup(p + n, (size_t) (space - p) - (size_t) n);
                *ret_value = strndup(space + 1, line - (size_t) (space + 1 - p));
                return p + line + (p[line] == '\n');
        }
        return NULL;
}

/* --- For people --- */

static const char *paint(const Options *options, const char *escape)
{
        return options->colour ? escape : "";
}

static void print_condition(const Options *options, const char *name, const char *file)
{
        char *key, *value;

        printf("  %s! %s%s\n", paint(options, "\x1b[1;31m"), name, paint(options, "\x1b[0m"));
        while ((file = next_pair(file, &key, &value))) {
                if (key && value && strcmp(key, "COMPONENT") != 0 && strcmp(key, "CONDITION") != 0)
                        printf("      %-8s %s\n", key, value);
                free(key);
                free(value);
        }
}

/* Those without labels that are not zero: the totals; --all shows each. */
static void print_samples(const Options *options, const Component *component)
{
        const char *p = component->text;
        char *name, *value;

        while (p && (p = next_sample(component, p, &name, &value))) {
                if (name && value && (options->all || (!strchr(name, '{') && strcmp(value, "0") != 0))) {
                        size_t n = strlen(name);

                        if (n > 6 && strcmp(name + n - 6, "_total") == 0)
                                name[n - 6] = '\0';
                        printf("    %-32s %16s\n", name, value);
                }
                free(name);
                free(value);
        }
}

static void print_component(const Options *options, const Component *component)
{
        bool good = component->health == HEALTH_RUNNING;

        printf("%s%s%s  %s%s%s\n", paint(options, "\x1b[1m"), component->name, paint(options, "\x1b[0m"),
               paint(options, good ? "\x1b[32m" : "\x1b[1;31m"), health_names[component->health],
               paint(options, "\x1b[0m"));
        if (component->status)
                printf("  %s\n", component->status);
        for (size_t i = 0; component->conditions && component->conditions[i]; i++)
                print_condition(options, component->conditions[i], component->files[i]);
        print_samples(options, component);
}

/* --- For programs --- */

static void json_component(Json *json, const Component *component)
{
        const char *p = component->text;
        char *key, *value;

        json_object_begin(json, NULL);
        json_string(json, "component", component->name);
        json_string(json, "health", health_names[component->health]);
        json_string(json, "status", component->status);
        json_array_begin(json, "conditions");
        for (size_t i = 0; component->conditions && component->conditions[i]; i++) {
                const char *file = component->files[i];

                json_object_begin(json, NULL);
                json_string(json, "name", component->conditions[i]);
                while ((file = next_pair(file, &key, &value))) {
                        if (key && value)
                                json_string(json, key, value);
                        free(key);
                        free(value);
                }
                json_object_end(json);
        }
        json_array_end(json);
        json_object_begin(json, "metrics");
        while (p && (p = next_sample(component, p, &key, &value))) {
                if (key && value)
                        json_number(json, key, value);
                free(key);
                free(value);
        }
        json_object_end(json);
        json_object_end(json);
}

/* --- The verb --- */

static void help(void)
{
        printf("Usage: audit-relay status [OPTION...] [COMPONENT...]\n"
               "\n"
               "Shows what the programs of this host are doing and what is wrong: all that have a\n"
               "state directory, or those named.\n"
               "\n"
               "  --json            As JSON\n"
               "  --all             All metrics, not the totals alone\n"
               "  --peers           The aggregator's peers, connected or not, and nothing else\n"
               "  --state-dir=PATH  Where the state is, instead of %s\n"
               "  --help            This text\n"
               "\n"
               "Exit status: 0 all is well; 3 a condition holds; 4 a component is not running or does not\n"
               "respond, or there is none; 1 the state cannot be read; 2 wrong usage.\n",
               STATE_DIRECTORY);
}

static int filter_visible(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

/* The names of all that have a directory. */
static int find_components(const char *directory, char ***ret_names)
{
        struct dirent **entries;
        int n = scandir(directory, &entries, filter_visible, alphasort);
        int r = 0;

        if (n < 0)
                return errno == ENOENT ? 0 : -errno;
        for (int i = 0; i < n; i++) {
                char path[PATH_MAX];
                struct stat st;

                if (r == 0 &&
                    snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name) <
                            (int) sizeof path &&
                    stat(path, &st) >= 0 && S_ISDIR(st.st_mode))
                        r = strings_append(ret_names, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        return r;
}

static int show(const Options *options, char *const *names)
{
        Json json = JSON_INIT(stdout);
        int worst = strings_count(names) == 0 ? STATUS_EXIT_NOT_RUNNING : EXIT_SUCCESS;

        if (options->json)
                json_array_begin(&json, NULL);
        else if (worst != EXIT_SUCCESS)
                printf("No program of audit-relay is running here.\n");
        for (size_t i = 0; names && names[i]; i++) {
                Component component;
                int r = component_read(options->directory, names[i], &component);

                if (r < 0) {
                        fprintf(stderr, "audit-relay: %s/%s: %s\n", options->directory, names[i],
                                strerror(-r));
                        return TOOL_EXIT_FAILURE;
                }
                if (strings_count(component.conditions) > 0)
                        worst = MAX(worst, STATUS_EXIT_CONDITION);
                if (component.health != HEALTH_RUNNING)
                        worst = STATUS_EXIT_NOT_RUNNING;
                if (options->json)
                        json_component(&json, &component);
                else
                        print_component(options, &component);
                component_done(&component);
        }
        if (options->json) {
                json_array_end(&json);
                putchar('\n');
        }
        return worst;
}

/* The list alone; the exit status tells whether there is an aggregator that says it. */
static int show_peers(const Options *options)
{
        Component component = { 0 };
        int r = component_read(options->directory, "aggregator", &component);

        if (r >= 0 && component.text)
                r = status_peers(component.text, options->json);
        else if (r >= 0)
                printf("%s", options->json ? "[]\n" : "No aggregator is running here.\n");
        if (r < 0)
                fprintf(stderr, "audit-relay: %s/aggregator: %s\n", options->directory, strerror(-r));
        else
                r = component.health == HEALTH_RUNNING ? EXIT_SUCCESS : STATUS_EXIT_NOT_RUNNING;
        component_done(&component);
        return r < 0 ? TOOL_EXIT_FAILURE : r;
}

int verb_status(int argc, char **argv)
{
        static const struct option long_options[] = {
                { "json", no_argument, NULL, 'j' },
                { "all", no_argument, NULL, 'a' },
                { "peers", no_argument, NULL, 'p' },
                { "state-dir", required_argument, NULL, 'd' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        Options options = { .directory = STATE_DIRECTORY, .colour = isatty(STDOUT_FILENO) };
        _cleanup_(strings_freep) char **names = NULL;
        int c, r = 0;

        while ((c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
                switch (c) {
                case 'j':
                        options.json = true;
                        break;
                case 'a':
                        options.all = true;
                        break;
                case 'p':
                        options.peers = true;
                        break;
                case 'd':
                        options.directory = optarg;
                        break;
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                default:
                        return TOOL_EXIT_USAGE;
                }
        for (int i = optind; i < argc && r == 0; i++)
                r = strings_append(&names, argv[i]);
        if (optind == argc)
                r = find_components(options.directory, &names);
        if (r < 0) {
                fprintf(stderr, "audit-relay: %s: %s\n", options.directory, strerror(-r));
                return TOOL_EXIT_FAILURE;
        }
        return options.peers ? show_peers(&options) : show(&options, names);
}
