# SPDX-License-Identifier: LGPL-2.1-or-later
"""What logging real execs costs a host: our client, whose collector is outside the count, and Debian's auditd, which writes its log
and has no plugin. Each reads the kernel's unicast socket; a rule sees the execs of one group alone."""

import contextlib
import glob
import os
import re
import subprocess
import sys

import relay
from figures import measure
from peers import Auditd, end
from system import Broken, Meter, directories, wait_for
from unpack import unpack

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../kernel"))

import harness  # noqa: E402

PER_SEC, SECONDS = 1000, 10
# A generator that does not keep up lets records come in heaps, which cost whoever reads them less.
STEADY = 0.95
ARGUMENT = re.compile(rb' a1="relay-exec-(\d+)"')


@contextlib.contextmanager
def kernel():
    """Kernel audit with the rule; put back afterwards."""
    try:
        with harness.Kernel() as borrowed:
            harness.set_status(harness.STATUS_ENABLED, enabled=1)
            borrowed.add_rule()
            yield
    except SystemExit:
        raise Broken("kernel audit cannot be had here") from None


def judge(paths, count):
    """Each exec once; what is not there is lost."""
    seen = []
    for path in paths:
        with open(path, "rb") as file:
            seen += ARGUMENT.findall(file.read())
    return {"lost": count - len(set(seen)), "duplicated": len(seen) - len(set(seen))}


def has_last(paths, count):
    needle = b' a1="relay-exec-%d"' % count
    for path in paths:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 65536))
            if needle in file.read():
                return True
    return False


def watch(bench, build, logs, pids, count):
    """The execs, until the last is in the logs, whose paths `logs` says."""
    meter = Meter(pids)
    made = bench.say("execs", count, PER_SEC, harness.LOAD_GID, f"{build}/tests/bench/nothing")
    wait_for("the last exec in the log", lambda: has_last(logs(), count))
    used, peak = meter.read()
    seconds = (made["end_ns"] - made["begin_ns"]) / 1e9
    total = sum(used[name] for name in used)
    return measure(count, seconds, used, peak, generator=made["cpu_ns"] / 1e9,
                   also={"CPU ms per 1,000 execs": total * 1e6 / count}, **judge(logs(), count))


def doubts(rates):
    for name, rate in rates.items():
        if name.startswith("execs") and rate < STEADY * PER_SEC:
            yield f"void: {name} had {rate:.0f} execs a second, not {PER_SEC}: something else is at work on this machine"


def ours(bench, rows, count=PER_SEC * SECONDS):
    with kernel(), rows.relay() as programs:
        programs.client_and_collector(kernel=harness.hold_socket())
        programs.start("aggregator", "remote", "dispatcher")
        programs.wait_connected()
        return watch(bench, rows.build, lambda: sorted(glob.glob(f"{programs.store}/0*.log")),
                     programs.pids("dispatcher", "remote"), count)


def configuration(shipped, disk, log_format):
    """Debian's own, but for its paths."""
    words = {"log_file": f"{disk}/audit.log", "plugin_dir": f"{disk}/plugins", "log_group": "root",
             **({"log_format": log_format} if log_format else {})}
    return re.sub(rf"(?m)^({'|'.join(words)}) = .*$", lambda found: f"{found[1]} = {words[found[1]]}", shipped)


def auditd(bench, options, log_format=None, count=PER_SEC * SECONDS):
    """As Debian ships it, which is ENRICHED; or in another format."""
    try:
        root = unpack(f"{options.packages}/{Auditd.name}", Auditd.packages)
    except RuntimeError as e:
        raise Broken(str(e)) from None
    with kernel(), directories(options.place) as (disk, _), contextlib.ExitStack() as stack:
        os.mkdir(f"{disk}/plugins", 0o700)
        with open(f"{root}/etc/audit/auditd.conf") as file:
            shipped = file.read()
        with open(f"{disk}/auditd.conf", "w", opener=lambda path, flags: os.open(path, flags, 0o640)) as file:
            file.write(configuration(shipped, disk, log_format))
        libraries = ":".join(glob.glob(f"{root}/usr/lib/*-linux-gnu"))
        process = subprocess.Popen([f"{root}/sbin/auditd", "-n", "-c", disk, "-s", "enable"],
                                   env=dict(os.environ, LD_LIBRARY_PATH=libraries), stderr=subprocess.DEVNULL)
        stack.callback(end, process)
        wait_for("auditd as the audit daemon", lambda: harness.status()["pid"] == process.pid)
        return watch(bench, options.build_dir, lambda: sorted(glob.glob(f"{disk}/audit.log*")), {"auditd": [process.pid]}, count)
