#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the programs take and give, one by one, and the manual's tables of it, are the same: options, exit statuses, signals, environment,
verbs of commands and their arguments, keys of plugins.d, reactions, checks, fields, paths, units. Both ways: what the code has is documented, what is
documented is in the code. (Keys: manual.py and tests/unit/test-config-defaults.c. States and MESSAGE_IDs: catalog.py. Metrics: metrics.py.)
"""

import functools
import pathlib
import re

import check

UNITS_PAGE, COMMANDS_PAGE, STATES_PAGE, DOCTOR_PAGE = 'docs/units.md', 'docs/commands.md', 'docs/failure-states.md', 'docs/doctor.md'
PLUGIN_FILE = 'src/generator/plugin-file.c'
VERBS = 'src/tool/main.c'
OPTION = re.compile(r'\{\s*"([a-z][a-z0-9-]*)",\s*(?:no|required|optional)_argument')
UNIT = re.compile(r'audit-relay(?:-[a-z]+)*(?:@[\w-]*)?\.(?:service|socket|target|path|slice)')
# Assignments of sd_notify(3) and fields that the journal itself knows.
NOT_OURS = set('READY STATUS STOPPING RELOADING MONOTONIC_USEC WATCHDOG EXTEND_TIMEOUT_USEC PRIORITY MESSAGE MESSAGE_ID SYSLOG_IDENTIFIER'.split())
# A directory that a page has its reader make.
READERS = {('docs/tls.md', 'tpm')}
LITERAL = re.compile(r'"((?:\\.|[^"\\\n])*)"')


# Asked often; a self-test's root is another one each time.
files = functools.lru_cache(check.files)


@functools.lru_cache
def texts(root, *patterns):
    """The text of all files that match, in one."""
    return '\n'.join(check.read(root, name) for name in files(root)
                     if any(pathlib.PurePath(name).match(pattern) for pattern in patterns))


def code_of(root, *patterns):
    """The same without comments; what begins like one in a literal is none."""
    return re.sub(r'("(?:\\.|[^"\\\n])*")|/\*.*?\*/', lambda m: m[1] or '', texts(root, *patterns), flags=re.DOTALL)


def tables(text, *heads):
    """Rows, as lists of cells, of the tables whose first columns have these names."""
    found = re.finditer(r'^\| ' + r' \| '.join(map(re.escape, heads)) + r' \|.*\n\|[-| ]+\n((?:^\|.*\n?)*)', text, re.MULTILINE)
    return [[cell.strip() for cell in re.split(r'(?<!\\)\|', row.strip().strip('|'))] for match in found for row in match[1].splitlines()]


def quoted(cells):
    """What stands in backquotes in these."""
    return {name for cell in cells for name in re.findall(r'`([^`]+)`', cell)}


def both(page, what, code, said):
    if not code:
        yield f'no {what} found in the code: nothing was checked'
    for name in sorted(code - said):
        yield f'{page}: {what} {name} is missing'
    for name in sorted(said - code):
        yield f'{page}: there is no {what} {name}'


# --- Options and exit statuses: of a verb its --help, which is its manual page; of the daemons a table ---

def verbs_of(root):
    """Each verb, and the text of its sources: those of its folder, or its one file."""
    known = re.findall(r'\{ "([a-z]+)", verb_\w+', check.read(root, VERBS)) or re.findall(r'^\s+\{ "([a-z]+)",', check.read(root, VERBS), re.MULTILINE)
    for verb in known:
        yield verb, texts(root, f'src/tool/{verb}/*.c', f'src/tool/{verb}.c')


def usage_of(text):
    """What its --help says: literals in a row, the first of which begins with "Usage:", and those of calls right behind it."""
    out = ''
    for match in re.finditer(r'printf\(\s*"Usage: .*?\n\}', text, re.DOTALL):
        out += ''.join(LITERAL.findall(match[0])).replace('\\n', '\n')
    return out


def verb_problems(root):
    verbs = dict(verbs_of(root))
    if not verbs:
        yield f'{VERBS}: no verbs found: nothing was checked'
    for verb, text in verbs.items():
        usage = usage_of(text)
        said = set(re.findall(r'^ +(?:-\w )?(?:--[a-z0-9-]+\S* )*--([a-z][a-z0-9-]+)', usage, re.MULTILINE))
        said |= set(re.findall(r'^ +(?:-\w )?--([a-z][a-z0-9-]+)', usage, re.MULTILINE))
        yield from both(f'audit-relay {verb} --help', 'option', set(OPTION.findall(text)), said)
        exits = re.search(r'Exit status:.*', usage, re.DOTALL)
        statuses = {'0', '1', '2'} | set(re.findall(r'\bEXIT_\w+ (?:= )?(\d)\b', text)) | set(re.findall(r'_EXIT_\w+ (\d)\b', text))
        yield from both(f'audit-relay {verb} --help', 'exit status', statuses,
                        set(re.findall(r'(?:: |; )(\d) ', exits[0].replace('\n', ' '))) if exits else set())


def mention_problems(root):
    """What pages have people type: each option is one of its verb."""
    options = {verb: set(OPTION.findall(text)) for verb, text in verbs_of(root)}
    for name in files(root):
        if not re.fullmatch(r'(docs/[\w-]+\.md|README\.md|catalog/.*|units/.*|conf/.*|contrib/.*)', name):
            continue
        for line, text in enumerate(check.read(root, name).split('\n'), 1):
            for command in re.findall(r'\baudit-relay ([a-z]+ [^`#|;&"()]*)', text):
                verb = command.split()[0]
                for option in re.findall(r'(?<=\s)--([a-z][a-z0-9-]*)', command) if verb in options else ():
                    if option not in options[verb]:
                        yield f'{name}:{line}: audit-relay {verb} has no option --{option}'


def program_problems(root):
    page = check.read(root, UNITS_PAGE)
    program, loop = check.read(root, 'src/runtime/program.c'), check.read(root, 'src/runtime/loop.c')
    yield from both(UNITS_PAGE, 'option', set(OPTION.findall(program)),
                    set(re.findall(r'--([a-z-]+)', ' '.join(quoted(row[0] for row in tables(page, 'option'))))))
    yield from both(UNITS_PAGE, 'signal', set(re.findall(r'\bSIG[A-Z0-9]+\b', ''.join(re.findall(r'signals\[\] = \{.*?\}', loop)))),
                    quoted(row[0] for row in tables(page, 'signal')))
    own = set(re.findall(r'#define PROGRAM_EXIT_\w+ (\d+)', check.read(root, 'src/runtime/program.h')))
    yield from both(UNITS_PAGE, 'exit status', {'0', '1'} | own if own else set(), {row[0] for row in tables(page, 'exit status')})
    sources = texts(root, 'src/**/*.c', 'src/*/*.c')
    asked = set(re.findall(r'\b(?:getenv|secure_getenv|read_number)\("(\w+)"', sources))
    given = set(re.findall(r'^Environment=(\w+)=', texts(root, 'units/*', 'units/reactions/*'), re.MULTILINE))
    yield from both(UNITS_PAGE, 'environment variable', asked | given, quoted(row[0] for row in tables(page, 'environment variable')))


# --- Names in tables ---

def table_problems(root):
    text = check.read(root, 'src/dispatcher/command-verb.c')
    rows = tables(check.read(root, COMMANDS_PAGE), 'verb', 'arguments')
    yield from both(COMMANDS_PAGE, 'verb of a command', set(re.findall(r'\[COMMAND_\w+\] = \{ "([a-z-]+)"', text)),
                    {name for name in quoted(row[0] for row in rows) if re.match('[a-wyz]', name)})
    for name, arguments in re.findall(r'\[COMMAND_\w+\] = \{ "([a-z-]+)",([^}]*)\}', text):
        yield from both(COMMANDS_PAGE, f'argument of {name},', set(re.findall(r'NEEDS\((\w+)\)', arguments)),
                        {word for row in rows if f'`{name}`' in row[0] for word in quoted([row[1]]) if re.fullmatch('[A-Z]+', word)})
    yield from both(STATES_PAGE, 'reaction', {pathlib.PurePath(n).stem for n in files(root) if n.startswith('units/reactions/')},
                    quoted(row[0] for row in tables(check.read(root, STATES_PAGE), 'reaction')))
    checks = re.search(r'doctor_checks\[\] = \{.*?\n\};', check.read(root, 'src/tool/doctor/findings.c'), re.DOTALL)
    yield from both(DOCTOR_PAGE, 'check', set(re.findall(r'\{ "(\w+)",', checks[0])) if checks else set(),
                    quoted(row[0] for row in tables(check.read(root, DOCTOR_PAGE), 'check')))


def file_problems(root):
    """plugins.d, which the generator reads; and the keys of a condition's file, which are fields of its message."""
    yield from both(UNITS_PAGE, 'key of plugins.d', set(re.findall(r'strcasecmp\(key, "(\w+)"\)', check.read(root, PLUGIN_FILE))),
                    quoted(row[0] for row in tables(check.read(root, UNITS_PAGE), 'key of plugins.d')))
    sources = code_of(root, *(f'src/{folder}/*.c' for folder in ('runtime', 'dispatcher', 'remote', 'aggregator')))
    fields = set(re.findall(r'write_pair\(to, "([A-Z]+)"', sources))
    fields |= {name for literal in LITERAL.findall(sources) for name in re.findall(r'(?:^|\\n)([A-Z][A-Z_]+)=(?:[%A-Za-z]|$)', literal)}
    yield from both(STATES_PAGE, 'key', fields - NOT_OURS, quoted(row[0] for row in tables(check.read(root, STATES_PAGE), 'key')))


