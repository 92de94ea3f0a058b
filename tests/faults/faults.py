# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does what the plan says. Each fault that lasts must show as a condition before it is taken away."""

import collections
import time

from programs import Failure

# A condition appears within the time-outs of the configuration, the time a program needs to start, and that a busy machine needs.
CONDITION_SEC = 30


def token(held):
    """Tells one appearance of a condition from the next."""
    return (held.get("SINCE"), held.get("COUNT"))


class Faults:
    def __init__(self, place, say):
        self.place, self.say = place, say
        self.programs = place.programs
        self.struck = collections.Counter()
        self.seen = collections.Counter()
        self.before = {}
        self.full = None

    def strike(self, step):
        time.sleep(step.pause)
        self.say(step)
        self.fill()
        for program in self.programs.values():
            if not program.stopped:
                program.check()
        getattr(self, f"{step.kind.replace('-', '_')}_{step.what}")(step)

    # --- What strikes and is over ---

    def start_again(self, step):
        time.sleep(step.down)
        for name in step.targets:
            self.programs[name].start()

    def kills_strike(self, step):
        for name in step.targets:
            self.programs[name].kill()
            self.struck["kills"] += 1
        self.start_again(step)

    def restarts_strike(self, step):
        for name in step.targets:
            self.programs[name].stop()
            self.struck["restarts"] += 1
        self.start_again(step)

    def upgrades_strike(self, step):
        for name in step.targets:
            program = self.programs[name]
            if step.detail == "stop":
                program.stop()
            else:
                program.kill()
            self.place.upgrade(program)
            self.struck["upgrades"] += 1
        self.start_again(step)

    def resets_strike(self, step):
        self.struck["resets"] += self.place.wire.reset() > 0

    # --- What lasts ---

    def stops_begin(self, step):
        self.programs[step.detail].freeze()
        self.struck["stops"] += 1

    def stops_end(self, step):
        self.programs[step.detail].thaw()

    def cuts_begin(self, step):
        self.remember("client")
        self.place.wire.pull(step.detail)
        self.struck["cuts"] += 1

    def cuts_end(self, step):
        self.expect("client", "remote/network_down", "remote/network_timeout")
        self.place.wire.plug(step.detail)

    def holes_begin(self, step):
        self.remember("client")
        for side in step.detail:
            self.place.wire.swallow(side)
        self.struck["holes"] += 1

    def holes_end(self, step):
        self.expect("client", "remote/network_timeout", "remote/network_down")
        for side in step.detail:
            self.place.wire.release(side)

    def collector_full_begin(self, step):
        self.remember("client", "collector")
        self.full = self.place.disks["collector"]
        self.fill()
        self.struck["collector-full"] += 1

    def collector_full_end(self, step):
        self.expect("collector", "aggregator/disk_full")
        # It is repeated to whoever connects; the one before may not have ended yet, so that it need not be new.
        self.before.clear()
        self.expect("client", "remote/collector_disk_full")
        self.free()

    def client_full_begin(self, step):
        self.remember("client")
        self.full = self.place.disks["client"]
        self.fill()
        self.struck["client-full"] += 1

    def client_full_end(self, step):
        self.expect("client", "remote/spool_full")
        self.free()

    def fill(self):
        if self.full:
            self.full.fill()

    def free(self):
        self.full.free()
        self.full = None

    # --- Conditions ---

    def remember(self, *sides):
        self.before = {name: token(held) for side in sides for name, held in self.place.conditions(side)[1].items()}

    def expect(self, side, *names):
        """One of them holds, and newly so."""
        end = time.monotonic() + CONDITION_SEC
        while True:
            self.fill()
            found = self.place.conditions(side)[1]
            for name in names:
                if name in found and token(found[name]) != self.before.get(name):
                    self.seen[name] += 1
                    return
            for program in self.programs.values():
                program.check()
            if time.monotonic() > end:
                raise Failure(f"none of {', '.join(names)} within {CONDITION_SEC} s; conditions: {sorted(found)}")
            time.sleep(0.05)

    def calm(self, seconds):
        """`audit-relay status` finds nothing wrong on either side."""
        end = time.monotonic() + seconds
        for side in "client", "collector":
            while True:
                status, found = self.place.conditions(side)
                if status == 0 and not found:
                    break
                if time.monotonic() > end:
                    raise Failure(f"{side}: audit-relay status says {status} and {sorted(found)} {seconds} s after the last fault")
                time.sleep(0.1)
