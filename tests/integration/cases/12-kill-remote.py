# SPDX-License-Identifier: LGPL-2.1-or-later
"""remote is killed with SIGKILL ten times while records pass through: all are stored at the collector, once and in order."""

from harness.load import kill_under_load
from harness.relay import REMOTE


def story(t):
    kill_under_load(t, REMOTE)