# --- Units and paths ---

def expanded(text):
    """`a.{b,c}` is `a.b` and `a.c`."""
    return re.sub(r'([\w@.-]*)\{([\w,.-]+)\}([\w.-]*)', lambda m: ' '.join(m[1] + part + m[3] for part in m[2].split(',')), text)


def pages(root):
    return [n for n in files(root) if re.fullmatch(r'docs/[\w-]+\.md|README\.md|conf/\w+\.conf|plugins/[\w-]+/README\.md|catalog/.*', n)]


def unit_problems(root):
    units = {pathlib.PurePath(n).name for n in files(root) if re.fullmatch(rf'(units|plugins/[\w-]+)/{UNIT.pattern}', n)}
    own = {n for n in units if (pathlib.Path(root) / 'units' / n).is_file()}
    if not own:
        yield 'units: none found: nothing was checked'
    said = set(UNIT.findall(expanded(check.read(root, UNITS_PAGE))))
    for name in sorted(own - said):
        yield f'{UNITS_PAGE}: {name} is missing'
    for page in pages(root):
        for name in sorted(set(UNIT.findall(expanded(check.read(root, page)))) - units):
            if re.sub(r'@.*\.', '@.', name) not in units:
                yield f'{page}: there is no {name}'


def path_problems(root):
    """Each absolute path of ours that the code or the units know is in a page; what a page names below our directories is known to them."""
    code = code_of(root, 'src/*/*.[ch]', 'src/*/*/*.[ch]')
    used = {path.rstrip('/') for path in re.findall(r'"(/[^"%*\s]+)"', code) if 'audit-relay' in path}
    used |= {line.split()[1] for line in texts(root, 'tmpfiles.d/*').split('\n') if re.match(r'[dz] /', line)}
    used |= set(re.findall(r'^Listen\w+=(/\S+)', texts(root, 'units/*.socket'), re.MULTILINE))
    used = {path for path in used if '%' not in path}
    if not used:
        yield 'no paths found in the code: nothing was checked'
    manual = {page: check.read(root, page) for page in pages(root)}
    for path in sorted(used):
        if not any(re.search(re.escape(path) + r'(?![\w-])', text) for text in manual.values()):
            yield f'{UNITS_PAGE}: the path {path} is in no page'
    known = code + texts(root, 'units/*', 'units/*/*', 'tmpfiles.d/*', 'conf/*', 'conf/*/*', 'meson.build', '*/meson.build', '*/*/meson.build', 'plugins/*/*')
    for page, text in manual.items():
        for top, name in sorted(set(re.findall(r'(/(?:etc|run|usr/lib|usr/share|var/lib)/audit-relay)/([a-z][\w-]*)', text))):
            if (page, name) not in READERS and not re.search(rf'(?<![\w-]){re.escape(name)}(?![\w-])', known):
                yield f'{page}: nothing knows {top}/{name}'


