# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the ends meet: a network, an /etc, a /run and a directory of our own, and below it the two ends of each kind, started, killed
and read. The stock programs are as they were built; by TLS all four ends have the same identity and key."""

import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from programs import Failure, Program

BASE = "/run/interop"
PATIENCE_SEC = 30
PORT = 60
NODE, COLLECTOR = "web1", "collector"
KEY, OTHER_KEY = "00112233445566778899aabbccddeeff" * 2, "ff" * 32
PSK = f"AuditdPSKIdentity={NODE}\nAuditdPSKFile={BASE}/key\n"
TIME = 1700000000
NUMBERED = re.compile(rb" op=interop n=(\d+) ")
MIB = 1 << 20
# Records behind this number are long: a store has some room of its own, which only much of them fills.
BIG = 1000000
# Bytes of a record, newline and all; powers of two, as the line reader of audisp-remote 4.1 and 4.2 cuts the line in which its buffer
# of 16 KiB ends.
SHORT, LONG = 128, 4096


def run(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, argv))}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE_SEC
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failure(f"{what} did not happen within {PATIENCE_SEC} s")
        time.sleep(0.01)
    return value


def record(n):
    text = f"type=USER msg=audit({TIME + n // 1000}.{n % 1000:03}:{n}): op=interop n={n} pad="
    return text.ljust((LONG if n > BIG else SHORT) - 1, "x").encode() + b"\n"


def records(first, last):
    return b"".join(record(n) for n in range(first, last + 1))


class Count:
    """The numbers of the records in a log, in the order in which they stand there."""

    def __init__(self, data, wanted):
        self.strange = []
        numbers = []
        for line in data.splitlines(keepends=True):
            match = NUMBERED.search(line)
            if not match:
                continue
            n = int(match[1])
            if line != wanted(n):
                self.strange.append(line[:200]); open('/tmp/strange','wb').write(line)
            numbers.append(n)
        self.numbers, self.present = numbers, set(numbers)
        self.duplicated = len(numbers) - len(self.present)
        first = list(dict.fromkeys(numbers))
        self.ordered = first == sorted(first)

    def expect(self, first, last, duplicates=0):
        """All of these, in order, and no more of them twice."""
        missing = [n for n in range(first, last + 1) if n not in self.present]
        if missing or self.strange or not self.ordered or self.duplicated > duplicates:
            raise Failure(f"{len(missing)} missing ({missing[:5]}), {self.duplicated} twice (up to {duplicates} may be), "
                          f"{'' if self.ordered else 'not '}in order, {len(self.strange)} strange {self.strange[:2]}")


class Place:
    def __init__(self, build, root, psk=False):
        self.build, self.root, self.psk = build, root, psk
        self.ends = []
        os.makedirs(f"{BASE}/state")
        os.makedirs(f"{BASE}/subscribers.d")
        for words in ("init",), ("collector", COLLECTOR), ("client", NODE):
            run(f"{build}/src/tool/audit-relay", "cert", *words, "--dir", f"{BASE}/ca")
        if psk:
            write_key(f"{BASE}/key", KEY)
            write_key(f"{BASE}/keys/{NODE}.psk", KEY)
        libraries = [d for d in glob.glob(f"{root}/usr/lib/*-linux-gnu") + glob.glob(f"{root}/lib/*-linux-gnu") + [f"{root}/usr/lib"]
                     if os.path.isdir(d)]
        self.environment = dict(os.environ, LD_LIBRARY_PATH=":".join(libraries))

    def stock(self, name):
        """A stock program, wherever its installation has it."""
        return next(path for folder in ("sbin", "usr/sbin") if os.path.exists(path := f"{self.root}/{folder}/{name}"))

    def tls(self, name):
        return "".join(f"TLS{key}={BASE}/ca/{name}/{file}.pem\n"
                       for key, file in (("Certificate", "cert"), ("Key", "key"), ("Authority", "ca")))

    def program(self, name, sockets, configuration):
        path = f"{BASE}/{name}.conf"
        with open(path, "w") as file:
            file.write(configuration)
        program = Program(name, [f"--config={path}"], sockets, BASE)
        program.path = f"{self.build}/src/{name}/{name}"
        self.ends.append(program)
        return program

    def close(self):
        """Returns what had ended by itself."""
        trouble = []
        for end in reversed(self.ends):
            if isinstance(end, Program):
                try:
                    if end.pid:
                        end.kill()
                except Failure as e:
                    trouble.append(str(e))
                for _, held in end.sockets:
                    held.close()
            else:
                end.kill()
        return trouble

    def last_words(self):
        return [line for end in self.ends for line in end.last_words(8)]


# --- Collectors ---

class Aggregator:
    """Ours. Its sockets are held for it, as systemd holds them."""

    def __init__(self, place, options="", disk=None, node="127.0.0.1"):
        self.place, self.node = place, (NODE if place.psk else node).encode()
        self.store = f"{BASE}/store"
        if disk:
            os.mkdir(self.store)
            run("mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", self.store)
        sockets = [("tls", listen(6560)), ("auditd", listen(PORT))]
        self.program = place.program("aggregator", sockets,
                                     f"[Aggregator]\nName={COLLECTOR}\n{place.tls(COLLECTOR)}Directory={self.store}\n"
                                     f"StateDirectory={BASE}/state\nAuditdAllow=127.0.0.0/8\nSpaceLeft=0\n"
                                     f"{f'AuditdPSKDirectory={BASE}/keys{chr(10)}' if place.psk else ''}{options}")

    def start(self):
        self.program.start()
        self.program.wait_ready()

    def kill(self):
        self.program.kill()

    def stop(self):
        self.program.stop()

    def log(self):
        return b"".join(open(path, "rb").read() for path in sorted(glob.glob(f"{self.store}/*.log"))
                        if os.path.basename(path)[0].isdigit())

    def condition(self, name):
        return os.path.exists(f"{BASE}/state/aggregator/{name}")

    def counter(self, name):
        return counter("aggregator", name)

    def fill(self):
        with open(f"{self.store}/filler", "wb", buffering=0) as file:
            size = MIB
            while size:
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2

    def free(self):
        os.unlink(f"{self.store}/filler")

    def line(self, n):
        return b"node=" + self.node + b" " + record(n)


class Auditd:
    """The stock one."""

    def __init__(self, place, node=None):
        self.place, self.process = place, None
        self.prefix = f"node={node} ".encode() if node else b""
        os.makedirs(f"{BASE}/log", mode=0o700)
        os.makedirs(f"{BASE}/plugins", mode=0o700)
        configure("auditd.conf", place.psk)
        place.ends.append(self)

    def start(self):
        with open(f"{BASE}/auditd.said", "ab") as said:
            self.process = subprocess.Popen([self.place.stock("auditd"), "-n"], env=self.place.environment,
                                            stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        wait_for("auditd listening", lambda: listens(PORT))

    def kill(self, signal_number=signal.SIGKILL):
        if self.process:
            self.process.send_signal(signal_number)
            self.process.wait(PATIENCE_SEC)
            self.process = None

    def stop(self):
        self.kill(signal.SIGTERM)

    @staticmethod
    def log():
        try:
            with open(f"{BASE}/log/audit.log", "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def last_words(self, count):
        return [f"auditd: {line}" for line in open(f"{BASE}/auditd.said", errors="replace").read().splitlines()[-count:]]

    def line(self, n):
        return self.prefix + record(n)


# --- Senders ---

class AudispRemote:
    """The stock one. Reads a pipe, as a plugin does; ours to fill."""

    def __init__(self, place, mode="immediate", **options):
        self.place, self.process, self.pipe = place, None, None
        configure("audisp-remote.conf", place.psk, mode=mode, **options)
        place.ends.append(self)

    def start(self):
        ours, self.pipe = os.pipe()
        with open(f"{BASE}/audisp-remote.said", "ab") as said:
            # As auditd does, we leave SIGPIPE ignored: else it dies when its collector does.
            self.process = subprocess.Popen([self.place.stock("audisp-remote")], env=self.place.environment, stdin=ours,
                                            stdout=said, stderr=said, restore_signals=False)
        os.close(ours)

    def feed(self, data):
        os.set_blocking(self.pipe, True)
        while data:
            data = data[os.write(self.pipe, data):]

    def kill(self, signal_number=signal.SIGKILL):
        if self.process:
            self.process.send_signal(signal_number)
            self.process.wait(PATIENCE_SEC)
            os.close(self.pipe)
            self.process = None

    def stop(self):
        """At the end of its input it sends what it has and ends."""
        os.close(self.pipe)
        status = self.process.wait(PATIENCE_SEC)
        self.process = None
        if status != 0:
            raise Failure(f"audisp-remote ended with {status}: it kept records")

    def lives(self):
        return self.process.poll() is None

    def last_words(self, count):
        return [f"audisp-remote: {line}" for line in
                open(f"{BASE}/audisp-remote.said", errors="replace").read().splitlines()[-count:]]


class Remote:
    """Ours, with the dispatcher before it."""

    def __init__(self, place, options):
        self.place = place
        inbox = listen_unix(f"{BASE}/remote")
        with open(f"{BASE}/subscribers.d/remote.conf", "w") as file:
            file.write(f"[Subscriber]\nSocket={BASE}/remote\nOverflow=block\n")
        self.dispatcher = place.program("dispatcher", [("input", listen_unix(f"{BASE}/input"))],
                                        f"[Dispatcher]\nNode={NODE}\nRingFile={BASE}/ring\nKernel=none\nStateDirectory={BASE}/state\n"
                                        f"SubscribersDirectory={BASE}/subscribers.d\n")
        self.program = place.program("remote", [("remote", inbox)],
                                     f"[Remote]\nNode={NODE}\nDirectory={BASE}/spool\nStateDirectory={BASE}/state\nRetryMin=10ms\n"
                                     f"RetryMax=200ms\nSpaceLeft=0\n{PSK if place.psk else ''}{options}")

    def start(self):
        if not self.dispatcher.pid:
            self.dispatcher.start()
            self.dispatcher.wait_ready()
        self.program.start()
        self.program.wait_ready()

    def feed(self, data):
        subprocess.run([f"{self.place.build}/src/tool/audit-relay", "send", f"--socket={BASE}/input"], input=data,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=PATIENCE_SEC)

    def kill(self):
        self.program.kill()

    def stop(self):
        self.program.stop()

    def condition(self, name):
        return os.path.exists(f"{BASE}/state/remote/{name}")

    def counter(self, name):
        return counter("remote", name)


# --- Helpers ---

def counter(component, name):
    """None before the first status."""
    try:
        with open(f"{BASE}/state/{component}/status") as file:
            for line in file:
                if line.startswith(f"audit_relay_{component}_{name} "):
                    return float(line.split()[1])
    except FileNotFoundError:
        pass
    return None


def write_key(path, key):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        os.unlink(path)
    with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o400)) as file:
        file.write(f"{key}\n")


def configure(name, psk, **changes):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(f"{here}/{name}") as file:
        text = file.read().replace("@DIR@", BASE)
    if psk:
        changes["transport"] = "tls"
        text += f"tls_psk_identity = {NODE}\ntls_psk_file = {BASE}/key\n"
    for key, value in changes.items():
        text, n = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
        assert n == 1, key
    path = f"/etc/audit/{name}"
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o640)


def listen(port):
    return socket.create_server(("127.0.0.1", port), backlog=128)


def listen_unix(path):
    held = socket.socket(socket.AF_UNIX)
    held.bind(path)
    held.listen(16)
    return held


def listens(port):
    with open("/proc/net/tcp") as file, open("/proc/net/tcp6") as file6:
        return any(f":{port:04X} " in line and " 0A " in line for line in [*file, *file6])


def isolate():
    """After unshare: nothing that is mounted or connected here is seen elsewhere."""
    run("ip", "link", "set", "lo", "up")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    os.makedirs("/run/etc/upper")
    os.makedirs("/run/etc/work")
    run("mount", "-t", "overlay", "overlay", "-o", "lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work", "/etc")
    os.makedirs("/etc/audit", mode=0o750, exist_ok=True)


def clear():
    """Between two cases."""
    subprocess.run(["umount", f"{BASE}/store"], capture_output=True)
    shutil.rmtree(BASE, ignore_errors=True)
    os.makedirs(BASE)
