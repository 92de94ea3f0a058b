# SPDX-License-Identifier: LGPL-2.1-or-later
"""With the drop-in that refuses it nobody stops or restarts auditing by hand: systemctl and stop say so and touch nothing; reload works, an
upgrade has its new programs, and the host's own shutdown stops it in order.

The commands that put the drop-in in its place are those of units.md, and so is what a package does after its files are new.
"""

from harness.machine import TOP, until
from harness.records import records
from harness.relay import DISPATCHER, REMOTE

TARGET = "audit-relay-client.target"
SOCKETS = "audit-relay-dispatcher.socket", "audit-relay-dispatcher-lines.socket", "audit-relay-remote.socket"


def indented(document, first):
    """The commands of a document from the line that begins so to the end of its paragraph."""
    lines = (TOP / "docs" / document).read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"    {first}"))
    end = next(i for i in range(begin, len(lines)) if not lines[i].startswith("    "))
    return "\n".join(line[4:] for line in lines[begin:end])


def pids(host):
    return {unit: host.active_pid(unit) for unit in (DISPATCHER, REMOTE)}


def carries(t, tag):
    lines = records(10, tag)
    t.send(lines)
    t.expect_stored(lines)


def story(t):
    host = t.client
    host.sh(indented("units.md", "for unit in audit-relay-client.target"))
    before = pids(host)
    for verb in "stop", "restart":
        for unit in TARGET, DISPATCHER, REMOTE, "audit-relay-dispatcher.socket":
            status, output = host.sh(["systemctl", verb, unit], status=True)
            assert status != 0 and "Operation refused" in output, (verb, unit, output)
    status, output = host.sh("audit-relay stop", status=True)
    assert status == 1 and "may not be stopped by hand" in output and "systemctl cat audit-relay-" in output, output
    for unit in SOCKETS:
        assert host.is_active(unit), f"{unit} is closed"
    for unit in DISPATCHER, REMOTE:
        host.systemctl("reload", unit)
    assert pids(host) == before, "something was restarted"
    carries(t, "refused")

    host.write("/root/postinst", (TOP / "debian/audit-relay.postinst").read_text().replace("#DEBHELPER#", ""), 0o755)
    host.sh(["/root/postinst", "configure", "1"])
    until(lambda: all(pid not in (0, before[unit]) for unit, pid in pids(host).items()), "the new programs run")
    carries(t, "upgraded")

    host.power_off()
    host.power_on()
    until(lambda: all(pids(host).values()), "both run after the boot")
    carries(t, "booted")
    host.sh("rm /etc/systemd/system/audit-relay-*.d/refuse-manual-stop.conf && systemctl daemon-reload")
