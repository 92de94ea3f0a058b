/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Commands: who asks what of whom. Each is judged (policy, form, rate), recorded in the ring, done here or
 * passed on to the subscribers that take commands, and answered. docs/commands.md tells the rest.
 */

#include "dispatcher/command-policy.h"
#include "dispatcher/command-sender.h"
#include "dispatcher/command-verb.h"
#include "ring/ring.h"
#include "runtime/connection.h"
#include "runtime/state.h"

#include <sys/queue.h>

typedef struct Commands Commands;
typedef struct CommandPeer CommandPeer;

typedef enum CommandVia {
        COMMAND_VIA_PUSH,  /* a subscriber that we connect to */
        COMMAND_VIA_PULL,  /* a subscriber that connects to us */
        COMMAND_VIA_INPUT, /* a producer */
} CommandVia;

typedef struct CommandPeerHandler {
        /* Whether COMMANDs may be sent to it now; NULL: never. */
        bool (*takes)(const CommandPeer *peer);
        int (*command)(CommandPeer *peer, const LinkCommand *command);
        int (*reply)(CommandPeer *peer, const LinkReply *reply);
        /* Sends it nothing until then (monotonic; 0: from now on again). NULL: it is no subscriber. */
        void (*pause)(CommandPeer *peer, uint64_t until_usec);
        /* Its connection. Called only for one that has just sent a command. */
        const Connection *(*connection)(const CommandPeer *peer);
} CommandPeerHandler;

/* Somebody who sends or takes commands; embedded in what is known of it. */
struct CommandPeer {
        const CommandPeerHandler *handler;
        CommandVia via;
        const char *name;   /* a push subscriber's; what the others call themselves */
        char *const *verbs; /* a push subscriber's, that it may send */
        bool aggregator;    /* it has clients on other hosts */
        LIST_ENTRY(CommandPeer) peers;
};

typedef struct CommandsOptions {
        sd_event *event;
        Ring *ring;
        State *state;
        uint64_t (*monotonic_usec)(void);
        void (*published)(void *userdata); /* from the loop: subscribers have more */
        void *userdata;
} CommandsOptions;

int commands_new(const CommandsOptions *options, Commands **ret) _must_check_;
/* After commands_detach() of all peers. */
Commands *commands_free(Commands *commands);
DEFINE_CLEANUP(Commands *, commands_free)

/* What dispatcher.conf grants, at start and after a reload; taken over. */
void commands_set_policy(Commands *commands, CommandPolicy *policy);

/* The peer's fields but `peers` are set. */
void commands_attach(Commands *commands, CommandPeer *peer);
void commands_detach(Commands *commands, CommandPeer *peer);
/* Its session has ended; the peer may come back. */
void commands_disconnected(Commands *commands, CommandPeer *peer);

void commands_take(Commands *commands, CommandPeer *peer, const LinkCommand *frame);
void commands_reply(Commands *commands, CommandPeer *peer, const LinkReply *reply);

/* Once a second. */
void commands_tick(Commands *commands);
/* Writes its metrics into the status being written. */
void commands_status(const Commands *commands);
