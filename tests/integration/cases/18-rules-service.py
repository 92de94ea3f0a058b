# SPDX-License-Identifier: LGPL-2.1-or-later
"""audit-relay-rules.service loads the rules by augenrules, within its sandbox; one that is not taken is named in its journal, with file and line,
and costs the dispatcher nothing; after a correction a reload loads them.

augenrules is Debian's own. What it hands the rules to is this test's: the kernel's audit is that of the containers' host.
"""

from harness.machine import until
from harness.records import records
from harness.relay import DISPATCHER

RULES = "audit-relay-rules.service"
DROP_IN = f"/etc/systemd/system/{RULES}.d/container.conf"
OWN = "/etc/audit/rules.d/50-own.rules"
LOADED = "/etc/audit/loaded"
# As auditctl has it: it stops at the first line that is not taken.
AUDITCTL = f"""#!/bin/sh
[ "$1" = -R ] || exit 0
n=0
while read -r line; do
        n=$((n + 1))
        case $line in *no_such_call*)
                echo "Syscall name unknown: no_such_call" >&2
                echo "There was an error in line $n of $2" >&2
                exit 1;;
        esac
done <"$2"
grep '^-a' "$2" >{LOADED}
"""


def story(t):
    host = t.client
    host.sh("mkdir -p /usr/sbin && cp /opt/auditd/sbin/augenrules /usr/sbin/")
    host.write("/usr/sbin/auditctl", AUDITCTL, 0o755)
    # An empty one takes all conditions away.
    host.write(DROP_IN, "[Unit]\nConditionVirtualization=\n")
    host.systemctl("daemon-reload")
    dispatcher = host.pid(DISPATCHER)
    host.write(OWN, "-a always,exit -F arch=b64 -S no_such_call -k own\n")
    since = host.journal_now()
    status, _ = host.sh(["systemctl", "start", RULES], status=True)
    assert status != 0 and host.show(RULES, "Result") == "exit-code", "a rule that nobody knows was loaded"
    for text in "no_such_call", "There was an error in line":
        host.expect_journal(RULES, text, since)
    assert host.pid(DISPATCHER) == dispatcher and host.is_active("audit-relay-client.target")
    lines = records(10, "without-rules")
    t.send(lines)
    t.expect_stored(lines)

    host.write(OWN, "-a always,exit -F arch=b64 -S mount -k own\n")
    host.systemctl("start", RULES)
    assert b"-S mount -k own" in host.read(LOADED) and b"audit-relay" in host.read("/etc/audit/audit.rules")
    host.write(OWN, "-a always,exit -F arch=b64 -S umount2 -k own\n")
    host.systemctl("reload", RULES)
    assert b"-S umount2 -k own" in host.read(LOADED)

    host.systemctl("stop", RULES)
    host.sh(f"rm -r {DROP_IN} {OWN} {LOADED} /etc/audit/audit.rules /usr/sbin/augenrules /usr/sbin/auditctl && systemctl daemon-reload")
    until(lambda: not host.is_active(RULES), "it is stopped")
