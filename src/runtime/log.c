/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The programs' own log.
 *
 * sd_journal_send() may block, and then the loop would stand still while the kernel's audit socket
 * overflows. So the journal's native protocol is spoken here, over a datagram socket that never waits:
 * fields "NAME=value\n" in one datagram, which is all of it as long as no value has a newline. Likewise
 * stderr is written only when poll() says that it takes a line.
 *
 * Invariants:
 * (1) One message is one datagram or one write() of at most PIPE_BUF bytes: never cut in the middle by
 * somebody else's. (2) What could not be written is counted, and the count is said before the next message
 * that can.
 */

#include "runtime/log.h"
#include "runtime/loop.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

const char *log_journal_socket = "/run/systemd/journal/socket";

typedef enum LogTarget {
        LOG_TARGET_PLAIN, /* a terminal, or the output of a tool */
        LOG_TARGET_PREFIXED,
        LOG_TARGET_JOURNAL,
} LogTarget;

/* The one global of the project: a logger that had to be handed down would be handed to everything. */
static struct {
        const char *identifier;
        int priority_max;
        LogTarget target;
        int journal_fd;
        uint64_t n_dropped;
} logger = { .identifier = "audit-relay",
             .priority_max = LOG_INFO,
             .target = LOG_TARGET_PLAIN,
             .journal_fd = -EBADF };

/* A message with its fields. */
#define LOG_DATAGRAM_MAX (LOG_MESSAGE_MAX + 2048U)
_Static_assert(LOG_MESSAGE_MAX + 64 <= PIPE_BUF, "a line must fit PIPE_BUF, to be written whole");

typedef struct LogText {
        char bytes[LOG_DATAGRAM_MAX];
        size_t size;
} LogText;

static void text_add(LogText *text, const char *data, size_t size)
{
        size_t n = MIN(size, sizeof text->bytes - text->size);

        memcpy(text->bytes + text->size, data, n);
        text->size += n;
}

static _printf_(2, 3) void text_addf(LogText *text, const char *format, ...)
{
        char part[128];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(part, sizeof part, format, ap);
        va_end(ap);
        if (n > 0)
                text_add(text, part, MIN((size_t) n, sizeof part - 1));
}

/* Whether stderr is the very stream that systemd connected to the journal. */
static bool stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
                return false;
        return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static int priority_from_string(const char *text, int fallback)
{
        static const char *const names[] = { "emerg",   "alert",  "crit", "err",
                                             "warning", "notice", "info", "debug" };

        if (!text)
                return fallback;
        for (int i = 0; i < (int) ELEMENTSOF(names); i++)
                if (strcmp(text, names[i]) == 0 || (text[0] == '0' + i && text[1] == '\0'))
                        return i;
        return fallback;
}

static void logger_set(const char *identifier, int priority_max, LogTarget target)
{
        logger.identifier = identifier;
        logger.priority_max = priority_from_string(getenv("AUDIT_RELAY_LOG_LEVEL"), priority_max);
        logger.journal_fd = close_fd(logger.journal_fd);
        logger.n_dropped = 0;
        logger.target = target;
}

void log_init(const char *identifier, int priority_max)
{
        logger_set(identifier, priority_max, isatty(STDERR_FILENO) ? LOG_TARGET_PLAIN : LOG_TARGET_PREFIXED);
        if (!stderr_is_journal())
                return;
        logger.journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (logger.journal_fd >= 0)
                logger.target = LOG_TARGET_JOURNAL;
}

void log_init_tool(const char *identifier, int priority_max)
{
        logger_set(identifier, priority_max, LOG_TARGET_PLAIN);
}

static bool write_journal(const LogText *text)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        ssize_t n;

        (void) snprintf(address.sun_path, sizeof address.sun_path, "%s", log_journal_socket);
        n = sendto(logger.journal_fd, text->bytes, text->size, MSG_NOSIGNAL, (struct sockaddr *) &address,
                   sizeof address);
        return n == (ssize_t) text->size;
}

