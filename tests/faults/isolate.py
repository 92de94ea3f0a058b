# SPDX-License-Identifier: LGPL-2.1-or-later
"""Namespaces of our own, so that nothing is left behind: with the last process the mounts, the loop devices, the network and all
processes go, also when it was killed."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys

SKIP = 77
CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID = 0x00020000, 0x40000000, 0x20000000
PR_SET_PDEATHSIG = 1

NEEDED = ("ip", "tc", "ss", "mount", "unshare", "nsenter")


def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(SKIP)


def enter(main):
    """Runs main() as the first process of new PID, mount and network namespaces; never returns."""
    if os.geteuid() != 0:
        skip("needs root")
    for name in NEEDED:
        if not shutil.which(name):
            skip(f"needs {name}")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID) != 0:
        skip(f"no namespaces here: {os.strerror(ctypes.get_errno())}")
    child = os.fork()
    if child == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
        settle()
        sys.exit(main())
    # A terminal's Ctrl-C reaches the child as well.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def settle():
    """A /proc that knows our processes, and a /run that nobody else sees."""
    for argv in (["mount", "--make-rprivate", "/"], ["mount", "-t", "proc", "proc", "/proc"],
                 ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], ["ip", "link", "set", "lo", "up"]):
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode != 0:
            skip(f"{' '.join(argv)}: {done.stderr.strip()}")
