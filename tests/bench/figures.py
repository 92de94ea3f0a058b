# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs become figures: medians with their spread, ratios, the table, the JSON."""

import collections
import statistics

# One run of one row. cpu: seconds; peak: MiB; each by program. seconds None: it has no rate. also: what else was measured, by a name
# with its unit.
Measure = collections.namedtuple("Measure", "records seconds cpu peak generator lost duplicated wrong also")


def measure(records, seconds, cpu, peak, generator=0.0, lost=0, duplicated=0, wrong=0, also=None):
    """wrong: lines out of order, or that nobody sent."""
    return Measure(records, seconds, cpu, peak, generator, lost, duplicated, wrong, also or {})


# What begins with it is the worst that was seen.
MOST = "most"


def brief(run):
    """One run, in a line."""
    words = [f"{run.records / run.seconds:,.0f} records/s"] if run.seconds else []
    if run.cpu:
        words.append(f"{sum(run.cpu.values()) * 1e6 / run.records:.2f} CPU-s per million")
    return ", ".join([*words, *(f"{what} {number(value)}" for what, value in run.also.items())])


class Figure:
    def __init__(self, name, runs):
        self.name, self.runs = name, runs
        self.rates = sorted(m.records / m.seconds for m in runs if m.seconds)
        self.rate = statistics.median(self.rates) if self.rates else None
        self.cpu = {p: statistics.median(m.cpu[p] * 1e6 / m.records for m in runs) for p in runs[0].cpu}
        self.generator = statistics.median(m.generator * 1e6 / m.records for m in runs)
        self.peak = {p: max(m.peak[p] for m in runs) for p in runs[0].peak}
        self.lost = sum(m.lost for m in runs)
        self.duplicated = sum(m.duplicated for m in runs)
        self.wrong = sum(m.wrong for m in runs)
        # Of what says that it is the most of a run, the most of all runs.
        self.also = {what: (max if what.startswith(MOST) else statistics.median)(m.also[what] for m in runs) for what in runs[0].also}
        self.ratio = {}

    @property
    def good(self):
        return self.lost == self.duplicated == self.wrong == 0

    @property
    def spread(self):
        """Between the fastest and the slowest run, in parts of the median."""
        return (self.rates[-1] - self.rates[0]) / self.rate

    def json(self):
        return {"name": self.name, "records_per_s": round(self.rate) if self.rate else None, "cpu_s_per_million": rounded(self.cpu, 4),
                "peak_mib": rounded(self.peak, 1), "lost": self.lost, "duplicated": self.duplicated,
                "ratio": rounded(self.ratio, 4), **({"also": rounded(self.also, 3)} if self.also else {})}


def rounded(values, digits):
    return {name: round(value, digits) for name, value in values.items()}


def is_yardstick(name):
    return name.startswith(("bound", "peer:"))


# What carries nothing.
ALONE = "part:", "log-"


def compare(figures):
    """Each with every bound and peer of the same run, and what has a quieter sister with her."""
    rates = {f.name: f.rate for f in figures}
    for figure in figures:
        if figure.name.startswith(ALONE):
            continue
        others = [n for n in rates if is_yardstick(n) and n != figure.name]
        if figure.name == "fanout-4-bad-4" and "fanout-4" in rates:
            others.append("fanout-4")
        figure.ratio = {n: figure.rate / rates[n] for n in others}


HEAD = ("row", "records/s", "spread", "CPU-s per million", "sum", "generator", "peak MiB", "lost", "twice")


def table(figures):
    """Rows of cells."""
    for f in figures:
        yield (f.name, f"{f.rate:,.0f}", f"±{f.spread / 2:.0%}", ", ".join(f"{p} {v:.2f}" for p, v in f.cpu.items()),
               f"{sum(f.cpu.values()):.2f}", f"{f.generator:.2f}" if f.generator else "–",
               ", ".join(f"{p} {v:.0f}" for p, v in f.peak.items()), str(f.lost), str(f.duplicated))


GROWTH_HEAD = ("row", "records", "records/s", "CPU-s per million", "peak MiB", "besides", "lost", "twice")


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def growth_table(figures):
    """Rows of cells of those whose point is not the rate alone."""
    for f in figures:
        yield (f.name, f"{f.runs[0].records:,}", f"{f.rate:,.0f}" if f.rate else "–",
               ", ".join(f"{p} {v:.2f}" for p, v in f.cpu.items()) or "–",
               ", ".join(f"{p} {v:.0f}" for p, v in f.peak.items()) or "–",
               ", ".join(f"{what} {number(v)}" for what, v in f.also.items()) or "–", str(f.lost), str(f.duplicated))


def ratios(figures):
    names = list(dict.fromkeys(n for f in figures for n in f.ratio))
    yield ("ratio to", *names)
    for f in figures:
        if f.ratio:
            yield (f.name, *(f"{f.ratio[n]:.2f}" if n in f.ratio else "–" for n in names))


def align(rows):
    rows = [tuple(r) for r in rows]
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in rows)


def markdown(rows):
    rows = [tuple(r) for r in rows]
    lines = ["| " + " | ".join(r) + " |" for r in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
