# SPDX-License-Identifier: LGPL-2.1-or-later
"""One virtual machine: qemu with software emulation, two ports to the agent in it, and the disk that survives it."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time

# The guest is slow, and slower when the cores are shared.
PATIENCE_SEC = 240
MEMORY_MIB = 768
PR_SET_PDEATHSIG = 1
COMMAND_LINE = ("console=ttyS0 quiet audit=1 audit_backlog_limit=8192 mitigations=off nokaslr random.trust_cpu=on"
                " systemd.show_status=0 systemd.log_target=kmsg systemd.wants=vm-agent.service"
                # What a test has no use for, and software emulation makes slow.
                " systemd.mask=serial-getty@ttyS0.service systemd.mask=getty.target systemd.mask=e2scrub_reap.service"
                " systemd.mask=systemd-logind.service systemd.mask=systemd-user-sessions.service systemd.mask=timers.target"
                " systemd.mask=systemd-update-utmp.service systemd.mask=systemd-update-utmp-runlevel.service"
                " systemd.mask=systemd-journald-audit.socket"
                " systemd.mask=systemd-random-seed.service systemd.mask=systemd-remount-fs.service")
PROGRAMS = " systemd.wants=audit-relay-collector.target systemd.wants=audit-relay-client.target"


def prepare_child():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(10)


class Listener:
    """qemu connects to us: so there is somebody at the other end of its ports from the first instruction on."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        self.socket.bind(str(path))
        self.socket.listen(1)
        self.socket.settimeout(PATIENCE_SEC)

    def accept(self):
        connection, _ = self.socket.accept()
        connection.settimeout(PATIENCE_SEC)
        self.socket.close()
        return connection


class Vm:
    """`data`: a disk there at boot. `snapshot`: restored instead of booted. `clock`: what the hardware clock says at boot."""

    def __init__(self, image, work, on_witness, clock, data=None, snapshot=None, programs=False):
        self.work = work
        ports = {name: Listener(work / f"{name}.socket") for name in ("monitor", "control", "witness")}
        drives = [("tree", image / "tree.img"), ("installed", work / "installed.img")]
        command = ["qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-accel", "tcg,thread=multi", "-smp", "1",
                   "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                   "-rtc", "base=" + time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(clock)),
                   "-kernel", image / "vmlinuz", "-initrd", image / "initramfs.cpio",
                   "-append", COMMAND_LINE + (PROGRAMS if programs else ""),
                   "-chardev", f"file,id=console,path={work}/console,append=on", "-serial", "chardev:console",
                   "-chardev", f"socket,id=monitor,path={work}/monitor.socket", "-mon", "chardev=monitor,mode=control",
                   "-device", "virtio-serial-pci"]
        for port in "control", "witness":
            command += ["-chardev", f"socket,id={port},path={work}/{port}.socket",
                        "-device", f"virtserialport,chardev={port},name={port}"]
        for name, path in drives:
            command += ["-drive", f"file={path},if=none,id={name},format=raw,readonly=on",
                        "-device", f"virtio-blk-pci,drive={name},serial={name}"]
        command += ["-drive", f"file={work}/snapshots.qcow2,if=none,id=snapshots,format=qcow2",
                    "-device", "pcie-root-port,id=bay,chassis=1,slot=1"]
        if data:
            command += ["-drive", f"file={data},if=none,id=data,format=raw,cache=writeback",
                        "-device", "virtio-blk-pci,drive=data,serial=data,bus=bay"]
        if snapshot:
            command += ["-loadvm", snapshot]
        with open(work / "qemu.log", "ab") as log:
            self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=prepare_child)
        self.monitor_socket, self.control, self.witness = (ports[name].accept() for name in ("monitor", "control", "witness"))
        self.monitor = self.monitor_socket.makefile("rw")
        json.loads(self.monitor.readline())  # the greeting
        self.tell_qemu("qmp_capabilities")
        self.reader = threading.Thread(target=self.read_witness, args=(on_witness,), daemon=True)
        self.reader.start()

    # --- qemu ---

    def tell_qemu(self, command, **arguments):
        self.monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.monitor.flush()
        while True:
            answer = json.loads(self.monitor.readline())
            if "error" in answer:
                raise RuntimeError(f"qemu: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def save(self, name):
        said = self.tell_qemu("human-monitor-command", **{"command-line": f"savevm {name}"})
        if said.strip():
            raise RuntimeError(f"qemu: savevm: {said}")

    def plug(self, data):
        """The disk, into the running machine. Written back: what qemu has written is the host's when qemu dies, what the guest
        has not written is gone, as in a power cut."""
        self.tell_qemu("blockdev-add", **{"driver": "raw", "node-name": "data",
                                          "file": {"driver": "file", "filename": str(data)}})
        self.tell_qemu("device_add", driver="virtio-blk-pci", drive="data", serial="data", bus="bay", id="data")

    def cut_power(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for end in self.control, self.witness, self.monitor_socket:
            end.close()

    # --- The agent ---

    def read_witness(self, on_witness):
        """Until qemu is dead and all that the guest told is read."""
        rest = b""
        self.witness.settimeout(None)
        while True:
            try:
                data = self.witness.recv(65536)
            except ConnectionResetError:
                return
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                on_witness(line.decode().split())

    def receive(self, size):
        data = bytearray()
        while len(data) < size:
            piece = self.control.recv(min(1 << 20, size - len(data)))
            if not piece:
                raise RuntimeError("the machine is gone:\n" + self.last_words())
            data += piece
        return bytes(data)

    def ask(self, do, **arguments):
        request = json.dumps(dict(arguments, do=do)).encode()
        self.control.sendall(b"%08x" % len(request) + request)
        try:
            answer = json.loads(self.receive(int(self.receive(8), 16)))
        except TimeoutError:
            raise RuntimeError(f"no answer to {do} in {PATIENCE_SEC} s:\n" + self.last_words()) from None
        raw = self.receive(answer.pop("raw"))
        if "error" in answer:
            raise RuntimeError(f"{do}: {answer['error']}")
        return answer, raw

    def run(self, script, check=True):
        answer, said = self.ask("run", script=script)
        said = said.decode(errors="backslashreplace")
        if check and answer["status"] != 0:
            raise RuntimeError(f"{script!r} ended with {answer['status']}:\n{said}")
        return said

    def last_words(self):
        return (self.work / "console").read_text(errors="replace")[-3000:]
