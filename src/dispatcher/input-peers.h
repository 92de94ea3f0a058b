/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Producers that send commands, and aggregators, which take them for their clients. */

#include "dispatcher/commands.h"
#include "runtime/intake.h"

typedef struct InputPeer InputPeer;

typedef struct InputPeers {
        Commands *commands;
        LIST_HEAD(, InputPeer) list; /* those that have sent one, and aggregators */
} InputPeers;

/* For the intake's handler. An aggregator has connected: */
void input_peers_aggregator(InputPeers *peers, IntakeSession *session);
void input_peers_command(InputPeers *peers, IntakeSession *session, const LinkCommand *command);
void input_peers_reply(InputPeers *peers, const IntakeSession *session, const LinkReply *reply);
void input_peers_gone(InputPeers *peers, const IntakeSession *session);
