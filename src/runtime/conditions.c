/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/conditions.h"
#include "runtime/message-ids.h"

#include <stddef.h>
#include <string.h>
#include <syslog.h>

const Condition conditions[] = {
        { "remote", "network_down", LOG_WARNING, MESSAGE_ID_REMOTE_NETWORK_DOWN },
        { "remote", "network_timeout", LOG_WARNING, MESSAGE_ID_REMOTE_NETWORK_TIMEOUT },
        { "remote", "tls_refused", LOG_ERR, MESSAGE_ID_REMOTE_TLS_REFUSED },
        { "remote", "refused", LOG_ERR, MESSAGE_ID_REMOTE_REFUSED },
        { "remote", "stream_restarted", LOG_WARNING, MESSAGE_ID_REMOTE_STREAM_RESTARTED },
        { "remote", "failed_over", LOG_WARNING, MESSAGE_ID_REMOTE_FAILED_OVER },
        { "remote", "collector_set_back", LOG_WARNING, MESSAGE_ID_REMOTE_COLLECTOR_SET_BACK },
        { "remote", "collector_disk_low", LOG_WARNING, MESSAGE_ID_REMOTE_COLLECTOR_DISK_LOW },
        { "remote", "collector_disk_full", LOG_ERR, MESSAGE_ID_REMOTE_COLLECTOR_DISK_FULL },
        { "remote", "collector_disk_error", LOG_ERR, MESSAGE_ID_REMOTE_COLLECTOR_DISK_ERROR },
        { "remote", "collector_ending", LOG_WARNING, MESSAGE_ID_REMOTE_COLLECTOR_ENDING },
        { "remote", "collector_error", LOG_ERR, MESSAGE_ID_REMOTE_COLLECTOR_ERROR },
        { "remote", "spool_low", LOG_WARNING, MESSAGE_ID_REMOTE_SPOOL_LOW },
        { "remote", "spool_full", LOG_ERR, MESSAGE_ID_REMOTE_SPOOL_FULL },
        { "remote", "spool_dropping", LOG_ERR, MESSAGE_ID_REMOTE_SPOOL_DROPPING },
        { "remote", "spool_error", LOG_ERR, MESSAGE_ID_REMOTE_SPOOL_ERROR },
        { "remote", "store_damaged", LOG_ERR, MESSAGE_ID_REMOTE_STORE_DAMAGED },
        { "aggregator", "disk_low", LOG_WARNING, MESSAGE_ID_AGGREGATOR_DISK_LOW },
        { "aggregator", "disk_full", LOG_ERR, MESSAGE_ID_AGGREGATOR_DISK_FULL },
        { "aggregator", "disk_error", LOG_ERR, MESSAGE_ID_AGGREGATOR_DISK_ERROR },
        { "aggregator", "store_damaged", LOG_ERR, MESSAGE_ID_AGGREGATOR_STORE_DAMAGED },
        { "aggregator", "node_low", LOG_WARNING, MESSAGE_ID_AGGREGATOR_NODE_LOW },
        { "aggregator", "node_full", LOG_ERR, MESSAGE_ID_AGGREGATOR_NODE_FULL },
        { "aggregator", "overload", LOG_WARNING, MESSAGE_ID_AGGREGATOR_OVERLOAD },
        { "aggregator", "publish_failed", LOG_WARNING, MESSAGE_ID_AGGREGATOR_PUBLISH_FAILED },
        { "dispatcher", "ring_low", LOG_WARNING, MESSAGE_ID_DISPATCHER_RING_LOW },
        { "dispatcher", "ring_full", LOG_ERR, MESSAGE_ID_DISPATCHER_RING_FULL },
        { "dispatcher", "kernel_lost", LOG_ERR, MESSAGE_ID_DISPATCHER_KERNEL_LOST },
        { "dispatcher", "kernel_refused", LOG_ERR, MESSAGE_ID_DISPATCHER_KERNEL_REFUSED },
        { "dispatcher", "subscriber_dropping", LOG_WARNING, MESSAGE_ID_DISPATCHER_SUBSCRIBER_DROPPING },
        { NULL, NULL, 0, NULL },
};

const Condition *condition_find(const char *component, const char *name)
{
        for (const Condition *c = conditions; c->name; c++)
                if (strcmp(c->component, component) == 0 && strcmp(c->name, name) == 0)
                        return c;
        return NULL;
}
