# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two collectors publish to their dispatchers and relay to each other. Each record is in both logs once, and subscribers see it once.

Each host is the other one's client, and each lists all nodes for the other: nothing but the rules keeps a record from going round. The
aggregator that publishes and the dispatcher that it publishes to are killed meanwhile.
"""

import subprocess

from harness.machine import until
from harness.records import as_stored, first_difference, records
from harness.relay import AGGREGATOR, CA, DISPATCHER, LOG, REMOTE

FRESH_HOSTS = True
PARTS = 4
COUNT = 1000


def configure(host, other):
    host.write("/etc/audit-relay/aggregator.conf.d/50-publish.conf", "[Aggregator]\nPublish=yes\n")
    host.write(f"/etc/audit-relay/peers.d/{other}.conf", "[Peer]\nRelayNames=client collector\n")
    host.write("/etc/audit-relay/remote.conf", f"[Remote]\nCollector={other}\nRelay=yes\n")
    host.systemctl("enable", "--now", "audit-relay-collector.target", "audit-relay-client.target")
    host.systemctl("restart", AGGREGATOR, REMOTE)


def log_of(host):
    found = sorted(host.path(LOG).glob("[0-9]*.log"))
    return b"".join(path.read_bytes() for path in found)


def lines_of(data, node):
    return b"".join(line for line in data.splitlines(keepends=True) if line.startswith(b"node=" + node.encode() + b" "))


def story(t):
    t.collector.sh(f"audit-relay cert collector client --dir {CA} --out {CA}/relay/client")
    t.install_certificate(t.client, "client", f"{CA}/relay")
    for host, other in (t.client, "collector"), (t.collector, "client"):
        configure(host, other)
    with subprocess.Popen(t.collector.command(["audit-relay", "tail", "--from=oldest", "-n", 2 * (PARTS * COUNT + 1)]),
                          stdout=subprocess.PIPE) as tail:
        sent = {"client": b"", "collector": b""}
        for part in range(PARTS):
            for host in t.client, t.collector:
                lines = records(COUNT, f"part-{part}-{host.name}")
                host.sh(["audit-relay", "send"], data=lines)
                sent[host.name] += as_stored(lines, host.name)
            t.kill_program(AGGREGATOR if part % 2 == 0 else DISPATCHER, t.collector)
        for host in t.client, t.collector:
            for node in sent:
                until(lambda: len(lines_of(log_of(host), node)) >= len(sent[node]), f"{node}'s records at {host.name}")
        # What went round would come before these.
        for host in t.client, t.collector:
            lines = records(1, f"last-{host.name}")
            host.sh(["audit-relay", "send"], data=lines)
            sent[host.name] += as_stored(lines, host.name)
        for host in t.client, t.collector:
            for node in sent:
                until(lambda: len(lines_of(log_of(host), node)) >= len(sent[node]), f"the last one of {node} at {host.name}")
                difference = first_difference(sent[node], lines_of(log_of(host), node))
                assert difference is None, f"{node} at {host.name}: {difference}"
        # It ends by itself, behind so many.
        seen = tail.stdout.read()
    for node in sent:
        difference = first_difference(sent[node], lines_of(seen, node))
        assert difference is None, f"{node} at the subscriber: {difference}"
