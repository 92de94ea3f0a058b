# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client without auditd keeps its own records for people (KeepAcked=): ausearch, aureport and `audit-relay log` read them there, also when the
collector has them.

Debian's own tools, unpacked from their package, not installed: no auditd is on the host.
"""

import uuid

from harness.machine import until
from harness.records import TIME
from harness.relay import REMOTE, SPOOL

DROP_IN = "/etc/audit-relay/remote.conf.d/50-keep.conf"
DIRECTORY = f"{SPOOL}/ausearch"
EVENTS = 20

SYSCALL = ('type=SYSCALL msg=audit({time}): arch=c000003e syscall=257 success=no exit=-13 a0=ffffff9c a1=7ffe0000 a2=0 a3=0 items=1 '
           'ppid=1 pid=2 auid=1000 uid=1000 gid=1000 euid=1000 suid=1000 fsuid=1000 egid=1000 sgid=1000 fsgid=1000 tty=(none) ses=1 '
           'comm="cat" exe="/usr/bin/cat" subj=unconfined key="{key}"\n')
PATH = ('type=PATH msg=audit({time}): item=0 name="{file}" inode=1 dev=fe:00 mode=0100640 ouid=0 ogid=42 rdev=00:00 '
        'nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\n')
EOE = "type=EOE msg=audit({time}): \n"


def story(t):
    # A store keeps them for whoever plays this again.
    key = uuid.uuid4().hex
    file, serial = f"/etc/{key}", int(key[:7], 16)
    status, _ = t.client.sh("systemctl cat auditd.service", status=True)
    assert status != 0, "there is an auditd"
    t.client.write(DROP_IN, "[Remote]\nKeepAcked=7d\n")
    t.restart_remote()
    lines = "".join(line.format(time=f"{TIME}.{number:03}:{serial + number}", key=key, file=file) for number in range(EVENTS)
                    for line in (SYSCALL, PATH, EOE)).encode()
    t.send(lines)
    t.expect_stored(lines)
    until(lambda: t.counter("remote", "waiting_records") == 0, "the collector has custody")

    found = t.client.sh(["ausearch", "-if", DIRECTORY, "-k", key, "--raw"]).splitlines()
    assert sum("type=SYSCALL" in line for line in found) == EVENTS and sum("type=PATH" in line for line in found) == EVENTS, found
    assert t.client.sh(["ausearch", "-if", DIRECTORY, "-f", file, "--event", str(serial + 7), "-i"]).count(f"name={file}") == 1
    report = t.client.sh(["aureport", "-if", DIRECTORY, "--file", "--summary", "--failed"])
    assert any(line.split() == [str(EVENTS), file] for line in report.splitlines()), report
    found = t.client.sh(["audit-relay", "log", "--store", SPOOL, f"--key={key}", "--event"])
    assert found.count("type=PATH") == EVENTS, found
    t.client.remove(DROP_IN)
    t.restart_remote()
