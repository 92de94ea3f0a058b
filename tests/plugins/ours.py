#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The plugins of this package as processes: guard and nft-block, from failed logins to a set of nftables in a network namespace of their
own; journal, with a journal of its own in a mount namespace.

    ours.py BUILD-DIR
"""

import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import time

from harness import PATIENCE, Failed, Relay, main, until

USER = 'root'
COMMANDS = f'Commands=user:{USER} block-address unblock-address'


class Namespace:
    """A network namespace: it is there as long as one process sleeps in it."""

    def __enter__(self):
        self.holder = subprocess.Popen(['unshare', '--net', 'sleep', 'infinity'])
        mine = os.readlink('/proc/self/ns/net')
        until(lambda: os.readlink(f'/proc/{self.holder.pid}/ns/net') != mine, 'a network namespace')
        self.prefix = ['nsenter', '--net', '--target', str(self.holder.pid)]
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()

    def elements(self, name):
        out = subprocess.run([*self.prefix, 'nft', 'list', 'set', 'inet', 'audit_relay', name], check=True, capture_output=True, text=True)
        return out.stdout


def missing(build, *programs):
    """Why it cannot be tried here."""
    if os.geteuid() != 0:
        return 'needs root'
    for name in programs:
        if not shutil.which(name):
            return f'{name} is not installed'
    if not (pathlib.Path(build) / 'plugins/nft-block').exists():
        return 'libnftables is not installed'
    if subprocess.run(['unshare', '--net', '--mount', 'true'], capture_output=True, check=False).returncode != 0:
        return 'no namespaces here'
    if 'nft' in programs and subprocess.run(['unshare', '--net', 'nft', 'list', 'tables'], capture_output=True, check=False).returncode != 0:
        return 'no nftables here, not even in a network namespace'
    return None


def block_process(relay, namespace, *settings):
    config = relay.path / 'nft-block.conf'
    config.write_text('\n'.join(['[Block]', f'Subscribe={relay.path}/subscribe', *settings, '']))
    block = relay.run(*namespace.prefix, relay.build / 'plugins/nft-block', f'--config={config}')
    relay.connected('nft-block')
    return block


def guard_process(relay, *settings):
    config = relay.path / 'guard.conf'
    config.write_text('\n'.join(['[Guard]', f'Subscribe={relay.path}/subscribe', 'Origin=any', *settings, '']))
    guard = relay.run(relay.build / 'plugins/guard', f'--config={config}')
    relay.connected('guard')
    return guard


def fail(relay, address, times):
    for _ in range(times):
        relay.send_login(address)


def end_to_end(build):
    """failed logins block an address; its time-out takes it out"""
    why = missing(build, 'nft', 'unshare', 'nsenter')
    if why:
        return why
    with Namespace() as namespace, Relay(build, COMMANDS) as relay:
        block = block_process(relay, namespace)
        guard = guard_process(relay, 'Threshold=3', 'BlockTime=4s')
        fail(relay, '192.0.2.1', 2)
        relay.send_login('192.0.2.1', 'success')
        fail(relay, '127.0.0.1', 5)
        fail(relay, '?', 5)
        relay.send('USER_LOGIN pid=1 msg=\'op=login addr=192.0.2.2\'', 'USER_CMD msg=\'addr=192.0.2.2 res=failed\'')
        relay.send_login('2001:db8:0:1::1')
        relay.send_login('2001:db8:0:1::2')
        relay.send_login('2001:db8:0:1:ffff::3', kind='USER_AUTH')
        relay.expect(block, 'Blocked 2001:db8:0:1::/64')
        assert '2001:db8:0:1::/64 timeout 4s' in namespace.elements('blocked6'), namespace.elements('blocked6')
        assert 'elements' not in namespace.elements('blocked4'), namespace.elements('blocked4')
        fail(relay, '192.0.2.1', 1)
        relay.expect(block, 'Blocked 192.0.2.1')
        assert '192.0.2.1 timeout 4s' in namespace.elements('blocked4')
        until(lambda: 'elements' not in namespace.elements('blocked4') + namespace.elements('blocked6'), 'the time-outs')
        assert 'was not blocked' not in relay.said(guard), relay.said(guard)
    return None


def command(relay, verb, **arguments):
    """Asks through a plugin of the test's own: its answer."""
    text = '\n'.join(f'{k}={v}' for k, v in arguments.items())
    out = subprocess.run([relay.build / 'tests/plugins/command', relay.path / 'subscribe', verb, text], capture_output=True, text=True,
                         timeout=PATIENCE, env=dict(os.environ, LD_LIBRARY_PATH=str(relay.build / 'src/lib')), check=False)
    assert out.returncode == 0, out.stderr
    return out.stdout.strip()