def reference(root):
    yield from verb_problems(root)
    yield from mention_problems(root)
    yield from program_problems(root)
    yield from table_problems(root)
    yield from file_problems(root)
    yield from unit_problems(root)
    yield from path_problems(root)



def tree(**changes):
    good = {
        'main': '        { "look", verb_look, "Looks" },\n',
        'verb': '#define EXIT_BAD 3\nhelp: printf("Usage: audit-relay look\\n"\n  "  -a --all  All\\n"\n  "  --help  This\\n"\n'
                '  "Exit status: 0 done; 1 not; 2 usage; 3 bad.\\n");\n}\n'
                '{ "all", no_argument, NULL, 1 }, { "help", no_argument, NULL, 2 },\nopen("/run/audit-relay/x");\n',
        'program': '{ "config", required_argument, NULL, 1 },\n',
        'loop': 'signals[] = { SIGTERM };\nsnprintf("PEER=%s"); getenv("LISTEN_FDS");\n',
        'verbs': '[COMMAND_LOG] = { "log", NEEDS(PRIORITY), NEEDS(MESSAGE) },\n',
        'findings': 'doctor_checks[] = {\n  { "units", a, "b" },\n};\n',
        'plugin': 'strcasecmp(key, "path")',
        'units': 'Units: `audit-relay-a.{service,socket}`, /run/audit-relay/x\n\n| option | |\n|---|---|\n| `--config=FILE` | |\n\n'
                 '| signal | |\n|---|---|\n| `SIGTERM` | |\n\n| exit status | |\n|---|---|\n| 0 | |\n| 1 | |\n| 78 | |\n\n'
                 '| environment variable | of |\n|---|---|\n| `LISTEN_FDS` | |\n\n| key of plugins.d | |\n|---|---|\n| `path` | |\n',
        'commands': '| verb | arguments | by |\n|---|---|---|\n| `log` | `PRIORITY`, `MESSAGE` | x |\n',
        'states': '| key | value |\n|---|---|\n| `PEER` | x |\n\n| reaction | begin |\n|---|---|\n| `halt` | x |\n',
        'doctor': '| check | warning |\n|---|---|\n| `units` | x |\n\n    audit-relay look --all\n',
    }
    good.update(changes)
    return {VERBS: good['main'], 'src/tool/look/look.c': good['verb'], 'src/runtime/program.c': good['program'],
            'src/runtime/program.h': '#define PROGRAM_EXIT_CONFIG 78\n', 'src/runtime/loop.c': good['loop'],
            'src/dispatcher/command-verb.c': good['verbs'], 'src/tool/doctor/findings.c': good['findings'], PLUGIN_FILE: good['plugin'],
            'units/audit-relay-a.service': '', 'units/audit-relay-a.socket': 'ListenStream=/run/audit-relay/x\n', 'units/reactions/halt.conf': '',
            UNITS_PAGE: good['units'], COMMANDS_PAGE: good['commands'], STATES_PAGE: good['states'], DOCTOR_PAGE: good['doctor']}


