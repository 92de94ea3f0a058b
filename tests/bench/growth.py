# SPDX-License-Identifier: LGPL-2.1-or-later
"""How cost grows with the number of clients, with time, and how it shrinks when next to nothing happens."""

import contextlib
import glob
import os
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import time

import relay
from figures import MOST, measure
from system import PATIENCE_SEC, Broken, Meter, directories, peak, resident, wait_for

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../load"))

import crowd  # noqa: E402

PROGRAMS = "dispatcher", "remote", "aggregator"
# A batch of a client that has a thousand records a second, or has been cut off for a moment.
CLIENT_BATCH = 100
# Within it the aggregator has given back what it does not need any more.
CALM_SEC = 7
QUIET_SEC = 0.2
SYNCED_ALONE = 4096
# What is looked at while records run.
LOOK_SEC = 0.1
KEPT = "SegmentMaxSize=64M\nMaxUse=1G\nWhenFull=drop-oldest\n"


# --- Clients ---

def clients(bench, build, place, n, count):
    """n clients with a certificate each, which send together; until all is acked, so on the collector's disk."""
    each = max(1, count // n // CLIENT_BATCH) * CLIENT_BATCH
    program = f"{build}/tests/load/load-clients"
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with directories(place) as (disk, _), contextlib.ExitStack() as stack:
        directory = pathlib.Path(disk)
        (directory / "tls").mkdir()
        subprocess.run([program, "prepare", directory / "tls", str(n)], check=True)
        try:
            aggregator = crowd.Aggregator(f"{build}/src/aggregator/aggregator", directory, f"MaxConnections={n + 16}")
            stack.callback(aggregator.process.wait)
            stack.callback(aggregator.process.kill)
            empty, begun = aggregator.memory_kib(), peak(aggregator.process.pid)
            those = crowd.Clients(program, directory, n, aggregator.port, batch=CLIENT_BATCH)
            stack.callback(those.kill)
            those.ask("connected")
            idle = aggregator.memory_kib()
            meter = Meter({"aggregator": [aggregator.process.pid], "clients": [process.pid for process in those.processes]})
            begin = time.monotonic()
            those.ask(f"send {each}")
            those.ask("acked")
            seconds = time.monotonic() - begin
            used, most = meter.read()
            time.sleep(CALM_SEC)
            calm = aggregator.memory_kib()
            if those.end() != 0 or aggregator.stop() != 0:
                raise Broken("a client or the aggregator ended with an error")
            verdict, _ = crowd.judge(directory, n, each)
        except AssertionError as e:
            raise Broken(str(e)) from None
    return measure(n * each, seconds, {"aggregator": used["aggregator"]}, {"aggregator": most["aggregator"]}, generator=used["clients"],
                   also={"KiB per client when connected": (idle - empty) / n,
                         "at most": (most["aggregator"] - begun) * 1024 / n, "afterwards": (calm - empty) / n},
                   **verdict)


# --- A quiet system ---

def synced(path):
    """[(nanoseconds, text's bytes on the disk)]: a text counts once the index that was synced behind it is there, too."""
    known, told = {}, []
    with open(path) as file:
        for line in file:
            when, size, name = line.split(maxsplit=2)
            name = name.strip()
            if name.endswith(".log"):
                known[name] = max(known.get(name, 0), int(size))
            elif name.endswith((".idx", "index.new")):
                told.append((int(when), sum(known.values())))
    return told


def latencies(written, ends, told):
    """Milliseconds from when each record was written until it was on the disk. `ends`: behind which byte of the log."""
    found = []
    for when, end in zip(written, ends):
        durable = next((t for t, size in told if size >= end), None)
        if durable is None:
            raise Broken("the collector never synced a record")
        found.append((durable - when) / 1e6)
    return found


def sync_alone(fd):
    """Milliseconds that the disk takes for the least that can be synced."""
    os.write(fd, bytes(SYNCED_ALONE))
    begin = time.monotonic_ns()
    os.fdatasync(fd)
    return (time.monotonic_ns() - begin) / 1e6


def spread(values):
    """(the one in the middle, 99 of 100 are no more, the most)"""
    values = sorted(values)
    return statistics.median(values), values[int(len(values) * 0.99)], values[-1]


def quiet(bench, rows, count):
    """A record every 200 ms, and between two of them a sync of the disk alone: what is the disk's, and not ours. What the aggregator
    synced, and when, says a library that is preloaded into it (synced.c)."""
    lines, stored = (subprocess.run([bench.program, "generate", str(count), node], stdout=subprocess.PIPE, check=True)
                     .stdout.splitlines(keepends=True) for node in ("-", relay.NODE))
    with rows.relay() as programs:
        programs.client_and_collector()
        log = f"{programs.memory}/synced"
        programs.programs["aggregator"].prefix = ["env", f"LD_PRELOAD={rows.build}/tests/bench/libsynced.so", f"SYNCED={log}"]
        programs.start("aggregator", "remote", "dispatcher")
        programs.wait_connected()
        written, alone = [], []
        with open(f"{programs.disk}/alone", "wb", buffering=0) as beside, socket.socket(socket.AF_UNIX) as feed:
            feed.connect(programs.input)
            meter = Meter(programs.pids(*PROGRAMS))
            begin = time.monotonic()
            for i, line in enumerate(lines):
                time.sleep(max(0, begin + i * QUIET_SEC - time.monotonic()))
                written.append(time.monotonic_ns())
                feed.sendall(line)
                time.sleep(QUIET_SEC / 2)
                alone.append(sync_alone(beside.fileno()))
            watch = bench.begin("watch", programs.store, sum(map(len, stored)), PATIENCE_SEC)
            bench.result(watch, "the last record")
            seconds = time.monotonic() - begin
            used, most = meter.read()
        programs.stop()
        ends = [sum(map(len, stored[:i + 1])) for i in range(count)]
        middle, nearly_all, worst = spread(latencies(written, ends, synced(log)))
        disk, disk_nearly_all, _ = spread(alone)
        return measure(count, None, {}, most, **rows.checked(programs.store, count),
                       also={"ms until on the collector's disk": middle, "99 of 100": nearly_all, MOST: worst,
                             "ms of one fdatasync alone": disk, "99 of 100 of these": disk_nearly_all,
                             "CPU ms a second": sum(used.values()) * 1000 / seconds})


# --- Memory over many records ---

def newest(store):
    """Number of the last record in a store, 0: there is none."""
    logs = glob.glob(f"{store}/0*.log")
    if not logs:
        return 0
    with open(max(logs), "rb") as file:
        file.seek(max(0, os.path.getsize(file.name) - 11))
        end = file.read()
    return int(end[:10]) if len(end) == 11 and end[:10].isdigit() else 0


def fed(pid):
    """Bytes that a process has written."""
    with open(f"/proc/{pid}/io") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("wchar:"))


