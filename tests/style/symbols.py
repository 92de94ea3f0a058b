#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Floors 0 and 1 are pure: their objects call nothing but each other and the library functions listed here. No sockets, no
clock, no threads, no environment. System calls for files are in two objects, where the tests replace them.

    symbols.py LIBRARY...     the static libraries of floors 0 and 1
"""

import re
import subprocess
import sys

PURE = set('''
memcpy memmove memset memcmp bcmp memchr memrchr memmem mempcpy explicit_bzero
strlen strnlen strcmp strncmp strcasecmp strncasecmp strchr strchrnul strrchr strstr strspn strcspn strdup strndup strcpy stpcpy
strtoul strtoull strtol strtoll snprintf vsnprintf sscanf __isoc99_sscanf qsort bsearch
tsearch tfind twalk_r tdestroy
malloc calloc realloc reallocarray free aligned_alloc posix_memalign
gmtime_r timegm __errno_location __assert_fail abort __stack_chk_fail _GLOBAL_OFFSET_TABLE_ __ctype_b_loc
mark_hit step_hit audit_msg_type_to_name audit_name_to_msg_type
'''.split())
PREFIXES = re.compile(r'ZSTD_|XXH|__(asan|ubsan|lsan|tsan|msan|sanitizer|gcov|llvm|sancov)_')
# FORTIFY's names for the same functions.
FORTIFIED = re.compile(r'__(\w+)_chk$')

# The objects that do the system calls for files, and nothing else of the world outside.
FILES = {'disk.c.o', 'ring-file.c.o'}
FILE_CALLS = set('''
open openat close read pread write pwrite pwritev preadv fsync fdatasync fallocate posix_fallocate ftruncate
fstat fstatat stat lstat fstatvfs flock rename renameat renameat2 unlink unlinkat linkat symlinkat readlinkat mkdir mkdirat
fdopendir opendir readdir closedir rewinddir dirfd mmap munmap mlock msync madvise getrandom fcntl fchmod dup sysconf
'''.split())


def allowed(symbol, obj):
    fortified = FORTIFIED.match(symbol)
    name = fortified.group(1) if fortified else symbol
    if name in PURE or symbol in PURE or PREFIXES.match(symbol):
        return True
    return obj in FILES and (name in FILE_CALLS or (name.endswith('64') and name[:-2] in FILE_CALLS))


def judge(undefined, defined):
    """undefined: (object, symbol); defined: all symbols that floors 0 and 1 define."""
    for obj, symbol in undefined:
        if symbol not in defined and not allowed(symbol, obj):
            yield f'{obj} calls {symbol}()'


def symbols(libraries):
    undefined, defined = [], set()
    for library in libraries:
        out = subprocess.run(['nm', '-A', library], check=True, capture_output=True, text=True).stdout
        for line in out.splitlines():
            # "library.a:object: ADDRESS T name" and "library.a:object:  U name"
            match = re.search(r':([^:]+\.o):\s*([0-9a-f]*)\s+(\w)\s+(\S+)$', line)
            if match:
                obj, kind, symbol = match.group(1).rsplit('/', 1)[-1], match.group(3), match.group(4)
                if kind in 'Uwv':
                    undefined.append((obj, symbol))
                else:
                    defined.add(symbol)
            elif line.strip():
                raise SystemExit(f'cannot read the line "{line}" of nm')
    if not undefined or not defined:
        raise SystemExit('nm found no symbols: nothing was checked')
    return undefined, defined


def self_test():
    cases = [
        ([('a.c.o', 'memcpy'), ('a.c.o', '__memcpy_chk'), ('a.c.o', 'ours'), ('a.c.o', 'ZSTD_x')], 0),
        ([('a.c.o', 'socket')], 1),
        ([('a.c.o', 'clock_gettime'), ('a.c.o', 'pthread_create'), ('a.c.o', 'getenv')], 3),
        ([('a.c.o', 'open64'), ('disk.c.o', 'open64'), ('ring-file.c.o', 'mmap')], 1),
        ([('disk.c.o', 'connect'), ('disk.c.o', 'clock_gettime')], 2),
    ]
    print(f'1..{len(cases)}')
    failed = 0
    for i, (undefined, expected) in enumerate(cases, 1):
        good = len(list(judge(undefined, {'ours'}))) == expected
        failed += not good
        print(f'{"ok" if good else "not ok"} {i} - {undefined[0][1]} in {undefined[0][0]}')
    return failed


if __name__ == '__main__':
    if sys.argv[1:] == ['--self-test']:
        sys.exit(1 if self_test() else 0)
    problems = sorted(set(judge(*symbols(sys.argv[1:]))))
    for problem in problems:
        print(f'# {problem}')
    print(f'{"not ok" if problems else "ok"} 1 - floors 0 and 1 are pure\n1..1')
    sys.exit(1 if problems else 0)
