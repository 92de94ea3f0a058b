# SPDX-License-Identifier: LGPL-2.1-or-later
"""What this machine can do at best (bound.c, bound-fanout.c), and what each of our parts does alone (parts.c)."""

import relay
from figures import measure
from rows import SUBSCRIBERS
from system import directories

WAYS = {"bound": "one", "bound-two-logs": "two", "bound-two-logs-hashed": "hashed"}


PARTS = ("adopt", "check", "hash", "sha256", "codec", "ring", "store", "tls")


class Bounds:
    def __init__(self, bench, build, place, load):
        """load: gives the path of a file with so many records, which is in the page cache."""
        self.bench, self.build, self.place, self.load = bench, build, place, load

    def figure(self, count, said):
        peak = {name: kib / 1024 for name, kib in said["peak_kib"].items()}
        return measure(count, (said["end_ns"] - said["begin_ns"]) / 1e9, {n: ns / 1e9 for n, ns in said["cpu_ns"].items()}, peak)

    def path(self, name, count):
        load = self.load(count)
        with directories(self.place) as (disk, _):
            return self.figure(count, self.bench.say("bound", count, load, disk, WAYS[name]))

    def fanout(self, count, subscribers=SUBSCRIBERS):
        return self.figure(count, self.bench.say("bound-fanout", count, relay.NODE, subscribers))

    def part(self, name, count):
        """The ring as it is on tmpfs, the store on the disk."""
        with directories(self.place) as (disk, memory):
            if name == "tls":
                relay.certificates(self.build, f"{disk}/ca")
            place = {"ring": memory, "tls": f"{disk}/ca"}.get(name, disk)
            said = self.bench.say("part", name, count, place)
            return self.figure(said["records"], said)
