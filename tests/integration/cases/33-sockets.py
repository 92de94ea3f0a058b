# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sockets belong to whom they are for: remote's to the dispatcher alone, the input to the group that may inject records."""

from harness.machine import until
from harness.records import records


def story(t):
    mode = t.client.sh(["stat", "--format=%a %U", "/run/audit-relay/remote"]).strip()
    assert mode == "600 audit-relay-dispatcher", mode
    mode = t.client.sh(["stat", "--format=%a %G", "/run/audit-relay/input"]).strip()
    assert mode == "660 audit-relay", mode
    lines = records(10, "still-delivered")
    t.send(lines)
    t.expect_stored(lines)
    until(lambda: t.counter("dispatcher", "subscriber_connected") == 1, "the dispatcher is connected")
