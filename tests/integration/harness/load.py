# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs under load."""

import threading
import time

from .records import records

KILLS = 10
# A steady stream of about 40,000 records a second: each kill meets records on their way, in every program.
BLOCK, PAUSE_SEC = 200, 0.005


class SteadyLoad:
    """One `audit-relay send` that is fed until stop()."""

    def __init__(self, t):
        self.sender = t.send_from_pipe()
        self.sent = []
        self.stopped = threading.Event()
        self.feeder = threading.Thread(target=self.feed)
        self.feeder.start()

    def feed(self):
        while not self.stopped.wait(PAUSE_SEC):
            block = records(BLOCK, "steady", size=267)
            self.sender.stdin.write(block)
            self.sent.append(block)
        self.sender.stdin.close()

    def stop(self):
        """Everything that was sent, once the dispatcher has acked it."""
        self.stopped.set()
        self.feeder.join(60)
        output = self.sender.stdout.read().decode()
        status = self.sender.wait(60)
        assert status == 0 and not self.feeder.is_alive(), f"audit-relay send ended with {status}:\n{output}"
        return b"".join(self.sent)


def kill_under_load(t, unit):
    """Kills the program again and again while records flow, then compares the collector's log with what was sent."""
    load = SteadyLoad(t)
    try:
        for kill in range(KILLS):
            # Each at another moment; the outcome must not depend on it.
            time.sleep(0.1 + 0.013 * kill)
            t.kill_program(unit)
    finally:
        sent = load.stop()
    t.expect_stored(sent)
