# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that only reads text is started by the first record that it wants, and gets each at least once, whoever dies.

Under load the program is killed, the dispatcher is killed, reloaded and stopped and started; what comes twice is bounded by what the
socket and the sender's buffer hold.
"""

import re
import time

from harness.load import SteadyLoad
from harness.machine import until
from harness.records import as_stored, records
from harness.relay import DISPATCHER

SERVICE = "text.service"
OUT = "/run/text.out"
UNITS = {
    "text.socket": "[Socket]\nListenStream=/run/text.socket\nSocketUser=audit-relay-dispatcher\nSocketMode=0600\n"
                   "TriggerLimitIntervalSec=0\n",
    SERVICE: f"[Unit]\nStartLimitIntervalSec=0\n[Service]\n"
             f"ExecStart=/usr/lib/audit-relay/plugin-exec /bin/sh -c 'exec cat >>{OUT}'\n",
}
CONF = "/etc/audit-relay/subscribers.d/text.conf"
# The socket's buffer, the dispatcher's, and a batch, for each of what cut the session.
TWICE_MAX = 1024 * 1024


def whole_lines(t):
    """Lines end where a life of the program ended, too: what was cut there comes again."""
    return re.findall(rb"^node=[^\n]*? res=success'$", t.client.read(OUT), re.MULTILINE)


def story(t):
    for name, text in UNITS.items():
        t.client.write(f"/etc/systemd/system/{name}", text)
    t.client.systemctl("daemon-reload")
    t.client.systemctl("start", "text.socket")
    t.client.write(CONF, "[Subscriber]\nSocket=/run/text.socket\nFormat=lines\nOverflow=block\nFilter=USER\n")
    t.client.systemctl("reload", DISPATCHER)
    # Only what its filter lets pass starts it.
    other = b"type=CWD msg=audit(1700000000.000:1): cwd=/\n" * 10
    t.send(other)
    t.expect_stored(other)
    time.sleep(0.5)
    assert not t.client.is_active(SERVICE), "started without a record to read"
    first = records(100, "first")
    t.send(first)
    t.expect_stored(first)
    until(lambda: t.client.is_active(SERVICE) and t.client.path(OUT).exists() and
          t.client.read(OUT) == as_stored(first), "the first records as text")

    load = SteadyLoad(t)
    try:
        for number, act in enumerate((lambda: t.client.kill(SERVICE), lambda: t.kill_program(DISPATCHER),
                                      lambda: t.client.systemctl("reload", DISPATCHER), lambda: t.client.kill(SERVICE),
                                      lambda: t.client.systemctl("restart", DISPATCHER))):
            time.sleep(0.3 + 0.01 * number)
            act()
    finally:
        sent = load.stop()
    t.expect_stored(sent)
    expected = as_stored(first + sent).splitlines()
    until(lambda: whole_lines(t)[-1:] == expected[-1:], "the last record as text")
    found = whole_lines(t)
    assert set(found) == set(expected), f"{len(set(expected) - set(found))} records are missing"
    again = sum(map(len, found)) - sum(map(len, expected))
    assert 0 <= again <= 5 * TWICE_MAX, f"{again} bytes twice"
    # In order, but for what comes again.
    place = {line: number for number, line in enumerate(expected)}
    at = -1
    for line in found:
        assert place[line] <= at + 1, f"record {place[line]} after {at}"
        at = place[line]
    t.client.remove(CONF)
    t.client.systemctl("reload", DISPATCHER)
    t.client.systemctl("stop", "text.socket", SERVICE)
    t.skip_stored()
