/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Producers that send commands. */

#include "dispatcher/commands.h"
#include "runtime/intake.h"

typedef struct InputPeer InputPeer;

typedef struct InputPeers {
        Commands *commands;
        LIST_HEAD(, InputPeer) list; /* those that have sent one */
} InputPeers;

/* For the intake's handler. */
void input_peers_command(InputPeers *peers, IntakeSession *session, const LinkCommand *command);
void input_peers_gone(InputPeers *peers, const IntakeSession *session);
