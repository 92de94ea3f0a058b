#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""drop_ins.py ROOT UNITS OUT: the drop-ins that the documents show, each as a file OUT/UNIT/NAME.conf, for systemd to look at.

An example begins with a line that says where it belongs: `# systemctl edit UNIT` of one in UNITS, or `# NAME.service` for a unit of the reader's
own. A problem goes to stderr, and ends in failure.
"""

import pathlib
import re
import sys

SECTION = re.compile(r'^ +\[(Unit|Service|Socket|Path|Slice|Install)\]$', re.MULTILINE)
EDIT = re.compile(r'^(?:# )?systemctl edit (audit-relay\S+)$')
OWN = re.compile(r'^# [\w./@-]+\.(service|socket|path)\b')


def blocks(text):
    """Indented paragraphs, as (line number, lines)."""
    block, begin = [], 0
    for number, line in enumerate(text.splitlines() + [''], 1):
        if line.startswith('    '):
            begin = begin if block else number
            block.append(line.strip())
        elif block:
            yield begin, block
            block = []


def main(root, units, out):
    bad = False
    for path in sorted((root / 'docs').glob('*.md')):
        for number, block in blocks(path.read_text(encoding='utf-8')):
            if not SECTION.search('\n'.join(f' {line}' for line in block)):
                continue
            edit = EDIT.match(block[0])
            if not edit and not OWN.match(block[0]):
                print(f'{path.name}:{number}: of what unit is this a drop-in? Begin it with "# systemctl edit UNIT"', file=sys.stderr)
                bad = True
            if not edit:
                continue
            unit = edit[1] if '.' in edit[1] else f'{edit[1]}.service'
            template = re.sub('@[^.]+', '@', unit)
            if not (units / unit).exists() and not (units / template).exists():
                print(f'{path.name}:{number}: there is no unit {unit}', file=sys.stderr)
                bad = True
                continue
            (out / unit).mkdir(parents=True, exist_ok=True)
            text = [re.sub(r' {2,}#.*', '', line) for line in block[1:]]  # remarks behind an assignment are the document's
            (out / unit / f'{path.stem}-{number}.conf').write_text('\n'.join(text) + '\n', encoding='utf-8')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(*map(pathlib.Path, sys.argv[1:4])))
