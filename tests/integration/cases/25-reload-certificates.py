# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates change while client and collector are connected: renewed on both sides by a reload, not a connection is dropped and the
days that are left are new ones; then revoked: the connected client gets a BYE that says so on both sides, and nothing more of it is
taken, also when its TLS session would be resumed, until it has a certificate with a new key.
"""

from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR, CA, REMOTE, TLS


def days(t, component):
    return t.counter(component, "certificate_days")


def story(t):
    first = records(20, "before-renewal")
    t.send(first)
    t.expect_stored(first)
    t.expect_counter("remote", "connected", 1)
    disconnects = t.counter_settled("remote", "disconnects")
    accepted = t.counter("aggregator", "connections_accepted")
    before = {component: days(t, component) for component in ("remote", "aggregator")}
    assert all(d > 800 for d in before.values()), before

    # Ten days, so that one warning is due.
    since = t.client.journal_now()
    for name, kind, host in ("client", "client", t.client), ("collector", "collector", t.collector):
        t.collector.sh(f"audit-relay cert {kind} {name} --dir {CA} --days 10 --out /root/short-{name}")
        for file, mode in ("cert.pem", 0o644), ("key.pem", 0o600):
            host.write(f"{TLS}/{file}", t.collector.read(f"/root/short-{name}/{file}"), mode)
    t.client.systemctl("reload", REMOTE)
    t.collector.systemctl("reload", AGGREGATOR)
    for component in before:
        until(lambda: 0 < days(t, component) <= 10, f"{component} tells the days of its new certificate")
    # Read within the second in which it was made, it has ten whole days.
    until(lambda: any(f"Our certificate expires in {n} days" in t.client.journal(REMOTE, since) for n in (9, 10)), "the client warns")
    second = records(20, "after-renewal")
    t.send(second)
    t.expect_stored(second)
    assert t.counter_settled("remote", "disconnects") == disconnects, "a reload dropped the connection"
    assert t.counter("aggregator", "connections_accepted") == accepted, "a reload made a new connection"

    # All of the client's are revoked, the one it is connected with among them.
    since = t.collector.journal_now()
    t.collector.sh(f"audit-relay cert revoke client --dir {CA} && cp {CA}/crl.pem {TLS}/crl.pem")
    t.collector.systemctl("reload", AGGREGATOR)
    reason = t.expect_condition("remote", "tls_refused")
    assert "revoked" in reason and '\\"client\\"' in reason, reason
    t.collector.expect_journal(AGGREGATOR, "revoked", since)
    until(lambda: t.counter("aggregator", "revocation_list_days") > 0, "the list's own days are told")
    waiting = records(20, "revoked")
    t.send(waiting)
    refused = t.counter_settled("aggregator", "certificates_refused")
    t.expect_counter("aggregator", "certificates_refused", refused + 1)
    t.expect_counter("aggregator", "certificates_refused", 1, 'reason="revoked"')
    assert not t.stored_since(), "records were taken of a client whose certificate is revoked"

    t.collector.sh(f"audit-relay cert client client --dir {CA} --force")
    t.install_certificate(t.client, "client")
    t.install_certificate(t.collector, "collector")
    t.client.systemctl("reload", REMOTE)
    t.expect_stored(waiting)
    t.expect_condition("remote", "tls_refused", holds=False)
    t.collector.remove(f"{TLS}/crl.pem")
    t.collector.systemctl("reload", AGGREGATOR)
