# SPDX-License-Identifier: LGPL-2.1-or-later
"""An auditd on a host, as far as its dispatcher sees one: it hands over its end of a socket, and that is read whatever comes."""

import array
import os
import socket

RECORD_SIZE = 8000
RECORD = b"type=SYSCALL msg=audit(1700000000.000:%d): n=%d. "
PATIENCE_SEC = 60


class Auditd:
    """Numbered records, each as long as RECORD_SIZE says, by a socket that comes from root."""

    def __init__(self, host):
        self.n = 0
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(PATIENCE_SEC)
        self.control = socket.socket(socket.AF_UNIX)
        self.control.settimeout(PATIENCE_SEC)
        directory = os.open(host.path("/run/audit-relay"), os.O_PATH | os.O_DIRECTORY)
        self.control.connect(f"/proc/self/fd/{directory}/input")
        os.close(directory)
        self.control.sendmsg([b"AUDITD 1\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))])
        theirs.close()
        assert self.control.recv(100) == b"ok\n"

    def write(self):
        text = RECORD % (self.n + 1, self.n)
        self.ours.sendall(text + b"x" * (RECORD_SIZE - len(text)) + b"\n")
        self.n += 1
