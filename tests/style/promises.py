#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/reliability.md: each promise names the test that proves it, and everything it names is there."""

import pathlib
import re

import check

DOCUMENT = 'docs/reliability.md'
# `tests/unit/test-store.c`, and `tests/unit/test-store.c: name` for one test in it.
NAMED = re.compile(r'`((?:tests|tools|src|docs|units|conf)/[\w./-]+)(?:: (\w+))?`')
HEADING = re.compile(r'^##+ ')


def promises(root):
    part, n = '', 0
    for number, line in enumerate(check.read(root, DOCUMENT).split('\n'), 1):
        if HEADING.match(line):
            part = line
        named = NAMED.findall(line)
        for name, inside in named:
            path = pathlib.Path(root) / name
            if not path.exists():
                yield f'{DOCUMENT}:{number}: there is no {name}'
            elif inside and not re.search(rf'\b{inside}\b', check.read(root, name)):
                yield f'{DOCUMENT}:{number}: {name} has no {inside}'
        # A row of a table of promises; not its head.
        if part.startswith('## Promised') or part.startswith('### '):
            if line.startswith('|') and not line.startswith(('|--', '| when')):
                n += 1
                if not any(name.startswith(('tests/', 'tools/')) for name, _ in named):
                    yield f'{DOCUMENT}:{number}: no test is named'
    if n == 0:
        yield f'{DOCUMENT}: nothing is promised'


HEAD = '## Promised\n| when | then | test |\n|---|---|---|\n'
CASES = [
    ('a test that is there', {DOCUMENT: HEAD + '| a | b | `tests/a.c: one` |\n', 'tests/a.c': 'START_TEST(one)'}, 0),
    ('a test that is not there', {DOCUMENT: HEAD + '| a | b | `tests/a.c` |\n'}, 1),
    ('a test that is not in it', {DOCUMENT: HEAD + '| a | b | `tests/a.c: one` |\n', 'tests/a.c': 'START_TEST(someone)'}, 1),
    ('a promise without a test', {DOCUMENT: HEAD + '| a | b | `tests/a.c` |\n| c | d | `docs/x.md` |\n', 'tests/a.c': '', 'docs/x.md': ''}, 1),
    ('no promise', {DOCUMENT: HEAD}, 1),
]

if __name__ == '__main__':
    check.main(promises, CASES, 'each promise has its test')
