# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host on which all is enabled that can be boots and shuts down without an ordering cycle: client and collector at once, auditd beside them,
the rules, stores on file systems of their own, and services that wait for the network, its file systems and the time.

The dispatcher is there before sysinit.target; at shutdown ordinary services and the aggregator stop first, then the dispatcher, then remote. Hosts
that are one of the two, and have no auditd: 02-targets.
"""

from harness.boot import cycles, expect_no_cycles, expect_order, said_by_init
from harness.machine import until
from harness.relay import AGGREGATOR, DISPATCHER, LOG, REMOTE

FRESH_HOSTS = True
SYSTEM = "/etc/systemd/system"
TARGETS = "audit-relay-client.target", "audit-relay-collector.target"
OURS = "'/usr/lib/systemd/system/audit-relay-'*[!@].{service,socket,target}"
GENERATOR = "/etc/systemd/system-generators/audit-relay-generator"

# What other packages bring, as far as its place in the order goes.
UNITS = {
    "wait-online.service": ("DefaultDependencies=no\nAfter=network.target\nBefore=network-online.target", "network-online.target", ""),
    # As systemd-time-wait-sync.service: all of the boot waits for the time.
    "wait-sync.service": ("DefaultDependencies=no\nWants=time-sync.target\nBefore=time-sync.target shutdown.target\nConflicts=shutdown.target",
                          "sysinit.target", ""),
    "early.service": ("DefaultDependencies=no\nAfter=audit-relay-dispatcher.socket\nBefore=sysinit.target shutdown.target\n"
                      "Conflicts=shutdown.target", "sysinit.target", ""),
    "app.service": (f"Wants=network-online.target remote-fs.target time-sync.target\nAfter=network-online.target remote-fs.target "
                    f"time-sync.target {' '.join(TARGETS)}", "multi-user.target", "ExecStop=true\n"),
}
AUDITD = "[Service]\nType=exec\nExecStart=\nExecStart=sleep infinity\nExecStartPost=\n"


def furnish(t):
    """The client becomes a collector as well, and its own."""
    host = t.client
    for name, (order, target, more) in UNITS.items():
        host.write(f"{SYSTEM}/{name}", f"[Unit]\n{order}\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n{more}"
                                       f"[Install]\nWantedBy={target}\n")
    host.write("/etc/fstab", f"tmpfs /var/lib/audit-relay tmpfs defaults 0 0\ntmpfs {LOG} tmpfs _netdev 0 0\n")
    t.install_certificate(host, "collector")
    host.sh("mkdir -p /etc/own && mv /etc/audit-relay/tls/* /etc/own/ && chgrp audit-relay-tls /etc/own/* && chmod 640 /etc/own/*")
    t.install_certificate(host, "client")
    host.write("/etc/audit-relay/aggregator.conf", "[Aggregator]\nPublish=yes\nTLSCertificate=/etc/own/cert.pem\nTLSKey=/etc/own/key.pem\n")
    host.write("/etc/audit-relay/remote.conf", "[Remote]\nCollector=127.0.0.1#collector\n")
    host.systemctl("enable", *UNITS, *TARGETS, "audit-relay-aggregator-auditd.socket", "audit-relay-state@remote-spool_full.path",
                   "audit-relay-plugin@true.socket")


def auditd_and_kernel(host):
    """auditd is enabled, and so is what the generator would not have chosen beside it, nor in a container."""
    host.sh(f"mkdir -p $(dirname {GENERATOR}) && ln -s /dev/null {GENERATOR} && cp /opt/auditd/lib/systemd/system/auditd.service {SYSTEM}/")
    host.write(f"{SYSTEM}/auditd.service.d/stand-in.conf", AUDITD)
    host.systemctl("daemon-reload")
    host.systemctl("enable", "auditd.service")
    host.systemctl("add-wants", TARGETS[0], "audit-relay-dispatcher-kernel.socket", "audit-relay-rules.service")


def verify(host):
    said = host.sh(f"shopt -s extglob; systemd-analyze verify --man=no default.target {OURS} 2>&1 || true")
    assert not cycles(said), "\n".join(cycles(said))


def run_all(host):
    for unit in DISPATCHER, REMOTE, AGGREGATOR, "app.service", *TARGETS:
        until(lambda: host.is_active(unit), f"{unit} is up")


def story(t):
    host = t.client
    for machine in host, t.collector:
        verify(machine)
    furnish(t)
    verify(host)
    host.systemctl("restart", "multi-user.target", REMOTE)
    run_all(host)
    auditd_and_kernel(host)
    verify(host)
    for unit in DISPATCHER, REMOTE:
        assert "sysinit.target" in host.show(unit, "Before").split(), f"{unit} may come late, and stop early"

    since = host.journal_now()
    host.power_off()
    host.power_on()
    run_all(host)
    until(lambda: "Reached target multi-user.target" in said_by_init(host, since), "the boot has ended")
    expect_no_cycles(host)
    said = said_by_init(host, since)
    expect_order(said, "Stopped app.service", "Stopping audit-relay-dispatcher.service", "Stopped audit-relay-dispatcher.service",
                 "Stopping audit-relay-remote.service", "Stopped audit-relay-remote.service", "Started audit-relay-remote.service",
                 "Started audit-relay-dispatcher.service", "Reached target sysinit.target", "Started audit-relay-aggregator.service")
    expect_order(said, "Stopped audit-relay-aggregator.service", "Stopping audit-relay-dispatcher.service")

    # That a cycle would have been seen.
    for name, other in ("one", "two"), ("two", "one"):
        t.collector.write(f"{SYSTEM}/{name}.service",
                          f"[Unit]\nAfter={other}.service\nWants={other}.service\n[Service]\nExecStart=true\n")
    t.collector.systemctl("daemon-reload")
    t.collector.sh("systemctl start one.service", check=False)
    until(lambda: cycles(said_by_init(t.collector)), "systemd says that there is a cycle")
