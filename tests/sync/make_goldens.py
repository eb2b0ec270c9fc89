#!/usr/bin/env python3
"""Golden replays of the synchronizers, computed without any of SwarmSync's code.

    python3 tests/sync/make_goldens.py            check goldens.json; exit 1 if it is stale
    python3 tests/sync/make_goldens.py --write    write goldens.json anew

Needs NumPy only. No network is trained: in each round worker i gets a hand-driven displacement
d_i (y_i = x_i + d_i) or gradient, and a fitness f_i. Positions are float32 and every operation is
rounded by itself, in the order written here; fitnesses are doubles.

Layout of goldens.json:
    philox        known answers of the whole block: counter, key -> block
    philox_words  single words of our streams: seed, index, round, rank, purpose -> word, uniform
    cases         one replay each; "after" holds the state once the round's exchange is done:
        x, v           position and velocity of each worker
        best           fitness of the guide that is remembered; null: none is
        best_i         fitness of each worker's personal best; null: none (`current`: always)
        guide_rank     the worker with the lowest finite fitness of this round, or null
        guide_updated  whether the guide became that worker's y
        center         of easgd
        t              how much each worker counts in the guide of informed-pso-ps
"""

import argparse
import itertools
import json
import math
import pathlib
import sys

import numpy as np

GOLDENS = pathlib.Path(__file__).with_name("goldens.json")

TENSOR_SIZES = [3, 1, 7]
NUM_PARAMS = sum(TENSOR_SIZES)
ROUNDS = 5
BIG_SEED = 0x0123456789ABCDEF  # its high word matters

# Purposes: the first two are the library's, the rest drive the traces and are used here alone.
COGNITIVE, SOCIAL = 2, 3
INITIAL, MOVE, FITNESS = 1000, 1001, 1002

DEFAULT_OPTIONS = {
    "velocity": "swarm",
    "inertia": 0.6,
    "cognitive": 0.35,
    "social": 0.25,
    "random": "none",
    "memory": "historic",
    "memory_decay": 0.05,
    "lr": 0.1,
}

# What else the options of a synchronizer's cases hold; the options that it does not look at stay in
# them, and must not matter.
OPTIONS_OF = {
    "easgd": {"elastic_alpha": 0},  # 0: 0.9 / workers
    "slowmo": {"slow_alpha": 1, "slow_beta": 0.5},
    "diloco": {"outer_lr": 0.7, "outer_momentum": 0.9},
    "leader": {"social": 0.1},
    "informed-pso-ps": {"velocity": "total", "inertia": 0.7, "social": 1, "beta": 1},
}

NAN, INF = math.nan, math.inf


# ---- Random numbers ---------------------------------------------------------

MASK = 0xFFFFFFFF


