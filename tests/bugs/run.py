#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every seeded bug is caught by the test that table.py names, and that test passes without it. TAP.

    run.py DIRECTORY [NAME…]     where the test programs are; only these bugs
"""

import concurrent.futures
import os
import re
import subprocess
import sys

import table

# A bug that hangs its test is not caught by it.
TIMEOUT_SEC = 100
ENVIRONMENT = {'CK_TAP_LOG_FILE_NAME': '/dev/stdout', 'CK_VERBOSITY': 'silent', 'CK_DEFAULT_TIMEOUT': '60', 'AUDIT_RELAY_SEED': '1'}
RESULT = re.compile(r'^(not )?ok \d+ - [^:]*:[^:]*:(\w+): ?(.*)$', re.MULTILINE)


def run(directory, bug, name):
    """(whether it fails, why). What has to fail with a bug is the case, where one is named."""
    environment = dict(os.environ, **ENVIRONMENT, AUDIT_RELAY_BUG=name)
    try:
        done = subprocess.run([os.path.join(directory, f"bugs-{bug.test}"), *bug.arguments], env=environment, timeout=TIMEOUT_SEC,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace', check=False)
    except subprocess.TimeoutExpired:
        return None, f'no end within {TIMEOUT_SEC} s'
    except FileNotFoundError as error:
        return None, str(error)
    if bug.case is None or not name:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or ['nothing said']
        failures = [line for line in lines if line.startswith(('not ok', '# FAILED'))] or lines[-1:]
        return done.returncode != 0, failures[0]
    results = [result for result in RESULT.findall(done.stdout) if result[1] == bug.case]
    if not results:
        return None, f'there is no {bug.case} in {bug.test} (exit status {done.returncode})'
    failures = [why for bad, _, why in results if bad]
    return bool(failures), failures[0] if failures else 'passed'


def judge(directory, bug, seeded):
    """(title, whether it is as it must be, why)."""
    program = ' '.join([bug.test, *bug.arguments])
    failed, why = run(directory, bug, bug.name if seeded else '')
    if seeded:
        return f'{bug.name} is caught by {program}{", " + bug.case if bug.case else ""}', failed is True, why
    return f'{program} passes without a bug', failed is False, why


def main(directory, names):
    bugs = [bug for bug in table.BUGS if not names or bug.name in names]
    places = {(bug.test, tuple(bug.arguments)): bug for bug in bugs}
    tasks = [(bug, False) for bug in places.values()] + [(bug, True) for bug in bugs]
    failed = 0
    print(f'1..{len(tasks)}')
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, (title, good, why) in enumerate(pool.map(lambda task: judge(directory, *task), tasks), 1):
            failed += not good
            print(f'{"ok" if good else "not ok"} {number} - {title}')
            print(f'# {why}'[:240], flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2:]))
