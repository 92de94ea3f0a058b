# SPDX-License-Identifier: LGPL-2.1-or-later
"""`socat - UNIX-CONNECT:/run/audit-relay/lines` gives every record as text, whoever else reads there and however.

Two of them get 50,000 records each, complete, beside a reader of one byte a second and one that never reads.
"""

from harness.machine import until
from harness.readers import Place, SlowReader, Socat, readers_connected
from harness.records import as_stored, first_difference, records


def story(t):
    with Socat(t) as first, Socat(t) as second:
        slow = SlowReader(t)
        place = Place(t.client, "/run/audit-relay")
        silent = place.connect("lines")
        readers_connected(t, "lines", 4)
        lines = records(50000, "text")
        t.send(lines)
        expected = as_stored(lines)
        for reader in first, second:
            until(lambda: len(reader.found()) >= len(expected), "all records in the text")
            difference = first_difference(expected, reader.found())
            assert difference is None, difference
        t.expect_stored(lines)
        # What somebody types there is nothing: it is read by nobody and ends nothing.
        first.process.stdin.write(b"type=USER msg=audit(1.000:1): forged\n")
        first.process.stdin.flush()
        more = records(10, "more")
        t.send(more)
        t.expect_stored(more)
        until(lambda: first.found() == expected + as_stored(more), "the rest of the text")
        until(lambda: len(slow.found) > 2, "a few bytes")
        assert expected.startswith(slow.found), slow.found
        slow.stop()
        silent.close()
        assert t.client.show("audit-relay-dispatcher.service", "NRestarts") is not None
    readers_connected(t, "lines", 0)
