#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts test results of all kinds, one line a result: "passed NAME", "failed NAME: WHY" or "skipped NAME: WHY".

    tally.py meson SUITE TESTLOG.json      lines from a log of `meson test`; a TAP test's subtests count one by one
    tally.py tap SUITE FILE STATUS         lines from a program's TAP output and its exit status
    tally.py sum SUITE FILE SECONDS        what a file of such lines adds up to; nothing executed is a failure (added to the file)
    tally.py verdict FILE SKIPS            failures and skips by name, then the closing line; exit status 1 if anything failed.
                                           SKIPS: regular expressions of what may be skipped; with CI=true any other has failed
"""

import json
import os
import re
import sys

TAP_LINE = re.compile(r"^(not )?ok\b\s*(\d*)\s*-?\s*(.*?)(?:\s*#\s*(SKIP|TODO)\b\s*(.*))?$", re.IGNORECASE)
TAP_PLAN = re.compile(r"^1\.\.(\d+)(?:\s*#\s*SKIP\b\s*(.*))?", re.IGNORECASE)

# What meson and automake take for "skipped".
SKIP_STATUS = 77


def tap_results(name, text, status):
    """The results in TAP output; what a program promised and did not deliver has failed."""
    results, planned = [], None
    for line in text.splitlines():
        plan = TAP_PLAN.match(line)
        if plan:
            planned = int(plan.group(1))
            if planned == 0:
                results.append(("skipped", name, plan.group(2) or "no reason given"))
            continue
        test = TAP_LINE.match(line)
        if not test:
            continue
        bad, _, description, directive, reason = test.groups()
        if directive and directive.upper() == "SKIP":
            results.append(("skipped", f"{name}: {description}", reason or "no reason given"))
        else:
            results.append(("failed" if bad else "passed", f"{name}: {description}", ""))
    ran = sum(1 for result in results if result[1] != name)
    if planned is None or ran < planned:
        results.append(("failed", name, f"ended early: {ran} of {'?' if planned is None else planned} results, status {status}"))
    elif status not in (0, SKIP_STATUS if planned == 0 else 0) and not any(result[0] == "failed" for result in results):
        results.append(("failed", name, f"exit status {status}"))
    return results


def meson_results(suite, path):
    results = []
    try:
        with open(path, encoding="utf-8") as file:
            entries = [json.loads(line) for line in file]
    except FileNotFoundError:
        return []
    for entry in entries:
        name = f"{suite}/{entry['name'].split(' / ')[-1]}"
        outcome, output = entry["result"], entry.get("stdout") or ""
        if any(TAP_PLAN.match(line) for line in output.splitlines()):
            good = outcome in ("OK", "SKIP", "EXPECTEDFAIL")
            results += tap_results(name, output, 0 if good else entry.get("returncode") or outcome)
        elif outcome in ("OK", "EXPECTEDFAIL"):
            results.append(("passed", name, ""))
        elif outcome == "SKIP":
            results.append(("skipped", name, "no reason given"))
        else:
            results.append(("failed", name, outcome))
    return results


def put(results):
    for verdict, name, why in results:
        print(f"{verdict} {name}{': ' + why if why else ''}".replace("\n", " "))


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n").split(" ", 1) for line in file if line.strip()]


def count(lines):
    return [sum(1 for line in lines if line[0] == verdict) for verdict in ("passed", "failed", "skipped")]


def verdict(path, skips):
    lines = read_lines(path)
    with open(skips, encoding="utf-8") as file:
        allowed = [re.compile(line.strip()) for line in file if line.strip() and not line.startswith("#")]
    if os.environ.get("CI") == "true":
        for line in lines:
            if line[0] == "skipped" and not any(pattern.search(line[1]) for pattern in allowed):
                line[:] = ["failed", f"{line[1]} (skipped, and tests/skips.txt does not allow it)"]
    for kind in "skipped", "failed":
        for line in lines:
            if line[0] == kind:
                print(f"{kind}: {line[1]}")
    passed, failed, skipped = count(lines)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


def main(arguments):
    match arguments:
        case ["meson", suite, path]:
            put(meson_results(suite, path))
        case ["tap", suite, path, status]:
            with open(path, encoding="utf-8", errors="replace") as file:
                put(tap_results(suite, file.read(), int(status)))
        case ["sum", suite, path, seconds]:
            passed, failed, skipped = count(read_lines(path))
            if passed + failed + skipped == 0:
                failed = 1
                with open(path, "a", encoding="utf-8") as file:
                    file.write(f"failed {suite}: nothing was executed\n")
            print(f"{suite}: {passed} passed, {failed} failed, {skipped} skipped in {seconds} s", flush=True)
        case ["verdict", path, skips]:
            return verdict(path, skips)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
