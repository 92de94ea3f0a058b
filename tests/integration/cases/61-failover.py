# SPDX-License-Identifier: LGPL-2.1-or-later
"""A collector is stopped: its client goes to the next one at once, and comes back when it is there again; nothing is missing anywhere.

Then it is killed under load. Each record is in one of the two logs, and in each store each seq is there or explained.
"""

from harness.load import SteadyLoad
from harness.machine import until
from harness.records import as_stored, records
from harness.relay import AGGREGATOR
from harness.second import expect_explained, expect_once, two_collectors

NAME = "spare"


def story(t):
    with two_collectors(t, NAME, "FailBackSec=1s\n") as second:
        before = records(100, "before")
        t.send(before)
        t.expect_stored(before)

        t.collector.systemctl("stop", "audit-relay-collector.target")
        why = t.expect_condition("remote", "failed_over")
        assert f"COLLECTOR={NAME}\n" in why and "collector: " in why, why
        assert set(t.conditions("remote")) == {"failed_over"}, t.conditions("remote")
        away = records(100, "away")
        t.send(away)
        second.expect_stored(away)
        assert not second.has(before), "what the first has was sent to the second"

        t.collector.systemctl("start", "audit-relay-collector.target")
        t.expect_condition("remote", "failed_over", holds=False)
        back = records(100, "back")
        t.send(back)
        t.expect_stored(back)
        assert not second.has(back) and b"op=away" not in t.stored_since()
        t.expect_counter("remote", "failovers", 2)

        load = SteadyLoad(t)
        until(lambda: t.stored_since().count(b"op=steady") > 1000, "records are on their way")
        t.collector.kill(AGGREGATOR)
        t.expect_condition("remote", "failed_over")
        until(lambda: second.stored().count(b"op=steady") > 1000, "they go to the second")
        t.expect_condition("remote", "failed_over", holds=False)
        sent = load.stop()
        expected = as_stored(sent).splitlines()

        def rest():
            return set(expected) - set(t.stored().splitlines()) - set(second.stored().splitlines())

        until(lambda: not rest(), "each record is at one of the two")
        expect_once(expected, t, second)
        expect_explained(t, second)