def philox(counter, key):
    """Philox4x32-10: four words and a key of two words to four random words."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        even = a * 0xD2511F53
        odd = c * 0xCD9E8D57
        a, b, c, d = (odd >> 32) ^ b ^ k0, odd & MASK, (even >> 32) ^ d ^ k1, even & MASK
        k0 = (k0 + 0x9E3779B9) & MASK
        k1 = (k1 + 0xBB67AE85) & MASK
    return [a, b, c, d]


def random_word(seed, index, round_, rank, purpose):
    block = philox((index // 4, round_, rank, purpose), (seed & MASK, seed >> 32))
    return block[index % 4]


def uniform(*where):
    """In [0, 1); exact in float32, as a word gives 24 bits."""
    return np.float32((random_word(*where) >> 8) * 2.0**-24)


# Salmon et al. 2011, the Random123 distribution's known answers: counter, key, block.
PUBLISHED = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words_of(text):
    return [int(word, 16) for word in text.split()]


def philox_blocks():
    answers = []
    for counter, key, block in (map(words_of, row) for row in PUBLISHED):
        assert philox(counter, key) == block, "Philox4x32-10 misses a published known answer"
        answers.append({"counter": counter, "key": key, "block": block})
    return answers


def philox_words():
    places = [(0, 0, 0, 0, 0), (1, 0, 0, 0, COGNITIVE), (1, 0, 0, 0, SOCIAL), (1, 1, 4, 2, SOCIAL),
              (42, 6, 3, 1, COGNITIVE), (42, 61705, 999, 7, SOCIAL),
              (2**32 + 7, 3, 0, 0, COGNITIVE), (BIG_SEED, 2**33 + 5, 70000, 63, 1),
              (2**64 - 1, 2**34 - 1, MASK, MASK, 4)]
    return [{"seed": place[0], "index": place[1], "round": place[2], "rank": place[3],
             "purpose": place[4], "word": random_word(*place), "uniform": number(uniform(*place))}
            for place in places]


def factors(scope, seed, exchange, rank, purpose):
    """r1 or r2 as one float32 for each parameter."""
    def draw(index):
        return uniform(seed, index, exchange, rank, purpose)

    if scope == "none":
        return np.ones(NUM_PARAMS, np.float32)
    if scope == "round":
        return np.full(NUM_PARAMS, draw(0))
    if scope == "tensor":
        return np.repeat([draw(index) for index in range(len(TENSOR_SIZES))], TENSOR_SIZES)
    if scope == "element":
        return np.array([draw(index) for index in range(NUM_PARAMS)])
    raise ValueError(f"no such scope of randomness: {scope}")


# ---- The synchronizers ------------------------------------------------------
# Each takes a case and its traces and yields the state after each round.


def mean_of_workers(vectors):
    total = vectors[0]
    for vector in vectors[1:]:
        total = total + vector
    return total * np.float32(1 / len(vectors))


def average(case, initial, moves, _fitness):
    x = np.tile(initial, (case["workers"], 1))
    for displacement in moves:
        x = np.tile(mean_of_workers(x + displacement), (case["workers"], 1))
        yield {"x": x}


def ssgd(case, initial, moves, _fitness):
    x = np.tile(initial, (case["workers"], 1))
    lr = np.float32(case["options"]["lr"])
    for gradient in moves:
        x = x - lr * mean_of_workers(gradient)
        yield {"x": x}


def lowest_finite(fitness):
    """The rank that has the lowest finite fitness, the lowest such rank on ties, or None."""
    finite = [rank for rank, f in enumerate(fitness) if math.isfinite(f)]
    return min(finite, key=lambda rank: fitness[rank], default=None)


def move(velocity, w, y, x, v, s):
    """The new position and the velocity, or what is kept of it; s is the sum of the pulls."""
    if velocity == "swarm":
        v = w * v + s
        return y + v, v
    if velocity == "total":
        v = ((w * v) + (y - x)) + s
        return x + v, v
    v = w * ((v + (y - x)) + s)
    return (y + s) + v, v


def pso_ps(case, initial, moves, fitnesses):
    options, ranks = case["options"], range(case["workers"])
    w, c1, c2 = (np.float32(options[name]) for name in ("inertia", "cognitive", "social"))
    memory = options["memory"]

    x = [initial for _ in ranks]
    v = [np.zeros(NUM_PARAMS, np.float32) for _ in ranks]
    p, best_i = [None for _ in ranks], [INF for _ in ranks]
    g, best = None, INF

    def worse(remembered):  # the same for infinity
        return remembered + options["memory_decay"] * abs(remembered)

    for exchange, (displacement, fitness) in enumerate(zip(moves, fitnesses)):
        y = [x[i] + displacement[i] for i in ranks]

        if memory == "current":  # nothing outlives its round; p_i = y_i pulls nowhere
            g, best = None, INF
        else:
            if memory == "decay":
                best_i = [worse(b) for b in best_i]
                best = worse(best)
            for i in ranks:
                if math.isfinite(fitness[i]) and fitness[i] < best_i[i]:
                    p[i], best_i[i] = y[i], fitness[i]
        j = lowest_finite(fitness)
        guide_updated = j is not None and fitness[j] < best
        if guide_updated:
            g, best = y[j], fitness[j]

        for i in ranks:
            s = np.zeros(NUM_PARAMS, np.float32)
            if p[i] is not None:
                r1 = factors(options["random"], case["seed"], exchange, i, COGNITIVE)
                s = s + (c1 * r1) * (p[i] - y[i])
            if g is not None:
                r2 = factors(options["random"], case["seed"], exchange, i, SOCIAL)
                s = s + (c2 * r2) * (g - y[i])
            x[i], v[i] = move(options["velocity"], w, y[i], x[i], v[i], s)
        yield {"x": x, "v": v, "best": best, "best_i": best_i, "guide_rank": j,
               "guide_updated": guide_updated}


def float_options(case, *names):
    return [np.float32(case["options"][name]) for name in names]


def easgd(case, initial, moves, _fitness):
    alpha = np.float32(case["options"]["elastic_alpha"] or 0.9 / case["workers"])
    x, center = np.tile(initial, (case["workers"], 1)), initial
    for displacement in moves:
        y = x + displacement
        delta = alpha * (y - center)  # all from the center as it was
        x = y - delta
        for towards_worker in delta:
            center = center + towards_worker
        yield {"x": x, "center": center}


def slowmo(case, initial, moves, _fitness):
    alpha, beta = float_options(case, "slow_alpha", "slow_beta")
    x, v = initial, np.zeros(NUM_PARAMS, np.float32)  # the same on all workers
    for displacement in moves:
        v = beta * v + (mean_of_workers(x + displacement) - x)
        x = x + alpha * v
        yield {"x": np.tile(x, (case["workers"], 1))}


def diloco(case, initial, moves, _fitness):
    """torch's SGD with Nesterov momentum on the gradient -d; without momentum, plain SGD."""
    lr, mu = float_options(case, "outer_lr", "outer_momentum")
    x, u = initial, np.zeros(NUM_PARAMS, np.float32)  # the same on all workers
    for displacement in moves:
        d = mean_of_workers(x + displacement) - x
        u = mu * u + d
        x = x + lr * (d + mu * u)
        yield {"x": np.tile(x, (case["workers"], 1))}


