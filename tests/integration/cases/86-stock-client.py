# SPDX-License-Identifier: LGPL-2.1-or-later
"""Port 60 is open only when its socket is enabled, and takes only from networks that the configuration names; then a stock client's
record is stored and acked, by the confined service, beside the native clients. tests/interop has real audisp-remotes."""

import subprocess
import sys

from harness.machine import until
from harness.records import records
from harness.relay import AGGREGATOR

SOCKET, NATIVE = "audit-relay-aggregator-auditd.socket", "audit-relay-aggregator.socket"
DROP_IN = "/etc/audit-relay/aggregator.conf.d/60-stock.conf"
HEADER = "fe0000ff0000"
TALK = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 60), timeout=20) as s:
        s.sendall(bytes.fromhex(sys.argv[2]))
        print(s.recv(100).hex())
except OSError as e:
    print(type(e).__name__)
"""
TEXT = b"type=USER msg=audit(1700000000.000:7): op=stock\n"


def talk(t):
    message = HEADER + "00000000" + len(TEXT).to_bytes(2, "little").hex() + "02000000" + TEXT.hex()
    return subprocess.run(["nsenter", f"--net=/run/netns/{t.client.name}", sys.executable, "-c", TALK, t.collector.address, message],
                          stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode().strip()


def story(t):
    assert talk(t) == "ConnectionRefusedError"
    t.collector.systemctl("enable", SOCKET)
    try:
        t.collector.systemctl("stop", NATIVE, AGGREGATOR)
        t.collector.systemctl("start", SOCKET, NATIVE, AGGREGATOR)
        assert talk(t) in ("", "ConnectionResetError"), "a network that nothing names is served"
        t.collector.write(DROP_IN, f"[Aggregator]\nAuditdAllow={t.client.address}/32\n")
        t.collector.systemctl("restart", AGGREGATOR)
        assert talk(t) == HEADER + "00000040" + "0000" + "02000000"
        lines = records(100, "beside-stock")
        t.send(lines)
        rest = t.expect_stored(lines, others="op=stock")
        assert rest == [f"node={t.client.address} ".encode() + TEXT], rest
    finally:
        t.collector.remove(DROP_IN)
        t.collector.systemctl("disable", "--now", SOCKET)
        t.collector.systemctl("restart", AGGREGATOR)
    until(lambda: talk(t) == "ConnectionRefusedError", "port 60 is closed")
