# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs in the virtual machine: does what the host asks by one port, and tells by another what is acked and what was made.

Both ports are virtio-serial: a byte that was written is in the host's hands, whatever happens to the machine then. A request is its
size as 8 hexadecimal digits and JSON {"do": NAME, …}; an answer is a size and JSON, then, if it says so, raw bytes.
"""

import asyncio
import fcntl
import glob
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback

import kernel
import tap

LOG = "/var/log/audit-relay"
RNDADDENTROPY, RNDRESEEDCRNG = 0x40085203, 0x5207
# Records of a block of the load, each of that size.
BLOCK, RECORD_SIZE = 200, 267


def open_port(name):
    while True:
        for path in glob.glob("/sys/class/virtio-ports/*/name"):
            with open(path) as file:
                if file.read().strip() == name:
                    return os.open(f"/dev/{path.split('/')[-2]}", os.O_RDWR | os.O_CLOEXEC)
        time.sleep(0.05)


class Control:
    def __init__(self):
        self.fd = open_port("control")

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = os.read(self.fd, size - len(data))
            if not piece:
                time.sleep(0.01)  # nobody is at the other end yet
            data += piece
        return data

    def request(self):
        return json.loads(self.read(int(self.read(8), 16)))

    def answer(self, answer, raw=b""):
        text = json.dumps(dict(answer, raw=len(raw))).encode()
        data = b"%08x" % len(text) + text + raw
        while data:
            data = data[os.write(self.fd, data):]


class Witness:
    """Lines to the host; safe in any thread and process, as a line is one write."""

    def __init__(self):
        self.fd = open_port("witness")
        self.lock = threading.Lock()

    def tell(self, *words):
        with self.lock:
            os.write(self.fd, (" ".join(str(w) for w in words) + "\n").encode())


class Agent:
    def __init__(self):
        self.witness = Witness()
        self.load = self.sender = None
        threading.Thread(target=lambda: asyncio.run(tap.serve(self.witness.tell)), daemon=True).start()

    def do_run(self, script):
        result = subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                start_new_session=True)
        return {"status": result.returncode}, result.stdout

    def do_wake(self, clock, boot_id, entropy):
        """What makes a restored snapshot another boot: the time, the boot id, and randomness of its own."""
        time.clock_settime(time.CLOCK_REALTIME, clock)
        with open("/run/vm/boot-id", "w") as file:
            file.write(boot_id + "\n")
        seed = bytes.fromhex(entropy)
        with open("/dev/urandom", "wb") as device:
            fcntl.ioctl(device, RNDADDENTROPY, struct.pack("ii", len(seed) * 8, len(seed)) + seed)
            fcntl.ioctl(device, RNDRESEEDCRNG)
        random.seed(seed)
        return {}, b""

    def do_read_log(self, offset):
        """The collector's log from there on."""
        raw = b""
        for path in sorted(glob.glob(f"{LOG}/[0-9]*.log")):
            size = os.path.getsize(path)
            if offset < size:
                with open(path, "rb") as file:
                    file.seek(offset)
                    raw += file.read()
            offset = max(0, offset - size)
        return {}, raw

    def do_load(self, boot, exec_nice, records_per_second, users_per_second):
        """Numbered records by `audit-relay send`, execs under a rule, and AUDIT_USER messages, until do_finish or the
        end. Execs at a high nice leave the processor to the rest."""
        kernel.request(kernel.AUDIT_ADD_RULE, kernel.exec_rule())
        workers = [(execs, exec_nice), (kernel.load_users, users_per_second)]
        if records_per_second:
            self.sender = subprocess.Popen(["audit-relay", "send"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=subprocess.STDOUT)
            workers.append((feed, self.sender.stdin.fileno(), self.witness, boot, records_per_second))
        self.load = kernel.Load(*workers)
        return {}, b""

    def do_kill(self, program, dead):
        """SIGKILL; the next one may start after so long, which is awaited."""
        with open("/run/vm/dead", "w") as file:
            file.write(str(dead))
        killed, = processes(program)
        os.kill(killed, signal.SIGKILL)
        while not (found := processes(program)) or killed in found:
            time.sleep(0.05)
        return {}, b""

    def do_finish(self):
        made = {name: count for name, _, count in self.load.finish()}
        kernel.request(kernel.AUDIT_DEL_RULE, kernel.exec_rule())
        if self.sender:
            made["output"], _ = self.sender.communicate()
        return made, b""

    def do_kernel_mark(self, text):
        kernel.user_message(text)
        return {"lost": kernel.status()["lost"]}, b""

    def serve(self):
        control = Control()
        while True:
            request = control.request()
            try:
                answer, raw = getattr(self, f"do_{request.pop('do')}")(**request)
            except Exception:
                answer, raw = {"error": traceback.format_exc()}, b""
            control.answer(answer, raw)


def execs(stop_at, nice):
    os.nice(nice)
    return kernel.load_execs(stop_at)


def processes(program):
    """Of a unit of ours that run the program itself, not yet or not any more something else."""
    found = []
    for path in glob.glob(f"/sys/fs/cgroup/audit.slice/audit-relay.slice/audit-relay-{program}.service/cgroup.procs"):
        with open(path) as file:
            for pid in file.read().split():
                try:
                    if os.readlink(f"/proc/{pid}/exe") == f"/usr/lib/audit-relay/{program}":
                        found.append(int(pid))
                except FileNotFoundError:
                    pass
    return found


def feed(stop_at, pipe, witness, boot, per_second):
    """Lines numbered from 1; how many are in the sender's hands is told."""
    number, begun = 0, time.monotonic()
    while time.monotonic() < stop_at.value:
        head = f"type=USER msg=audit({time.time():.3f}:"
        fill = "x" * (RECORD_SIZE - len(f"node=host {head}0000): relay-load boot={boot} n=0000 \n"))
        data = "".join(f"{head}{n}): relay-load boot={boot} n={n} {fill}\n"
                       for n in range(number + 1, number + BLOCK + 1)).encode()
        while data:
            data = data[os.write(pipe, data):]
        number += BLOCK
        witness.tell("made", boot, number)
        time.sleep(max(0, begun + number / per_second - time.monotonic()))
    return number


if __name__ == "__main__":
    sys.exit(Agent().serve())
