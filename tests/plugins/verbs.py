#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What audit-relay says to programs, and what it says to a terminal: each verb's --json has the keys that docs/json.md lists, no other
ones and all of them; colours and progress are for terminals only.

    verbs.py BUILD-DIR
"""

import json
import os
import pathlib
import pty
import re
import subprocess

from harness import PATIENCE, TOP, Relay, main, until

SYSTEMCTL = '#!/bin/sh\nexit 0\n'
PEER = 'audit_relay_aggregator_peer_connected{node="web1",address="192.0.2.1:5",stream="x"} 1\n'
EVENT = ('type={} msg=audit(1700000000.001:{}): {}'.format('SYSCALL', 1, 'arch=c000003e syscall=2 key="mine"'),
         'type={} msg=audit(1700000000.001:{}): {}'.format('EOE', 1, ''))


def documented():
    """What an output is called in docs/json.md, and its keys."""
    rows = re.findall(r'^\| (`.*?) \| .*? \| (.*?) \|$', (TOP / 'docs/json.md').read_text(), re.MULTILINE)
    assert rows
    found = {}
    for names, keys in rows:
        while re.search(r'\([^()]*\)', keys):
            keys = re.sub(r'\([^()]*\)', '', keys)
        for name in re.findall(r'`(.*?)`', names):
            found[name + names.rpartition('`')[2]] = set(re.findall(r'`(\w+)`', keys))
    return found


class Host:
    """Runs audit-relay, and remembers which keys what it printed has."""

    def __init__(self, relay):
        self.relay = relay
        self.tool = relay.build / 'src/tool/audit-relay'
        self.keys = {}
        (relay.path / 'bin').mkdir()
        (relay.path / 'bin/systemctl').write_text(SYSTEMCTL)
        (relay.path / 'bin/systemctl').chmod(0o755)
        self.environment = dict(os.environ, PATH=f"{relay.path}/bin:{os.environ['PATH']}", TERM='xterm')
        self.environment.pop('NO_COLOR', None)

    def run(self, *arguments, status=0, data=''):
        done = subprocess.run([str(self.tool), *map(str, arguments)], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=self.environment, timeout=PATIENCE)
        assert done.returncode == status, f'{arguments}: {done.returncode}, {done.stdout}{done.stderr}'
        return done.stdout

    def note(self, name, text, lines=False):
        parsed = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
        objects = parsed if isinstance(parsed, list) else [parsed]
        assert objects, f'{name}: nothing is in it'
        for entry in objects:
            self.keys.setdefault(name, set()).update(entry)
        return parsed

    def json(self, name, *arguments, lines=False, **how):
        return self.note(name, self.run(arguments[0], '--json', *arguments[1:], **how), lines)

    def compare(self, *names):
        for name in names:
            wanted, found = documented()[name], self.keys[name]
            assert found == wanted, f'{name}: not documented {sorted(found - wanted)}, only documented {sorted(wanted - found)}'


def of_records(build):
    """status, tail, send, command, log, verify"""
    with Relay(build, f'Commands=user:{os.getuid()} state', {'remote': '[Subscriber]\nSocket=DIR/remote\n'}) as relay:
        host, state, store = Host(relay), f'--state-dir={relay.path}/state', relay.path / 'store'
        for command in ('init',), ('client', 'host1'):
            host.run('cert', *command, f'--dir={relay.path}/ca')
        tls = ''.join(f'TLS{key}={relay.path}/ca/host1/{file}.pem\n'
                      for key, file in (('Certificate', 'cert'), ('Key', 'key'), ('Authority', 'ca')))
        # Nobody listens there: it keeps what it has.
        (relay.path / 'remote.conf').write_text(
            f'[Remote]\nCollector=127.0.0.1:1\nCollectorName=logs\nNode=host1\n{tls}Directory={store}\nStateDirectory={relay.path}/state\n'
            f'Listen={relay.path}/remote\nSpaceLeft=0\n')
        remote = relay.run(relay.build / 'src/remote/remote', f'--config={relay.path}/remote.conf')
        sent = host.json('send', 'send', f'--socket={relay.path}/input', '--skip-bad', data='\n'.join([*EVENT, 'nothing', '']))
        assert sent == {'lines': 3, 'bad': 1, 'sent': 2, 'acked': 2}, sent
        host.json('command', 'command', f'--socket={relay.path}/input', 'state', 'NAME=drill', 'ON=1')
        host.json('command', 'command', f'--socket={relay.path}/input', 'x-nothing', status=3)
        until(lambda: store.exists() and 'verb=state' in host.run('log', f'--store={store}'), 'all records are stored', lambda: relay.said(remote))
        host.json('status', 'status', state, 'dispatcher', status=3)
        read = ['tail', f'--socket={relay.path}/subscribe', '--from=oldest', '-n1']
        host.json('tail, a record', *read, '--type=SYSCALL', lines=True)
        host.json('tail --event, an event', *read, '--key=mine', lines=True)
        behind = host.run('tail', '--json', f'--socket={relay.path}/subscribe', f'--from={"0" * 31}1:7:{"0" * 16}', '-n1')
        host.note('tail, what is missing', behind.splitlines()[0])
        query = ['log', f'--store={store}', '--serial=1']
        host.json('log, a record', *query, lines=True)
        host.json('log --event, an event', *query, '--event', lines=True)
        host.json('verify', 'verify', store)
        log = ' '.join(map(str, (host.tool, 'log', f'--store={store}')))
        assert b'\x1b[KLooking at what was received' in on_a_terminal(host, program=('sh', '-c', f'{log} >/dev/null'))
        assert b'Looking' not in on_a_terminal(host, program=(*log.split(), '-n1'))
        (relay.path / 'state/aggregator').mkdir()
        (relay.path / 'state/aggregator/status').write_text(PEER)
        host.json('status --peers', 'status', '--peers', state, status=4)
        host.compare(*host.keys)


def of_a_host(build):
    """doctor, drill, stop, import"""
    with Relay(build) as relay:
        host, state = Host(relay), f'--state-dir={relay.path}/state'
        host.json('doctor', 'doctor', 'kernel', 'clock', 'units', status=find_status(host, 'doctor', 'kernel', 'clock', 'units'))
        host.json('drill', 'drill')
        host.json('drill CONDITION', 'drill', 'remote/spool_full', state, status=3)
        host.json('stop', 'stop', state, '--timeout=0')
        (relay.path / 'root/etc/audit').mkdir(parents=True)
        (relay.path / 'root/etc/audit/auditd.conf').write_text('log_file = /var/log/audit/audit.log\ntcp_listen_port = 60\n')
        status = find_status(host, 'import', f'--root={relay.path}/root')
        host.json('import', 'import', f'--root={relay.path}/root', status=status)
        host.json('import', 'import', f'--root={relay.path}/root', '--write', status=status)
        host.compare(*host.keys)


def find_status(host, *arguments):
    """Of what depends on the machine: 0 or 3."""
    done = subprocess.run([str(host.tool), *arguments], stdout=subprocess.DEVNULL, env=host.environment, timeout=PATIENCE)
    assert done.returncode in (0, 3), done
    return done.returncode


def of_certificates(build):
    """cert, each command"""
    with Relay(build) as relay:
        host, at = Host(relay), relay.path / 'host'

        def cert(command, *arguments, name=None, **how):
            return host.json(name or f'cert {command}', 'cert', command, *arguments, f'--dir={relay.path}/ca', **how)

        cert('init')
        cert('collector', 'logs')
        cert('client', 'web1')
        request = cert('request', 'web2', f'--out={at}')['request']
        issued = cert('issue', 'web2', data=request)['pem']
        cert('install', f'--out={at}', data=issued)
        cert('install', f'--out={at}', data=cert('renew', 'web2')['pem'])
        cert('show', at / 'cert.pem')
        cert('revoke', 'web1')
        assert {entry['state'] for entry in cert('list')} == {'valid', 'replaced', 'revoked'}
        signer = cert('signer', 'logs')
        assert cert('verifier', 'logs') == signer
        # What the first three share, and what is more of the next two, is one row each.
        host.compare(*host.keys)


def nothing_is_left_out(build):
    """each verb is in docs/json.md, and in the table of exit statuses if its --help has more than three"""
    tool = pathlib.Path(build) / 'src/tool/audit-relay'

    def said(*arguments):
        return subprocess.run([tool, *arguments, '--help'], stdout=subprocess.PIPE, text=True, check=True).stdout

    verbs = re.findall(r'^  ([a-z]+) +[A-Z]', said(), re.MULTILINE)
    assert len(verbs) > 10
    listed = {name.split()[0].rstrip(',') for name in documented()}
    assert listed == set(verbs) - {'complete'}, listed ^ set(verbs)
    of_cert = set(re.findall(r'^  ([a-z]+) .*[A-Z]', said('cert'), re.MULTILINE))
    assert of_cert == {name.split()[1] for name in documented() if name.startswith('cert ')}
    table = dict(re.findall(r'^    ([a-z]+) +(3 .*)$', said(), re.MULTILINE))
    for verb in verbs:
        statuses = re.search(r'Exit status:.*', said(verb), re.DOTALL)[0].replace('\n', ' ')
        own = set(re.findall(r'(?:: |; )([3-9]) ', statuses))
        assert own == set(re.findall(r'(?:^|; )([3-9]) ', table.get(verb, ''))), f'{verb}: {own}, {table.get(verb)}'


def wrong_numbers(build):
    """a number is digits within its bounds, for each verb that takes one"""
    with Relay(build) as relay:
        host = Host(relay)
        for most, *arguments in ((86400, 'stop', '--timeout='), (30, 'drill', '--seconds='), (60, 'command', '--timeout='),
                                 (2 ** 32 - 1, 'send', '--timeout='), (36500, 'cert', 'init', '--days='), (2 ** 64 - 1, 'tail', '-n')):
            *verb, option = arguments
            for wrong in '', '-1', '+1', ' 1', '1x', 'x', most + 1, '1' * 30:
                host.run(*verb, f'{option}{wrong}', status=2)


def without_rights(build):
    """who may not is told so once, what to do, and at once; and nobody is sent to make a new certificate for it"""
    if os.getuid() != 0:
        return
    with Relay(build) as relay:
        host = Host(relay)

        def said(*arguments, status):
            done = subprocess.run([str(host.tool), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, env=host.environment, timeout=PATIENCE, user=65534, group=65534,
                                  extra_groups=[])
            assert done.returncode == status, f'{arguments}: {done.returncode}, {done.stdout}'
            # A program built for coverage may not write down which lines it reached.
            return '\n'.join(line for line in done.stdout.splitlines() if not line.startswith('profiling:'))

        relay.path.chmod(0o755)
        (relay.path / 'input').chmod(0o660)
        (relay.path / 'store').mkdir(mode=0o700)
        denied = 'Permission denied; run it as root'
        for verb, *words in ['send'], ['command', 'log', 'MESSAGE=x']:
            lines = said(verb, f'--socket={relay.path}/input', *words, status=1)
            assert lines.count('Cannot') == 1 and f'{denied}, or join its group, audit-relay' in lines, lines
        for verb in ['verify', relay.path / 'store'], ['log', f'--store={relay.path}/store']:
            lines = said(*verb, status=1)
            assert lines.count(denied) == 1, lines


def without_a_ca(build):
    """where no certificate was made, the list of them says so"""
    with Relay(build) as relay:
        tool = relay.build / 'src/tool/audit-relay'
        done = subprocess.run([tool, 'cert', 'list', f'--dir={relay.path}/none'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=True, timeout=PATIENCE)
        assert done.stdout == '' and 'where the CA is' in done.stderr, done


def on_a_full_disk(build):
    """what could not be written out is an error, whichever verb it is"""
    with Relay(build) as relay, open('/dev/full', 'w', encoding='ascii') as full:
        tool = relay.build / 'src/tool/audit-relay'
        for words in (['status', f'--state-dir={relay.path}/state'], ['status', '--json', f'--state-dir={relay.path}/state'], ['doctor', 'clock'],
                      ['import', '--keys'], ['cert', 'request', 'web1', f'--out={relay.path}/tls'], ['log', '--help']):
            done = subprocess.run([tool, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
            assert done.returncode == 1 and done.stderr.count('Cannot write to standard output: ') == 1, done


def on_a_terminal(host, *arguments, environment=None, program=None):
    """What it writes when both outputs are a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(program or [str(host.tool), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=follower, stderr=follower,
                               env=environment or host.environment)
    os.close(follower)
    text = b''
    try:
        while part := os.read(leader, 65536):
            text += part
    except OSError:  # its other end is closed
        pass
    os.close(leader)
    process.wait(PATIENCE)
    return text


def for_terminals(build):
    """colours and progress are for terminals, and NO_COLOR and a dumb terminal are respected"""
    with Relay(build) as relay:
        host, status = Host(relay), ('status', f'--state-dir={relay.path}/state')
        assert b'\x1b[1m' in on_a_terminal(host, *status)
        assert b'\x1b' not in on_a_terminal(host, *status, environment=dict(host.environment, NO_COLOR='1'))
        assert b'\x1b[1m' in on_a_terminal(host, *status, environment=dict(host.environment, NO_COLOR=''))
        assert b'\x1b' not in on_a_terminal(host, *status, environment=dict(host.environment, TERM='dumb'))
        assert '\x1b' not in host.run(*status)
        doctor = on_a_terminal(host, 'doctor', 'clock', environment=dict(host.environment, NO_COLOR='1'))
        assert b'\r\x1b[KLooking at clock' in doctor and b'\x1b[3' not in doctor, doctor
        assert b'Looking' not in on_a_terminal(host, 'doctor', 'clock', environment=dict(host.environment, TERM='dumb'))
        done = subprocess.run([str(host.tool), 'doctor', 'clock'], capture_output=True, env=host.environment, timeout=PATIENCE)
        assert b'Looking' not in done.stdout + done.stderr, done


if __name__ == '__main__':
    main([of_records, of_a_host, of_certificates, nothing_is_left_out, wrong_numbers, for_terminals, without_rights, without_a_ca,
          on_a_full_disk])
