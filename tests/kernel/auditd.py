#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's auditd is the audit daemon of this machine, and our plugin hands its records to the dispatcher, as text and as binary, under a
load of real execs and of AUDIT_USER messages. The dispatcher is killed with SIGKILL and started again, over and over, and the plugin
once. At a subscriber: serials contiguous, every event complete to its EOE, every exec and every message there, nothing twice."""

import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(TOP / "tests/kernel"), str(TOP / "tools/lib")]
import harness as h  # noqa: E402
from unpack import unpack  # noqa: E402

BEGUN = "<6>audit-relay-dispatcher: Dispatching as node host, no kernel\n"
# auditd's own records have serials of their own.
OWN = b" type=DAEMON_"
SETTINGS = """local_events = yes
write_logs = no
log_file = {dir}/log/audit.log
log_format = {log_format}
flush = NONE
priority_boost = 0
name_format = NONE
q_depth = 99999
overflow_action = IGNORE
max_restarts = 10
plugin_dir = {dir}/plugins
use_libwrap = no
verify_email = no
space_left = 2
admin_space_left = 1
"""
PLUGIN = """active = yes
direction = out
path = {build}/src/auditd-plugin/auditd-plugin
type = always
args = {socket}
format = {format}
"""


@contextlib.contextmanager
def open_stage(build):
    """A subscriber, and a dispatcher to be started, which has an input socket and does not read the kernel."""
    with h.Stage(build) as stage:
        with open(stage.path("dispatcher.conf"), "a") as file:
            file.write(f"Kernel=none\nInput={stage.path('input')}\n")
        stage.start_collect()
        yield stage


class Auditd:
    def __init__(self, stage, root, form, log_format):
        self.dir = stage.path("auditd")
        for part in "", "log", "plugins":
            os.makedirs(os.path.join(self.dir, part), mode=0o700, exist_ok=True)
        self.write("auditd.conf", SETTINGS.format(dir=self.dir, log_format=log_format))
        self.write("plugins/relay.conf", PLUGIN.format(build=stage.build, socket=stage.path("input"), format=form))
        libraries = ":".join(str(d) for d in pathlib.Path(root).glob("usr/lib/*-linux-gnu"))
        self.process = stage.run(f"{root}/sbin/auditd", "-n", "-c", self.dir, "-s", "enable", stdout=stage.log, stderr=stage.log,
                                 env=dict(os.environ, LD_LIBRARY_PATH=libraries))
        h.wait_for(lambda: h.status()["pid"] == self.process.pid, "auditd to be the audit daemon")

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o640)

    def plugin(self):
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "auditd-plugin"], stdout=subprocess.PIPE, text=True).stdout
        return [int(pid) for pid in found.split()]

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)


def reads_auditd(stage):
    """Whether the dispatcher that was started last has got the descriptor."""
    said = "".join(stage.log_lines()).rpartition(BEGUN)[2]
    return "Reading the records of a running auditd" in said


def play(tap, rng, kernel, build, root, form, log_format, kills):
    what = f"{form}, {log_format}"
    with open_stage(build) as stage:
        stage.start_dispatcher()
        auditd = Auditd(stage, root, form, log_format)
        h.wait_for(auditd.plugin, "the plugin")
        plugin = auditd.plugin()[0]
        kernel.add_rule()
        h.user_message("relay-begin.")
        h.wait_for(lambda: b"relay-begin." in stage.collected(), "the first record")
        load = h.Load((h.load_execs,), (h.load_users, 1500))
        for kill in range(kills):
            time.sleep(rng.uniform(0.05, 0.4))
            stage.dispatcher.kill()
            stage.dispatcher.wait()
            time.sleep(rng.choice([0, 0, 0.05, 0.3]))
            begun = stage.log_lines().count(BEGUN)
            stage.start_dispatcher()
            h.wait_for(lambda: stage.log_lines().count(BEGUN) > begun, "the dispatcher")
        # The dispatcher has a descriptor of its own, so nothing hangs on the plugin's life while it lives.
        h.wait_for(lambda: reads_auditd(stage), "the last dispatcher to read")
        os.kill(plugin, signal.SIGKILL)
        time.sleep(0.5)
        results = load.finish()
        kernel.drop_rule()
        h.user_message("relay-end.")
        h.wait_for(lambda: b"relay-end." in stage.collected(), "the last record")
        tap.ok(auditd.stop() == 0, f"{what}: auditd ends in order")
        h.wait_for(lambda: "auditd has closed its end" in "".join(stage.log_lines()), "the end to be seen")
        stage.dispatcher.terminate()
        tap.ok(stage.dispatcher.wait(20) == 0, f"{what}: so does the dispatcher")
        judge(tap, what, stage.collected(), results, kills)


def judge(tap, what, data, results, kills):
    own = [line for line in data.splitlines() if OWN in line and b"op=relay-" not in line]
    records = h.Records(b"".join(line for line in data.splitlines(keepends=True) if line.rstrip(b"\n") not in own))
    execs, users = h.made(results)
    print(f"# {what}: {kills} kills; {records.lines} records, {len(records.events)} events; {execs} execs, {users} AUDIT_USER messages")
    tap.ok(own and b"type=DAEMON_START" in own[0], f"{what}: auditd's own records are there, too", own[:2])
    # The first one may be the call by which auditd registered: it began before.
    h.judge_whole(tap, records, execs, users, what, may_be_cut=sorted(records.events)[:1], gaps_due=None)


def plugin_waits_and_gives_up(tap, build):
    """Without a dispatcher: it keeps what auditd wrote, passes it on when one comes, and ends with auditd when there is nothing."""
    program = f"{build}/src/auditd-plugin/auditd-plugin"
    with open_stage(build) as stage:
        ours, its = socket.socketpair()
        # As auditd has it: signals are ignored.
        plugin = stage.run(program, stage.path("input"), stdin=its, stderr=stage.log,
                           preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
        its.close()
        ours.send(b"type=USER msg=audit(1.000:1): kept\n")
        ours.close()
        plugin.send_signal(signal.SIGTERM)
        time.sleep(1)
        tap.ok(plugin.poll() is None, "the plugin keeps what nobody has taken, when auditd is gone and wants it to go")
        stage.start_dispatcher()
        h.wait_for(lambda: b"kept" in stage.collected(), "the record")
        tap.ok(plugin.wait(20) == 0, "and ends when it is taken")
        ours, its = socket.socketpair()
        plugin = stage.run(program, stage.path("nowhere"), stdin=its, stderr=stage.log)
        its.close()
        time.sleep(0.3)
        tap.ok(plugin.poll() is None, "it waits for a dispatcher as long as auditd lives")
        ours.close()
        tap.ok(plugin.wait(20) == 0, "and ends with auditd when there is nothing to keep")
        tap.ok(subprocess.run([program], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0,
               "started by hand it says so and ends")


def socket_is_handed_in(tap, build):
    """As LISTEN_FDS, by name, and kept by whoever handed it in: the next dispatcher reads on."""
    with open_stage(build) as stage:
        ours, its = socket.socketpair()
        for n in range(3):
            ours.send(b"type=USER msg=audit(1.000:%d): handed-in-%d.\n" % (n, n))
            stage.start_dispatcher(its, "auditd")
            h.wait_for(lambda: b"handed-in-%d." % n in stage.collected(), "the record")
            stage.dispatcher.kill()
            stage.dispatcher.wait()
        tap.ok(stage.collected().count(b"handed-in-") == 3, "a socket that is handed in is read, by one dispatcher after the other",
               stage.collected())


def main():
    args = h.arguments(__doc__, kills=10, seed=int(time.time()))
    rng = random.Random(args.seed)
    tap = h.Tap()
    build = os.path.abspath(args.build_dir)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"# seed {args.seed} (replay: --seed)")
    with h.Kernel() as kernel:
        plugin_waits_and_gives_up(tap, build)
        socket_is_handed_in(tap, build)
        root = unpack(f"{build}/peers/auditd-alone", ["auditd"])
        play(tap, rng, kernel, build, root, "string", "RAW", args.kills)
        play(tap, rng, kernel, build, root, "binary", "RAW", args.kills)
        play(tap, rng, kernel, build, root, "string", "ENRICHED", 2)
        play(tap, rng, kernel, build, root, "binary", "ENRICHED", 2)
    now = h.status()
    same = all(now[k] == kernel.before[k] for k in ("enabled", "pid", "backlog_limit"))
    tap.ok(same, "kernel audit is as it was", (kernel.before, now))
    return tap.end()


sys.exit(main())
