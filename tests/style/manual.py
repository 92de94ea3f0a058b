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
    'plugins/guard/guard.c': 'plugins/guard/README.md',
    'plugins/nft-block/nft-block.c': 'plugins/nft-block/README.md',
}
IN_CODE = re.compile(r'^\s+(?:[A-Z_]+\(|\{ "[A-Z]\w+", )"([A-Z]\w+)",', re.MULTILINE)
IN_EXAMPLE = re.compile(r'^(?:    )?#?([A-Z]\w*)=', re.MULTILINE)
IN_TABLE = re.compile(r'`([A-Z]\w*)=')
# A row of a table whose second column is the default: it is about keys of ours alone.
TABLE = re.compile(r'^\|[^|]*\| default \|.*\n\|[-|: ]+\n((?:^\|.*\n?)*)', re.MULTILINE)
# A key in a sentence. systemd's are those in our units and drop-ins (Quadlet's in its files), and a few more that pages name.
MENTIONED = re.compile(r'(?<![\w/+])([A-Z][a-z]\w{2,30})=(?![\w+/]*[^\w`]*=)')
DIRECTIVE = re.compile(r'^#? ?([A-Z]\w+)=', re.MULTILINE)
SYSTEMD = {'DeviceAllow', 'EnvironmentFile', 'FreeBind', 'IOWeight', 'LoadCredential', 'LoadCredentialEncrypted', 'MemoryHigh', 'Nice',
           'RequiresMountsFor', 'SetCredentialEncrypted', 'TimeoutStartSec'}
INSTALLED = 'units/meson.build'
MANUAL = 'man/manual.py'
# For who works on the project, not for who uses it.
OURS = {'coverage.md', 'dependencies.md', 'performance.md', 'testing.md'}


def key_problems(root):
    for code, document in KEYS.items():
        known = set(IN_CODE.findall(check.read(root, code)))
        text = check.read(root, document)
        if not known:
            yield f'{code}: no keys found: nothing was checked'
        explained = set((IN_TABLE if document.startswith('docs/') else IN_EXAMPLE).findall(text))
        for key in sorted(known - explained):
            yield f'{document}: {key}= is missing'
        for key in sorted(explained - known) if not document.startswith('docs/') else ():
            yield f'{document}: there is no {key}='


def stale_problems(root):
    """Pages do not have a key that nobody reads: ours by the tables of the code, systemd's by our units."""
    ours = {key for code in KEYS for key in IN_CODE.findall(check.read(root, code))}
    units = 'units/', 'plugins/', 'conf/journald', 'contrib/containers/'
    directives = {key for name in check.files(root) if name.startswith(units) and not name.endswith(('.c', '.h', '.md'))
                  for key in DIRECTIVE.findall(check.read(root, name))}
    for name in check.files(root):
        if not re.fullmatch(r'(docs/[\w-]+|README|plugins/[\w-]+/README)\.md|catalog/[\w.-]+', name) or name[5:] in OURS:
            continue
        text = check.read(root, name)
        in_tables = {key for rows in TABLE.findall(text) for row in rows.splitlines() for key in IN_TABLE.findall(row.split('|')[1])}
        for key in sorted((set(MENTIONED.findall(text)) - directives - SYSTEMD | in_tables) - ours):
            yield f'{name}: there is no {key}='


def manual(root):
    yield from key_problems(root)
    yield from stale_problems(root)
    named = re.findall(r'"docs/([\w-]+\.md)"', check.read(root, MANUAL))
    pages = set(named)
    for name in sorted({name for name in named if named.count(name) > 1}):
        yield f'{MANUAL}: docs/{name} is in two pages'
    documents = {name[5:] for name in check.files(root) if re.fullmatch(r'docs/[\w-]+\.md', name)} - OURS
    for name in sorted(documents - pages):
        yield f'{MANUAL}: docs/{name} is in no page'
    for name in sorted(pages - documents):
        yield f'{MANUAL}: there is no docs/{name}'
    listed = re.search(r"foreach name : \[([^]]*)\]\n[^\n]*'docs'", check.read(root, INSTALLED))
    installed = {name + '.md' for name in re.findall(r"'([\w-]+)'", listed[1])} if listed else set()
    for name in sorted(pages ^ installed):
        yield f'{INSTALLED}: docs/{name} is not both installed and in the manual'


def tree(**changes):
    good = {code: '        KEY("Node", parse, node, "a name"),\n' for code in KEYS}
    good |= {document: '| `Node=` | x |\n' if document.startswith('docs/') else '[X]\n#Node=\n' for document in KEYS.values()}
    good[MANUAL] = '"docs/dispatcher.md" "docs/peers.md"'
    good[INSTALLED] = "foreach name : ['dispatcher', 'peers']\n  install_data('docs' / name)\n"
    good['units/a.service'] = 'ExecStart=/a\n'
    good.update({name.replace('__', '/').replace('_c', '.c').replace('_md', '.md'): text for name, text in changes.items()})
    return good


CASES = [
    ('all are there', tree(), 0),
    ('keys of ours and of systemd in a sentence', tree(docs__peers_md='| `Node=` | x |\nExecStart= and `Node=` and LoadCredential=a\n'), 0),
    ('a key that is no more, in a sentence', tree(docs__peers_md='| `Node=` | x |\n`Nodes=1`\n'), 1),
    ('a key that is no more, in a table', tree(docs__peers_md='| key | default | |\n|---|---|---|\n| `Node=` | x |\n| `Gone=` | x |\n'), 1),
    ('a page that is not installed', tree() | {INSTALLED: "foreach name : ['peers']\n  install_data('docs' / name)\n"}, 1),
    ('a key that is not explained', tree(src__remote__config_c='  KEY("Node", a, b, "c"),\n  { "Remote", "Other", a, b },\n'), 1),
    ('a key that is none', tree() | {'conf/remote.conf': '#Node=\n#Other=1\n'}, 1),
    ('no keys', tree(src__remote__config_c=''), 2),
    ('a page of docs/ that is in no page', tree(docs__new_md='x'), 1),
    ('a page that is there twice', tree() | {MANUAL: '"docs/dispatcher.md" "docs/peers.md" "docs/peers.md"'}, 1),
    ('a page without its source', tree() | {MANUAL: '"docs/dispatcher.md" "docs/peers.md" "docs/gone.md"'}, 2),
]

if __name__ == '__main__':
    check.main(manual, CASES, 'the manual has all keys, and all pages are in it')
