# SPDX-License-Identifier: LGPL-2.1-or-later
"""What PID 1 says of booting and shutting down."""

import re

# A cycle is no error to systemd: it leaves out a job of it, and says so.
CYCLE = re.compile(r".*(?:ordering cycle|deleted to break|to break cycle).*")


def cycles(text):
    return CYCLE.findall(text)


def said_by_init(host, since="@0"):
    """Since then, whatever boot it was in."""
    return host.sh(["journalctl", "--no-pager", "--quiet", "--output=cat", f"--since={since}", "_PID=1"])


def expect_no_cycles(host):
    """In no boot of it."""
    found = cycles(said_by_init(host))
    assert not found, "\n".join(found)


def expect_order(text, *lines):
    places = [text.find(line) for line in lines]
    assert -1 not in places and places == sorted(places), list(zip(places, lines))
