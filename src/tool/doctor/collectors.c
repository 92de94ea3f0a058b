/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Collectors: the way that remote goes, a step at a time, so that it is seen which one fails: the name, the connection, the
 * handshake, our judgement of the collector, and its judgement of us. No HELLO is sent: nothing of remote's own session is
 * disturbed.
 */

#include "link/frame.h"
#include "runtime/config.h"
#include "runtime/connection.h"
#include "runtime/loop.h"
#include "tool/doctor/doctor.h"

#include <arpa/nameser.h>
#include <fcntl.h>
#include <poll.h>
#include <resolv.h>
#include <stdio.h>
#include <sys/socket.h>

#define PORT_LINK "6560"
#define PORT_AUDITD "60"
/* A collector that refuses us says so at once; one that does not waits for our HELLO. */
#define REFUSAL_WAIT_USEC (500 * USEC_PER_MSEC)

typedef struct Target {
        char host[NODE_NAME_MAX + 1], port[8], name[NODE_NAME_MAX + 1];
        const char *text; /* as it is configured */
        bool stock;
} Target;

/* HOST, HOST:PORT or [ADDRESS]:PORT, #NAME behind it; remote has refused at its start what is none of these. */
static Target parse_target(const char *text, const DoctorConfig *config)
{
        Target target = { .text = text, .stock = config->protocol && strcmp(config->protocol, "auditd") == 0 };
        bool bracket = text[0] == '[';
        const char *host = text + bracket, *rest = host + strcspn(host, bracket ? "]" : ":#");
        const char *name = strchr(text, '#');

        (void) snprintf(target.host, sizeof target.host, "%.*s", (int) MIN((size_t) (rest - host), sizeof target.host - 1), host);
        rest += bracket && *rest == ']';
        (void) snprintf(target.port, sizeof target.port, "%.*s", *rest == ':' ? (int) strcspn(rest + 1, "#") : 2 + 2 * !target.stock,
                        *rest == ':' ? rest + 1 : target.stock ? PORT_AUDITD : PORT_LINK);
        (void) snprintf(target.name, sizeof target.name, "%s", name ? name + 1 : config->collector_name ? config->collector_name : target.host);
        return target;
}

/* --- Steps --- */

static int wait_for(int fd, short events, uint64_t end_usec)
{
        struct pollfd pollfd = { .fd = fd, .events = events };
        uint64_t now = monotonic_usec();
        int n;

        if (now >= end_usec)
                return -ETIMEDOUT;
        n = poll(&pollfd, 1, (int) ((end_usec - now) / USEC_PER_MSEC) + 1);
        return n < 0 ? -errno : n == 0 ? -ETIMEDOUT : 0;
}

static int connect_one(const struct addrinfo *address, uint64_t timeout_usec, int *ret_fd)
{
        _cleanup_(close_fdp) int fd = -EBADF;
        socklen_t size = sizeof(int);
        int error = 0, r;

        r = connection_connect(address, &fd);
        if (r < 0)
                return r;
        r = wait_for(fd, POLLOUT, monotonic_usec() + timeout_usec);
        if (r < 0)
                return r;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0)
                return -(error != 0 ? error : errno);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int connect_any(const struct addrinfo *addresses, uint64_t timeout_usec, int *ret_fd)
{
        int r = -EHOSTUNREACH;

        for (const struct addrinfo *a = addresses; a && r < 0; a = a->ai_next)
                r = connect_one(a, timeout_usec, ret_fd);
        return r;
}

static int handshake(Transport *transport, int fd, uint64_t end_usec)
{
        int r;

        while ((r = transport->handshake(transport)) == -EAGAIN) {
                r = wait_for(fd, transport->wants_write(transport) ? POLLIN | POLLOUT : POLLIN, end_usec);
                if (r < 0)
                        return r;
        }
        return r;
}

/* What the collector says against us; NULL: nothing. The sentence is the caller's to free. */
static char *hear_refusal(Transport *transport, int fd)
{
        uint64_t end = monotonic_usec() + REFUSAL_WAIT_USEC;
        uint8_t data[LINK_BODY_MAX];
        size_t size = 0;
        const char *why;
        Frame frame;

        for (;;) {
                ssize_t n = size < sizeof data ? transport->read(transport, data + size, sizeof data - size) : -ENOBUFS;

                if (n == -EAGAIN && wait_for(fd, POLLIN, end) == 0)
                        continue;
                if (n == -EAGAIN || n == -ENOBUFS)
                        return NULL;
                if (n == 0)
                        return strdup("it closed the connection without a word");
                if (n < 0)
                        return strdup(n == -EPROTO ? transport->error(transport) : strerror((int) -n));
                size += (size_t) n;
                if (frame_decode(data, size, &frame, &why) == 1)
                        return frame.type == FRAME_BYE ? strndup(frame.bye.reason.data, frame.bye.reason.size) : NULL;
        }
}

/* --- Judging --- */

static Tls *load_credentials(const Doctor *doctor)
{
        CredentialsPaths paths = doctor->remote.tls;
        _cleanup_(freep) char *why = NULL;
        Tls *tls = NULL;

        if (credentials_load(&paths, &tls, &why) < 0)
                return NULL;
        return tls;
}

