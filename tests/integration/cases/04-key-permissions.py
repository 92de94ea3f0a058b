# SPDX-License-Identifier: LGPL-2.1-or-later
"""However a key was copied to its place, the service can read it and nobody else can.

The harness copies it as root with mode 0600. After the start it belongs to the group of the programs that speak TLS; a key copied
anew is put right by the reload.
"""

from harness.relay import AGGREGATOR, REMOTE, TLS


def check(host, unit):
    key = f"{TLS}/key.pem"
    assert host.sh(["stat", "--format=%a %U %G", key]).strip() == "640 root audit-relay-tls"
    host.sh(["chown", "root:root", key])
    host.sh(["chmod", "600", key])
    host.systemctl("reload", unit)
    assert host.sh(["stat", "--format=%a %U %G", key]).strip() == "640 root audit-relay-tls"
    user = host.show(unit, "User")
    host.sh(["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "cat", key])
    status, _ = host.sh(["setpriv", "--reuid=audit-relay-dispatcher", "--regid=audit-relay-dispatcher", "--init-groups", "cat", key],
                        status=True)
    assert status != 0, "the dispatcher's user can read the key"


def story(t):
    check(t.client, REMOTE)
    check(t.collector, AGGREGATOR)
