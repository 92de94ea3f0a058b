/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What systemd, the kernel and the clock say of this host. */

#include "runtime/loop.h"
#include "tool/doctor/doctor.h"
#include "tool/systemctl.h"

#include <libaudit.h>
#include <poll.h>
#include <sys/timex.h>

/* The kernel answers at once; it owes us nothing if it is not asked in the right place. */
#define KERNEL_WAIT_MSEC 1000

static const char *const units[] = {
        "audit-relay-client.target",
        "audit-relay-collector.target",
        "audit-relay-dispatcher.service",
        "audit-relay-dispatcher.socket",
        "audit-relay-dispatcher-subscribe.socket",
        "audit-relay-dispatcher-lines.socket",
        "audit-relay-dispatcher-kernel.socket",
        "audit-relay-dispatcher-multicast.socket",
        "audit-relay-remote.service",
        "audit-relay-remote.socket",
        "audit-relay-rules.service",
        "audit-relay-aggregator.service",
        "audit-relay-aggregator.socket",
        "auditd.service",
        NULL,
};

static void read_units(DoctorFacts *facts)
{
        static const char properties[] = "LoadState,ActiveState,SubState,UnitFileState,ConditionResult,Result,ExecMainStatus,NeedDaemonReload,"
                                         "DropInPaths";

        facts->units = NULL;
        if (access("/run/systemd/system", F_OK) == 0 && systemctl_show(properties, units, &facts->units) < 0)
                facts->units = NULL;
}

/* Takes answers to our requests until the kernel has said all of it. */
static int take_answers(int fd, int wanted, struct audit_status *status, unsigned *n)
{
        struct pollfd pollfd = { .fd = fd, .events = POLLIN };

        for (;;) {
                struct audit_reply reply;

                if (poll(&pollfd, 1, KERNEL_WAIT_MSEC) <= 0)
                        return -ETIMEDOUT;
                if (audit_get_reply(fd, &reply, GET_REPLY_NONBLOCKING, 0) <= 0)
                        continue;
                if (reply.type == NLMSG_ERROR && reply.error->error != 0)
                        return reply.error->error;
                if (reply.type == NLMSG_DONE)
                        return 0;
                if (reply.type == wanted && wanted == AUDIT_GET) {
                        *status = *reply.status;
                        return 0;
                }
                if (reply.type == wanted)
                        (*n)++;
        }
}

static void read_kernel(DoctorKernel *ret)
{
        struct audit_status status = { 0 };
        DoctorKernel kernel = { 0 };
        int fd = audit_open(), r;

        if (fd < 0) {
                *ret = (DoctorKernel) { .error = -errno };
                return;
        }
        r = audit_request_status(fd);
        if (r > 0)
                r = take_answers(fd, AUDIT_GET, &status, &kernel.rules);
        if (r >= 0) {
                r = audit_request_rules_list_data(fd);
                if (r > 0)
                        r = take_answers(fd, AUDIT_LIST_RULES, NULL, &kernel.rules);
        }
        audit_close(fd);
        kernel.error = r < 0 ? r : 0;
        kernel.enabled = status.enabled;
        kernel.failure = status.failure;
        kernel.pid = status.pid;
        kernel.backlog_limit = status.backlog_limit;
        kernel.backlog = status.backlog;
        kernel.lost = status.lost;
        *ret = kernel;
}

void doctor_facts_read(DoctorFacts *facts)
{
        struct timex timex = { 0 };
        char host[256] = "localhost";
        int state;

        read_units(facts);
        read_kernel(&facts->kernel);
        state = adjtimex(&timex);
        facts->clock_known = state >= 0;
        facts->clock_synchronised = state != TIME_ERROR && !(timex.status & STA_UNSYNC);
        facts->now = (int64_t) (realtime_usec() / USEC_PER_SEC);
        (void) gethostname(host, sizeof host - 1);
        facts->host = strdup(host);
}
