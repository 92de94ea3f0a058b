# SPDX-License-Identifier: LGPL-2.1-or-later
"""The load: `audit-relay send` processes, each fed with its own numbers by a thread. Some are fed until the end; others come and
go, and of these some are interrupted: what such a one said was acked must be there."""

import random
import re
import subprocess
import threading
import time

BLOCK_MAX = 400
SAID = re.compile(r"^Sent (\d+) records, (\d+) acked$", re.MULTILINE)


class Producer:
    def __init__(self, number, argv, lines, rate, most, seed):
        self.number, self.lines, self.rate, self.most = number, lines, rate, most
        self.chance = random.Random(f"producer {seed} {number}")
        self.stopped = threading.Event()
        self.interrupted = False
        self.fed = 0
        self.acked = None
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
        self.feeder = threading.Thread(target=self.feed, daemon=True)
        self.feeder.start()

    def feed(self):
        begun, due = time.monotonic(), 0
        try:
            while not self.stopped.is_set() and self.fed < self.most:
                count = min(self.chance.randrange(1, BLOCK_MAX), self.most - self.fed)
                block = b"".join(self.lines.line(self.number, n) for n in range(self.fed + 1, self.fed + count + 1))
                # Before the write, as an interrupted one may have passed on all of it.
                self.fed += count
                self.process.stdin.write(block)
                self.process.stdin.flush()
                due += count
                ahead = due / self.rate - (time.monotonic() - begun)
                if ahead > 0:
                    time.sleep(ahead)
                elif ahead < -1:
                    # It was held back: what is owed is not made up for in one rush.
                    begun, due = time.monotonic(), 0
        except BrokenPipeError:
            pass
        finally:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass

    def interrupt(self):
        self.interrupted = True
        self.process.terminate()

    def finish(self, seconds):
        """None, or what was wrong with its end."""
        self.stopped.set()
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"producer {self.number} still waits for acks after {seconds} s"
        self.feeder.join()
        text = self.process.stderr.read().decode(errors="replace")
        said = SAID.search(text)
        if not said or status not in ((0, 1) if self.interrupted else (0,)):
            return f"producer {self.number}: audit-relay send ended with {status}:\n{text}"
        sent, self.acked = map(int, said.groups())
        if not self.interrupted and not self.fed == sent == self.acked:
            return f"producer {self.number}: fed {self.fed}, {said.group()}"
        return None


class Load:
    STEADY = 3
    FOREVER = 1 << 60

    def __init__(self, argv, lines, rate, seed):
        self.argv, self.lines, self.rate, self.seed = argv, lines, rate, seed
        self.chance = random.Random(f"load {seed}")
        self.number = 0
        self.all, self.guests = [], []
        for _ in range(self.STEADY):
            self.add(rate / (self.STEADY + 1), self.FOREVER)

    def add(self, rate, most):
        self.number += 1
        producer = Producer(self.number, self.argv, self.lines, rate, most, self.seed)
        self.all.append(producer)
        return producer

    def turn(self):
        """One guest at a time: a new one for one that has ended, and now and then an interruption. Returns what went wrong."""
        problems = []
        for guest in [g for g in self.guests if g.process.poll() is not None]:
            self.guests.remove(guest)
            problems.append(guest.finish(10))
        if not self.guests:
            self.guests.append(self.add(self.rate / (self.STEADY + 1), self.chance.randrange(1, 20000)))
        elif self.chance.random() < 0.1:
            self.guests[0].interrupt()
        return [p for p in problems if p]

    def finish(self, seconds):
        end = time.monotonic() + seconds
        for producer in self.all:
            producer.stopped.set()
        problems = [p.finish(max(1, end - time.monotonic())) for p in self.all if p.acked is None]
        return [p for p in problems if p]

    def produced(self):
        return {p.number: (p.fed, p.acked or 0) for p in self.all}
