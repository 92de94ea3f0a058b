#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands between processes: producers, clients, subscribers and a collector ask; plugins that take commands answer.

    commands.py BUILD-DIR
"""

import os
import pathlib
import re
import socket
import subprocess
import threading

from harness import PATIENCE, Failed, Relay, main, until

NOBODY = 65534
ADDRESS = '127.0.0.1'


class Talker:
    """A program that is told lines, and tells lines."""

    def __init__(self, relay, *command):
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=dict(os.environ, LD_LIBRARY_PATH=str(relay.build / 'src/lib')))
        relay.processes.append(self.process)
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors='backslashreplace').rstrip('\n'))

    def tell(self, line):
        self.process.stdin.write(line.encode() + b'\n')
        self.process.stdin.flush()

    def saying(self, what):
        return [line for line in list(self.lines) if line.startswith(what)]

    def expect(self, what, n=1):
        """Waits for so many lines that begin like this; returns the last."""
        try:
            until(lambda: len(self.saying(what)) >= n, what)
        except Failed as e:
            raise Failed(f'{e}; it said: {self.lines[-20:]}') from None
        return self.saying(what)[n - 1]


def commander(relay, way, name, *answer):
    talker = Talker(relay, relay.build / 'tests/lib/commander', way, name,
                    relay.path / (name if way == 'push' else 'subscribe'), *answer)
    if way == 'pull':
        relay.connected(name)
    return talker


def push(relay, name, *answer):
    """Its socket is there by when the first record is."""
    talker = commander(relay, 'push', name, *answer)
    until((relay.path / name).exists, f'the socket of {name}')
    return talker


def subscribed(relay, name):
    """A record, so that there is something to connect for."""
    relay.send('USER pid=1 text=hello')
    until(lambda: f'Subscriber {name} connected' in relay.said(relay.dispatcher), f'{name} is connected')


def ask(relay, *words, user=None, groups=()):
    """Exit status and what was said."""
    def become():
        os.setgroups(groups)
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)

    result = subprocess.run([str(relay.build / 'src/tool/audit-relay'), 'command', f'--socket={relay.path}/input', *words],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=become if user else None, timeout=PATIENCE)
    # A build that counts coverage says that another user may not write its counts.
    said = [line for line in result.stdout.decode().splitlines() if not line.startswith('profiling:')]
    return result.returncode, '\n'.join(said).strip()


def records(relay, pattern=''):
    """Records of commands, as a reader gets them."""
    result = subprocess.run([str(relay.build / 'src/tool/audit-relay'), 'tail', f'--socket={relay.path}/subscribe', '--from=oldest',
                             '--type=DAEMON_CONFIG', '-n', str(newest(relay))],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=PATIENCE) if newest(relay) else None
    lines = result.stdout.decode().splitlines() if result else []
    return [line for line in lines if re.search(pattern, line)]


def newest(relay):
    """How many records of commands there are, by the ring's file: what tail may wait for."""
    return len(re.findall(rb' msg=audit\([0-9.:]+\): op=relay-(?:command|answer) ', (relay.path / 'ring').read_bytes()))


BLOCKER = '[Subscriber]\nSocket=DIR/nft\n'
GUARD = '[Subscriber]\nSocket=DIR/guard\nCommands=block-address x-quiet\n'


