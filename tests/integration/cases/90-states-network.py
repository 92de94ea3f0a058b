# SPDX-License-Identifier: LGPL-2.1-or-later
"""The client's failure states on the way to its collector, each made to happen: file, reaction at its beginning, and at its end.

The collector stops (collector_ending), is away (network_down), is silent (network_timeout), does not trust (tls_refused), does not take
this node (refused), and talks nonsense (collector_error). What was sent meanwhile is there in the end.
"""

from harness.frames import FakeCollector
from harness.records import records
from harness.relay import AGGREGATOR, CA, REMOTE, REMOTE_CONF
from harness.states import watch

CONF = "/etc/audit-relay/remote.conf"
NODE_CONF = "/etc/audit-relay/remote.conf.d/50-node.conf"
FOREIGN = "/root/foreign-ca-of-states"
TARGET = "audit-relay-collector.target"
NAMES = [f"remote/{name}" for name in ("collector_ending", "network_down", "network_timeout", "tls_refused", "refused",
                                       "collector_error")]


def away(t, w):
    t.collector.systemctl("stop", "--no-block", TARGET)
    w.begun("remote/collector_ending", "PEER")
    w.begun("remote/network_down", "PEER")
    w.ended("remote/collector_ending")


def back(t):
    t.collector.systemctl("start", TARGET)


def silent(t, w):
    pid = t.collector.pid(AGGREGATOR)
    t.collector.sh(f"kill -STOP {pid}")
    t.send(records(10, "unanswered"))
    w.begun("remote/network_timeout", "PEER")
    t.collector.sh(f"kill -CONT {pid}")
    w.ended("remote/network_timeout")


def untrusted(t, w):
    t.collector.sh(f"test -d {FOREIGN} || {{ audit-relay cert init --dir {FOREIGN} && audit-relay cert client client --dir {FOREIGN}; }}")
    t.install_certificate(t.client, "client", FOREIGN)
    t.client.systemctl("restart", REMOTE)
    w.begun("remote/tls_refused", "PEER")
    t.install_certificate(t.client, "client")
    t.client.systemctl("reload", REMOTE)
    w.ended("remote/tls_refused")


def unwanted(t, w):
    t.collector.sh(f"test -d {CA}/other || audit-relay cert client other --dir {CA}")
    t.client.write(NODE_CONF, "[Remote]\nNode=client\n")
    t.install_certificate(t.client, "other")
    t.client.systemctl("restart", REMOTE)
    w.begun("remote/refused", "PEER")
    t.install_certificate(t.client, "client")
    t.client.systemctl("reload", REMOTE)
    w.ended("remote/refused")
    t.client.remove(NODE_CONF)


def story(t):
    # So that each lasts long enough to be seen, and none longer than need be.
    t.client.write(CONF, REMOTE_CONF + "NetworkTimeout=2s\nConnectTimeout=2s\nRetryMin=1s\nRetryMax=1s\n")
    t.client.systemctl("restart", REMOTE)
    t.expect_counter("remote", "connected", 1)
    with watch(t, *NAMES) as w:
        away(t, w)
        waiting = records(100, "waiting")
        t.send(waiting)
        with FakeCollector(t.collector, b"\0" * 64):
            w.begun("remote/collector_error", "PEER")
            w.ended("remote/network_down")
        back(t)
        w.ended("remote/collector_error")
        t.expect_stored(waiting)
        silent(t, w)
        t.skip_stored()
        untrusted(t, w)
        unwanted(t, w)
    t.client.write(CONF, REMOTE_CONF)
    t.client.systemctl("restart", REMOTE)
