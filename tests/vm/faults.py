#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts of a virtual machine that carries records to a collector in itself, and kills of its dispatcher while that is the
kernel's audit daemon. tools/vm-faults is the way to call it; README.md tells what it proves."""

import argparse
import hashlib
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

import image  # noqa: E402
import verdict as judge  # noqa: E402
from machine import CLIENT, COLLECTOR, HELD, PATIENCE_SEC, Machine  # noqa: E402

sys.path.append(str(image.TOP / "tests/ledger"))
import entries  # noqa: E402

# One disk, one ledger entry.
CUTS_OF_SESSION, KILLS_OF_SESSION = 25, 10
# Execs take what the rest leaves of the one processor.
USERS_PER_SEC, EXEC_NICE = 20, 15
DISPATCHER = "audit-relay-dispatcher.service"


class Session:
    """What both kinds do: a seed of its own, a verdict, figures."""

    def __init__(self, machine, seed, size, records):
        self.machine, self.seed, self.size, self.records = machine, seed, size, records
        self.rng = random.Random(f"{type(self).__name__} {seed}")
        self.verdict = judge.Verdict()
        self.figures = {}
        self.log = hashlib.sha256()
        self.offset = 0

    def read_until(self, name):
        """Sends a mark of that name, and returns the collector's log that is new, up to the mark and what came with it."""
        mark = f"{judge.MARK}{name}."
        self.machine.send(mark)
        log = self.machine.await_log(mark, self.offset, mark)
        log = log[:log.rindex(b"\n") + 1]
        self.offset += len(log)
        self.log.update(log)
        return judge.own_lines(log)

    def kind(self):
        return type(self).__name__.lower()

    def result(self):
        """Figures of the ledger."""
        wrong = {name: getattr(self.verdict, name) for name in ("lost", "duplicated", "unexplained")}
        return {self.kind(): self.size, **self.figures, **wrong}

    def command(self):
        """That plays it again, alone."""
        counts = {"cuts": 0, "kills": 0, self.kind(): self.size}
        return (f"tools/vm-faults --cuts {counts['cuts']} --kills {counts['kills']} --records {self.records}"
                f" --seed {self.seed}")


class Cuts(Session):
    """The power is cut again and again; both stores are on one disk, which survives."""

    def play(self):
        machine = self.machine
        self.stored, self.lines, self.collector_acked = 0, [], {}
        self.figures = {"records": 0, "acked_by_remote": 0, "acked_by_collector": 0, "not_acked": 0, "boots": 0}
        fresh = self.rng.randrange(self.size)
        machine.new_disk()
        machine.restore()
        machine.start(*COLLECTOR, *CLIENT)
        for cut in range(self.size):
            begun = time.monotonic()
            self.carry(cut)
            died = machine.cut_power()
            told = machine.told
            self.come_back(cut == fresh)
            self.look_back(cut, told, died)
            print(f"# cut {cut + 1}{' and boot' if cut == fresh else ''}: {time.monotonic() - begun:.1f} s, "
                  f"remote acked {sum(told.by('remote').values())}, {self.figures}", flush=True)
        machine.cut_power()

    def carry(self, cut):
        """Load until remote has acked a random number of records, counted and not timed as the guest's speed varies; and a little
        longer, as the moment must not be that of an ack."""
        told, enough = self.machine.told, self.rng.randrange(2 * self.records)
        self.machine.vm.ask("load", boot=cut, exec_nice=EXEC_NICE, records=True, users_per_second=USERS_PER_SEC)
        end = time.monotonic() + PATIENCE_SEC
        while max(told.by("remote").values(), default=0) < enough:
            if time.monotonic() > end:
                raise AssertionError(f"remote has not acked {enough} records within {PATIENCE_SEC} s: {told.acked}")
            time.sleep(0.005)
        time.sleep(self.rng.uniform(0, 0.5))

    def come_back(self, fresh):
        for stream, seq in self.machine.told.by("collector").items():
            self.collector_acked[stream] = max(self.collector_acked.get(stream, 0), seq)
        if fresh:
            self.figures["boots"] += 1
            self.machine.boot()
            return
        # The collector alone: what it acked is in its log before remote can send anything again.
        self.machine.restore(HELD)
        self.machine.release("collector")
        there = self.stored + len(judge.own_lines(self.machine.log(self.offset)))
        self.verdict.add("lost", self.acked_by_collector() - there,
                         f"the collector acked {self.acked_by_collector()} records and has {there}")
        self.machine.release("client")

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
        judge.judge_death(gap, died, self.machine.guest_now(), self.verdict)
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
        machine.vm.ask("load", boot=0, exec_nice=EXEC_NICE, records=False, users_per_second=USERS_PER_SEC)
        for kill in range(self.size):
            begun = time.monotonic()
            dead = self.rng.choice([0, 0.3, 1, 2])
            time.sleep(self.rng.uniform(0.1, 1))
            machine.vm.ask("kill", program="dispatcher", dead=dead)
            print(f"# kill {kill + 1}: {time.monotonic() - begun:.1f} s, dead for {dead} s more", flush=True)
        made, _ = machine.vm.ask("finish")
        lost_after, _ = machine.vm.ask("kernel_mark", text="relay-end.")
        machine.await_log("relay-end.", 0, "the kernel's last record")
        lines = self.read_until("end")
        _, records = judge.judge_boot(lines, 0, max(machine.told.by("remote").values()), self.verdict, in_flight=0)
        self.count("execs", records.texts(rb'a1="(relay-exec-\d+-\d+)"'), made["execs"])
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
        if said[0] != "active" or int(said[1]) < self.size or not set(said[2:]) <= {"status"}:
            self.verdict.add("unexplained", 1, f"the socket, the restarts, the dispatcher's conditions: {said}")


