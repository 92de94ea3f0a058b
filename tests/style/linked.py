#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who speaks TLS links GnuTLS, and nobody else: what a program links is memory, start-up time and code that it has to trust.

    linked.py PROGRAM... --speak-tls PROGRAM...
"""

import re
import subprocess
import sys

LIBRARY = re.compile(r'\(NEEDED\).*\[(lib(?:gnutls|nettle|hogweed|tasn1|p11-kit)\.so[^]]*)\]')


def judge(needed, speaks_tls):
    """needed: what `readelf -d` says of each program."""
    for program, text in needed.items():
        found = LIBRARY.findall(text)
        if '(NEEDED)' not in text:
            yield f'{program}: readelf names no library that it needs'
        elif found and program not in speaks_tls:
            yield f'{program} links {", ".join(found)}'
        elif not found and program in speaks_tls:
            yield f'{program} does not link GnuTLS'


def self_test():
    gnutls, libc = ' 0x1 (NEEDED)  Shared library: [libgnutls.so.30]\n', ' 0x1 (NEEDED)  Shared library: [libc.so.6]\n'
    cases = [
        ('as it should be', {'a': libc, 'b': gnutls + libc}, {'b'}, 0),
        ('TLS where there should be none', {'a': gnutls + libc}, set(), 1),
        ('none where it should be', {'a': libc}, {'a'}, 1),
        ('nothing read', {'a': ''}, set(), 1),
    ]
    print(f'1..{len(cases)}')
    failed = 0
    for i, (title, needed, speaks_tls, expected) in enumerate(cases, 1):
        good = len(list(judge(needed, speaks_tls))) == expected
        failed += not good
        print(f'{"ok" if good else "not ok"} {i} - {title}')
    return failed


if __name__ == '__main__':
    if sys.argv[1:] == ['--self-test']:
        sys.exit(1 if self_test() else 0)
    programs = [a for a in sys.argv[1:] if a != '--speak-tls']
    out = {p: subprocess.run(['readelf', '--dynamic', '--wide', p], check=True, capture_output=True, text=True).stdout for p in programs}
    problems = list(judge(out, sys.argv[sys.argv.index('--speak-tls'):]))
    for problem in problems:
        print(f'# {problem}')
    print(f'{"not ok" if problems else "ok"} 1 - GnuTLS is linked by those who speak TLS alone\n1..1')
    sys.exit(1 if problems else 0)