static bool write_stderr(const LogText *text)
{
        struct pollfd pollfd = { .fd = STDERR_FILENO, .events = POLLOUT };

        if (poll(&pollfd, 1, 0) <= 0 || !(pollfd.revents & POLLOUT))
                return false;
        return write(STDERR_FILENO, text->bytes, text->size) == (ssize_t) text->size;
}

/* One character of a message as it goes out. */
static char visible(char c)
{
        return (unsigned char) c < 0x20 || c == 0x7f ? ' ' : c;
}

/* Whether the line is a journal field that a program may send: "NAME=value" of capitals, digits and '_'. */
static bool field_is_valid(const char *field, size_t size)
{
        size_t i = 0;

        while (i < size && ((field[i] >= 'A' && field[i] <= 'Z') || (i > 0 && field[i] == '_') ||
                            (i > 0 && field[i] >= '0' && field[i] <= '9')))
                i++;
        return i > 0 && i < size && field[i] == '=';
}

static void journal_add_fields(LogText *text, const char *fields)
{
        while (*fields != '\0') {
                size_t size = strcspn(fields, "\n");

                /* Whole or not at all: half a datagram's last field would lack its newline. */
                if (field_is_valid(fields, size) && size + 1 <= sizeof text->bytes - text->size) {
                        for (size_t i = 0; i < size; i++)
                                text_add(text, (const char[]) { visible(fields[i]) }, 1);
                        text_add(text, "\n", 1);
                }
                fields += size + (fields[size] == '\n');
        }
}

static bool log_write(int priority, const char *id, const char *fields, const char *message, size_t size)
{
        LogText text;

        text.size = 0;
        switch (logger.target) {
        case LOG_TARGET_JOURNAL:
                text_addf(&text, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\n", priority, logger.identifier);
                if (id)
                        text_addf(&text, "MESSAGE_ID=%s\n", id);
                text_add(&text, "MESSAGE=", 8);
                text_add(&text, message, size);
                text_add(&text, "\n", 1);
                if (fields)
                        journal_add_fields(&text, fields);
                return write_journal(&text);
        case LOG_TARGET_PREFIXED:
                text_addf(&text, "<%d>", priority);
                break;
        case LOG_TARGET_PLAIN:
                break;
        }
        text_addf(&text, "%.40s: ", logger.identifier);
        text_add(&text, message, size);
        text_add(&text, "\n", 1);
        return write_stderr(&text);
}

static bool log_write_dropped(void)
{
        char message[80];
        int n = snprintf(message, sizeof message,
                         "%" PRIu64 " messages were dropped here: the log did not take them",
                         logger.n_dropped);

        return log_write(LOG_WARNING, MESSAGE_ID_LOG_DROPPED, NULL, message, (size_t) n);
}

void log_message(int priority, const char *id, const char *field, const char *format, ...)
{
        int saved = errno;
        char message[LOG_MESSAGE_MAX];
        size_t size;
        va_list ap;
        int n;

        if (priority > logger.priority_max)
                return;
        va_start(ap, format);
        n = vsnprintf(message, sizeof message, format, ap);
        va_end(ap);
        size = n < 0 ? 0 : MIN((size_t) n, sizeof message - 1);
        for (size_t i = 0; i < size; i++)
                message[i] = visible(message[i]);
        if (logger.n_dropped > 0 && log_write_dropped())
                logger.n_dropped = 0;
        if (logger.n_dropped > 0 || !log_write(priority, id, field, message, size))
                logger.n_dropped++;
        errno = saved;
}

bool log_limit(uint64_t *last_usec, uint64_t interval_usec)
{
        uint64_t now = monotonic_usec();

        if (*last_usec != 0 && now - *last_usec < interval_usec)
                return false;
        *last_usec = now;
        return true;
}
