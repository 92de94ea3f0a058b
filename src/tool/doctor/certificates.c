/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Certificates: as the programs read them, and what they cannot see: that others may read the key, that our own CA does not
 * vouch for us, that the certificate names somebody else than this node.
 */

#include "runtime/expiry.h"
#include "tool/doctor/doctor.h"
#include "tool/systemctl.h"

#include <gnutls/x509.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define CERTIFICATES_MAX 16U
#define WARN_DAYS 30

typedef struct Paths {
        char *certificate, *key, *authority, *revocation;
} Paths;

static void paths_done(Paths *paths)
{
        free(paths->certificate);
        free(paths->key);
        free(paths->authority);
        free(paths->revocation);
}

static bool is_url(const char *path)
{
        return strncmp(path, "pkcs11:", 7) == 0;
}

static char *choose(const Doctor *doctor, const char *configured, const char *file)
{
        char path[128];

        (void) snprintf(path, sizeof path, CREDENTIALS_DIRECTORY "/%s", file);
        return strdup(configured && is_url(configured) ? configured : doctor_path(doctor, configured ? configured : path));
}

static unsigned read_list(const char *path, gnutls_x509_crt_t list[static CERTIFICATES_MAX])
{
        unsigned n = CERTIFICATES_MAX;
        gnutls_datum_t pem = { 0 };
        int r = gnutls_load_file(path, &pem);

        if (r >= 0)
                r = gnutls_x509_crt_list_import(list, &n, &pem, GNUTLS_X509_FMT_PEM, 0);
        gnutls_free(pem.data);
        return r < 0 ? 0 : (unsigned) r;
}

static void free_list(gnutls_x509_crt_t *list, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                gnutls_x509_crt_deinit(list[i]);
}

/* Whether the authority that we trust would take us for one of its own, as the other side does. */
static void judge_chain(Doctor *doctor, const char *who, const Paths *paths)
{
        gnutls_x509_crt_t own[CERTIFICATES_MAX], ca[CERTIFICATES_MAX];
        unsigned n_own = read_list(paths->certificate, own), n_ca = read_list(paths->authority, ca), status = 0;

        if (n_own > 0 && n_ca > 0 &&
            gnutls_x509_crt_list_verify(own, n_own, ca, n_ca, NULL, 0, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status) >= 0 && status != 0)
                doctor_say(doctor, DOCTOR_WARNING, "right if the other side has a CA of its own; else copy ca.pem and cert.pem of one CA here",
                           "%s's certificate is not issued by the CA in %s", who, paths->authority);
        free_list(own, n_own);
        free_list(ca, n_ca);
}

static void judge_days(Doctor *doctor, const char *who, const char *what, int64_t expires, const char *todo)
{
        double days = expiry_days(expires, doctor->facts.now);
        char text[64];

        if (days < WARN_DAYS)
                doctor_say(doctor, days < 0 ? DOCTOR_WRONG : DOCTOR_WARNING, todo, "%s's %s %s", who, what,
                           expiry_text(expires, doctor->facts.now, text, sizeof text));
}

/* A certificate of today that is not valid yet is a sign of a clock that is behind, here or with the CA. */
static void judge_begin(Doctor *doctor, const char *who, const char *path)
{
        gnutls_x509_crt_t own[CERTIFICATES_MAX];
        unsigned n = read_list(path, own);
        time_t begin = n > 0 ? gnutls_x509_crt_get_activation_time(own[0]) : 0;

        if (begin > doctor->facts.now)
                doctor_say(doctor, DOCTOR_WRONG, "`date` here and on the host with the CA, which issued it: one of the clocks is wrong",
                           "%s's certificate is not valid yet, but %.1f hours from now: nobody accepts it before", who,
                           (double) (begin - doctor->facts.now) / 3600);
        free_list(own, n);
}

static void judge_key(Doctor *doctor, const char *who, const char *path)
{
        char todo[PATH_MAX + 64];
        struct stat st;

        (void) snprintf(todo, sizeof todo, "`chmod o= %s`, and make a new key: others may have this one", path);
        if (!is_url(path) && stat(path, &st) == 0 && st.st_mode & 07)
                doctor_say(doctor, DOCTOR_WRONG, todo,
                           "everybody may read %s's key %s (mode %04o)", who, path, (unsigned) st.st_mode & 07777);
}

