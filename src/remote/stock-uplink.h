/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way to a stock auditd (Protocol=auditd): what uplink is to a collector that speaks the link. */

#include "remote/config.h"
#include "runtime/state.h"
#include "runtime/store-loop.h"

typedef struct StockUplink StockUplink;

int stock_uplink_new(sd_event *event, const RemoteConfig *config, const char *node, State *state,
                     StoreLoop *store, StockUplink **ret) _must_check_;
StockUplink *stock_uplink_free(StockUplink *uplink);
DEFINE_CLEANUP(StockUplink *, stock_uplink_free)

/* More has become durable. */
void stock_uplink_wake(StockUplink *uplink);
/* For good. */
void stock_uplink_stop(StockUplink *uplink);
/* Call once a second. */
void stock_uplink_tick(StockUplink *uplink);
/* Writes its metrics into the status being written. */
void stock_uplink_status(StockUplink *uplink);
/* "connected to auditd 192.0.2.1:60, whose ack is no custody", for people; valid until the next call. */
const char *stock_uplink_describe(StockUplink *uplink);
