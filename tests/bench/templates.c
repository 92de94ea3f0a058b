/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a host writes: mostly programs that are run, files opened, made and removed, sockets, an access denied
 * now and then, packet filters, and what pam, sshd, sudo and systemd say themselves.
 *
 * The arguments of EXECVE are what makes audit records long. They are given as many bytes as bring the mean
 * to TEMPLATES_MEAN, most to few, as it is on hosts: a seventh of the records has most of the bytes.
 */

#include "templates.h"

#include <stdarg.h>
#include <stdio.h>

#define ARGUMENT_MAX 4000U
#define HEX_MAX 400U

typedef struct Maker {
        Records *records;
        const char *node;
        uint64_t state;
        uint32_t event;
        unsigned pid;
        uint64_t bytes; /* without node= */
        unsigned weights[RECORDS_EVENTS];
        size_t padding[RECORDS_EVENTS]; /* bytes of arguments of the event's EXECVE */
        int error;
} Maker;

static unsigned below(Maker *maker, unsigned n)
{
        maker->state = maker->state * UINT64_C(6364136223846793005) + 1442695040888963407;
        return (unsigned) (maker->state >> 33) % n;
}

static const char *one_of(Maker *maker, const char *const *names, size_t n)
{
        return names[below(maker, (unsigned) n)];
}

static const char *program(Maker *maker)
{
        static const char *const names[] = { "/usr/bin/bash", "/usr/bin/id", "/usr/bin/dash", "/usr/bin/python3.11",
                                             "/usr/bin/systemctl", "/usr/bin/find", "/usr/bin/grep", "/usr/sbin/ip" };

        return one_of(maker, names, ELEMENTSOF(names));
}

static const char *path(Maker *maker)
{
        static const char *const names[] = { "/etc/passwd", "/etc/ssh/sshd_config", "/var/lib/dpkg/status", "/root/.bashrc",
                                             "/var/log/journal/1f2e3d4c5b6a79880716253443526170/system.journal",
                                             "/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2" };

        return one_of(maker, names, ELEMENTSOF(names));
}

static const char *hex(Maker *maker, size_t size)
{
        static char text[2 * HEX_MAX + 1];

        for (size_t i = 0; i < MIN(size, (size_t) HEX_MAX); i++)
                (void) sprintf(text + 2 * i, "%02X", below(maker, 10) > 0 ? 'a' + below(maker, 26) : 0);
        return text;
}

_printf_(3, 4) static void put(Maker *maker, const char *type, const char *format, ...)
{
        Records *records = maker->records;
        char body[RECORDS_LINE_MAX], line[2 * RECORDS_LINE_MAX];
        RecordsTemplate template = { .event = maker->event, .end_of_event = strcmp(type, "EOE") == 0 };
        va_list arguments;
        int node, head, size;

        va_start(arguments, format);
        (void) vsnprintf(body, sizeof body, format, arguments);
        va_end(arguments);
        node = maker->node ? snprintf(line, sizeof line, "node=%s ", maker->node) : 0;
        head = node + snprintf(line + node, sizeof line - (size_t) node, "type=%s msg=audit(", type);
        size = head + snprintf(line + head, sizeof line - (size_t) head, "0000000000.000:00000000): %s%sn=%010u\n", body,
                               body[0] ? " " : "", 0U);
        if ((size_t) size > RECORDS_LINE_MAX || records->n_templates == RECORDS_TEMPLATES) {
                maker->error = -E2BIG;
                return;
        }
        if (records->allocated - records->used < RECORDS_LINE_MAX) {
                size_t allocated = 2 * records->allocated + RECORDS_LINE_MAX;
                char *text = realloc(records->text, allocated);

                if (!text) {
                        maker->error = -ENOMEM;
                        return;
                }
                records->text = text;
                records->allocated = allocated;
        }
        template.offset = (uint32_t) records->used;
        template.size = (uint32_t) size;
        template.head = (uint32_t) head;
        memcpy(records->text + records->used, line, (size_t) size);
        records->used += (size_t) size;
        records->templates[records->n_templates++] = template;
        maker->bytes += (uint64_t) (size - node);
}

