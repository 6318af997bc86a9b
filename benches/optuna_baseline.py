"""The regret half of `cargo bench --bench planning` in Optuna: the same functions, trials, seeds and noise, as the same JSON lines.

    python3 -m venv /tmp/optuna && /tmp/optuna/bin/pip install optuna torch scipy
    /tmp/optuna/bin/python benches/optuna_baseline.py > /tmp/optuna.jsonl
    cargo bench --bench planning -- --beside /tmp/optuna.jsonl

Arguments, all optional: --samplers gp,tpe,random  --functions branin,...  --seeds 20  --trials N (instead of 10 + 5 a parameter)
--cost (the time per proposal at 500 results of 20 parameters instead).
"""

import argparse
import json
import math
import sys
import time
import warnings

import optuna

MASK = (1 << 64) - 1


def split_mix(state):
    """The next number of SplitMix64, as benches/planning has it."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def normal(seed, trial):
    """The standard normal number that disturbs a trial: Box and Muller of two numbers of its own."""
    one = split_mix(seed * 1_000_003 + 2 * trial)
    two = split_mix(seed * 1_000_003 + 2 * trial + 1)
    u = ((one >> 11) + 1) / 2**53
    v = (two >> 11) / 2**53
    return math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)


def branin(x):
    a, b = x["x0"], x["x1"]
    bow = b - 5.1 / (4 * math.pi**2) * a * a + 5 / math.pi * a - 6
    return bow * bow + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10


H6_ALPHA = [1.0, 1.2, 3.0, 3.2]
H6_A = [
    [10, 3, 17, 3.5, 1.7, 8],
    [0.05, 10, 17, 0.1, 8, 14],
    [3, 3.5, 1.7, 10, 17, 8],
    [17, 8, 0.05, 10, 0.1, 14],
]
H6_P = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]


def hartmann6(x):
    x = [x[f"x{i}"] for i in range(6)]
    return -sum(
        al * math.exp(-sum(a * (v - p) ** 2 for a, v, p in zip(row, x, at)))
        for al, row, at in zip(H6_ALPHA, H6_A, H6_P)
    )


def ackley5(x):
    x = [x[f"x{i}"] for i in range(5)]
    root = math.sqrt(sum(v * v for v in x) / 5)
    waves = sum(math.cos(2 * math.pi * v) for v in x) / 5
    return -20 * math.exp(-0.2 * root) - math.exp(waves) + 20 + math.e


MIXED = {"adamw": (0.0, -3.4), "sgd": (0.15, -1.6), "lion": (0.05, -4.3)}


def mixed(x):
    """A made-up loss: each optimiser has its learning rate, a larger rank wants a smaller one, and there is a best of each."""
    floor, rate = MIXED[x["optimizer"]]
    a = math.log10(x["learning_rate"]) - rate
    b = math.log2(x["rank"]) - 4
    c = x["dropout"] - 0.1
    bowl = 0.4 * a * a + 0.05 * b * b + 0.1 * a * b + 4 * c * c
    return floor + bowl + 0.03 * (1 - math.cos(6 * a))


def reals(count, low, high):
    return {f"x{i}": ("real", low, high) for i in range(count)}


# name: (function, its least value, the sd of the noise, the parameters)
FUNCTIONS = {
    "branin": (branin, 0.39788735772973816, 0.0, {"x0": ("real", -5, 10), "x1": ("real", 0, 15)}),
    "hartmann6": (hartmann6, -3.322368011415513, 0.0, reals(6, 0, 1)),
    "ackley5": (ackley5, 0.0, 0.0, reals(5, -5, 10)),
    "mixed": (
        mixed,
        0.0,
        0.0,
        {
            "learning_rate": ("log", 1e-6, 1e-1),
            "optimizer": ("choice", ["adamw", "sgd", "lion"]),
            "rank": ("log_int", 1, 128),
            "dropout": ("real", 0, 0.5),
        },
    ),
    "noisy_hartmann6": (hartmann6, -3.322368011415513, 0.2, reals(6, 0, 1)),
}


def ask(trial, space):
    values = {}
    for name, (kind, *rest) in space.items():
        if kind == "choice":
            values[name] = trial.suggest_categorical(name, rest[0])
        elif kind == "log_int":
            values[name] = trial.suggest_int(name, *rest, log=True)
        else:
            values[name] = trial.suggest_float(name, *rest, log=kind == "log")
    return values


SAMPLERS = {
    "optuna_gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "optuna_gp_deterministic": lambda seed: optuna.samplers.GPSampler(seed=seed, deterministic_objective=True),
    "optuna_tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
    "optuna_random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}


def regret(name, sampler, seed, trials):
    function, least, noise, space = FUNCTIONS[name]
    trials = trials or 10 + 5 * len(space)
    study = optuna.create_study(sampler=SAMPLERS[sampler](seed))
    seen, told = [], []
    began = time.perf_counter()
    for at in range(trials):
        trial = study.ask()
        truth = function(ask(trial, space))
        seen.append(truth)
        told.append(truth + noise * normal(seed, at))
        study.tell(trial, told[-1])
    return {
        "bench": "regret",
        "function": name,
        "sampler": sampler,
        "seed": seed,
        "trials": trials,
        "regret": min(seen) - least,
        "chosen": seen[told.index(min(told))] - least,
        "seconds": round(time.perf_counter() - began, 3),
    }


def cost(sampler, results=500, dims=20, rounds=5):
    """Seconds of one proposal after so many results."""
    distributions = {f"x{i}": optuna.distributions.FloatDistribution(0, 1) for i in range(dims)}
    study = optuna.create_study(sampler=SAMPLERS[sampler](1))
    for at in range(results):
        x = {name: (split_mix(at * dims + i) >> 11) / 2**53 for i, name in enumerate(distributions)}
        value = sum((v - 0.3) ** 2 for v in x.values()) + 0.1 * normal(1, at)
        study.add_trial(optuna.trial.create_trial(params=x, distributions=distributions, value=value))
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        trial = study.ask(distributions)
        seconds.append(time.perf_counter() - began)
        study.tell(trial, sum((v - 0.3) ** 2 for v in trial.params.values()))
    # The first proposal fits from nothing; the later ones start from its hyperparameters.
    return {
        "bench": "cost",
        "sampler": sampler,
        "results": results,
        "parameters": dims,
        "first": round(seconds[0], 4),
        "least": round(min(seconds), 4),
        "median": round(sorted(seconds)[len(seconds) // 2], 4),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samplers", default="optuna_gp,optuna_tpe,optuna_random")
    parser.add_argument("--functions", default=",".join(FUNCTIONS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--cost", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if "gp" in given.samplers:
        import torch

        torch.set_num_threads(1)
    samplers = given.samplers.split(",")
    if given.cost:
        for sampler in samplers:
            print(json.dumps(cost(sampler)), flush=True)
        return
    for seed in range(1, given.seeds + 1):
        for name in given.functions.split(","):
            for sampler in samplers:
                print(json.dumps(regret(name, sampler, seed, given.trials)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
