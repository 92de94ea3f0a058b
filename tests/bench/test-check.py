#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmark's word is worth something: its checker finds every kind of harm, its load is what it is said to be, its figures
are the medians and ratios of the runs. Prints TAP."""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, f"{os.path.dirname(HERE)}/faults", f"{HERE}/../../tools/lib"]

import execs  # noqa: E402
import figures  # noqa: E402
import growth  # noqa: E402
import peers  # noqa: E402

PROGRAM = sys.argv[1]
COUNT = 20000
NONE = (0, 0, 0, 0)
SPOILT = b"?"


def say(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], check=True, capture_output=True).stdout


def swap(lines, i, j):
    lines = list(lines)
    lines[i], lines[j] = lines[j], lines[i]
    return lines


def spoil(lines, i):
    at = len(lines[i]) // 2
    return [*lines[:i], lines[i][:at] + SPOILT + lines[i][at + 1:], *lines[i + 1:]]


# What is done to the lines; lost, twice, out of order, unknown.
CASES = [
    ("all is there", lambda x: x, NONE),
    ("one is missing", lambda x: x[:500] + x[501:], (1, 0, 0, 0)),
    ("the first one is missing", lambda x: x[1:], (1, 0, 0, 0)),
    ("the last ones are missing", lambda x: x[:-3], (3, 0, 0, 0)),
    ("all are missing", lambda x: [], (COUNT, 0, 0, 0)),
    ("one is there twice", lambda x: x[:500] + x[499:], (0, 1, 0, 0)),
    ("a batch is there twice", lambda x: x[:700] + x[600:], (0, 100, 0, 0)),
    ("two changed places", lambda x: swap(x, 100, 101), (0, 0, 1, 0)),
    ("a byte is another", lambda x: spoil(x, 300), (1, 0, 0, 1)),
    ("a line is cut", lambda x: [*x[:300], x[300][:20] + b"\n", *x[301:]], (1, 0, 0, 1)),
    ("one that nobody sent", lambda x: [*x[:300], b"type=USER msg=audit(1.000:1): x\n", *x[300:]], (0, 0, 0, 1)),
    ("one more than there were", lambda x: [*x, say("generate", COUNT + 1).splitlines(True)[-1]], (0, 0, 0, 1)),
]


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def ok(self, good, what, detail=""):
        self.n += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {what}")
        if not good:
            print(f"# {detail}")


def check(kind, lines):
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(lines))
        file.flush()
        found = json.loads(say("check", COUNT, "-", kind, file.name))
    return tuple(found[name] for name in ("lost", "duplicated", "disordered", "strange"))


def check_checker(tap, lines):
    for what, harm, expected in CASES:
        found = check("whole", harm(lines))
        tap.ok(found == expected, f"check: {what}", f"expected {expected}, found {found}")
    carried = [line for line in lines if not line.startswith(b"type=EOE ")]
    tap.ok(check("tail", lines[5000:]) == NONE, "check: all but what was deleted")
    found = check("tail", [*lines[5000:6000], *lines[6001:]])
    tap.ok(found == (1, 0, 0, 0), "check: one is missing behind what was deleted", found)
    found = check("tail", lines[5000:-1])
    tap.ok(found == (1, 0, 0, 0), "check: the last one is missing, the first were deleted", found)
    tap.ok(check("tail", [])[0] == COUNT, "check: nothing is no tail")
    found = check("auditd", [b"type=DAEMON_START msg=audit(1.000:1): x\n", *carried])
    tap.ok(found == NONE, "check: auditd's log without EOE and with a record of its own", found)
    tap.ok(check("whole", carried)[0] == len(lines) - len(carried), "check: elsewhere EOE must be there")


def check_load(tap, lines):
    serials = [line.split(b":", 2)[1].split(b")")[0] for line in lines]
    sizes = collections.Counter(collections.Counter(serials).values())
    tap.ok(set(sizes) <= {1, 5, 6, 7}, "load: events of 5 to 7 records, programs' of one", sizes)
    tap.ok([int(line[-11:]) for line in lines] == list(range(1, COUNT + 1)), "load: numbers are contiguous")
    mean = sum(map(len, lines)) / len(lines)
    tap.ok(250 < mean < 285, "load: as long as audit records are", mean)
    tap.ok(len({line.split(b" ", 1)[0] for line in lines}) >= 15, "load: of many types")
    whole = json.loads(say("sum", COUNT, "-"))
    ends = sum(len(line) for line in lines if line.startswith(b"type=EOE "))
    tap.ok(whole == {"bytes": sum(map(len, lines)), "bytes_without_eoe": sum(map(len, lines)) - ends}, "load: its size", whole)
    tap.ok(b"".join(lines[9000:]) == say("generate", COUNT, "-", 9001), "load: the same from any number on")


def check_figures(tap):
    runs = [figures.measure(1000, seconds, {"a": 0.001}, {"a": 5.0}) for seconds in (1, 2, 4)]
    rows = [figures.Figure("path", runs), figures.Figure("bound", [figures.measure(1000, 0.5, {"a": 0.001}, {"a": 1.0})])]
    figures.compare(rows)
    tap.ok(rows[0].rate == 500 and rows[0].cpu == {"a": 1.0} and rows[0].ratio == {"bound": 0.25}, "figures: median, CPU, ratio",
           rows[0].json())
    tap.ok(rows[0].good and not figures.Figure("path", [figures.measure(1, 1, {}, {}, lost=1)]).good, "figures: a loss is no figure")
    known = {f"peer:{peer.name}": peer.known * 1e6 for peer in peers.ALL}
    tap.ok(not list(peers.doubts({**known, "bound": 1e6})), "figures: peers as they are known")
    tap.ok(len(list(peers.doubts({**known, "bound": 2e6}))) == len(peers.ALL), "figures: peers that are not, void")


def check_growth(tap):
    runs = [figures.measure(10, None, {}, {}, also={"ms": ms, "most": ms}) for ms in (1, 2, 9)]
    figure = figures.Figure("quiet", runs)
    tap.ok(figure.rate is None and figure.also == {"ms": 2, "most": 9}, "growth: median of what is measured besides, worst of the worst",
           figure.also)
    tap.ok(len(list(figures.growth_table([figure]))[0]) == len(figures.GROWTH_HEAD), "growth: a row without a rate is a row")


def check_latencies(tap):
    """Text of two files and their index: what is on the disk is what was in a text before a sync, behind which the index was synced."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("1000000 100 /s/1.log\n2000000 50 /s/1.idx\n3000000 180 /s/1.log\n4000000 20 /s/2.log\n9000000 99 /s/2.idx\n")
        file.flush()
        told = growth.synced(file.name)
    tap.ok(told == [(2000000, 100), (9000000, 200)], "quiet: text counts with its index", told)
    found = growth.latencies([0, 1000000, 8000000], [100, 101, 200], told)
    tap.ok(found == [2, 8, 1], "quiet: from the writing to the sync that covers it", found)
    try:
        growth.latencies([0], [201], told)
        tap.ok(False, "quiet: what was never synced is no figure")
    except growth.Broken:
        tap.ok(True, "quiet: what was never synced is no figure")
    tap.ok(growth.spread([5, 1, 2]) == (2, 5, 5), "quiet: median, nearly all, worst")


