#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""coverage.py SUMMARY LIMIT PAGE [--test]: the page from gcovr's summary, or TAP; exit status 1 when a file is below the limit."""

import json
import sys

HEAD = """<!-- SPDX-License-Identifier: LGPL-2.1-or-later; written by tools/coverage -->
# Branch coverage

What the suites unit, model, sim and fuzz execute of floor 1. `tools/coverage` writes this page, and fails when a file has less than
{limit} % of its branches. Counted is what gcov sees in a build without optimisation, both sides of each `assert()` as well (they stay in
shipped builds); no source has exclusion markers. Random tests run from fresh seeds, so the last branches come and go.

| file | lines | covered | branches | taken | % |
|---|--:|--:|--:|--:|--:|
"""


def percent(part, whole):
    return f'{100 * part / whole:.1f}' if whole else '–'


def row(name, lines, lines_covered, branches, branches_covered):
    return f'| {name} | {lines} | {percent(lines_covered, lines)} % | {branches} | {branches_covered} | {percent(branches_covered, branches)} |'


def main(summary, limit, page, options):
    with open(summary, encoding='utf-8') as file:
        files = sorted(json.load(file)['files'], key=lambda entry: entry['filename'])
    keys = 'line_total', 'line_covered', 'branch_total', 'branch_covered'
    rows, totals, results = [], {}, []
    for entry in files:
        numbers = [entry[key] for key in keys]
        folder = entry['filename'].rsplit('/', 1)[0]
        totals[folder] = [a + b for a, b in zip(totals.get(folder, [0] * len(keys)), numbers)]
        rows.append(row(f'`{entry["filename"]}`', *numbers))
        good = 100 * entry['branch_covered'] >= limit * entry['branch_total']
        results.append((good, f'{entry["filename"]}: {percent(numbers[3], numbers[2])} % of {numbers[2]} branches'))
    rows += [row(f'**{folder}**', *numbers) for folder, numbers in totals.items()]
    text = HEAD.format(limit=limit) + '\n'.join(rows) + '\n'
    if '--test' in options:
        print(f'1..{len(results)}')
        for number, (good, what) in enumerate(results, 1):
            print(f'{"ok" if good else "not ok"} {number} - {what}')
    else:
        print(text)
        with open(page, 'w', encoding='utf-8') as file:
            file.write(text)
        for good, what in results:
            if not good:
                print(f'below {limit} %: {what}')
    return 1 if not results or not all(good for good, _ in results) else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