def every_source(build):
    """a producer, a client and a subscriber ask a plugin that connected, and one that was connected to"""
    with Relay(build, f'Commands=user:{os.getuid()} block-address x-ask', {'nft': BLOCKER, 'guard': GUARD}) as relay:
        nft, guard = push(relay, 'nft', 'done', 'in the set'), push(relay, 'guard')
        subscribed(relay, 'nft')
        subscribed(relay, 'guard')
        shell, other = commander(relay, 'pull', 'shell'), commander(relay, 'pull', 'other', 'failed', 'not mine')

        assert ask(relay, 'block-address', 'ADDRESS=192.0.2.1', 'SECONDS=60') == (0, 'done: nft: in the set')
        for number, talker in enumerate((guard, shell), 2):
            talker.tell(f'block-address ADDRESS=192.0.2.{number};SECONDS=60;REASON=many logins')
            assert talker.expect('reply') == 'reply done nft: in the set', talker.lines
        # Each got all three, in the same words, and none got its own.
        for talker in nft, other:
            talker.expect('command', 3)
            assert [line.split(';')[0] for line in talker.saying('command')] == [
                f'command block-address ADDRESS=192.0.2.{n}' for n in (1, 2, 3)], talker.lines
        assert not guard.saying('command') and not shell.saying('command')

        taken = records(relay, 'op=relay-command')
        assert [re.search(r'via=(\S+) from=(\S+)', line).groups() for line in taken] == [
            ('input', f'uid:{os.getuid()}'), ('push', 'guard'), ('pull', 'shell')], taken
        for line, talker in zip(taken[1:], (guard, shell)):
            assert f' pid={talker.process.pid} uid={os.getuid()} ' in line, line
            auid = pathlib.Path(f'/proc/{talker.process.pid}/loginuid')
            if auid.exists() and ' auid=' in line:
                assert f' auid={auid.read_text().strip()} ' in line, line
            # To nft, other, and to guard or shell, who say that they know no verb.
            assert line.endswith(' receivers=3 answer=taken res=success'), line
        done = records(relay, 'op=relay-answer')
        assert len(done) == 3 and all('answer=done why="nft:\\x20in\\x20the\\x20set" res=success' in line for line in done), done


def who_wrote(build):
    """the record names who wrote the command, also when somebody else listens at the socket, as PID 1 does"""
    with Relay(build, '', {'guard': '[Subscriber]\nSocket=DIR/guard\nCommands=log\n'}) as relay:
        guard = Talker(relay, relay.build / 'tests/lib/commander', 'fork', 'guard', relay.path / 'guard')
        writer = int(guard.expect('serving').split()[1])
        subscribed(relay, 'guard')
        guard.tell('log PRIORITY=6;MESSAGE=here I am')
        guard.expect('reply done')
        line, = records(relay, 'verb=log')
        assert writer != guard.process.pid and f' pid={writer} uid={os.getuid()} ' in line, line
        assert 'guard says: here I am' in relay.said(relay.dispatcher)


def grants(build):
    """what nobody granted is refused and recorded; users, groups and files grant; a reload takes it back"""
    config = 'Commands=group:54321 state\nCommands=user:no-such-user log'
    with Relay(build, config, {'guard': GUARD}) as relay:
        guard = push(relay, 'guard')
        subscribed(relay, 'guard')
        shell = commander(relay, 'pull', 'guard')  # a client with a subscriber's name is no subscriber
        assert ask(relay, 'log', 'PRIORITY=3', 'MESSAGE=x') == (
            3, f'refused: no Commands= in dispatcher.conf grants it to uid {os.getuid()}')
        shell.tell('block-address ADDRESS=192.0.2.1;SECONDS=60')
        shell.expect('reply refused')
        guard.tell('pause SECONDS=60')
        assert guard.expect('reply') == 'reply refused Commands= of the subscriber guard does not grant it'
        guard.tell('x-quiet')
        guard.expect('reply done')
        until((relay.path / 'state/dispatcher/command_x_quiet').exists, 'the state that stands for a verb without a taker')
        assert [re.search('via=([a-z]+) .* answer=([a-z]+)', line).groups() for line in records(relay)] == [
            ('input', 'refused'), ('pull', 'refused'), ('push', 'refused'), ('push', 'done')], records(relay)

        if os.getuid() == 0:
            relay.path.chmod(0o711)
            (relay.path / 'input').chmod(0o666)
            assert ask(relay, 'state', 'NAME=a', 'ON=1', user=NOBODY)[0] == 3
            assert ask(relay, 'state', 'NAME=a', 'ON=1', user=NOBODY, groups=[54321]) == (0, 'done')
            text = (relay.path / 'state/dispatcher/command_a').read_text()
            assert 'FROM=uid:65534\nVIA=input\nUID=65534\n' in text, text
            assert ask(relay, 'state', 'NAME=a', 'ON=0', user=NOBODY, groups=[54321]) == (0, 'done')

        relay.rewrite('Commands=group:54321 state', f'Commands=user:{os.getuid()} log')
        assert ask(relay, 'log', 'PRIORITY=7', 'MESSAGE=x') == (0, 'done')
        relay.rewrite(f'Commands=user:{os.getuid()} log', 'Commands=user:root nonsense', 'who may send commands stays as it was')
        assert ask(relay, 'log', 'PRIORITY=7', 'MESSAGE=x') == (0, 'done'), 'a wrong file changes nothing'
        relay.rewrite('Commands=user:root nonsense', '')
        assert ask(relay, 'log', 'PRIORITY=7', 'MESSAGE=x')[0] == 3


