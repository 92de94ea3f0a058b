# SPDX-License-Identifier: LGPL-2.1-or-later
"""Something that does not speak the link at all: an HTTP request at the collector, before and inside TLS; text at remote's socket.

Each such session ends, the others go on. On the dispatcher's input text is a plain line, and bad-lines tells of those.
"""

from harness.frames import find_bye, tls_talk
from harness.machine import run
from harness.records import records
from harness.relay import REMOTE, TLS

HTTP = b"GET / HTTP/1.1\r\nHost: collector\r\n\r\n"


def story(t):
    since = t.client.journal_now()
    bye = find_bye(t.write_to_socket(HTTP, path="/run/audit-relay/remote"))
    assert bye and bye[1], f"remote answered {bye}"
    t.client.expect_journal(REMOTE, bye[1], since)

    bye = find_bye(tls_talk(t.client, t.collector.address, HTTP, t.client.path(f"{TLS}/cert.pem"), t.client.path(f"{TLS}/key.pem")))
    assert bye and bye[1], f"the collector answered {bye}"

    run("nsenter", f"--net=/run/netns/{t.client.name}", "bash", "-c",
        f"exec 3<>/dev/tcp/{t.collector.address}/6560; printf 'GET / HTTP/1.1\\r\\n\\r\\n' >&3; timeout 20 cat <&3 >/dev/null")

    lines = records(100, "after-http")
    t.send(lines)
    t.expect_stored(lines)
