# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client's certificate has expired: refused, and both sides say that this is why. With a new one and a reload it goes on."""

from harness.records import records
from harness.relay import AGGREGATOR, CA, REMOTE, TLS


def story(t):
    t.collector.sh(f"audit-relay cert client client --dir {CA} --out /root/expired --not-before 2020-01-01 --not-after 2020-12-31")
    t.restart_log(AGGREGATOR)
    since = t.collector.journal_now()
    for file in "cert.pem", "key.pem":
        t.client.write(f"{TLS}/{file}", t.collector.read(f"/root/expired/{file}"))
    t.client.systemctl("restart", REMOTE)
    waiting = records(100, "expired")
    t.send(waiting)
    reason = t.expect_condition("remote", "tls_refused")
    assert "expired" in reason, reason
    t.collector.expect_journal(AGGREGATOR, "expired", since)
    t.expect_counter("aggregator", "certificates_refused", 1, 'reason="expired"')
    assert not t.stored_since(), "records were taken from a client whose certificate has expired"

    t.install_certificate(t.client, "client")
    t.client.systemctl("reload", REMOTE)
    t.expect_stored(waiting)
