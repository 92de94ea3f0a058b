# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the ledger's runs come to, by kind; against what is wanted; and as the documents have it."""

import collections
import pathlib

FUZZ_TARGETS = sorted(path.stem[len("fuzz-"):] for path in pathlib.Path(__file__).resolve().parents[1].glob("fuzz/fuzz-*.c")
                      if path.stem != "fuzz-main")

# `figure` counts what was done, `goal` of it; `more` are (figure, its name, goal) of the same runs. `chunk` is a run of the size that
# suits the ledger.
Kind = collections.namedtuple("Kind", "name what tool figure goal more chunk")
KINDS = [
    Kind("simulation", "histories of the simulator", "simulate", "histories", 100_000, [("records", "records", 50_000_000)],
         ["tools/simulate", "--histories", "2000"]),
    Kind("dropping", "histories in which a full remote drops its oldest", "simulate", "dropping", 5_000,
         [("records", "records", 0), ("deleted", "of them deleted and told as lost", 0)],
         ["tools/simulate", "--histories", "1000", "--drop-oldest"]),
    Kind("points", "simulated crash points under the store", "simulate", "points", 20_000_000, [],
         ["tools/simulate", "--crash-points", "1000000", "--jobs", "2"]),
    Kind("images", "crash images of live ext4 and xfs, both disks", "crash-images", "images", 20_000, [],
         ["tools/crash-images", "--images", "500"]),
    Kind("cuts", "power cuts of a virtual machine", "vm-faults", "cuts", 1_000, [("acked_by_remote", "acked records", 5_000_000)],
         ["tools/vm-faults", "--cuts", "100", "--kills", "0"]),
    Kind("kills", "SIGKILLs of the real programs under load", "faults", "kills", 10_000, [("records", "records", 0)],
         ["tools/faults", "--kills", "200"]),
    Kind("unicast", "dispatcher killed as the kernel's audit daemon", "vm-faults", "kills", 200, [("records", "records", 0)],
         ["tools/vm-faults", "--cuts", "0", "--kills", "50"]),
    Kind("collector-full", "collector's disk full and freed", "faults", "collector-full", 200, [],
         ["tools/faults", "--kills", "200"]),
    Kind("client-full", "client's disk full and freed", "faults", "client-full", 200, [], ["tools/faults", "--kills", "200"]),
    Kind("fuzzing", "seconds of fuzzing, of the target that had least", "fuzz", "seconds", 1_200,
         [("executions", "executions of all", 0)], ["tools/fuzz", "--seconds", "300"]),
]
# Every tool's own words for what must not be, in the three columns of the table.
LOST = ("lost",)
TWICE = ("duplicated", "disordered")
OTHERWISE = ("unaccounted", "unexplained", "unreadable", "strange", "failed", "findings", "problems")

Sum = collections.namedtuple("Sum", "kind runs done more lost twice otherwise")


def figure(entry, name):
    return entry["figures"].get(name, 0)


def fuzzed(entries):
    """{target: seconds}, of all there are."""
    return {target: sum(figure(e, f"{target}.seconds") for e in entries if "mended" not in e) for target in FUZZ_TARGETS}


def done_of(kind, entries):
    return min(fuzzed(entries).values()) if kind.name == "fuzzing" else sum(figure(e, kind.figure) for e in entries)


def chunk(kind, entries):
    """The command that brings the kind nearer to its goal."""
    if kind.name != "fuzzing":
        return kind.chunk
    seconds = fuzzed(entries)
    return [*kind.chunk, "--target", min(seconds, key=seconds.get)]


def mended(entries):
    """A sentence for each run that found what has been mended since: it counts in no sum."""
    for entry in entries:
        if "mended" in entry:
            yield f"`{' '.join(entry['command'])}` ({entry['date'][:10]}): {entry['mended']}"


def sums(entries):
    """One for each kind. What was wrong in a run counts whatever else it was, until it is mended."""
    for kind in KINDS:
        of = [e for e in entries if e["tool"] == kind.tool and kind.figure in e["figures"] and "mended" not in e]
        wrong = [sum(figure(e, name) for e in of for name in names) for names in (LOST, TWICE, OTHERWISE)]
        # A run that failed without a number for it.
        wrong[2] += sum(1 for e in of if not e["good"] and not any(figure(e, name) for name in LOST + TWICE + OTHERWISE))
        yield Sum(kind, len(of), done_of(kind, of), [(sum(figure(e, f) for e in of), name, goal) for f, name, goal in kind.more], *wrong)


def clean(line):
    return not (line.lost or line.twice or line.otherwise)


def share(line):
    """How much of its goals is reached, 0 to 1."""
    return min(min(1, done / goal) for done, goal in [(line.done, line.kind.goal), *((d, g) for d, _, g in line.more)] if goal)


def show(entries):
    """For a terminal."""
    for line in sums(entries):
        goals = [f"{line.done:,} of {line.kind.goal:,}"]
        goals += [f"{done:,} of {goal:,} {name}" if goal else f"{done:,} {name}" for done, name, goal in line.more]
        wrong = f"lost {line.lost} duplicated {line.twice} otherwise {line.otherwise}"
        yield f"{line.kind.name:15} {share(line):4.0%}  {line.kind.what}: {', '.join(goals)}; {line.runs} runs; {wrong}"
    for sentence in mended(entries):
        yield f"not counted, as it found something that is mended: {sentence}"


def table(entries):
    """As Markdown."""
    yield "| what was done to it | how often | lost | duplicated | otherwise wrong |"
    yield "|---|---:|---:|---:|---:|"
    for line in sums(entries):
        if line.runs:
            more = "".join(f"; {done:,} {name}" for done, name, _ in line.more)
            yield f"| {line.kind.what}{more} | {line.done:,} | {line.lost} | {line.twice} | {line.otherwise} |"


def findings(entries):
    """As Markdown."""
    return (f"- {sentence}" for sentence in mended(entries))


BEGIN, END = "<!-- tools/ledger table: begin -->", "<!-- tools/ledger table: end -->"
PAGES = {"README.md": table, "docs/reliability.md": findings}


def replaced(page, text, entries):
    """The text of this page with what it has of these entries; raises ValueError without the two comments."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: there is no {BEGIN} … {END}")
    return "\n".join([before + BEGIN, "", *PAGES[page](entries), "", END]) + after
