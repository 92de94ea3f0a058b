# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client's clock jumps ahead by a month and back by a year while records flow: each is stored, once and in order.

A container has no clock of its own, so the programs are told another time by a library in front of the C library's.
"""

import shutil
import subprocess
import time

from harness.load import SteadyLoad
from harness.machine import Skip
from harness.relay import DISPATCHER, REMOTE

FRESH_HOSTS = True
# What the clock is off by, in seconds; read at each look, as a clock that is set is seen at once.
OFFSET = "/run/clock-offset"
SOURCE = f"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *ret)
{{
        char text[32] = "";
        int fd, r = (int) syscall(SYS_clock_gettime, clock, ret);
        if (clock != CLOCK_REALTIME || (fd = open("{OFFSET}", O_RDONLY | O_CLOEXEC)) < 0)
                return r;
        if (read(fd, text, sizeof text - 1) > 0)
                ret->tv_sec += atol(text);
        close(fd);
        return r;
}}
"""
JUMPS = 30 * 86400, -365 * 86400, 3600, 0


def story(t):
    compiler = shutil.which("cc")
    if not compiler:
        raise Skip("no C compiler")
    library = t.client.directory / "clock.so"
    subprocess.run([compiler, "-x", "c", "-shared", "-fPIC", "-o", library, "-"], input=SOURCE.encode(), check=True)
    t.client.write("/usr/lib/clock.so", library.read_bytes(), 0o755)
    for unit in DISPATCHER, REMOTE:
        t.client.write(f"/etc/systemd/system/{unit}.d/clock.conf", "[Service]\nEnvironment=LD_PRELOAD=/usr/lib/clock.so\n")
    t.client.systemctl("daemon-reload")
    t.client.systemctl("restart", "audit-relay-client.target")
    load = SteadyLoad(t)
    try:
        for seconds in JUMPS:
            t.client.write(OFFSET, str(seconds))
            time.sleep(1)
            t.client.systemctl("restart", REMOTE)
            time.sleep(0.5)
    finally:
        sent = load.stop()
    t.expect_stored(sent)
    for unit in DISPATCHER, REMOTE:
        t.client.remove(f"/etc/systemd/system/{unit}.d/clock.conf")
    t.client.systemctl("daemon-reload")
    t.client.systemctl("restart", "audit-relay-client.target")