def answers(build):
    """exit status by the answer"""
    with Relay(build, f'Commands=user:{os.getuid()} block-address unblock-address x-ask') as relay:
        block = 'block-address', 'ADDRESS=192.0.2.0/24', 'SECONDS=1'
        assert ask(relay, *block) == (5, 'failed: no subscriber takes commands')
        plugin = commander(relay, 'pull', 'nft', 'failed', 'no table')
        assert ask(relay, *block) == (5, 'failed: nft: no table')
        refusing = commander(relay, 'pull', 'choosy', 'refused', 'never')
        assert ask(relay, *block) == (5, 'failed: nft: no table')
        plugin.process.stdin.close()
        plugin.process.wait(PATIENCE)
        until(lambda: ask(relay, *block) == (3, 'refused: choosy: never'), 'the refusal of the one that is left')
        refusing.process.stdin.close()
        commander(relay, 'pull', 'silent', 'silent', '')
        until(lambda: ask(relay, '--timeout=1', *block)[1] == 'failed: no answer came in time', 'silence')
        assert ask(relay, 'reboot') == (4, 'unknown verb: no such verb here')
        assert ask(relay, 'x-unknown')[0] == 3
        assert ask(relay, 'block-address', 'ADDRESS=192.0.2.1/24', 'SECONDS=1')[0] == 5
        for words in (), ('block-address', 'ADDRESS'), ('--timeout=0', 'x-ask'), ('log', 'MESSAGE=a\nPRIORITY=1'):
            assert ask(relay, *words)[0] == 2, words
        relay.stop_dispatcher()
        assert ask(relay, 'x-ask')[0] == 1


def too_many(build):
    """a flood is refused and counted exactly, over several connections of one user"""
    n = 150
    with Relay(build, f'Commands=user:{os.getuid()} log') as relay:
        talkers = [commander(relay, 'pull', f'shell{i}') for i in range(2)]
        for _ in range(n):
            for talker in talkers:
                talker.tell('log PRIORITY=7;MESSAGE=flood')
        for talker in talkers:
            talker.expect('reply', n)
        told = [line for talker in talkers for line in talker.saying('reply')]
        refused = told.count('reply refused too many commands')
        assert refused > 0 and refused + told.count('reply done ') == 2 * n, told

        def counted():
            return sum(int(re.search(r' count=(\d+) ', line).group(1)) for line in records(relay, ' count='))

        # What was too much is told at once, and then every ten seconds.
        until(lambda: counted() == refused, f'{refused} refused ones in records, not {counted()}')
        assert len(records(relay, 'verb=log')) == 2 * n - refused
        assert all(f' uid={os.getuid()} ' in line for line in records(relay, ' count='))


def count(talker, text):
    return sum(text in line for line in talker.saying('record'))


def pausing(build):
    """a pause pauses, its end or resume resumes, and nothing is lost"""
    config = f'Commands=user:{os.getuid()} pause resume'
    with Relay(build, config, {'siem': '[Subscriber]\nSocket=DIR/siem\nCommands=pause resume\n'}) as relay:
        siem, free, own = push(relay, 'siem'), commander(relay, 'pull', 'free'), commander(relay, 'pull', 'own')
        subscribed(relay, 'siem')
        relay.send('USER pid=1 text=first')
        for talker in siem, free, own:
            talker.expect('record node=host1 type=USER')
        assert ask(relay, 'pause', 'NAME=siem', 'SECONDS=600') == (0, 'done')
        own.tell('pause SECONDS=600')
        own.expect('reply done')
        relay.send(*[f'USER pid=1 text=paused n={n}' for n in range(100)])
        until(lambda: count(free, 'text=paused') == 100, 'the records where no pause is')
        # Once more, so that whatever was on its way has arrived.
        relay.send('USER pid=1 text=later')
        until(lambda: count(free, 'text=later') == 1, 'the one after them')
        for talker in siem, own:
            assert count(talker, 'text=') <= 2 and count(talker, 'text=paused') == 0, talker.lines

        own.tell('resume')
        assert ask(relay, 'resume', 'NAME=siem') == (0, 'done')
        for talker in siem, own:
            until(lambda: count(talker, 'text=later') == 1, 'what was held back')
            found = [line.rpartition('n=')[2] for line in talker.saying('record') if 'text=paused' in line]
            assert found == [str(n) for n in range(100)], found
            assert not talker.saying('gap')
        # By itself.
        siem.tell('pause SECONDS=1')
        siem.expect('reply done')
        relay.send('USER pid=1 text=again')
        until(lambda: count(siem, 'text=again') == 1, 'the end of its pause')
        assert ask(relay, 'pause', 'NAME=nobody', 'SECONDS=1')[0] == 5


