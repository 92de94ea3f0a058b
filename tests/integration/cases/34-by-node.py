# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layout=by-node: a store for each node, byte for byte; one that has used up NodeMaxUse= waits alone, and goes on when there is room.

The layout is changed while both clients have records on their way, and changed back: nothing is missing, nothing comes twice.
"""

from harness.machine import until
from harness.records import as_stored, first_difference, records
from harness.relay import AGGREGATOR, LOG, REMOTE
from harness.states import watch

# The collector's host is the second client.
CONF = "/etc/audit-relay/aggregator.conf.d/50-by-node.conf"
REMOTE_CONF = "/etc/audit-relay/remote.conf"
CLIENT_TARGET = "audit-relay-client.target"
BY_NODE = "[Aggregator]\nName=central\nLayout=by-node\nSpaceLeft=0\n"


def text_of(t, node):
    found = sorted(t.collector.path(f"{LOG}/{node}").glob("[0-9]*.log"), key=lambda path: int(path.name.split(".")[0]))
    return b"".join(path.read_bytes() for path in found)


def expect(t, node, expected):
    until(lambda: len(text_of(t, node)) >= len(expected), f"all records of {node}")
    difference = first_difference(expected, text_of(t, node))
    assert difference is None, difference


def set_up(t, settings):
    t.collector.write(CONF, settings)
    t.collector.systemctl("restart", AGGREGATOR)


def over_quota(t, stored):
    """It is stored up to the quota and not acked beyond; the other one is not concerned."""
    with watch(t, "aggregator/node_low", "aggregator/node_full") as w:
        lines = records(8000, "too-much", size=267)
        t.collector.sh(["audit-relay", "send"], data=lines)
        w.begun("aggregator/node_low", "DIRECTORY")
        w.begun("aggregator/node_full", "DIRECTORY")
        mine = records(500, "not-concerned")
        t.send(mine)
        stored["client"] += as_stored(mine)
        expect(t, "client", stored["client"])
        assert not t.conditions("remote"), t.conditions("remote")
        assert "disk_full" not in t.conditions("aggregator")
        waiting = t.collector.path("/run/audit-relay/state/remote")
        until(lambda: (waiting / "collector_disk_full").exists(), "the other one is told")
        assert len(text_of(t, "collector")) < 1 << 20
        # Room is made.
        set_up(t, BY_NODE + "NodeMaxUse=64M\n")
        stored["collector"] += as_stored(lines, "collector")
        expect(t, "collector", stored["collector"])
        until(lambda: not (waiting / "collector_disk_full").exists(), "it goes on")


def story(t):
    first = records(50, "blended")
    t.send(first)
    t.expect_stored(first)
    t.collector.write(REMOTE_CONF, "[Remote]\nCollector=collector\n")
    t.collector.systemctl("start", CLIENT_TARGET)
    until(lambda: t.collector.is_active(REMOTE), "the second client runs")

    set_up(t, BY_NODE + "NodeMaxUse=1M\n")
    stored = {}
    for node, host in ("client", t.client), ("collector", t.collector):
        lines = records(300, f"of-{node}")
        host.sh(["audit-relay", "send"], data=lines)
        stored[node] = as_stored(lines, node)
    for node, text in stored.items():
        expect(t, node, text)
    over_quota(t, stored)
    found = t.collector.sh(f"audit-relay log --store {LOG} --type USER").encode()
    for tag, count in ("of-client ", 300), ("of-collector ", 300), ("too-much ", 8000), ("blended ", 50):
        assert found.count(f"op={tag}".encode()) == count, (tag, found.count(f"op={tag}".encode()))

    # And back.
    t.collector.systemctl("stop", CLIENT_TARGET)
    t.collector.remove(CONF)
    t.collector.systemctl("restart", AGGREGATOR)
    last = records(50, "blended-again")
    t.send(last)
    t.expect_stored(last)
    expect(t, "client", stored["client"])
    t.collector.sh(f"rm -rf {LOG}/client {LOG}/collector {LOG}/central {REMOTE_CONF} /var/lib/audit-relay/remote/*")
