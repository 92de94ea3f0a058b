# SPDX-License-Identifier: LGPL-2.1-or-later
"""A service that knows nothing of ours sends its last records as it is stopped by the host's shutdown: they are at the collector, and the host
comes up again as one that was shut down in order.

Dispatcher and remote stop after all ordinary services, so no order between them need be written anywhere.
"""

from harness.machine import until
from harness.records import records
from harness.relay import DISPATCHER, REMOTE

UNIT = "/etc/systemd/system/late.service"
LINES = "/etc/late.lines"
SERVICE = f"""[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=true
ExecStop=/bin/sh -c 'audit-relay send <{LINES}'
[Install]
WantedBy=multi-user.target
"""


def story(t):
    t.client.write(UNIT, SERVICE)
    t.client.systemctl("enable", "--now", "late.service")
    for tag in "first", "second":
        lines = records(1000, f"late-{tag}")
        t.client.write(LINES, lines)
        t.client.power_off()
        t.client.power_on()
        for unit in DISPATCHER, REMOTE:
            until(lambda: t.client.is_active(unit), f"{unit} runs after the boot")
        t.expect_stored(lines)
    t.client.write(LINES, "")
    t.client.systemctl("disable", "--now", "late.service")
    t.client.remove(UNIT)
    t.client.systemctl("daemon-reload")
