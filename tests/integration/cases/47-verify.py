# SPDX-License-Identifier: LGPL-2.1-or-later
"""The collector signs checkpoints of its store and its client keeps the receipts, of that key alone; the store, while it is written to, is
intact by them. Of copies a record is changed, or the end cut off: verify names each, the latter only by the receipts.
"""

import json

from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR, CA, LOG, REMOTE, SPOOL, TLS

FRESH_HOSTS = True
RECEIPTS = f"{SPOOL}/receipts"
SIGN = f"{TLS}/sign.pem"


def story(t):
    t.collector.sh(f"audit-relay cert signer collector --dir {CA} && cp {CA}/collector/sign.pem {SIGN} && "
                   f"chown audit-relay-aggregator: {SIGN} && chmod 0400 {SIGN}")
    key = t.collector.sh(f"audit-relay cert verifier collector --dir {CA}").strip()
    t.collector.write("/etc/audit-relay/aggregator.conf.d/50-checkpoints.conf", "[Aggregator]\nCheckpointSec=1s\n")
    t.client.write("/etc/audit-relay/remote.conf.d/50-verifier.conf", f"[Remote]\nVerifierKey={key}\n")
    t.collector.systemctl("restart", AGGREGATOR)
    t.client.systemctl("restart", REMOTE)

    def verify(*arguments):
        status, output = t.collector.sh(["audit-relay", "verify", "--json", f"--key={key}", *arguments], status=True)
        return status, json.loads(output)

    lines = records(200, "signed")
    t.send(lines)
    t.expect_stored(lines)
    kept = t.client.path(RECEIPTS) / "collector"
    until(lambda: kept.exists() and f"\n{newest(verify(LOG))}\n" in kept.read_text(), "the client has a receipt of all that there is")
    assert t.counter("remote", "receipts_refused") == 0
    t.collector.write("/var/tmp/receipts/collector", kept.read_text())

    evidence = "--receipts=/var/tmp/receipts"
    status, (report,) = verify(evidence, LOG)
    assert status in (0, 4) and report["damage_count"] == 0 and report["signed_seq"] > 0 and not report["evidence"], report

    t.collector.sh(f"cp -r {LOG} /var/tmp/changed && cp -r {LOG} /var/tmp/cut")
    text = sorted(t.collector.path("/var/tmp/changed").glob("[0-9]*.log"))[-1]
    text.write_bytes(text.read_bytes().replace(b"op=signed n=100 ", b"op=signed n=1x0 "))
    status, (report,) = verify("/var/tmp/changed")
    assert status == 3 and [damage["kind"] for damage in report["damages"]] == ["text"], report

    # As if nothing had ever come: a store of another day, or an older backup of this one.
    for name in sorted(t.collector.path("/var/tmp/cut").glob("[0-9]*.idx")):
        name.write_bytes(name.read_bytes()[:256])
    status, (report,) = verify("/var/tmp/cut")
    assert status == 3 and "truncated" not in [proof["kind"] for proof in report["evidence"]], report
    status, (report,) = verify(evidence, "/var/tmp/cut")
    assert status == 3 and "truncated" in [proof["kind"] for proof in report["evidence"]], report


def newest(result):
    _, (report,) = result
    return report["newest"]
