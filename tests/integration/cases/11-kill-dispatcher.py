# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dispatcher is killed with SIGKILL ten times while records come in: all are stored, once and in order.

The ring is a file that the next dispatcher finds; the producer had no ack for the rest and sends it again.
"""

from harness.load import kill_under_load
from harness.relay import DISPATCHER


def story(t):
    kill_under_load(t, DISPATCHER)
