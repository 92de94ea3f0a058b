# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real records of this machine's kernel: the client's multicast unit, as the generator chose it, carries what the kernel sends.

In a container the kernel gives a copy only, and only in the host's network: the socket unit is put there by a drop-in, the rest of the
client stays in its own. An independent witness reads beside it; between two marks both must have the same.
"""

import signal
import subprocess
import sys

from harness.machine import TOP, WORK, until
from harness.relay import LOG, NODE

sys.path.append(str(TOP / "tools/lib"))
import witness  # noqa: E402

KERNEL_AUDIT = True
FRESH_HOSTS = True
HOSTS = {
    "client_options": ["--capability=CAP_AUDIT_READ,CAP_AUDIT_CONTROL,CAP_AUDIT_WRITE", "--bind=/run/netns:/run/hostns"],
    "client_environment": {"SYSTEMD_SECCOMP": "0"},  # nspawn's own filter alone; units keep theirs
    "client_files": {
        "/etc/systemd/system/audit-relay-dispatcher-multicast.socket.d/host.conf":
            "[Socket]\nNetworkNamespacePath=/run/hostns/initial\n",
    },
}
WITNESS = [sys.executable, str(TOP / "tools/lib/witness.py")]
MARKS = 500


def story(t):
    assert t.client.is_active("audit-relay-dispatcher-multicast.socket"), "the generator has not chosen the multicast socket"
    assert not t.client.is_active("audit-relay-dispatcher-kernel.socket")
    why = t.client.sh("audit-relay doctor input")
    assert "multicast.socket (the generator's choice, this is a container" in why, why

    seen = WORK / "witnessed"
    watcher = subprocess.Popen([*WITNESS, "watch", str(seen)], stderr=subprocess.PIPE)
    try:
        until(seen.exists, "the witness reads")
        for what in "begin", *(f"n={number}" for number in range(MARKS)), "end":
            witness.main(["witness.py", "mark", f"relay-test {what}"])
    finally:
        watcher.send_signal(signal.SIGTERM)
        _, words = watcher.communicate(timeout=30)
    assert watcher.returncode == 0, words.decode()
    assert b"relay-test end" in seen.read_bytes(), "the kernel sent nothing: has somebody else switched its audit off?"
    t.expect_others("relay-test end")

    result = subprocess.run([*WITNESS, "compare", str(seen), str(t.collector.path(LOG)), NODE, "relay-test begin", "relay-test end"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, result.stdout
    lines = [line for line in t.stored_since().splitlines() if b"relay-test n=" in line]
    assert len(lines) == MARKS, f"{len(lines)} of {MARKS} marks"