/* --- The records of an event --- */

static void put_syscall(Maker *maker, unsigned number, bool success, const char *key)
{
        const char *exe = program(maker);

        maker->pid = 1000 + below(maker, 60000);
        put(maker, "SYSCALL",
            "arch=c000003e syscall=%u success=%s exit=%d a0=%x a1=7ffd%08x a2=%x a3=%x items=%u ppid=%u pid=%u auid=%u "
            "uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts%u ses=%u comm=\"%s\" exe=\"%s\" "
            "subj=unconfined_u:unconfined_r:unconfined_t:s0 key=\"%s\"",
            number, success ? "yes" : "no", success ? 0 : -13, below(maker, 1U << 30), below(maker, 1U << 30),
            below(maker, 1U << 30), below(maker, 1U << 20), 1 + below(maker, 3), 900 + below(maker, 60000), maker->pid,
            1000 + below(maker, 20), below(maker, 8), 1 + below(maker, 500), strrchr(exe, '/') + 1, exe, key);
}

static void put_path(Maker *maker, unsigned item, const char *nametype)
{
        put(maker, "PATH",
            "item=%u name=\"%s\" inode=%u dev=fe:%02x mode=0100%03o ouid=0 ogid=0 rdev=00:00 "
            "obj=system_u:object_r:bin_t:s0 nametype=%s cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0",
            item, path(maker), 1000 + below(maker, 9000000), below(maker, 4), 0444U | below(maker, 2) * 0311U, nametype);
}

static void put_end(Maker *maker)
{
        put(maker, "PROCTITLE", "proctitle=%s", hex(maker, 20 + below(maker, 100)));
        put(maker, "EOE", "%s", "");
}

static void put_execve(Maker *maker)
{
        char arguments[ARGUMENT_MAX + 64];
        size_t left = MIN(maker->padding[maker->event], (size_t) ARGUMENT_MAX), used = 0;
        unsigned n = 1;

        while (left > 0) {
                /* a1="…" takes seven bytes and its value. */
                size_t value = MIN(left, 8 + (size_t) below(maker, 200));

                used += (size_t) sprintf(arguments + used, " a%u=\"", n);
                for (size_t i = 0; i < value && used < ARGUMENT_MAX; i++)
                        arguments[used++] = (char) ('a' + below(maker, 26));
                arguments[used++] = '"';
                left -= MIN(left, value + 7);
                n++;
                if (used > ARGUMENT_MAX - 300)
                        break;
        }
        arguments[used] = '\0';
        put(maker, "EXECVE", "argc=%u a0=\"%s\"%s", n, program(maker), arguments);
}

static void make_exec(Maker *maker)
{
        put_syscall(maker, 59, true, "exec");
        if (maker->event % 8 == 1) /* by a program with file capabilities, which has no interpreter */
                put(maker, "BPRM_FCAPS",
                    "fver=0 fp=0 fi=0 fe=0 old_pp=0 old_pi=0 old_pe=0 old_pa=0 pp=1fffffffff pi=0 pe=1fffffffff pa=0 "
                    "frootid=0");
        put_execve(maker);
        put(maker, "CWD", "cwd=\"/root\"");
        put_path(maker, 0, "NORMAL");
        if (maker->event % 8 != 1)
                put_path(maker, 1, "NORMAL");
        put_end(maker);
}

static void make_open(Maker *maker)
{
        put_syscall(maker, 257, below(maker, 10) > 0, "files");
        put(maker, "CWD", "cwd=\"/var/lib\"");
        put_path(maker, 0, "NORMAL");
        put_end(maker);
}

static void make_remove(Maker *maker)
{
        put_syscall(maker, 263, true, "delete");
        put(maker, "CWD", "cwd=\"/home/someone/work\"");
        put_path(maker, 0, "PARENT");
        put_path(maker, 1, "DELETE");
        put_end(maker);
}

