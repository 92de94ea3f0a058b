/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The systemd generator: chooses where audit-relay-client.target gets the kernel's records from, and runs auditd's plugins.
 *
 * Normally the dispatcher is this host's audit daemon: the unicast socket, and the rules that auditd would have loaded; and the
 * plugins that auditd would have run become units. Where auditd.service is enabled it stays the audit daemon, and in a container
 * the kernel refuses that role to everybody: there the multicast socket gives a copy, unless our own plugin of auditd is active,
 * which hands over what auditd gets. The choice is made again at each boot and `systemctl daemon-reload`.
 *
 * Runs before any file system but the root is sure to be there, and its failure must not hurt the boot: it only looks for
 * names, and writes only into the directory it is given.
 */

#include "generator/generator.h"
#include "generator/plugins.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>

/* Tried on a tree that is not this system's: stderr alone is told. */
static bool quiet;

/* Where unit files and the links of `systemctl enable` are, of highest precedence first (systemd.unit(5)). */
static const char *const unit_directories[] = {
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
};

/* Never waited for: PID 1 waits for us, and the journal perhaps for PID 1. */
static bool say_to_journal(const char *text)
{
        static const struct sockaddr_un journal = { AF_UNIX, "/run/systemd/journal/dev-log" };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bool said = fd >= 0 && sendto(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
                                      (const struct sockaddr *) &journal, sizeof journal) >= 0;

        (void) close_fd(fd);
        return said;
}

/* For the kernel log, from which the journal takes it at boot. */
static void say_to_kernel(const char *text)
{
        int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NONBLOCK);

        if (fd >= 0 && write(fd, text, strlen(text)) < 0)
                fputs("audit-relay-generator: the kernel log takes nothing\n", stderr);
        (void) close_fd(fd);
}

void generator_say(const char *format, ...)
{
        char text[LINE_MAX];
        va_list ap;
        int n = snprintf(text, sizeof text, "<%d>audit-relay-generator: ", LOG_DAEMON | LOG_NOTICE);

        va_start(ap, format);
        (void) vsnprintf(text + n, sizeof text - (size_t) n, format, ap);
        va_end(ap);
        fprintf(stderr, "%s\n", strchr(text, '>') + 1);
        if (!quiet && !say_to_journal(text))
                say_to_kernel(text);
}

static int complain(const char *what, const char *name)
{
        int error = errno;

        generator_say("cannot %s %s: %s", what, name, strerror(error));
        return -error;
}

static bool name_ends_with(const char *name, const char *suffix)
{
        size_t n = strlen(name), m = strlen(suffix);

        return n > m && strcmp(name + n - m, suffix) == 0;
}

