#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts of a virtual machine that carries records to a collector in itself, and kills of its dispatcher while that is the
kernel's audit daemon. tools/vm-faults is the way to call it; README.md tells what it proves."""

import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

import image  # noqa: E402
import verdict as judge  # noqa: E402
from machine import CLIENT, COLLECTOR, Machine, discard  # noqa: E402

# One disk, one ledger entry.
CUTS_OF_SESSION, KILLS_OF_SESSION = 25, 10
# Of the restarts after a cut, the share that boots from nothing; the first does in any case.
BOOT_SHARE = 0.1
RECORDS_PER_SEC, USERS_PER_SEC = 20000, 100
DISPATCHER = "audit-relay-dispatcher.service"


class Session:
    """What both kinds do: a seed of its own, a verdict, figures."""

    def __init__(self, machine, seed, size):
        self.machine, self.seed, self.size = machine, seed, size
        self.rng = random.Random(f"{type(self).__name__} {seed}")
        self.verdict = judge.Verdict()
        self.figures = {}
        self.log = hashlib.sha256()
        self.offset = 0

    def read_until(self, name):
        """Sends a mark of that name, and returns the collector's log that is new, up to the mark and what came with it."""
        mark = f"{judge.MARK}{name}."
        self.machine.send(mark)
        log = self.machine.await_log(mark.encode(), self.offset, mark)
        log = log[:log.rindex(b"\n") + 1]
        self.offset += len(log)
        self.log.update(log)
        return judge.own_lines(log)

    def entry(self, seconds):
        return dict(kind=type(self).__name__.lower(), seed=self.seed, size=self.size, lost=self.verdict.lost,
                    duplicated=self.verdict.duplicated, unexplained=self.verdict.unexplained, **self.figures,
                    seconds=round(seconds, 1), notes=self.verdict.notes, log=self.log.hexdigest())


class Cuts(Session):
    """The power is cut again and again; both stores are on one disk, which survives."""

    def play(self):
        machine = self.machine
        self.stored, self.lines, self.collector_acked = 0, [], {}
        self.figures = {"records": 0, "acked_by_remote": 0, "acked_by_collector": 0, "not_acked": 0, "boots": 0}
        fresh = {self.rng.randrange(self.size)}
        fresh |= {cut for cut in range(self.size) if self.rng.random() < BOOT_SHARE}
        machine.new_disk()
        machine.restore()
        machine.start(*COLLECTOR, *CLIENT)
        for cut in range(self.size):
            begun = time.monotonic()
            self.carry(cut)
            died = machine.cut_power()
            told = machine.told
            self.come_back(cut in fresh)
            self.look_back(cut, told, died)
            print(f"# cut {cut + 1}{' and boot' if cut in fresh else ''}: {time.monotonic() - begun:.1f} s, "
                  f"remote acked {sum(told.by('remote').values())}, {self.figures}", flush=True)
        machine.cut_power()

    def carry(self, cut):
        """Load for a random while."""
        self.machine.vm.ask("load", boot=cut, records_per_second=RECORDS_PER_SEC, users_per_second=USERS_PER_SEC)
        time.sleep(self.rng.uniform(0.3, 3))

    def come_back(self, fresh):
        for stream, seq in self.machine.told.by("collector").items():
            self.collector_acked[stream] = max(self.collector_acked.get(stream, 0), seq)
        if fresh:
            self.figures["boots"] += 1
            self.machine.boot()
            return
        # The collector alone: what it acked is in its log before remote can send anything again.
        self.machine.restore()
        self.machine.start(*COLLECTOR)
        there = self.stored + len(judge.own_lines(self.machine.log(self.offset)))
        self.verdict.add("lost", self.acked_by_collector() - there,
                         f"the collector acked {self.acked_by_collector()} records and has {there}")
        self.machine.start(*CLIENT)

    def acked_by_collector(self):
        """Its one client has one stream for ever."""
        if len(self.collector_acked) > 1:
            self.verdict.add("unexplained", 1, f"remote began another stream: {self.collector_acked}")
        return max(self.collector_acked.values(), default=0)

    def look_back(self, cut, told, died):
        """After the restart and with everything delivered: what became of the boot that ended with the cut."""
        lines = self.lines + self.read_until(cut)
        self.stored += len(lines) - len(self.lines)
        boots = judge.split_boots(lines)
        if len(boots) != 2:
            self.verdict.add("unexplained", 1, f"{len(boots) - 1} gap records for cut {cut}")
        gap, ended = boots[-1][0], boots[0][1]
        self.lines = boots[-1][1]
        judge.judge_death(gap, died, self.machine.booted, self.verdict)
        streams = told.by("remote")
        if len(streams) != 1:
            self.verdict.add("unexplained", 1, f"streams of the dispatcher in one boot: {streams}")
        acked = max(streams.values(), default=0)
        last, _ = judge.judge_boot(ended, cut, acked, self.verdict)
        self.figures["records"] += len(ended)
        self.figures["acked_by_remote"] += acked
        self.figures["acked_by_collector"] = self.acked_by_collector()
        self.figures["not_acked"] += max(0, told.made - last)