def leader(case, initial, moves, fitnesses):
    (c2,) = float_options(case, "social")
    x = np.tile(initial, (case["workers"], 1))
    for displacement, fitness in zip(moves, fitnesses):
        y = x + displacement
        j = lowest_finite(fitness)
        x = y if j is None else y + c2 * (y[j] - y)
        yield {"x": x, "guide_rank": j}


def informed_weights(fitness, beta):
    """In double. The sum is 1, or 0 when no fitness is finite."""
    finite = [f for f in fitness if math.isfinite(f)]
    if not finite:
        return [0.] * len(fitness)
    scale = max(sum(abs(f) for f in finite) / len(finite), 1e-12)
    raw = [math.exp(-beta * (f - min(finite)) / scale) if math.isfinite(f) else 0.
           for f in fitness]
    return [r / sum(raw) for r in raw]


def informed_pso_ps(case, initial, moves, fitnesses):
    options, ranks = case["options"], range(case["workers"])
    w, c2 = float_options(case, "inertia", "social")

    x = [initial for _ in ranks]
    v = [np.zeros(NUM_PARAMS, np.float32) for _ in ranks]
    for exchange, (displacement, fitness) in enumerate(zip(moves, fitnesses)):
        y = [x[i] + displacement[i] for i in ranks]
        t = np.array(informed_weights(fitness, options["beta"]), np.float32)
        g = sum((t[i] * y[i] for i in ranks), np.zeros(NUM_PARAMS, np.float32))
        for i in ranks:
            s = np.zeros(NUM_PARAMS, np.float32)
            if t.any():
                r2 = factors(options["random"], case["seed"], exchange, i, SOCIAL)
                s = s + (c2 * r2) * (g - y[i])
            x[i], v[i] = move(options["velocity"], w, y[i], x[i], v[i], s)
        yield {"x": x, "v": v, "t": t}


SYNCHRONIZERS = {"average": average, "ssgd": ssgd, "pso-ps": pso_ps, "easgd": easgd,
                 "slowmo": slowmo, "diloco": diloco, "leader": leader,
                 "informed-pso-ps": informed_pso_ps}


# ---- Cases ------------------------------------------------------------------


def new_case(name, workers, seed, sync="pso-ps", fitness=None, **options):
    return {"name": name, "sync": sync, "workers": workers, "seed": seed,
            "options": {**DEFAULT_OPTIONS, **OPTIONS_OF.get(sync, {}), **options},
            "fitness": fitness}


