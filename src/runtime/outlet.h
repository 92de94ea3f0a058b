/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sending end of every hop in the loop: a LinkSender over a connection that is made again with backoff
 * and jitter, or over one that a subscriber made to us. remote to its collector, the dispatcher to its
 * subscribers and `audit-relay send` are outlets.
 */

#include "link/link-sender.h"
#include "runtime/connection.h"

/* Why there is no connection; also why there was one no more. */
typedef enum OutletTrouble {
        OUTLET_OK = 0,
        OUTLET_E_NETWORK,  /* refused, unreachable, reset, name not found: seen at once */
        OUTLET_E_TIMEOUT,  /* the peer was silent for longer than timeout_usec */
        OUTLET_E_TLS,      /* certificate or handshake, ours or the peer's judgement */
        OUTLET_E_REFUSED,  /* BYE: node, stream, version */
        OUTLET_E_PROTOCOL, /* bad framing */
        OUTLET_E_ENDING,   /* BYE: ending, overload */
        OUTLET_E_RESUME,   /* BYE: resume; it reconnects at once */
        OUTLET_E_SOURCE,   /* our own source cannot be read */
} OutletTrouble;

/* A host name with its port. */
#define OUTLET_PEER_MAX 300U

typedef struct Outlet Outlet;

/* What the owner is told. None may free the outlet. Those but open() may be NULL. */
typedef struct OutletHandler {
        /* Makes the socket: non-blocking, connect() begun. Returns 0 with fd and transport (NULL: plain),
         * -EINPROGRESS when it will call outlet_offer() later (a look-up on the worker), or another negative
         * errno with *ret_why (owned by the outlet). */
        int (*open)(Outlet *outlet, int *ret_fd, Transport **ret_transport, char **ret_why);
        /* The handshake of a transport is done: may the peer be spoken to? Asked again by outlet_review(). Returns 0, or a
         * negative errno with *ret_why (owned by the outlet), which the peer is told. NULL: yes. */
        int (*judge)(Outlet *outlet, Transport *transport, char **ret_why);
        /* An attempt or a session is over, which disconnected() has said: is there another peer, or another
         * address of this one, that open() should try at once? Only when not does the backoff count; behind
         * sessions that end as soon as they begin it counts, too. May be NULL: no. */
        bool (*another)(Outlet *outlet);
        /* A subscriber that connected to us says who it is and what it wants. Returns 0 with the source it
         * is sent from, or the code of a BYE with its reason (owned by the outlet). */
        LinkByeCode (*hello)(Outlet *outlet, const LinkHello *hello, Source **ret_source, char **ret_why);
        /* Peer judged and WELCOME received. NULL: there is none, the peer only reads (OutletSpeech). */
        void (*connected)(Outlet *outlet, const LinkWelcome *welcome);
        /* The connection is over, or could not be made. `why` is a sentence, a refusal's the peer's own. */
        void (*disconnected)(Outlet *outlet, OutletTrouble trouble, const char *why);
        void (*acked)(Outlet *outlet, uint64_t seq);
        /* See LinkSenderHandler; after diverged() it reconnects at once. */
        void (*diverged)(Outlet *outlet, uint64_t peer_last);
        void (*state)(Outlet *outlet, const LinkState *state);
        void (*receipt)(Outlet *outlet, const LinkReceipt *receipt);
        /* COMMAND and REPLY are offered to the peer only if there is one of these; see LinkSenderHandler. */
        void (*command)(Outlet *outlet, const LinkCommand *command);
        void (*reply)(Outlet *outlet, const LinkReply *reply);
        /* An accepted one is over, which disconnected() has said: nothing touches it any more, free it. */
        void (*ended)(Outlet *outlet);
} OutletHandler;

/* What is said, in place of the link, to a Unix peer that only reads. It acks nothing: what counts as acked
 * is what it is known to have read. */
typedef struct OutletSpeech {
        /* Whether there is anything to say to a peer that is not connected: what passes no filter is not. */
        bool (*pending)(void *speaker);
        /* A new connection. Returns the last seq that is known to be the peer's: it goes on behind it. */
        uint64_t (*begin)(void *speaker);
        /* As link_sender_fill(), when the output is empty. */
        int (*fill)(void *speaker, Buffer *output);
        /* The peer has read all but the last `unread` bytes, at most, of what was put. Returns the last seq
         * that is known to be the peer's now. */
        uint64_t (*look)(void *speaker, size_t unread);
} OutletSpeech;

/* Whether BATCH payloads are offered to be compressed. */
typedef enum OutletCompress {
        OUTLET_COMPRESS_NO,
        OUTLET_COMPRESS_YES,
        OUTLET_COMPRESS_AUTO, /* where they leave this host */
} OutletCompress;

typedef struct OutletOptions {
        Source *source;
        const OutletHandler *handler;
        const char *node;
        uint64_t connect_usec;   /* for connect, handshake and WELCOME */
        uint64_t timeout_usec;   /* silence of a connected peer that owes an ack */
        uint64_t backoff_min_usec,
                backoff_max_usec; /* doubled, with jitter of a half; reset by WELCOME only */
        bool idle; /* connect only when the source has something (a subscriber that systemd activates) */
        OutletCompress compress;
        const OutletSpeech *speech; /* NULL: the link */
        void *speaker;
        void *userdata;
} OutletOptions;

int outlet_new(sd_event *event, const OutletOptions *options, Outlet **ret) _must_check_;
/* For a subscriber's connection to us, plain, connected, non-blocking; fd is taken over, also on failure.
 * It is never made again: open() and another() are not called, the source may be NULL until hello(). */
int outlet_accept(sd_event *event, const OutletOptions *options, int fd, Outlet **ret) _must_check_;
Outlet *outlet_free(Outlet *outlet);
DEFINE_CLEANUP(Outlet *, outlet_free)

void *outlet_userdata(const Outlet *outlet);
/* The source has more, or less is to be waited for: try to send. Cheap when there is nothing to do. */
void outlet_wake(Outlet *outlet);
/* Whether the peer is connected and takes COMMAND and REPLY. */
bool outlet_commands(const Outlet *outlet);
/* Each sends one. Returns 0, -ENOTCONN when it does not take them, or -ENOBUFS when it does not read. */
int outlet_command(Outlet *outlet, const LinkCommand *command) _must_check_;
int outlet_reply(Outlet *outlet, const LinkReply *reply) _must_check_;
/* Ends open()'s -EINPROGRESS. error != 0: it failed, `why` says how (copied). */
void outlet_offer(Outlet *outlet, int fd, Transport *transport, int error, const char *why);
/* Ends the session with a BYE; with `reconnect` at once again, else for good (disconnected() says OUTLET_OK
 * when that is done). */
void outlet_end(Outlet *outlet, LinkByeCode code, const char *reason, bool reconnect);
/* Has the peer judged again, as after a reload, and ends the session if it does not pass;
 * without a session, tries at once. */
void outlet_review(Outlet *outlet);
bool outlet_connected(const Outlet *outlet);
/* NULL: there is none. */
const Connection *outlet_connection(const Outlet *outlet);
const LinkSender *outlet_sender(const Outlet *outlet);
/* From open() or before outlet_offer(): whom it tries, for outlet_peer(). Copied, cut to OUTLET_PEER_MAX. */
void outlet_name_peer(Outlet *outlet, const char *name);
/* Likewise: what the peer is sent. Until then options.source may be NULL. */
void outlet_set_source(Outlet *outlet, Source *source);
/* "192.0.2.1:6560", or what open() last tried. */
const char *outlet_peer(const Outlet *outlet);
