# SPDX-License-Identifier: LGPL-2.1-or-later
"""audit-relay log reads the store of a running collector, as somebody who may only read: by time, node and serial, across segments that
SIGUSR1 ended and that were compressed meanwhile, and a copy of it beside it; and follows it."""

import subprocess

from harness.machine import until
from harness.records import as_stored, records
from harness.relay import AGGREGATOR, LOG

FRESH_HOSTS = True
# What no program of ours is: a user that may do nothing but read the collector's files.
READER = ["setpriv", "--reuid=nobody", "--regid=audit-relay-read", "--clear-groups"]


def story(t):
    collector = t.collector
    collector.write("/etc/audit-relay/aggregator.conf.d/50-compress.conf", "[Aggregator]\nSegmentCompress=yes\n")
    collector.systemctl("restart", AGGREGATOR)

    def log(*arguments):
        return collector.sh([*READER, "audit-relay", "log", f"--store={LOG}", *arguments])

    parts = [records(400, f"part{number}", 1000) for number in range(3)]
    for lines in parts[:2]:
        t.send(lines)
        t.expect_stored(lines)
        # Its text is compressed once another segment is behind it.
        before = len(list(collector.path(LOG).glob("*.idx")))
        collector.systemctl("kill", "--kill-whom=main", "--signal=SIGUSR1", AGGREGATOR)
        until(lambda before=before: len(list(collector.path(LOG).glob("*.idx"))) > before, "SIGUSR1 begins a segment")
        t.seen = 0
        until(lambda: not [path for path in t.segments() if path.stat().st_size > 0], "the closed segments are compressed")
    follower = subprocess.Popen(collector.command([*READER, "audit-relay", "log", f"--store={LOG}", "--follow", "--lines=1"]),
                                stdout=subprocess.PIPE)
    last = as_stored(parts[1]).splitlines(keepends=True)[-1]
    assert follower.stdout.readline() == last
    t.send(parts[2])
    expected = as_stored(parts[2])
    assert follower.stdout.read(len(expected)) == expected
    # By its name there: what is waited for here is nsenter, which would leave it behind.
    collector.sh(["pkill", "-x", "audit-relay"])
    follower.wait()

    everything = as_stored(b"".join(parts)).decode()
    assert log() == everything, "not all records, or not in their order"
    lines = everything.splitlines(keepends=True)
    middle = lines[600]
    stamp, serial = middle.split("audit(")[1].split(")")[0].split(":")
    assert log(f"--since=@{stamp}", f"--until=@{stamp}") == middle
    assert log(f"--serial={serial}", "--node=client") == middle
    assert log("--node=somebody-else") == ""
    assert log("-n", "500") == "".join(lines[-500:])
    collector.sh(f"cp -r {LOG} /var/tmp/copy && chmod -R a+rX /var/tmp/copy")
    assert log("--store=/var/tmp/copy") == everything, "several stores are not one"
    status, output = collector.sh(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "audit-relay", "log",
                                   f"--store={LOG}"], status=True)
    assert status == 1 and "Permission denied" in output, output
