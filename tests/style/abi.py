#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""libaudit-relay: what is exported is what the map names; each of it is declared in the header and documented in the man page; nothing
of ours shines through.

    abi.py LIBRARY MAP HEADER MANUAL
"""

import re
import subprocess
import sys

VERSION = 'AUDIT_RELAY_0'
NEEDED = {'libaudit.so.1', 'libzstd.so.1', 'libc.so.6', 'libxxhash.so.0'}


def exported(library):
    out = subprocess.run(['nm', '-D', '--defined-only', library], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1] for line in out.splitlines() if line.split()[1] != 'A'}


def needed(library):
    out = subprocess.run(['objdump', '-p', library], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r'^\s+NEEDED\s+(\S+)', out, re.MULTILINE)), re.findall(r'^\s+SONAME\s+(\S+)', out, re.MULTILINE)


def judge(symbols, map_text, header, manual):
    named = set(re.findall(r'^\s+(\w+);', map_text, re.MULTILINE))
    for name in sorted({f'{n}@@{VERSION}' for n in named} ^ symbols):
        yield f'{name} is not both exported and in the map'
    for name in sorted(named):
        if not re.search(rf'\b{name}\(', header):
            yield f'{name}() is not declared in the header'
        if not re.search(rf'^\.BI .*\b{name}\(', manual, re.MULTILINE):
            yield f'{name}() is not in the man page'
    for name in sorted(set(re.findall(r'\baudit_relay_\w+(?=\()', header + manual)) - named):
        yield f'{name}() is in the header or the man page, and not in the library'


def self_test():
    map_text, header, manual = 'V {\n        audit_relay_a;\n};', 'int audit_relay_a(void);', '.BI "int audit_relay_a(" x );'
    good = {'audit_relay_a@@' + VERSION}
    cases = [
        ('all agree', (good, map_text, header, manual), 0),
        ('not exported', (set(), map_text, header, manual), 1),
        ('too much is exported', (good | {'batch_seal'}, map_text, header, manual), 1),
        ('another version', ({'audit_relay_a@@OLD'}, map_text, header, manual), 2),
        ('not declared', (good, map_text, '', manual), 1),
        ('not documented', (good, map_text, header, ''), 1),
        ('only documented', (good, map_text, header, manual + 'audit_relay_b('), 1),
    ]
    failed = 0
    print(f'1..{len(cases)}')
    for i, (title, arguments, expected) in enumerate(cases, 1):
        right = len(list(judge(*arguments))) == expected
        failed += not right
        print(f'{"ok" if right else "not ok"} {i} - {title}')
    return failed


def main(library, *texts):
    problems = list(judge(exported(library), *(open(t, encoding='utf-8').read() for t in texts)))
    libraries, soname = needed(library)
    # Sanitizers and coverage bring libraries of their own.
    foreign = {n for n in libraries - NEEDED if not re.match(r'lib(asan|ubsan|m|gcc_s|pthread|dl|rt)\b|ld-', n)}
    problems += [f'{n} is linked in' for n in sorted(foreign)]
    if soname != ['libaudit-relay.so.0']:
        problems.append(f'the library calls itself {soname}')
    for problem in problems:
        print(f'# {problem}')
    print(f'{"not ok" if problems else "ok"} 1 - the library is what its map, header and man page say\n1..1')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(bool(self_test()) if sys.argv[1:] == ['--self-test'] else main(*sys.argv[1:]))
