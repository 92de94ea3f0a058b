# SPDX-License-Identifier: LGPL-2.1-or-later
"""A condition starts its reaction once, and ends it once: the collector is away, an administrator's drop-in notes it.

audit-relay-state@remote-network_down.path watches for the condition's file; its service lives as long as that.
"""

from harness.machine import until
from harness.relay import AGGREGATOR

DROP_IN = """[Service]
ExecStartPre=+/bin/sh -c 'echo begin >>/root/reactions'
ExecStopPost=+/bin/sh -c 'echo end >>/root/reactions'
"""
UNIT = "audit-relay-state@remote-network_down"
TIMES = 3


def story(t):
    t.client.write(f"/etc/systemd/system/{UNIT}.service.d/note.conf", DROP_IN)
    t.client.systemctl("daemon-reload")
    t.client.systemctl("enable", "--now", f"{UNIT}.path")
    for _ in range(TIMES):
        t.collector.systemctl("stop", "audit-relay-collector.target")
        t.expect_condition("remote", "network_down")
        until(lambda: t.client.is_active(f"{UNIT}.service"), "the reaction lives")
        t.collector.systemctl("start", "audit-relay-collector.target")
        t.expect_condition("remote", "network_down", holds=False)
        until(lambda: not t.client.is_active(f"{UNIT}.service"), "the reaction has ended")
    until(lambda: t.collector.is_active(AGGREGATOR), "the aggregator runs")
    noted = t.client.read("/root/reactions").decode().split()
    assert noted == ["begin", "end"] * TIMES, f"reactions: {noted}"
    assert t.client.is_active(f"{UNIT}.path")
    t.client.systemctl("disable", "--now", f"{UNIT}.path")
