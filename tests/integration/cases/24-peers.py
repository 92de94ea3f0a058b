# SPDX-License-Identifier: LGPL-2.1-or-later
"""A file in peers.d refuses a connected client: BYE with the file's name; its records wait, and the list of peers says so.

When the file is gone it delivers again, and nothing is missing. PeersRequired= lets in only whom a file names. With Forget= its streams
leave the table.
"""

import json

from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR

PEERS = "/etc/audit-relay/peers.d"
CONF = "/etc/audit-relay/aggregator.conf.d/50-required.conf"


def peers(t):
    return {p["node"]: p for p in json.loads(t.collector.sh("audit-relay status --peers --json"))}


def expect_state(t, state):
    return until(lambda: (found := peers(t).get("client")) and found["state"] == state and found, f"client is {state}")


def story(t):
    first = records(50, "welcome")
    t.send(first)
    t.expect_stored(first)
    found = until(lambda: (p := expect_state(t, "connected"))["records_total"] >= 50 and p, "its records are counted")
    assert found["address"] == t.client.address and found["certificate_days"] > 800, found

    t.collector.write(f"{PEERS}/client.conf", "[Peer]\nAction=refuse\n")
    t.collector.systemctl("reload", AGGREGATOR)
    reason = t.expect_condition("remote", "refused")
    assert f"{PEERS}/client.conf" in reason, reason
    waiting = records(50, "refused")
    t.send(waiting)
    assert expect_state(t, "refused")["seq"] >= found["seq"]
    assert not t.stored_since(), "records were taken of a peer that is refused"

    # Its position is kept, so that nothing comes twice when it is welcome again.
    t.collector.remove(f"{PEERS}/client.conf")
    t.collector.write(CONF, "[Aggregator]\nPeersRequired=yes\n")
    t.collector.systemctl("restart", AGGREGATOR)
    until(lambda: "PeersRequired" in str(t.conditions("remote").get("refused")), "refused for want of a file")
    t.collector.write(f"{PEERS}/any.conf", "[Peer]\nName=CLIENT\n")
    t.collector.systemctl("reload", AGGREGATOR)
    t.expect_stored(waiting)
    t.expect_condition("remote", "refused", holds=False)
    expect_state(t, "connected")

    # Forgotten: the list does not have it any more, its records stay.
    t.collector.write(f"{PEERS}/any.conf", "[Peer]\nName=client\nAction=refuse\nForget=yes\n")
    t.collector.systemctl("reload", AGGREGATOR)
    until(lambda: "client" not in peers(t), "the peer is forgotten")
    assert waiting.splitlines()[-1][-20:] in t.stored(), "what it delivered is gone"

    # Were it to come back, it would deliver again what it still holds, and then all that is new.
    t.collector.remove(f"{PEERS}/any.conf")
    t.collector.remove(CONF)
    t.collector.systemctl("restart", AGGREGATOR)
    t.send(records(1, "another-life"))
    t.expect_others("op=another-life")
