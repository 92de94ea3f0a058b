# SPDX-License-Identifier: LGPL-2.1-or-later
"""doctor finds nothing wrong on two hosts that are well; four defects that are planted it names, all of them and nothing else.

A collector of that name that nobody is, a socket that is masked, a key that everybody may read, an authority of somebody else.
"""

import json

from harness.machine import until
from harness.relay import REMOTE, REMOTE_CONF, TLS

LINES = "audit-relay-dispatcher-lines.socket"


def wrong(host, *checks):
    status, output = host.sh(["audit-relay", "doctor", "--json", *checks], status=True)
    found = [f for f in json.loads(output) if f["verdict"] == "wrong"]
    assert status == (3 if found else 0), (status, output)
    assert all(f["todo"] for f in found), found
    return {(f["check"], f["what"]) for f in found}


def expect(found, *wanted):
    for check, text in wanted:
        assert any(c == check and text in what for c, what in found), (text, found)
    assert len(found) == len(wanted), found


def story(t):
    until(lambda: not wrong(t.client, "conditions"), "the client is well")
    for host in t.client, t.collector:
        expect(wrong(host))

    why = t.client.sh("audit-relay doctor input")
    assert "this container may not read its audit (conditions of audit-relay-dispatcher-multicast.socket)" in why, why

    authority = t.client.read(f"{TLS}/ca.pem")
    t.client.write("/etc/audit-relay/remote.conf", "[Remote]\nCollector=nobody.invalid collector\n")
    t.client.systemctl("stop", LINES)
    t.client.systemctl("mask", LINES)
    t.client.sh(f"chmod 644 {TLS}/key.pem && rm -rf /root/other-ca && audit-relay cert init --dir /root/other-ca && cp /root/other-ca/ca.pem {TLS}/ca.pem")
    expect(wrong(t.client, "units", "certificates", "collectors"),
           ("units", f"{LINES} is masked"),
           ("certificates", "everybody may read remote's key"),
           ("collectors", "collector nobody.invalid: its name is not found"),
           ("collectors", "collector collector: we refuse it: The collector's certificate \"collector\" is issued by an unknown CA"))

    t.client.write(f"{TLS}/ca.pem", authority)
    t.client.write("/etc/audit-relay/remote.conf", REMOTE_CONF)
    t.client.systemctl("unmask", LINES)
    t.client.systemctl("stop", "audit-relay-dispatcher.service")
    t.client.systemctl("start", LINES, "audit-relay-dispatcher.service")
    t.client.systemctl("reload", REMOTE)
    until(lambda: not wrong(t.client), "nothing is wrong any more")
