#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""audit-relay tail, run as people run it.

    tail.py BUILD-DIR
"""

import json
import pathlib
import subprocess

from harness import PATIENCE, TOP, Relay, main, until

SAMPLE = [line.partition(' ')[2] if line.startswith('node=') else line
          for line in (TOP / 'tests/data/sample.log').read_text().splitlines()]


def tail(relay, *options):
    command = [relay.build / 'src/tool/audit-relay', 'tail', f'--socket={relay.path}/subscribe', *options]
    return relay.run(*command)


def ended(relay, process):
    process.wait(PATIENCE)
    assert process.returncode == 0, relay.said(process)
    return relay.said(process).splitlines()


def raw(build):
    """lines as they are, from now and from the oldest"""
    with Relay(build) as relay:
        now = tail(relay, '-n', str(len(SAMPLE)))
        relay.connected('tail')
        relay.send(*SAMPLE)
        expected = ['node=host1 ' + line for line in SAMPLE]
        assert ended(relay, now) == expected
        assert ended(relay, tail(relay, '--from=oldest', '-n', '5')) == expected[:5]


def types(build):
    """only some types"""
    with Relay(build) as relay:
        relay.send(*SAMPLE)
        expected = ['node=host1 ' + line for line in SAMPLE if line.startswith('type=PROCTITLE ')]
        assert expected
        assert ended(relay, tail(relay, '--from=oldest', '--type=PROCTITLE', '-n', str(len(expected)))) == expected


def events(build):
    """whole events, by key, as JSON; and those in which a type is"""
    with Relay(build) as relay:
        head = 'type={} msg=audit(1700000000.001:{}): {}'
        relay.send(head.format('SYSCALL', 1, 'key="mine"'), head.format('SYSCALL', 2, 'key="other"'), head.format('CWD', 1, 'cwd="/"'),
                   head.format('EOE', 2, ''), head.format('EOE', 1, ''), head.format('SYSCALL', 3, 'key=6D696E65016F74686572'),
                   head.format('PATH', 3, 'name="x"'), head.format('EOE', 3, ''))
        found = [json.loads(line) for line in ended(relay, tail(relay, '--from=oldest', '--key=mine', '--format=json', '-n', '2'))]
        assert [e['serial'] for e in found] == [1, 3], found
        assert found[0] == {'origin': 'local', 'node': 'host1', 'time': 1700000000.001, 'serial': 1, 'end': 'complete',
                            'records': [{'type': 'SYSCALL', 'text': 'key="mine"'}, {'type': 'CWD', 'text': 'cwd="/"'}]}, found[0]
        lines = ended(relay, tail(relay, '--from=oldest', '--event', '--type=PATH', '-n', '1'))
        assert lines == ['----', 'node=host1 ' + head.format('SYSCALL', 3, 'key=6D696E65016F74686572'),
                         'node=host1 ' + head.format('PATH', 3, 'name="x"')], lines


def cursor(build):
    """a cursor in a file: each record once, over several runs and a restart of the dispatcher"""
    with Relay(build) as relay:
        file = pathlib.Path(relay.path / 'cursor')
        expected, got = [], []
        for run in range(3):
            relay.send(f'USER run={run} a=1', f'USER run={run} a=2')
            expected += [f'run={run} a=1', f'run={run} a=2']
            process = tail(relay, f'--cursor-file={file}', '--from=oldest')
            relay.expect(process, f'run={run} a=2')
            process.terminate()
            got += [line.partition('): ')[2] for line in ended(relay, process)]
            relay.stop_dispatcher()
            relay.start_dispatcher()
        assert got == expected, got


def gap(build):
    """a cursor of another ring: what is missing is said"""
    with Relay(build) as relay:
        relay.send('USER a=1')
        process = tail(relay, f'--from={"0" * 31}1:7:{"0" * 16}', '--format=json', '-n', '1')
        lines = ended(relay, process)
        assert 'Missing: nobody knows how many records (another stream)' in lines[0] + lines[1], lines
        assert any(json.loads(line).get('gap') == 'another stream' for line in lines if line.startswith('{')), lines


def wrong(build):
    """wrong options are said, and so is a dispatcher that is not there"""
    with Relay(build) as relay:
        for option, words in (('--type=NOSUCH', 'NOSUCH'), ('--from=yesterday', 'now, oldest or a cursor'), ('--format=xml', 'raw or json'),
                              ('-n0', 'above 0'), ('word', 'no arguments')):
            process = tail(relay, option)
            assert process.wait(PATIENCE) == 2 and words in relay.said(process), relay.said(process)
        process = tail(relay, f'--socket={relay.path}/nothing')
        assert process.wait(PATIENCE) == 1 and 'No such file' in relay.said(process), relay.said(process)
        # A reader that leaves: the next write fails, and ends it.
        command = f'{relay.build}/src/tool/audit-relay tail --socket={relay.path}/subscribe --from=oldest | head -n 1'
        pipe = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        until(lambda: 'Client tail' in relay.said(relay.dispatcher), 'tail connects')
        relay.send(*SAMPLE)
        relay.send(*SAMPLE)
        assert pipe.communicate(timeout=PATIENCE)[0].startswith(b'node=host1')


if __name__ == '__main__':
    main([raw, types, events, cursor, gap, wrong])
