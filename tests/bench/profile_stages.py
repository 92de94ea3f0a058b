# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the time of the whole path goes, by stage: perf's samples of each program, each given to the first stage of the list that a
function of its stack belongs to."""

import collections
import contextlib
import re
import shutil
import signal
import subprocess

from system import Broken

HERTZ = 997
STACK = 8192

# Stage, and a pattern of functions. What comes first counts: system calls before who called them, the inner before the outer.
STAGES = [(name, re.compile(pattern)) for name, pattern in (
    ("fdatasync (second thread)", r"fdatasync|store_job_run|worker_main|thread_main"),
    ("SHA-256", r"^sha256$|gnutls_hash_fast"),
    ("hash of the payload, verifying", r"^batch_payload_intact$|^frame_open_batch$"),
    ("hash of the payload, sealing", r"^batch_seal$|^checksum64|^XXH3"),
    ("lines of producers made the node's", r"^record_adopt|^record_known|^take_complete$"),
    ("lines checked", r"^record_check_batch$|^record_check"),
    ("TLS socket: send()", r"tcp_sendmsg"),
    ("TLS socket: recv()", r"tcp_recvmsg"),
    ("Unix socket: send()", r"unix_stream_sendmsg"),
    ("Unix socket: recv()", r"unix_stream_recvmsg|unix_stream_read_generic"),
    ("TLS: encrypt", r"^session_write$|gnutls_record_send"),
    ("TLS: decrypt", r"^session_read$|gnutls_record_recv"),
    ("store: write()", r"sys_pwrite|vfs_write|ext4_file_write"),
    ("store: read()", r"sys_pread|vfs_read"),
    ("store: unlink, open, rename", r"sys_unlink|sys_open|sys_rename|sys_fallocate"),
    ("batches copied into frames", r"^frame_put"),
    ("ring", r"^ring_|^writer_"),
    ("store", r"^store_|^segment_|^index_|^reader_"),
    ("link and intake", r"^link_|^intake_|^frame_"),
    ("buffers", r"^buffer_"),
    ("loop", r"epoll|sd_event|^loop_"),
)]
OTHER = "everything else"
SHOWN = 0.01


def stage_of(stack):
    for name, pattern in STAGES:
        if any(pattern.search(function) for function in stack):
            return name
    return OTHER


def stacks(path):
    """Functions of each sample, innermost first."""
    script = subprocess.run(["perf", "script", "-i", path, "-F", "ip,sym"], capture_output=True, text=True)
    if script.returncode != 0:
        raise Broken(f"perf script: {script.stderr.strip()}")
    for sample in script.stdout.split("\n\n"):
        stack = [line.split(None, 1)[1] for line in sample.splitlines() if len(line.split(None, 1)) == 2]
        if stack:
            yield stack


class Profile:
    """As long as it is open, of some processes."""

    def __init__(self, directory):
        if not shutil.which("perf"):
            raise Broken("perf is missing (package linux-perf)")
        self.directory = directory
        self.files, self.records = {}, []

    @contextlib.contextmanager
    def of(self, pids):
        for name, group in pids.items():
            self.files[name] = f"{self.directory}/{name}.perf"
            self.records.append(subprocess.Popen(
                ["perf", "record", "--quiet", "-F", str(HERTZ), "--call-graph", f"dwarf,{STACK}", "-o", self.files[name],
                 "-p", ",".join(map(str, group))]))
        try:
            yield
        finally:
            for process in self.records:
                process.send_signal(signal.SIGINT)
                process.wait()

    def stages(self):
        """{program: {stage: part of its samples}}, the largest first."""
        shares = {}
        for name, path in self.files.items():
            counts = collections.Counter(stage_of(stack) for stack in stacks(path))
            total = sum(counts.values()) or 1
            shares[name] = {stage: n / total for stage, n in counts.most_common()}
        return shares


def rows(shares, cpu):
    """cpu: CPU-s per million of each program."""
    yield ("program", "stage", "CPU-s per million", "of the program")
    for program, stages in shares.items():
        for stage, share in stages.items():
            if share >= SHOWN:
                yield (program, stage, f"{share * cpu[program]:.3f}", f"{share:.0%}")
