# SPDX-License-Identifier: LGPL-2.1-or-later
"""auditd's plugins, unmodified, each a unit of its own: Debian's audisp-syslog, one that reads binary, and sedispatch's stand-in.

Their files are in /etc/audit/plugins.d as auditd has them, one hostile among them; `systemctl daemon-reload` and a start of the target
are all there is to do. A plugin that dies is started again; one that is switched off is no subscriber any more.
"""

import struct

from harness.machine import until
from harness.records import as_stored, records
from harness.relay import DISPATCHER

PLUGINS = "/etc/audit/plugins.d"
DEBIAN = "/opt/auditd"
SUBSCRIBERS = "/run/audit-relay/subscribers.d"
BINARY = """active = yes
direction = out
path = /usr/bin/tee
type = always
args = /run/binary.out
format = binary
"""
HOSTILE = """active = yes
path = /bin/sh
args = -c /usr/bin/touch /run/hostile
exec = /bin/sh
"""
# What setroubleshoot's plugin does with its input: lines, of which it takes those about SELinux.
SEDISPATCH = """#!/bin/bash
while read -r line; do
    case $line in *type=AVC*|*type=USER_AVC*) printf '%s\\n' "$line" >>/run/sedispatch.out ;; esac
done
"""
AVC = b"type=USER_AVC msg=audit(1700000000.000:%d): pid=1 msg='avc:  denied  { x } for n=%d'\n"


def unit(name, kind="service"):
    return f"audit-relay-plugin@{name}.{kind}"


def frames(data):
    """struct audit_dispatcher_header, version 1, each with its text."""
    texts = []
    while data:
        version, size, kind, length = struct.unpack("=4I", data[:16])
        assert (version, size) == (1, 16), (version, size)
        texts.append((kind, data[16:16 + length]))
        data = data[16 + length:]
    return texts


def binary_lines(t):
    """As auditd has them: without node= for the host's own."""
    return b"".join(text + b"\n" for _, text in frames(t.client.read("/run/binary.out")))


def in_syslog(t, text):
    return t.client.sh(["journalctl", "--no-pager", "--output=cat", "--quiet", "--identifier=audisp-syslog"]).count(text)


def install(t):
    t.client.sh(f"cp {DEBIAN}/sbin/audisp-syslog /usr/sbin/ && mkdir -p {PLUGINS} && cp -a {DEBIAN}/etc/audit/plugins.d/. {PLUGINS}/")
    t.client.sh(f"sed -i 's/^active = no/active = yes/' {PLUGINS}/syslog.conf {PLUGINS}/af_unix.conf")
    t.client.write(f"{PLUGINS}/binary.conf", BINARY, 0o640)
    t.client.write(f"{PLUGINS}/hostile.conf", HOSTILE, 0o640)
    t.client.write("/usr/sbin/sedispatch", SEDISPATCH, 0o755)
    t.client.systemctl("daemon-reload")
    t.client.systemctl("start", "audit-relay-client.target")
    t.client.systemctl("enable", "--now", unit("sedispatch", "socket"))
    for name in "syslog", "binary", "sedispatch":
        until(lambda: t.client.is_active(unit(name, "socket")), f"{name} has its socket")
        until(lambda: t.client.path(f"{SUBSCRIBERS}/{name}.conf").exists(), f"{name} is a subscriber")


def story(t):
    install(t)
    assert "hostile.conf:4" in t.client.journal(), "the generator does not say what is wrong with a file"
    assert "audit-relay-dispatcher-lines.socket" in t.client.journal(), "nor what takes af_unix's place"
    assert not t.client.path(f"{SUBSCRIBERS}/hostile.conf").exists()
    mode = t.client.sh(["stat", "--format=%a %U", "/run/audit-relay/plugin/syslog"]).strip()
    assert mode == "600 audit-relay-dispatcher", mode

    first = records(1000, "to-plugins") + AVC % (1, 1)
    t.send(first)
    t.expect_stored(first)
    until(lambda: t.client.path("/run/binary.out").exists() and len(binary_lines(t)) >= len(first), "the binary plugin has all")
    assert binary_lines(t) == first
    assert frames(t.client.read("/run/binary.out"))[-1][0] == 1107, "the header has the record's type"
    until(lambda: in_syslog(t, "op=to-plugins") == 1000, "audisp-syslog has written all to syslog")
    until(lambda: t.client.path("/run/sedispatch.out").exists(), "sedispatch has its AVC")
    assert t.client.read("/run/sedispatch.out") == as_stored(AVC % (1, 1))

    # systemd starts again what dies; the other plugins notice nothing.
    t.client.kill(unit("sedispatch"))
    t.client.kill(unit("syslog"))
    until(lambda: t.client.show(unit("syslog"), "NRestarts") == "1" and t.client.is_active(unit("syslog")), "audisp-syslog is back")
    until(lambda: t.client.is_active(unit("sedispatch")), "sedispatch is back")
    more = records(100, "after-restart") + AVC % (2, 2)
    t.send(more)
    t.expect_stored(more)
    until(lambda: in_syslog(t, "op=after-restart") == 100, "audisp-syslog goes on")
    until(lambda: as_stored(AVC % (2, 2)) in t.client.read("/run/sedispatch.out"), "sedispatch goes on")
    until(lambda: len(binary_lines(t)) >= len(first + more), "the binary plugin has the rest")
    assert binary_lines(t) == first + more

    # The dispatcher restarted, and killed: plugins are as they were.
    t.client.systemctl("restart", DISPATCHER)
    more = records(100, "after-dispatcher")
    t.send(more)
    t.expect_stored(more)
    until(lambda: in_syslog(t, "op=after-dispatcher") == 100, "audisp-syslog goes on with the next dispatcher")

    # What is switched off is gone.
    t.client.sh(f"sed -i 's/^active = yes/active = no/' {PLUGINS}/syslog.conf")
    t.client.systemctl("daemon-reload")
    t.client.systemctl("stop", unit("syslog", "socket"), unit("syslog"))
    t.client.systemctl("disable", "--now", unit("sedispatch", "socket"))
    until(lambda: not t.client.path(f"{SUBSCRIBERS}/syslog.conf").exists(), "it is no subscriber any more")
    more = records(10, "without-syslog")
    t.send(more)
    t.expect_stored(more)
    until(lambda: b"without-syslog" in t.client.read("/run/binary.out"), "the others go on")
    assert in_syslog(t, "op=without-syslog") == 0
    t.client.systemctl("stop", unit("binary", "socket"), unit("binary"), unit("sedispatch"))
    t.client.sh(f"rm -rf {PLUGINS} && systemctl daemon-reload")
