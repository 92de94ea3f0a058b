# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the style checks share: the files of the project, a TAP report, and --self-test.

A check is a function of the source root that yields one sentence for each problem. Its self-test is a list of small trees
{path: text} with the number of problems that each must have: a check that cannot fail is worth nothing.
"""

import os
import pathlib
import subprocess
import sys
import tempfile


def files(root):
    """Paths of the project's files below root, sorted; build directories and caches are none."""
    try:
        out = subprocess.run(['git', '-C', str(root), 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                             check=True, capture_output=True).stdout
        names = [n for n in out.decode().split('\0') if n]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for top, dirs, found in os.walk(root):
            dirs[:] = [d for d in dirs if not d.startswith(('build', '.git', '__pycache__'))]
            names += [os.path.relpath(os.path.join(top, f), root) for f in found]
    return sorted(n for n in set(names) if (pathlib.Path(root) / n).is_file())


def read(root, name):
    return (pathlib.Path(root) / name).read_text(encoding='utf-8', errors='replace')


def self_test(check, cases):
    failed = 0
    print(f'1..{len(cases)}')
    for i, (title, tree, expected) in enumerate(cases, 1):
        with tempfile.TemporaryDirectory() as root:
            for name, text in tree.items():
                path = pathlib.Path(root) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding='utf-8')
            problems = list(check(root))
        good = len(problems) == expected
        failed += not good
        print(f'{"ok" if good else "not ok"} {i} - {title}')
        if not good:
            print(f'# expected {expected} problems, got {problems}')
    return failed


def main(check, cases, title):
    """check.py --self-test, or check.py ROOT."""
    if sys.argv[1:] == ['--self-test']:
        sys.exit(1 if self_test(check, cases) else 0)
    problems = list(check(sys.argv[1] if len(sys.argv) > 1 else '.'))
    for problem in problems:
        print(f'# {problem}')
    print(f'{"not ok" if problems else "ok"} 1 - {title}\n1..1')
    sys.exit(1 if problems else 0)