def grid():
    """Every velocity, memory and scope of randomness, once."""
    choices = itertools.product(("swarm", "total", "nesterov"), ("historic", "current", "decay"),
                                ("none", "round", "tensor", "element"))
    seeds = itertools.cycle((1, 42, 2**32 + 7, BIG_SEED, 3))  # five, as the scopes are four
    for (velocity, memory, scope), seed in zip(choices, seeds):
        yield new_case(f"pso-ps {velocity} {memory} {scope}", 2, seed,
                       velocity=velocity, memory=memory, random=scope)


# In the tables of fitnesses a row is a round and a column a worker.
GAPS = [[.9, NAN, INF], [NAN, .8, INF], [INF, NAN, .7], [NAN, INF, NAN], [.95, .6, .65]]
LATE = [[NAN, NAN], [NAN, .8], [.7, .83], [INF, INF], [.72, .65]]
TIES = [[.5, .5, .5, .5], [.6, .5, .7, .5], [.4, .3, .5, .3], [.4, .4, .3, .3], [.3, .2, .3, .2]]


def special_cases():
    yield new_case("fitness not finite", 3, 5, fitness=GAPS, random="element")
    yield new_case("fitness not finite, total, decay", 3, BIG_SEED, fitness=GAPS, velocity="total",
                   memory="decay", random="round")
    yield new_case("fitness not finite, total, current", 3, 6, fitness=GAPS, velocity="total",
                   memory="current", random="tensor")

    # Both bests of 0.8 and 0.7 fade before worse ones are found.
    yield new_case("no finite fitness at first, decay", 2, 7, fitness=LATE, memory="decay")

    # The guide goes to the lowest rank; an equal fitness replaces nothing that is remembered.
    yield new_case("ties", 4, 8, fitness=TIES, random="round")

    yield new_case("alone, plain local training", 1, 9, memory="current", inertia=0.)
    # |best| keeps a negative best from getting better; a best of zero does not decay.
    negative = [[0.], [.1], [-1.], [-.95], [-.85]]
    yield new_case("alone, negative fitness, another decay", 1, 10, fitness=negative,
                   velocity="total", memory="decay", memory_decay=.08, random="tensor")

    yield new_case("no cognitive pull", 2, 11, cognitive=0., memory="decay", random="element")
    yield new_case("no social pull", 2, 12, social=0., velocity="total", random="element")
    yield new_case("no inertia", 2, 13, inertia=0., velocity="total", random="round")
    yield new_case("leader", 2, 14, fitness=LATE, inertia=0., cognitive=0., memory="current")

    yield new_case("average of two", 2, 15, "average")
    yield new_case("average of three, fitness not finite", 3, 16, "average", fitness=GAPS)
    yield new_case("average of four", 4, 17, "average")
    yield new_case("ssgd of two", 2, 18, "ssgd")
    yield new_case("ssgd of three", 3, 19, "ssgd", lr=.07)


def peer_cases():
    yield new_case("easgd of two", 2, 20, "easgd")
    yield new_case("easgd of three, fitness not finite", 3, 21, "easgd", fitness=GAPS,
                   elastic_alpha=.2)
    yield new_case("easgd of four", 4, 22, "easgd")
    yield new_case("easgd of four, past the center", 4, 23, "easgd", elastic_alpha=.45)

    yield new_case("slowmo of two", 2, 24, "slowmo")
    yield new_case("slowmo of three, fitness not finite", 3, 25, "slowmo", fitness=GAPS,
                   slow_alpha=.8, slow_beta=.7)
    yield new_case("slowmo of four, no momentum", 4, 26, "slowmo", slow_alpha=.6, slow_beta=0)

    yield new_case("diloco of two", 2, 27, "diloco")
    yield new_case("diloco of three, no momentum, fitness not finite", 3, 28, "diloco",
                   fitness=GAPS, outer_momentum=0)
    yield new_case("diloco of four", 4, 29, "diloco", outer_lr=1, outer_momentum=.4)

    yield new_case("leader of two, no finite fitness at first", 2, 30, "leader", fitness=LATE)
    yield new_case("leader of three, fitness not finite", 3, 31, "leader", fitness=GAPS, social=.6)
    yield new_case("leader of four, ties", 4, 32, "leader", fitness=TIES)
    yield new_case("leader of four, all the way", 4, 33, "leader", social=1)


