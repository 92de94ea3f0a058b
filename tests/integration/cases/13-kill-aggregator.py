# SPDX-License-Identifier: LGPL-2.1-or-later
"""The aggregator is killed with SIGKILL ten times while it stores: its log has all records, once and in order."""

from harness.load import kill_under_load
from harness.relay import AGGREGATOR


def story(t):
    kill_under_load(t, AGGREGATOR)
