# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad lines into the dispatcher's socket, among good ones: no record is invented, merged or split, and all else goes on.

A line that is no record and one that is too long are left out, counted and noted; CR and NUL inside become spaces, so that nobody
can forge a line; so does a line of another node.
"""

from harness.records import as_stored, records
from harness.relay import DISPATCHER

GOOD = b"type=USER msg=audit(1700000000.000:%d): op=good\n"
NO_RECORD = b"this is no audit record\n"
FORGED = b"type=USER msg=audit(1700000000.000:3): op=carriage\rtype=AVC msg=audit(1700000000.000:9): forged\x00end\n"
TOO_LONG = b"type=USER msg=audit(1700000000.000:5): op=" + b"x" * 20_000 + b"\n"
FOREIGN = b"node=other type=USER msg=audit(1700000000.000:7): op=foreign\n"
NO_END = b"type=USER msg=audit(1700000000.000:8): op=no-end"


def story(t):
    refused = t.counter_settled("dispatcher", "refused")
    replaced = t.counter_settled("dispatcher", "replaced")
    since = t.client.journal_now()
    lines = [GOOD % 1, NO_RECORD, GOOD % 2, FORGED, TOO_LONG, GOOD % 4, FOREIGN, GOOD % 6, NO_END]
    t.write_to_socket(b"".join(lines))
    good = b"".join([GOOD % 1, GOOD % 2, FORGED.replace(b"\r", b" ").replace(b"\x00", b" "), GOOD % 4, GOOD % 6])
    t.expect_stored(good)
    assert b"\r" not in as_stored(good) and b"\x00" not in as_stored(good)
    t.expect_counter("dispatcher", "refused", refused + 4)
    assert t.counter("dispatcher", "refused") == refused + 4
    t.expect_counter("dispatcher", "replaced", replaced + 2)
    t.client.expect_journal(DISPATCHER, "Refused a line", since)
    # And the link's producers are as before.
    more = records(100, "after-bad-lines")
    t.send(more)
    t.expect_stored(more)
