#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ledger is readable, and the README's table is what `tools/ledger table` makes of it."""

import json
import pathlib
import sys

import check

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'ledger'))
sys.dont_write_bytecode = True

import entries  # noqa: E402
import sums  # noqa: E402


def ledger(root):
    try:
        known = entries.read(pathlib.Path(root) / entries.LEDGER)
        text = check.read(root, 'README.md')
        if sums.replaced(text, known) != text:
            yield 'README.md: the table is not that of the ledger; run tools/ledger table'
    except ValueError as e:
        yield str(e)


def tree(readme, *lines):
    return {'README.md': readme, entries.LEDGER: ''.join(line + '\n' for line in lines)}


FUZZED = {f'{target}.seconds': 1 for target in sums.FUZZ_TARGETS}


def entry(**changes):
    good = {'tool': 'fuzz', 'command': ['tools/fuzz'], 'commit': 'c', 'seed': 1, 'date': 'd', 'figures': {'seconds': 1, **FUZZED},
            'good': True, 'verdict_sha256': 's'}
    return json.dumps(good | changes)


def readme(*known):
    return sums.replaced(f'text\n{sums.BEGIN}\n{sums.END}\nmore\n', [json.loads(k) for k in known])


LOST = entry(figures={'seconds': 1, **FUZZED, 'lost': 2}, good=False)
MENDED = entry(figures={'seconds': 1, **FUZZED, 'lost': 2}, good=False, mended='the sync was forgotten')
CASES = [
    ('the table of an empty ledger', tree(readme()), 0),
    ('the table of two runs', tree(readme(entry(), entry()), entry(), entry()), 0),
    ('a run is missing in the table', tree(readme(entry()), entry(), entry()), 1),
    ('what was lost is missing in the table', tree(readme(entry()), LOST), 1),
    ('what was mended does not count', tree(readme(MENDED), MENDED), 0),
    ('what was mended is not hidden', tree(readme(), MENDED), 1),
    ('what was mended in a run that found nothing', tree(readme(), entry(mended='nothing')), 1),
    ('no table', tree('text\n', entry()), 1),
    ('not JSON', tree(readme(), 'x'), 1),
    ('no commit', tree(readme(), entry(commit=None)), 1),
    ("another tool's command", tree(readme(), entry(tool='faults')), 1),
    ('a figure in words', tree(readme(), entry(figures={'seconds': 'two'})), 1),
]

if __name__ == '__main__':
    check.main(ledger, CASES, "the ledger is readable and the README's table is of it")
