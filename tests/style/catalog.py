#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Message ids, the journal's catalog, the table of conditions, the code that raises them and their document say the same."""

import pathlib
import re

import check

IDS = 'src/runtime/message-ids.h'
CATALOG = 'catalog/audit-relay.catalog'
TABLE = 'src/runtime/conditions.c'
DOCUMENT = 'docs/failure-states.md'
# The page of the manual that has the catalog in it (man/manual.py).
PAGE, HERE = 'docs/messages.md', '<!-- the catalog -->\n'

DEFINE = re.compile(r'^#define (MESSAGE_ID_\w+) "([^"]*)"$', re.MULTILINE)
ROW = re.compile(r'^\s*\{ "(\w+)", "(\w+)", \w+, (\w+) \},$', re.MULTILINE)
RAISE = re.compile(r'\bstate_(?:raise|clear|holds)\(\s*[^,()]+,\s*"(\w+)"')
MENTION = re.compile(r'^\| `(\w+)/(\w+)` \|', re.MULTILINE)
CASES_DIRECTORY = 'tests/integration/cases'
# Fields that every message has, or every one that tells of a condition: what @FIELD@ may name.
FIELDS = {'SYSLOG_IDENTIFIER', 'COMPONENT', 'CONDITION', 'REASON'}


def entries(text):
    """The catalog's entries: id, headers, body."""
    for part in re.split(r'^-- ', text, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition('\n\n')
        lines = head.split('\n')
        yield lines[0].strip(), dict(line.split(': ', 1) for line in lines[1:] if ': ' in line), body.strip()


def catalog_problems(names, text):
    seen = set()
    for message_id, headers, body in entries(text):
        what = names.get(message_id, message_id)
        if message_id not in names:
            yield f'{CATALOG}: {message_id} is not in {IDS}'
        if message_id in seen:
            yield f'{CATALOG}: {what} is there twice'
        seen.add(message_id)
        if not headers.get('Subject') or headers.get('Defined-By') != 'audit-relay':
            yield f'{CATALOG}: {what} lacks its Subject: or "Defined-By: audit-relay"'
        if len([p for p in body.split('\n\n') if p]) < 2:
            yield f'{CATALOG}: {what} must say what happened and, in a paragraph of its own, what to do'
        if body.split('\n\n')[-1].startswith('Reason:'):
            yield f'{CATALOG}: {what} must end with what to do'
        if re.match('MESSAGE_ID_(DISPATCHER|REMOTE|AGGREGATOR)_', what) and '@REASON@' not in body:
            yield f'{CATALOG}: {what}, a condition, must give its reason'
        for field in re.findall(r'@(\w+)@', headers.get('Subject', '') + body):
            if field not in FIELDS:
                yield f'{CATALOG}: {what}: no message has the field {field}='
    for message_id in set(names) - seen:
        yield f'{CATALOG}: {names[message_id]} is missing'


def id_problems(root, defines, sources):
    for name, message_id in defines:
        if not re.fullmatch('[0-9a-f]{32}', message_id):
            yield f'{IDS}: {name} is no 128-bit number'
        if not any(re.search(rf'\b{name}\b', text) for path, text in sources if path != IDS):
            yield f'{IDS}: nothing uses {name}'
    ids = [message_id for _, message_id in defines]
    for message_id in {i for i in ids if ids.count(i) > 1}:
        yield f'{IDS}: {message_id} is there twice'


def condition_problems(rows, document, sources):
    table = {(component, name) for component, name, _ in rows}
    for component, name, macro in rows:
        if macro != f'MESSAGE_ID_{component}_{name}'.upper():
            yield f'{TABLE}: {component}/{name} has {macro}'
    mentioned = set(MENTION.findall(document))
    for component, name in sorted(table - mentioned):
        yield f'{DOCUMENT}: {component}/{name} is missing'
    for component, name in sorted(mentioned - table):
        yield f'{DOCUMENT}: {component}/{name} is not in {TABLE}'
    for path, text in sources:
        for name in RAISE.findall(text):
            component = path.split('/')[1]
            known = (component, name) in table if component != 'runtime' else any(n == name for _, n in table)
            if not known:
                yield f'{path}: the condition {component}/{name} is not in {TABLE}'


def proof_problems(root, document):
    """A condition stands under its component's heading, and its row ends with a test that is there."""
    heading = ''
    for number, line in enumerate(document.split('\n'), 1):
        if line.startswith('#'):
            heading = line.lstrip('# ')
        for component, name in MENTION.findall(line):
            if heading != component:
                yield f'{DOCUMENT}:{number}: {component}/{name} stands under "{heading}"'
            tests = re.findall(r'`([^`]+)`', line.rstrip('| ').rpartition('|')[2])
            if not tests:
                yield f'{DOCUMENT}:{number}: nothing proves {component}/{name}'
            for test in tests:
                if not (pathlib.Path(root) / (test if '/' in test else f'{CASES_DIRECTORY}/{test}.py')).is_file():
                    yield f'{DOCUMENT}:{number}: there is no test {test}'


def catalog(root):
    sources = [(n, check.read(root, n)) for n in check.files(root) if n.startswith('src/') and n.endswith(('.c', '.h'))]
    defines = DEFINE.findall(check.read(root, IDS))
    rows = ROW.findall(check.read(root, TABLE))
    if not defines or not rows:
        yield 'no message ids or conditions found: nothing was checked'
    yield from id_problems(root, defines, sources)
    yield from catalog_problems({message_id: name for name, message_id in defines}, check.read(root, CATALOG))
    if HERE not in check.read(root, PAGE):
        yield f'{PAGE}: the catalog has no place in it'
    document = check.read(root, DOCUMENT)
    yield from condition_problems(rows, document, sources)
    yield from proof_problems(root, document)


A, B = 'a' * 32, 'b' * 32


def tree(**changes):
    good = {
        'ids': f'#define MESSAGE_ID_STARTED "{A}"\n#define MESSAGE_ID_REMOTE_DOWN "{B}"\n',
        'catalog': f'-- {A}\nSubject: S\nDefined-By: audit-relay\n\nWhat.\n\nDo.\n\n'
                   f'-- {B}\nSubject: S\nDefined-By: audit-relay\n\nBecause @REASON@.\n\nDo.\n',
        'table': '        { "remote", "down", LOG_ERR, MESSAGE_ID_REMOTE_DOWN },\n',
        'document': '### remote\n| `remote/down` | x | `90-down` |\n',
        'page': HERE,
        'code': 'log(MESSAGE_ID_STARTED);\nstate_raise(state, "down", x);\n',
    }
    good.update(changes)
    return {IDS: good['ids'], CATALOG: good['catalog'], TABLE: good['table'], DOCUMENT: good['document'], PAGE: good['page'],
            'src/remote/a.c': good['code'], f'{CASES_DIRECTORY}/90-down.py': ''}


GOOD = tree()
CASES = [
    ('all agree', GOOD, 0),
    ('an id without an entry', tree(catalog=GOOD[CATALOG].split(f'-- {B}')[0]), 1),
    ('an entry without an id', tree(catalog=GOOD[CATALOG] + f'-- {"c" * 32}\nSubject: S\nDefined-By: audit-relay\n\nW\n\nD\n'), 1),
    ('an entry that says too little', tree(catalog=GOOD[CATALOG].replace('What.\n\nDo.\n\n', 'What.\n\n')), 1),
    ('an entry that does not end with what to do', tree(catalog=GOOD[CATALOG].replace('Do.\n', 'Reason: @REASON@\n', 1)), 1),
    ('a condition without its reason', tree(catalog=GOOD[CATALOG].replace('Because @REASON@', 'Because')), 1),
    ('a field that no message has', tree(catalog=GOOD[CATALOG].replace('Do.', '@SEASON@')), 2),
    ('a page without the catalog', tree(page=''), 1),
    ('an id that is none', tree(ids=GOOD[IDS].replace(B, 'b' * 31), catalog=GOOD[CATALOG].replace(B, 'b' * 31)), 1),
    ('an id nobody uses', tree(code='state_raise(state, "down", x);\n'), 1),
    ('a condition that is not documented', tree(document=''), 1),
    ('a documented condition that is none', tree(document=GOOD[DOCUMENT] + '| `remote/up` | x | `90-down` |\n'), 1),
    ('a condition that nothing proves', tree(document=GOOD[DOCUMENT].replace('`90-down`', 'x')), 1),
    ('a proof that is not there', tree(document=GOOD[DOCUMENT].replace('90-down', '91-down')), 1),
    ('a condition of another component', tree(document=GOOD[DOCUMENT].replace('### remote', '### dispatcher')), 1),
    ('a raised condition that is none', tree(code=GOOD['src/remote/a.c'] + 'state_clear(\n  s->state, "up");\n'), 1),
    ('a condition with another\'s id', tree(table=GOOD[TABLE].replace('REMOTE_DOWN', 'STARTED')), 2),
]

if __name__ == '__main__':
    check.main(catalog, CASES, 'ids, catalog, conditions and their document agree')
