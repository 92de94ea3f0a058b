# SPDX-License-Identifier: LGPL-2.1-or-later
"""An unknown key is warned of with file and line, and all goes on; a wrong value keeps the program from starting, and data is untouched.

For each of the three programs; with the wrong line removed it starts again by itself, and nothing is missing.
"""

import hashlib

from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR, DISPATCHER, LOG, REMOTE, SPOOL

RING = "/run/audit-relay/dispatcher"
PROGRAMS = (("dispatcher", "Dispatcher", DISPATCHER, "RingSize=tiny", RING),
            ("remote", "Remote", REMOTE, "Window=many", SPOOL),
            ("aggregator", "Aggregator", AGGREGATOR, "SegmentMaxSize=large", LOG))


def fingerprint(host, directory):
    found = {}
    for path in sorted(host.path(directory).rglob("*")):
        stat = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = stat.st_size, stat.st_mtime_ns, stat.st_ino, content
    return found


def story(t):
    for name, section, unit, wrong, data in PROGRAMS:
        host = t.host_of(unit)
        drop_in = f"/etc/audit-relay/{name}.conf.d/50-test.conf"

        since = host.journal_now()
        host.write(drop_in, f"[{section}]\nColour=blue\n")
        host.systemctl("restart", unit)
        host.expect_journal(unit, f"{drop_in}:2", since)
        lines = records(10, f"unknown-key-{name}")
        t.send(lines)
        t.expect_stored(lines)

        host.sh(["systemctl", "stop", unit, *t.sockets_of(unit)])
        before = fingerprint(host, data)
        since = host.journal_now()
        host.write(drop_in, f"[{section}]\n# a comment\n{wrong}\n")
        host.sh(["systemctl", "start", *t.sockets_of(unit)])
        status, _ = host.sh(["systemctl", "start", unit], status=True)
        assert status != 0, f"{name} starts with {wrong}"
        host.expect_journal(unit, f"{drop_in}:3", since)
        host.expect_journal(unit, wrong.partition("=")[0], since)
        host.expect_journal(unit, "expected", since)
        assert fingerprint(host, data) == before, f"{name} has touched {data}"

        host.remove(drop_in)
        until(lambda: host.is_active(unit), f"{unit} starts again by itself")
        lines = records(10, f"corrected-{name}")
        t.send(lines)
        t.expect_stored(lines)
