# SPDX-License-Identifier: LGPL-2.1-or-later
"""What doctor says to type is typed as it stands, and what it found is gone: for each finding that a host alone can be given.

A test of the advice, not of what is found: so each defect is made for real, with the disk, the key, the unit or the file itself.
"""

import json
import re

from harness.machine import until
from harness.relay import CA, DISPATCHER, REMOTE, SPOOL, TLS

LINES = "audit-relay-dispatcher-lines.socket"
TARGET = "audit-relay-client.target"
# systemctl waits for those that are named: not for what stops with the target.
ANEW = f"systemctl stop {TARGET} {DISPATCHER} {REMOTE} && rm -rf /run/audit-relay/dispatcher/ring {SPOOL}/*"
JOURNALD = "/usr/lib/systemd/journald.conf.d/10-audit-relay.conf"


def findings(host, *checks):
    _, output = host.sh(["audit-relay", "doctor", "--json", *checks], status=True)
    return [f for f in json.loads(output) if f["verdict"] != "ok"]


def find(host, check, text):
    """systemd and the journal may take a moment to see what was done."""
    found = until(lambda: [f for f in findings(host, check) if text in f["what"]], f"{text!r}, which {host.name}'s doctor does not find")
    assert len(found) == 1, found
    return found[0]


def commands(finding):
    return re.findall(r"`([^`]+)`", finding["todo"])


def cure(host, check, text, count=1):
    """Types the first `count` commands of it; then it must be gone."""
    finding = find(host, check, text)
    typed = commands(finding)[:count]
    assert len(typed) == count, finding
    for command in typed:
        host.sh(command)
    until(lambda: not any(text in f["what"] for f in findings(host, check)), f"{text!r} is gone after {typed}")


def units(t):
    t.client.systemctl("stop", LINES)
    cure(t.client, "units", f"{LINES} is not active")
    t.client.systemctl("stop", LINES)
    t.client.systemctl("mask", LINES)
    cure(t.client, "units", f"{LINES} is masked")
    t.client.systemctl("disable", TARGET)
    cure(t.client, "units", f"{TARGET} is not enabled")
    t.client.write(f"/etc/systemd/system/{TARGET}.d/new.conf", "[Unit]\n")
    cure(t.client, "units", "unit files were changed")
    t.client.remove(f"/etc/systemd/system/{TARGET}.d/new.conf")
    t.client.systemctl("daemon-reload")
    t.collector.systemctl("stop", "audit-relay-collector.target")
    cure(t.collector, "units", "audit-relay-collector.target is not active")


def configuration(t):
    """Here the command does not cure, it says where."""
    t.client.write("/etc/audit-relay/remote.conf.d/50-wrong.conf", "[Remote]\nKeepFree=much\n")
    t.client.systemctl("stop", REMOTE)
    t.client.sh(["systemctl", "start", REMOTE], check=False)
    until(lambda: any("cannot use its configuration" in f["what"] for f in findings(t.client, "units")), "doctor sees it")
    said = t.client.sh(commands(find(t.client, "units", f"{REMOTE} cannot use its configuration"))[0])
    assert "/etc/audit-relay/remote.conf.d/50-wrong.conf:2" in said, said
    t.client.remove("/etc/audit-relay/remote.conf.d/50-wrong.conf")
    until(lambda: t.client.is_active(REMOTE), "remote runs")


def journald(t):
    kept = t.client.read(JOURNALD)
    t.client.remove(JOURNALD)
    cure(t.client, "journald", "Audit= is not set")
    t.client.sh("rm -r /etc/systemd/journald.conf.d && printf '[Journal]\nAudit=no\n' >>/etc/systemd/journald.conf")
    cure(t.client, "journald", "journald switches the kernel's audit off")
    t.client.sh("rm -r /etc/systemd/journald.conf.d && sed -i '/^Audit=no/d' /etc/systemd/journald.conf")
    t.client.write(JOURNALD, kept)


def disks(t):
    """Of a store that the programs do not use: those are in the cases of their conditions."""
    t.client.sh("mkdir -p /srv/small && mount -t tmpfs -o size=20M,nr_inodes=20k tmpfs /srv/small && mkdir /srv/small/store")
    t.client.write("/etc/audit-relay/remote.conf.d/50-small.conf", "[Remote]\nDirectory=/srv/small/store\nMaxUse=1T\n")
    for options, verdict, text in (("size=20M", "wrong", "the remote's disk is full: 20 MB are left"),
                                   ("size=100M", "warning", "the remote's disk is low: 100 MB are left"),
                                   ("size=1G,nr_inodes=900", "warning", "inodes left, less than InodesLeft="),
                                   ("size=1G,nr_inodes=4", "wrong", "inodes are left at /srv/small/store"),
                                   ("size=1G,nr_inodes=20k", "warning", "MaxUse= is more than the 1024 MB")):
        t.client.sh(f"mount -o remount,{options} /srv/small")
        assert find(t.client, "disk", text)["verdict"] == verdict, text
        # MaxUse= is one of them each time.
        assert len(findings(t.client, "disk")) == (1 if "MaxUse" in text else 2), findings(t.client, "disk")
    t.client.sh("mount -o remount,ro /srv/small")
    cure(t.client, "disk", "mounted read-only at /srv/small/store")
    t.client.sh("touch /srv/small/store/x")
    t.client.remove("/etc/audit-relay/remote.conf.d/50-small.conf")
    t.client.sh("umount /srv/small")


def certificates(t):
    t.client.sh(f"chmod 644 {TLS}/key.pem")
    cure(t.client, "certificates", "everybody may read remote's key")
    # A host that has delivered nothing yet: of one that has, the collector knows whose records these are.
    t.client.sh(ANEW)
    t.collector.sh(f"audit-relay cert client web2 --dir {CA} --force")
    t.install_certificate(t.client, "web2")
    t.client.systemctl("start", TARGET)
    cure(t.client, "certificates", "the certificate is for \"web2\", and the node in the records is")
    t.client.sh(["audit-relay", "send"], data="type=USER msg=audit(1.000:1): of web2\n")
    until(lambda: b"node=web2 type=USER msg=audit(1.000:1): of web2" in t.stored_since(), "records of node web2 are taken")

    t.client.remove("/etc/audit-relay/dispatcher.conf.d/50-node.conf")
    t.install_certificate(t.client, "client")
    # The collector has learnt that this ring and this store are of web2.
    t.client.sh(f"{ANEW} && systemctl start {TARGET}")
    t.skip_stored()


def story(t):
    for part in units, configuration, journald, disks, certificates:
        part(t)
    until(lambda: not [f for f in findings(t.client) if f["verdict"] == "wrong"], "nothing is wrong any more")