def by_command(build):
    """addresses are blocked and unblocked by command; what must not be is refused"""
    why = missing(build, 'nft', 'unshare', 'nsenter')
    if why:
        return why
    with Namespace() as namespace, Relay(build, COMMANDS) as relay:
        block_process(relay, namespace, 'Never=198.51.100.7')
        for address, name in ('203.0.113.9', 'blocked4'), ('203.0.113.128/25', 'blocked4'), ('2001:db8::7', 'blocked6'):
            assert command(relay, 'block-address', ADDRESS=address, SECONDS=1000, REASON='test').startswith('0'), address
            assert f'{address} timeout 16m40s' in namespace.elements(name), namespace.elements(name)
            # Again: its time begins anew.
            assert command(relay, 'block-address', ADDRESS=address, SECONDS=2000).startswith('0'), address
            assert f'{address} timeout 33m20s' in namespace.elements(name), namespace.elements(name)
            assert command(relay, 'unblock-address', ADDRESS=address).startswith('0'), address
            assert 'elements' not in namespace.elements(name), namespace.elements(name)
            assert command(relay, 'unblock-address', ADDRESS=address).startswith('3'), address
        for address in '127.0.0.1', '::1', '::ffff:127.0.0.1', '198.51.100.0/24', '198.51.100.7', '10.0.0.0/8', '2001::/16':
            answer = command(relay, 'block-address', ADDRESS=address, SECONDS=10)
            assert not answer.startswith('0'), f'{address}: {answer}'
        for address in 'x', '1.2.3.4; add table ip x', '1.2.3.4/33', '':
            answer = command(relay, 'block-address', ADDRESS=address, SECONDS=10)
            assert not answer.startswith('0'), f'{address}: {answer}'
        assert 'elements' not in namespace.elements('blocked4') + namespace.elements('blocked6')
    return None


def restarted(build):
    """nft-block restarted keeps what is blocked; the packets are dropped"""
    why = missing(build, 'nft', 'unshare', 'nsenter', 'ip')
    if why:
        return why
    with Namespace() as namespace, Relay(build, COMMANDS) as relay:
        block = block_process(relay, namespace)
        subprocess.run([*namespace.prefix, 'ip', 'link', 'set', 'lo', 'up'], check=True)
        subprocess.run([*namespace.prefix, 'ip', 'address', 'add', '10.9.9.5/32', 'dev', 'lo'], check=True)
        probe = [*namespace.prefix, sys.executable, '-c',
                 'import socket as s; a = s.socket(s.AF_INET, s.SOCK_DGRAM); a.bind(("10.9.9.5", 0)); b = s.socket(s.AF_INET, s.SOCK_DGRAM)\n'
                 'b.bind(("127.0.0.9", 0)); b.settimeout(1); a.sendto(b"x", b.getsockname()); b.recv(1)']
        subprocess.run(probe, check=True, capture_output=True)
        answer = command(relay, 'block-address', ADDRESS='10.9.9.5', SECONDS=1000)
        assert answer.startswith('0'), answer
        assert subprocess.run(probe, capture_output=True, check=False).returncode != 0, 'the packet came through'
        block.terminate()
        block.wait()
        assert '10.9.9.5' in namespace.elements('blocked4')
        block = relay.run(*namespace.prefix, relay.build / 'plugins/nft-block', f'--config={relay.path}/nft-block.conf')
        until(lambda: relay.said(relay.dispatcher).count('Client nft-block') >= 3, 'nft-block is back')
        assert '10.9.9.5' in namespace.elements('blocked4')
        answer = command(relay, 'unblock-address', ADDRESS='10.9.9.5')
        assert answer.startswith('0'), answer
        subprocess.run(probe, check=True, capture_output=True)
    return None


def refused(build):
    """guard is not granted the command: it says so, and asks again at the next failure"""
    with Relay(build) as relay:
        guard = guard_process(relay, 'Threshold=2')
        fail(relay, '192.0.2.1', 2)
        relay.expect(guard, '192.0.2.1 was not blocked')
        fail(relay, '192.0.2.1', 1)
        until(lambda: relay.said(guard).count('was not blocked') >= 2, 'guard asks again')


