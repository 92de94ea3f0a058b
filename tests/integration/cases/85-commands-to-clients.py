# SPDX-License-Identifier: LGPL-2.1-or-later
"""A collector asks its clients: one, all, one that is not connected, one whose policy refuses; who has no grant is refused.

The collector's host is a client of itself, so that there are two. Each command is a record of the collector, who asked, and of each
client, what became of it.
"""

from harness.machine import until
from harness.relay import AGGREGATOR, DISPATCHER, REMOTE

FRESH_HOSTS = True
SOCKET = "audit-relay-remote.socket"
SUBSCRIBER = "/etc/audit-relay/subscribers.d/remote.conf"


def ask(t, *words):
    return t.collector.sh(["audit-relay", "command", *words], status=True)


def grant(host, *verbs):
    """To its collector."""
    host.write(SUBSCRIBER, f"[Subscriber]\nSocket=/run/audit-relay/remote\nOverflow=block\nCommands={' '.join(verbs)}\n")
    host.systemctl("reload", DISPATCHER)


def configure(t):
    t.collector.write("/etc/audit-relay/aggregator.conf.d/commands.conf", "[Aggregator]\nPassCommands=yes\n")
    t.collector.write("/etc/audit-relay/dispatcher.conf.d/commands.conf", "[Dispatcher]\nCommands=user:root node:state node:log log\n")
    t.collector.write("/etc/audit-relay/remote.conf", "[Remote]\nCollector=collector\n")
    t.collector.systemctl("enable", "--now", "audit-relay-client.target")
    t.collector.systemctl("restart", AGGREGATOR)
    for host in t.client, t.collector:
        grant(host, "state")


def attacked(host):
    return host.path("/run/audit-relay/state/dispatcher/command_attack").exists()


def story(t):
    configure(t)
    # Both are connected when both have done it.
    until(lambda: ask(t, "--node=all", "state", "NAME=attack", "ON=1")[1].startswith("done: 2 done\n"), "two clients")
    assert attacked(t.client) and attacked(t.collector)
    status, said = ask(t, "--node=client", "state", "NAME=attack", "ON=0")
    assert (status, said) == (0, "done: client\n"), said
    assert not attacked(t.client) and attacked(t.collector)
    # At both ends, and never what it was not asked.
    t.expect_others(r'^node=collector .*op=relay-command .* verb=state via=input from=uid:0 .*NODE\\x3dclient.* receivers=1 answer=taken')
    t.expect_others(r'^node=collector .*op=relay-answer .* answer=done why=client res=success')
    asked = t.expect_others(r'^node=client .*op=relay-command .* verb=state via=push from=remote .*ON\\x3d0')
    assert "NODE" not in asked and asked.endswith(" answer=done res=success"), asked

    # A client's policy is its own; the collector's too.
    status, said = ask(t, "--node=all", "log", "PRIORITY=4", "MESSAGE=x")
    assert status == 3 and "2 refused\n" in said and "client: refused: Commands= of the subscriber remote does not grant it" in said, said
    t.expect_others(r'^node=client .*op=relay-command .* verb=log via=push from=remote .* answer=refused')
    grant(t.client, "log")
    status, said = ask(t, "--node=all", "log", "PRIORITY=4", "MESSAGE=hello from the collector")
    assert status == 5 and "1 done, 1 refused\n" in said and "\n  collector: refused" in said and "\n  client: done" in said, said
    t.client.expect_journal(DISPATCHER, "hello from the collector")
    status, said = ask(t, "--node=client", "pause", "SECONDS=60", "NAME=remote")
    assert status == 3 and "no Commands= in dispatcher.conf grants it" in said, said

    # Who is not there. Its own record of the last command would start it again.
    t.client.systemctl("stop", SOCKET, REMOTE)
    until(lambda: "1 done, 1 not reached\n  client: not reached: not connected" in
          ask(t, "--node=all", "state", "NAME=attack", "ON=0")[1], "the client is gone")
    assert not attacked(t.collector)
    status, said = ask(t, "--node=client", "log", "PRIORITY=4", "MESSAGE=x")
    assert status == 5 and "client: not reached: not connected" in said, said
    status, said = ask(t, "--node=client9", "log", "PRIORITY=4", "MESSAGE=x")
    assert status == 5 and "client9: not reached: no such client is known" in said, said
    t.client.systemctl("start", SOCKET, REMOTE)

    # Nobody who passes them on.
    t.collector.systemctl("stop", AGGREGATOR)
    status, said = ask(t, "--node=all", "state", "NAME=attack", "ON=1")
    assert status == 5 and "no aggregator of this host passes commands on" in said, said
