# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls in C sources and the texts that are in their arguments, for checks that read what the programs say. No compiler: tokens, parentheses,
and which function they stand in are enough for that.
"""

import re
from typing import NamedTuple

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|[A-Za-z_]\w*|\d\w*|\\\n|\s+|->|.', re.DOTALL)
WORD = re.compile(r'[A-Za-z_]\w*')
NOT_CALLS = {'if', 'while', 'for', 'switch', 'return', 'sizeof', 'do', 'else', 'case'}


class Token(NamedTuple):
    text: str
    line: int


class Call(NamedTuple):
    name: str
    line: int
    inside: str     # the function, or macro, that has it
    arguments: list  # of lists of tokens
    outer: tuple    # the calls that it is an argument of, the innermost last: (name, index of the argument)


def tokens(text):
    """Without blanks, comments and what the preprocessor includes; a macro with arguments begins with the token "#define"."""
    line, out, directive = 1, [], False
    for match in TOKEN.finditer(text):
        token = match[0]
        if token == '#' and (not out or out[-1].line < line):
            directive = True
        if token.startswith('\n') or ('\n' in token and token.isspace()):
            directive = False
        if not token.isspace() and not token.startswith(('/*', '//', '\\\n')):
            out.append(Token(token, line))
        line += token.count('\n')
        if directive and token in ('include', 'pragma', 'if', 'ifdef', 'ifndef', 'elif', 'else', 'endif', 'error', 'undef'):
            out[-1:] = []
    return out


def is_part(token):
    """A literal, or a macro beside one."""
    return token.startswith(('"', 'PRI')) or (WORD.fullmatch(token) and token.isupper())


def join(run):
    """One text of literals in a row; a macro among them, such as PRIu64, is a conversion: PRIu64 has its % before it."""
    return ''.join(t[1:-1] if t.startswith('"') else 'u' if t.startswith('PRI') else '%s' for t in run) \
        .replace('\\"', '"').replace('\\n', '\n').replace('\\t', '\t').replace('\\\\', '\\')


def literals(argument):
    """(line, text) of each literal of its own: "a" "b" is one, x ? "a" : "b" are two. What is in a call inside is that call's."""
    depth, run = 0, []
    for token in [*argument, Token(';', 0)]:
        if depth == 0 and is_part(token.text):
            run.append(token)
            continue
        if any(t.text.startswith('"') for t in run):
            yield run[0].line, join([t.text for t in run])
        run = []
        depth += (token.text in '([{') - (token.text in ')]}')


def calls(text):
    """All calls, also of macros, and those that are arguments of others. What is in none, such as `why = "…"`, is one without a name."""
    stream, stack, inside, braces = tokens(text), [], '', 0
    macro_line, bare = 0, []
    for i, token in enumerate(stream):
        before = stream[i - 1].text if i else ''
        if token.text == 'define' and before == '#' and i + 1 < len(stream):
            inside, macro_line = stream[i + 1].text, token.line
        if token.text == '(':
            name = before if WORD.fullmatch(before) and before not in NOT_CALLS else ''
            stack.append([name, token.line, [[]], tuple((s[0], len(s[2]) - 1) for s in stack if s[0])])
        elif token.text == ')' and stack:
            name, line, arguments, outer = stack.pop()
            if not stack and braces == 0 and i + 1 < len(stream) and stream[i + 1].text == '{' and not macro_line:
                inside = name
            elif name:
                yield Call(name, line, inside, arguments, outer)
        elif token.text == ',' and stack and not stack[-1][0] == '':
            stack[-1][2].append([])
            continue
        if token.text in ';{}':
            if bare:
                yield Call('', bare[0].line, inside, [bare], ())
            bare = []
        elif not any(s[0] for s in stack):
            bare.append(token)
        braces += (token.text == '{') - (token.text == '}')
        if macro_line and token.text == '}' and braces == 0:
            macro_line = 0
        for s in stack:
            if s[2][-1] is not None and not (token.text == '(' and s is stack[-1]):
                s[2][-1].append(token)
