# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs under load."""

import time

from .records import records

KILLS = 10
# Enough that each of ten kills, half a second apart with the restart, meets records on their way.
RECORDS_PER_KILL = 10_000


def kill_under_load(t, unit):
    """Kills the program again and again while records flow, then compares the collector's log with what was sent."""
    sent = b""
    for kill in range(KILLS):
        lines = records(RECORDS_PER_KILL, f"kill-{kill}", size=267)
        sender = t.send_in_background(lines)
        # Each time at another moment of the way; the order of events is not what is checked, only the outcome.
        time.sleep(0.015 * kill)
        t.kill_program(unit)
        output, _ = sender.communicate(timeout=60)
        assert sender.returncode == 0, output.decode()
        sent += lines
    t.expect_stored(sent)
