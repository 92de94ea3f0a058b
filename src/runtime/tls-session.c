/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One TLS session: bytes in, bytes out.
 *
 * GnuTLS makes records of 16 KiB and wants one system call for each when sending and two when receiving. So
 * between it and the socket stand two buffers: one recv() takes what the socket has, one send() takes all
 * records of a write.
 *
 * 1. The push function never refuses: plaintext, once handed to GnuTLS, is in `outgoing` as a record, and is
 *    never presented again. No plaintext is taken while `outgoing` holds anything, which bounds it.
 * 2. `incoming` holds bytes after a read only if the read was full: what is left of an incomplete record
 *    GnuTLS keeps itself.
 * 3. Both hold no memory while they are empty: an idle session costs nothing but GnuTLS's own state.
 * 4. A call takes about as many bytes from the socket as it is asked for, whatever becomes of them: records of one byte, or of
 *    none, must not keep it longer than full ones.
 */

#include "runtime/tls-private.h"

#include "link/frame.h"

#include <stdio.h>
#include <sys/socket.h>

/* One recv(). Eight records: large enough that its cost vanishes, below the size from which malloc asks the
 * kernel each time. */
#define TLS_READ_AHEAD (128U * 1024U - 4096U)
#define TLS_RECORD_PLAIN_MAX (16U * 1024U)
/* Plaintext of one write, and so of one send(): any frame, with what may be before it. */
#define TLS_WRITE_MAX ((uint32_t) ALIGN_UP(LINK_FRAME_MAX, TLS_RECORD_PLAIN_MAX))
/* What a record adds to its plaintext is 22 bytes; generously, for the room of one write. */
#define TLS_RECORD_OVERHEAD_MAX 64U
/* One write, and what GnuTLS says of its own accord (key updates, alerts, close_notify), or a handshake with
 * a long chain. */
#define TLS_OUTGOING_MAX (TLS_WRITE_MAX + 256U * 1024U)

/* A peer's handshake messages, and so what GnuTLS may keep of them: long chains fit, and a stranger gets no more. */
#define TLS_HANDSHAKE_MAX (64U * 1024U)

static void release_if_empty(Buffer *buffer)
{
        if (buffer->data && buffer_size(buffer) == 0)
                buffer_done(buffer);
}

static ssize_t pull(gnutls_transport_ptr_t userdata, void *data, size_t size)
{
        TlsSession *session = userdata;
        Buffer *incoming = &session->incoming;

        if (buffer_size(incoming) == 0) {
                uint8_t *space;
                ssize_t n;

                if (session->socket_turn == 0) {
                        gnutls_transport_set_errno(session->gnutls, EAGAIN);
                        return -1;
                }
                space = buffer_reserve(incoming, TLS_READ_AHEAD);
                if (!space) {
                        session->socket_error = ENOMEM;
                        gnutls_transport_set_errno(session->gnutls, ENOMEM);
                        return -1;
                }
                do
                        n = recv(session->fd, space, TLS_READ_AHEAD, 0);
                while (n < 0 && errno == EINTR);
                if (n <= 0) {
                        session->socket_error = n < 0 && errno != EAGAIN ? errno : session->socket_error;
                        gnutls_transport_set_errno(session->gnutls, n < 0 ? errno : 0);
                        return n;
                }
                session->socket_turn = (size_t) n < TLS_READ_AHEAD ? 0 : session->socket_turn - MIN(session->socket_turn, (size_t) n);
                buffer_extend(incoming, (size_t) n);
        }
        size = MIN(size, buffer_size(incoming));
        memcpy(data, buffer_head(incoming), size);
        buffer_consume(incoming, size);
        return (ssize_t) size;
}

static ssize_t push(gnutls_transport_ptr_t userdata, const giovec_t *iov, int n)
{
        TlsSession *session = userdata;
        size_t size = 0;

        for (int i = 0; i < n; i++) {
                if (buffer_append(&session->outgoing, iov[i].iov_base, iov[i].iov_len) < 0) {
                        session->socket_error = ENOBUFS;
                        gnutls_transport_set_errno(session->gnutls, ENOBUFS);
                        return -1;
                }
                size += iov[i].iov_len;
        }
        return (ssize_t) size;
}