def memory(bench, rows, stages):
    """{number: measure}: one run that goes on from each stage to the next. The collector keeps a gigabyte, and of the rest says how
    many records it has taken."""
    last = stages[-1]
    with rows.relay() as programs, contextlib.ExitStack() as stack:
        programs.client_and_collector(aggregator=KEPT)
        programs.start("aggregator", "remote", "dispatcher")
        programs.wait_connected()
        pids = programs.pids(*PROGRAMS)
        meter = Meter(pids)
        marks = {stage: bench.say("sum", stage, "-")["bytes"] for stage in stages[:-1]}
        feed = stack.enter_context(bench.running("feed", programs.input, last))
        begin = time.monotonic()
        seen = {}

        def look(stage):
            used, most = meter.read()
            seen[stage] = (time.monotonic() - begin, used, most, {name: resident(pid) for name, (pid,) in pids.items()})

        for stage, mark in marks.items():
            while feed.poll() is None and fed(feed.pid) < mark:
                time.sleep(LOOK_SEC)
            look(stage)
        bench.result(feed, "feeding", last / 1e6 * PATIENCE_SEC)
        wait_for("the last record", lambda: newest(programs.store) == last)
        look(last)
        wait_for("the aggregator's count", lambda: (programs.metric("aggregator", "records_total") or 0) >= last)
        taken, lost = (programs.metric("aggregator", name) for name in ("records_total", "records_reported_lost_total"))
        programs.stop()
        verdict = bench.say("check", last, relay.NODE, "tail", programs.store)
        harm = {"lost": verdict["lost"] + lost, "duplicated": verdict["duplicated"] + taken - last,
                "wrong": verdict["disordered"] + verdict["strange"]}
    return {label(stage): measure(stage, seconds, used, most, **harm,
                                  also={f"MiB of {name} then": now[name] for name in PROGRAMS})
            for stage, (seconds, used, most, now) in seen.items()}


def label(count):
    return f"{count // 1000000}M" if count % 1000000 == 0 else str(count)
