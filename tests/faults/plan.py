# SPDX-License-Identifier: LGPL-2.1-or-later
"""What will happen, all from the seed: which faults, in which order, to whom, and the pauses between them."""

import collections
import random

PROGRAMS = ("dispatcher", "remote", "aggregator")

# Name: (how many for each 100 kills, whether it lasts while others strike, what it is).
Kind = collections.namedtuple("Kind", "per_kills lasts help")
KINDS = {
    "kills": Kind(100, False, "SIGKILL of one, two or all three programs at once"),
    "stops": Kind(10, True, "SIGSTOP of a program, later SIGCONT"),
    "cuts": Kind(4, True, "the wire is pulled, at one end or the other"),
    "holes": Kind(4, True, "the wire swallows what one side, or each, sends"),
    "resets": Kind(6, False, "the connection between remote and aggregator is reset"),
    "collector-full": Kind(5, True, "the collector's file system is full, later freed"),
    "client-full": Kind(5, True, "the client's file system is full, later freed"),
    "restarts": Kind(6, False, "SIGTERM, an end in order, a new start"),
    "upgrades": Kind(6, False, "as a restart or a kill, but the next start is of the other build"),
}

Step = collections.namedtuple("Step", "kind what pause down targets detail")


def pause(chance):
    """Before a fault. Every fourth hits programs that have just begun to run, or to connect."""
    return chance.uniform(0, 0.03) if chance.random() < 0.25 else chance.uniform(0.05, 0.35)


def down(chance):
    """Between an end and the next start. Mostly as systemd does it, at times long enough for queues to grow."""
    return chance.uniform(0.3, 1.0) if chance.random() < 0.1 else chance.uniform(0, 0.1)


def detail(kind, chance):
    return {
        "stops": lambda: chance.choice(PROGRAMS),
        "cuts": lambda: chance.choice(("client", "collector")),
        "holes": lambda: chance.choice((("client",), ("collector",), ("client", "collector"))),
        "upgrades": lambda: chance.choice(("stop", "kill")),
    }.get(kind, lambda: None)()


def targets(kind, chance, most):
    if kind not in ("kills", "restarts", "upgrades"):
        return ()
    count = chance.choices((1, 2, 3), (80, 12, 8))[0] if kind == "kills" else 1
    # In any order: that is the order in which they die, and start again.
    return tuple(chance.sample(PROGRAMS, min(count, most)))


def strikes(counts, chance):
    """What strikes and is over."""
    steps = []
    for kind in KINDS:
        if KINDS[kind].lasts:
            continue
        left = counts[kind]
        while left > 0:
            who = targets(kind, chance, left)
            left -= len(who) if kind == "kills" else 1
            steps.append(Step(kind, "strike", pause(chance), down(chance), who, detail(kind, chance)))
    chance.shuffle(steps)
    return steps


def make(seed, counts):
    """The steps in order. What lasts begins before a strike and ends before a later one; one at a time, so that the state that it
    must lead to is certain."""
    chance = random.Random(f"plan {seed}")
    steps = strikes(counts, chance)
    lasting = [kind for kind in KINDS if KINDS[kind].lasts for _ in range(counts[kind])]
    chance.shuffle(lasting)
    places = sorted(chance.randrange(len(steps) + 1) for _ in lasting)
    plan, struck = [], 0
    for kind, place, next_place in zip(lasting, places, places[1:] + [len(steps)]):
        plan += steps[struck:place]
        struck = max(struck, place)
        what = detail(kind, chance)
        plan.append(Step(kind, "begin", pause(chance), 0, (), what))
        end = min(struck + chance.randrange(4), next_place) if next_place >= struck else struck
        plan += steps[struck:end]
        struck = max(struck, end)
        plan.append(Step(kind, "end", pause(chance), 0, (), what))
    return plan + steps[struck:]