static void judge_tls(Doctor *doctor, const Target *target, int fd)
{
        static const char compare[] = "compare cert.pem and ca.pem here and there: `audit-relay cert show /etc/audit-relay/tls/cert.pem`";
        _cleanup_(transport_freep) Transport *transport = NULL;
        _cleanup_(tls_unrefp) Tls *tls = load_credentials(doctor);
        _cleanup_(freep) char *why = NULL;
        int r;

        if (!tls) {
                doctor_say(doctor, DOCTOR_WARNING, "see certificates; run doctor as root", "collector %s: connected, but there is no certificate of ours to show it",
                           target->text);
                return;
        }
        r = tls_session_new(tls, false, target->name, fd, &transport);
        if (r >= 0)
                r = handshake(transport, fd, monotonic_usec() + doctor->facts.timeout_usec);
        if (r < 0) {
                doctor_say(doctor, DOCTOR_WRONG, "look at that port: it should be audit-relay-aggregator.socket of the collector",
                           "collector %s: the TLS handshake fails: %s", target->text,
                           transport && r == -EPROTO ? transport->error(transport) : strerror(-r));
        } else if (tls_session_judge(tls_session_of(transport), tls, &why) < 0) {
                doctor_say(doctor, DOCTOR_WRONG, compare, "collector %s: we refuse it: %s", target->text, why ? why : strerror(ENOMEM));
        } else {
                why = hear_refusal(transport, fd);
                (void) transport->shutdown(transport);
                if (why)
                        doctor_say(doctor, DOCTOR_WRONG, compare, "collector %s: it refuses us: %s", target->text, why);
                else
                        doctor_say(doctor, DOCTOR_OK, NULL, "collector %s answers, both certificates are accepted (%s)", target->text,
                                   tls_session_description(tls_session_of(transport)));
        }
}

static void judge_target(Doctor *doctor, const Target *target)
{
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *addresses = NULL;
        _cleanup_(close_fdp) int fd = -EBADF;
        char todo[512];
        int r = getaddrinfo(target->host, target->port, &hints, &addresses);

        if (r != 0) {
                (void) snprintf(todo, sizeof todo, "`getent hosts %s`; correct Collector=, /etc/hosts or /etc/resolv.conf", target->host);
                doctor_say(doctor, DOCTOR_WRONG, todo, "collector %s: its name is not found: %s", target->text, gai_strerror(r));
                return;
        }
        r = connect_any(addresses, doctor->facts.timeout_usec, &fd);
        freeaddrinfo(addresses);
        if (r < 0) {
                (void) snprintf(todo, sizeof todo, "there, `systemctl status audit-relay-aggregator.socket`; between, is port %s open in each firewall?", target->port);
                doctor_say(doctor, DOCTOR_WRONG, todo, "collector %s: no connection to port %s: %s", target->text, target->port, strerror(-r));
        } else if (target->stock) {
                doctor_say(doctor, DOCTOR_OK, NULL, "collector %s, a stock auditd, takes connections", target->text);
        } else {
                judge_tls(doctor, target, fd);
        }
}

/* --- Services in the DNS --- */

static void judge_answer(Doctor *doctor, const char *text, const uint8_t *answer, int size, bool *ret_found)
{
        ns_msg message;

        if (ns_initparse(answer, size, &message) < 0)
                return;
        for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
                char host[NS_MAXDNAME];
                Target target = { .text = text };
                ns_rr record;

                if (ns_parserr(&message, ns_s_an, i, &record) < 0 || ns_rr_type(record) != ns_t_srv || ns_rr_rdlen(record) < 7 ||
                    dn_expand(answer, answer + size, ns_rr_rdata(record) + 6, host, sizeof host) < 0)
                        continue;
                (void) snprintf(target.port, sizeof target.port, "%u", (unsigned) ns_get16(ns_rr_rdata(record) + 4));
                (void) snprintf(target.host, sizeof target.host, "%.*s", (int) sizeof target.host - 1, host);
                strcpy(target.name, target.host);
                *ret_found = true;
                judge_target(doctor, &target);
        }
}

static void judge_service(Doctor *doctor, const char *text)
{
        uint8_t answer[4096];
        char name[512], todo[600];
        bool found = false;
        int size;

        (void) snprintf(name, sizeof name, "_audit-relay._tcp.%.400s", text + strlen("srv:"));
        size = res_query(name, ns_c_in, ns_t_srv, answer, sizeof answer);
        if (size > 0)
                judge_answer(doctor, text, answer, MIN(size, (int) sizeof answer), &found);
        (void) snprintf(todo, sizeof todo, "`resolvectl service %s`; add SRV records to the zone", name);
        if (!found)
                doctor_say(doctor, DOCTOR_WRONG, todo, "collector %s: the DNS knows no host of %s", text, name);
}

void doctor_collectors(Doctor *doctor)
{
        if (!doctor->client)
                return;
        if (strings_count(doctor->remote.collectors) == 0)
                doctor_say(doctor, DOCTOR_WRONG, "`mkdir -p /etc/audit-relay/remote.conf.d && printf '[Remote]\\nCollector=HOST\\n' >/etc/audit-relay/remote.conf.d/50-collector.conf`, with its name for "
                           "HOST",
                           "no collector is named (Collector= in remote.conf)");
        for (char **c = doctor->remote.collectors; c && *c; c++) {
                Target target;

                if (strncmp(*c, "srv:", 4) == 0) {
                        judge_service(doctor, *c);
                        continue;
                }
                target = parse_target(*c, &doctor->remote);
                judge_target(doctor, &target);
        }
}
