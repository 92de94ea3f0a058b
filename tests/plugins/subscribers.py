#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Subscribers that keep up, and others beside them that do not, on a dispatcher of their own.

    subscribers.py BUILD-DIR

Nothing here depends on how fast the machine is: the producer waits for those that keep up, and the others are as slow as can be.
"""

import re
import signal
import socket

from harness import Failed, Relay, main, until

CHUNK = 5000
CHUNKS = 12 # some 12 MB in all, more than the ring and than any queue
FILE = '[Subscriber]\nSocket=DIR/{}.sock\n'
DROPPING = FILE + 'Overflow=drop-oldest\nQueueLimit={}\n'

GOOD = ['good-1', 'good-2', 'good-3', 'good-4']
BAD = {'silent': ['--mute'], 'stuck': ['--pause-after=2'], 'slow': ['--slow'], 'killed': ['--kept']}


def collect(relay, name, *options):
    return relay.run(relay.build / 'tests/lib/collect', relay.path / f'{name}.sock', relay.path / f'{name}.got', *options)


class Producer:
    """Records whose text says which they are: record n of the stream, if nobody else writes."""

    def __init__(self, relay):
        self.n = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(relay.path / 'input'))

    def send(self, count, kinds=('USER_CMD',)):
        lines = []
        for _ in range(count):
            self.n += 1
            lines.append(f'type={kinds[self.n % len(kinds)]} msg=audit(1700000000.000:{self.n}): {"x" * 150}\n')
        self.socket.sendall(''.join(lines).encode())


def got(relay, name):
    """What a subscriber has: pieces (first, last, type) in their order; the type of a lost range is None."""
    pieces = []
    path = relay.path / f'{name}.got'
    for line in path.read_text().splitlines() if path.exists() else []:
        record = re.match(r'node=host1 type=(\w+) msg=audit\(1700000000\.000:(\d+)\): x{150}$', line)
        lost = re.match(r'LOST (\d+) (\d+) overflow$', line)
        if record:
            pieces.append((int(record[2]), int(record[2]), record[1]))
        elif lost:
            pieces.append((int(lost[1]), int(lost[2]), None))
        elif not line.startswith('END '):
            raise Failed(f'{name} got a strange line: {line[:200]}')
    return pieces


def newest(relay, name):
    """Seen from the end of the file alone: asked often."""
    path = relay.path / f'{name}.got'
    if not path.exists():
        return 0
    with open(path, 'rb') as file:
        file.seek(max(0, path.stat().st_size - 4096))
        numbers = re.findall(rb'000:(\d+)\): x*\n|LOST \d+ (\d+) overflow\n', file.read())
    return max((int(a or b) for a, b in numbers), default=0)


def has(relay, name, n):
    until(lambda: newest(relay, name) >= n, f'{name} has record {n}')


def counter(relay, metric, name):
    text = (relay.path / 'state/dispatcher/status').read_text()
    return int(float(re.search(rf'^audit_relay_dispatcher_{metric}{{subscriber="{name}"}} (\S+)$', text, re.M)[1]))


def check_all(relay, name, total):
    """Each record or its loss, in order and once. Returns how many were lost, in how many ranges."""
    expected = 1
    lost = []
    for first, last, kind in got(relay, name):
        if first != expected or last < first:
            raise Failed(f'{name} got {first}..{last} where {expected} follows')
        expected = last + 1
        if kind is None:
            lost.append(last - first + 1)
    if expected != total + 1:
        raise Failed(f'{name} ends with {expected - 1}, not {total}')
    return sum(lost), len(lost)


def four_of_eight(build):
    """two never read, one reads a byte a second, one is killed again and again: remote and four others get every record"""
    files = {'remote': FILE.format('remote'), **{name: FILE.format(name) for name in GOOD},
             **{name: DROPPING.format(name, '1M' if name != 'stuck' else '2M') for name in BAD}}
    with Relay(build, subscribers=files) as relay:
        bad = {name: collect(relay, name, *options) for name, options in BAD.items()}
        for name in ['remote', *GOOD]:
            collect(relay, name)
        producer = Producer(relay)
        for _ in range(CHUNKS):
            producer.send(CHUNK)
            for name in ['remote', *GOOD]:
                has(relay, name, producer.n)
            bad['killed'].kill()
            bad['killed'].wait()
            bad['killed'] = collect(relay, 'killed', *BAD['killed'])
        condition = relay.path / 'state/dispatcher/subscriber_dropping'
        until(condition.exists, 'subscriber_dropping')
        until(lambda: {'silent', 'stuck', 'slow'} <= set(re.search(r'^SUBSCRIBER="?(.*?)"?$', condition.read_text(), re.M)[1].split()),
              'subscriber_dropping names those that do not read', condition.read_text)
        for name in ['silent', 'stuck', 'slow']:
            assert newest(relay, name) < producer.n, f'{name} has read'
            bad[name].send_signal(signal.SIGUSR1)
        for name in BAD:
            has(relay, name, producer.n)
        for name in ['remote', *GOOD]:
            assert check_all(relay, name, producer.n) == (0, 0), f'{name} lost records'
            assert counter(relay, 'subscriber_dropped_total', name) == 0, name
        for name in BAD:
            lost, gaps = check_all(relay, name, producer.n)
            assert name == 'killed' or lost > CHUNK, f'{name} lost {lost}'
            until(lambda: (counter(relay, 'subscriber_dropped_total', name), counter(relay, 'subscriber_gaps_total', name)) == (lost, gaps),
                  f'the status counts what {name} lost: {lost} in {gaps} ranges')
        until(lambda: not condition.exists(), 'the end of subscriber_dropping')


def one_hole(build):
    """drop-newest: what was queued, one hole, and what came afterwards"""
    files = {'remote': FILE.format('remote'), 'late': FILE.format('late') + 'Overflow=drop-newest\nQueueLimit=1M\n'}
    with Relay(build, subscribers=files) as relay:
        late = collect(relay, 'late', '--mute')
        collect(relay, 'remote')
        producer = Producer(relay)
        for _ in range(5):
            producer.send(CHUNK)
            has(relay, 'remote', producer.n)
        late.send_signal(signal.SIGUSR1)
        has(relay, 'late', producer.n)
        producer.send(1000)
        has(relay, 'late', producer.n)
        lost, gaps = check_all(relay, 'late', producer.n)
        assert gaps == 1 and CHUNK < lost < 5 * CHUNK, (lost, gaps)
        pieces = got(relay, 'late')
        assert [piece[2] for piece in pieces[-1000:]] == ['USER_CMD'] * 1000
        until(lambda: counter(relay, 'subscriber_dropped_total', 'late') == lost, 'the counter')


def filters_and_reload(build):
    """a filter by type; a reload changes one subscriber, where it stood, and leaves the others alone"""
    kinds = ('USER_CMD', 'USER_LOGIN', 'USER_END')
    files = {'remote': FILE.format('remote'), 'some': FILE.format('some') + 'Filter=user-login,~USER_END\n'}
    with Relay(build, subscribers=files) as relay:
        collect(relay, 'remote')
        collect(relay, 'some')
        producer = Producer(relay)
        producer.send(3000, kinds)
        has(relay, 'remote', 3000)
        has(relay, 'some', 2998) # the last USER_LOGIN
        file = relay.path / 'subscribers.d/some.conf'
        good = file.read_text()
        file.write_text(good + 'Filter=USER_NONSENSE\n')
        relay.dispatcher.send_signal(signal.SIGHUP)
        relay.expect(relay.dispatcher, '"USER_NONSENSE" is no record type')
        relay.expect(relay.dispatcher, 'Not all of subscribers.d could be used')
        producer.send(3, kinds)
        has(relay, 'some', 3001)
        file.write_text(good.replace('Filter=user-login,~USER_END', 'Filter=USER_CMD\nFilter=USER_END'))
        relay.dispatcher.send_signal(signal.SIGHUP)
        until(lambda: relay.said(relay.dispatcher).count('Subscriber some connected') == 2, 'the changed one begins again')
        producer.send(3, kinds)
        has(relay, 'remote', 3006)
        has(relay, 'some', 3006)
        assert check_all(relay, 'remote', 3006) == (0, 0)
        assert relay.said(relay.dispatcher).count('Subscriber remote connected') == 1
        numbers = [first for first, _, _ in got(relay, 'some')]
        assert numbers == [n for n in range(1, 3004) if n % 3 == 1] + [3005, 3006], numbers[-9:]


if __name__ == '__main__':
    main([four_of_eight, one_hole, filters_and_reload])