def informed_cases():
    def informed(name, workers, seed, **options):
        return new_case(f"informed-pso-ps {name}", workers, seed, "informed-pso-ps", **options)

    for scope, seed in zip(("none", "round", "tensor", "element"), (34, BIG_SEED, 2**32 + 7, 35)):
        yield informed(scope, 2, seed, random=scope)
        yield informed(f"{scope}, other options", 4, seed, random=scope, inertia=.4, social=.3,
                       beta=4)
        yield informed(f"{scope}, nesterov", 3, seed, random=scope, velocity="nesterov", inertia=.8)
    yield informed("swarm", 2, 47, velocity="swarm", social=.6)
    yield informed("no beta", 3, 36, beta=0, social=.5)
    yield informed("no beta, all the way", 4, 37, beta=0)
    yield informed("no inertia", 3, 38, inertia=0, beta=2, random="round")
    yield informed("no social pull", 2, 39, social=0)

    yield informed("fitness not finite", 3, 40, fitness=GAPS, random="element")
    yield informed("fitness not finite, no beta", 3, 41, fitness=GAPS, beta=0, social=.4)
    yield informed("no finite fitness at first", 2, 42, fitness=LATE, beta=3, random="tensor")
    yield informed("ties", 4, 43, fitness=TIES, beta=8, random="round")
    # The scale is the mean of |f|, and never below 1e-12.
    small = [[0., 0.], [0., 1e-13], [-1., -.5], [.5, -.5], [-1e-12, 2e-12]]
    yield informed("negative fitness and next to none", 2, 44, fitness=small)
    # A softmax whose terms underflow, and a fitness whose square would overflow.
    steep = [[1., .9, .8], [1e300, 1., 2.], [3., 3., 4.], [NAN, 2., 1.], [1., 1., 1.]]
    yield informed("the best guide alone", 3, 45, fitness=steep, beta=1e6)


# ---- Laws -------------------------------------------------------------------


def positions(sync, workers, fitness=None, **options):
    """x of each worker after each round."""
    case = new_case("a law", workers, 46, sync, **options)
    states = SYNCHRONIZERS[sync](case, initial_weights(), default_moves(workers),
                                 fitness or default_fitness(workers))
    return [np.array(state["x"]) for state in states]


def same(found, expected):
    assert len(found) == len(expected) == ROUNDS
    return all(np.all(np.abs(a - b) <= 1e-5 * np.maximum(1, np.abs(b)))
               for a, b in zip(found, expected))


def assert_laws():
    for workers in (1, 2, 3, 4):
        average_of_all = positions("average", workers)
        assert same(positions("slowmo", workers, slow_alpha=1, slow_beta=0), average_of_all)
        assert same(positions("diloco", workers, outer_lr=1, outer_momentum=0), average_of_all)
        for w in (0, .5, .8):
            slow = positions("slowmo", workers, slow_alpha=1, slow_beta=w)
            informed = dict(inertia=w, beta=0, random="none")
            assert same(positions("informed-pso-ps", workers, social=1, **informed), slow)
            # With any c2 the mean of the workers moves so.
            drifting = positions("informed-pso-ps", workers, social=.3, **informed)
            assert same([x.mean(axis=0) for x in drifting], [x[0] for x in slow])
            assert workers == 1 or not same(drifting, slow)
            outer = positions("diloco", workers, outer_lr=1, outer_momentum=w)
            assert same(positions("informed-pso-ps", workers, velocity="nesterov", social=1, **informed), outer)

    as_leader = dict(velocity="swarm", inertia=0, cognitive=0, memory="current", random="none")
    for workers, fitness in ((2, None), (2, LATE), (3, GAPS), (4, TIES)):
        for c2 in (.1, .6, 1):
            assert same(positions("leader", workers, fitness, social=c2),
                        positions("pso-ps", workers, fitness, social=c2, **as_leader))