/* A ticket has come: it does behind the handshake, with the first bytes that are read. */
static void keep_ticket(TlsSession *session)
{
        gnutls_datum_t data;

        if (session->server || session->kept_ticket || !session->expected_name ||
            !(gnutls_session_get_flags(session->gnutls) & GNUTLS_SFLAGS_SESSION_TICKET))
                return;
        session->kept_ticket = true;
        if (gnutls_session_get_data2(session->gnutls, &data) >= 0)
                tls_ticket_keep(session->tls, session->expected_name, data);
}

/* GnuTLS's result as an errno, with the sentence. */
static int translate(TlsSession *session, int result)
{
        const char *text = gnutls_strerror(result);

        if (result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED)
                return -EAGAIN;
        if (session->socket_error > 0) {
                snprintf(session->error, sizeof session->error, "The connection broke: %s",
                         strerror(session->socket_error));
                return -session->socket_error;
        }
        if (result == GNUTLS_E_PREMATURE_TERMINATION) {
                snprintf(session->error, sizeof session->error,
                         "The connection ended without a TLS close_notify");
                return -ECONNRESET;
        }
        if (result == GNUTLS_E_FATAL_ALERT_RECEIVED) {
                text = gnutls_alert_get_name(gnutls_alert_get(session->gnutls));
                snprintf(session->error, sizeof session->error, "The peer ended TLS with the alert \"%s\"",
                         text ? text : "unknown");
        } else if (result == GNUTLS_E_UNSUPPORTED_VERSION_PACKET)
                snprintf(session->error, sizeof session->error, "The peer does not speak TLS 1.3");
        else if (result == GNUTLS_E_NO_CIPHER_SUITES)
                snprintf(session->error, sizeof session->error,
                         "The peer does not speak TLS 1.3 with AES-GCM or ChaCha20-Poly1305");
        else if (result == GNUTLS_E_NO_APPLICATION_PROTOCOL)
                snprintf(session->error, sizeof session->error,
                         "The peer does not speak " LINK_ALPN " (ALPN)");
        else
                snprintf(session->error, sizeof session->error, "TLS failed: %s", text);
        return -EPROTO;
}

