#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual has each key of the configuration and nothing else, and each page of docs/ that is for users."""

import re

import check

# Where keys are read, and where they are explained: an example of conf/, or tables of docs/.
KEYS = {
    'src/dispatcher/config.c': 'conf/dispatcher.conf',
    'src/remote/config.c': 'conf/remote.conf',
    'src/aggregator/config.c': 'conf/aggregator.conf',
    'src/dispatcher/subscriber-config.c': 'docs/dispatcher.md',
    'src/aggregator/peers.c': 'docs/peers.md',
}
IN_CODE = re.compile(r'^\s+(?:[A-Z_]+\(|\{ "[A-Z]\w+", )"([A-Z]\w+)",', re.MULTILINE)
IN_EXAMPLE = re.compile(r'^#?([A-Z]\w*)=', re.MULTILINE)
IN_TABLE = re.compile(r'`([A-Z]\w*)=`')
MANUAL = 'man/manual.py'
# For who works on the project, not for who uses it.
OURS = {'coverage.md', 'dependencies.md', 'performance.md', 'testing.md'}


def key_problems(root):
    for code, document in KEYS.items():
        known = set(IN_CODE.findall(check.read(root, code)))
        text = check.read(root, document)
        if not known:
            yield f'{code}: no keys found: nothing was checked'
        explained = set((IN_EXAMPLE if document.startswith('conf/') else IN_TABLE).findall(text))
        for key in sorted(known - explained):
            yield f'{document}: {key}= is missing'
        for key in sorted(explained - known) if document.startswith('conf/') else ():
            yield f'{document}: there is no {key}='


def manual(root):
    yield from key_problems(root)
    named = re.findall(r'"docs/([\w-]+\.md)"', check.read(root, MANUAL))
    pages = set(named)
    for name in sorted({name for name in named if named.count(name) > 1}):
        yield f'{MANUAL}: docs/{name} is in two pages'
    documents = {name[5:] for name in check.files(root) if re.fullmatch(r'docs/[\w-]+\.md', name)} - OURS
    for name in sorted(documents - pages):
        yield f'{MANUAL}: docs/{name} is in no page'
    for name in sorted(pages - documents):
        yield f'{MANUAL}: there is no docs/{name}'


def tree(**changes):
    good = {code: '        KEY("Node", parse, node, "a name"),\n' for code in KEYS}
    good |= {document: '[X]\n#Node=\n' if document.startswith('conf/') else '| `Node=` | x |\n' for document in KEYS.values()}
    good[MANUAL] = '"docs/dispatcher.md" "docs/peers.md"'
    good.update({name.replace('__', '/').replace('_c', '.c').replace('_md', '.md'): text for name, text in changes.items()})
    return good


CASES = [
    ('all are there', tree(), 0),
    ('a key that is not explained', tree(src__remote__config_c='  KEY("Node", a, b, "c"),\n  { "Remote", "Other", a, b },\n'), 1),
    ('a key that is none', tree() | {'conf/remote.conf': '#Node=\n#Other=1\n'}, 1),
    ('no keys', tree(src__remote__config_c=''), 2),
    ('a page of docs/ that is in no page', tree(docs__new_md='x'), 1),
    ('a page that is there twice', tree() | {MANUAL: '"docs/dispatcher.md" "docs/peers.md" "docs/peers.md"'}, 1),
    ('a page without its source', tree() | {MANUAL: '"docs/dispatcher.md" "docs/peers.md" "docs/gone.md"'}, 1),
]

if __name__ == '__main__':
    check.main(manual, CASES, 'the manual has all keys, and all pages are in it')
