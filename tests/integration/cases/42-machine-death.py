# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client that is shut down says nothing of a death; one that loses power does, whatever had become durable, and however remote
had ended before.

The dispatcher's ring is in memory: a gap record, reason machine-death, says that records may have gone with it. An ordinary shutdown
stops the dispatcher first, which hands over what it has; only that is a clean end. remote stopped by hand is none.
"""

from harness.machine import until
from harness.records import records
from harness.relay import DISPATCHER, REMOTE

FRESH_HOSTS = True
# A container's boot id is mounted over the kernel's, and a unit with a /proc of its own does not see it: so here remote has none.
VISIBLE = "".join(f"{key}=no\n" for key in (
    "ProtectKernelTunables", "ProtectKernelLogs", "ProtectControlGroups", "ProtectHostname", "ProtectSystem", "ProtectHome",
    "PrivateIPC", "PrivateMounts", "PrivateTmp", "PrivateDevices"))
HOSTS = {"client_files": {
    "/etc/systemd/system/audit-relay-remote.service.d/boot-id.conf": f"[Service]\nProtectProc=default\n{VISIBLE}"}}
DEATH = r"op=relay-gap.*reason=machine-death"


def up(t):
    for unit in DISPATCHER, REMOTE:
        until(lambda: t.client.is_active(unit), f"{unit} runs")
    until(lambda: "delivers; its records" in t.client.journal(REMOTE), "the dispatcher has connected")


def deaths(t):
    return t.stored_since().count(b"reason=machine-death")


def story(t):
    lines = records(10, "before")
    t.send(lines)
    t.expect_stored(lines)

    # In order, twice, the second time without a record in between.
    for _ in range(2):
        t.client.power_off()
        t.client.power_on()
        up(t)
    lines = records(10, "shut-down")
    t.send(lines)
    t.expect_stored(lines)

    # Stopped by hand while the dispatcher runs, and started again: that is no death.
    t.client.systemctl("stop", "audit-relay-remote.socket", REMOTE)
    t.client.systemctl("start", "audit-relay-remote.socket", REMOTE)
    up(t)
    lines = records(10, "by-hand")
    t.send(lines)
    t.expect_stored(lines)

    # But records are in the ring when the power goes: also behind an orderly end of remote.
    t.client.systemctl("stop", "audit-relay-remote.socket", REMOTE)
    t.send(records(10, "in-the-ring"))
    t.client.power_cut()
    t.client.power_on()
    t.expect_others(DEATH)
    assert b"in-the-ring" not in t.stored_since(), "the ring has survived its machine"
    t.skip_stored()

    # Nothing at all becomes durable between a shutdown and a power cut.
    t.client.power_off()
    t.client.power_on()
    up(t)
    assert deaths(t) == 0, "a shutdown was told as a death"
    t.client.power_cut()
    t.client.power_on()
    t.expect_others(DEATH)
