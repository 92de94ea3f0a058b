# SPDX-License-Identifier: LGPL-2.1-or-later
"""The loop feeds systemd's watchdog while records flow without a pause; a program that hangs is ended by it, and its successor goes on where
it stood.

Of the one that hangs the time is shorter than what ships (30 s), as nobody wants to wait for it here.
"""

from harness.load import SteadyLoad
from harness.machine import until
from harness.records import records
from harness.relay import DISPATCHER, REMOTE

DROP_IN = "/etc/systemd/system/{}.d/watchdog.conf"


def set_watchdog(host, unit, time):
    """From the next start on."""
    if time:
        # What the watchdog ends would leave a core.
        host.write(DROP_IN.format(unit), f"[Service]\nWatchdogSec={time}\nLimitCORE=0\n")
    else:
        host.remove(DROP_IN.format(unit))
    host.systemctl("daemon-reload")
    host.systemctl("restart", unit)
    until(lambda: host.is_active(unit), f"{unit} runs")


def fed(host, unit):
    return int(host.show(unit, "WatchdogTimestampMonotonic"))


def story(t):
    set_watchdog(t.client, DISPATCHER, "4s")  # fed each second: at each tick of the loop
    load = SteadyLoad(t)
    try:
        for _ in range(2):
            before = fed(t.client, DISPATCHER)
            until(lambda: fed(t.client, DISPATCHER) > before, "the watchdog is fed under load")
    finally:
        sent = load.stop()
    t.expect_stored(sent)

    set_watchdog(t.client, REMOTE, "1s")
    since = t.client.journal_now()
    before = t.client.pid(REMOTE)
    t.client.kill(REMOTE, "STOP")
    lines = records(100, "hangs")
    t.send(lines)
    until(lambda: t.client.active_pid(REMOTE) not in (0, before), "a new remote")
    t.client.expect_journal(REMOTE, "Watchdog timeout", since)
    t.expect_stored(lines)
    for unit in REMOTE, DISPATCHER:
        set_watchdog(t.client, unit, None)
