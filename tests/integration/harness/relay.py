# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client and a collector as an administrator sets them up, and what the cases ask of them."""

import os
import re
import subprocess
import time

from .machine import PATIENCE_SEC, Machine, steady, until
from .records import NODE, as_stored, first_difference

DISPATCHER, REMOTE, AGGREGATOR = (f"audit-relay-{p}.service" for p in ("dispatcher", "remote", "aggregator"))
LOG = "/var/log/audit-relay"
SPOOL = "/var/lib/audit-relay/remote"
STATE = "/run/audit-relay/state"
TLS = "/etc/audit-relay/tls"
CA = "/root/ca"
# The programs write their status every second, if it is another.
STATUS_SEC = 1.2
# What a unit waits before it starts its program again is nothing the cases are about.
RESTART_SOON = "[Service]\nRestartSec=20ms\n"
ADDRESSES = {"client": "10.77.0.1", "collector": "10.77.0.2"}
HOSTS = "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in ADDRESSES.items())

REMOTE_CONF = "[Remote]\nCollector=collector\n"


class Hosts:
    """The pair. `client` and `collector` are Machines; the rest is about records. bare: booted, and nothing typed yet."""

    def __init__(self, trees, switch, client_options=(), client_environment=None, client_files=None, bare=False,
                 collector_options=(), collector_environment=None):
        self.switch = switch
        self.client = Machine("client", ADDRESSES["client"], trees, client_options, client_environment)
        self.collector = Machine("collector", ADDRESSES["collector"], trees, collector_options, collector_environment)
        self.seen = 0  # bytes of the collector's log that cases have looked at
        for path, content in (client_files or {}).items():
            self.client.write(path, content)
        for unit in DISPATCHER, REMOTE, AGGREGATOR:
            self.host_of(unit).write(f"/etc/systemd/system/{unit}.d/restart-soon.conf", RESTART_SOON)
        for host in self.client, self.collector:
            host.write("/etc/hosts", HOSTS)
            host.power_on(wait=False)
        for host in self.client, self.collector:
            host.booted()
        if not bare:
            self.enrol()
            self.client.write("/etc/audit-relay/remote.conf", REMOTE_CONF)
            self.collector.systemctl("enable", "--now", "audit-relay-collector.target")
            self.client.systemctl("enable", "--now", "audit-relay-client.target")
            self.expect_running()

    def expect_running(self):
        for unit in DISPATCHER, REMOTE, AGGREGATOR:
            until(lambda: self.host_of(unit).is_active(unit), f"{unit} runs")

    def enrol(self):
        """What the two hosts need of each other: three lines, and the client's files carried over."""
        self.collector.sh(f"audit-relay cert init --dir {CA} && audit-relay cert collector collector --dir {CA}"
                          f" && audit-relay cert client client --dir {CA}")
        self.install_certificate(self.collector, "collector")
        self.install_certificate(self.client, "client")

    def install_certificate(self, host, name, directory=CA):
        for file, mode in (("cert.pem", 0o644), ("key.pem", 0o600), ("ca.pem", 0o644)):
            host.write(f"{TLS}/{file}", self.collector.read(f"{directory}/{name}/{file}"), mode)

    def destroy(self):
        self.client.destroy()
        self.collector.destroy()

    # --- Records ---

    def send(self, lines, check=True):
        """By the link: returns when the dispatcher has acked all."""
        return self.client.sh(["audit-relay", "send"], data=lines, check=check)

    def send_from_pipe(self):
        """The same with what is written to the returned process's stdin."""
        return subprocess.Popen(self.client.command(["audit-relay", "send"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def write_to_socket(self, data, path="/run/audit-relay/input", seconds=5):
        """Raw bytes into a socket of the client, then its answer until it closes or for that long."""
        return unix_talk(self.client, path, data, seconds)

    def segments(self):
        """The collector's segments in their order."""
        found = self.collector.path(LOG).glob("[0-9]*.log")
        return sorted(found, key=lambda path: int(path.name.split(".")[0], 10))

    def expect_links(self):
        """The folder for ausearch is made beside the rest, for all segments that came meanwhile."""
        link = self.collector.path(f"{LOG}/ausearch/audit.log")
        until(lambda: link.exists() and link.samefile(self.segments()[-1]), "the newest segment in the folder for ausearch")

    def stored(self, behind=0):
        """The whole log of the collector, or what is behind so many bytes of it."""
        def look():
            text, skip = [], behind
            for path in self.segments():
                with open(path, "rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    if skip < size:
                        file.seek(skip)
                        text.append(file.read())
                    skip = max(0, skip - size)
            return b"".join(text)

        return steady(look)

    def stored_size(self):
        return steady(lambda: sum(path.stat().st_size for path in self.segments()))

    def stored_since(self):
        """What has come since the last expect_stored()."""
        return self.stored(self.seen)

    def expect_stored(self, lines, others=None):
        """Waits until exactly these lines, in this order and nothing else, have been added to the collector's log. `others`: a
        regular expression of lines that may stand between them; they are returned."""
        expected = as_stored(lines)
        allowed = re.compile(others.encode()) if others else None

        def split():
            if not allowed:
                return self.stored_since(), []
            mine, rest = [], []
            for line in self.stored_since().splitlines(keepends=True):
                (rest if allowed.search(line) else mine).append(line)
            return b"".join(mine), rest

        try:
            # Looking at many records takes its time: first at how many bytes they are.
            until(lambda: self.stored_size() - self.seen >= len(expected), "as many bytes at the collector")
            until(lambda: len(split()[0]) >= len(expected), "all records at the collector")
        except AssertionError as reason:
            raise AssertionError(f"{reason}\n{first_difference(expected, split()[0])}") from None
        found, rest = split()
        difference = first_difference(expected, found)
        assert difference is None, difference
        self.skip_stored()
        return rest

    def expect_others(self, pattern):
        """Waits for a line that matches, among what has come since the last time; returns it."""
        found = []

        def look():
            found[:] = [line for line in self.stored_since().splitlines() if re.search(pattern.encode(), line)]
            return found

        until(look, f"a record like {pattern} at the collector")
        return found[0].decode(errors="backslashreplace")

    def skip_stored(self):
        self.seen = self.stored_size()

    # --- Programs ---

    def host_of(self, unit):
        return self.collector if unit in (AGGREGATOR, "audit-relay-collector.target") else self.client

    @staticmethod
    def sockets_of(unit):
        return [unit.replace(".service", ".socket")]

    def restart_log(self, unit):
        """Restarts a program, so that what it said lately does not hold back what it says next: it repeats itself only every ten
        seconds. It counts from 0 again."""
        self.host_of(unit).systemctl("restart", unit)

    def restart_remote(self):
        """… and waits until it has found its collector."""
        since = self.client.journal_now()
        self.client.systemctl("restart", REMOTE)
        self.client.expect_journal(REMOTE, "Connected to collector", since)

    def kill_program(self, unit, host=None):
        """SIGKILL, and waits for the next one to be there. (For a moment systemd calls one active that is dead.)"""
        host = host or self.host_of(unit)
        before = until(lambda: host.active_pid(unit), f"{unit} is active")
        host.kill(unit)
        until(lambda: host.active_pid(unit) not in (0, before), f"a new process of {unit}")

    def conditions(self, component):
        """The conditions that hold, as name: content."""
        directory = self.host_of(f"audit-relay-{component}.service").path(f"{STATE}/{component}")
        found = {}
        for path in directory.glob("*") if directory.is_dir() else ():
            if path.name != "status" and not path.name.startswith("."):
                try:
                    found[path.name] = path.read_text()
                except FileNotFoundError:
                    pass
        return found

    def expect_condition(self, component, name, holds=True):
        return until(lambda: (name in self.conditions(component)) == holds and (self.conditions(component).get(name) or True),
                     f"condition {component}/{name} {'holds' if holds else 'has ended'}")

    def status_path(self, component):
        return self.host_of(f"audit-relay-{component}.service").path(f"{STATE}/{component}/status")

    def counter(self, component, name, label=""):
        """A metric of the status file, counter or gauge, summed over its labels, or over those with this one; 0 if it is not there."""
        names = f"audit_relay_{component}_{name}", f"audit_relay_{component}_{name}_total"
        path = self.status_path(component)
        total = 0.0
        if not path.exists():
            return total
        for line in path.read_text().splitlines():
            metric, _, value = line.rpartition(" ")
            if metric.split("{")[0] in names and label in metric:
                total += float(value)
        return total

    def counter_settled(self, component, name):
        """The same, as a figure to compare with later: by a status that was written from now on, unless it stays as it is."""
        path = self.status_path(component)
        before, end = inode(path), time.monotonic() + STATUS_SEC
        while inode(path) == before and time.monotonic() < end:
            time.sleep(0.02)
        return self.counter(component, name)

    def expect_counter(self, component, name, at_least, label=""):
        until(lambda: self.counter(component, name, label) >= at_least, f"{component}'s {name}{label} is at least {at_least}")

    # --- Between cases ---

    def check_calm(self):
        """A case leaves all in order behind: the three programs run, no condition holds, nothing is on its way."""
        for unit in DISPATCHER, REMOTE, AGGREGATOR:
            until(lambda: self.host_of(unit).is_active(unit), f"{unit} is active")
        for component in "dispatcher", "remote", "aggregator":
            until(lambda: not self.conditions(component), f"no condition of {component}, but {self.conditions(component)}")
        self.skip_stored()

    def last_words(self):
        """For a failed case: what the programs said."""
        text = ""
        for unit in DISPATCHER, REMOTE, AGGREGATOR:
            host = self.host_of(unit)
            if host.leader:
                output = host.sh(["journalctl", "--no-pager", "--quiet", "--output=short-monotonic", "--lines=25",
                                  "--unit", unit], check=False)
                text += f"--- {host.name}: {unit}\n{output}"
                text += "".join(f"    {name}: {content!r}\n"
                                for name, content in self.conditions(unit.split("-")[2].split(".")[0]).items())
        return text


def inode(path):
    """Of a file that is written anew each time, or None."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def unix_talk(host, path, data, seconds):
    """Connects to a Unix socket of a machine through /proc, writes and reads until the peer closes."""
    import socket
    directory, _, name = path.rpartition("/")
    # The path through /proc may be too long for an address; a short one by way of the directory's descriptor is not.
    fd = os.open(host.path(directory), os.O_PATH | os.O_DIRECTORY)
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(seconds)
            s.connect(f"/proc/self/fd/{fd}/{name}")
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            try:
                while chunk := s.recv(65536):
                    answer += chunk
            except (TimeoutError, ConnectionResetError):
                pass
    finally:
        os.close(fd)
    return answer


__all__ = ["AGGREGATOR", "CA", "DISPATCHER", "LOG", "NODE", "PATIENCE_SEC", "REMOTE", "REMOTE_CONF", "SPOOL", "STATE", "STATUS_SEC", "TLS", "Hosts"]