/* Hands `outgoing` to the socket. Returns 0 when it took all of it. */
static int flush_outgoing(TlsSession *session)
{
        while (buffer_size(&session->outgoing) > 0) {
                ssize_t n = send(session->fd, buffer_head(&session->outgoing),
                                 buffer_size(&session->outgoing), MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return -EAGAIN;
                if (n < 0) {
                        session->socket_error = errno;
                        return translate(session, GNUTLS_E_PUSH_ERROR);
                }
                buffer_consume(&session->outgoing, (size_t) n);
        }
        release_if_empty(&session->outgoing);
        return 0;
}

/* Tells the peer why, as well as an alert can; that it did not get through changes nothing. */
static int refuse(TlsSession *session, int result)
{
        int error = translate(session, result);

        if (error == -EPROTO && result != GNUTLS_E_FATAL_ALERT_RECEIVED) {
                (void) gnutls_alert_send_appropriate(session->gnutls, result);
                (void) flush_outgoing(session);
        }
        return error;
}

static int agree(TlsSession *session)
{
        gnutls_datum_t protocol;

        /* A peer that offers no protocol names at all gets this far. */
        if (!tls_is_psk(session->tls) && gnutls_alpn_get_selected_protocol(session->gnutls, &protocol) < 0)
                return refuse(session, GNUTLS_E_NO_APPLICATION_PROTOCOL);
        snprintf(session->description, sizeof session->description, "%s %s",
                 gnutls_protocol_get_name(gnutls_protocol_get_version(session->gnutls)),
                 gnutls_cipher_get_name(gnutls_cipher_get(session->gnutls)));
        return tls_is_psk(session->tls) ? 0 : tls_session_load_peer(session);
}

static int session_handshake(Transport *transport)
{
        TlsSession *session = tls_session_of(transport);
        int r, f;

        session->socket_turn = TLS_READ_AHEAD;
        do
                r = gnutls_handshake(session->gnutls);
        while (r == GNUTLS_E_WARNING_ALERT_RECEIVED || r == GNUTLS_E_INTERRUPTED);
        release_if_empty(&session->incoming);
        if (r < 0 && r != GNUTLS_E_AGAIN)
                return refuse(session, r);
        f = flush_outgoing(session);
        if (f < 0 && f != -EAGAIN)
                return f;
        if (r == GNUTLS_E_AGAIN)
                return -EAGAIN;
        return agree(session);
}

static ssize_t session_read(Transport *transport, void *data, size_t size)
{
        TlsSession *session = tls_session_of(transport);
        size_t done = 0;
        ssize_t r = session->failed;

        session->socket_turn = size;
        while (done < size && session->failed == 0) {
                r = gnutls_record_recv(session->gnutls, (uint8_t *) data + done, size - done);
                if (r == GNUTLS_E_WARNING_ALERT_RECEIVED || r == GNUTLS_E_INTERRUPTED)
                        continue;
                /* That was a ticket or a new key; records follow. */
                if (r == GNUTLS_E_AGAIN && buffer_size(&session->incoming) > 0)
                        continue;
                if (r <= 0)
                        break;
                done += (size_t) r;
        }
        release_if_empty(&session->incoming);
        keep_ticket(session);
        if (r < 0 && r != GNUTLS_E_AGAIN)
                session->failed = (int) r;
        else if (r == 0)
                session->ended = true; /* GnuTLS repeats that */
        /* First what came before; the next call returns the end. */
        if (done > 0)
                return (ssize_t) done;
        return r < 0 ? translate(session, (int) r) : 0;
}

static void skip(struct iovec *piece, size_t size)
{
        /* Nothing may be added to NULL, not even nothing. */
        if (size > 0)
                piece->iov_base = (uint8_t *) piece->iov_base + size;
        piece->iov_len -= size;
}

/* One record, out of the front of both where neither fills it. Returns how many bytes it took, or GnuTLS's result. */
static ssize_t send_record(TlsSession *session, struct iovec *first, struct iovec *second)
{
        uint8_t joined[TLS_RECORD_PLAIN_MAX];
        size_t own = MIN(first->iov_len, sizeof joined), more = MIN(second->iov_len, sizeof joined - own);
        const void *data = own > 0 ? first->iov_base : second->iov_base;
        ssize_t n;

        if (own > 0 && more > 0) {
                memcpy(joined, first->iov_base, own);
                memcpy(joined + own, second->iov_base, more);
                data = joined;
        }
        n = gnutls_record_send(session->gnutls, data, own + more);
        own = MIN(own, (size_t) MAX(n, 0));
        skip(first, own);
        skip(second, (size_t) MAX(n, 0) - own);
        return n;
}

static ssize_t session_write(Transport *transport, const struct iovec pieces[static 2])
{
        TlsSession *session = tls_session_of(transport);
        struct iovec first = pieces[0], second = pieces[1];
        size_t size = MIN(first.iov_len + second.iov_len, TLS_WRITE_MAX), done = 0;
        int r;

        r = flush_outgoing(session);
        if (r < 0 || size == 0)
                return r;
        first.iov_len = MIN(first.iov_len, size);
        second.iov_len = size - first.iov_len;
        if (!buffer_reserve(&session->outgoing,
                            size + (size / TLS_RECORD_PLAIN_MAX + 1) * TLS_RECORD_OVERHEAD_MAX))
                return -ENOMEM;
        while (done < size) {
                ssize_t n = send_record(session, &first, &second);

                if (n < 0) {
                        r = translate(session, (int) n);
                        return r == -EAGAIN ? -EPROTO : r; /* push() never says so: invariant 1 */
                }
                done += (size_t) n;
        }
        r = flush_outgoing(session);
        if (r < 0 && r != -EAGAIN)
                return r;
        return (ssize_t) done;
}

static bool session_wants_write(const Transport *transport)
{
        return buffer_size(&container_of(transport, const TlsSession, transport)->outgoing) > 0;
}

static size_t session_pending(const Transport *transport)
{
        const TlsSession *session = container_of(transport, const TlsSession, transport);
        size_t bytes = gnutls_record_check_pending(session->gnutls) + buffer_size(&session->incoming);

        return bytes > 0 ? bytes : session->failed != 0 || session->ended;
}

static int session_shutdown(Transport *transport)
{
        TlsSession *session = tls_session_of(transport);
        int r;

        if (!session->said_bye) {
                r = gnutls_bye(session->gnutls, GNUTLS_SHUT_WR);
                if (r < 0)
                        return translate(session, r);
                session->said_bye = true;
        }
        r = flush_outgoing(session);
        if (r < 0)
                return r;
        return shutdown(session->fd, SHUT_WR) < 0 ? -errno : 0;
}

static const char *session_error(const Transport *transport)
{
        return container_of(transport, const TlsSession, transport)->error;
}

/* --- Life --- */

static void session_free(Transport *transport)
{
        TlsSession *session = tls_session_of(transport);

        if (session->gnutls)
                gnutls_deinit(session->gnutls);
        if (session->peer)
                gnutls_x509_crt_deinit(session->peer);
        buffer_done(&session->incoming);
        buffer_done(&session->outgoing);
        free(session->expected_name);
        free(session->peer_name);
        tls_unref(session->tls);
        free(session);
}

static const Transport session_transport = {
        .handshake = session_handshake,
        .read = session_read,
        .write = session_write,
        .wants_write = session_wants_write,
        .pending = session_pending,
        .shutdown = session_shutdown,
        .error = session_error,
        .free = session_free,
};

/* Goes on with the last session with this collector, if it lets us: no signatures, but the certificates of that
 * session, which are judged again. */
static void resume(TlsSession *session)
{
        TlsTicket ticket;

        (void) gnutls_server_name_set(session->gnutls, GNUTLS_NAME_DNS, session->expected_name,
                                      strlen(session->expected_name));
        if (!tls_ticket_take(session->tls, session->expected_name, &ticket))
                return;
        /* One that cannot be used means a full handshake. */
        (void) gnutls_session_set_data(session->gnutls, ticket.data.data, ticket.data.size);
        tls_ticket_done(&ticket);
}

static int set_certificate(TlsSession *session)
{
        static const gnutls_datum_t alpn = { (unsigned char *) LINK_ALPN, sizeof LINK_ALPN - 1 };
        int r = gnutls_credentials_set(session->gnutls, GNUTLS_CRD_CERTIFICATE, session->tls->credentials);

        return r < 0 ? r : gnutls_alpn_set_protocols(session->gnutls, &alpn, 1, GNUTLS_ALPN_MANDATORY);
}

static int set_key(TlsSession *session)
{
        const Tls *tls = session->tls;

        return gnutls_credentials_set(session->gnutls, GNUTLS_CRD_PSK,
                                      session->server ? (void *) tls->psk_server : (void *) tls->psk_client);
}

int tls_session_new(Tls *tls, bool server, const char *expected_name, int fd, Transport **ret)
{
        _cleanup_(transport_freep) Transport *transport = NULL;
        TlsSession *session = calloc(1, sizeof *session);

        if (!session)
                return -ENOMEM;
        session->transport = session_transport;
        transport = &session->transport;
        session->tls = tls_ref(tls);
        session->fd = fd;
        session->server = server;
        session->incoming = BUFFER_INIT(TLS_READ_AHEAD);
        session->outgoing = BUFFER_INIT(TLS_OUTGOING_MAX);
        if (expected_name) {
                session->expected_name = strdup(expected_name);
                if (!session->expected_name)
                        return -ENOMEM;
        }
        if (gnutls_init(&session->gnutls,
                        (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK |
                                (tls_is_psk(tls) ? GNUTLS_NO_TICKETS : 0)) < 0)
                return -ENOMEM;
        if (gnutls_priority_set(session->gnutls, tls->priority) < 0 ||
            (tls_is_psk(tls) ? set_key(session) : set_certificate(session)) < 0)
                return -ENOMEM;
        gnutls_session_set_ptr(session->gnutls, session);
        if (server && !tls_is_psk(tls) && gnutls_session_ticket_enable_server(session->gnutls, &tls->ticket_key) < 0)
                return -ENOMEM;
        if (server && !tls_is_psk(tls))
                /* Asked for, not insisted on: a refusal is to reach the peer as a sentence. No names of CAs
                 * go with it, as the credentials hold none: a peer with a certificate of another CA is to
                 * send it and be told, rather than to send none. */
                gnutls_certificate_server_set_request(session->gnutls, GNUTLS_CERT_REQUEST);
        else if (expected_name)
                resume(session);
        gnutls_handshake_set_max_packet_length(session->gnutls, TLS_HANDSHAKE_MAX);
        gnutls_transport_set_ptr(session->gnutls, session);
        gnutls_transport_set_pull_function(session->gnutls, pull);
        gnutls_transport_set_vec_push_function(session->gnutls, push);
        *ret = TAKE_PTR(transport);
        return 0;
}

TlsSession *tls_session_of(Transport *transport)
{
        return transport ? container_of(transport, TlsSession, transport) : NULL;
}

bool tls_session_resumed(const TlsSession *session)
{
        return gnutls_session_is_resumed(session->gnutls) != 0;
}

const char *tls_session_description(const TlsSession *session)
{
        return session->description;
}
