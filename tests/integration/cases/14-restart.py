# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each program, and at last everything, is restarted in order while records flow, as an upgrade does: all are stored, in order.

The client target's restart leaves the sockets open, so that the producer does not even notice.
"""

import time

from harness.load import SteadyLoad
from harness.relay import AGGREGATOR, DISPATCHER, REMOTE


def story(t):
    load = SteadyLoad(t)
    try:
        for unit in DISPATCHER, REMOTE, AGGREGATOR, "audit-relay-client.target", "audit-relay-collector.target":
            time.sleep(0.2)
            t.host_of(unit).systemctl("restart", unit)
    finally:
        sent = load.stop()
    t.expect_stored(sent)
