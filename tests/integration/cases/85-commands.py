# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands: who asked for what is a record at the collector, with login user and unit; a condition that a command raised starts a
reaction; a plugin that systemd started asks; who has no grant is refused, whatever his groups.

What systemd starts, it starts through its socket: the record must name the plugin's unit and not PID 1, who listens.
"""

import re
import time

from harness.machine import until
from harness.relay import DISPATCHER

CONF = "/etc/audit-relay/dispatcher.conf.d/commands.conf"
GUARD = "/etc/audit-relay/subscribers.d/guard.conf"
REACTION = "audit-relay-state@dispatcher-command_attack"
LOGIN = ("type=USER_LOGIN msg=audit({0}.{1:03}:{1}): pid=7 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct=\"root\" "
         "exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.77 terminal=ssh res=failed'\n")


def ask(t, *words, before=""):
    """As a unit of its own; exit status and what was said."""
    return t.client.sh(["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--unit=asking", "sh", "-c",
                        f"{before} exec audit-relay command \"$@\"", "sh", *words], status=True)


def recorded(t, verb, *others):
    line = t.expect_others(f" type=DAEMON_CONFIG .*op=relay-command .* verb={verb} .*" + ".*".join(others))
    t.skip_stored()
    return line


def who_asked(t):
    status, said = ask(t, "log", "PRIORITY=4", "MESSAGE=somebody was here", before="echo 1234 >/proc/self/loginuid;")
    assert (status, said.strip()) == (0, "done"), said
    line = recorded(t, "log")
    assert " via=input from=uid:0 " in line and " uid=0 auid=1234 " in line and " unit=asking.service " in line, line
    assert line.endswith(' args="PRIORITY\\x3d4\\x0aMESSAGE\\x3dsomebody\\x20was\\x20here" answer=done res=success'), line
    t.client.expect_journal(DISPATCHER, "uid:0 says: somebody was here")
    # audit's own tools find it.
    t.expect_links()
    found = t.collector.sh(["ausearch", "--input", "/var/log/audit-relay/ausearch", "--message", "DAEMON_CONFIG", "--loginuid", "1234"],
                           check=False)
    assert "op=relay-command" in found, found


def reaction(t):
    t.client.write(f"/etc/systemd/system/{REACTION}.service.d/test.conf",
                   "[Service]\nExecStartPre=+/bin/touch /root/attacked\nExecStopPost=+/bin/rm -f /root/attacked\n")
    t.client.systemctl("daemon-reload")
    t.client.systemctl("start", f"{REACTION}.path")
    assert ask(t, "state", "NAME=attack", "ON=1", "REASON=many logins")[0] == 0
    assert "REASON=\"many logins\"" in t.expect_condition("dispatcher", "command_attack")
    until(t.client.path("/root/attacked").exists, "the reaction at its beginning")
    recorded(t, "state")
    assert ask(t, "state", "NAME=attack", "ON=0")[0] == 0
    until(lambda: not t.client.path("/root/attacked").exists(), "the reaction at its end")
    t.client.systemctl("stop", f"{REACTION}.path")


def plugin(t):
    t.client.write("/etc/audit-relay/guard.conf", "[Guard]\nOrigin=any\n")
    t.client.write(GUARD, t.client.read("/usr/lib/audit-relay/guard.subscriber"))
    t.client.systemctl("start", "audit-relay-guard.socket")
    t.client.systemctl("reload", DISPATCHER)
    # The first one has it started; it counts those that came before it did, by their time.
    t.send("".join(LOGIN.format(int(time.time()), n) for n in range(1, 12)))
    line = t.expect_others(" type=DAEMON_CONFIG .*op=relay-command .* verb=block-address .*via=push")
    pid, command = (re.search(rf" {key}=(\d+) ", line).group(1) for key in ("pid", "command"))
    # Nobody here blocks addresses; remote, which takes commands for the collector, says so at once.
    t.expect_others(f" op=relay-answer command={command} answer=unknown ")
    assert int(pid) == t.client.pid("audit-relay-guard.service"), line
    assert " from=guard " in line and " unit=audit-relay-guard.service " in line and "192.0.2.77" in line, line
    t.client.remove(GUARD)
    t.client.systemctl("reload", DISPATCHER)
    t.client.systemctl("stop", "audit-relay-guard.socket", "audit-relay-guard.service")
    t.skip_stored()


def no_grant(t):
    for name, group, status, words in (("asker", "audit-relay", 3, "refused: no Commands= in dispatcher.conf grants it to uid"),
                                       ("reader", "audit-relay-read", 1, "Permission denied"), ("nobody", None, 1, "Permission denied")):
        if name != "nobody":
            t.client.sh(["useradd", "--no-create-home", "--groups", group, name])
        for verb in ("log", "PRIORITY=4", "MESSAGE=x"), ("pause", "NAME=remote", "SECONDS=60"), ("state", "NAME=attack", "ON=1"):
            found, said = t.client.sh(["setpriv", f"--reuid={name}", "--regid=nogroup", "--init-groups", "audit-relay", "command", *verb],
                                      status=True)
            assert found == status and words in said, said
    uid = t.client.sh(["id", "-u", "asker"]).strip()
    line = recorded(t, "pause", "answer=refused")
    assert f" from=uid:{uid} " in line and f" uid={uid} " in line and line.endswith(" res=failed"), line
    assert not t.conditions("dispatcher")
    t.client.sh("userdel asker; userdel reader")


def story(t):
    t.client.write(CONF, "[Dispatcher]\nCommands=user:root log state\n")
    assert ask(t, "log", "PRIORITY=4", "MESSAGE=too early")[0] == 3
    recorded(t, "log", "answer=refused")
    t.client.systemctl("reload", DISPATCHER)
    who_asked(t)
    reaction(t)
    plugin(t)
    no_grant(t)
    t.client.remove(CONF)
    t.client.systemctl("reload", DISPATCHER)
    assert ask(t, "log", "PRIORITY=4", "MESSAGE=too late")[0] == 3
