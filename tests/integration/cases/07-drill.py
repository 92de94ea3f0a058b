# SPDX-License-Identifier: LGPL-2.1-or-later
"""drill shows which reaction a condition has, and with --yes remote itself has the condition hold: the reaction happens at both ends.

Without the path unit there is none, which it says.
"""

import json

UNIT = "audit-relay-state@remote-spool_full"
DIRECTORY = f"/etc/systemd/system/{UNIT}.service.d"
COMMANDS = "[Service]\nExecStartPre=-+/bin/sh -c 'cat /run/audit-relay/state/%I >/root/began'\nExecStopPost=-+/bin/touch /root/ended\n"


def story(t):
    status, output = t.client.sh("audit-relay drill remote/spool_full", status=True)
    assert status == 3 and "No reaction would run." in output, (status, output)

    # As a package does when it is installed.
    t.client.sh("journalctl --update-catalog")
    t.client.write(f"{DIRECTORY}/mine.conf", COMMANDS)
    t.client.systemctl("daemon-reload")
    t.client.systemctl("start", f"{UNIT}.path")
    plan = json.loads(t.client.sh("audit-relay drill --json remote/spool_full"))
    assert plan["active"] and not plan["enabled"] and plan["drop_ins"] == f"{DIRECTORY}/mine.conf", plan
    assert [c["root"] for c in plan["begin"] + plan["end"]] == [True, True] and plan["end"][0]["command"] == "/bin/touch /root/ended", plan
    assert plan["advice"].startswith("Connect the collector"), plan

    t.client.sh("audit-relay drill --yes --seconds=1 remote/spool_full")
    assert b"DRILL=yes\n" in t.client.read("/root/began") and t.client.path("/root/ended").exists()
    assert not t.conditions("remote") and not t.client.path("/run/audit-relay/state/remote.drill").exists()

    t.client.systemctl("stop", f"{UNIT}.path")
    t.client.sh(f"rm -r {DIRECTORY}")
    t.client.systemctl("daemon-reload")
