/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The state directory of a component: its conditions and its status.
 *
 * Invariants:
 * (1) A file appears under its name complete: written as ".NAME", then renamed. On tmpfs, so nothing is
 * synced. (2) A condition's file is there exactly as long as the condition holds; what could not be written
 * is tried again with each status. (3) A text from outside stays within its line and its quotes. (4) No call
 * costs more than a few system calls a second, however often it is made.
 */

#include "runtime/conditions.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/state-internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

/* How long another process may look at the lock before we believe that it is a second one of ourselves. */
#define LOCK_TRIES 20U
#define LOCK_RETRY_USEC (10 * USEC_PER_MSEC)

/* --- Files --- */

int state_write_file(State *state, const char *name, const char *text, size_t size)
{
        _cleanup_(close_fdp) int fd = -EBADF;
        char temporary[NAME_MAX];
        ssize_t n;

        if (snprintf(temporary, sizeof temporary, ".%s", name) >= (int) sizeof temporary)
                return -ENAMETOOLONG;
        fd = openat(state->fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return -errno;
        if (fchmod(fd, 0644) < 0) /* whatever the umask */
                return -errno;
        n = write(fd, text, size);
        if (n < 0)
                return -errno;
        if ((size_t) n < size)
                return -ENOSPC;
        return renameat(state->fd, temporary, state->fd, name) < 0 ? -errno : 0;
}

void state_say_failed(State *state, const char *name, int r)
{
        if (log_limit(&state->failed_usec, 60 * USEC_PER_SEC))
                log_message(LOG_ERR, MESSAGE_ID_STATE_FAILED, NULL, "%s/%s: cannot be written: %s",
                            state->path, name, strerror(-r));
}

static int directory_clean(State *state)
{
        int fd = fcntl(state->fd, F_DUPFD_CLOEXEC, 3);
        struct dirent *entry;
        DIR *dir;
        int r = 0;

        if (fd < 0)
                return -errno;
        dir = fdopendir(fd);
        if (!dir) {
                r = -errno;
                (void) close(fd);
                return r;
        }
        rewinddir(dir);
        while ((entry = readdir(dir)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                    unlinkat(state->fd, entry->d_name, 0) < 0 && errno != ENOENT)
                        r = -errno;
        (void) closedir(dir);
        return r;
}

static int directory_lock(State *state)
{
        for (unsigned i = 0;; i++) {
                if (flock(state->fd, LOCK_EX | LOCK_NB) >= 0)
                        return 0;
                if (errno != EWOULDBLOCK)
                        return -errno;
                if (i >= LOCK_TRIES)
                        return -EBUSY;
                (void) usleep(LOCK_RETRY_USEC);
        }
}

static int directory_open(State *state, const char *directory)
{
        int r;

        if (mkdir(directory, 0755) < 0 && errno != EEXIST)
                return -errno;
        if (mkdir(state->path, 0755) < 0 && errno != EEXIST)
                return -errno;
        state->fd = open(state->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (state->fd < 0)
                return -errno;
        r = directory_lock(state);
        if (r < 0)
                return r;
        state->locked = true;
        return directory_clean(state);
}

/* --- Conditions --- */

Held *state_find(const State *state, const char *name)
{
        Held *held;

        TAILQ_FOREACH (held, &state->held, entries)
                if (strcmp(held->name, name) == 0)
                        return held;
        return NULL;
}

static Held *held_free(Held *held)
{
        if (!held)
                return NULL;
        free(held->name);
        free(held->reason);
        free(held->keys);
        free(held);
        return NULL;
}

static void write_value(FILE *to, const char *key, size_t key_size, const char *value, size_t size)
{
        static const char plain[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@%+,=-";
        bool quote = size == 0;

        for (size_t i = 0; i < size; i++)
                quote |= !memchr(plain, value[i], sizeof plain - 1);
        fprintf(to, "%.*s=%s", (int) key_size, key, quote ? "\"" : "");
        for (size_t i = 0; i < size; i++) {
                if (memchr("\"$`\\", value[i], 4))
                        fputc('\\', to);
                fputc((unsigned char) value[i] < 0x20 || value[i] == 0x7f ? ' ' : value[i], to);
        }
        fputs(quote ? "\"\n" : "\n", to);
}

static void write_pair(FILE *to, const char *key, const char *value)
{
        write_value(to, key, strlen(key), value, strlen(value));
}

static void write_keys(FILE *to, const char *keys)
{
        while (*keys != '\0') {
                size_t size = strcspn(keys, "\n");
                size_t key_size = strspn(keys, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

                if (key_size > 0 && keys[key_size] == '=')
                        write_value(to, keys, key_size, keys + key_size + 1, size - key_size - 1);
                keys += size + (keys[size] == '\n');
        }
}

static void held_print(const State *state, const Held *held, FILE *to)
{
        time_t seconds = (time_t) (held->since_usec / USEC_PER_SEC);
        char since[sizeof "2026-12-31T23:59:59Z"];
        struct tm tm;

        if (!gmtime_r(&seconds, &tm) || strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                since[0] = '\0';
        write_pair(to, "COMPONENT", state->component);
        write_pair(to, "CONDITION", held->name);
        write_pair(to, "SINCE", since);
        write_pair(to, "REASON", held->reason);
        fprintf(to, "COUNT=%" PRIu64 "\n", held->count);
        if (held->keys)
                write_keys(to, held->keys);
}

static int held_write(State *state, Held *held)
{
        _cleanup_(freep) char *text = NULL;
        size_t size;
        FILE *to = open_memstream(&text, &size);
        int r;

        if (!to)
                return -ENOMEM;
        held_print(state, held, to);
        if (fclose(to) != 0)
                return -ENOMEM;
        held->tried_usec = monotonic_usec();
        r = state_write_file(state, held->name, text, size);
        if (r == 0)
                held->dirty = false;
        return r;
}

static void held_flush(State *state, Held *held)
{
        int r;

        if (!held->dirty ||
            (held->tried_usec != 0 && monotonic_usec() - held->tried_usec < STATE_INTERVAL_USEC))
                return;
        r = held_write(state, held);
        if (r < 0)
                state_say_failed(state, held->name, r);
}

static void held_log(const State *state, const Held *held, bool began)
{
        const Condition *condition = condition_find(state->component, held->name);
        _cleanup_(freep) char *fields = NULL;

        if (asprintf(&fields, "COMPONENT=%s\nCONDITION=%s\nREASON=%s\nCOUNT=%" PRIu64 "\n%s",
                     state->component, held->name, held->reason, held->count,
                     held->keys ? held->keys : "") < 0)
                fields = NULL;
        if (began)
                log_message(condition ? condition->priority : LOG_WARNING,
                            condition ? condition->message_id : MESSAGE_ID_CONDITION_BEGAN, fields,
                            "%s/%s: %s", state->component, held->name, held->reason);
        else
                log_message(LOG_NOTICE, MESSAGE_ID_CONDITION_ENDED, fields, "%s/%s has ended",
                            state->component, held->name);
}

static int held_set(Held *held, const char *reason, const char *keys)
{
        char *new_reason = strdup(reason), *new_keys = keys ? strdup(keys) : NULL;

        if (!new_reason || (keys && !new_keys)) {
                free(new_reason);
                free(new_keys);
                return -ENOMEM;
        }
        /* One line each, for the log's fields as for the file. */
        for (char *p = new_reason; *p != '\0'; p++)
                if (*p == '\n')
                        *p = ' ';
        free(held->reason);
        free(held->keys);
        held->reason = new_reason;
        held->keys = new_keys;
        held->dirty = true;
        return 0;
}

static Held *held_new(const char *name)
{
        Held *held = calloc(1, sizeof *held);

        if (!held)
                return NULL;
        held->name = strdup(name);
        held->since_usec = realtime_usec();
        return held->name ? held : held_free(held);
}

int state_begin(State *state, const char *name, const char *reason, const char *keys, bool drill)
{
        Held *held = held_new(name);

        if (!held || held_set(held, reason, keys) < 0) {
                held_free(held);
                return -ENOMEM;
        }
        held->count = 1;
        held->drill = drill;
        TAILQ_INSERT_TAIL(&state->held, held, entries);
        held_log(state, held, true);
        held_flush(state, held);
        return 0;
}

void state_raise(State *state, const char *condition, const char *reason, const char *keys)
{
        Held *held = state_find(state, condition);
        int r;

        /* A name that is no file, or the status, would be a mistake of ours. */
        assert(condition[0] != '\0' &&
               strspn(condition, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(condition));
        assert(strcmp(condition, "status") != 0);
        /* What was tried comes to be: it begins now. */
        if (held && held->drill) {
                state_end(state, held);
                held = NULL;
        }
        if (!held) {
                r = state_begin(state, condition, reason, keys, false);
        } else {
                r = held_set(held, reason, keys);
                if (r >= 0) {
                        held->count++;
                        held_flush(state, held);
                }
        }
        if (r < 0)
                state_say_failed(state, condition, r);
}

void state_flush_held(State *state)
{
        Held *held;

        TAILQ_FOREACH (held, &state->held, entries)
                held_flush(state, held);
}

void state_end(State *state, Held *held)
{
        if (unlinkat(state->fd, held->name, 0) < 0 && errno != ENOENT)
                state_say_failed(state, held->name, -errno);
        held_log(state, held, false);
        TAILQ_REMOVE(&state->held, held, entries);
        held_free(held);
}

void state_clear(State *state, const char *condition)
{
        Held *held = state_find(state, condition);

        if (held && !held->drill)
                state_end(state, held);
}

bool state_holds(const State *state, const char *condition)
{
        const Held *held = state_find(state, condition);

        return held && !held->drill;
}

size_t state_list(const State *state, const char **ret_names, size_t n)
{
        size_t count = 0;
        Held *held;

        TAILQ_FOREACH (held, &state->held, entries) {
                if (count < n)
                        ret_names[count] = held->name;
                count++;
        }
        return count;
}

/* --- Beginning and end --- */

int state_new(const char *directory, const char *component, State **ret)
{
        _cleanup_(state_freep) State *state = calloc(1, sizeof *state);
        int r;

        if (!state)
                return -ENOMEM;
        state->fd = -EBADF;
        TAILQ_INIT(&state->held);
        state->component = strdup(component);
        if (!state->component)
                return -ENOMEM;
        if (asprintf(&state->path, "%s/%s", directory, component) < 0) {
                state->path = NULL;
                return -ENOMEM;
        }
        if (asprintf(&state->drill_path, "%s" STATE_DRILL_SUFFIX, state->path) < 0) {
                state->drill_path = NULL;
                return -ENOMEM;
        }
        r = directory_open(state, directory);
        if (r < 0) {
                log_message(LOG_ERR, MESSAGE_ID_STATE_FAILED, NULL, "%s: cannot be used for the state: %s",
                            state->path, r == -EBUSY ? "another process has it" : strerror(-r));
                return r;
        }
        *ret = TAKE_PTR(state);
        return 0;
}

State *state_free(State *state)
{
        Held *held;

        if (!state)
                return NULL;
        while ((held = TAILQ_FIRST(&state->held))) {
                TAILQ_REMOVE(&state->held, held, entries);
                held_free(held);
        }
        if (state->locked)
                (void) directory_clean(state);
        if (state->status)
                (void) fclose(state->status);
        free(state->status_text);
        free(state->published);
        free(state->label);
        free(state->component);
        free(state->path);
        free(state->drill_path);
        state->fd = close_fd(state->fd);
        free(state);
        return NULL;
}
