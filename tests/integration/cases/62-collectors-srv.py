# SPDX-License-Identifier: LGPL-2.1-or-later
"""The collectors are found by the DNS (SRV): by priority, over IPv6, the second address of a name where nobody answers at the first.

When the DNS names others, the client goes there, once its collector is gone or a better one is named.
"""

import subprocess
import sys

from harness.machine import TOP, run
from harness.records import records
from harness.relay import ADDRESSES, AGGREGATOR, CA, STATE
from harness.second import PORT, expect_explained, two_collectors

PREFERRED, OTHER = "log1.example.test", "log2.example.test"
V6 = {"client": "fd77::1", "collector": "fd77::2"}
STATUS = f"{STATE}/remote/status"
ZONE = (f"SRV _audit-relay._tcp.example.test 20 1 {PORT} {OTHER}\n"
        f"SRV _audit-relay._tcp.example.test 10 1 6560 {PREFERRED}\n"
        # Nobody listens at its first address.
        f"AAAA {PREFERRED} {V6['client']}\n"
        f"AAAA {PREFERRED} {V6['collector']}\n"
        f"A {OTHER} {ADDRESSES['client']}\n")


def name_collector(t, name):
    t.install_certificate(t.collector, name)
    t.collector.systemctl("reload", AGGREGATOR)


def story(t):
    for name, address in V6.items():
        run("ip", "-n", name, "addr", "add", f"{address}/64", "dev", "host0", "nodad")
    t.collector.sh(f"audit-relay cert collector {PREFERRED} --dir {CA}")
    name_collector(t, PREFERRED)
    resolver = t.client.sh("cat /etc/resolv.conf", check=False)
    t.client.write("/etc/resolv.conf", f"nameserver {ADDRESSES['collector']}\noptions timeout:2\n")
    dns = subprocess.Popen(["ip", "netns", "exec", "collector", sys.executable, TOP / "tests/integration/harness/dns.py",
                            ADDRESSES["collector"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        dns.stdin.write(ZONE)
        dns.stdin.close()
        assert dns.stdout.readline() == "ready\n"
        with two_collectors(t, OTHER, "FailBackSec=1s\n", collectors="srv:example.test") as second:
            first = records(100, "first")
            t.send(first)
            t.expect_stored(first)
            t.expect_counter("remote", "collector_in_use", 1)
            status = t.client.path(STATUS).read_text()
            assert f'collector_in_use{{collector="{PREFERRED}"}} 1' in status, status

            t.collector.systemctl("stop", "audit-relay-collector.target")
            why = t.expect_condition("remote", "failed_over")
            assert f"COLLECTOR={OTHER}\n" in why, why
            away = records(100, "away")
            t.send(away)
            second.expect_stored(away)
            t.collector.systemctl("start", "audit-relay-collector.target")
            t.expect_condition("remote", "failed_over", holds=False)
            back = records(100, "back")
            t.send(back)
            t.expect_stored(back)
            expect_explained(t, second)
            name_collector(t, "collector")
    finally:
        dns.kill()
        dns.wait()
        t.client.write("/etc/resolv.conf", resolver)
        for name, address in V6.items():
            run("ip", "-n", name, "addr", "del", f"{address}/64", "dev", "host0")
