# SPDX-License-Identifier: LGPL-2.1-or-later
"""PID 1 is executed anew, reads its units anew, and each program its configuration, on both hosts while records flow: no program ends, no
socket is closed, all records are stored, once and in order.

The new PID 1 has the sockets of the one before: whoever is killed or restarted afterwards gets the same.
"""

from harness.load import SteadyLoad
from harness.machine import until
from harness.relay import AGGREGATOR, DISPATCHER, REMOTE

UNITS = DISPATCHER, REMOTE, AGGREGATOR
SOCKETS = "audit-relay-dispatcher.socket", "audit-relay-remote.socket", "audit-relay-aggregator.socket"


def story(t):
    def seen(units, field):
        return {unit: (t.collector if "aggregator" in unit else t.client).show(unit, field) for unit in units}

    pids, opened = seen(UNITS, "MainPID"), seen(SOCKETS, "InvocationID")
    assert all(opened.values()), opened
    load = SteadyLoad(t)
    try:
        for host in t.client, t.collector:
            for verb in "daemon-reexec", "daemon-reload", "daemon-reexec":
                host.systemctl(verb)
        for unit in UNITS:
            t.host_of(unit).systemctl("reload", unit)
        assert seen(UNITS, "MainPID") == pids, "a program was started again"
        t.kill_program(DISPATCHER)
        for unit in UNITS:
            t.host_of(unit).systemctl("restart", unit)
        until(lambda: all(t.host_of(unit).active_pid(unit) for unit in UNITS), "all run")
        assert seen(SOCKETS, "InvocationID") == opened, "a socket was closed"
    finally:
        sent = load.stop()
    t.expect_stored(sent)
