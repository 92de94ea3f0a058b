/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The files that an import makes: drop-ins of our configuration and of our units, all of them named 50-imported, so
 * that the next import finds those of the one before.
 */

#include "tool/cert/files.h"
#include "tool/import/import.h"
#include "tool/reason.h"

#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>

#define UNITS "/etc/systemd/system"
#define IMPORTED "50-imported"

void import_became(Import *import, ImportSetting *setting, ImportFate fate, const char *format, ...)
{
        va_list arguments;

        free(setting->became);
        va_start(arguments, format);
        if (vasprintf(&setting->became, format, arguments) < 0) {
                setting->became = NULL;
                import->error = -ENOMEM;
        }
        va_end(arguments);
        setting->fate = fate;
}

static ImportOutput *find_output(const Import *import, const char *path)
{
        for (size_t i = 0; i < import->n_outputs; i++)
                if (strcmp(import->outputs[i].path, path) == 0)
                        return &import->outputs[i];
        return NULL;
}

/* The strings may be NULL. One that is there already stays as it is. */
static void add_output(Import *import, const char *path, const char *text, const char *target)
{
        ImportOutput output = { .path = strdup(path) };
        ImportOutput *grown = NULL;

        if (!find_output(import, path) && output.path)
                grown = reallocarray(import->outputs, import->n_outputs + 1, sizeof *grown);
        if (!grown) {
                if (!output.path || !find_output(import, path))
                        import->error = -ENOMEM;
                free(output.path);
                return;
        }
        output.text = text ? strdup(text) : NULL;
        output.target = target ? strdup(target) : NULL;
        if (!output.text && !output.target)
                import->error = -ENOMEM;
        import->outputs = grown;
        grown[import->n_outputs++] = output;
}

void import_assign(Import *import, const char *program, const char *key, const char *value)
{
        char path[PATH_MAX], head[256];
        ImportOutput *output;
        char *text;

        (void) snprintf(path, sizeof path, "/etc/audit-relay/%s.conf.d/" IMPORTED ".conf", program);
        (void) snprintf(head, sizeof head, "# Made by `audit-relay import` from the files in /etc/audit.\n[%c%s]\n",
                        program[0] - 'a' + 'A', program + 1);
        add_output(import, path, head, NULL);
        output = find_output(import, path);
        if (!output || !output->text || asprintf(&text, "%s%s=%s\n", output->text, key, value) < 0) {
                import->error = -ENOMEM;
                return;
        }
        free(output->text);
        output->text = text;
}

void import_drop_in(Import *import, const char *unit, const char *name, const char *text, const char *target)
{
        char path[PATH_MAX];

        (void) snprintf(path, sizeof path, UNITS "/%s.d/" IMPORTED "%s%s.conf", unit, name[0] ? "-" : "", name);
        add_output(import, path, text, target);
}

void import_enable(Import *import, const char *instance, const char *unit, const char *wanted_by)
{
        char path[PATH_MAX], target[PATH_MAX];

        (void) snprintf(path, sizeof path, UNITS "/%s.wants/%s", wanted_by, instance);
        (void) snprintf(target, sizeof target, "/usr/lib/systemd/system/%s", unit);
        add_output(import, path, NULL, target);
}

/* --- Writing --- */

static int say(const char *what, const char *path, int error)
{
        fprintf(stderr, "audit-relay: cannot %s %s: %s\n", what, path, tool_reason(error));
        return -error;
}

static int remove_imported(const char *root, const char *pattern)
{
        char path[PATH_MAX];
        glob_t found;
        int r = 0;

        (void) snprintf(path, sizeof path, "%s%s", root, pattern);
        if (glob(path, 0, NULL, &found) != 0)
                return 0;
        for (size_t i = 0; i < found.gl_pathc && r == 0; i++)
                if (unlink(found.gl_pathv[i]) < 0)
                        r = say("remove", found.gl_pathv[i], errno);
        globfree(&found);
        return r;
}

static int make_link(const char *directory, const char *name, const char *target)
{
        char path[PATH_MAX], fresh[PATH_MAX + 8];

        if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int) sizeof path)
                return say("make", name, ENAMETOOLONG);
        (void) snprintf(fresh, sizeof fresh, "%s.new", path);
        if (unlink(fresh) < 0 && errno != ENOENT)
                return say("remove", fresh, errno);
        if (symlink(target, fresh) < 0)
                return say("make", fresh, errno);
        return rename(fresh, path) < 0 ? say("make", path, errno) : 0;
}

static int write_output(const char *root, const ImportOutput *output)
{
        char directory[PATH_MAX];
        char *name;
        int r;

        if (snprintf(directory, sizeof directory, "%s%s", root, output->path) >= (int) sizeof directory)
                return say("write", output->path, ENAMETOOLONG);
        name = strrchr(directory, '/');
        *name++ = '\0';
        r = cert_make_directory(directory, 0755);
        if (r < 0)
                return r;
        return output->target ? make_link(directory, name, output->target)
                              : cert_write(directory, name, output->text, 0644);
}

int import_write(const Import *import)
{
        int r = remove_imported(import->root, UNITS "/audit-relay-*.d/" IMPORTED "*.conf");

        if (r >= 0)
                r = remove_imported(import->root, "/etc/audit-relay/*.conf.d/" IMPORTED ".conf");
        for (size_t i = 0; i < import->n_outputs && r >= 0; i++)
                r = write_output(import->root, &import->outputs[i]);
        return r;
}
