# SPDX-License-Identifier: LGPL-2.1-or-later
"""A collector whose disk is full is left for the next one; when it has room again its client comes back. Nothing is missing anywhere."""

from harness.machine import until
from harness.records import as_stored, records
from harness.relay import AGGREGATOR
from harness.second import expect_explained, expect_once, two_collectors

NAME = "roomy"
CONF = "/etc/audit-relay/aggregator.conf.d/full.conf"
MIB = 1 << 20


def bound(t, use_max):
    """Full is where this bound is reached."""
    t.collector.write(CONF, f"[Aggregator]\nMaxUse={use_max}\nWhenFull=block\n")
    t.collector.systemctl("restart", AGGREGATOR)


def story(t):
    # What other cases left, and room for half of what is sent.
    bound(t, int(t.counter_settled("aggregator", "store_bytes")) + 2 * MIB)
    with two_collectors(t, NAME, "FailBackSec=1s\n") as second:
        first = records(100, "first")
        t.send(first)
        t.expect_stored(first)

        lines = records(20_000, "too-much", size=267)
        t.send(lines)
        why = t.expect_condition("remote", "failed_over")
        assert f"COLLECTOR={NAME}\n" in why and "collector: Its disk is full" in why, why
        mine = set(as_stored(lines).splitlines())

        def rest():
            return mine - set(t.stored().splitlines()) - set(second.stored().splitlines())

        until(lambda: not rest(), "each record is at one of the two")
        assert mine & set(t.stored().splitlines()), "the first took nothing at all"

        bound(t, 0)
        t.expect_condition("remote", "failed_over", holds=False)
        back = records(100, "back")
        t.skip_stored()
        t.send(back)
        t.expect_stored(back)
        assert not second.has(back)
        expect_once(mine, t, second)
        expect_explained(t, second)
    t.collector.remove(CONF)
    t.collector.systemctl("restart", AGGREGATOR)
