#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""No source file is longer than can be read in one sitting; the longest are named."""

import check

LINES_MAX = 600
# Tests are lists: read one by one.
TEST_LINES_MAX = 800
SUFFIXES = ('.c', '.h', '.py', '.sh')


def measured(root):
    return sorted(((check.read(root, n).count('\n'), n) for n in check.files(root) if n.endswith(SUFFIXES)), reverse=True)


def lengths(root):
    for lines, name in measured(root):
        most = TEST_LINES_MAX if name.startswith('tests/') else LINES_MAX
        if lines > most:
            yield f'{name}: {lines} lines, {most} are the most'


CASES = [
    ('short enough', {'a.c': 'x\n' * LINES_MAX, 'b.txt': 'x\n' * 1000, 'tests/a.c': '\n' * TEST_LINES_MAX}, 0),
    ('too long', {'a.c': 'x\n' * (LINES_MAX + 1), 'b.py': '\n' * 1000, 'tests/a.c': '\n' * 1000}, 3),
]

if __name__ == '__main__':
    import sys
    if sys.argv[1:] != ['--self-test']:
        for count, path in measured(sys.argv[1])[:5]:
            print(f'# {count:5} {path}')
    check.main(lengths, CASES, 'no file is too long')
