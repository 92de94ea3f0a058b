/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads /etc/audit/plugins.d as auditd does, and writes for NAME.conf two drop-ins and a link:
 *
 *      audit-relay-plugin@NAME.service.d/plugins.d.conf    what to run
 *      audit-relay-plugin@NAME.socket.d/plugins.d.conf     which format it reads
 *      audit-relay-client.target.wants/audit-relay-plugin@NAME.socket
 *
 * The socket unit makes the subscriber when it starts, so nothing here touches more than the generator's own directory.
 *
 *  1. What auditd would not trust is not trusted: the file and its program belong to root, and nobody else may write to them.
 *  2. No byte of a file is more than a byte of one argument of one command: names are checked, words quoted.
 *  3. One bad file costs the others nothing.
 */

#include "generator/plugins.h"
#include "generator/generator.h"
#include "generator/plugin-file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define PLUGINS_DIRECTORY "/etc/audit/plugins.d"
#define OWN_PLUGIN "/usr/lib/audit-relay/auditd-plugin"
#define PLUGIN_EXEC "/usr/lib/audit-relay/plugin-exec"
#define SUBSCRIBERS_DIRECTORY "/usr/lib/audit-relay/subscribers.d"
/* Each is a subscriber and a process; a directory with more is no configuration. */
#define PLUGINS_MAX 64U
#define NAME_LENGTH_MAX 64U

/* --- Reading --- */

/* Belongs to root, and nobody else may write to it. (To whom the generator runs as: tests are not root.) */
static bool is_trusted(const struct stat *st)
{
        return S_ISREG(st->st_mode) && (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & 022);
}

/* "syslog.conf", or "syslog", as auditd has it → "syslog". Only what can be the name of a subscriber and stands in a unit's
 * name as it is. */
static bool name_of_file(const char *file, char ret_name[static NAME_LENGTH_MAX + 1])
{
        const char *dot = strchr(file, '.');
        size_t n = dot ? (size_t) (dot - file) : strlen(file);

        if (n == 0 || n > NAME_LENGTH_MAX || (dot && strcmp(dot, ".conf") != 0))
                return false;
        for (size_t i = 0; i < n; i++) {
                char c = file[i];

                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
                        return false;
        }
        memcpy(ret_name, file, n);
        ret_name[n] = '\0';
        return true;
}

/* Returns 1; 0 when the file is none or nothing to care about, which is said where auditd would have taken it. */
static int read_plugin(int directory, const char *file, PluginFile *ret)
{
        struct stat st;
        const char *why = "";
        unsigned line = 0;
        FILE *stream;
        int fd, r;

        fd = openat(directory, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0) {
                generator_say("%s/%s: %s", PLUGINS_DIRECTORY, file, strerror(errno));
                (void) close_fd(fd);
                return 0;
        }
        if (!is_trusted(&st)) {
                generator_say("%s/%s: passed over, it must be a regular file that only root may write", PLUGINS_DIRECTORY, file);
                (void) close_fd(fd);
                return 0;
        }
        stream = fdopen(fd, "r");
        if (!stream) {
                (void) close_fd(fd);
                return 0;
        }
        r = plugin_file_read(stream, ret, &line, &why);
        fclose(stream);
        if (r == -EBADMSG)
                generator_say("%s/%s:%u: passed over: %s", PLUGINS_DIRECTORY, file, line, why);
        return r >= 0;
}

/* Calls back for each active file; returns whether one of the calls did. */
static bool for_each_plugin(const char *root,
                            bool (*plugin)(const char *root, const char *name, const PluginFile *plugin, void *userdata),
                            void *userdata)
{
        char path[PATH_MAX], name[NAME_LENGTH_MAX + 1];
        bool found = false;
        unsigned n = 0;
        struct dirent *entry;
        DIR *directory;

        (void) snprintf(path, sizeof path, "%s" PLUGINS_DIRECTORY, root);
        directory = opendir(path);
        while (directory && (entry = readdir(directory))) {
                PluginFile file;

                /* auditd, too, passes over what packages leave behind, such as x.conf.dpkg-old. */
                if (!name_of_file(entry->d_name, name) || read_plugin(dirfd(directory), entry->d_name, &file) == 0)
                        continue;
                if (file.active && n++ < PLUGINS_MAX)
                        found = plugin(root, name, &file, userdata) || found;
                plugin_file_done(&file);
        }
        if (n > PLUGINS_MAX)
                generator_say(PLUGINS_DIRECTORY ": only %u of %u active files are used", PLUGINS_MAX, n);
        if (directory)
                closedir(directory);
        return found;
}

/* --- Writing --- */

typedef struct Output {
        int directory;
        bool remote;
} Output;

