# SPDX-License-Identifier: LGPL-2.1-or-later
"""Judges a collector's log, as text: everything that was acked is there once and in order, and what is missing is explained.

The log is cut into boots by remote's own gap records (reason machine-death). The lines of a boot are the records of its ring,
from seq 1 on, in order: so a boot must have at least as many lines as remote acked, and the log at least as many as the collector
acked.
"""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path += [str(TOP / "tests/kernel"), str(TOP / "tools/lib")]
import harness  # noqa: E402

NODE = b"node=host "
GAP = re.compile(rb"op=relay-gap ")
DEATH = re.compile(rb"op=relay-gap .*reason=machine-death .*since=(\d+\.\d+) until=(\d+\.\d+)")
LOAD = re.compile(rb"relay-load boot=(\d+) n=(\d+) ")
# By which a log is known to be complete.
MARK = "relay-mark "
# What is not the kernel's.
OTHERS = re.compile(rb"relay-load |relay-mark |op=relay-gap ")
# Events that may be on their way in the kernel when the power goes: it hands them over a little out of order.
IN_FLIGHT = 64
# What the host knows of the guest's clock: at boot that comes from a clock of whole seconds. The power stays off far longer.
CLOCK_SEC = 2


class Verdict:
    def __init__(self):
        self.lost = self.duplicated = self.unexplained = 0
        self.notes = []

    def add(self, what, count, note):
        if count > 0:
            setattr(self, what, getattr(self, what) + count)
            self.notes.append(f"{what} {count}: {note}")

    def clean(self):
        return not (self.lost or self.duplicated or self.unexplained)


def split_boots(lines):
    """[(gap record or None, lines)]; what stands before the first gap record is of the first boot."""
    boots = [(None, [])]
    for line in lines:
        found = DEATH.search(line)
        if found:
            boots.append((found, []))
        else:
            boots[-1][1].append(line)
    return boots


def own_lines(log):
    return [line for line in log.splitlines() if line.startswith(NODE)]


def judge_load(lines, boot, verdict):
    """The numbered records of the boot: 1, 2, 3 …; returns the last number."""
    last = 0
    for line in lines:
        found = LOAD.search(line)
        if not found:
            continue
        of, n = int(found[1]), int(found[2])
        if of != boot:
            verdict.add("duplicated", 1, f"a record of boot {of} among those of boot {boot}: {line!r}")
        elif n <= last:
            verdict.add("duplicated", 1, f"record {n} of boot {boot} behind {last}")
        else:
            verdict.add("lost", n - last - 1, f"records {last + 1} to {n - 1} of boot {boot}")
            last = n
    return last


def judge_kernel(lines, verdict, in_flight):
    """The kernel's records of one boot; of its last events those in flight may be missing or cut."""
    records = harness.Records(b"\n".join(line for line in lines if not OTHERS.search(line)))
    for line in records.bad[:3]:
        verdict.add("lost", 1, f"no record: {line!r}")
    if not records.events:
        return records
    bound = max(records.events) - in_flight
    missing = [serial for serial in records.missing() if serial <= bound]
    verdict.add("lost", len(missing), f"kernel events {missing[:20]}")
    cut = [serial for serial in records.cut() if serial <= bound]
    verdict.add("lost", len(cut), f"parts of kernel events {cut[:20]}")
    twice = sum(len(event) - len(set(event)) for event in records.events.values())
    verdict.add("duplicated", twice, f"kernel records {records.twice()[:4]}")
    return records


def judge_boot(lines, boot, acked, verdict, in_flight=IN_FLIGHT):
    """Returns the last number of its load and the kernel's records."""
    gaps = [line for line in lines if GAP.search(line) or b"op=relay-refused" in line]
    verdict.add("unexplained", len(gaps), f"gap records where none is due: {gaps[:3]}")
    verdict.add("lost", acked - len(lines), f"boot {boot}: remote acked {acked} records, {len(lines)} are there")
    return judge_load(lines, boot, verdict), judge_kernel(lines, verdict, in_flight)


def judge_death(found, died, now, verdict):
    """The gap record of a power cut: its span holds the moment of the cut, and has ended. Both by the guest's clock."""
    if not found:
        verdict.add("unexplained", 1, "no gap record for the power cut")
        return
    since, until = float(found[1]), float(found[2])
    if not since - CLOCK_SEC <= died <= until + CLOCK_SEC or until > now + CLOCK_SEC:
        verdict.add("unexplained", 1, f"power was cut at {died:.3f}, it is {now:.3f}, the gap record says {found[0]!r}")


# --- The judge judged ---

def line(serial, text="relay-user", kind="USER"):
    return f"node=host type={kind} msg=audit(1700000000.001:{serial}): {text}".encode()


def sample():
    lines = [line(serial) for serial in range(1, 300)]
    return lines + [line(n, f"relay-load boot=3 n={n} xx") for n in range(1, 100)]


def verdict_of(lines, acked=0):
    verdict = Verdict()
    judge_boot(lines, 3, acked, verdict)
    return verdict.lost, verdict.duplicated, verdict.unexplained


def death_of(since, until):
    text = f"op=relay-gap where=machine reason=machine-death lost=0 count=unknown since={since}.000 until={until}.000 res=failed"
    verdict = Verdict()
    judge_death(DEATH.search(line(1, text, "DAEMON_ERR")), 100, 200, verdict)
    return verdict.unexplained


def self_test():
    """Each defect that this must see, planted: False if one goes unseen."""
    good = sample()
    cut = good[:289] + good[290:]
    gap = line(1, "op=relay-gap where=kernel reason=x lost=1 res=failed", "DAEMON_ERR")
    syscall = [line(300, "a0=0 items=1", "SYSCALL"), line(300, "item=0", "PATH"), line(300, "", "EOE")]
    later = [line(serial) for serial in range(301, 400)]
    nothing = Verdict()
    judge_death(None, 100, 200, nothing)
    return all((
        verdict_of(good, 398) == (0, 0, 0), verdict_of(good, 399) == (1, 0, 0),
        verdict_of(good[:100] + good[101:]) == (1, 0, 0), verdict_of(good[:350] + good[352:]) == (2, 0, 0),
        verdict_of(cut) == (0, 0, 0), verdict_of(good + good[-1:]) == (0, 1, 0),
        verdict_of(good + good[:1]) == (0, 1, 0), verdict_of(good + [line(9, "relay-load boot=2 n=1 x")]) == (0, 1, 0),
        verdict_of(good + [gap]) == (0, 0, 1), verdict_of(good + syscall + later) == (0, 0, 0),
        verdict_of(good + syscall[:2] + later) == (1, 0, 0), verdict_of(good + syscall[::2] + later) == (1, 0, 0),
        verdict_of(good + [b"node=host garbage"]) == (1, 0, 0),
        death_of(99, 190) == 0, death_of(99, 50) == 1, death_of(150, 190) == 1, death_of(99, 250) == 1, nothing.unexplained == 1))
