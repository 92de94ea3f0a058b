# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client's certificate is of a foreign CA: it delivers nothing, both sides say why, and its records wait.

Then the client trusts a foreign CA instead: it does not believe the collector, and delivers nothing either. With the right files and
a reload, everything arrives.
"""

from harness.records import records
from harness.relay import AGGREGATOR, REMOTE, TLS

FOREIGN = "/root/foreign-ca"


def story(t):
    t.collector.sh(f"audit-relay cert init --dir {FOREIGN} && audit-relay cert client client --dir {FOREIGN}")
    foreign = {file: t.collector.read(f"{FOREIGN}/client/{file}") for file in ("cert.pem", "key.pem", "ca.pem")}
    own_ca = t.client.read(f"{TLS}/ca.pem")
    t.restart_log(AGGREGATOR)
    refused = t.counter_settled("aggregator", "certificates_refused")
    since = t.collector.journal_now()

    t.client.write(f"{TLS}/cert.pem", foreign["cert.pem"])
    t.client.write(f"{TLS}/key.pem", foreign["key.pem"])
    t.client.systemctl("restart", REMOTE)
    waiting = records(100, "wrong-ca")
    t.send(waiting)
    t.expect_condition("remote", "tls_refused")
    t.expect_counter("aggregator", "certificates_refused", refused + 1)
    t.collector.expect_journal(AGGREGATOR, "certificate", since)

    t.install_certificate(t.client, "client")
    t.client.write(f"{TLS}/ca.pem", foreign["ca.pem"])
    since = t.client.journal_now()
    t.client.systemctl("restart", REMOTE)
    t.expect_condition("remote", "tls_refused")
    t.client.expect_journal(REMOTE, "certificate", since)
    assert not t.stored_since(), "records were delivered without trust"

    t.client.write(f"{TLS}/ca.pem", own_ca)
    t.client.systemctl("reload", REMOTE)
    t.expect_stored(waiting)
    t.expect_condition("remote", "tls_refused", holds=False)
