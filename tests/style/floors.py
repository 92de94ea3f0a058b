#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A floor includes only itself and lower floors; folders of one floor do not include each other."""

import re

import check

FLOORS = {
    'basic': 0,
    'record': 1, 'link': 1, 'store': 1, 'ring': 1, 'stock': 1,
    'runtime': 2, 'lib': 2,
    'dispatcher': 3, 'remote': 3, 'aggregator': 3, 'tool': 3,
    # Two programs of a few lines that need nothing of ours.
    'generator': 3, 'state-hold': 3, 'plugin-exec': 3, 'auditd-plugin': 3,
}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
# What only floor 2 and above may know. (<sys/socket.h> is there for its types; symbols.py sees calls.)
SYSTEM = re.compile(r'^\s*#\s*include\s*<((?:systemd|gnutls|netinet|arpa|netdb|sys/epoll|pthread)[^>]*)>', re.MULTILINE)
SYSTEM_FLOOR = 2


def floors(root):
    for name in check.files(root):
        parts = name.split('/')
        if parts[0] != 'src' or len(parts) < 3 or not name.endswith(('.c', '.h')):
            continue
        folder = parts[1]
        if folder not in FLOORS:
            yield f'{name}: src/{folder} is on no floor'
            continue
        text = check.read(root, name)
        for included in INCLUDE.findall(text):
            other = included.split('/')[0]
            if '/' not in included or other not in FLOORS:
                yield f'{name}: "{included}" must be written "FOLDER/file.h", with a folder of src'
            elif FLOORS[other] > FLOORS[folder]:
                yield f'{name}: "{included}" is upstairs'
            elif FLOORS[other] == FLOORS[folder] and other != folder:
                yield f'{name}: "{included}" is next door'
        if FLOORS[folder] < SYSTEM_FLOOR:
            for included in SYSTEM.findall(text):
                yield f'{name}: <{included}> is for floor {SYSTEM_FLOOR} and above'


CASES = [
    ('downwards and within a folder', {'src/store/a.c': '#include "store/a.h"\n#include "basic/b.h"\n#include <errno.h>\n',
                                       'src/tool/a.c': '#include "runtime/a.h"\n#include "link/a.h"\n'}, 0),
    ('upwards', {'src/basic/a.h': '#include "store/a.h"\n', 'src/link/a.c': '# include "runtime/log.h"\n'}, 2),
    ('sideways on floor 1', {'src/ring/a.c': '#include "store/a.h"\n'}, 1),
    ('sideways on floor 3', {'src/remote/a.c': '#include "dispatcher/a.h"\n'}, 1),
    ('without its folder', {'src/store/a.c': '#include "a.h"\n#include "../link/frame.h"\n'}, 2),
    ('a folder on no floor', {'src/attic/a.c': ''}, 1),
    ('threads and systemd on floor 1', {'src/link/a.c': '#include <pthread.h>\n#include <systemd/sd-event.h>\n',
                            'src/runtime/a.c': '#include <pthread.h>\n'}, 2),
    ('tests may include what they like', {'tests/unit/a.c': '#include "check-main.h"\n#include "store/a.h"\n'}, 0),
]

if __name__ == '__main__':
    check.main(floors, CASES, 'floors include downwards only')
