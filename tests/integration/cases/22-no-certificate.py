# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody connects without a certificate: told why by a BYE, counted, noted; the real client does not notice."""

from harness.frames import BYE_CERTIFICATE, find_bye, frame, tls_talk
from harness.records import records
from harness.relay import AGGREGATOR


def story(t):
    t.restart_log(AGGREGATOR)
    refused = t.counter_settled("aggregator", "certificates_refused")
    since = t.collector.journal_now()
    bye = find_bye(tls_talk(t.client, t.collector.address, frame("hello-sender")))
    assert bye and bye[0] == BYE_CERTIFICATE, f"the answer was {bye}"
    assert "certificate" in bye[1]
    t.expect_counter("aggregator", "certificates_refused", refused + 1)
    t.expect_counter("aggregator", "certificates_refused", 1, 'reason="certificate"')
    t.collector.expect_journal(AGGREGATOR, "certificate", since)
    lines = records(100, "with-certificate")
    t.send(lines)
    t.expect_stored(lines)
