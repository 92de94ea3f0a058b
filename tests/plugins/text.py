#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Subscribers that only read text (Format=), on a dispatcher of their own, which is stopped, killed and started again.

    text.py BUILD-DIR
"""

import os
import re
import select
import signal
import socket
import struct
import time

from harness import Failed, Relay, main, until

FILE = '[Subscriber]\nSocket=DIR/{0}.sock\nFormat={1}\n'
HEADER = struct.Struct('=4I')


class Reader:
    """Listens as systemd does; reads when it is told to."""

    def __init__(self, relay, name):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(relay.path / f'{name}.sock'))
        self.listener.listen()
        self.connection = None
        self.found = b''

    def poll(self):
        """Reads what there is; accepts where nothing is connected."""
        while select.select([self.connection or self.listener], [], [], 0)[0]:
            if not self.connection:
                self.connection = self.listener.accept()[0]
                continue
            data = self.connection.recv(65536)
            self.found += data
            if not data:
                self.leave()

    def accept(self):
        until(lambda: select.select([self.listener], [], [], 0)[0], 'a connection')
        self.connection = self.listener.accept()[0]

    def readable(self):
        until(lambda: select.select([self.connection], [], [], 0)[0], 'something to read')

    def leave(self):
        self.connection.close()
        self.connection = None

    def numbers(self):
        return [int(n) for n in re.findall(rb'000:(\d+)\): x*\n', self.found)]

    def expect(self, numbers):
        def there():
            self.poll()
            return len(self.numbers()) >= len(numbers)
        until(there, f'{len(numbers)} records as text')
        assert self.numbers() == numbers, (self.numbers()[:20], numbers[:20])


def send(relay, first, last, size=100):
    relay.send(*[f'type=USER_CMD msg=audit(1700000000.000:{n}): {"x" * size}' for n in range(first, last + 1)])


def read_up_to(relay, name, seq):
    """The dispatcher knows that it has read that."""
    pattern = re.compile(rf'^audit_relay_dispatcher_subscriber_acked_seq{{subscriber="{name}"}} {seq}$', re.M)
    until(lambda: pattern.search((relay.path / 'state/dispatcher/status').read_text()), f'{name} has read up to {seq}')


def kill(relay):
    relay.dispatcher.kill()
    relay.dispatcher.wait()
    (relay.path / 'state/dispatcher/status').unlink(missing_ok=True)
    (relay.path / 'lines').unlink(missing_ok=True)


def restart(relay):
    relay.stop_dispatcher()
    relay.start_dispatcher()


def both_formats(build):
    """lines and audisp hold the same records, each once, over a stop and a kill of the dispatcher"""
    files = {name: FILE.format(name, name) for name in ('lines', 'audisp')}
    with Relay(build, subscribers=files) as relay:
        lines, audisp = Reader(relay, 'lines'), Reader(relay, 'audisp')
        for n, again in enumerate((lambda: restart(relay), lambda: (kill(relay), relay.start_dispatcher()), lambda: None)):
            send(relay, n * 100 + 1, n * 100 + 100)
            lines.expect(list(range(1, n * 100 + 101)))
            until(lambda: (audisp.poll(), audisp.found.count(b'type=USER_CMD') == n * 100 + 100)[1], 'the binary records')
            read_up_to(relay, 'lines', n * 100 + 100)
            read_up_to(relay, 'audisp', n * 100 + 100)
            again()
        payloads = []
        rest = audisp.found
        while rest:
            version, size, kind, length = HEADER.unpack_from(rest)
            assert (version, size, kind) == (1, HEADER.size, 1123), (version, size, kind)
            payloads.append(rest[HEADER.size:HEADER.size + length])
            rest = rest[HEADER.size + length:]
        assert b''.join(b'node=host1 ' + p + b'\n' for p in payloads) == lines.found


def unread_comes_again(build):
    """what a reader had not read when it or the dispatcher died comes again, and nothing before it"""
    with Relay(build, subscribers={'a': FILE.format('a', 'lines')}) as relay:
        a = Reader(relay, 'a')
        send(relay, 1, 10)
        a.expect(list(range(1, 11)))
        read_up_to(relay, 'a', 10)
        send(relay, 11, 20)
        a.readable()
        a.leave()
        a.expect(list(range(1, 21)))
        read_up_to(relay, 'a', 20)
        send(relay, 21, 30)
        a.readable()
        kill(relay)
        relay.start_dispatcher()
        # It may still read what is in the dead one's socket: the two together are what is bounded.
        a.expect([*range(1, 31), *range(21, 31)])


def a_stop_waits(build):
    """with Overflow=block a stop waits until all is read, and then ends with the last record"""
    with Relay(build, subscribers={'a': FILE.format('a', 'lines') + 'Overflow=block\n'}) as relay:
        a = Reader(relay, 'a')
        send(relay, 1, 3000, 300)
        a.accept()
        relay.dispatcher.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert relay.dispatcher.poll() is None, 'it did not wait'
        a.expect(list(range(1, 3001)))
        until(lambda: (a.poll(), relay.dispatcher.poll() is not None)[1], 'the dispatcher ends')
        assert relay.dispatcher.returncode == 0
        (relay.path / 'state/dispatcher/status').unlink(missing_ok=True)
        relay.start_dispatcher()
        send(relay, 3001, 3001)
        a.expect(list(range(1, 3002)))


def nothing_to_read(build):
    """with Overflow=block, too, nobody is disturbed before there is a record that passes the filter"""
    with Relay(build, subscribers={'a': FILE.format('a', 'lines') + 'Overflow=block\nFilter=USER_CMD\n'}) as relay:
        a = Reader(relay, 'a')
        relay.send('type=USER_LOGIN msg=audit(1700000000.000:1): x')
        read_up_to(relay, 'a', 1)
        assert not select.select([a.listener], [], [], 0)[0], 'connected'
        send(relay, 2, 3)
        a.expect([2, 3])


def as_many_as_there_are(build):
    """more of them than the ring remembers: the others are warned of, and get everything again"""
    names = [f't{n:02}' for n in range(50)]
    files = {'remote': '[Subscriber]\nSocket=DIR/remote.sock\n', **{name: FILE.format(name, 'lines') for name in names}}
    with Relay(build, subscribers=files) as relay:
        readers = {name: Reader(relay, name) for name in names}
        send(relay, 1, 20)
        for reader in readers.values():
            reader.expect(list(range(1, 21)))
        for name in names:
            read_up_to(relay, name, 20)
        restart(relay)
        send(relay, 21, 21)
        warned = re.findall(r'The ring remembers where 48 subscribers stand: (\w+) gets again', relay.said(relay.dispatcher))
        assert len(warned) == 2, warned
        for name, reader in readers.items():
            reader.expect([*range(1, 21), *(range(1, 21) if name in warned else ()), 21])


def a_pause_ends(build):
    """a pause ends by itself, though nothing new is published"""
    with Relay(build, config=f'Commands=user:{os.getuid()} pause resume', subscribers={'a': FILE.format('a', 'lines')}) as relay:
        a = Reader(relay, 'a')
        send(relay, 1, 1)
        a.expect([1])
        begun = time.monotonic()
        asked = relay.run(relay.build / 'tests/plugins/command', relay.path / 'subscribe', 'pause', 'SECONDS=3\nNAME=a')
        relay.expect(asked, '0 ')
        send(relay, 2, 2)
        time.sleep(1)
        a.poll()
        # On a machine that stood still it is over by now.
        assert a.numbers() == [1] or time.monotonic() - begun >= 3, a.numbers()
        try:
            a.expect([1, 2])
        except Failed:
            raise Failed(f'not within {time.monotonic() - begun:.0f} s') from None


if __name__ == '__main__':
    main([both_formats, unread_comes_again, a_stop_waits, nothing_to_read, as_many_as_there_are, a_pause_ends])
