# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine: a container that boots its own systemd, on a switch, with a disk that survives its reboots.

Its root is an overlay: what it writes is on a tmpfs of its own. It is reached by nsenter, and its files through /proc.
"""

import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

WORK = pathlib.Path("/run/audit-relay-test")
TOP = pathlib.Path(__file__).resolve().parent.parent.parent.parent
# For a condition that will come: generous, as a loaded machine is slow; nothing waits longer than it has to.
PATIENCE_SEC = 60
# What the containers have beyond a minimal Debian: systemd, the libraries the programs link, tools the cases use.
PACKAGES = ["systemd", "systemd-sysv", "dbus", "iproute2", "procps", "libgnutls30", "libaudit1", "libauparse0", "libzstd1",
            "libxxhash0"]
TURN = "/tmp/audit-relay-integration.lock"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/opt/auditd/sbin"


# The environment's variable that names the cgroup below which each machine has one of its own. Where systemd keeps its units: machines
# that share one share those of their units.
CGROUP = "AUDIT_RELAY_TEST_CGROUP"
HIERARCHIES = [path for path in map(pathlib.Path, ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"))
               if (path / "cgroup.procs").exists()]


class Skip(Exception):
    """This machine lacks a feature that the case needs; the text names it."""


def run(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, **options)


def steady(look):
    """What look() sees of files that are being deleted: it looks again when one went between its name and its bytes."""
    while True:
        try:
            return look()
        except FileNotFoundError:
            pass


def until(condition, what, seconds=PATIENCE_SEC):
    """Waits until condition() is true and returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def make_cgroup(name):
    for hierarchy in HIERARCHIES:
        (hierarchy / name).mkdir()


def enter_cgroup(name):
    for hierarchy in HIERARCHIES:
        (hierarchy / name / "cgroup.procs").write_text("0")


def remove_cgroup(name):
    """With all below it; those in which somebody still is, stay. Returns whether nothing did."""
    for hierarchy in HIERARCHIES:
        for path, _, _ in os.walk(hierarchy / name, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)
    return not any((hierarchy / name).exists() for hierarchy in HIERARCHIES)


@contextlib.contextmanager
def own_cgroup():
    """The name of a cgroup for the machines."""
    cgroup = f"audit-relay-test.{os.getpid()}"
    make_cgroup(cgroup)
    try:
        yield cgroup
    finally:
        # Who has been killed takes a moment to go.
        with contextlib.suppress(AssertionError):
            until(lambda: remove_cgroup(cgroup), "nobody is in the cgroup")


