# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client with a good certificate speaks for another node: the collector takes nothing from it and says whose name it is.

The certificate names "other"; remote is configured to be node "client". With its own certificate again, they arrive.
"""

from harness.records import records
from harness.relay import AGGREGATOR, CA, REMOTE

NODE_CONF = "/etc/audit-relay/remote.conf.d/50-node.conf"


def story(t):
    t.collector.sh(f"audit-relay cert client other --dir {CA}")
    t.restart_log(AGGREGATOR)
    refused = t.counter_settled("aggregator", "nodes_refused")
    since = t.collector.journal_now()

    t.client.write(NODE_CONF, "[Remote]\nNode=client\n")
    t.install_certificate(t.client, "other")
    t.client.systemctl("restart", REMOTE)
    waiting = records(100, "wrong-node")
    t.send(waiting)
    reason = t.expect_condition("remote", "refused")
    assert "other" in reason, f"the condition does not say whose certificate it is: {reason}"
    t.expect_counter("aggregator", "nodes_refused", refused + 1)
    t.collector.expect_journal(AGGREGATOR, "other", since)
    assert not t.stored_since(), "records of a foreign node were stored"

    t.install_certificate(t.client, "client")
    t.client.systemctl("reload", REMOTE)
    t.expect_stored(waiting)
    t.expect_condition("remote", "refused", holds=False)
    t.client.remove(NODE_CONF)
