# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts figures into docs/performance.md, between its marks, and the picture beside it."""

import math
import os
import platform
import time

import figures

MARKS = "<!-- {0}: written by tools/bench --document -->", "<!-- end of {0} -->"
WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 860, 190, 90, 18, 8, 56
OURS, BOUND, PEER = "#2f6f9f", "#b8b8b8", "#c07a3a"


def machine():
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    load = " ".join(f"{x:.1f}" for x in os.getloadavg())
    return (f"{time.strftime('%Y-%m-%d', time.gmtime())}, {len(models)} × {models[0] if models else platform.machine()}, "
            f"Linux {platform.release().split('-')[0]}, load average {load} when it ended")


def replace(path, name, text):
    with open(path) as file:
        document = file.read()
    begin, end = (mark.format(name) for mark in MARKS)
    before, _, rest = document.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{path} has no place for {name}")
    with open(path, "w") as file:
        file.write(f"{before}{begin}\n{text}\n{end}{after}")


def colour(name):
    return BOUND if name.startswith("bound") else PEER if name.startswith("peer:") else OURS


def picture(found):
    """Bars of a logarithmic scale: between the slowest and the fastest lies a factor of hundreds."""
    found = [f for f in found if f.rate and not f.name.startswith(figures.ALONE)]
    decades = range(4, 8)
    room = WIDTH - LEFT - RIGHT

    def x(rate):
        low, high = decades[0] - 0.3, decades[-1]
        return LEFT + room * min(1, max(0, (math.log10(rate) - low) / (high - low)))

    height = TOP + len(found) * (BAR + GAP) + 30
    yield "<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->"
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
           'font-size="12">')
    yield f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    yield '<text x="10" y="20" font-size="15">Records a second (median; the line is from the slowest to the fastest run)</text>'
    for decade in decades:
        at = x(10 ** decade)
        yield f'<line x1="{at:.0f}" y1="{TOP - 14}" x2="{at:.0f}" y2="{height - 24}" stroke="#dddddd"/>'
        yield f'<text x="{at:.0f}" y="{TOP - 18}" text-anchor="middle" fill="#666666">{10 ** decade:,}</text>'
    for i, figure in enumerate(found):
        y = TOP + i * (BAR + GAP)
        yield f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{figure.name}</text>'
        yield (f'<rect x="{LEFT}" y="{y}" width="{x(figure.rate) - LEFT:.1f}" height="{BAR}" '
               f'fill="{colour(figure.name)}"/>')
        yield (f'<line x1="{x(figure.rates[0]):.1f}" y1="{y + BAR / 2}" x2="{x(figure.rates[-1]):.1f}" '
               f'y2="{y + BAR / 2}" stroke="black"/>')
        yield f'<text x="{max(x(figure.rate), x(figure.rates[-1])) + 6:.0f}" y="{y + 13}">{figure.rate:,.0f}</text>'
    for i, (name, fill) in enumerate((("audit-relay", OURS), ("bound of this machine", BOUND), ("others", PEER))):
        yield f'<rect x="{LEFT + i * 170}" y="{height - 18}" width="12" height="12" fill="{fill}"/>'
        yield f'<text x="{LEFT + i * 170 + 18}" y="{height - 8}">{name}</text>'
    yield "</svg>"


def write(directory, found, wrong):
    text = [f"Measured {machine()}; {len(found[0].runs)} runs of each.", "",
            figures.markdown([figures.HEAD, *figures.table(found)]), "", figures.markdown(figures.ratios(found))]
    if wrong:
        text += ["", "This run is void, and its rates say little: " + "; ".join(wrong) + "."]
    replace(f"{directory}/performance.md", "figures", "\n".join(text))
    draw(f"{directory}/performance.svg", sorted(found, key=lambda f: -f.rate))


def write_growth(directory, found, wrong):
    """The picture shows what goes with the number of clients and subscribers: the rest is paced or has no rate."""
    text = [f"Measured {machine()}.", "", figures.markdown([figures.GROWTH_HEAD, *figures.growth_table(found)])]
    if wrong:
        text += ["", "This run is void, and what it shows is not to be relied on: " + "; ".join(wrong) + "."]
    replace(f"{directory}/performance.md", "growth", "\n".join(text))
    draw(f"{directory}/performance-growth.svg", [f for f in found if f.name.startswith(("clients-", "subscribers-"))])


def draw(path, found):
    with open(path, "w") as file:
        file.write("\n".join(picture(found)) + "\n")


def write_profile(directory, rows):
    replace(f"{directory}/performance.md", "profile", f"Measured {machine()}.\n\n{figures.markdown(rows)}")