def wait_for_others():
    """One run at a time: there is one kernel audit, and not one processor too many. Returns what holds the turn. Told
    to stop, it puts back what it changed on this machine."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    turn = open(TURN, "w")
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("# waits for another run on this machine to end", flush=True)
        fcntl.flock(turn, fcntl.LOCK_EX)
    return turn


def root_tree():
    return subprocess.run([TOP / "tools/lib/rootfs", "machine", *PACKAGES], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Switch:
    """A network with nothing on it but our machines."""

    def __init__(self):
        run("ip", "netns", "add", "switch")
        run("ip", "-n", "switch", "link", "add", "br0", "type", "bridge")
        run("ip", "-n", "switch", "link", "set", "br0", "up")
        # The network that this process is in, under a name: the only one that the kernel sends audit records to.
        initial = pathlib.Path("/run/netns/initial")
        initial.touch()
        run("mount", "--bind", "/proc/self/ns/net", initial)

    @staticmethod
    def plug(name, address):
        Switch.unplug(name)
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", "switch", "link", "add", name, "type", "veth", "peer", "name", "host0", "netns", name)
        run("ip", "-n", "switch", "link", "set", name, "master", "br0", "up")
        run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "host0")
        run("ip", "-n", name, "link", "set", "host0", "up")

    @staticmethod
    def unplug(name):
        # The cable first: the kernel takes its time over a network with its end in it.
        for command in ["-n", "switch", "link", "del", name], ["netns", "del", name]:
            subprocess.run(["ip", *command], check=False, stderr=subprocess.DEVNULL)

    @staticmethod
    def cable(name, connected):
        run("ip", "-n", "switch", "link", "set", name, "up" if connected else "down")


class Machine:
    def __init__(self, name, address, trees, nspawn_options=(), environment=None):
        self.name, self.address = name, address
        self.nspawn_options, self.environment = nspawn_options, environment or {}
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}.", dir=WORK))
        self.disk = self.directory / "root"
        self.process = self.leader = self.notify = None
        self.cgroup = f"{os.environ[CGROUP]}/{self.directory.name}"
        make_cgroup(self.cgroup)
        for part in "upper", "work", "root":
            (self.directory / part).mkdir()
        lower = ":".join(str(t) for t in trees)
        run("mount", "-t", "overlay", "-o",
            f"lowerdir={lower},upperdir={self.directory}/upper,workdir={self.directory}/work", "overlay", self.disk)
        Switch.plug(name, address)
        self.write("/etc/hostname", f"{name}\n")
        # Set, or systemd would take this for a first boot and enable every unit that can be.
        self.write("/etc/machine-id", f"{uuid.uuid4().hex}\n")

    # --- Power ---

    def power_on(self, wait=True):
        """Boots, and returns when systemd says that it is up; without wait=, call booted() for that."""
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = str(self.directory / "notify")
        pathlib.Path(address).unlink(missing_ok=True)
        self.notify.bind(address)
        self.notify.settimeout(PATIENCE_SEC)
        with open(self.directory / "console", "ab") as console:
            self.process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--directory", str(self.disk), "--boot", "--register=no", "--keep-unit",
                 "--console=pipe", "--notify-ready=yes", "--machine", self.name, "--timezone=off", "--link-journal=no",
                 f"--network-namespace-path=/run/netns/{self.name}", *self.nspawn_options],
                env=dict(os.environ, NOTIFY_SOCKET=address, **self.environment),
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                preexec_fn=lambda: enter_cgroup(self.cgroup))
        if wait:
            self.booted()

    def booted(self):
        ready = False
        while not (ready and self.leader):
            for line in self.notify.recv(4096).decode().splitlines():
                ready = ready or line == "READY=1"
                if line.startswith("X_NSPAWN_LEADER_PID="):
                    self.leader = int(line.split("=")[1])
        self.notify.close()

    def power_off(self):
        """As an administrator does: an orderly shutdown."""
        os.kill(self.leader, signal.SIGRTMIN + 4)
        self._gone(PATIENCE_SEC)

    def power_cut(self):
        """As a mains failure does."""
        os.kill(self.leader, signal.SIGKILL)
        self._gone(PATIENCE_SEC)

    def _gone(self, seconds):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = self.leader = None

    def destroy(self):
        if self.leader:
            self.power_cut()
        elif self.process:
            self.process.kill()
            self.process.wait()
        subprocess.run(["umount", "--lazy", str(self.disk)], check=False)
        subprocess.run(["rm", "-rf", str(self.directory)], check=False)
        remove_cgroup(self.cgroup)
        Switch.unplug(self.name)

    # --- Commands and files ---

    def command(self, command):
        if isinstance(command, str):
            command = ["bash", "-c", command]
        return ["nsenter", "--target", str(self.leader), "--all", "--", "env", "-i", f"PATH={PATH}", "LC_ALL=C", "HOME=/root",
                *[str(c) for c in command]]

    def sh(self, command, data=None, check=True, status=False):
        """Runs a command line (or a list of arguments) on it; returns what it printed, or with status= its exit status too."""
        if isinstance(data, str):
            data = data.encode()
        result = subprocess.run(self.command(command), input=data if data is not None else b"", stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        output = result.stdout.decode(errors="backslashreplace")
        if status:
            return result.returncode, output
        if check and result.returncode != 0:
            raise AssertionError(f"{self.name}: {command!r} ended with {result.returncode}:\n{output}")
        return output

    def path(self, path):
        """Where this process finds the machine's file; running, its /run and /tmp are mounts that only it sees."""
        if self.leader:
            return pathlib.Path(f"/proc/{self.leader}/root{path}")
        return pathlib.Path(f"{self.disk}{path}")

    def write(self, path, content, mode=0o644):
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        target.write_bytes(content)
        target.chmod(mode)

    def read(self, path):
        return self.path(path).read_bytes()

    def remove(self, path):
        self.path(path).unlink(missing_ok=True)

    # --- systemd ---

    def systemctl(self, *arguments):
        return self.sh(["systemctl", *arguments])

    def show(self, unit, field):
        return self.sh(["systemctl", "show", "--value", "--property", field, unit]).strip()

    def is_active(self, unit):
        return self.show(unit, "ActiveState") == "active"

    def pid(self, unit):
        return int(self.show(unit, "MainPID"))

    def active_pid(self, unit):
        """The same, 0 unless the unit is active."""
        state = dict(line.split("=", 1) for line in self.sh(["systemctl", "show", "--property=ActiveState,MainPID", unit]).splitlines())
        return int(state["MainPID"]) if state["ActiveState"] == "active" else 0

    def kill(self, unit, name="KILL"):
        self.systemctl("kill", "--kill-who=main", f"--signal={name}", unit)

    def journal(self, unit=None, since=None):
        command = ["journalctl", "--no-pager", "--output=cat", "--quiet"]
        if unit:
            command += ["--unit", unit]
        if since:
            command += ["--since", since]
        return self.sh(command)

    @staticmethod
    def journal_now():
        """A place in the journal, for `since`. (After a cursor, journalctl with --unit= leaves the first entry out.)"""
        return f"@{time.time():.6f}"

    def expect_journal(self, unit, text, since=None):
        until(lambda: text in self.journal(unit, since), f"{self.name}: the journal of {unit} says {text!r}")