class Kills(Session):
    """The dispatcher is killed while it is the kernel's audit daemon, and stays dead for a while; PID 1 keeps the socket."""

    def play(self):
        machine, self.figures = self.machine, {"execs": 0, "users": 0, "records": 0}
        machine.restore(data=False)
        machine.start(*COLLECTOR, *CLIENT)
        lost_before, _ = machine.vm.ask("kernel_mark", text="relay-begin.")
        machine.vm.ask("load", boot=0, records_per_second=0, users_per_second=USERS_PER_SEC)
        for kill in range(self.size):
            begun = time.monotonic()
            dead = self.rng.choice([0, 0.3, 1, 2])
            time.sleep(self.rng.uniform(0.1, 1))
            machine.vm.run(f"echo {dead} >/run/vm/dead; before=$(systemctl show -P MainPID {DISPATCHER}); kill -9 $before;"
                           f"until pid=$(systemctl show -P MainPID {DISPATCHER}); [ $pid != 0 ] && [ $pid != $before ]; do"
                           "  sleep 0.05; done")
            print(f"# kill {kill + 1}: {time.monotonic() - begun:.1f} s, dead for {dead} s more", flush=True)
        made, _ = machine.vm.ask("finish")
        lost_after, _ = machine.vm.ask("kernel_mark", text="relay-end.")
        machine.await_log(b"relay-end.", 0, "the kernel's last record")
        lines = self.read_until("end")
        _, records = judge.judge_boot(lines, 0, max(machine.told.by("remote").values()), self.verdict, in_flight=0)
        self.count("execs", records.texts(rb'a1="(relay-exec-\d+-\d+)"'), made["load_execs"])
        self.count("users", records.texts(rb"relay-user-\d+-\d+\."), made["load_users"])
        self.figures["records"] = len(lines)
        self.verdict.add("lost", lost_after["lost"] - lost_before["lost"], "by the kernel's own counter")
        self.check_registration()
        machine.cut_power()

    def count(self, what, seen, made):
        self.figures[what] = made
        self.verdict.add("lost", made - len(set(seen)), f"{what} of {made}")
        self.verdict.add("duplicated", len(seen) - len(set(seen)), what)

    def check_registration(self):
        """The kernel was never without an audit daemon: one socket, PID 1's, all the time."""
        said = self.machine.vm.run("systemctl is-active audit-relay-dispatcher-kernel.socket; "
                                   f"systemctl show -P NRestarts {DISPATCHER}; ls /run/audit-relay/state/dispatcher").split()
        if said[0] != "active" or int(said[1]) < self.size or set(said[2:]) != {"status"}:
            self.verdict.add("unexplained", 1, f"the socket, the restarts, the dispatcher's conditions: {said}")


def sessions_of(options):
    """Each with a seed by which it can be played again alone."""
    for kind, total, size in (Kills, options.kills, KILLS_OF_SESSION), (Cuts, options.cuts, CUTS_OF_SESSION):
        for number in range((total + size - 1) // size):
            yield kind, options.seed + number, min(size, total - number * size)


def commit():
    said = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=12"], stdout=subprocess.PIPE, text=True)
    return said.stdout.strip()


def play(machine, kind, seed, size):
    session = kind(machine, seed, size)
    begun = time.monotonic()
    try:
        session.play()
    except BaseException:
        if machine.vm and not isinstance(sys.exc_info()[1], KeyboardInterrupt):
            print("".join(f"# {said}\n" for said in machine.programs_words().splitlines()))
        raise
    finally:
        if machine.vm:
            machine.cut_power()
    return session.entry(time.monotonic() - begun)


def run(options):
    work = pathlib.Path(tempfile.mkdtemp(prefix="audit-relay-vm.", dir="/var/tmp"))
    machine = None
    sums = {"cuts": 0, "kills": 0, "lost": 0, "duplicated": 0, "unexplained": 0}
    broken = 0
    try:
        begun = time.monotonic()
        machine = Machine(options.build.resolve(), work)
        print(f"# booted and saved in {time.monotonic() - begun:.1f} s", flush=True)
        for kind, seed, size in sessions_of(options):
            entry = play(machine, kind, seed, size)
            sums[entry["kind"]] += size
            for what in "lost", "duplicated", "unexplained":
                sums[what] += entry[what]
            print(f"# {json.dumps(entry)}", flush=True)
            if options.ledger:
                entry = dict(entry, command=f"tools/vm-faults --{entry['kind']} {size} --seed {seed}", commit=commit(),
                             date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
                with open(options.ledger, "a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")
    except Exception:
        traceback.print_exc()
        broken = 1
    finally:
        if machine and not options.keep:
            discard(machine)
    print(" ".join(f"{name} {count}" for name, count in sums.items()))
    whole = sums["cuts"] == options.cuts and sums["kills"] == options.kills
    return 1 if broken or not whole or sums["lost"] or sums["duplicated"] or sums["unexplained"] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cuts", type=int, default=5)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--ledger", type=pathlib.Path, help="a line of JSON is added for each session")
    parser.add_argument("--keep", action="store_true", help="leave disks and console behind")
    options = parser.parse_args()
    try:
        image.check_features()
    except image.Skip as reason:
        print(f"skipped: {reason}")
        return 77
    if not judge.self_test():
        print("the judge does not see what it must")
        return 1
    print(f"# seed {options.seed}", flush=True)
    return run(options)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
