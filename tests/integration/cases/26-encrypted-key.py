# SPDX-License-Identifier: LGPL-2.1-or-later
"""The TLS keys are nowhere on the disk but encrypted, and systemd decrypts them for the programs: by a file on the client, written into the
drop-in on the collector; records flow over them. The commands are those of units.md.

Without a TPM the host's own key encrypts (/var/lib/systemd/credential.secret). A credential that was made for another name is refused by
systemd, and the program does not start with it.
"""

from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR, REMOTE, TLS

STORE = "/etc/credstore.encrypted"
DROP_IN = "/etc/systemd/system/{}.d/credentials.conf"


def by_file(host, unit):
    host.sh(f"""set -e
        mkdir -p -m 700 {STORE}
        systemd-creds encrypt --with-key=host --name=key {TLS}/key.pem {STORE}/audit-relay-key
        rm {TLS}/key.pem""")
    host.write(DROP_IN.format(unit), "[Service]\n" + "".join(f"LoadCredential={name}:{TLS}/{name}.pem\n" for name in ("cert", "ca"))
               + f"LoadCredentialEncrypted=key:{STORE}/audit-relay-key\n")


def in_place(host, unit):
    path = DROP_IN.format(unit)
    host.write(path, "[Service]\n" + "".join(f"LoadCredential={name}:{TLS}/{name}.pem\n" for name in ("cert", "ca")))
    host.sh(f"systemd-creds encrypt --with-key=host --name=key --pretty {TLS}/key.pem - >>{path} && rm {TLS}/key.pem")
    assert b"SetCredentialEncrypted=key:" in host.read(path) and b"PRIVATE KEY" not in host.read(path)


def restart(host, unit):
    host.systemctl("daemon-reload")
    host.systemctl("restart", unit)
    until(lambda: host.is_active(unit), f"{unit} runs")


def story(t):
    keys = {host.name: host.read(f"{TLS}/key.pem") for host in (t.client, t.collector)}
    by_file(t.client, REMOTE)
    in_place(t.collector, AGGREGATOR)
    restart(t.collector, AGGREGATOR)
    restart(t.client, REMOTE)
    lines = records(10, "encrypted")
    t.send(lines)
    t.expect_stored(lines)

    t.client.sh(f"mv {STORE}/audit-relay-key {STORE}/audit-relay-sign")
    drop_in = t.client.read(DROP_IN.format(REMOTE)).replace(b"=key:", b"=sign:").replace(b"-key", b"-sign")
    t.client.write(DROP_IN.format(REMOTE), drop_in)
    t.client.systemctl("daemon-reload")
    status, _ = t.client.sh(["systemctl", "restart", REMOTE], status=True)
    assert status != 0 and not t.client.is_active(REMOTE), "it started by a credential of another name"

    for host, unit in (t.client, REMOTE), (t.collector, AGGREGATOR):
        host.write(f"{TLS}/key.pem", keys[host.name], 0o600)
        host.remove(DROP_IN.format(unit))
        host.sh(f"rm -rf {STORE}")
        restart(host, unit)
