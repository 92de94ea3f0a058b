# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client's disk is set back to a snapshot, then a clone of it delivers beside it: each new history becomes a stream of its own.

Nothing is merged or passed over: what either has to say is in the collector's log, `remote/stream_restarted` says what happened.
"""

import os
import re
import shutil

from harness.machine import until
from harness.records import as_stored, records
from harness.relay import DISPATCHER, REMOTE, SPOOL

FRESH_HOSTS = True
CLONE = "/var/lib/clone"
CLONE_FILES = {
    "/etc/clone/remote.conf": f"[Remote]\nCollector=collector\nDirectory={CLONE}\nStateDirectory=/run/clone\nListen=/run/clone/deliver\n",
    "/etc/clone/dispatcher.conf": "[Dispatcher]\nKernel=none\nInput=/run/clone/input\nRingFile=/run/clone/ring\n"
                                  "StateDirectory=/run/clone\nSubscribersDirectory=/etc/clone/subscribers.d\n",
    "/etc/clone/subscribers.d/remote.conf": "[Subscriber]\nSocket=/run/clone/deliver\nOverflow=block\n",
}


def copy_disk(source, target):
    """With owners, as a snapshot has them."""
    def own(path):
        status = os.lstat(source / path)
        os.chown(target / path, status.st_uid, status.st_gid, follow_symlinks=False)

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    for path in [source, *source.rglob("*")]:
        own(path.relative_to(source))


def expect(t, lines, repeated):
    """Exactly these in this order; between them may be what is held from before, again, and what says that machines went down."""
    rest = t.expect_stored(lines, others=rf"op={repeated} |reason=machine-death")
    t.skip_stored()
    return rest


def story(t):
    first = records(100, "first")
    t.send(first)
    t.expect_stored(first)
    t.client.power_off()
    disk = t.client.path(SPOOL)
    snapshot = disk.with_name("snapshot")
    t.client.power_on()
    t.client.power_off()
    copy_disk(disk, snapshot)

    t.client.power_on()
    second = records(100, "second")
    t.send(second)
    t.expect_stored(second)
    t.client.power_off()
    copy_disk(snapshot, disk)

    t.client.power_on()
    third = records(50, "third")
    t.send(third)
    expect(t, third, "first")
    assert t.client.journal(REMOTE).count("a new stream begins") == 1, t.client.journal(REMOTE)
    until(lambda: not t.conditions("remote"), "the condition ends when all is with the collector")

    # Two of one history, which part now.
    t.client.systemctl("stop", "audit-relay-client.target")
    until(lambda: not t.client.is_active(REMOTE), "remote is down")
    t.client.sh(f"cp -a {SPOOL} {CLONE}")
    for path, content in CLONE_FILES.items():
        t.client.write(path, content)
    t.client.sh("mkdir -p /run/clone")
    t.client.systemctl("start", "audit-relay-client.target")
    for program in "remote", "dispatcher":
        t.client.sh(f"systemd-run --unit=clone-{program} --collect /usr/lib/audit-relay/{program} --config=/etc/clone/{program}.conf")
    until(lambda: t.client.path("/run/clone/input").exists(), "the clone runs")
    mine, its = records(50, "mine"), records(50, "its")
    t.send(mine)
    t.client.sh(["audit-relay", "send", "--socket=/run/clone/input"], data=its)
    until(lambda: all(line in t.stored_since() for line in (as_stored(mine), as_stored(its))), "both are there, each in its order")
    stored = t.stored_since()
    for lines in mine, its:
        for line in as_stored(lines).splitlines():
            assert stored.count(line) == 1, line
    said = t.client.journal()
    assert re.search(r"(remote|clone).*a new stream begins", said) and said.count("a new stream begins") >= 2, "nobody noticed the clone"
    until(lambda: t.client.is_active(DISPATCHER), "all goes on")
    t.client.systemctl("stop", "clone-dispatcher", "clone-remote")
    t.client.systemctl("restart", REMOTE)
