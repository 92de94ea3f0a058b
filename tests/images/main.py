#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts of a sender and a collector at any moment, on real file systems. Every block write and flush of live ext4 and xfs under
the two stores is logged, in one order with each promise of custody; then crash images are built (all that was flushed, and any part
of the rest, in blocks of 4 KiB), mounted, and the stores opened by the shipping code: what was acked must be there, once, in order,
each byte as it was; every accepted record in one of the two stores; nothing half; the chain whole; and the two must go on.

An image is that of both disks at one moment. The last line is `images N lost 0 duplicated 0 unreadable 0` in records; exit status 0
only if all three are 0."""

import argparse
import concurrent.futures
import os
import random
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, f"{TOP}/tests/faults", f"{TOP}/tests/ledger"]

import entries  # noqa: E402
import isolate  # noqa: E402
from rounds import Failure, Round, make_bases  # noqa: E402

# On the tmpfs that only we see.
WORK = "/run/images"
FILE_SYSTEMS = ("ext4", "xfs")
BUGS = ("ack-before-sync", "no-sync", "unsynced-rotation")
# A workload takes as long as a few images, and each is another.
ROUND_IMAGES = 60
# Images within which a bug must be caught.
BUG_IMAGES = 90
# Mounting is mostly waiting.
JOBS_PER_CPU = 2
# From so many images on each of these must have been seen, or they prove little: images in which unflushed blocks were lost; stores
# with a torn end; senders that had deleted what was acked; senders with records that the collector had not.
COVERED = ("incomplete", "cut", "deleted", "ahead")
COVERED_FROM = 100


def arguments():
    parser = argparse.ArgumentParser(prog="crash-images", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500, metavar="N", help="(%(default)s)")
    parser.add_argument("--seed", type=int, metavar="S", help="default: a new one, which is printed")
    parser.add_argument("--fs", choices=[*FILE_SYSTEMS, "both"], default="both", help="(%(default)s)")
    parser.add_argument("--bug", choices=BUGS, default="none", help="put a bug between the stores and their disks")
    parser.add_argument("--self-test", action="store_true", help="nothing but that each bug is caught on each file system")
    parser.add_argument("--test", action="store_true", help="as a test: the bugs, then the images; prints TAP")
    parser.add_argument("--ledger", metavar="FILE", help="append a line of JSON about the finished run")
    parser.add_argument("--evidence", metavar="DIR", help="where to copy base images and logs of rounds that failed")
    parser.add_argument("--build-dir", metavar="DIR", help="default: build-images")
    parser.add_argument("--programs", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.images < 1:
        parser.error("at least one image")
    if options.seed is None:
        options.seed = random.SystemRandom().getrandbits(32)
    for name in ("ledger", "evidence"):
        if getattr(options, name):
            setattr(options, name, os.path.abspath(getattr(options, name)))
    return options


class Run:
    """Rounds, several at a time."""

    def __init__(self, options, executor):
        self.options, self.executor = options, executor
        self.random = random.Random(options.seed)
        self.systems = FILE_SYSTEMS if options.fs == "both" else (options.fs,)
        self.bases = {fs: make_bases(WORK, fs) for fs in self.systems}
        self.number = 0

    def round(self, fs, images, bug):
        self.number += 1
        return Round(f"{WORK}/{self.number}", self.options.programs, fs, self.bases[fs], images, self.random.getrandbits(32), bug)

    def rounds(self, images, bug):
        """As many images of each file system, but for the odd one."""
        left = {fs: (images + i) // len(self.systems) for i, fs in enumerate(self.systems)}
        while any(left.values()):
            for fs in self.systems:
                n = min(left[fs], ROUND_IMAGES)
                left[fs] -= n
                if n > 0:
                    yield self.round(fs, n, bug)

    def images(self, images, bug):
        """Returns the figures of all, by name, and whatever failed."""
        figures = dict.fromkeys(("images", "bad", "lost", "duplicated", "unreadable", *COVERED), 0)
        problems = []
        for done, round_ in self.finish(self.rounds(images, bug)):
            try:
                done.result()
            except (Failure, OSError, subprocess.SubprocessError) as e:
                problems.append(f"{round_.fs}, seed {round_.seed}: {e}")
            problems += [f"{round_.fs}, seed {round_.seed}: {word}" for word in round_.words]
            for name, value in round_.figures.items():
                figures[name] += value
            if not round_.good() and self.options.evidence:
                round_.keep(self.options.evidence)
        if images >= COVERED_FROM:
            problems += [f"there was no image that was {name}" for name in COVERED if figures[name] == 0]
        return figures, problems

    def finish(self, rounds):
        """Each round with its future, in order; not more begun than can run, for their logs are in memory."""
        waiting = []
        for round_ in rounds:
            waiting.append((self.executor.submit(round_.run), round_))
            if len(waiting) == jobs():
                yield waiting.pop(0)
        yield from waiting

    def bug_results(self):
        """(what, caught, how) for each bug and file system."""
        for bug in BUGS:
            pairs = self.finish([self.round(fs, BUG_IMAGES, bug) for fs in self.systems])
            for done, round_ in pairs:
                try:
                    done.result()
                except (Failure, OSError, subprocess.SubprocessError) as e:
                    yield f"{bug} on {round_.fs}", False, str(e)
                    continue
                yield (f"{bug} on {round_.fs}", round_.figures["bad"] > 0,
                       "; ".join([f"{round_.figures['bad']} of {round_.figures['images']} images", *round_.words[:1]]))


def jobs():
    return JOBS_PER_CPU * (os.cpu_count() or 1)


def enter_ledger(options, figures, good, verdict, begun_commit):
    command = f"tools/crash-images --images {options.images} --seed {options.seed} --fs {options.fs}"
    # Of the closing line alone: the rest depends on the moment.
    entries.enter(options.ledger, command, begun_commit, options.seed, figures, good, verdict)


def check_images(run, options):
    """Returns whether all is well, and the closing line."""
    begun, begun_commit = time.monotonic(), entries.commit()
    figures, problems = run.images(options.images, options.bug)
    prefix = "# " if options.test else ""
    for problem in problems:
        print(f"{prefix}{problem}")
    seconds = time.monotonic() - begun
    print(f"{prefix}seed {options.seed}: {' and '.join(run.systems)}, {figures['images'] / seconds:.1f} images a second; unflushed blocks "
          f"lost in {figures['incomplete']}, torn ends cut in {figures['cut']} stores, {figures['deleted']} senders had deleted, "
          f"{figures['ahead']} were ahead")
    good = not problems and figures["images"] == options.images and figures["bad"] == 0
    verdict = f"images {figures['images']} lost {figures['lost']} duplicated {figures['duplicated']} unreadable {figures['unreadable']}"
    if options.ledger and options.bug == "none":
        enter_ledger(options, figures, good, verdict, begun_commit)
    return good, verdict


def check_bugs(run, options):
    good = True
    for n, (what, caught, how) in enumerate(run.bug_results(), 1):
        good = good and caught
        if options.test:
            print(f"# {how}\n{'ok' if caught else 'not ok'} {n} - {what} is caught", flush=True)
        else:
            print(f"{what}: {'caught' if caught else 'NOT CAUGHT'}: {how}", flush=True)
    return good


def main(options):
    if not os.path.exists("/dev/loop-control"):
        isolate.skip("no loop devices")
    if not os.path.exists("/dev/fuse"):
        isolate.skip("no FUSE")
    os.mkdir(WORK)
    if not options.test:
        print(f"crash-images: --seed {options.seed}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(jobs()) as executor:
        run = Run(options, executor)
        if options.self_test:
            return 0 if check_bugs(run, options) else 1
        good = check_bugs(run, options) if options.test else True
        passed, verdict = check_images(run, options)
        if options.test:
            n = len(BUGS) * len(run.systems) + 1
            print(f"{'ok' if passed else 'not ok'} {n} - {verdict}\n1..{n}")
        else:
            print(verdict)
    return 0 if good and passed else 1


def guarded(options):
    """Ends at once when it is told to: with us, the first process of our namespaces, goes all that was begun."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    try:
        return main(options)
    except Failure as e:
        print(f"crash-images: {e}", file=sys.stderr)
        return 1
    finally:
        sys.stdout.flush()


if __name__ == "__main__":
    isolate.enter(lambda options=arguments(): guarded(options))
