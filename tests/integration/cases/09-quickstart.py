# SPDX-License-Identifier: LGPL-2.1-or-later
"""README's quick start, typed as it stands there on two machines with nothing on them: a record of the client is at the collector.

The commands are read out of README.md. What is not as it says: the packages are not installed, the machines have what they bring
(tests/packages installs them); what is carried over by ssh goes through this process; sudo is a stand-in, as we are root; and the DNS is
a line in /etc/hosts. With the building of the packages it is eight commands, and none waits for an answer or opens an editor.
"""

import re
import subprocess

from harness.machine import TOP, until
from harness.records import as_stored, records
from harness.relay import ADDRESSES, TLS

FRESH_HOSTS = True
HOSTS = {"bare": True, "client_files": {"/etc/hostname": "web1\n"}}
COMMANDS_MAX = 8
INSTALLS = "sudo apt install ./"
THERE = "ssh root@web1 "
SUDO = '#!/bin/sh\nexec "$@"\n'


def section(title):
    found = re.search(rf"^## {title}\n(.*?)^## ", (TOP / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no section {title!r}"
    return found[1].splitlines()


def commands():
    """The host that README says, and what is to be typed there, in their order."""
    host, found = None, []
    for line in section("Quick start"):
        if heading := re.match(r"On the (client|collector)\b", line):
            host = heading[1]
        elif line.startswith("    "):
            found.append((host, line.strip()))
    return found


def type_in(t, host, command):
    """What is typed there, and what ssh runs at the client: one end of a pipe after the other."""
    if command.startswith(INSTALLS):
        return
    if THERE not in command:
        host.sh(command)
        return
    carried = b""
    for part in command.split(" | "):
        there = part.startswith(THERE)
        done = subprocess.run((t.client if there else host).command(part.removeprefix(THERE)), input=carried, stdout=subprocess.PIPE, check=True)
        assert b"PRIVATE KEY" not in done.stdout, f"{part}: a key is carried"
        carried = done.stdout


def story(t):
    typed = commands()
    builds = [line for line in section("Install") if line.strip().startswith("sudo tools/package")]
    assert len(builds) == 1, builds
    assert 0 < len(builds + typed) <= COMMANDS_MAX, f"{len(builds + typed)} commands"
    carried = [command for host, command in typed if THERE in command and host == "collector"]
    installs = [host for host, command in typed if command.startswith(INSTALLS)]
    assert len(carried) == 1 and sorted(installs) == ["client", "collector"], typed

    for host in t.client, t.collector:
        assert not host.path(f"{TLS}/key.pem").exists(), f"{host.name} is not as it was installed"
        host.write("/usr/bin/sudo", SUDO, 0o755)
    t.client.write("/etc/hosts", f"127.0.0.1 localhost\n{ADDRESSES['collector']} logs.example.org\n")
    for host, command in typed:
        type_in(t, getattr(t, host), command)

    t.expect_running()
    # Before the first record is there, that is no error.
    t.collector.sh("audit-relay log --node=web1 --format=raw")
    lines = records(1, "quick-start")
    t.send(lines)
    expected = as_stored(lines, "web1").decode()
    until(lambda: expected in t.collector.sh("audit-relay log --node=web1 --format=raw"), "the record at the collector")
