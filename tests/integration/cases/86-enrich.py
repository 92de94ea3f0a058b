# SPDX-License-Identifier: LGPL-2.1-or-later
"""With Enrich=yes what users and system calls are called on the client is behind each record, and ausearch on the collector says so.

Killed over and over meanwhile, remote stores and sends each record once: the dispatcher resumes by what it sent, not by what became of it.
"""

from harness.records import TIME
from harness.relay import REMOTE

DROP_IN = "/etc/audit-relay/remote.conf.d/50-enrich.conf"
# Nobody of that number, on the collector.
USER = "anna:x:4711:4711::/:/usr/sbin/nologin\n"
RAW = ("type=SYSCALL msg=audit({time}): arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 items=0 ppid=1 pid=2 auid=4711 uid=0 "
       'gid=1 euid=4712 tty=(none) ses=1 comm="cat" exe="/usr/bin/cat" key=(null)')
ADDED = '\x1dARCH=x86_64 SYSCALL=execve AUID="anna" UID="root" GID="daemon" EUID="unknown(4712)"'
COUNT = 20_000


def story(t):
    passwd = t.client.read("/etc/passwd")
    t.client.write("/etc/passwd", passwd + USER.encode(), 0o644)
    t.client.write(DROP_IN, "[Remote]\nEnrich=yes\n")
    t.client.systemctl("restart", REMOTE)
    raw = [RAW.format(time=f"{TIME + n // 1000}.{n % 1000:03}:{700_000 + n}") for n in range(COUNT)]
    sender = t.send_from_pipe()
    step = COUNT // 4

    def write(lines):
        sender.stdin.write("".join(line + "\n" for line in lines).encode())
        sender.stdin.flush()

    for begin in range(0, COUNT - 1, step):
        write(raw[begin:min(begin + step, COUNT - 1)])
        t.kill_program(REMOTE)
    # One is left for the last remote to count.
    write(raw[-1:])
    sender.stdin.close()
    assert sender.wait(60) == 0, sender.stdout.read()
    t.expect_stored("".join(line + ADDED + "\n" for line in raw).encode())
    # A rotated log of the collector, and the names are the client's.
    found = t.collector.sh(["ausearch", "-if", "/var/log/audit-relay/audit.log", "-i", "--node", "client", "-m", "SYSCALL",
                            "--event", str(700_000 + COUNT - 1)])
    assert "auid=anna" in found and "syscall=execve" in found and "euid=unknown(4712)" in found, found
    t.expect_counter("remote", "enriched_records", 1)
    t.client.remove(DROP_IN)
    t.client.write("/etc/passwd", passwd, 0o644)
    t.client.systemctl("restart", REMOTE)
