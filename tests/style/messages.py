#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads through all messages: what the programs log and print on stderr says what happened, to what, why, and what to do next.

They are found in the sources, not listed here: the texts in calls of log_…(), fprintf(stderr), syslog(), and in calls of the functions that
only hand a text on to these. Every other text that reads like a sentence (a reason, a refusal, a finding) is held to the rules of wording.

An error or a warning says what to do next by itself (ADVICE), or by its MESSAGE_ID, whose entry in the catalog does (catalog.py sees to that), or
in a row of docs/messages.md, "What to do": one for each message that needs it, none for one that there is not.
"""

import ast
import functools
import pathlib
import re
from typing import NamedTuple

import check
import csource

PAGE = 'docs/messages.md'
LOG_H = 'src/runtime/log.h'
# What says a text: which argument it is, and how grave. log_message() has its priority and MESSAGE_ID before it.
SAY = {'log_error': (0, 'error'), 'log_warning': (0, 'warning'), 'log_notice': (0, 'notice'), 'log_info': (0, 'notice'), 'log_debug': (0, 'notice'),
       'log_message': (3, ''), 'syslog': (1, 'error'), 'fprintf': (1, 'error'), 'fputs': (0, 'error')}
# They hand a text on that others have, with a name before it.
EVERYWHERE = {'generator_say': ('error', False, True)}
PRIORITIES = {'LOG_EMERG': 'error', 'LOG_ALERT': 'error', 'LOG_CRIT': 'error', 'LOG_ERR': 'error', 'LOG_WARNING': 'warning'}
CONVERSION = re.compile(r'%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|z|j|t)?[a-zA-Z]')
# What a system call or a library says of its failure.
REASON = re.compile(r'(?:gai_|gnutls_)?strerror|\w+_reason|why\w*|\w+_why|\w+_complaint')
# These give advice with it.
ADVISING = re.compile(r'tool_reason|log_merge_reason')

# --- The rules ---

# By itself a message says what to do if it names a command, an option or a page, or has a clause that begins with one of these verbs, or says what is
# expected, or that the program tries it again by itself.
VERBS = ('add|answer|ask|begin|call|check|choose|compare|copy|correct|enlarge|exchange|give|install|issue|keep|link|list|look|lower|make|move|name|put|raise|remove|'
         'rename|renew|repair|restart|restore|run|say|see|send|set|start|stop|unlock|use|wait|write')
ADVICE = re.compile(rf"""`[^`]+`|"audit-relay\ |\baudit-relay\ [a-z]+\ [a-z-]|--help|--[a-z]+=[A-Z]+\ says|\b(?:journalctl|systemctl|auditctl)\b   # what to type
    |(?:^|[:;,(]\ )(?:{VERBS})\ [\w"'%-]|\ and\ (?:{VERBS})\ (?:it|them|the)\b|:\ (?:{VERBS})\ [A-Z-]                       # a clause
    |\bexpected\b|\bneeds?\b|\bmust\b|\b(?:has|have)\ to\b|\bis\ missing\b|\bat\ most\b|\bat\ least\b|\bsuch\ as\b|letters,\ digits
    |\bdo(?:es)?\ not\ go\ with\b|\bis\ for\ [A-Z]|\bonly\ members\ of\b|\bfrom\ \d+\ to\b                                   # what would be right
    |\btrying\ again\b|\bwaiting\ for\ it\b|\btried\ again\b|\bgoes\ on\b|\bstays\ as\ it\ was\b|[Nn]othing\ is\ lost                             # nothing need be done
    """, re.VERBOSE)
BARE = re.compile(r'(?:an? )?(?:[Ee]rror|[Ff]ail(?:ed|ure)|[Ii]nvalid(?: \w+)?|[Ii]llegal(?: \w+)?|[Uu]nknown error|[Ii]nternal error|[Oo]ops)(?:: %s)?')
UNHELPFUL = re.compile(r'\b(?:[Ff]ailed to|[Uu]nable to|[Ii]nvalid|[Ii]llegal|[Oo]ops|[Pp]lease|[Ss]orry|[Ii]nternal error|[Uu]nexpected error)\b')
JARGON = re.compile(r'\b\w+\(\)|\berrno\b|\bNULL\b|\bnullptr\b|\bmalloc\b|\bsegfault\b|\bcallback\b|\bstruct\b|\bret(?:urn)? ?code\b|\b[rR]c=|\bfd\b|\bE[A-Z]{3,}\b')
# Capitals with '_' are names of constants, but for those that people type or read elsewhere.
CONSTANT = re.compile(r'(?<![\w$-])[A-Z][A-Z0-9]*_[A-Z0-9_]+\b')
KNOWN = re.compile(r'CAP_\w+|AF_\w+|GRUB_CMDLINE_LINUX|LC_ALL|DAEMON_ERR|USER_\w+|LISTEN_\w+|CN_\w+')
# There is one of these on a host, or it is the program that speaks.
UNIQUE = re.compile(r"""\b(?:dispatcher|remote|aggregator|collector|auditd|systemd|kernel|kernel's|journal|ring|store|stores|state|clock|audit\ socket|standard\ input|
    standard\ output|audit\ log|command|cursor|verb|stream|producers?|reader|connection|timer|certificate|signing\ key|checkpoint|TLS|peers\.d|subscribers\.d|arguments?|options?|conditions?|messages?|host|log|mark|records?|plugin|table|request|audit-relay\ [a-z]+:)""", re.VERBOSE | re.IGNORECASE)


# Printed on standard error, and no complaint: nothing is to be done.
EXEMPT = {
    'Made a certificate for the … "…", valid until …; its key: …': 'said beside standard output, which has the certificate',
    'The key of this request: …': 'likewise: it is compared with what the CA says',
    'Paste …, and end with Ctrl-D:': 'asks for input',
    'Sent … records, … acked': 'the sum at the end',
    '; see --help': 'the end of a list of what is expected',
}


# What tools/ say besides: what there is to choose from, and where the rest stands.
TOOL_ADVICE = re.compile(r'\bthere are: |\bgoes with\b|, see |: %s$')


class Message(NamedTuple):
    path: str
    line: int
    text: str
    level: str      # error, warning, notice; part: of a message that is elsewhere
    has_id: bool
    has_reason: bool  # an argument says why
    advised: bool   # and what to do about it, or another argument does
    prefixed: bool  # who hands it on says what it is about before it
    number: bool    # an argument is an errno as a number


def key(text):
    """As it stands in the page: what is filled in is "…"."""
    text = re.sub(r'(?:…)(?:\s*…)*', '…', CONVERSION.sub('…', text.strip().replace('%%', '%')))
    return re.sub(r'\s+', ' ', text)


def reason_stripped(text):
    return re.sub(r'(?:: | \()?%s\)?$', '', text)


def wording(text):
    """Complaints about the words of any text. Fields, and assignments of sd_notify(3), have their names in capitals."""
    text = re.sub(r'(?m)^[A-Z_]+=', '', text)
    plain = CONVERSION.sub('', text.replace('%%', '%')).strip()
    if re.search(r'[^.…]\.$', plain) or plain.endswith('!'):
        yield 'ends like a sentence: no message has a full stop'
    if '  ' in text.strip() and not re.search(r'  +# ', text):
        yield 'has two blanks in a row'
    if BARE.fullmatch(text.strip()):
        yield 'says neither what nor why'
    for word in UNHELPFUL.findall(text):
        yield f'"{word}": say what cannot be done, or what is expected'
    for word in JARGON.findall(text) + [w for w in CONSTANT.findall(text) if not KNOWN.fullmatch(w)]:
        yield f'"{word}" is for programmers'


def judged(message, rows):
    """Complaints about a whole message."""
    text = message.text.strip('\n')
    words = re.findall(r'[A-Za-z]{2,}', CONVERSION.sub('', text))
    if not message.prefixed and not re.match(r'[A-Z%"«…-]|audit-relay|auditd|plugin-exec|/|[a-z.]+\.(?:conf|d)\b', text):
        yield 'begins neither with a capital nor with what it is about'
    if not words:
        yield 'says no word of what happened'
    if message.number:
        yield 'has an errno as a number'
    if re.search(r'\b[Cc]annot\b|\bcould not\b', text) and not re.search(r'[:(;,] ?\S', re.sub(r'^(?:audit-relay(?: [a-z]+)?|[a-z]+-[a-z-]+): ', '', text)):
        yield 'does not say why'
    if message.has_reason and not re.search(r'[:(] ?"?%(?:\.\*)?s|%s\)|, %s|^%s', text):
        yield 'the reason does not stand behind ": " or in brackets'
    if message.level in ('error', 'warning'):
        rest = reason_stripped(text) if message.has_reason else text
        if not message.prefixed and not CONVERSION.search(rest) and not re.search(r'"|--[a-z]|[A-Z]\w*=|\b[A-Z]{4,}\b', rest) and not UNIQUE.search(rest):
            yield 'does not say what it is about'
        if not message.has_id and not message.advised and not ADVICE.search(text) and key(text) not in rows:
            yield f'does not say what to do, and has no row in {PAGE}: | `{key(text)}` |'


# --- Where they are ---

def is_sentence(text):
    """Two words with a blank between them: not a path, a format, a list of names."""
    return re.search(r"[A-Za-z']{2,},? (?:[a-z%\"]|[A-Z]\w+)", CONVERSION.sub('%', text)) is not None and re.search('[a-z]{2}', text) is not None


# Not said when something goes wrong: help, output that was asked for, files that are written, SQL-like formats.
NOT_MESSAGES = re.compile(r'status_\w+|count_of_peers|METRIC|_Static_assert|printf|puts|printf_\w+|mark_hit|program_arguments|BOUNDED|KEY|DISPATCHER|SUBSCRIBER|'
                          r'put_\w+|add_format|text_addf|strstr|strcmp|memcpy|getopt_long|DEFINE_\w+|print_titled|json_\w+|table_\w+|row')


class Source(NamedTuple):
    path: str
    calls: list


@functools.lru_cache
def sources(root):
    return [Source(n, list(csource.calls(check.read(root, n)))) for n in check.files(root) if re.fullmatch(r'(?:src|plugins)/.*\.[ch]', n)]


def named(argument):
    return {token.text for token in argument}


def said_by(call, say):
    """(index of the text, level, has an id) if the call says something."""
    if call.name not in say:
        return None
    index, level, *has_id = say[call.name]
    if call.name in ('fprintf', 'fputs', 'dprintf'):
        stream = call.arguments[0 if call.name == 'fprintf' else -1]
        return (index, level, False) if 'stderr' in named(stream) else None
    if call.name in ('log_message', 'syslog') and len(call.arguments) > index:
        level = PRIORITIES.get(next((w for w in sorted(named(call.arguments[0])) if w in PRIORITIES), ''), 'notice')
        return index, level, call.name == 'log_message' and 'NULL' not in named(call.arguments[1])
    return (index, level, bool(has_id and has_id[0])) if len(call.arguments) > index else None


def only_hands_on(text):
    return not re.search(r'[A-Za-z]{2,}', re.sub(r'^(?:audit-relay(?: \w+)?|plugin-exec|<\w+>): ', '', CONVERSION.sub('', text)))


def handlers(source_list, say):
    """Functions that only hand a text on: {(path, function): (level, has an id, prefixed)}."""
    found = {}
    for source in source_list:
        for call in source.calls:
            said = said_by(call, say)
            if not said or call.inside in say:
                continue
            texts = [text for _, text in csource.literals(call.arguments[said[0]])]
            handed = [w for a in call.arguments[said[0]:] for w in named(a)]
            if (not texts or all(only_hands_on(t) for t in texts)) and not any(REASON.fullmatch(w) and w.endswith('error') for w in handed):
                found[source.path, call.inside] = (said[1], said[2], any(CONVERSION.sub('', t).strip() for t in texts))
    return found


def messages(root):
    """All of them: whole ones, and parts."""
    found = handlers(sources(root), SAY)
    for path, calls in sources(root):
        for call in calls:
            said = said_by(call, SAY)
            handed = EVERYWHERE.get(call.name) or found.get((path, call.name))
            for index, argument in enumerate(call.arguments):
                for line, text in csource.literals(argument):
                    whole = (said and index == said[0]) or (handed and is_sentence(text))
                    if not whole and (not is_sentence(text) or NOT_MESSAGES.fullmatch(call.name) or
                                      (call.name in ('fprintf', 'fputs') and not said)):
                        continue
                    level, has_id, prefixed = ((*said[1:], False) if said else handed) if whole else ('part', True, False)
                    rest = [a for a in call.arguments[index + 1:]]
                    reason = any(REASON.fullmatch(w) for a in rest for w in named(a))
                    advised = any(ADVISING.fullmatch(w) for a in rest for w in named(a)) or \
                        any(ADVICE.search(t) for a in rest for _, t in csource.literals(a))
                    number = any([t.text for t in a if t.text != '-'] in (['errno'], ['r'], ['error']) for a in rest)
                    yield Message(path, line, text, level, has_id, reason, advised, prefixed, number)


def finding_problems(root):
    """What `audit-relay doctor` finds wrong has what to type beside it."""
    for path, calls in sources(root):
        for call in calls:
            if call.name == 'doctor_say' and len(call.arguments) > 3 and 'DOCTOR_OK' not in named(call.arguments[1]) and \
                    named(call.arguments[2]) & {'NULL', '""'}:
                yield f'{path}:{call.line}: a finding without what to do'


# --- Tools: Python and shell ---

def python_texts(text):
    """(line, what is printed on standard error, or ends the program with a text)."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = ast.unparse(node.func)
        to_stderr = function == 'print' and any(k.arg == 'file' and 'stderr' in ast.unparse(k.value) for k in node.keywords)
        if to_stderr or function in ('sys.exit', 'SystemExit', 'parser.error', 'sys.stderr.write'):
            value = node.args[0]
            parts = value.values if isinstance(value, ast.JoinedStr) else [value]
            said = ''.join(str(p.value) if isinstance(p, ast.Constant) else '%s' for p in parts)
            if any(isinstance(p, ast.Constant) and isinstance(p.value, str) for p in parts):
                # argparse says which program it is, and its usage before it.
                yield node.lineno, said if function != 'parser.error' else 'audit-relay tool: ' + said + '; see --help'


def shell_texts(text):
    for number, line in enumerate(text.split('\n'), 1):
        for said in re.findall(r'\becho "((?:\\.|[^"\\])*)" >&2|^\s*(?:\S.*(?:\|\||&&) )?(?:fail|die) "((?:\\.|[^"\\])*)"', line):
            yield number, re.sub(r'\$(?:\{[^}]*\}|\([^)]*\)|\w+|[*@#?])', '%s', said[0] or said[1])


def tool_problems(root):
    """Those of tools/ begin with the tool's name."""
    for path in check.files(root):
        if not path.startswith('tools/') or path.count('/') > 1:
            continue
        text = check.read(root, path)
        texts = list(python_texts(text)) if 'python' in text[:40] else list(shell_texts(text)) if 'bash' in text[:40] else []
        for line, said in texts:
            rest = re.sub(r'^(?:[\w-]+|audit-relay tool): ', '', said)
            complaints = [*wording(said)]
            if rest == said and 'fail ' not in text.split('\n')[line - 1]:
                complaints.append('does not begin with the name of the tool')
            if re.search('[a-z]{2}', CONVERSION.sub('', rest)) and not ADVICE.search(rest) and not TOOL_ADVICE.search(rest):
                complaints.append('does not say what to do')
            yield from (f'{path}:{line}: "{said}": {complaint}' for complaint in complaints)


def usage(text):
    return re.match(r'[Uu]sage:|\n  --help', text)


def rows(root):
    part = check.read(root, PAGE).partition('## What to do\n')[2].partition('\n## ')[0]
    return [row for row in re.findall(r'^\| `([^`]+(?:`[^|`]*`[^|`]*)*)` \|', part, re.MULTILINE)]


def read_through(root):
    table = rows(root)
    everything = [m for m in messages(root) if not usage(m.text)]
    all_messages = [m for m in everything if key(m.text) not in EXEMPT]
    if not all_messages:
        yield 'no messages found: nothing was checked'
    for message in all_messages:
        text = message.text.strip('\n')
        if only_hands_on(text) and not message.has_reason:
            continue
        for complaint in [*wording(text), *(judged(message, set(table)) if message.level != 'part' else ())]:
            yield f'{message.path}:{message.line}: "{text}": {complaint}'
    said = {key(m.text) for m in all_messages if m.level != 'part'}
    for row in table:
        if row not in said:
            yield f'{PAGE}: nothing says `{row}`'
    for text in sorted(set(EXEMPT) - {key(m.text) for m in everything}) if (pathlib.Path(root) / LOG_H).is_file() else ():
        yield f'tests/style/messages.py: nothing says "{text}": it need not be exempt'
    yield from finding_problems(root)
    yield from tool_problems(root)
    for row in sorted({row for row in table if table.count(row) > 1}):
        yield f'{PAGE}: `{row}` is there twice'



def tree(code, *table, **files):
    """One function with this code, and a page with these rows."""
    page = '## What to do\n\n| message | what to do |\n|---|---|\n' + ''.join(f'| `{row}` | x |\n' for row in table) + '\n## Other\n| `no row` | x |\n'
    return {'src/remote/a.c': f'static int f(void)\n{{\n        {code}\n}}\n', PAGE: page} | files


HELPER = 'static int wrong(const char *what) { log_message(LOG_ERR, NULL, NULL, "%s", what); }\nstatic int g(void) { return '
CASES = [
    ('what to do is in it', tree('log_error("Cannot read %s: %s; give it to remote: chown audit-relay-remote", path, strerror(errno));'), 0),
    ('or in a row', tree('log_error("Cannot read %s: %s", path, strerror(errno));', 'Cannot read …: …'), 0),
    ('or nowhere', tree('log_error("Cannot read %s: %s", path, strerror(errno));'), 1),
    ('or by its MESSAGE_ID', tree('log_message(LOG_ERR, MESSAGE_ID_X, NULL, "Cannot read %s: %s", path, strerror(errno));'), 0),
    ('which is none', tree('log_message(LOG_ERR, NULL, NULL, "Cannot read %s: %s", path, strerror(errno));'), 1),
    ('or by the reason', tree('fprintf(stderr, "Cannot read %s: %s\\n", path, tool_reason(r));'), 0),
    ('a notice needs none', tree('log_notice("Took over %u records", n);'), 0),
    ('what is on standard output is no message', tree('log_notice("All is well"); fprintf(out, "%s: failed to do it.\\n", path);'), 0),
    ('a row for what nobody says', tree('log_notice("All is well");', 'Cannot write …: …'), 1),
    ('a row twice', tree('log_error("Cannot read %s: %s", path, strerror(errno));', 'Cannot read …: …', 'Cannot read …: …'), 1),
    ('nothing at all', {PAGE: '', 'src/remote/a.c': ''}, 1),
    ('nothing but the reason', tree('log_error("%s: %s", path, strerror(errno));', '…: …'), 1),
    ('no reason', tree('log_error("Cannot read %s", path);', 'Cannot read …'), 1),
    ('no object', tree('log_error("Cannot do it: %s", strerror(errno));', 'Cannot do it: …'), 1),
    ('an errno as a number', tree('log_error("Cannot read %s: %d", path, errno);', 'Cannot read …: …'), 1),
    ('a small letter', tree('log_error("cannot read %s: %s", path, strerror(errno));', 'cannot read …: …'), 1),
    ('a full stop', tree('log_error("Cannot read %s: %s.", path, strerror(errno));', 'Cannot read …: ….'), 1),
    ('failed', tree('log_error("Failed to read %s: %s", path, strerror(errno));', 'Failed to read …: …'), 1),
    ('a bare text', tree('log_error("Invalid argument");', 'Invalid argument'), 2),
    ('a function', tree('log_error("Cannot read %s by read(): %s", path, strerror(errno));', 'Cannot read … by read(): …'), 1),
    ('an errno by name', tree('log_error("Cannot read %s: ENOSPC; make room", path);'), 1),
    ('a constant', tree('log_error("Cannot read %s: more than BATCH_MAX; make it smaller", path);'), 1),
    ('a text over two lines, and a macro in it', tree('log_error("Cannot take %" PRIu64\n " records: %s",\n n, why);', 'Cannot take … records: …'), 0),
    ('two texts', tree('log_warning(a ? "%s is wrong: give another" : "%s is not right", path);'), 1),
    ('a text that is handed on', {PAGE: '', 'src/remote/a.c': HELPER + 'wrong("Collector= is not good"); }\n'}, 1),
    ('one that says what to do', {PAGE: '', 'src/remote/a.c': HELPER + 'wrong("Collector= is missing: the host to send to"); }\n'}, 0),
    ('a reason with a full stop', tree('outlet_end(outlet, X, "the receiver is stopping."); log_notice("All is well");'), 1),
    ('a reason for programmers', tree('*ret_why = refuse(x, "the frame is NULL"); log_notice("All is well");'), 1),
    ('a reason that is assigned', tree('log_notice("All is well"); *ret_why = "the key is bad.";'), 1),
    ('one that is returned', tree('log_notice("All is well"); return r < 0 ? "out of memory" : "invalid key";'), 2),
    ('one in a table', tree('log_notice("All is well"); static const char *const why[] = { "no memory", "bad key!" };'), 1),
    ('help is none', tree('fprintf(stderr, "usage: %s /PATH\\n", argv[0]); log_notice("All is well");'), 0),
    ('a finding without what to do', tree('doctor_say(d, DOCTOR_WRONG, NULL, "the clock is off"); log_notice("All is well");'), 1),
    ('one with it', tree('doctor_say(d, DOCTOR_WRONG, "timedatectl", "the clock is off"); log_notice("All is well");'), 0),
    ('a plugin is read, too', tree('log_notice("All is well");') | {'plugins/a/a.c': 'int f(void)\n{\nlog_error("Cannot do %s: %s", x, strerror(errno));\n}\n'}, 1),
    ('a tool in shell', tree('log_notice("All is well");', **{'tools/a': '#!/bin/bash\necho "a: no option $1; see --help" >&2\n'}), 0),
    ('one that does not help', tree('log_notice("All is well");', **{'tools/a': '#!/bin/bash\necho "wrong option $1" >&2\n'}), 2),
    ('a tool in Python', tree('log_notice("All is well");', **{'tools/a': '#!/usr/bin/env python3\nimport sys\nsys.exit(f"a: {x} is broken.")\n'}), 2),
]

if __name__ == '__main__':
    check.main(read_through, CASES, 'each message says what happened, to what, why, and what to do')
