# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine through its power cuts: its clock, which never goes back, its disk, and what was told of each of its boots."""

import os
import time
import uuid

import image
from qemu import PATIENCE_SEC, Vm

# The target, and what it wants: systemctl returns when all are ready.
COLLECTOR = "audit-relay-collector.target", "audit-relay-aggregator.service"
CLIENT = "audit-relay-client.target", "audit-relay-remote.service", "audit-relay-dispatcher.service"
DATA_SIZE = 4 << 30
# The power stays off for so long, by the guest's clock.
OFF_SEC = 60
# Without the programs; and with each of them where its exec would be.
BOOTED, HELD = "booted", "held"


class Told:
    """What the guest told of one boot."""

    def __init__(self):
        self.acked = {}  # (hop, stream): seq
        self.made = 0

    def hear(self, words):
        match words:
            case ["ack", hop, stream, seq]:
                self.acked[hop, stream] = max(self.acked.get((hop, stream), 0), int(seq))
            case ["made", _, count]:
                self.made = int(count)

    def by(self, hop):
        return {stream: seq for (of, stream), seq in list(self.acked.items()) if of == hop}


class Machine:
    def __init__(self, build, work, with_held=True, without_sync=False):
        self.work, self.base = work, image.base_image()
        image.installed_disk(build, work)
        self.vm, self.told = None, Told()
        self.clock_began = None
        self.died = time.time()  # by the guest's clock
        self.data = work / "data.img"
        self.without_sync = without_sync
        self.begin_snapshots(with_held)

    def begin_snapshots(self, with_held):
        """Boots without the programs, and takes the snapshots that later starts restore."""
        image.run("qemu-img", "create", "-q", "-f", "qcow2", self.work / "snapshots.qcow2", "1M")
        self.vm = Vm(self.base, self.work, self.told.hear, self.died)
        self.vm.run("systemctl is-system-running --wait")
        # Loaded once, so that no later start reads them from the disk.
        self.start(*COLLECTOR, *CLIENT)
        self.vm.run("systemctl stop 'audit-relay-*' && rm -rf /run/audit-relay/* /var/lib/audit-relay /var/log/audit-relay")
        if self.without_sync:
            self.plant_no_sync()
        self.uptimes = {}
        self.save(BOOTED)
        if with_held:
            # remote's mounts want a boot id to be there.
            self.vm.ask("wake", clock=self.died, boot_id=str(uuid.uuid4()), entropy=os.urandom(64).hex())
            self.vm.ask("hold")
            self.save(HELD)
        self.vm.cut_power()
        self.vm = None

    def save(self, snapshot):
        self.uptimes[snapshot] = float(self.vm.run("cat /proc/uptime").split()[0])
        self.vm.save(snapshot)

    def new_disk(self):
        self.data.unlink(missing_ok=True)
        image.make_disk(self.data, None, DATA_SIZE)

    # --- Power ---

    def guest_now(self):
        return self.clock + time.monotonic() - self.clock_began

    def set_clock(self, clock):
        self.clock, self.clock_began = clock, time.monotonic()

    def restore(self, snapshot=BOOTED, data=True):
        """A machine that booted now: a time later than the last, a boot id and randomness of its own. The programs are not
        started, or held."""
        self.told = Told()
        self.vm = Vm(self.base, self.work, self.told.hear, self.died, snapshot=snapshot)
        # It says that it has been up since the snapshot: the boot comes after the death.
        self.set_clock(self.died + OFF_SEC + self.uptimes[snapshot])
        self.vm.ask("wake", clock=self.clock, boot_id=str(uuid.uuid4()), entropy=os.urandom(64).hex())
        if data:
            self.vm.plug(self.data)
            self.vm.ask("mount_data")

    def boot(self):
        """From nothing, with the disk: systemd starts the programs in their places."""
        self.told = Told()
        self.set_clock(self.died + OFF_SEC)
        self.vm = Vm(self.base, self.work, self.told.hear, self.clock, data=self.data, programs=True)
        self.vm.run("systemctl is-system-running --wait")

    def cut_power(self):
        """Returns when, by the guest's clock, and all that the guest told is known."""
        self.died = self.guest_now()
        self.vm.cut_power()
        self.vm = None
        return self.died

    # --- Programs ---

    def plant_no_sync(self):
        """A defect to be found: fdatasync() and fsync() of the two stores say that all is well, and do nothing."""
        for program in "remote", "aggregator":
            self.vm.run(f"d=/run/systemd/system/audit-relay-{program}.service.d; mkdir -p $d;"
                        "printf '[Service]\\nSystemCallFilter=\\nSystemCallFilter=~fdatasync:0 fsync:0\\n' >$d/no-sync.conf")
        self.vm.run("systemctl daemon-reload")

    def start(self, *targets):
        self.vm.run("systemctl start " + " ".join(targets))

    def release(self, side):
        """The held programs of that side; returns when they are ready."""
        self.vm.ask("release", side=side)

    def log(self, offset=0, until=""):
        return self.vm.ask("read_log", offset=offset, until=until)[1]

    def await_log(self, text, offset, what):
        """The collector's log from there on, once the text is in it."""
        end = time.monotonic() + PATIENCE_SEC
        while text.encode() not in (log := self.log(offset, text)):
            if time.monotonic() > end:
                raise AssertionError(f"not within {PATIENCE_SEC} s: {what}\n{self.programs_words()}")
        return log

    def send(self, text):
        self.vm.ask("send", text=f"type=USER msg=audit({self.guest_now():.3f}:1): {text}\n")

    def programs_words(self):
        return self.vm.run("systemctl --no-pager list-units --failed; journalctl --no-pager -q -o short-monotonic -n 40"
                           " -u 'audit-relay-*';"
                           "audit-relay status; tail -n 3 /var/log/audit-relay/audit.log", check=False)