def client_lines(node, numbers):
    return "".join(f"node={node} type=USER msg=audit(1.000:{n}): pid=1 msg='op=load n={n} res=success'\n" for n in numbers)


def check_clients(tap):
    def judge(text):
        with tempfile.TemporaryDirectory() as directory:
            os.mkdir(f"{directory}/store")
            with open(f"{directory}/store/1.log", "w") as file:
                file.write(text)
            verdict, _ = growth.crowd.judge(pathlib.Path(directory), 2, 3)
        return tuple(verdict[what] for what in ("lost", "duplicated", "wrong"))

    both = client_lines("n0", (1, 2)) + client_lines("n1", (1, 2, 3)) + client_lines("n0", (3,))
    for what, text, expected in (("all is there", both, (0, 0, 0)),
                                 ("a client is missing", client_lines("n1", (1, 2, 3)), (3, 0, 0)),
                                 ("one is missing", client_lines("n0", (1, 3)) + client_lines("n1", (1, 2, 3)), (1, 0, 0)),
                                 ("the last one is missing", client_lines("n0", (1, 2)) + client_lines("n1", (1, 2, 3)), (1, 0, 0)),
                                 ("one is there twice", both + client_lines("n0", (2,)), (0, 1, 0)),
                                 ("one that nobody sent", both + client_lines("n0", (4,)), (0, 0, 1)),
                                 ("a line of something else", both + "type=USER\n", (0, 0, 1))):
        found = judge(text)
        tap.ok(found == expected, f"clients: {what}", f"expected {expected}, found {found}")


def check_execs(tap):
    def judge(*numbers):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("".join(f'type=EXECVE msg=audit(1.0:1): a0="x" a1="relay-exec-{n}"\n' for n in numbers))
            file.flush()
            found = execs.judge([file.name], 3)
        return found["lost"], found["duplicated"]

    tap.ok(judge(1, 2, 3) == (0, 0), "execs: all are there")
    tap.ok(judge(1, 3) == (1, 0) and judge(1, 2, 2, 3) == (0, 1), "execs: one is missing, one is there twice")
    tap.ok(not list(execs.doubts({"execs": 999.5, "clients-1": 1})) and len(list(execs.doubts({"execs": 600}))) == 1,
           "execs: a generator that does not keep up is no measure")
    shipped = "log_file = /var/log/audit/audit.log\nlog_format = ENRICHED\nflush = INCREMENTAL_ASYNC\n"
    tap.ok(execs.configuration(shipped, "/d", None) == shipped.replace("/var/log/audit", "/d"), "execs: auditd as it is shipped")
    tap.ok("log_format = RAW\n" in execs.configuration(shipped, "/d", "RAW"), "execs: auditd in another format")


def main():
    tap = Tap()
    lines = say("generate", COUNT).splitlines(True)
    check_checker(tap, lines)
    check_load(tap, lines)
    check_figures(tap)
    check_growth(tap)
    check_latencies(tap)
    check_clients(tap)
    check_execs(tap)
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
