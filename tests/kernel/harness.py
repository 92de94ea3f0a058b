# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests on real kernel audit share: the netlink requests, a socket held as PID 1 holds it, load, and putting everything
back as it was, whatever happens."""

import argparse
import ctypes
import fcntl
import os
import platform
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/lib"))
from witness import AUDIT_SET, AUDIT_USER, NLM_F_REQUEST, SO_RCVBUFFORCE, open_audit, request, status

AUDIT_ADD_RULE, AUDIT_DEL_RULE = 1011, 1012
STATUS_ENABLED, STATUS_PID, STATUS_BACKLOG_LIMIT, STATUS_LOST = 1, 4, 16, 64
# A group that nobody else has: the rule sees the load's processes alone.
LOAD_GID = 64999
SKIP = 77
# What keeps a registration alive: closed before kernel audit is put back, also on Ctrl-C.
held_sockets, load_processes = [], []


def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(SKIP)


def set_status(mask, **values):
    request(AUDIT_SET, struct.pack("=8I", mask, values.get("enabled", 0), 0, values.get("pid", 0), 0,
                                   values.get("backlog_limit", 0), 0, 0) + bytes(12))


def exec_rule():
    """-a always,exit -F arch=… -S execve -F gid=LOAD_GID -k audit-relay-test"""
    machine = {"x86_64": (0xC000003E, 59), "aarch64": (0xC00000B7, 221)}.get(platform.machine())
    if not machine:
        skip(f"no rule for {platform.machine()}")
    arch, execve = machine
    key = b"audit-relay-test"
    fields = [(11, arch), (5, LOAD_GID), (210, len(key))]  # AUDIT_ARCH, AUDIT_GID, AUDIT_FILTERKEY
    mask = [0] * 64
    mask[execve // 32] = 1 << execve % 32
    pad = [0] * (64 - len(fields))
    return struct.pack("=3I64I64I64I64II", 4, 2, len(fields), *mask, *[f for f, _ in fields], *pad, *[v for _, v in fields],
                       *pad, *[0x40000000] * len(fields), *pad, len(key)) + key


class Kernel:
    """Kernel audit, borrowed: `with` puts state and rules back."""

    def __init__(self, backlog_limit=8192):
        self.backlog_limit = backlog_limit
        self.rule = exec_rule()
        self.ruled = False

    def __enter__(self):
        if os.geteuid() != 0:
            skip("needs root")
        # One test at a time: the machine has one audit daemon.
        self.lock = open("/run/lock/audit-relay-kernel-tests", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        try:
            self.before = status()
        except OSError as e:
            skip(f"kernel audit cannot be controlled here: {e.strerror}")
        if self.before["pid"] != 0:
            # The kernel notices that an audit daemon is gone when it next sends to it; a live one is not touched by this.
            try:
                set_status(STATUS_PID, pid=0)
                self.before = status()
            except PermissionError:
                pass
        if self.before["pid"] != 0:
            skip(f"process {self.before['pid']} is the audit daemon")
        if self.before["enabled"] == 2:
            skip("the audit configuration is locked")
        set_status(STATUS_BACKLOG_LIMIT, backlog_limit=self.backlog_limit)
        return self

    def add_rule(self):
        request(AUDIT_ADD_RULE, self.rule)
        self.ruled = True

    def drop_rule(self):
        if self.ruled:
            self.ruled = False
            request(AUDIT_DEL_RULE, self.rule)

    def forget_lost(self):
        """The counter can only be set to zero: done where it was."""
        if self.before["lost"] == 0:
            set_status(STATUS_LOST)

    def __exit__(self, *_):
        # A second Ctrl-C must not leave the machine as it is now.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for process in load_processes:
            process.kill()
            process.join()
        for s in held_sockets:
            s.close()
        for restore in (self.drop_rule,
                        lambda: set_status(STATUS_PID, pid=0),
                        lambda: set_status(STATUS_ENABLED, enabled=self.before["enabled"]),
                        lambda: set_status(STATUS_BACKLOG_LIMIT, backlog_limit=self.before["backlog_limit"]),
                        self.forget_lost):
            try:
                restore()
            except OSError as e:
                print(f"# could not restore kernel audit: {e}", file=sys.stderr)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def hold_socket(receive_buffer=64 << 20):
    """The unicast socket as PID 1 holds it: open whoever reads it."""
    s = open_audit()
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer)
    s.bind((0, 0))
    held_sockets.append(s)
    return s


class Stage:
    """A place for the programs, which end with it."""

    def __init__(self, build, subscriber="remote", overflow="block", settings="", place="/run"):
        self.build = build
        self.dir = tempfile.mkdtemp(prefix="audit-relay-kernel.", dir=place)
        self.children = []
        self.dispatcher = None
        for name in ("state", "subscribers.d"):
            os.mkdir(self.path(name))
        with open(self.path("dispatcher.conf"), "w") as f:
            f.write(f"[Dispatcher]\nNode=host\nRingFile={self.path('ring')}\nStateDirectory={self.path('state')}\n"
                    f"SubscribersDirectory={self.path('subscribers.d')}\n{settings}")
        self.add_subscriber(subscriber, "subscriber", overflow)
        self.log = open(self.path("log"), "ab")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.kill()
            child.wait()
        if kind is not None and not issubclass(kind, (SystemExit, KeyboardInterrupt)):
            print("# dispatcher's last words:\n" + "".join(f"# {line}" for line in self.log_lines()[-20:]), file=sys.stderr)
        shutil.rmtree(self.dir)

    def log_lines(self):
        with open(self.path("log"), errors="replace") as f:
            return f.readlines()

    def run(self, *argv, **kwargs):
        child = subprocess.Popen(argv, **kwargs)
        self.children.append(child)
        return child

    def add_subscriber(self, name, socket_name, overflow):
        with open(self.path("subscribers.d", f"{name}.conf"), "w") as f:
            f.write(f"[Subscriber]\nSocket={self.path(socket_name)}\nOverflow={overflow}\n")

    def start_collect(self, *options, socket_name="subscriber", file="collected"):
        collect = self.run(f"{self.build}/tests/lib/collect", self.path(socket_name), self.path(file), *options,
                           stdout=subprocess.PIPE, text=True)
        wait_for(lambda: os.path.exists(self.path(socket_name)), "the receiver")
        self.collect = collect
        return collect

    def start_collector(self):
        """remote and an aggregator of their own, over TLS: the way of a record to its end."""
        tool, authority = f"{self.build}/src/tool/audit-relay", self.path("ca")
        for words in (("init",), ("collector", "collector"), ("client", "host")):
            subprocess.run([tool, "cert", *words, "--dir", authority], check=True, stdout=subprocess.DEVNULL)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{s.getsockname()[1]}"
        self.configure("aggregator", "collector", f"Name=collector\nListen={address}\nDirectory={self.path('store')}\n")
        self.configure("remote", "host", f"Node=host\nCollector={address}\nCollectorName=collector\n"
                       f"Listen={self.path('subscriber')}\nDirectory={self.path('spool')}\n")
        for program in ("aggregator", "remote"):
            self.run(f"{self.build}/src/{program}/{program}", f"--config={self.path(program + '.conf')}", stderr=self.log)
        wait_for(lambda: os.path.exists(self.path("subscriber")), "remote")

    def configure(self, program, name, settings):
        files = "".join(f"TLS{key}={self.path('ca', name, file)}.pem\n"
                        for key, file in (("Certificate", "cert"), ("Key", "key"), ("Authority", "ca")))
        with open(self.path(f"{program}.conf"), "w") as f:
            f.write(f"[{program.capitalize()}]\nStateDirectory={self.path('state')}\n{settings}{files}")

    def stored(self):
        """What the collector has."""
        store = self.path("store")
        return b"".join(open(os.path.join(store, name), "rb").read()
                        for name in sorted(os.listdir(store)) if re.fullmatch(r"\d{20}\.log", name))

    def start_dispatcher(self, held=None, name="kernel"):
        """With the held socket as descriptor 3, the way systemd passes it."""
        env = dict(os.environ)
        argv = [f"{self.build}/src/dispatcher/dispatcher", f"--config={self.path('dispatcher.conf')}"]
        if not held:
            self.dispatcher = self.run(*argv, stderr=self.log)
            return self.dispatcher
        env.update(LISTEN_FDS="1", LISTEN_FDNAMES=name)
        self.dispatcher = self.run("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *argv, env=env, stderr=self.log,
                                   pass_fds=(3,), preexec_fn=lambda: os.dup2(held.fileno(), 3))
        return self.dispatcher

    def condition(self, name):
        return os.path.exists(self.path("state", "dispatcher", name))

    def collected(self, file="collected"):
        with open(self.path(file), "rb") as f:
            return f.read()


def wait_for(test, what, seconds=30):
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


def user_message(text, s=None):
    data = text.encode()
    message = struct.pack("=IHHII", 16 + len(data) + 1, AUDIT_USER, NLM_F_REQUEST, 0, 0) + data + b"\0"
    if s:
        s.sendto(message, (0, 0))
        return
    with open_audit() as own:
        own.sendto(message, (0, 0))


def load_execs(stop_at):
    """Real execs under the rule; returns how many."""
    os.setgid(LOAD_GID)
    n = 0
    while time.monotonic() < stop_at.value:
        pid = os.posix_spawn("/bin/true", ["/bin/true", f"relay-exec-{os.getpid()}-{n}"], {})
        os.waitpid(pid, 0)
        n += 1
    return n


def load_users(stop_at, per_second):
    """Numbered AUDIT_USER messages; returns how many."""
    n = 0
    with open_audit() as s:
        begun = time.monotonic()
        while time.monotonic() < stop_at.value:
            while n < (time.monotonic() - begun) * per_second and time.monotonic() < stop_at.value:
                user_message(f"relay-user-{os.getpid()}-{n}.", s)
                n += 1
            time.sleep(0.01)
    return n


class Load:
    """Load in processes of its own until finish()."""

    def __init__(self, *workers):
        import multiprocessing
        context = multiprocessing.get_context("fork")
        self.stop_at = context.Value("d", float("inf"), lock=False)
        self.results = context.SimpleQueue()
        self.workers = []
        for function, *arguments in workers:
            def work(function=function, arguments=arguments):
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                parent = os.getppid()
                ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
                if os.getppid() == parent:
                    self.results.put((function.__name__, os.getpid(), function(self.stop_at, *arguments)))
            worker = context.Process(target=work, daemon=True)
            worker.start()
            load_processes.append(worker)
            self.workers.append(worker)

    def finish(self):
        self.stop_at.value = 0
        results = [self.results.get() for _ in self.workers]
        for worker in self.workers:
            worker.join()
        return results


LINE = re.compile(rb"node=host type=(\S+) msg=audit\((\d+\.\d+):(\d+)\): ?(.*)")


class Records:
    """What arrived, taken apart."""

    def __init__(self, data):
        self.lost = [l for l in data.split(b"\n") if l.startswith(b"LOST ")]
        self.gaps, self.events, self.lines, self.bad = [], {}, 0, []
        for line in data.splitlines():
            if line in self.lost:
                continue
            found = LINE.fullmatch(line)
            if not found:
                self.bad.append(line)
                continue
            kind, when, serial, text = found.groups()
            if b"op=relay-gap" in text:
                self.gaps.append(text)
                continue
            self.lines += 1
            self.events.setdefault(int(serial), []).append((kind, when, text))

    def missing(self):
        return [s for s in range(min(self.events), max(self.events) + 1) if s not in self.events]

    def twice(self):
        return [(s, r) for s, records in self.events.items() if len(set(records)) != len(records) for r in records]

    def cut(self):
        """Events that the kernel made of several records and that lack one."""
        out = []
        for serial, records in self.events.items():
            kinds = [kind for kind, _, _ in records]
            if (b"SYSCALL" in kinds) != (b"EOE" in kinds):
                out.append(serial)
                continue
            for kind, _, text in records:
                items = re.search(rb" items=(\d+)", text) if kind == b"SYSCALL" else None
                if items and int(items.group(1)) != kinds.count(b"PATH"):
                    out.append(serial)
        return out

    def texts(self, pattern):
        return [m for records in self.events.values() for _, _, text in records for m in re.findall(pattern, text)]


def made(results):
    """(execs, AUDIT_USER messages) of a finished load."""
    return tuple(sum(n for name, _, n in results if name == load) for load in ("load_execs", "load_users"))


def judge_whole(tap, records, execs, users, where="", may_be_cut=(), gaps_due=b"reason=kernel-lost"):
    """Nothing is missing, cut or there twice, and no gap is told but those that the load brings with it."""
    where = where and f"{where}: "
    tap.ok(not records.bad, f"{where}every line is a record of this node", records.bad[:3])
    missing = records.missing()
    tap.ok(not missing, f"{where}serials are contiguous", missing[:20])
    cut = [serial for serial in records.cut() if serial not in may_be_cut]
    tap.ok(not cut, f"{where}every event is complete to its EOE", [(s, records.events[s]) for s in cut[:2]])
    twice = records.twice()
    tap.ok(not twice, f"{where}nothing came twice", twice[:4])
    seen = records.texts(rb'a1="(relay-exec-\d+-\d+)"')
    tap.ok(len(seen) == len(set(seen)) == execs, f"{where}every exec is there once", f"{len(seen)} of {execs}")
    seen = records.texts(rb"relay-user-\d+-\d+\.")
    tap.ok(len(seen) == len(set(seen)) == users, f"{where}every AUDIT_USER message is there once", f"{len(seen)} of {users}")
    gaps = [g for g in records.gaps if not gaps_due or gaps_due not in g]
    tap.ok(not gaps and not records.lost, f"{where}no gap is told where there is none", gaps + records.lost)


def total(gaps, name):
    return sum(int(re.search(rb" %s=(\d+)" % name, g).group(1)) for g in gaps)


def judge_overrun(tap, records):
    """The socket's buffer ran over: what never came is counted exactly, and what came then is all there."""
    gaps = [g for g in records.gaps if b"where=kernel" in g]
    missing, cut = records.missing(), records.cut()
    print(f"# {records.lines} records, {len(missing)} events missing, {len(cut)} cut; gap records:")
    for g in gaps:
        print(f"#   {g.decode()}")
    tap.ok(total(gaps, b"overruns") > 0, "the overrun is told")
    tap.ok(len(missing) > 0 and total(gaps, b"events_lost") == len(missing), "the events that never came are counted exactly")
    tap.ok(not records.twice(), "nothing came twice", records.twice()[:3])
    after = records.texts(rb"relay-after-\d+\.")
    tap.ok(len(set(after)) == 100, "everything after the loss is there", len(set(after)))


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def ok(self, good, what, detail=""):
        self.n += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {what}")
        if not good and detail != "":
            print(f"# {str(detail)[:2000]}")

    def end(self):
        print(f"1..{self.n}")
        print(f"# {self.n - self.failed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def arguments(description, **more):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--build-dir", required=True)
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()
