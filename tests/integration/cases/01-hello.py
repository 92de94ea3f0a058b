# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two targets enabled, one record sent: it is in the collector's log, with the client's name.

Everything an administrator has typed is in harness/relay.py: three lines for the certificates, one line of configuration on the
client, two `systemctl enable --now`.
"""

import re

from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR, DISPATCHER, LOG, REMOTE

STARTED = "4a1426cf15ec46268a09127c09b6e1ac"
STATUS_LINES = {
    DISPATCHER: r"no kernel, \d+ records, remote acked",
    REMOTE: r"connected to collector \(.*\), 0 records waiting",
    AGGREGATOR: r"\d+ connections, \d+ records taken",
}


def story(t):
    for unit in DISPATCHER, REMOTE, AGGREGATOR:
        assert t.host_of(unit).is_active(unit), f"{unit} is not running"
    hello = records(1, "hello")
    t.send(hello)
    t.expect_stored(hello)
    # audit.log is the open segment, for people, once its first records are durable.
    until(t.collector.path(f"{LOG}/audit.log").exists, "audit.log")
    assert t.collector.read(f"{LOG}/audit.log") == t.segments()[-1].read_bytes()
    # What `systemctl status` shows of each.
    for unit, line in STATUS_LINES.items():
        until(lambda: re.fullmatch(line, t.host_of(unit).show(unit, "StatusText")), f"{unit}'s status is like {line}")
    # What its messages mean, and what to do (a package has this run by a trigger).
    t.client.sh("journalctl --update-catalog")
    explained = t.client.sh(f"journalctl --no-pager --catalog --lines=1 _SYSTEMD_UNIT={DISPATCHER} MESSAGE_ID={STARTED}")
    assert "The program is ready: it has its descriptors" in explained and "Nothing need be done." in explained, explained
    # Lines that come later go to the same place, in order.
    more = records(1000, "hello-again")
    t.send(more)
    t.expect_stored(more)
