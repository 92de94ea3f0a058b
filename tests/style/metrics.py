#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/metrics.md has each metric that the code writes, under its component and with its kind, and no other."""

import re

import check

DOCUMENT = 'docs/metrics.md'
# The functions that write one, and those of a file that do so for several rows; the name is their first text.
WRITE = re.compile(r'\b(status_(?:counter|gauge|histogram)|status_of_peers|count_of_peers|METRIC)\(([^;]*?)"(\w+)"([^;]*?)\)[;,]', re.DOTALL)
KINDS = {'status_counter': 'counter', 'count_of_peers': 'counter', 'status_gauge': 'gauge', 'status_of_peers': 'gauge',
         'status_histogram': 'histogram'}
# Who writes what is in src/runtime.
SHARED = {'store-loop-facts.c': ('remote', 'aggregator'), 'credentials.c': ('remote', 'aggregator'),
          'status.c': ('dispatcher', 'remote', 'aggregator')}
ROW = re.compile(r'^\| `audit_relay_(\w+)` \| (counter|gauge|histogram) \|', re.MULTILINE)


def written(root):
    """(name with its component, kind) of all that the code writes."""
    for path in check.files(root):
        if not path.startswith('src/') or not path.endswith('.c'):
            continue
        _, directory, file = path.split('/', 2)
        components = SHARED.get(file, ()) if directory == 'runtime' else (directory,)
        for function, _, name, rest in WRITE.findall(check.read(root, path)):
            kind = KINDS.get(function) or ('counter' if ' true,' in rest else 'gauge')
            for component in components:
                yield f'{component}_{name}' + ('_total' if kind == 'counter' else ''), kind


def documented(text):
    """What is said of `COMPONENT` is said of remote and aggregator alike."""
    for name, kind in ROW.findall(text):
        if name.startswith('COMPONENT_'):
            components = ('dispatcher', 'remote', 'aggregator') if name == 'COMPONENT_up' else ('remote', 'aggregator')
            for component in components:
                yield name.replace('COMPONENT', component, 1), kind
        elif name != 'condition':
            yield name, kind


def metrics(root):
    code, document = set(written(root)), list(documented(check.read(root, DOCUMENT)))
    if not code:
        yield 'the code writes no metrics: nothing was checked'
    for name, kind in sorted(code - set(document)):
        yield f'{DOCUMENT}: audit_relay_{name} ({kind}) is missing'
    for name, kind in sorted(set(document) - code):
        yield f'{DOCUMENT}: audit_relay_{name} ({kind}) is written by nobody'
    for name in sorted({row for row in document if document.count(row) > 1}):
        yield f'{DOCUMENT}: audit_relay_{name[0]} is there twice'


CODE = 'status_counter(state, "records", NULL, n, "Help");\nstatus_gauge(state, "lag", status_label(state, "a", b), 1, NULL);\n'
ROWS = '| `audit_relay_remote_records_total` | counter | | x |\n| `audit_relay_remote_lag` | gauge | `a` | x |\n'
CASES = [
    ('all are there', {'src/remote/a.c': CODE, DOCUMENT: ROWS}, 0),
    ('one is not', {'src/remote/a.c': CODE, DOCUMENT: ROWS.splitlines()[0]}, 1),
    ('one is of another kind', {'src/remote/a.c': CODE, DOCUMENT: ROWS.replace('gauge', 'counter')}, 2),
    ('one is nobody\'s', {'src/remote/a.c': CODE, DOCUMENT: ROWS + '| `audit_relay_remote_x` | gauge | | x |\n'}, 1),
    ('one is there twice', {'src/remote/a.c': CODE, DOCUMENT: ROWS * 2}, 2),
    ('one of both', {'src/runtime/credentials.c': 'status_gauge(state, "days", NULL, 1, "Help");\n',
                     DOCUMENT: '| `audit_relay_COMPONENT_days` | gauge | | x |\n'}, 0),
    ('rows of a table', {'src/remote/a.c': 'METRIC("lag", "Help", false, lag),\nMETRIC("gone", "Help", true, gone),\n',
                         DOCUMENT: ROWS.replace('records', 'gone')}, 0),
]

if __name__ == '__main__':
    check.main(metrics, CASES, 'each metric is documented')
