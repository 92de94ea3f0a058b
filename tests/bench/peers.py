# SPDX-License-Identifier: LGPL-2.1-or-later
"""What others use, from Debian's packages: unpacked, not installed, and run below a temporary directory on loopback. Their
configurations are in peers/. A first few records open connections and files before the clock runs, so that a short run says what
a long one does."""

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import time

import delay
import figures
import relay
from system import PATIENCE_SEC, Broken, Meter, directories, run, wait_for
from unpack import unpack

HERE = os.path.dirname(os.path.abspath(__file__))
# The last one is no EOE, which audisp-remote leaves out.
WARM_UP, WARM_UP_DELAYED = 999, 19
SENDER, RECEIVER = "sender", "localhost"
# What each did beside `bound` where it was measured at length on an idle machine of two cores, and how far from it a machine
# may be whose figures are to be believed.
BOUND_KNOWN = 2364066
TOLERANCE = 0.25


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def listens(port):
    needle = f"0100007F:{port:04X} "
    with open("/proc/net/tcp") as file, open("/proc/net/tcp6") as file6:
        return any((needle in line or f":{port:04X} 0000" in line) and " 0A " in line for line in [*file, *file6])


class Place:
    """A peer's directory: its configuration, certificates, log."""

    def __init__(self, disk, root, build):
        self.disk, self.root, self.port = disk, root, free_port()
        for name in "log", "plugins", "queue":
            os.mkdir(f"{disk}/{name}", 0o700)
        relay.certificates(build, f"{disk}/ca", RECEIVER, SENDER)
        # VIA: the port that the sender connects to.
        self.words = {"DIR": disk, "PORT": str(self.port), "VIA": str(self.port), "CA": f"{disk}/ca/{SENDER}/ca.pem",
                      "SENDER": f"{disk}/ca/{SENDER}", "RECEIVER": f"{disk}/ca/{RECEIVER}"}
        libraries = [d for d in glob.glob(f"{root}/usr/lib/*-linux-gnu") + glob.glob(f"{root}/usr/lib/syslog-ng")
                     if os.path.isdir(d)]
        self.environment = dict(os.environ, LD_LIBRARY_PATH=":".join(libraries))

    def configure(self, name, target=None):
        with open(f"{HERE}/peers/{name}") as file:
            text = file.read()
        for word, value in self.words.items():
            text = text.replace(f"@{word}@", value)
        target = target or f"{self.disk}/{name}"
        with open(target, "w") as file:
            file.write(text)
        return target

    def begin(self, argv, **options):
        with open(f"{self.disk}/said", "ab") as said:
            return subprocess.Popen(argv, env=self.environment, stdout=said, stderr=said, **options)

    def said(self):
        with open(f"{self.disk}/said", errors="replace") as file:
            return file.read()[-2000:]


class Auditd:
    """audisp-remote to auditd, stop and wait. Both share a core: on two idle ones each ack costs a wake-up across them, and they
    are half as fast."""

    name = "auditd"
    packages = ["auditd", "audispd-plugins"]
    known = 34187 / BOUND_KNOWN
    kind = "auditd"
    log = "log/audit.log"

    @staticmethod
    def in_namespace(place, program):
        """With an /etc of its own, where audisp-remote has its configuration, and a /run."""
        etc = f"{place.disk}/etc"
        if not os.path.isdir(etc):
            shutil.copytree("/etc", etc, symlinks=True)
            os.makedirs(f"{etc}/audit", exist_ok=True)
            place.configure("auditd.conf", f"{etc}/audit/auditd.conf")
            place.configure("audisp-remote.conf", f"{etc}/audit/audisp-remote.conf")
            for name in os.listdir(f"{etc}/audit"):
                os.chmod(f"{etc}/audit/{name}", 0o640)
        script = f'mount --bind "{etc}" /etc && mount -t tmpfs none /run && exec taskset -c 0 "$@"'
        return ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *program]

    @classmethod
    def receiver(cls, place):
        return place.begin(cls.in_namespace(place, [f"{place.root}/sbin/auditd", "-n"]))

    @classmethod
    def sender(cls, place):
        """Reads a pipe, whose other end is kept open."""
        ours, cls.pipe = os.pipe()
        try:
            return place.begin(cls.in_namespace(place, [f"{place.root}/sbin/audisp-remote"]), stdin=ours)
        finally:
            os.close(ours)

    @classmethod
    def feed(cls, place, path):
        return subprocess.Popen(["cat", path], stdout=cls.pipe)

    @classmethod
    def over(cls):
        os.close(cls.pipe)


class Rsyslog:
    """File to file by RELP over TLS, each write synced."""

    name = "rsyslog-relp-tls"
    packages = ["rsyslog", "rsyslog-relp", "rsyslog-gnutls"]
    known = 67830 / BOUND_KNOWN
    kind = "whole"
    log = "log/out"

    @staticmethod
    def rsyslogd(place, which):
        modules, = glob.glob(f"{place.root}/usr/lib/*/rsyslog")
        return place.begin([f"{place.root}/usr/sbin/rsyslogd", "-n", "-M", modules, "-f",
                            place.configure(f"rsyslog-{which}.conf"), "-i", f"{place.disk}/{which}.pid"])

    @classmethod
    def receiver(cls, place):
        return cls.rsyslogd(place, "receiver")

    @classmethod
    def sender(cls, place):
        return cls.rsyslogd(place, "sender")

    @staticmethod
    def feed(place, path):
        with open(f"{place.disk}/load", "ab") as load:
            return subprocess.Popen(["cat", path], stdout=load)

    @staticmethod
    def over():
        pass


