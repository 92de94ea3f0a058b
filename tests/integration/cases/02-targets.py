# SPDX-License-Identifier: LGPL-2.1-or-later
"""The two targets are all there is to type: they start, stop and restart everything, and bring it back after a reboot.

A restart of the client target restarts the programs, but not the sockets: PID 1 keeps them, so what is queued in them is not
lost. After a reboot all is there again without a command, no job was left out of it for an ordering cycle, and the ring's death with
the machine harms nobody.
"""

from harness.boot import expect_no_cycles
from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR, DISPATCHER, REMOTE

SOCKETS = "audit-relay-dispatcher.socket", "audit-relay-remote.socket"


def inode(host, path):
    return host.path(path).stat().st_ino


def story(t):
    before = inode(t.client, "/run/audit-relay/input"), t.client.pid(DISPATCHER)
    t.client.systemctl("restart", "audit-relay-client.target")
    until(lambda: t.client.is_active(DISPATCHER) and t.client.is_active(REMOTE), "both programs are back")
    after = inode(t.client, "/run/audit-relay/input"), t.client.pid(DISPATCHER)
    assert after[0] == before[0], "the restart of the target made the input socket anew"
    assert after[1] != before[1], "the restart of the target did not restart the dispatcher"

    t.client.systemctl("stop", "audit-relay-client.target")
    for unit in DISPATCHER, REMOTE, *SOCKETS:
        until(lambda: not t.client.is_active(unit), f"{unit} stops with the target")
    t.client.systemctl("start", "audit-relay-client.target")
    lines = records(10, "after-restart")
    t.send(lines)
    t.expect_stored(lines)

    for host in t.client, t.collector:
        host.power_off()
        host.power_on()
    for unit in DISPATCHER, REMOTE, AGGREGATOR:
        until(lambda: t.host_of(unit).is_active(unit), f"{unit} runs after the reboot")
    for host in t.client, t.collector:
        expect_no_cycles(host)
    lines = records(10, "after-reboot")
    t.send(lines)
    t.expect_stored(lines)
