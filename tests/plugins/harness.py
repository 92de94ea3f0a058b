# SPDX-License-Identifier: LGPL-2.1-or-later
"""A dispatcher of one's own, without a kernel and without systemd, for tests of plugins as processes."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
# Far more than anything takes; reached only by a failure.
PATIENCE = 30


class Failed(Exception):
    pass


def until(condition, what, details=None):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise Failed(f'in vain waited for: {what}' + (f'\n{details()}' if details else ''))


class Relay:
    """The dispatcher, and processes beside it; all of it ends with the `with`."""

    def __init__(self, build, config='', subscribers=None):
        self.build = pathlib.Path(build)
        self.path = pathlib.Path(tempfile.mkdtemp(prefix='relay-plugins-', dir='/dev/shm'))
        self.processes = []
        self.serial = 0
        (self.path / 'state').mkdir()
        (self.path / 'subscribers.d').mkdir()
        for name, text in (subscribers or {}).items():
            (self.path / 'subscribers.d' / f'{name}.conf').write_text(text.replace('DIR', str(self.path)))
        (self.path / 'dispatcher.conf').write_text(f'''[Dispatcher]
Node=host1
RingFile={self.path}/ring
RingSize=8M
StateDirectory={self.path}/state
Kernel=none
Input={self.path}/input
Subscribe={self.path}/subscribe
Lines={self.path}/lines
SubscribersDirectory={self.path}/subscribers.d
{config}
''')

    def __enter__(self):
        try:
            self.start_dispatcher()
        except Failed:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
            process.wait()
        shutil.rmtree(self.path)

    def start_dispatcher(self):
        self.dispatcher = self.run(self.build / 'src/dispatcher/dispatcher', f'--config={self.path}/dispatcher.conf')
        until(self.answers, 'the dispatcher listens')

    def answers(self):
        if self.dispatcher.poll() is not None:
            raise Failed(f'the dispatcher ended:\n{self.said(self.dispatcher)}')
        return (self.path / 'lines').exists() and (self.path / 'state/dispatcher/status').exists()

    def stop_dispatcher(self):
        self.dispatcher.send_signal(signal.SIGTERM)
        if self.dispatcher.wait(PATIENCE) != 0:
            raise Failed('the dispatcher did not end well:\n' + self.said(self.dispatcher))
        (self.path / 'state/dispatcher/status').unlink(missing_ok=True)

    def rewrite(self, old, new, answer='Read subscribers.d and Commands= again'):
        """Changes the dispatcher's configuration and has it read again, and waits until it says what became of that."""
        path = self.path / 'dispatcher.conf'
        text, said = path.read_text(), len(self.said(self.dispatcher))
        if old not in text:
            raise Failed(f'{old} is not in dispatcher.conf')
        path.write_text(text.replace(old, new))
        self.dispatcher.send_signal(signal.SIGHUP)
        until(lambda: answer in self.said(self.dispatcher)[said:], 'the configuration is read again')

    def run(self, *command, env=None):
        """Starts a program; what it says is in a file of its own."""
        output = open(self.path / f'output-{len(self.processes)}', 'wb')
        environment = dict(os.environ, LD_LIBRARY_PATH=str(self.build / 'src/lib'), **(env or {}))
        process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   env=environment)
        process.output = output.name
        self.processes.append(process)
        return process

    def said(self, process):
        return pathlib.Path(process.output).read_text(errors='replace')

    def expect(self, process, text):
        def there():
            if text in self.said(process):
                return True
            if process.poll() is not None:
                raise Failed(f'it ended with {process.returncode} and never said "{text}":\n{self.said(process)}')
            return False

        try:
            until(there, f'"{text}"')
        except Failed as e:
            raise Failed(f'{e}; it said:\n{self.said(process)}') from None

    def connected(self, name):
        """A client of that name reads."""
        until(lambda: f'Client {name} ' in self.said(self.dispatcher), f'{name} connects')

    def send(self, *lines):
        """Records, each "TYPE TEXT" of its own event, or whole lines."""
        text = ''
        for line in lines:
            if not line.startswith('type='):
                self.serial += 1
                kind, _, rest = line.partition(' ')
                line = f'type={kind} msg=audit({int(time.time())}.{self.serial % 1000:03}:{self.serial}): {rest}'
            text += line + '\n'
        subprocess.run([str(self.build / 'src/tool/audit-relay'), 'send', f'--socket={self.path}/input'], input=text.encode(),
                       check=True, capture_output=True, timeout=PATIENCE)

    def send_login(self, address, result='failed', kind='USER_LOGIN'):
        self.send(f'{kind} pid=7 uid=0 auid=4294967295 ses=4294967295 msg=\'op=login acct="root" exe="/usr/sbin/sshd" '
                  f'hostname=? addr={address} terminal=ssh res={result}\'')


def main(tests):
    """Each test is a function of the build directory; its first line of text is its name."""
    failed = 0
    print(f'1..{len(tests)}')
    for number, test in enumerate(tests, 1):
        title = test.__doc__.splitlines()[0]
        try:
            skip = test(sys.argv[1])
            print(f'ok {number} - {title}' + (f' # SKIP {skip}' if isinstance(skip, str) else ''), flush=True)
        except (Failed, AssertionError, subprocess.SubprocessError, OSError) as e:
            failed += 1
            print(f'not ok {number} - {title}')
            print(''.join(f'# {line}\n' for line in f'{type(e).__name__}: {e}'.splitlines()), end='', flush=True)
    sys.exit(1 if failed else 0)