class SyslogNg(Rsyslog):
    """File to file over TLS, through a queue on the disk, each write synced; there are no acks."""

    name = "syslog-ng-tls"
    packages = ["syslog-ng-core"]
    known = 88442 / BOUND_KNOWN

    @staticmethod
    def rsyslogd(place, which):
        modules, = glob.glob(f"{place.root}/usr/lib/syslog-ng/[0-9]*")
        at = f"{place.disk}/{which}"
        return place.begin([f"{place.root}/usr/sbin/syslog-ng", "-F", "--no-caps", "--module-path", modules, "-f",
                            place.configure(f"syslog-ng-{which}.conf"), "-R", f"{at}.persist", "-c", f"{at}.control",
                            "-p", f"{at}.pid"])


ALL = (Auditd, Rsyslog, SyslogNg)


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def lives(process):
    if process.poll() is not None:
        raise Broken(f"{process.args[0]} ended with {process.returncode}")
    return True


def has(path, number):
    try:
        with open(path, "rb") as file:
            return b" n=%010d\n" % number in file.read()
    except FileNotFoundError:
        return False


def measure(peer, bench, options, load, count, round_trip=None):
    try:
        root = unpack(f"{options.packages}/{peer.name}", peer.packages)
    except RuntimeError as e:
        raise Broken(str(e)) from None
    with directories(options.place) as (disk, _), contextlib.ExitStack() as stack:
        place = Place(disk, root, options.build_dir)
        if round_trip:
            place.words["VIA"] = str(stack.enter_context(delay.line(place.port, round_trip)))
        first = WARM_UP_DELAYED if round_trip else WARM_UP
        warm_up, rest = load(first), load(count, first)
        log = f"{disk}/{peer.log}"
        open(f"{disk}/load", "wb").close()
        receiver = peer.receiver(place)
        stack.callback(end, receiver)
        try:
            wait_for(f"{peer.name} listening", lambda: lives(receiver) and listens(place.port))
            sender = peer.sender(place)
            stack.callback(peer.over)
            stack.callback(end, sender)
            peer.feed(place, warm_up).wait()
            wait_for(f"{peer.name}'s first records", lambda: lives(sender) and has(log, first))
        except Broken as e:
            raise Broken(f"{e}: {place.said()}") from None
        size = os.path.getsize(log) + carried(bench, peer, first + count) - carried(bench, peer, first)
        meter = Meter({"sender": [sender.pid], "receiver": [receiver.pid]})
        watch = bench.begin("watch", log, size, PATIENCE_SEC)
        begin = time.monotonic_ns()
        feed = peer.feed(place, rest)
        seen = bench.result(watch, f"{peer.name}'s last record")
        feed.wait()
        used, peak = meter.read()
        verdict = bench.say("check", first + count, "-", peer.kind, log)
        return figures.measure(count, (seen["end_ns"] - begin) / 1e9, used, peak, lost=verdict["lost"],
                               duplicated=verdict["duplicated"], wrong=verdict["disordered"] + verdict["strange"])


def to_auditd(rows, bench, options, count):
    """Our client, and Debian's auditd as its collector: what peer:auditd is with audisp-remote."""
    try:
        root = unpack(f"{options.packages}/{Auditd.name}", Auditd.packages)
    except RuntimeError as e:
        raise Broken(str(e)) from None
    with directories(options.place) as (disk, _), contextlib.ExitStack() as stack:
        place = Place(disk, root, options.build_dir)
        log = f"{disk}/{Auditd.log}"
        receiver = Auditd.receiver(place)
        stack.callback(end, receiver)
        wait_for("auditd listening", lambda: lives(receiver) and listens(place.port))
        programs = stack.enter_context(rows.relay())
        programs.client_of_auditd(place.port)
        programs.start("remote", "dispatcher")
        wait_for("remote's connection", lambda: "Connected to stock collector" in programs.words("remote"))
        meter = Meter({**programs.pids("dispatcher", "remote"), "receiver": [receiver.pid]})
        size = bench.say("sum", count, relay.NODE)["bytes_without_eoe"]
        watch = bench.begin("watch", log, size, PATIENCE_SEC)
        feed = bench.say("feed", programs.input, count)
        seen = bench.result(watch, "the last record at auditd")
        used, peak = meter.read()
        programs.stop()
        verdict = bench.say("check", count, relay.NODE, Auditd.kind, log)
        return figures.measure(count, (seen["end_ns"] - feed["begin_ns"]) / 1e9, used, peak,
                               generator=(feed["cpu_ns"] + seen["cpu_ns"]) / 1e9, lost=verdict["lost"],
                               duplicated=verdict["duplicated"], wrong=verdict["disordered"] + verdict["strange"])


def carried(bench, peer, count):
    return bench.say("sum", count, "-")["bytes_without_eoe" if peer.kind == "auditd" else "bytes"]


def doubts(rates):
    """A machine on which others are not what they are elsewhere says nothing about us either."""
    for peer in ALL:
        rate, bound = rates.get(f"peer:{peer.name}"), rates.get("bound")
        if rate and bound and abs(rate / bound / peer.known - 1) > TOLERANCE:
            yield (f"void: {peer.name} is at {rate / bound:.4f} of the bound, which elsewhere was {peer.known:.4f}; more than "
                   f"{TOLERANCE:.0%} off: something else is at work on this machine")
