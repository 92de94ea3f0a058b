# SPDX-License-Identifier: LGPL-2.1-or-later
"""Subscribers come and go at run time, from now on, from the oldest record or behind their cursor, while the dispatcher is killed.

Each gets every record from where it began, in order and once; one that was away while the dispatcher died goes on where it left. A
filter that nobody can read is refused with the word that is wrong.
"""

import time

from harness.load import SteadyLoad
from harness.machine import until
from harness.readers import Puller, readers_connected
from harness.records import as_stored, first_difference, records
from harness.relay import DISPATCHER


def expect(puller, expected, what):
    until(lambda: puller.found().endswith(expected[-100:]), f"all records at the subscriber {what}")


def story(t):
    before = records(500, "before")
    t.send(before)
    t.expect_stored(before)
    with Puller(t, "now") as now, Puller(t, "oldest", cursor=True) as oldest, Puller(t, "now", filter="CWD ~USER") as none:
        readers_connected(t, "subscribe", 3)
        load = SteadyLoad(t)
        try:
            for kill in range(4):
                time.sleep(0.2 + 0.017 * kill)
                if kill == 2:
                    oldest.stop()
                t.kill_program(DISPATCHER)
            oldest.start()
            time.sleep(0.2)
        finally:
            sent = as_stored(load.stop())
        expect(now, sent, "from now on")
        difference = first_difference(sent, now.found())
        assert difference is None, difference
        expect(oldest, sent, "from the oldest on")
        found = oldest.found()
        assert b"LOST" not in found
        difference = first_difference(as_stored(before) + sent, found[found.index(as_stored(before)):])
        assert difference is None, difference
        assert none.found() == b"", none.found()[:200]
    t.stored_since()
    t.skip_stored()
    with Puller(t, "now", filter="AVC no-such-type") as refused:
        assert refused.process.wait(20) == 2
        why = refused.process.stderr.read().decode()
        assert "no-such-type" in why, why
    readers_connected(t, "subscribe", 0)
