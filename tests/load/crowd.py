# SPDX-License-Identifier: LGPL-2.1-or-later
"""An aggregator of this build, and clients of it by the hundred."""

import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import time

PATIENCE_SEC = 120
RECORD = re.compile(rb"^node=(n\d+) .* msg='op=load n=(\d+) res=success'$")
PROCESS_CLIENTS = 250
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Aggregator:
    def __init__(self, program, directory, *settings):
        self.program, self.directory = program, directory
        self.port = free_port()
        (directory / "state").mkdir()
        for name, kind, file in ("collector", "cert", "cert"), ("collector", "key", "key"), ("ca", "cert", "ca"):
            (directory / f"{file}.pem").symlink_to(directory / "tls" / f"{name}.{kind}.pem")
        (directory / "conf").write_text(f"""[Aggregator]
Directory={directory}/store
StateDirectory={directory}/state
TLSCertificate={directory}/cert.pem
TLSKey={directory}/key.pem
TLSAuthority={directory}/ca.pem
PeersDirectory={directory}/peers
Listen=127.0.0.1:{self.port}
SpaceLeft=0
""" + "".join(f"{setting}\n" for setting in settings))
        (directory / "peers").mkdir(exist_ok=True)
        self.start()

    def start(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen([self.program, f"--config={self.directory}/conf"], stderr=log)
        end = time.monotonic() + PATIENCE_SEC
        while not (self.directory / "state/aggregator/status").exists():
            assert self.process.poll() is None and time.monotonic() < end, "the aggregator does not start"
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()
        (self.directory / "state/aggregator/status").unlink()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SEC)

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory_kib(self):
        return int(re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def metric(self, name):
        text = (self.directory / "state/aggregator/status").read_text()
        found = re.search(rf"^audit_relay_aggregator_{name} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else None


def judge(directory, n, records):
    """What a store, or those of all nodes, has of n clients' records: {"lost": …, "duplicated": …, "wrong": lines that nobody sent},
    and the first that is not where it belongs."""
    last, first_wrong = {}, None
    lost = duplicated = wrong = 0
    for segment in sorted((directory / "store").glob("**/[0-9]*.log"), key=lambda p: int(p.name.split(".")[0], 10)):
        with open(segment, "rb") as file:
            for line in file:
                found = RECORD.match(line)
                if not found or int(found[2]) > records:
                    wrong += 1
                    first_wrong = first_wrong or line.decode(errors="replace")
                    continue
                node, number = found[1], int(found[2])
                expected = last.get(node, 0) + 1
                lost += max(0, number - expected)
                duplicated += number < expected
                last[node] = max(number, expected - 1)
                if number != expected:
                    first_wrong = first_wrong or f"{node.decode()}: record {number} where {expected} belongs"
    lost += sum(records - number for number in last.values()) + (n - len(last)) * records
    return {"lost": lost, "duplicated": duplicated, "wrong": wrong}, first_wrong


class Clients:
    """Some hundred in each process: more would keep a loop busy with looking which of them is ready."""

    def __init__(self, program, directory, n, port, start=0, batch=1):
        self.processes = []
        log = open(directory / "clients.log", "a")
        for first in range(start, start + n, PROCESS_CLIENTS):
            self.processes.append(subprocess.Popen(
                [program, "run", directory / "tls", str(first), str(min(PROCESS_CLIENTS, start + n - first)), "127.0.0.1", str(port),
                 str(batch)],
                text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log))
        assert all(p.stdout.readline() == "ready\n" for p in self.processes), "the clients do not start"

    def ask(self, command):
        """Seconds until the last answer."""
        for process in self.processes:
            process.stdin.write(command + "\n")
            process.stdin.flush()
        seconds = 0
        for process in self.processes:
            readable, _, _ = select.select([process.stdout], [], [], PATIENCE_SEC)
            answer = process.stdout.readline().split() if readable else None
            assert answer, f"no answer to {command}"
            seconds = max(seconds, float(answer[1]))
        return seconds

    def end(self):
        for process in self.processes:
            process.stdin.write("end\n")
            process.stdin.close()
        return max(process.wait(PATIENCE_SEC) for process in self.processes)

    def kill(self):
        for process in self.processes:
            process.kill()
            process.wait()