/* The names that records of this host have, and that the certificate speaks for, must be one. */
static void judge_name(Doctor *doctor, const char *name)
{
        const char *node = doctor->dispatcher.node ? doctor->dispatcher.node : doctor->facts.host;
        char todo[1024];

        if (!name || !node || strcasecmp(name, node) == 0)
                return;
        /* A ring keeps its node: with another one it has to be another ring. */
        (void) snprintf(todo, sizeof todo,
                        "a new host: `mkdir -p /etc/audit-relay/dispatcher.conf.d && printf '[Dispatcher]\\nNode=%s\\n' >/etc/audit-relay/dispatcher.conf.d/50-node.conf "
                        "&& audit-relay stop --client && rm -f /run/audit-relay/dispatcher/ring && systemctl start audit-relay-client.target`; one that has "
                        "delivered before: on the host with the CA, `audit-relay cert client %s`",
                        name, node);
        doctor_say(doctor, DOCTOR_WRONG, todo, "the certificate is for \"%s\", and the node in the records is \"%s\": the collector refuses them", name,
                   node);
}

/* Whether systemd passes them as credentials: `show` does not tell (they are "[unprintable]"), a drop-in does. */
static bool by_systemd(const Doctor *doctor, const char *unit)
{
        _cleanup_(freep) char *paths = systemctl_property(doctor->facts.units, unit, "DropInPaths");
        char *position = NULL;

        for (char *p = paths ? strtok_r(paths, " ", &position) : NULL; p; p = strtok_r(NULL, " ", &position)) {
                _cleanup_(freep) char *text = doctor_read(doctor, p);

                if (text && (strncmp(text, "LoadCredential", 14) == 0 || strstr(text, "\nLoadCredential")))
                        return true;
        }
        return false;
}

/* What can be read of them here: by the program's own eyes first. */
static void judge_files(Doctor *doctor, const char *who, const Paths *paths, bool client)
{
        TlsOptions options = { paths->certificate, paths->key, paths->authority, paths->revocation };
        _cleanup_(freep) char *why = NULL;
        _cleanup_(tls_unrefp) Tls *tls = NULL;
        size_t before = doctor->n_findings;
        char renew[512], list[PATH_MAX + 128];

        (void) snprintf(list, sizeof list,
                        "copy a newer one of its CA to %s; then `systemctl reload audit-relay-%s.service`", paths->revocation, who);
        if (tls_new(&options, &tls, &why) < 0) {
                bool denied = geteuid() != 0 && access(paths->key, R_OK) < 0 && errno == EACCES;

                doctor_say(doctor, denied ? DOCTOR_WARNING : DOCTOR_WRONG,
                           denied ? "run it as root, to see whether they are in order" :
                           client ? "audit-relay cert request | ssh CA-HOST audit-relay cert issue NODE | audit-relay cert install"
                                  : "audit-relay cert init, then audit-relay cert collector NAME; copy its files to /etc/audit-relay/tls",
                           "%s: %s", who, why ? why : "no certificate");
                return;
        }
        (void) snprintf(renew, sizeof renew, "on the host with the CA, audit-relay cert renew %s | ssh root@%s audit-relay cert install",
                        tls_name(tls) ? tls_name(tls) : "NAME", doctor->facts.host);
        judge_days(doctor, who, "certificate", tls_expires(tls), renew);
        if (tls_revocation_expires(tls) != 0)
                judge_days(doctor, who, "revocation list", tls_revocation_expires(tls), list);
        judge_begin(doctor, who, paths->certificate);
        judge_chain(doctor, who, paths);
        judge_key(doctor, who, paths->key);
        if (client)
                judge_name(doctor, tls_name(tls));
        if (doctor->n_findings == before)
                doctor_say(doctor, DOCTOR_OK, NULL, "%s's certificate is for \"%s\", %.0f days left", who, tls_name(tls) ? tls_name(tls) : "",
                           expiry_days(tls_expires(tls), doctor->facts.now));
}

static void judge_certificate(Doctor *doctor, const char *who, const char *unit, const DoctorConfig *config, bool client)
{
        Paths paths = { choose(doctor, config->tls.certificate, "cert.pem"), choose(doctor, config->tls.key, "key.pem"),
                        choose(doctor, config->tls.authority, "ca.pem"), choose(doctor, config->tls.revocation, "crl.pem") };

        if (by_systemd(doctor, unit))
                doctor_say(doctor, DOCTOR_OK, NULL, "%s gets its certificate from systemd (LoadCredential=): restart it after a renewal", who);
        else if (!paths.certificate || !paths.key || !paths.authority || !paths.revocation)
                doctor->failed = true;
        else
                judge_files(doctor, who, &paths, client);
        paths_done(&paths);
}

void doctor_certificates(Doctor *doctor)
{
        if (doctor->client && !(doctor->remote.protocol && strcmp(doctor->remote.protocol, "auditd") == 0))
                judge_certificate(doctor, "remote", "audit-relay-remote.service", &doctor->remote, true);
        if (doctor->collector)
                judge_certificate(doctor, "aggregator", "audit-relay-aggregator.service", &doctor->aggregator, false);
}
