# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dispatcher cannot pass on what it has: remote is away until the ring is full, a subscriber stands still and is told what it missed,
and a collector's dispatcher takes nothing of what is to be published.

kernel_lost and kernel_refused need the kernel's one audit socket, which no container may have: tests/kernel/overrun.py and refused.py.
"""

from harness.auditd import Auditd
from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR, DISPATCHER, REMOTE
from harness.states import watch

FRESH_HOSTS = True
# Soon full.
HOSTS = {"client_files": {"/etc/audit-relay/dispatcher.conf.d/ring.conf": "[Dispatcher]\nRingSize=8M\n"}}
NAMES = "dispatcher/ring_low", "dispatcher/ring_full", "dispatcher/subscriber_dropping", "aggregator/publish_failed"
REMOTE_UNITS = "audit-relay-remote.socket", REMOTE
SUBSCRIBER = "/etc/audit-relay/subscribers.d/still.conf"
OUT = "/run/still.out"
UNITS = {
    "still.socket": "[Socket]\nListenStream=/run/still.socket\nSocketUser=audit-relay-dispatcher\nSocketMode=0600\n",
    "still.service": f"[Service]\nExecStart=/usr/lib/audit-relay/plugin-exec /bin/sh -c 'exec cat >>{OUT}'\n",
}
PUBLISH = "/etc/audit-relay/aggregator.conf.d/50-publish.conf"


def ring(t, w):
    auditd = Auditd(t.client)
    t.client.systemctl("stop", *REMOTE_UNITS)
    while "ring_full" not in t.conditions("dispatcher"):
        for _ in range(50):
            auditd.write()
    w.begun("dispatcher/ring_low")
    w.begun("dispatcher/ring_full")
    t.client.systemctl("start", *REMOTE_UNITS)
    w.ended("dispatcher/ring_full")
    w.ended("dispatcher/ring_low")
    t.skip_stored()


def dropping(t, w):
    for name, text in UNITS.items():
        t.client.write(f"/etc/systemd/system/{name}", text)
    t.client.systemctl("daemon-reload")
    t.client.systemctl("start", "still.socket")
    t.client.write(SUBSCRIBER, "[Subscriber]\nSocket=/run/still.socket\nFormat=lines\nFilter=USER\nOverflow=drop-oldest\nQueueLimit=1M\n")
    t.client.systemctl("reload", DISPATCHER)
    t.send(records(1, "first"))
    until(lambda: t.client.path(OUT).exists() and b"op=first" in t.client.read(OUT), "the subscriber reads")
    t.client.kill("still.service", "STOP")
    lines = records(20_000, "dropped", size=267)
    t.send(lines)
    assert "SUBSCRIBER=still" in w.begun("dispatcher/subscriber_dropping", "DROPPED")
    t.skip_stored()
    t.client.kill("still.service", "CONT")


def keeps_up(t, w):
    w.ended("dispatcher/subscriber_dropping")
    got = t.client.read(OUT)
    assert got.count(b"op=dropped") < 20_000 and b"op=dropped n=20000 " in got, "it lacks some, and not the newest"
    t.client.remove(SUBSCRIBER)
    t.client.systemctl("reload", DISPATCHER)
    t.client.systemctl("stop", "still.socket", "still.service")


def not_published(t, w):
    t.collector.write(PUBLISH, "[Aggregator]\nPublish=yes\n")
    t.collector.systemctl("enable", "--now", "audit-relay-client.target")
    t.collector.systemctl("restart", AGGREGATOR)
    until(lambda: t.collector.is_active(AGGREGATOR), "the aggregator")
    units = "audit-relay-dispatcher.socket", DISPATCHER
    t.collector.systemctl("stop", *units)
    lines = records(1000, "published")
    t.send(lines)
    w.begun("aggregator/publish_failed")
    t.expect_stored(lines)
    t.collector.systemctl("start", *units)
    w.ended("aggregator/publish_failed")
    tail = t.collector.sh(["audit-relay", "tail", "--from=oldest", "-n", 1000])
    assert tail.count("op=published") == 1000, tail[-1000:]


def story(t):
    with watch(t, *NAMES) as w:
        dropping(t, w)
        # It has to keep up for a while.
        ring(t, w)
        not_published(t, w)
        keeps_up(t, w)
