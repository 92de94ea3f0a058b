# SPDX-License-Identifier: LGPL-2.1-or-later
"""stop takes a collector and a client down in order; what is left it says by number, and nothing is missing after the next start.

The collector first, so that the client has records that nobody takes; no unit of either runs afterwards, nor comes back by a socket.
"""

import json

from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR, DISPATCHER, REMOTE


def running(host):
    return host.sh("systemctl list-units --plain --no-legend --state=active,activating 'audit-relay-*'")


def story(t):
    t.collector.sh("audit-relay stop --collector")
    assert not running(t.collector)
    lines = records(100, "stopped")
    t.send(lines)
    t.expect_counter("remote", "waiting_records", 100)
    status, output = t.client.sh("audit-relay stop --json --timeout=2", status=True)
    steps = {step["step"]: step for step in json.loads(output)}
    assert status == 3 and all(step["stopped"] for step in steps.values()), (status, output)
    assert steps["the dispatcher"]["left"] == 0 and steps["remote"]["left"] == 100, output
    assert not running(t.client)

    t.collector.systemctl("start", "audit-relay-collector.target")
    t.client.systemctl("start", "audit-relay-client.target")
    t.expect_stored(lines)
    for unit in AGGREGATOR, DISPATCHER, REMOTE:
        until(lambda: t.host_of(unit).is_active(unit), f"{unit} runs")