static void make_connect(Maker *maker)
{
        put_syscall(maker, 42, true, "network");
        put(maker, "SOCKADDR", "saddr=%s", hex(maker, 55));
        put(maker, "CWD", "cwd=\"/\"");
        put_path(maker, 0, "NORMAL");
        put_end(maker);
}

static void make_denied(Maker *maker)
{
        put(maker, "AVC",
            "avc:  denied  { read } for  pid=%u comm=\"httpd\" name=\"shadow\" dev=\"vda1\" ino=%u "
            "scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:shadow_t:s0 tclass=file permissive=0",
            1000 + below(maker, 60000), below(maker, 9000000));
        put_syscall(maker, 257, false, "(null)");
        put(maker, "CWD", "cwd=\"/var/www\"");
        put_path(maker, 0, "NORMAL");
        put_end(maker);
}

static void make_filter(Maker *maker)
{
        put_syscall(maker, 46, true, "netfilter");
        for (unsigned i = 0; i < 3; i++)
                put(maker, "NETFILTER_CFG",
                    "table=filter:%u family=2 entries=%u op=nft_register_rule pid=%u "
                    "subj=system_u:system_r:iptables_t:s0 comm=\"nft\"",
                    10 + i, 1 + below(maker, 40), maker->pid);
        put_end(maker);
}

/* What programs say is one record each. */
static void make_user(Maker *maker)
{
        static const char *const types[] = { "USER_AUTH", "USER_ACCT", "CRED_ACQ", "USER_LOGIN", "USER_START", "USER_END",
                                             "CRED_DISP", "USER_CMD", "SERVICE_START", "LOGIN" };

        put(maker, one_of(maker, types, ELEMENTSOF(types)),
            "pid=%u uid=0 auid=%u ses=%u subj=system_u:system_r:sshd_t:s0-s0:c0.c1023 msg='op=PAM:session_open "
            "grantors=pam_selinux,pam_loginuid,pam_keyinit acct=\"someone\" exe=\"/usr/sbin/sshd\" hostname=192.0.2.%u "
            "addr=192.0.2.%u terminal=ssh res=success'",
            1000 + below(maker, 60000), 1000 + below(maker, 20), below(maker, 500), below(maker, 256), below(maker, 256));
}

/* --- All events --- */

/* Of 16 events. */
static void (*const kinds[])(Maker *maker) = {
        make_exec, make_exec,   make_exec,    make_open,   make_exec, make_exec, make_open, make_connect,
        make_exec, make_remove, make_denied,  make_exec,   make_open, make_exec, make_user, make_filter,
};

static int make_all(Maker *maker)
{
        Records *records = maker->records;

        records->used = records->n_templates = 0;
        maker->state = 1;
        maker->bytes = 0;
        for (maker->event = 0; maker->event < RECORDS_EVENTS; maker->event++)
                kinds[maker->event % ELEMENTSOF(kinds)](maker);
        return maker->error;
}

/* What is missing to the mean goes to the EXECVEs by weight; as the parts of arguments do not come out even, again until it does. */
static int settle(Maker *maker)
{
        uint64_t weights = 0, share = 0;
        int r;

        for (size_t i = 0; i < RECORDS_EVENTS; i++) {
                unsigned chance = below(maker, 100);

                maker->weights[i] = chance < 70 ? 1 + below(maker, 3) : chance < 95 ? 8 : 30;
                if (kinds[i % ELEMENTSOF(kinds)] == make_exec)
                        weights += maker->weights[i];
        }
        for (unsigned round = 0; round < 8; round++) {
                uint64_t wanted;

                r = make_all(maker);
                if (r < 0)
                        return r;
                wanted = (uint64_t) TEMPLATES_MEAN * maker->records->n_templates;
                share += (wanted - MIN(wanted, maker->bytes)) / weights;
                for (size_t i = 0; i < RECORDS_EVENTS; i++)
                        maker->padding[i] = share * maker->weights[i];
        }
        return make_all(maker);
}

int templates_make(Records *records, const char *node)
{
        Maker maker = { .records = records, .node = node, .state = 7 };

        return settle(&maker);
}