def sessions_of(options):
    """Each with a seed by which it can be played again alone."""
    for kind, total, size in (Kills, options.kills, KILLS_OF_SESSION), (Cuts, options.cuts, CUTS_OF_SESSION):
        for number in range((total + size - 1) // size):
            yield kind, options.seed + number, min(size, total - number * size)


def play(machine, session):
    """Whether it came to its end, and clean."""
    begun = time.monotonic()
    try:
        session.play()
    except (AssertionError, RuntimeError, OSError, ValueError):
        said = traceback.format_exc()
        if machine.vm:
            said += machine.programs_words()
        print("".join(f"# {line}\n" for line in said.splitlines()), end="")
        session.verdict.add("unexplained", 1, "it did not come to its end: " + said.splitlines()[-1])
    finally:
        if machine.vm:
            machine.cut_power()
    print("".join(f"# {note}\n" for note in session.verdict.notes), end="")
    print(f"# {time.monotonic() - begun:.1f} s: {session.result()}", flush=True)
    return session.verdict.clean()


def run(options, work):
    sums = dict.fromkeys(("cuts", "kills", "lost", "duplicated", "unexplained"), 0)
    sessions = list(sessions_of(options))
    print(f"# seed {options.seed}\n1..{len(sessions)}", flush=True)
    commit, begun, good = entries.commit(), time.monotonic(), True
    machine = Machine(options.build.resolve(), work, options.cuts > 0, options.without_sync)
    print(f"# booted and saved in {time.monotonic() - begun:.1f} s", flush=True)
    for number, (kind, seed, size) in enumerate(sessions, 1):
        session = kind(machine, seed, size, options.records)
        clean = play(machine, session)
        good = good and clean
        print(f"{'ok' if clean else 'not ok'} {number} - {size} {session.kind()}, seed {seed}", flush=True)
        result = session.result()
        for name in sums:
            sums[name] += result.get(name, 0)
        if options.ledger:
            entries.enter(options.ledger, session.command(), commit, seed, result, clean,
                          f"{result}\n{session.verdict.notes}\n{session.log.hexdigest()}")
    print(" ".join(f"{name} {count}" for name, count in sums.items()))
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cuts", type=int, default=5)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--records", type=int, default=5000, help="that remote acks before a cut, on average")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--ledger", type=pathlib.Path, help="a line of JSON is added for each session")
    parser.add_argument("--without-sync", action="store_true",
                        help="plants a defect, which must be found: the stores' syncs do nothing")
    parser.add_argument("--keep", action="store_true", help="leave disks and console behind")
    options = parser.parse_args()
    if options.ledger and options.without_sync:
        parser.error("what a planted defect loses is not for the ledger")
    try:
        image.check_features()
    except image.Skip as reason:
        print(f"1..0 # SKIP {reason}")
        return 77
    if not judge.self_test():
        print("1..1\nnot ok 1 - the judge sees what it must")
        return 1
    work = pathlib.Path(tempfile.mkdtemp(prefix="audit-relay-vm.", dir="/var/tmp"))
    try:
        return run(options, work)
    finally:
        if not options.keep:
            shutil.rmtree(work)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
