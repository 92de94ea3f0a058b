#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programs of docs/plugins.md, taken from the page, compiled if need be, and run.

    page.py BUILD-DIR
"""

import os
import re
import shlex
import shutil
import subprocess
import sys

from harness import TOP, Failed, Relay, main

PAGE = (TOP / 'docs/plugins.md').read_text(encoding='utf-8')
# The first of the three: it is said to be short.
LINES_MAX = 33


def program(name):
    match = re.search(rf'<!-- run: {re.escape(name)} -->\n```\w+\n(.*?)```', PAGE, re.DOTALL)
    if not match:
        raise Failed(f'the page has no {name}')
    return match[1]


def compile_c(relay, name):
    source = relay.path / name
    source.write_text(program(name))
    target = relay.path / name.removesuffix('.c')
    # A library that was built with a sanitizer wants its runtime in the program.
    flags = shlex.split(os.environ.get('PLUGIN_CFLAGS', ''))
    subprocess.run(['cc', '-Wall', '-Wextra', '-Werror', *flags, '-o', target, source, f'-I{TOP}/src/lib', f'-L{relay.build}/src/lib',
                    '-laudit-relay'], check=True)
    return target


def read_logins(relay, plugin, expected):
    relay.send_login('192.0.2.7', 'success')
    relay.send_login('192.0.2.8')
    relay.send('USER_LOGIN nothing of interest', 'CRED_ACQ op=x addr=192.0.2.9 res=failed')
    relay.send_login('2001:db8::1')
    relay.expect(plugin, expected.replace('ADDRESS', '192.0.2.8'))
    relay.expect(plugin, expected.replace('ADDRESS', '2001:db8::1'))
    said = relay.said(plugin)
    assert '192.0.2.7' not in said and '192.0.2.9' not in said, said


def in_c(build):
    """the plugin in C, which connects"""
    assert len(program('login.c').splitlines()) <= LINES_MAX, 'the page says 30 lines, or nearly'
    with Relay(build) as relay:
        plugin = relay.run(compile_c(relay, 'login.c'), relay.path / 'subscribe')
        relay.connected('login')
        read_logins(relay, plugin, 'a login from ADDRESS failed')
        # The dispatcher is restarted: the plugin comes back by itself, and is told nothing twice.
        relay.stop_dispatcher()
        relay.start_dispatcher()
        relay.connected('login')
        relay.send_login('192.0.2.99')
        relay.expect(plugin, 'a login from 192.0.2.99 failed')
        assert relay.said(plugin).count('192.0.2.8') == 1, relay.said(plugin)


def activated(build):
    """the plugin in C, which is started when the dispatcher connects"""
    if not shutil.which('systemd-socket-activate'):
        return 'systemd-socket-activate is not installed'
    subscriber = '[Subscriber]\nSocket=DIR/login.sock\nFilter=user-login\n'
    with Relay(build, subscribers={'login': subscriber}) as relay:
        libraries = f'LD_LIBRARY_PATH={relay.build}/src/lib'
        plugin = relay.run('systemd-socket-activate', '-l', relay.path / 'login.sock', '-E', libraries, compile_c(relay, 'login.c'))
        # What activates it is before the "now" from which it reads.
        relay.send_login('192.0.2.1')
        relay.expect(relay.dispatcher, 'Subscriber login connected')
        read_logins(relay, plugin, 'a login from ADDRESS failed')


def in_shell(build):
    """the plugin in shell"""
    if not shutil.which('socat'):
        return 'socat is not installed'
    with Relay(build) as relay:
        script = relay.path / 'login.sh'
        script.write_text(program('login.sh'))
        plugin = relay.run('sh', script, relay.path / 'lines')
        relay.connected('of lines')
        read_logins(relay, plugin, 'addr=ADDRESS')


def in_python(build):
    """the plugin in Python"""
    with Relay(build) as relay:
        script = relay.path / 'login.py'
        script.write_text(program('login.py'))
        plugin = relay.run(sys.executable, script, relay.path / 'lines')
        relay.connected('of lines')
        read_logins(relay, plugin, 'a login from ADDRESS failed')


if __name__ == '__main__':
    main([in_c, activated, in_shell, in_python])
