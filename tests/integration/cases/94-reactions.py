# SPDX-License-Identifier: LGPL-2.1-or-later
"""The nine ready-made reactions, each linked as an administrator does, to a collector that is away.

syslog, warn_once, exec and email together; ignore takes them back; suspend keeps everything off the network until it is lifted; stop
stops remote; single takes the host to single-user mode, halt powers it off.
"""

import shutil
import subprocess

from harness.machine import PATIENCE_SEC, Skip, until
from harness.records import records
from harness.relay import AGGREGATOR, DISPATCHER, REMOTE, REMOTE_CONF

FRESH_HOSTS = True
UNIT = "audit-relay-state@remote-network_down"
DIRECTORY = f"/etc/systemd/system/{UNIT}.service.d"
TARGET = "audit-relay-collector.target"
EXEC = "#!/bin/sh\necho \"$*\" >>/root/executed; test \"$1\" = end || cat \"$3\" >>/root/executed\n"
SENDMAIL = "#!/bin/sh\n{ echo \"$*\"; cat; echo .; } >>/root/letters\n"
# The machine's own, as a container's small system has none; what it is told is done from outside.
NFT = "#!/bin/sh\necho \"$*\" >/root/nft\n"


def link(t, *names):
    t.client.sh(f"rm -rf {DIRECTORY}; mkdir -p {DIRECTORY}")
    for name in names:
        t.client.sh(f"ln -s /usr/lib/audit-relay/reactions/{name.split('-')[-1]}.conf {DIRECTORY}/{name}.conf")
    t.client.systemctl("daemon-reload")


def away(t):
    t.collector.systemctl("stop", TARGET)
    until(lambda: not t.collector.is_active(AGGREGATOR), "the aggregator is down")
    t.expect_condition("remote", "network_down")


def back(t):
    t.collector.systemctl("start", TARGET)
    t.expect_condition("remote", "network_down", holds=False)
    until(lambda: t.client.sh(["systemctl", "is-active", f"{UNIT}.service"], check=False).strip() == "inactive", "the reaction has ended")


def told(t):
    link(t, "email", "exec", "syslog", "warn_once")
    since = t.client.journal_now()
    away(t)
    until(lambda: t.client.is_active(f"{UNIT}.service"), "the reaction lives")
    back(t)
    said = t.client.sh(["journalctl", "--no-pager", "--output=cat", "-t", "audit-relay", "--since", since]).splitlines()
    began, ended = [line for line in said if ": " in line], [line for line in said if "has ended" in line]
    assert len(began) == 2 and all(line.startswith("remote/network_down: ") and "Cannot connect" in line for line in began), said
    assert ended == ["remote/network_down has ended"], said
    executed = t.client.read("/root/executed").decode().splitlines()
    assert executed[0] == "begin remote/network_down /run/audit-relay/state/remote/network_down", executed
    assert "CONDITION=network_down" in executed and executed[-1].startswith("end remote/network_down "), executed
    letters = t.client.read("/root/letters").decode().split("\n.\n")
    assert letters[0].startswith("-t -oi\nTo: root\nSubject: client: remote/network_down\n\nCOMPONENT=remote\n"), letters
    assert "REASON=" in letters[0] and letters[1].startswith("-t -oi\nTo: root\nSubject: client: remote/network_down has ended\n"), letters


def ignored(t):
    link(t, "email", "exec", "zz-ignore")
    before = t.client.read("/root/executed"), t.client.read("/root/letters")
    away(t)
    until(lambda: t.client.is_active(f"{UNIT}.service"), "it lives all the same")
    back(t)
    assert (t.client.read("/root/executed"), t.client.read("/root/letters")) == before


def nft(t, *arguments):
    subprocess.run(["nsenter", "--net=/run/netns/client", "nft", *arguments], check=True)


def suspended(t):
    if not shutil.which("nft"):
        raise Skip("no nft")
    link(t, "suspend")
    away(t)
    until(lambda: t.client.path("/root/nft").exists(), "the reaction")
    nft(t, t.client.read("/root/nft").decode())
    t.collector.systemctl("start", TARGET)
    until(lambda: t.collector.is_active(AGGREGATOR), "the aggregator runs")
    lines = records(100, "suspended")
    t.send(lines)
    t.expect_counter("remote", "waiting_records", 100)
    t.expect_condition("remote", "network_timeout")
    assert not t.stored_since()
    nft(t, "delete", "table", "inet", "audit_relay_suspend")
    t.expect_stored(lines)


def stopped(t):
    link(t, "stop")
    away(t)
    until(lambda: not t.client.is_active(REMOTE) and not t.client.is_active("audit-relay-remote.socket"), "remote is stopped")
    lines = records(100, "stopped")
    t.send(lines)
    assert t.client.is_active(DISPATCHER)
    until(lambda: not t.conditions("remote"), "no condition outlives its component")
    link(t)
    t.collector.systemctl("start", TARGET)
    t.client.systemctl("start", "audit-relay-remote.socket", REMOTE)
    t.expect_stored(lines)


def single(t):
    link(t, "single")
    away(t)
    until(lambda: t.client.is_active("rescue.target") and not t.client.is_active(DISPATCHER), "single-user mode")
    link(t)
    t.collector.systemctl("start", TARGET)
    t.client.systemctl("isolate", "--no-block", "multi-user.target")
    until(lambda: t.client.is_active("audit-relay-client.target") and t.client.is_active(REMOTE), "all is back")
    t.expect_counter("remote", "connected", 1)


def halted(t):
    link(t, "halt")
    t.collector.systemctl("stop", TARGET)
    t.client.process.wait(PATIENCE_SEC)
    assert t.client.process.returncode == 0, "an orderly shutdown"
    t.client.process = t.client.leader = None
    t.collector.systemctl("start", TARGET)
    t.client.power_on()


def story(t):
    t.client.write("/etc/audit-relay/remote.conf", REMOTE_CONF + "ConnectTimeout=1s\nRetryMax=1s\n")
    for path, program in (("/etc/audit-relay/reaction", EXEC), ("/usr/sbin/sendmail", SENDMAIL), ("/usr/sbin/nft", NFT)):
        t.client.write(path, program, 0o755)
    t.client.systemctl("restart", REMOTE)
    t.client.systemctl("enable", "--now", f"{UNIT}.path")
    for part in told, ignored, suspended, stopped, single, halted:
        part(t)
