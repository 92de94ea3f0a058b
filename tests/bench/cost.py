#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a record costs in each part of its way, in instructions: a figure that neither the machine nor what else it does changes. Each part
(parts.c) runs alone under valgrind, with few records and with more; the difference is what the additional ones cost.

    cost.py RELAY-BENCH [--adopt]

A part fails if it costs more than TOLERANCE beyond what cost.json says; --adopt writes that anew, after a change that is worth it."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

BASELINE = pathlib.Path(__file__).resolve().parent / "cost.json"
# The compiler's next bug fix release may lay out a loop otherwise; what is worth a look is more.
TOLERANCE = 0.05
# SHA-256 and TLS are GnuTLS's.
PARTS = ("adopt", "check", "hash", "codec", "ring", "link", "store")
# The first are in every batch at least once.
FEW, MANY = 30000, 90000


def run(program, part, records):
    """Instructions of the whole run, and how many records there were."""
    with tempfile.TemporaryDirectory(prefix="audit-relay-cost-", dir="/dev/shm") as directory:
        out = subprocess.run(["valgrind", "--tool=cachegrind", "--cache-sim=no", "--branch-sim=no", "--cachegrind-out-file=/dev/null",
                              program, "part", part, str(records), directory], capture_output=True, text=True, check=False)
    found = re.search(r"I\s+refs:\s+([\d,]+)", out.stderr)
    if out.returncode != 0 or not found:
        raise RuntimeError(out.stderr.strip())
    return int(found[1].replace(",", "")), json.loads(out.stdout)["records"]


def cost(program, part):
    (few, few_records), (many, many_records) = (run(program, part, records) for records in (FEW, MANY))
    return (many - few) / (many_records - few_records)


def judge(number, part, now, before):
    good = now <= before * (1 + TOLERANCE)
    print(f"{'ok' if good else 'not ok'} {number} - {part}: {now:.1f} instructions a record; {before:.1f} when it was last looked at", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="RELAY-BENCH")
    parser.add_argument("--adopt", action="store_true")
    options = parser.parse_args()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(PARTS, pool.map(lambda part: cost(options.program, part), PARTS)))
    if options.adopt:
        BASELINE.write_text(json.dumps({part: round(now, 1) for part, now in found.items()}, indent=1) + "\n")
    before = json.loads(BASELINE.read_text())
    print(f"1..{len(PARTS)}")
    return 0 if all([judge(i, part, found[part], before[part]) for i, part in enumerate(PARTS, 1)]) else 1


if __name__ == "__main__":
    sys.exit(main())
