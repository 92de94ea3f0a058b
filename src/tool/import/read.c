/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* auditd's files: `key = value option…`, one a line, # before a comment. Read as auditd reads them, but that a line
 * it would not take does not take the others with it: it is a setting that is unknown.
 */

#include "runtime/config.h"
#include "tool/import/import.h"
#include "tool/reason.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>

#define BLANKS " \t\r\n"
/* A hundred keys in a file, and as many plugins as the generator takes: what is beyond it is no such file. */
#define SETTINGS_MAX 4096U

const char *const import_files[N_IMPORT_FILES] = { "auditd.conf", "audisp-remote.conf", "plugins.d" };
const char *const import_fates[N_IMPORT_FATES] = { "taken", "not needed", "not possible", "unknown" };

static int add_setting(Import *import, ImportFile file, const char *path, unsigned line, char *text)
{
        ImportSetting setting = { .file = file, .line = line, .fate = IMPORT_UNKNOWN };
        char *equals, *end = text + strlen(text);
        ImportSetting *grown;
        size_t name, value;

        while (end > text && strchr(BLANKS, end[-1]))
                *--end = '\0';
        name = strcspn(text, BLANKS "=");
        equals = text + name + strspn(text + name, BLANKS);
        if (*equals == '=')
                equals += 1 + strspn(equals + 1, BLANKS);
        value = strcspn(equals, BLANKS);
        grown = reallocarray(import->settings, import->n_settings + 1, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        import->settings = grown;
        setting.path = strdup(path);
        setting.name = strndup(text, name);
        setting.value = strndup(equals, value);
        setting.option = strdup(equals + value + strspn(equals + value, BLANKS));
        grown[import->n_settings++] = setting;
        return setting.path && setting.name && setting.value && setting.option ? 0 : -ENOMEM;
}

/* Returns 1; 0: it is not there. */
static int read_settings(Import *import, ImportFile file, const char *path)
{
        char real[PATH_MAX];
        _cleanup_(freep) char *text = NULL;
        size_t size = 0;
        unsigned line = 0;
        FILE *stream;
        int r = 0;

        if (snprintf(real, sizeof real, "%s%s", import->root, path) >= (int) sizeof real)
                return -ENAMETOOLONG;
        stream = fopen(real, "re");
        if (!stream && errno == ENOENT)
                return 0;
        if (!stream) {
                r = -errno;
                fprintf(stderr, "audit-relay: cannot read %s: %s\n", real, tool_reason(errno));
                return r;
        }
        while (r == 0 && getline(&text, &size, stream) >= 0) {
                char *begin = text + strspn(text, BLANKS);

                line++;
                if (*begin != '\0' && *begin != '#')
                        r = import->n_settings < SETTINGS_MAX ? add_setting(import, file, path, line, begin) : -E2BIG;
        }
        if (r == 0 && ferror(stream))
                r = -EIO;
        (void) fclose(stream);
        if (r < 0)
                fprintf(stderr, "audit-relay: cannot read %s: %s\n", real, tool_reason(r));
        return r < 0 ? r : 1;
}

/* As auditd takes them: not hidden, and with a dot only for .conf. */
static int is_plugin_file(const struct dirent *entry)
{
        const char *dot = strchr(entry->d_name, '.');

        return entry->d_name[0] != '.' && (!dot || strcmp(dot, ".conf") == 0);
}

static int read_plugins(Import *import, const char *directory)
{
        char path[PATH_MAX];
        struct dirent **entries;
        int n, r = 0;

        (void) snprintf(path, sizeof path, "%s%s", import->root, directory);
        n = scandir(path, &entries, is_plugin_file, alphasort);
        for (int i = 0; i < n; i++) {
                (void) snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
                if (r >= 0)
                        r = read_settings(import, IMPORT_PLUGIN, path);
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
        return r;
}

int import_read(Import *import)
{
        int found = 0, r = read_settings(import, IMPORT_AUDITD, "/etc/audit/auditd.conf");
        /* Audit 2 had a program of its own for plugins, audispd; its keys are auditd's now. */
        bool audispd = !import_find(import, IMPORT_AUDITD, "q_depth");

        if (r >= 0) {
                found += r;
                r = read_settings(import, IMPORT_REMOTE, "/etc/audit/audisp-remote.conf");
        }
        if (r == 0)
                r = read_settings(import, IMPORT_REMOTE, "/etc/audisp/audisp-remote.conf");
        if (r >= 0) {
                found += r;
                r = audispd ? read_settings(import, IMPORT_AUDITD, "/etc/audisp/audispd.conf") : 0;
        }
        if (r >= 0)
                r = read_plugins(import, IMPORT_PLUGINS);
        if (r >= 0 && audispd)
                r = read_plugins(import, IMPORT_PLUGINS_2);
        if (r < 0)
                return r;
        return found == 0 && import->n_settings == 0 ? -ENOENT : 0;
}

const ImportSetting *import_find(const Import *import, ImportFile file, const char *name)
{
        for (size_t i = import->n_settings; i > 0; i--) {
                const ImportSetting *setting = &import->settings[i - 1];

                if (setting->file == file && strcasecmp(setting->name, name) == 0)
                        return setting->value[0] != '\0' ? setting : NULL;
        }
        return NULL;
}

bool import_is(const Import *import, ImportFile file, const char *name, const char *value)
{
        const ImportSetting *setting = import_find(import, file, name);

        return setting && strcasecmp(setting->value, value) == 0;
}

bool import_listens(const Import *import)
{
        const ImportSetting *port = import_find(import, IMPORT_AUDITD, "tcp_listen_port");

        return port && strcmp(port->value, "0") != 0;
}

void import_done(Import *import)
{
        for (size_t i = 0; i < import->n_settings; i++) {
                ImportSetting *setting = &import->settings[i];

                free(setting->path);
                free(setting->name);
                free(setting->value);
                free(setting->option);
                free(setting->became);
        }
        for (size_t i = 0; i < import->n_outputs; i++) {
                free(import->outputs[i].path);
                free(import->outputs[i].text);
                free(import->outputs[i].target);
        }
        free(import->settings);
        free(import->outputs);
        *import = (Import) { 0 };
}
