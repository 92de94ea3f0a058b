# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs in the virtual machine: does what the host asks by one port, and tells by another what is acked and what was made.

Both ports are virtio-serial: a byte that was written is in the host's hands, whatever happens to the machine then. A request is its
size as 8 hexadecimal digits and JSON {"do": NAME, …}; an answer is a size and JSON, then, if it says so, raw bytes.
"""

import asyncio
import fcntl
import glob
import itertools
import json
import multiprocessing
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback

import held
import kernel
import tap

LOG, LOG_SEC = "/var/log/audit-relay", 5
RNDADDENTROPY, RNDRESEEDCRNG = 0x40085203, 0x5207
# Records of a block of the load, each of about that size; and so many may wait for remote's ack: to take more of them in would only
# keep the emulated processor from acking.
BLOCK, RECORD_SIZE, AHEAD_MAX = 200, 267, 4000


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
        self.held = held.Held()
        self.acked = multiprocessing.Value("Q", 0, lock=False)
        threading.Thread(target=lambda: asyncio.run(tap.serve(self.tell_ack)), daemon=True).start()

    def tell_ack(self, hop, stream, seq):
        self.witness.tell("ack", hop, stream, seq)
        if hop == "remote":
            self.acked.value = seq

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

    def do_hold(self):
        self.held.take()
        return {}, b""

    def do_release(self, side):
        self.held.release(side)
        return {}, b""

    def do_mount_data(self):
        self.held.mount_data()
        return {}, b""

    def do_send(self, text):
        result = subprocess.run(["audit-relay", "send"], input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode != 0:
            raise RuntimeError(f"audit-relay send ended with {result.returncode}: {result.stdout!r}")
        return {}, b""

    def do_read_log(self, offset, until):
        """The collector's log from there on; once that text is in it, or after a while."""
        end = time.monotonic() + LOG_SEC
        while until.encode() not in (raw := log_from(offset)) and time.monotonic() < end:
            time.sleep(0.05)
        return {}, raw

    def do_load(self, boot, exec_nice, records, users_per_second):
        """Numbered records by `audit-relay send`, execs under a rule, and AUDIT_USER messages, until do_finish or the
        end. Execs at a high nice leave the processor to the rest."""
        kernel.request(kernel.AUDIT_ADD_RULE, kernel.exec_rule())
        workers = [(execs, exec_nice), (kernel.load_users, users_per_second)]
        if records:
            self.sender = subprocess.Popen(["audit-relay", "send"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=subprocess.STDOUT)
            workers.append((feed, self.sender.stdin.fileno(), self.witness, self.acked, boot))
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


def log_from(offset):
    raw = b""
    for path in sorted(glob.glob(f"{LOG}/[0-9]*.log")):
        size = os.path.getsize(path)
        if offset < size:
            with open(path, "rb") as file:
                file.seek(offset)
                raw += file.read()
        offset = max(0, offset - size)
    return raw


def execs(stop_at, nice):
    os.nice(nice)
    return kernel.load_execs(stop_at)


def processes(program):
    """Of a unit of ours that run the program itself, not yet or not any more something else."""
    found = []
    for path in glob.glob(f"/sys/fs/cgroup/audit.slice/audit-relay.slice/audit-relay-{program}.service/cgroup.procs"):
        try:
            with open(path) as file:
                pids = [int(pid) for pid in file.read().split()]
            found += [pid for pid in pids if os.readlink(f"/proc/{pid}/exe") == f"/usr/lib/audit-relay/{program}"]
        except OSError:
            pass  # the group or the process is gone meanwhile
    return found


def feed(stop_at, pipe, witness, acked, boot):
    """Lines numbered from 1; how many are in the sender's hands is told."""
    line = f"type=USER msg=audit({time.time():.3f}:%d): relay-load boot={boot} n=%d "
    line += "x" * (RECORD_SIZE - len(f"node=host {line}\n")) + "\n"
    block = line.encode() * BLOCK
    number = 0
    while time.monotonic() < stop_at.value:
        data = block % tuple(itertools.chain.from_iterable((n, n) for n in range(number + 1, number + BLOCK + 1)))
        while data:
            data = data[os.write(pipe, data):]
        number += BLOCK
        witness.tell("made", boot, number)
        while number > acked.value + AHEAD_MAX and time.monotonic() < stop_at.value:
            time.sleep(0.005)
    return number


if __name__ == "__main__":
    sys.exit(Agent().serve())
