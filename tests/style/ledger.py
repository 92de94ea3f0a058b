#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ledger is readable, and what the documents have of it is what `tools/ledger table` makes of it."""

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
        for page in sums.PAGES:
            text = check.read(root, page)
            if sums.replaced(page, text, known) != text:
                yield f'{page}: it is not what the ledger says; run tools/ledger table'
    except ValueError as e:
        yield str(e)


def tree(pages, *lines):
    return {**pages, entries.LEDGER: ''.join(line + '\n' for line in lines)}


FUZZED = {f'{target}.seconds': 1 for target in sums.FUZZ_TARGETS}


def entry(**changes):
    good = {'tool': 'fuzz', 'command': ['tools/fuzz'], 'commit': 'c', 'seed': 1, 'date': 'd', 'figures': {'seconds': 1, **FUZZED},
            'good': True, 'verdict_sha256': 's'}
    return json.dumps(good | changes)


def pages(*known):
    return {page: sums.replaced(page, f'text\n{sums.BEGIN}\n{sums.END}\nmore\n', [json.loads(k) for k in known]) for page in sums.PAGES}


LOST = entry(figures={'seconds': 1, **FUZZED, 'lost': 2}, good=False)
MENDED = entry(figures={'seconds': 1, **FUZZED, 'lost': 2}, good=False, mended='the sync was forgotten')
CASES = [
    ('the table of an empty ledger', tree(pages()), 0),
    ('the table of two runs', tree(pages(entry(), entry()), entry(), entry()), 0),
    ('a run is missing in the table', tree(pages(entry()), entry(), entry()), 1),
    ('what was lost is missing in the table', tree(pages(entry()), LOST), 1),
    ('what was mended does not count', tree(pages(MENDED), MENDED), 0),
    ('what was mended is not hidden', tree(pages(), MENDED), 1),
    ('what was mended in a run that found nothing', tree(pages(), entry(mended='nothing')), 1),
    ('no table', tree(pages() | {'README.md': 'text\n'}), 1),
    ('not JSON', tree(pages(), 'x'), 1),
    ('no commit', tree(pages(), entry(commit=None)), 1),
    ("another tool's command", tree(pages(), entry(tool='faults')), 1),
    ('a figure in words', tree(pages(), entry(figures={'seconds': 'two'})), 1),
]

if __name__ == '__main__':
    check.main(ledger, CASES, "the ledger is readable, and the documents say what it says")
