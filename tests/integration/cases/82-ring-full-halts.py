# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host that must not run unaudited: the ring is full, and a reaction that an administrator has linked acts once.

remote is away, and an auditd's records come in by its socket until nothing finds room. First with a harmless command in place of the
reaction: ring_low comes before ring_full, what was dropped is told to the record when remote is back. Then for good: the host powers off.
"""

import re

from harness.auditd import RECORD_SIZE, Auditd
from harness.machine import until
from harness.relay import REMOTE

FRESH_HOSTS = True
# Soon full.
HOSTS = {"client_files": {"/etc/audit-relay/dispatcher.conf.d/ring.conf": "[Dispatcher]\nRingSize=8M\n"}}
UNIT = "audit-relay-state@dispatcher-ring_full"
REACTION = f"/etc/systemd/system/{UNIT}.service.d/reaction.conf"
HARMLESS = "[Service]\nExecStartPre=+/bin/sh -c 'echo reaction >>/run/reactions'\n"
PATIENCE_SEC = 60


def fill(t, auditd):
    """Until something was dropped."""
    t.client.systemctl("stop", "audit-relay-remote.socket", REMOTE)
    while "ring_full" not in t.conditions("dispatcher"):
        for _ in range(50):
            auditd.write()


def story(t):
    t.client.write(REACTION, HARMLESS)
    t.client.systemctl("daemon-reload")
    t.client.systemctl("enable", "--now", f"{UNIT}.path")
    auditd = Auditd(t.client)
    fill(t, auditd)
    assert "ring_low" in t.conditions("dispatcher")
    until(lambda: t.client.path("/run/reactions").exists(), "the reaction")
    # The socket is read on, however full the ring is.
    for _ in range(1000):
        auditd.write()
    t.client.systemctl("start", "audit-relay-remote.socket", REMOTE)
    until(lambda: not t.conditions("dispatcher"), "room again")
    auditd.write()
    last = b" n=%d. " % (auditd.n - 1)
    until(lambda: last in t.stored_since()[-100 * RECORD_SIZE:], "the last record")
    text = t.stored_since()
    numbers = [int(n) for n in re.findall(rb" n=(\d+)\. ", text)]
    gaps = re.findall(rb"op=relay-gap where=ring reason=ring-full lost=(\d+) count=exact since=\d+ types=SYSCALL:(\d+) ", text)
    assert len(gaps) == 1, gaps
    assert numbers == sorted(set(numbers)), "something came twice, or out of order"
    assert len(numbers) + int(gaps[0][0]) == auditd.n and gaps[0][0] == gaps[0][1], (len(numbers), gaps, auditd.n)
    assert t.client.read("/run/reactions") == b"reaction\n"
    journal = t.client.journal("audit-relay-dispatcher.service")
    assert journal.index("far behind") < journal.index("The ring is full")

    t.client.sh(f"ln -sf /usr/lib/audit-relay/reactions/halt.conf {REACTION}")
    t.client.systemctl("daemon-reload")
    t.client.systemctl("stop", "audit-relay-remote.socket", REMOTE)
    try:
        while t.client.process.poll() is None:
            auditd.write()
    except OSError:
        pass
    t.client.process.wait(PATIENCE_SEC)
    assert t.client.process.returncode == 0, "an orderly shutdown"
    t.client.process = t.client.leader = None
    t.client.power_on()
    t.client.sh(["systemctl", "disable", "--now", f"{UNIT}.path"], check=False)
