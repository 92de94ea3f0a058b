/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A session of an outlet: what the peer says, and what is said to it.
 *
 * A peer that only reads (OutletSpeech) is connected when its connection is, and that it has read is its
 * ack: looked at LOOK_USEC behind what was put, and whenever LOOK_BYTES were.
 */

#include "runtime/loop.h"
#include "runtime/outlet-private.h"
#include "runtime/outlet-trouble.h"

#include <stdio.h>

/* How much more than what is unread in the socket may be sent again to a peer that only reads. */
#define LOOK_USEC (100 * USEC_PER_MSEC)
#define LOOK_BYTES (64U * 1024U)

/* --- The sender's handler --- */

static Outlet *outlet_of(LinkSender *sender)
{
        return container_of(sender, Outlet, sender);
}

static void on_hello(LinkSender *sender, const LinkHello *hello, Buffer *output)
{
        Outlet *outlet = outlet_of(sender);
        _cleanup_(freep) char *why = NULL;
        Source *source = NULL;
        LinkByeCode code = outlet->options.handler->hello(outlet, hello, &source, &why);

        if (code == 0) {
                sender->source = outlet->options.source = source;
                return;
        }
        outlet_note_trouble(outlet, OUTLET_E_REFUSED, why ? why : "out of memory");
        (void) link_sender_end(sender, output, code, why ? why : "out of memory");
}

static void on_welcomed(LinkSender *sender, const LinkWelcome *welcome)
{
        Outlet *outlet = outlet_of(sender);

        outlet->phase = PHASE_CONNECTED;
        outlet->welcomed = true;
        outlet->backoff_usec = outlet->options.backoff_min_usec;
        outlet->acked = sender->acked;
        if (outlet->options.handler->connected)
                outlet->options.handler->connected(outlet, welcome);
}

static void on_acked(LinkSender *sender, uint64_t seq)
{
        Outlet *outlet = outlet_of(sender);

        outlet->acked = seq;
        if (outlet->options.handler->acked)
                outlet->options.handler->acked(outlet, seq);
}

static void on_diverged(LinkSender *sender, uint64_t peer_last)
{
        static const char why[] = "the peer knows this stream with another history";
        Outlet *outlet = outlet_of(sender);

        outlet_note_trouble(outlet, OUTLET_OK, why); /* no trouble of the connection's */
        outlet->at_once = true;
        outlet->acked = 0;
        if (outlet->options.handler->diverged)
                outlet->options.handler->diverged(outlet, peer_last);
}

static void on_receipt(LinkSender *sender, const LinkReceipt *receipt)
{
        Outlet *outlet = outlet_of(sender);

        if (outlet->options.handler->receipt)
                outlet->options.handler->receipt(outlet, receipt);
}

static void on_state(LinkSender *sender, const LinkState *state)
{
        Outlet *outlet = outlet_of(sender);

        if (outlet->options.handler->state)
                outlet->options.handler->state(outlet, state);
}

static void on_command(LinkSender *sender, const LinkCommand *command)
{
        Outlet *outlet = outlet_of(sender);

        if (outlet->options.handler->command)
                outlet->options.handler->command(outlet, command);
}

static void on_reply(LinkSender *sender, const LinkReply *reply)
{
        Outlet *outlet = outlet_of(sender);

        if (outlet->options.handler->reply)
                outlet->options.handler->reply(outlet, reply);
}

static bool on_payload(LinkSender *sender, const uint8_t *data, size_t size)
{
        return connection_send(outlet_of(sender)->connection, data, size);
}

static void on_bye(LinkSender *sender, const LinkBye *bye)
{
        Outlet *outlet = outlet_of(sender);
        uint64_t retry_after = bye->retry_after_msec * USEC_PER_MSEC;
        _cleanup_(freep) char *why = NULL;

        /* The peer may slow us down, not switch us off. */
        outlet->retry_after_usec = MIN(retry_after, outlet->options.backoff_max_usec);
        why = strndup(bye->reason.data, bye->reason.size);
        outlet->at_once = bye->code == LINK_BYE_RESUME;
        outlet_note_trouble(outlet, outlet_trouble_of_bye(bye->code), why ? why : "out of memory");
}

