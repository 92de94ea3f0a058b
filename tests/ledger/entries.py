# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ledger: a line of JSON for each finished run of a tool that looks for lost records.

    tool            its name in tools/
    command         the words that play the run again, tools/NAME first
    commit          of the tree it ran from; with -dirty if files that matter were changed
    seed, date      UTC
    figures         {what: number}: how much was done, and what was wrong
    good            what the tool's exit status said
    verdict_sha256  of what the tool says about the run, without times and places
    mended          only of a run that found something: what that was, written by hand once it is mended
"""

import hashlib
import json
import pathlib
import shlex
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
LEDGER = "tests/ledger/ledger.jsonl"
TYPES = {"tool": str, "command": list, "commit": str, "seed": int, "date": str, "figures": dict, "good": bool, "verdict_sha256": str}
# Whose verdict follows from the seed and the code alone, and the code it is.
DETERMINISTIC = {"simulate": ("meson.build", "src", "tests/sim", "tests/lib")}
# No run depends on these; a ledger that grows makes no tree dirty.
WITHOUT_EFFECT = ("tests/ledger", "docs", "*.md")


def git(*words):
    return subprocess.run(["git", "-C", str(TOP), *words], capture_output=True, text=True)


def commit():
    """Of the present tree. To be asked before the run, which may be long."""
    head = git("rev-parse", "HEAD").stdout.strip()
    if not head:
        return "unknown"
    clean = git("diff", "--quiet", "HEAD", "--", ".", *(f":(exclude){path}" for path in WITHOUT_EFFECT)).returncode == 0
    return head if clean else f"{head}-dirty"


def same_code(entry):
    """Whether the present tree is, as far as the tool's verdict depends on it, that of the entry."""
    if entry["commit"].endswith("-dirty") or entry["tool"] not in DETERMINISTIC:
        return False
    return git("diff", "--quiet", entry["commit"], "--", *DETERMINISTIC[entry["tool"]]).returncode == 0


def closing_figures(line):
    """`histories 3 records 70 lost 0` as figures; raises ValueError."""
    words = line.split()
    return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}


def enter(path, command, begun_commit, seed, figures, good, verdict):
    """Adds a run. `command` is a string or words, `verdict` text that is hashed."""
    command = shlex.split(command) if isinstance(command, str) else list(command)
    entry = {"tool": command[0].rpartition("/")[2], "command": command, "commit": begun_commit, "seed": seed,
             "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "figures": figures, "good": good,
             "verdict_sha256": hashlib.sha256(verdict.encode()).hexdigest()}
    # One write: several runs may share the file.
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def wrong_with(entry):
    """A sentence about an entry that is none, or None."""
    if not isinstance(entry, dict):
        return "is no object"
    for name, kind in TYPES.items():
        if not isinstance(entry.get(name), kind):
            return f"has no {name} of type {kind.__name__}"
    if "mended" in entry and (entry["good"] or not isinstance(entry["mended"], str)):
        return "says what was mended, and found nothing"
    if not entry["command"] or entry["command"][0] != f"tools/{entry['tool']}":
        return "has a command of another tool"
    if not all(isinstance(value, int) for value in entry["figures"].values()):
        return "has a figure that is no number"
    return None


def read(path):
    """All entries; raises ValueError naming the line that is none."""
    entries = []
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return entries
    for number, line in enumerate(text.splitlines(), 1):
        try:
            entry = json.loads(line)
        except ValueError:
            raise ValueError(f"{path}:{number} is not JSON") from None
        if wrong := wrong_with(entry):
            raise ValueError(f"{path}:{number} {wrong}")
        entries.append(entry)
    return entries