GOOD = tree()


def changed(name, old, new, problems=1):
    """One text replaced; `name` as in tree()."""
    path = {'units': UNITS_PAGE, 'commands': COMMANDS_PAGE, 'states': STATES_PAGE, 'doctor': DOCTOR_PAGE, 'verb': 'src/tool/look/look.c',
            'loop': 'src/runtime/loop.c', 'program': 'src/runtime/program.c', 'verbs': 'src/dispatcher/command-verb.c', 'plugin': PLUGIN_FILE,
            'findings': 'src/tool/doctor/findings.c'}[name]
    assert old in GOOD[path], (name, old)
    return (f'{name}: "{old.strip()}" becomes "{new.strip()}"'.replace('\n', ' '), GOOD | {path: GOOD[path].replace(old, new, 1)}, problems)


CASES = [
    ('all agree', GOOD, 0),
    changed('verb', '"  -a --all  All\\n"', ''),
    changed('verb', '{ "all", no_argument, NULL, 1 },', '', 2),
    changed('verb', '3 bad', 'bad'),
    changed('verb', '2 usage', '2 usage; 4 more'),
    changed('doctor', '--all', '--every'),
    changed('program', '"config"', '"file"', 2),
    changed('units', '| `--config=FILE` | |\n', ''),
    changed('loop', 'SIGTERM }', 'SIGTERM, SIGHUP }'),
    changed('units', '| `SIGTERM` | |\n', '| `SIGTERM` | |\n| `SIGUSR2` | |\n'),
    changed('units', '| 78 | |\n', ''),
    changed('loop', 'getenv("LISTEN_FDS")', 'getenv("LISTEN_FDS"); getenv("MORE")'),
    changed('units', '`LISTEN_FDS`', '`LISTEN_FDS`, `LESS`'),
    changed('verbs', '"log"', '"tell"', 4),
    changed('verbs', 'NEEDS(MESSAGE)', 'NEEDS(TEXT)', 2),
    changed('commands', ', `MESSAGE`', ''),
    changed('states', '| `halt` | x |\n', '| `halt` | x |\n| `wait` | x |\n'),
    changed('states', '`PEER`', '`PEERS`', 2),
    changed('findings', '"units"', '"clock"', 2),
    changed('plugin', '"path"', '"paths"', 2),
    changed('units', '{service,socket}', 'service'),
    changed('units', 'Units:', 'Units: audit-relay-b.service'),
    changed('units', ', /run/audit-relay/x', ''),
    changed('units', '/run/audit-relay/x', '/run/audit-relay/x, /run/audit-relay/gone'),
    changed('verb', '"/run/audit-relay/x"', '"/run/audit-relay/y"'),
    ('a reaction that is not documented', GOOD | {'units/reactions/reboot.conf': ''}, 1),
    ('a unit that is not documented', GOOD | {'units/audit-relay-b.path': ''}, 1),
    ('no verbs', tree(main=''), 1),
]

if __name__ == '__main__':
    check.main(reference, CASES, 'the manual has what the programs take and give')