# The traces are the same in every case. Moves are whole numbers only to keep the file small.


def initial_weights():
    return np.array([round(2 * float(uniform(0, index, 0, 0, INITIAL)) - 1, 1)
                     for index in range(NUM_PARAMS)], np.float32)


def default_moves(workers):
    return np.array([[[random_word(0, index, round_, rank, MOVE) % 5 - 2
                       for index in range(NUM_PARAMS)] for rank in range(workers)]
                     for round_ in range(ROUNDS)], np.float32)


def default_fitness(workers):
    """Around 1, and noisy by more than what `decay` takes off, so that bests come and go."""
    return [[round(.92 + .16 * float(uniform(0, 0, round_, rank, FITNESS)), 4)
             for rank in range(workers)] for round_ in range(ROUNDS)]


# ---- JSON -------------------------------------------------------------------


def number(value):
    """The shortest decimal that is this float32 and no other: at most nine digits."""
    shortest = float(str(np.float32(value)))
    assert np.float32(shortest) == value
    return int(shortest) if shortest.is_integer() else shortest


def vectors_to_json(vectors):
    return [[number(value) for value in vector] for vector in vectors]


def finite_or_null(value):
    return value if math.isfinite(value) else None


def kind(value):
    return "nan" if math.isnan(value) else "inf" if math.isinf(value) else "finite"


def state_to_json(state):
    result = dict(state)
    for name in ("x", "v"):
        if name in state:
            result[name] = vectors_to_json(state[name])
    for name in ("center", "t"):
        if name in state:
            result[name] = vectors_to_json([state[name]])[0]
    if "best" in state:
        result["best"] = finite_or_null(state["best"])
        result["best_i"] = [finite_or_null(value) for value in state["best_i"]]
    return result


def replay(case):
    initial, moves = initial_weights(), default_moves(case["workers"])
    fitness = case["fitness"] or default_fitness(case["workers"])
    states = SYNCHRONIZERS[case["sync"]](case, initial, moves, fitness)
    name_of_move = "gradient" if case["sync"] == "ssgd" else "displacement"
    rounds = [{name_of_move: vectors_to_json(moves[r]),
               "fitness": [finite_or_null(f) for f in fitness[r]],
               "fitness_kind": [kind(f) for f in fitness[r]],
               "after": state_to_json(state)} for r, state in enumerate(states)]
    return {**{name: value for name, value in case.items() if name != "fitness"},
            "tensor_sizes": TENSOR_SIZES, "initial": vectors_to_json([initial])[0],
            "rounds": rounds}


def one_line(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def lines(values):
    return ",\n".join(one_line(value) for value in values)


def goldens():
    """The text of goldens.json: one line for each round, so that a difference can be read."""
    assert_laws()
    cases = [replay(case)
             for case in (*grid(), *special_cases(), *peer_cases(), *informed_cases())]
    results = [one_line(case["rounds"][-1]["after"]) for case in cases]
    assert len(set(results)) == len(results), "two cases end alike: one of them tests nothing"
    blocks = []
    for case in cases:
        head = one_line({key: value for key, value in case.items() if key != "rounds"})
        blocks.append(f'{head[:-1]},"rounds":[\n{lines(case["rounds"])}]}}')
    return (f'{{"philox":[\n{lines(philox_blocks())}],\n'
            f'"philox_words":[\n{lines(philox_words())}],\n'
            '"cases":[\n' + ",\n".join(blocks) + "]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write goldens.json anew")
    arguments = parser.parse_args()

    expected = goldens()
    if arguments.write:
        GOLDENS.write_text(expected, encoding="ascii")
        print(f"{GOLDENS.name}: wrote {len(expected)} bytes")
        return 0
    found = GOLDENS.read_text(encoding="ascii") if GOLDENS.exists() else ""
    if found == expected:
        print(f"{GOLDENS.name}: up to date")
        return 0
    pairs = itertools.zip_longest(found.splitlines(), expected.splitlines())
    line = next((n for n, (old, new) in enumerate(pairs, 1) if old != new), "the last")
    print(f"{GOLDENS.name}: differs from what this script computes, from line {line} on; if the "
          "script is right, run it with --write", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