/* A word of a command line as systemd.service(5) reads it: in double quotes, and nothing in it has a meaning. */
static void put_word(FILE *out, const char *word)
{
        fputs(" \"", out);
        for (const unsigned char *p = (const unsigned char *) word; *p; p++) {
                if (*p == '%' || *p == '$')
                        fprintf(out, "%c%c", *p, *p);
                else if (*p == '"' || *p == '\\')
                        fprintf(out, "\\%c", *p);
                else if (*p < ' ' || *p >= 0x7f)
                        fprintf(out, "\\x%02x", *p);
                else
                        putc(*p, out);
        }
        putc('"', out);
}

/* Opens DIRECTORY/audit-relay-plugin@NAME.KIND.d/plugins.d.conf. */
static FILE *open_drop_in(int directory, const char *name, const char *kind)
{
        char path[PATH_MAX];
        FILE *file = NULL;
        int fd;

        (void) snprintf(path, sizeof path, "audit-relay-plugin@%s.%s.d", name, kind);
        (void) mkdirat(directory, path, 0755);
        (void) snprintf(path, sizeof path, "audit-relay-plugin@%s.%s.d/plugins.d.conf", name, kind);
        fd = openat(directory, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd >= 0)
                file = fdopen(fd, "w");
        if (!file) {
                generator_say("cannot write %s: %s", path, strerror(errno));
                (void) close_fd(fd);
                return NULL;
        }
        fprintf(file, "# Made by audit-relay-generator from " PLUGINS_DIRECTORY "/%s.conf\n", name);
        return file;
}

static bool close_drop_in(FILE *file)
{
        bool good = !ferror(file);

        if (fclose(file) == 0 && good)
                return true;
        generator_say("cannot write a drop-in: %s", strerror(errno));
        return false;
}

static bool write_service(int directory, const char *name, const PluginFile *plugin)
{
        FILE *file = open_drop_in(directory, name, "service");

        if (!file)
                return false;
        /* It had the network under auditd. */
        fputs("[Service]\nPrivateNetwork=no\nIPAddressDeny=\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n"
              "ExecStart=\nExecStart=" PLUGIN_EXEC, file);
        put_word(file, plugin->path);
        for (unsigned i = 0; i < plugin->n_arguments; i++)
                put_word(file, plugin->arguments[i]);
        putc('\n', file);
        return close_drop_in(file);
}

static bool write_socket(int directory, const char *name, const PluginFile *plugin)
{
        FILE *file = open_drop_in(directory, name, "socket");

        if (!file)
                return false;
        fprintf(file, "[Socket]\nEnvironment=FORMAT=%s\n", plugin->binary ? "audisp" : "lines");
        return close_drop_in(file);
}

static bool is_program(const char *path, const char *name)
{
        const char *slash = strrchr(path, '/');

        return strcmp(slash ? slash + 1 : path, name) == 0;
}

/* Why there is to be no unit for it; NULL when there is. */
static const char *why_not(const char *root, const char *name, const PluginFile *plugin, bool remote)
{
        char path[PATH_MAX];
        struct stat st;

        if (plugin->builtin || is_program(plugin->path, "audisp-af_unix"))
                return "auditd's socket needs no plugin here: audit-relay-dispatcher-lines.socket serves the same lines";
        if (strcmp(plugin->path, OWN_PLUGIN) == 0)
                return "auditd does not run: the dispatcher reads the kernel itself";
        if (remote && is_program(plugin->path, "audisp-remote"))
                return "audit-relay-remote.service sends the records";
        (void) snprintf(path, sizeof path, "%s" SUBSCRIBERS_DIRECTORY "/%s.conf", root, name);
        if (access(path, F_OK) == 0)
                return "there is a subscriber of that name already, rename the file";
        if ((size_t) snprintf(path, sizeof path, "%s%s", root, plugin->path) >= sizeof path || stat(path, &st) < 0)
                return "its program is not there";
        if (!is_trusted(&st) || !(st.st_mode & 0100))
                return "its program is no executable file that only root may write";
        return NULL;
}

static bool generate_plugin(const char *root, const char *name, const PluginFile *plugin, void *userdata)
{
        const Output *output = userdata;
        const char *why = why_not(root, name, plugin, output->remote);
        char unit[NAME_LENGTH_MAX + sizeof "audit-relay-plugin@.socket"];

        if (why) {
                generator_say(PLUGINS_DIRECTORY "/%s.conf: not run: %s", name, why);
                return false;
        }
        (void) snprintf(unit, sizeof unit, "audit-relay-plugin@%s.socket", name);
        return write_service(output->directory, name, plugin) && write_socket(output->directory, name, plugin) &&
               target_add_want(output->directory, unit, "audit-relay-plugin@.socket") >= 0;
}

void plugins_generate(const char *root, int directory, bool remote)
{
        Output output = { directory, remote };

        (void) for_each_plugin(root, generate_plugin, &output);
}

static bool is_ours(const char *root, const char *name, const PluginFile *plugin, void *userdata)
{
        return plugin->path && strcmp(plugin->path, OWN_PLUGIN) == 0;
}

bool plugins_include_ours(const char *root)
{
        return for_each_plugin(root, is_ours, NULL);
}
