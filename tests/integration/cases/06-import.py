# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host with auditd's files changes over: what import writes our programs and systemd take, and a reaction of it happens.

auditd's plugin af_unix was active, so its readers find its path; what audisp-remote did when its collector was away, a program that
is called, is done by the reaction to network_down.
"""

import json

from harness.machine import until
from harness.relay import DISPATCHER, REMOTE, REMOTE_CONF

AUDITD = "log_format = ENRICHED\nwrite_logs = no\nspace_left = 75\nspace_left_action = email\naction_mail_acct = sec@example.org\n"
AUDISP_REMOTE = "remote_server = collector\nnetwork_retry_time = 1\nnetwork_failure_action = exec /root/page\noverflow_action = halt\n"
LINES = "audit-relay-dispatcher-lines.socket"
TARGET = "audit-relay-collector.target"
UNITS = "/etc/systemd/system"


def story(t):
    t.client.write("/etc/audit/auditd.conf", AUDITD)
    t.client.write("/etc/audit/audisp-remote.conf", AUDISP_REMOTE)
    t.client.write("/etc/audit/plugins.d/af_unix.conf", "active = yes\npath = builtin_af_unix\n")
    t.client.write("/root/page", "#!/bin/sh\necho \"$*\" >/root/paged\n", 0o755)
    written = json.loads(t.client.sh(["audit-relay", "import", "--write", "--json"]))
    paths = sorted(w["path"].split("/")[-1] for w in written["written"] if ".wants/" in w["path"])
    assert paths == [f"audit-relay-state@remote-{c}.path" for c in ("network_down", "network_timeout", "spool_full", "spool_low")], paths
    services = [p.replace(".path", ".service") for p in paths]
    said = t.client.sh(["systemd-analyze", "verify", "--man=no", *paths, *services, LINES])
    assert not said, said

    t.client.remove("/etc/audit-relay/remote.conf")
    t.client.systemctl("daemon-reload")
    t.client.systemctl("start", *paths)
    t.client.systemctl("restart", REMOTE)
    t.expect_counter("remote", "connected", 1)
    t.collector.systemctl("stop", TARGET)
    until(lambda: t.client.path("/root/paged").exists(), "the program is called")
    t.collector.systemctl("start", TARGET)
    assert t.client.read("/root/paged") == b"remote/network_down\n"
    t.expect_counter("remote", "connected", 1)

    t.client.systemctl("stop", *paths)
    t.client.sh("rm -rf /etc/audit/auditd.conf /etc/audit/audisp-remote.conf /etc/audit/plugins.d/af_unix.conf /etc/audit-relay/*.conf.d"
                f" {UNITS}/audit-relay-state@*.d {UNITS}/{LINES}.d {UNITS}/paths.target.wants/audit-relay-state@*")
    t.client.write("/etc/audit-relay/remote.conf", REMOTE_CONF)
    t.client.systemctl("daemon-reload")
    t.client.systemctl("restart", DISPATCHER, REMOTE)
    t.expect_counter("remote", "connected", 1)
