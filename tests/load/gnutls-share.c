/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a session costs of GnuTLS itself: the same settings as the shipping code's, no code of ours around it. */

#include "load.h"
#include "link/frame.h"
#include "runtime/log.h"

#include <gnutls/gnutls.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/socket.h>

#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:-GROUP-ALL:+GROUP-X25519"

static const char *path_of(const char *directory, const char *name, const char *kind, char path[static 512])
{
        (void) snprintf(path, 512, "%s/%s.%s.pem", directory, name, kind);
        return path;
}

Tls *load_tls(const char *directory, const char *name)
{
        char certificate[512], key[512], ca[512];
        TlsOptions options = { path_of(directory, name, "cert", certificate), path_of(directory, name, "key", key),
                               path_of(directory, LOAD_CA, "cert", ca), NULL };
        _cleanup_(freep) char *why = NULL;
        Tls *tls = NULL;

        if (tls_new(&options, &tls, &why) < 0)
                log_error("%s", why ? why : "out of memory");
        return tls;
}

static int make(unsigned flags, gnutls_certificate_credentials_t credentials, int fd, gnutls_session_t *ret)
{
        static const gnutls_datum_t alpn = { (unsigned char *) LINK_ALPN, sizeof LINK_ALPN - 1 };
        int r = gnutls_init(ret, flags | GNUTLS_NONBLOCK);

        if (r >= 0)
                r = gnutls_priority_set_direct(*ret, PRIORITY, NULL);
        if (r >= 0)
                r = gnutls_credentials_set(*ret, GNUTLS_CRD_CERTIFICATE, credentials);
        if (r >= 0)
                r = gnutls_alpn_set_protocols(*ret, &alpn, 1, GNUTLS_ALPN_MANDATORY);
        gnutls_certificate_server_set_request(*ret, GNUTLS_CERT_REQUEST);
        gnutls_transport_set_int(*ret, fd);
        return r;
}

static int shake(gnutls_session_t server, gnutls_session_t client)
{
        int s = GNUTLS_E_AGAIN, c = GNUTLS_E_AGAIN;
        char byte;

        while (s == GNUTLS_E_AGAIN || c == GNUTLS_E_AGAIN) {
                if (c == GNUTLS_E_AGAIN)
                        c = gnutls_handshake(client);
                if (s == GNUTLS_E_AGAIN)
                        s = gnutls_handshake(server);
        }
        if (s < 0 || c < 0)
                return s < 0 ? s : c;
        /* A record each way, as an idle client has had it. */
        (void) gnutls_record_send(client, "x", 1);
        (void) gnutls_record_recv(server, &byte, 1);
        (void) gnutls_record_send(server, "x", 1);
        return 0;
}

static int load(const char *directory, const char *name, gnutls_certificate_credentials_t *ret)
{
        char certificate[512], key[512];
        int r = gnutls_certificate_allocate_credentials(ret);

        return r < 0 ? r
                     : gnutls_certificate_set_x509_key_file(*ret, path_of(directory, name, "cert", certificate),
                                                            path_of(directory, name, "key", key),
                                                            GNUTLS_X509_FMT_PEM);
}

int load_gnutls_share(const char *directory, unsigned n)
{
        gnutls_certificate_credentials_t server, client;
        gnutls_session_t *sessions = calloc(n, sizeof *sessions), peer;
        size_t before = 0;
        int fds[2], r;

        r = load(directory, LOAD_COLLECTOR, &server);
        if (r >= 0)
                r = load(directory, "n0", &client);
        /* The first one is what the library itself keeps, too. */
        for (unsigned i = 0; sessions && r >= 0 && i < n; i++) {
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
                        return -errno;
                r = make(GNUTLS_SERVER | GNUTLS_NO_TICKETS, server, fds[0], &sessions[i]);
                if (r >= 0)
                        r = make(GNUTLS_CLIENT, client, fds[1], &peer);
                if (r >= 0)
                        r = shake(sessions[i], peer);
                gnutls_deinit(peer);
                (void) close(fds[0]);
                (void) close(fds[1]);
                if (i == 0)
                        before = mallinfo2().uordblks;
        }
        if (r < 0 || n < 2) {
                log_error("%s", r < 0 ? gnutls_strerror(r) : "two sessions at least");
                return -EIO;
        }
        printf("%zu\n", (mallinfo2().uordblks - before) / (n - 1));
        return 0;
}
