# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates change while client and collector are connected and records flow: renewed on both sides by `audit-relay cert renew` and
`install`, not a connection is dropped, not a record lost, and the days that are left are new ones; then revoked: the connected client gets a BYE that says so on both sides, and nothing more of it is
taken, also when its TLS session would be resumed, until it has a certificate with a new key, which it asks for.
"""

from harness.load import SteadyLoad
from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR, CA, REMOTE, TLS

WRONG = "/etc/audit-relay/peers.d/wrong.conf"


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
    load = SteadyLoad(t)
    try:
        for name, host in ("client", t.client), ("collector", t.collector):
            renewed = t.collector.sh(f"audit-relay cert renew {name} --dir {CA} --days 10 2>/dev/null")
            assert "PRIVATE" not in renewed, renewed
            host.sh("audit-relay cert install", data=renewed)
        for component in before:
            until(lambda: 0 < days(t, component) <= 10, f"{component} tells the days of its new certificate")
    finally:
        sent = load.stop()
    t.expect_stored(sent)
    # Read within the second in which it was made, it has ten whole days.
    until(lambda: any(f"Our certificate expires in {n} days" in t.client.journal(REMOTE, since) for n in (9, 10)), "the client warns")
    assert t.counter_settled("remote", "disconnects") == disconnects, "a reload dropped the connection"
    assert t.counter("aggregator", "connections_accepted") == accepted, "a reload made a new connection"

    # All of the client's are revoked, the one it is connected with among them. That counts though a file beside is wrong.
    since = t.collector.journal_now()
    t.collector.sh(f"audit-relay cert revoke client --dir {CA} && cp {CA}/crl.pem {TLS}/crl.pem")
    t.collector.write(WRONG, "[Peer]\nAction=perhaps\n")
    t.collector.systemctl("reload", AGGREGATOR)
    reason = t.expect_condition("remote", "tls_refused")
    assert "revoked" in reason and '\\"client\\"' in reason, reason
    t.collector.expect_journal(AGGREGATOR, "revoked", since)
    assert "Read the TLS credentials and peers.d again" not in t.collector.journal(AGGREGATOR, since), "all was read, they say"
    t.collector.sh(f"rm {WRONG}")
    until(lambda: t.counter("aggregator", "revocation_list_days") > 0, "the list's own days are told")
    waiting = records(20, "revoked")
    t.send(waiting)
    refused = t.counter_settled("aggregator", "certificates_refused")
    t.expect_counter("aggregator", "certificates_refused", refused + 1)
    t.expect_counter("aggregator", "certificates_refused", 1, 'reason="revoked"')
    assert not t.stored_since(), "records were taken of a client whose certificate is revoked"

    # What is revoked is not renewed; with a key of its own making the client is taken again, as soon as it is installed.
    status, said = t.collector.sh(f"audit-relay cert renew client --dir {CA}", status=True)
    assert status == 1 and "is revoked" in said, said
    request = t.client.sh("audit-relay cert request 2>/dev/null")
    issued = t.collector.sh(f"audit-relay cert issue client --dir {CA} --force 2>/dev/null", data=request)
    t.client.sh("audit-relay cert install", data=issued)
    assert t.client.path(f"{TLS}/key.pem").stat().st_mode & 0o777 == 0o640, "the units did not see to the key's mode"
    t.expect_stored(waiting)
    t.expect_condition("remote", "tls_refused", holds=False)
    # As the other cases expect it.
    t.collector.sh(f"audit-relay cert client client --dir {CA} --force && audit-relay cert renew collector --dir {CA}")
    t.install_certificate(t.client, "client")
    t.install_certificate(t.collector, "collector")
    t.client.sh(f"rm {TLS}/crl.pem {TLS}/*.old")
    t.collector.sh(f"rm {TLS}/crl.pem {TLS}/*.old")
    t.client.systemctl("reload", REMOTE)
    t.collector.systemctl("reload", AGGREGATOR)
