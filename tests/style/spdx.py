#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The licence stands in the first line of every file that can have a comment, or behind a script's #!."""

import check

LINE = 'SPDX-License-Identifier: LGPL-2.1-or-later'
# Documents for reading, data, and what is fed to tests byte by byte.
WITHOUT_SUFFIX = ('.md', '.log', '.json', '.jsonl', '.pem', '.bin', '.zst')
WITHOUT_FOLDER = ('tests/fuzz/corpus/', 'tests/data/', 'tests/unit/data/')
WITHOUT_NAME = ('LICENSE', '.gitignore', '.editorconfig')
# Debian's formats, which have no comments.
WITHOUT_PATH = ('debian/changelog', 'debian/copyright', 'debian/source/format')


def spdx(root):
    for name in check.files(root):
        if name.endswith(WITHOUT_SUFFIX) or name.startswith(WITHOUT_FOLDER) or name.split('/')[-1] in WITHOUT_NAME or \
                name in WITHOUT_PATH:
            continue
        lines = check.read(root, name).split('\n', 3)[:3]
        # What must stand first for others to find it.
        while len(lines) > 1 and lines[0].startswith(('#!', '# shellcheck ', '#compdef ')):
            del lines[0]
        if LINE not in lines[0]:
            yield f'{name}: the first line does not say "{LINE}"'


C = f'/* {LINE} */\n'
CASES = [
    ('all have it', {'a.c': C, 'b': f'#!/bin/sh\n# {LINE}\n', 'c.service': f'# {LINE}\n', 'd.md': 'text', 'LICENSE': 'x'}, 0),
    ('none has it', {'a.c': '', 'b': '#!/bin/sh\n', 'c.service': '[Unit]\n'}, 3),
    ('too late', {'a.c': '\n' + C, 'b': f'#!/bin/sh\n\n# {LINE}\n'}, 2),
    ('another licence', {'a.c': '/* SPDX-License-Identifier: MIT */\n'}, 1),
]

if __name__ == '__main__':
    check.main(spdx, CASES, 'every file says its licence')