const LinkSenderHandler outlet_sender_handler = {
        .hello = on_hello,
        .welcomed = on_welcomed,
        .acked = on_acked,
        .diverged = on_diverged,
        .receipt = on_receipt,
        .state = on_state,
        .command = on_command,
        .reply = on_reply,
        .payload = on_payload,
        .bye = on_bye,
};

/* --- The connection's handler --- */

/* How far has a peer that only reads come? A peer that is gone is left to closed(). */
void outlet_look(Outlet *outlet)
{
        size_t unread;
        uint64_t seq;

        outlet->unlooked = 0;
        outlet->deadline_usec = USEC_INFINITY;
        if (connection_unread(outlet->connection, &unread) < 0)
                return;
        if (unread > 0)
                outlet->deadline_usec = monotonic_usec() + LOOK_USEC;
        seq = outlet->options.speech->look(outlet->options.speaker, unread);
        if (seq == outlet->acked)
                return;
        outlet->acked = seq;
        outlet->backoff_usec = outlet->options.backoff_min_usec;
        if (outlet->options.handler->acked)
                outlet->options.handler->acked(outlet, seq);
}

static int speak(Outlet *outlet)
{
        Buffer *output = connection_output(outlet->connection);
        size_t before = buffer_size(output);
        int r = outlet->options.speech->fill(outlet->options.speaker, output);

        if (outlet->deadline_usec == USEC_INFINITY)
                outlet->deadline_usec = monotonic_usec() + LOOK_USEC;
        outlet->unlooked += buffer_size(output) - before;
        if (outlet->unlooked >= LOOK_BYTES)
                outlet_look(outlet);
        return r;
}

/* Returns 1 when there is more than is put at once, else 0, also when the session ended over it. */
static int fill(Outlet *outlet)
{
        int r = outlet->options.speech ? speak(outlet)
                                       : link_sender_fill(&outlet->sender,
                                                          connection_output(outlet->connection),
                                                          monotonic_usec());
        char why[128];

        if (r >= 0)
                return r;
        (void) snprintf(why, sizeof why, "the sender cannot read its own buffer: %s", strerror(-r));
        outlet_end_session(outlet, LINK_BYE_INTERNAL, OUTLET_E_SOURCE, why);
        return 0;
}

void outlet_send(Outlet *outlet)
{
        if (fill(outlet) > 0)
                connection_refill(outlet->connection);
        connection_flush(outlet->connection);
}

static void begin_speech(Outlet *outlet)
{
        connection_only_write(outlet->connection);
        outlet->phase = PHASE_CONNECTED;
        outlet->deadline_usec = USEC_INFINITY;
        outlet->unlooked = 0;
        outlet->acked = outlet->options.speech->begin(outlet->options.speaker);
        if (outlet->options.handler->connected)
                outlet->options.handler->connected(outlet, NULL);
}

static void offer_compression(Outlet *outlet)
{
        OutletCompress compress = outlet->options.compress;
        bool offered = compress == OUTLET_COMPRESS_YES ||
                       (compress == OUTLET_COMPRESS_AUTO && !connection_loopback(outlet->connection));

        if (offered)
                outlet->sender.features |= LINK_FEATURE_ZSTD;
        else
                outlet->sender.features &= (uint16_t) ~LINK_FEATURE_ZSTD;
}

int outlet_judge(Outlet *outlet, char **ret_why)
{
        Transport *transport = connection_transport(outlet->connection);

        if (!transport || !outlet->options.handler->judge)
                return 0;
        return outlet->options.handler->judge(outlet, transport, ret_why);
}

