# SPDX-License-Identifier: LGPL-2.1-or-later
"""ausearch and aureport read the collector's directory, across the segments that rotation made: by node, type and key.

Debian's own tools, unpacked from their package, not installed.
"""

from harness.records import TIME
from harness.relay import AGGREGATOR, LOG

EVENTS = 10_000
KEYED_EVERY = 1000
PARTS = 5
DIRECTORY = f"{LOG}/ausearch"

SYSCALL = ('type=SYSCALL msg=audit({time}): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=7ffe0000 a2=0 a3=0 items=1 '
           'ppid=1 pid=2 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 comm="cat" '
           'exe="/usr/bin/cat" subj=unconfined key={key}\n')
PATH = ('type=PATH msg=audit({time}): item=0 name="/etc/shadow" inode=1 dev=fe:00 mode=0100640 ouid=0 ogid=42 rdev=00:00 '
        'nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\n')
EOE = "type=EOE msg=audit({time}): \n"


def events(begin, end):
    text = []
    for number in range(begin, end):
        time = f"{TIME + number // 1000}.{number % 1000:03}:{900_000 + number}"
        key = '"relay-test"' if number % KEYED_EVERY == 0 else "(null)"
        text += [line.format(time=time, key=key) for line in (SYSCALL, PATH, EOE)]
    return "".join(text).encode()


def story(t):
    t.collector.write("/etc/audit-relay/aggregator.conf.d/50-rotation.conf", "[Aggregator]\nSegmentMaxSize=1M\n")
    t.collector.systemctl("restart", AGGREGATOR)
    segments = len(t.segments())
    # In parts: a segment ends with a group of records that became durable together, and a fast sender makes large groups.
    for begin in range(0, EVENTS, EVENTS // PARTS):
        lines = events(begin, begin + EVENTS // PARTS)
        t.send(lines)
        t.expect_stored(lines)
    assert len(t.segments()) >= segments + 3, "rotation has made no further segments"
    t.expect_links()

    def search(*arguments):
        return t.collector.sh(["ausearch", "-if", DIRECTORY, "--raw", *arguments]).splitlines()

    found = search("--node", "client", "-k", "relay-test")
    assert sum("type=SYSCALL" in line for line in found) == EVENTS // KEYED_EVERY, f"{len(found)} lines by node and key"
    assert sum("type=PATH" in line for line in found) == EVENTS // KEYED_EVERY, "the events are not whole"
    found = search("--node", "client", "-m", "PATH", "--event", str(900_000 + EVENTS - 1))
    assert len(found) >= 1, "the last event is not found by its serial"
    assert search("--node", "client", "-m", "SYSCALL", "-ts", "11/14/23", "-te", "11/15/23")
    status, output = t.collector.sh(["ausearch", "-if", DIRECTORY, "--node", "somebody-else"], status=True)
    assert status != 0 and "no matches" in output, output

    report = t.collector.sh(["aureport", "-if", DIRECTORY, "--key", "--summary"])
    assert any(line.split() == [str(EVENTS // KEYED_EVERY), "relay-test"] for line in report.splitlines()), report
    t.collector.remove("/etc/audit-relay/aggregator.conf.d/50-rotation.conf")
    t.collector.systemctl("restart", AGGREGATOR)
