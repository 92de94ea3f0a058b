#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Copies sources with the bugs of table.py seeded, each behind a switch at run time.

    seed.py --list ROOT PLACE…     the .c files of these folders below src/, or single files of one
    seed.py ROOT OUT PLACE…        copies them to OUT as FOLDER-FILE.c, headers with a bug to OUT/include
    seed.py --self-test

A fragment that is not found exactly once is an error, so that the table cannot rot: where the code has changed, the bug is to be
thought of anew. White space does not count. A fragment that ends in ';' or '}' is statements, any other an expression.
"""

import pathlib
import re
import sys

import table


def copied_name(path):
    return '-'.join(pathlib.PurePath(path).parts[1:])


def pattern(fragment):
    return re.compile(r'\s*'.join(re.escape(letter) for letter in ''.join(fragment.split())))


def switch(right, bugs):
    """bugs: (name, broken) of one fragment."""
    if right.rstrip().endswith((';', '}')):
        branches = ''.join(f'if (bug("{name}")) {{ {broken} }} else ' for name, broken in bugs)
        return f'{{ {branches}{{ {right} }} }}'
    choices = ''.join(f'bug("{name}") ? ({broken}) : ' for name, broken in bugs)
    return f'({choices}({right}))'


def seed(path, text, bugs):
    """The text of a file with all bugs that are meant for it. One line stays one line, for the compiler's messages."""
    fragments = {}
    for bug in bugs:
        for edit in bug.edits:
            if edit.path == path:
                fragments.setdefault(' '.join(edit.right.split()), []).append((bug.name, edit.broken))
    spans, problems = [], []
    for fragment, switches in fragments.items():
        found = list(pattern(fragment).finditer(text))
        if len(found) != 1:
            names = ', '.join(name for name, _ in switches)
            problems.append(f'{path}: found {len(found)} times, once is right, for {names}: {fragment}')
        else:
            spans.append((found[0].span(), switches))
    if problems:
        raise ValueError('\n'.join(problems))
    spans.sort()
    for (before, _), (after, _) in zip(spans, spans[1:]):
        if after[0] < before[1]:
            raise ValueError(f'{path}: two bugs overlap at: {text[after[0]:after[1]]}')
    for (begin, end), switches in reversed(spans):
        text = text[:begin] + switch(text[begin:end], switches) + text[end:]
    return f'#include "bug.h"\n#line 1 "{path}"\n{text}' if spans else text


def write(path, text):
    """Only what has changed, so that only that is compiled again."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def sources(root, places):
    for place in places:
        path = root / 'src' / place
        for file in sorted(path.glob('*.c')) if path.is_dir() else [path]:
            yield str(file.relative_to(root))


def main(arguments):
    if arguments == ['--self-test']:
        return self_test()
    if arguments[0] == '--list':
        print('\n'.join(path.removeprefix('src/') for path in sources(pathlib.Path(arguments[1]), arguments[2:])))
        return 0
    root, out = pathlib.Path(arguments[0]), pathlib.Path(arguments[1])
    paths = list(sources(root, arguments[2:]))
    headers = sorted({edit.path for bug in table.BUGS for edit in bug.edits if edit.path.endswith('.h')})
    unknown = {edit.path for bug in table.BUGS for edit in bug.edits} - set(paths) - set(headers)
    if unknown:
        sys.exit(f'seed.py: not among the sources: {", ".join(sorted(unknown))}')
    problems = 0
    for path in paths + headers:
        copy = copied_name(path) if path in paths else pathlib.Path('include', *pathlib.PurePath(path).parts[1:])
        try:
            write(out / copy, seed(path, (root / path).read_text(), table.BUGS))
        except ValueError as error:
            print(f'seed.py: {error}', file=sys.stderr)
            problems += 1
    return 1 if problems else 0


def self_test():
    def bug(name, right, broken):
        return table.Bug(name, 'test', 'case', [table.Edit('a.c', right, broken)])

    cases = [
        ('an expression', 'x = a  +\n b;', [bug('n', 'a + b', 'a - b')], 'x = (bug("n") ? (a - b) : (a  +\n b));'),
        ('statements', 'f();', [bug('n', 'f();', ';')], '{ if (bug("n")) { ; } else { f(); } }'),
        ('two of one', 'f(x)', [bug('n', 'x', '1'), bug('m', 'x', '2')], 'f((bug("n") ? (1) : bug("m") ? (2) : (x)))'),
        ('not there', 'f();', [bug('n', 'g();', ';')], None),
        ('twice there', 'f(); f();', [bug('n', 'f();', ';')], None),
        ('overlapping', 'a b c', [bug('n', 'a b', '1'), bug('m', 'b c', '2')], None),
    ]
    failed = 0
    print(f'1..{len(cases)}')
    for number, (title, text, bugs, expected) in enumerate(cases, 1):
        try:
            result = seed('a.c', text, bugs).split('\n', 2)[2]
        except ValueError:
            result = None
        failed += result != expected
        print(f'{"ok" if result == expected else "not ok"} {number} - {title}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