/* Whoever it is, he is told why. */
static void refuse_peer(Outlet *outlet, const char *why)
{
        LinkBye bye = { .code = LINK_BYE_CERTIFICATE, .reason = link_string(why) };

        outlet_note_trouble(outlet, OUTLET_E_TLS, why);
        /* Without memory for it the peer gets the EOF alone. */
        (void) !frame_put_bye(connection_output(outlet->connection), &bye);
        outlet_finish(outlet);
}

static int on_established(Connection *connection)
{
        Outlet *outlet = connection_userdata(connection);
        _cleanup_(freep) char *why = NULL;
        int r;

        outlet->established = true;
        outlet->deadline_usec = monotonic_usec() + outlet->options.connect_usec;
        outlet_arm(outlet);
        outlet_name_peer(outlet, connection_peer(connection));
        r = outlet_judge(outlet, &why);
        if (r < 0) {
                refuse_peer(outlet, why ? why : strerror(-r));
                return 0;
        }
        if (outlet->options.speech) {
                begin_speech(outlet);
                return 0;
        }
        offer_compression(outlet);
        if (outlet->accepted) {
                link_sender_accept(&outlet->sender);
                return 0;
        }
        /* Whose commands are taken is to be known; it is not who listens, where PID 1 does. */
        if (outlet->options.handler->command)
                connection_watch(connection);
        return link_sender_start(&outlet->sender, connection_output(connection), monotonic_usec());
}

/* A feed failed; a BYE that says so is in the output. */
static void note_failure(Outlet *outlet, int error)
{
        const char *why = outlet->sender.why;

        if (error == -EBADMSG)
                outlet_note_trouble(outlet, OUTLET_E_PROTOCOL, why ? why : "bad framing");
        else if (error == -EPROTONOSUPPORT)
                outlet_note_trouble(outlet, OUTLET_E_REFUSED, why ? why : "no common version");
        else
                outlet_note_trouble(outlet, OUTLET_E_SOURCE, strerror(-error));
}

static int on_received(Connection *connection, Buffer *input)
{
        Outlet *outlet = connection_userdata(connection);
        ssize_t n;

        if (outlet->phase != PHASE_CONNECTING && outlet->phase != PHASE_CONNECTED) {
                buffer_consume(input, buffer_size(input));
                return 0;
        }
        n = link_sender_feed(&outlet->sender, buffer_head(input), buffer_size(input),
                             connection_output(connection), monotonic_usec());
        if (n < 0)
                note_failure(outlet, (int) n);
        else
                buffer_consume(input, (size_t) n);
        if (outlet->phase == PHASE_FINISHING)
                return 0;
        if (n < 0 || outlet->sender.state == LINK_SENDER_ENDED) {
                outlet_finish(outlet);
                return 0;
        }
        if (outlet->phase == PHASE_CONNECTED) {
                outlet_send(outlet);
                outlet_arm(outlet);
        }
        return 0;
}

static int on_drained(Connection *connection, Buffer *output)
{
        Outlet *outlet = connection_userdata(connection);

        int r;

        if (outlet->phase != PHASE_CONNECTED)
                return 0;
        r = fill(outlet);
        outlet_arm(outlet);
        return r;
}

static void on_closed(Connection *connection, int error, const char *why)
{
        Outlet *outlet = connection_userdata(connection);
        OutletTrouble trouble = outlet_trouble_of_error(error, connection_transport(connection));

        if (!why)
                why = error == 0 ? "the peer closed the connection" : strerror(-error);
        outlet_note_trouble(outlet, trouble, why);
        outlet->connection = connection_free(connection);
        outlet_over(outlet);
        if (outlet->accepted && outlet->options.handler->ended)
                outlet->options.handler->ended(outlet); /* it may be gone now */
}

const ConnectionHandler outlet_connection_handler = {
        .established = on_established,
        .received = on_received,
        .drained = on_drained,
        .closed = on_closed,
};
