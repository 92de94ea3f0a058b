# SPDX-License-Identifier: LGPL-2.1-or-later
"""Our own rows. A run builds its place anew, measures once, and has every byte checked."""

import contextlib
import json
import select
import signal
import threading
import time

import delay
import relay
from figures import measure
from programs import Failure
from system import PATIENCE_SEC, Broken, Meter, directories, read_life

SUBSCRIBERS = 4
# Beside the good ones: says WELCOME and never reads again (two), reads a byte a second, is killed each second and comes back
# without memory.
BAD = ("silent", "silent", "slow", "killed")
KILL_SEC = 1


class Rows:
    def __init__(self, bench, build, place):
        self.bench, self.build, self.place = bench, build, place
        # Bytes of the load as it is stored, by number of records.
        self.bytes = {}

    @contextlib.contextmanager
    def relay(self):
        with directories(self.place) as (disk, memory):
            programs = relay.Relay(self.build, disk, memory)
            try:
                yield programs
            except Failure as e:
                raise Broken(str(e)) from None
            finally:
                programs.kill()

    def stored_bytes(self, count):
        if count not in self.bytes:
            self.bytes[count] = self.bench.say("sum", count, relay.NODE)["bytes"]
        return self.bytes[count]

    def checked(self, store, count):
        verdict = self.bench.say("check", count, relay.NODE, "whole", store)
        return {"lost": verdict["lost"], "duplicated": verdict["duplicated"],
                "wrong": verdict["disordered"] + verdict["strange"]}

    def path(self, count, watched=None, round_trip=None):
        """input → dispatcher → remote → TLS → aggregator, to the last byte on the collector's disk. `watched` looks on;
        `round_trip`: seconds that the line to the collector has."""
        names = "aggregator", "remote", "dispatcher"
        size = self.stored_bytes(count)
        with self.relay() as programs, contextlib.ExitStack() as stack:
            programs.client_and_collector((lambda port: stack.enter_context(delay.line(port, round_trip))) if round_trip else None)
            programs.start(*names)
            programs.wait_connected()
            pids = programs.pids(*reversed(names))
            with watched.of(pids) if watched else contextlib.nullcontext():
                meter = Meter(pids)
                watch = self.bench.begin("watch", programs.store, size, PATIENCE_SEC)
                feed = self.bench.say("feed", programs.input, count)
                seen = self.bench.result(watch, "what was fed")
                used, peak = meter.read()
            programs.stop()
            return measure(count, (seen["end_ns"] - feed["begin_ns"]) / 1e9, used, peak,
                           generator=(feed["cpu_ns"] + seen["cpu_ns"]) / 1e9, **self.checked(programs.store, count))

    def drain(self, count):
        """remote begins with a full store, as after an outage: its start, the handshake, and all that it holds."""
        size = self.stored_bytes(count)
        with self.relay() as programs:
            programs.client_and_collector()
            programs.start("remote", "dispatcher")
            self.bench.say("feed", programs.input, count)
            programs.wait_acked("remote", count)
            programs.programs["dispatcher"].stop()
            programs.programs["remote"].stop()
            programs.start("aggregator")
            meter = Meter(programs.pids("aggregator"))
            watch = self.bench.begin("watch", programs.store, size, PATIENCE_SEC)
            begin = time.monotonic_ns()
            programs.start("remote")
            seen = self.bench.result(watch, "draining")
            used, peak = meter.read()
            late, late_peak = read_life(programs.pids("remote"))
            programs.stop()
            return measure(count, (seen["end_ns"] - begin) / 1e9, {**late, **used}, {**late_peak, **peak},
                           generator=seen["cpu_ns"] / 1e9, **self.checked(programs.store, count))

    def fanout(self, count, subscribers=SUBSCRIBERS, bad=()):
        """The dispatcher to subscribers that it waits for, with others beside that it need not wait for."""
        with self.relay() as programs, contextlib.ExitStack() as stack:
            good = [stack.enter_context(self.subscriber(programs, f"good-{i}", "block", count, "good"))
                    for i in range(subscribers)]
            for i, way in enumerate(bad):
                stack.enter_context(self.bad_subscriber(programs, f"bad-{i}", count, way))
            programs.dispatcher()
            programs.start("dispatcher")
            # It connects to them at the first record.
            meter = Meter({**programs.pids("dispatcher"), "subscribers": [p.pid for p in good]})
            feed = self.bench.say("feed", programs.input, count)
            ends = [line_of(process, "a subscriber's last record") for process in good]
            used, peak = meter.read()
            if sum(end["records"] for end in ends) != count * len(good) and all(end["lost"] == 0 for end in ends):
                raise Broken(f"the subscribers counted {[end['records'] for end in ends]} records")
            return measure(count, (max(end["end_ns"] for end in ends) - feed["begin_ns"]) / 1e9, used, peak,
                           generator=feed["cpu_ns"] / 1e9, lost=sum(end["lost"] for end in ends),
                           duplicated=sum(end["duplicated"] for end in ends), wrong=sum(end["strange"] for end in ends))

    def fanout_bad(self, count):
        return self.fanout(count, bad=BAD)

    @contextlib.contextmanager
    def subscriber(self, programs, name, overflow, count, way):
        held = programs.subscriber(name, overflow)
        process = self.begin_subscriber(held, count, way)
        try:
            yield process
        finally:
            end(process)
            held.close()

    def begin_subscriber(self, held, count, way):
        process = self.bench.begin("subscribe", held.fileno(), count, relay.NODE, way, pass_fds=[held.fileno()])
        line_of(process, "a subscriber's beginning")
        return process

    @contextlib.contextmanager
    def bad_subscriber(self, programs, name, count, way):
        if way != "killed":
            with self.subscriber(programs, name, "drop-oldest", count, way) as process:
                yield process
            return
        held = programs.subscriber(name, "drop-oldest")
        killer = Killer(lambda: self.begin_subscriber(held, count, "careless"))
        try:
            yield killer
        finally:
            killer.end()
            held.close()


class Killer(threading.Thread):
    """Kills one each second and begins it again."""

    def __init__(self, begin):
        super().__init__(daemon=True)
        self.begin = begin
        self.over = threading.Event()
        self.process = begin()
        self.start()

    def run(self):
        while not self.over.wait(KILL_SEC):
            end(self.process)
            self.process = self.begin()

    def end(self):
        self.over.set()
        self.join()
        end(self.process)


def end(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def line_of(process, what):
    """One line of JSON from a process that lives on."""
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE_SEC)
    line = process.stdout.readline() if ready else ""
    if not line:
        raise Broken(f"{what} did not come")
    return json.loads(line)