/* A unit file that is empty or a link to /dev/null: "masked". */
static bool unit_file_is_mask(int directory, const char *unit)
{
        char target[PATH_MAX];
        ssize_t n = readlinkat(directory, unit, target, sizeof(target) - 1);
        struct stat st;

        if (n >= 0) {
                target[n] = '\0';
                return strcmp(target, "/dev/null") == 0;
        }
        return fstatat(directory, unit, &st, 0) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

/* Whether some unit wants or requires it by a link in this directory. */
static bool unit_is_wanted_in(DIR *directory, const char *unit)
{
        struct dirent *entry;

        while ((entry = readdir(directory))) {
                char link[PATH_MAX];
                struct stat st;
                int n;

                if (!name_ends_with(entry->d_name, ".wants") && !name_ends_with(entry->d_name, ".requires"))
                        continue;
                n = snprintf(link, sizeof(link), "%s/%s", entry->d_name, unit);
                if (n > 0 && (size_t)n < sizeof(link) &&
                    fstatat(dirfd(directory), link, &st, AT_SYMLINK_NOFOLLOW) == 0)
                        return true;
        }
        return false;
}

typedef struct UnitState {
        bool exists;
        bool masked;
        bool wanted; /* something pulls it in */
} UnitState;

static UnitState unit_state(const char *root, const char *unit)
{
        UnitState state = { 0 };

        for (size_t i = 0; i < ELEMENTSOF(unit_directories); i++) {
                char path[PATH_MAX];
                DIR *directory;
                struct stat st;
                int n;

                n = snprintf(path, sizeof(path), "%s%s", root, unit_directories[i]);
                if (n < 0 || (size_t)n >= sizeof(path))
                        continue;
                directory = opendir(path);
                if (!directory)
                        continue;
                if (!state.exists && fstatat(dirfd(directory), unit, &st, AT_SYMLINK_NOFOLLOW) == 0) {
                        state.exists = true;
                        state.masked = unit_file_is_mask(dirfd(directory), unit);
                }
                state.wanted = state.wanted || unit_is_wanted_in(directory, unit);
                closedir(directory);
        }
        return state;
}

/* Whether systemd would start the unit by itself. */
static bool unit_is_enabled(const char *root, const char *unit)
{
        UnitState state = unit_state(root, unit);

        return state.exists && state.wanted && !state.masked;
}

/* PID 1 names the container manager to its children, and writes it here for everybody else. */
static bool in_container(const char *root)
{
        char path[PATH_MAX];
        const char *container = getenv("container");
        int n;

        if (container && *container)
                return true;
        n = snprintf(path, sizeof(path), "%s/run/systemd/container", root);
        return n > 0 && (size_t)n < sizeof(path) && access(path, F_OK) == 0;
}

int target_add_want(int directory, const char *unit, const char *file)
{
        char link[PATH_MAX], target[PATH_MAX];
        int n;

        n = snprintf(link, sizeof(link), TARGET_WANTS "/%s", unit);
        if (n < 0 || (size_t)n >= sizeof(link))
                return -ENAMETOOLONG;
        n = snprintf(target, sizeof(target), UNIT_DIRECTORY "/%s", file);
        if (n < 0 || (size_t)n >= sizeof(target))
                return -ENAMETOOLONG;
        if (symlinkat(target, directory, link) < 0 && errno != EEXIST)
                return complain("link", link);
        return 0;
}

static int want(int directory, const char *unit)
{
        return target_add_want(directory, unit, unit);
}

static int choose_kernel(const char *root, int directory, bool auditd)
{
        int r;

        if (auditd && plugins_include_ours(root)) {
                generator_say("auditd hands its records over: no kernel socket is opened, see audit-relay-units(8)");
                return 0;
        }
        if (auditd || in_container(root))
                return want(directory, "audit-relay-dispatcher-multicast.socket");
        r = want(directory, "audit-relay-dispatcher-kernel.socket");
        return r < 0 ? r : want(directory, "audit-relay-rules.service");
}

static int generate(const char *root, const char *destination)
{
        bool auditd = unit_is_enabled(root, "auditd.service");
        int directory, r;

        directory = open(destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
                return complain("open", destination);
        if (mkdirat(directory, TARGET_WANTS, 0755) < 0 && errno != EEXIST)
                r = complain("make", TARGET_WANTS);
        else
                r = choose_kernel(root, directory, auditd);
        /* A running auditd runs its plugins itself. */
        if (r >= 0 && !auditd)
                plugins_generate(root, directory, !unit_state(root, "audit-relay-remote.service").masked);
        close(directory);
        return r;
}

/* systemd gives three directories (normal, early, late precedence); a fourth argument is put before all that is read, so that
 * it can be tried on any tree. */
int main(int argc, char *argv[])
{
        if (argc != 4 && argc != 5) {
                fprintf(stderr, "usage: %s NORMAL-DIR EARLY-DIR LATE-DIR [ROOT]\n", argv[0]);
                return EXIT_FAILURE;
        }
        quiet = argc > 4;
        return generate(argc > 4 ? argv[4] : "", argv[1]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
