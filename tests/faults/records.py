# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records that carry a contiguous number for each producer, and the reader that counts them in the collector's log.

The reader shares nothing with the programs: it reads text. It knows what every line must be, byte for byte, as a line is a
function of the seed, the producer and the number."""

import collections
import random
import re

NODE = "faults-client"
TIME = 1700000000
PADS = 997


class Lines:
    def __init__(self, seed):
        chance = random.Random(f"pads {seed}")
        # Most are as long as audit's own; some are about as long as a record may be.
        sizes = [chance.randrange(40, 300) if chance.random() < 0.99 else chance.randrange(300, 8800) for _ in range(PADS)]
        self.pads = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=size)) for size in sizes]

    def line(self, producer, n):
        return (f"type=USER msg=audit({TIME + n // 1000}.{n % 1000:03}:{n}): op=faults producer={producer} n={n} "
                f"pad={self.pads[n % PADS]}\n").encode()

    def stored(self, producer, n):
        return b"node=" + NODE.encode() + b" " + self.line(producer, n)


class Tally:
    """One producer's numbers in the order in which they stand in the log."""

    def __init__(self):
        self.next = 1
        self.missing = set()
        self.duplicated = self.disordered = 0

    def take(self, n):
        if n == self.next:
            self.next += 1
        elif n > self.next:
            self.missing.update(range(self.next, n))
            self.next = n + 1
        elif n in self.missing:
            self.missing.discard(n)
            self.disordered += 1
        else:
            self.duplicated += 1

    def lost(self, acked):
        """What was never acked may be absent at the end, but nothing in the middle."""
        return len(self.missing) + max(0, acked - self.next + 1)


NUMBERED = re.compile(rb" op=faults producer=(\d+) n=(\d+) ")
Verdict = collections.namedtuple("Verdict", "records lost duplicated disordered strange examples")


def read(segments, lines, produced):
    """segments: paths in order; produced: {producer: (fed, acked)}. Returns the Verdict; `strange` are lines that nobody sent:
    cut, changed, merged, or the programs' own about a loss."""
    tallies = {producer: Tally() for producer in produced}
    records, strange, examples = 0, 0, []
    for path in segments:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                found = NUMBERED.search(line)
                producer, n = map(int, found.groups()) if found else (0, 0)
                if producer in tallies and n <= produced[producer][0] and line == lines.stored(producer, n):
                    tallies[producer].take(n)
                    records += 1
                else:
                    strange += 1
                    if strange <= 5:
                        examples.append(f"{path}:{number}: {line[:300]!r}")
    for producer, tally in tallies.items():
        if tally.missing or tally.next <= produced[producer][1]:
            first = min(tally.missing, default=tally.next)
            examples.append(f"producer {producer}: {produced[producer]} fed and acked, {tally.next - 1} is the last one here, "
                            f"missing from {first} on: {sorted(tally.missing)[:10]}…")
        if tally.duplicated or tally.disordered:
            examples.append(f"producer {producer}: {tally.duplicated} duplicated, {tally.disordered} disordered")
    lost = sum(tally.lost(produced[producer][1]) for producer, tally in tallies.items())
    duplicated, disordered = (sum(getattr(t, what) for t in tallies.values()) for what in ("duplicated", "disordered"))
    return Verdict(records, lost, duplicated, disordered, strange, examples)