class Client(Relay):
    """With remote, and a collector that asks."""

    def __init__(self, build, commands, config=''):
        super().__init__(build, config, {'remote': f'[Subscriber]\nSocket=DIR/remote\nCommands={commands}\n'})
        tool, ca = self.build / 'src/tool/audit-relay', self.path / 'ca'
        for words in ('init',), ('collector', 'asking'), ('client', 'host1'):
            subprocess.run([tool, 'cert', *words, '--dir', ca], check=True, capture_output=True)
        with socket.create_server((ADDRESS, 0)) as probe:
            self.port = probe.getsockname()[1]
        tls = ''.join(f'TLS{key}={ca}/host1/{file}.pem\n'
                      for key, file in (('Certificate', 'cert'), ('Key', 'key'), ('Authority', 'ca')))
        (self.path / 'remote.conf').write_text(
            f'[Remote]\nCollector={ADDRESS}:{self.port}\nCollectorName=asking\nNode=host1\n{tls}Directory={self.path}/store\n'
            f'StateDirectory={self.path}/state\nListen={self.path}/remote\nRetryMin=50ms\nRetryMax=200ms\nSpaceLeft=0\n')

    def start(self):
        self.collector = Talker(self, self.build / 'tests/lib/asking-collector', f'{ADDRESS}:{self.port}',
                                *[self.path / f'ca/asking/{file}.pem' for file in ('cert', 'key', 'ca')])
        self.collector.expect('ready')
        self.remote = self.run(self.build / 'src/remote/remote', f'--config={self.path}/remote.conf')
        self.collector.expect('client connected')


def from_a_collector(build):
    """a collector asks through remote, what remote's file grants; its own plugins' commands go to no collector"""
    with Client(build, 'block-address') as client:
        nft = commander(client, 'pull', 'nft', 'done', 'in the set')
        client.start()
        subscribed(client, 'remote')
        client.collector.tell('block-address ADDRESS=192.0.2.9;SECONDS=60')
        assert client.collector.expect('reply') == 'reply done nft: in the set'
        assert nft.expect('command') == 'command block-address ADDRESS=192.0.2.9;SECONDS=60'
        client.collector.tell('pause NAME=remote;SECONDS=60')
        assert client.collector.expect('reply', 2) == 'reply refused Commands= of the subscriber remote does not grant it'
        # What it asked for comes to it as a record.
        line = client.collector.expect('line')
        assert f' verb=block-address via=push from=remote pid={client.remote.pid} ' in line, line
        until(lambda: any(' verb=pause ' in line and ' answer=refused ' in line for line in client.collector.saying('line')),
              'the record of the refusal')
        assert f'Collector {ADDRESS}:{client.port} asks for block-address' in client.said(client.remote)

        # The other way: the collector is asked for nothing.
        nft.tell('block-address ADDRESS=192.0.2.9;SECONDS=60')
        nft.expect('reply refused')
        assert not client.collector.saying('command')

        client.stop_dispatcher()
        client.collector.tell('block-address ADDRESS=192.0.2.9;SECONDS=60')
        assert client.collector.expect('reply', 3) == 'reply failed the dispatcher is not connected'


def with_remote_alone(build):
    """remote, which every client has, answers at once that it does not know the verb"""
    with Client(build, '', f'Commands=user:{os.getuid()} x-ask') as client:
        client.start()
        subscribed(client, 'remote')
        status, said = ask(client, 'x-ask', 'KEY=1')
        assert status == 4 and 'unknown verb' in said, (status, said)


TESTS = [every_source, who_wrote, grants, answers, too_many, pausing, from_a_collector, with_remote_alone]

if __name__ == '__main__':
    main(TESTS)