def kernel_only(build):
    """guard believes the kernel alone, unless it is told otherwise"""
    with Relay(build, COMMANDS) as relay:
        guard = guard_process(relay, 'Threshold=1', 'Origin=kernel')
        other = relay.run(relay.build / 'src/tool/audit-relay', 'tail', f'--socket={relay.path}/subscribe', '--from=oldest')
        fail(relay, '192.0.2.1', 3)
        relay.expect(other, 'addr=192.0.2.1')
        time.sleep(0.2)
        assert '192.0.2.1' not in relay.said(guard), relay.said(guard)


# --- journal ---

JOURNAL = '/run/systemd/journal/socket'


def read_entry(server):
    """The fields of one entry, in the journal's native protocol: lists of values by name."""
    data, ancillary, _, _ = server.recvmsg(1 << 20, 1024)
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fd = struct.unpack('i', value[:4])[0]
            with open(fd, 'rb') as file:
                file.seek(0)
                data = file.read()
    fields = {}
    while data:
        line, _, data = data.partition(b'\n')
        name, equals, value = line.partition(b'=')
        if not equals:
            size = struct.unpack('<Q', data[:8])[0]
            value, data = data[8:8 + size], data[8 + size + 1:]
        fields.setdefault(name.decode(), []).append(value.decode())
    return fields


def journal_inside(build):
    """In the mount namespace."""
    subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', '/run'], check=True)
    pathlib.Path(JOURNAL).parent.mkdir(parents=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(JOURNAL)
    server.settimeout(PATIENCE)
    with Relay(build) as relay:
        command_line = [relay.build / 'plugins/journal', f'--cursor-file={relay.path}/cursor', f'--subscribe={relay.path}/subscribe']
        journal = relay.run(*command_line)
        relay.connected('journal')
        head = 'type={} msg=audit(1700000000.001:{}): {}'
        relay.send(head.format('SYSCALL', 1, 'syscall=59 success=yes comm="a b" key="k"'), head.format('CWD', 1, 'cwd="/tmp"'),
                   head.format('EOE', 1, ''), head.format('USER_LOGIN', 2, "pid=9 msg='op=login acct=\"root\" res=failed'"))
        entry = read_entry(server)
        assert entry['MESSAGE'] == ['SYSCALL syscall=59 success=yes comm="a b" key="k"'], entry
        assert entry['AUDIT_TYPE'] == ['1300', '1307'] and entry['AUDIT_TYPE_NAME'] == ['SYSCALL', 'CWD'], entry
        assert entry['AUDIT_ID'] == ['1'] and entry['AUDIT_NODE'] == ['host1'] and entry['AUDIT_END'] == ['complete'], entry
        assert entry['AUDIT_FIELD_COMM'] == ['a b'] and entry['AUDIT_FIELD_CWD'] == ['/tmp'], entry
        assert entry['AUDIT_RECORD'][1] == 'node=host1 ' + head.format('CWD', 1, 'cwd="/tmp"'), entry
        entry = read_entry(server)
        assert entry['AUDIT_FIELD_ACCT'] == ['root'] and entry['AUDIT_FIELD_RES'] == ['failed'], entry
        # More than a datagram takes, and than fields find room.
        relay.send(*[head.format('EXECVE', 3, ' '.join(f'a{n}="x{n}"' for n in range(400))) for _ in range(40)], head.format('EOE', 3, ''))
        entry = read_entry(server)
        assert len(entry['AUDIT_RECORD']) == 40 and sum(map(len, entry.values())) <= 500, len(entry['AUDIT_RECORD'])
        # It goes on where it was.
        journal.terminate()
        if journal.wait(PATIENCE) != 0:
            raise Failed(relay.said(journal))
        relay.send(head.format('USER', 4, 'a=1'))
        relay.run(*command_line)
        assert read_entry(server)['AUDIT_ID'] == ['4']


def journal(build):
    """events in the journal, with their fields"""
    if os.geteuid() != 0:
        return 'needs root'
    if subprocess.run(['unshare', '--mount', 'true'], capture_output=True, check=False).returncode != 0:
        return 'no namespaces here'
    inside = subprocess.run(['unshare', '--mount', sys.executable, __file__, build, '--journal'], capture_output=True, text=True, check=False)
    if inside.returncode != 0:
        raise Failed(inside.stdout + inside.stderr)
    return None


if __name__ == '__main__':
    if sys.argv[2:] == ['--journal']:
        journal_inside(sys.argv[1])
        sys.exit(0)
    main([end_to_end, by_command, restarted, refused, kernel_only, journal])
