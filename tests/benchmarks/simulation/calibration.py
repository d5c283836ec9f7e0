# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real llama.cpp server beside the simulator: response time from 20 to 80 % load.

    .venv/bin/python tests/benchmarks/simulation/calibration.py

One server with one slot on loopback. Its profile is measured before and after each load, one request after the
other: seconds = base + prefill x tokens in + step x (tokens out - 1), by least absolute errors over both. Between
the two, Poisson arrivals at that load; then the very same arrivals and lengths go through the simulator. Requests of
one size do not all take the same time: each gets the ratio of measured to fitted seconds of one that met no other. A
machine is slow for seconds at a time (ratios of two such requests in a row correlate by 0.3 to 0.7), and slow requests
in a row make queues, so the ratios are drawn in stretches as they were measured, 40 times, and all draws together are
the simulated distribution. A round is left out when the server's own speed, before and after it, differs by more than a
tenth: nobody knows then how fast it was meanwhile, and near full load an error of 3 % makes one of 14 % (--why). Of 4 rounds
a load, the figures are those of all that are left together; beside them those of all. Needs a quiet machine, which
the file tells by the processor time that others took; takes a quarter of an hour. Goal: P50 and P95 within 15 % at each load.

    .venv/bin/python tests/benchmarks/simulation/calibration.py --again    what was measured last (.cache), evaluated anew
    .venv/bin/python tests/benchmarks/simulation/calibration.py --why      what an error of the profile makes of the response

The last needs no server and no quiet machine: it simulates with the profile that was found, and with small errors in it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pickle
import platform
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "integration"))
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "inventories" / "demo"))

import tiny_model
from gateway_bench import LlamaServer, free_ports, post

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import Profile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.station import Requests, Station

LOADS = (0.2, 0.4, 0.6, 0.8)
ROUNDS = 4
REQUESTS = 130  # a round, at every load: a P95 of few requests is chance
MEASURED = 40  # requests before and after each round
WITHIN = 0.15
STEADY = 0.1  # by which the speed of a server may change over a round
DRAWS, STRETCH = 40, 10  # of ratios, and requests in a row that keep theirs
KEPT = Path(__file__).resolve().parents[3] / ".cache" / "calibration.pickle"  # of the last run on this machine
TOKENS_IN, TOKENS_OUT = (16, 256), (16, 192)
MEAN_IN, MEAN_OUT = sum(TOKENS_IN) / 2.0, sum(TOKENS_OUT) / 2.0
TOKENS_KNOWN = 200  # of the model's words, to make prompts of
SIZE = {"LAYERS": 4, "WIDTH": 256, "FEED_FORWARD": 704, "HEADS": 4, "KEY_VALUE_HEADS": 2, "HEAD_SIZE": 64}


def lengths(random: np.random.Generator, count: int) -> np.ndarray:
    """Tokens in and out, shape (count, 2)."""
    drawn = [random.integers(low, high + 1, size=count) for low, high in (TOKENS_IN, TOKENS_OUT)]
    return np.column_stack(drawn)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[LlamaServer]:
    """One slot, one thread, a model of random weights that takes about a millisecond a token."""
    for name, value in SIZE.items():
        setattr(tiny_model, name, value)
    tiny_model.write(str(folder / "model.gguf"), 3, 1024)
    server = LlamaServer(folder / "model.gguf", free_ports(1)[0], parallel=1, context=1024)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def ask(port: int, random: np.random.Generator, size: np.ndarray) -> float:
    """Seconds of one request."""
    prompt = [int(one) for one in random.integers(3, TOKENS_KNOWN, size=size[0])]
    document = {"prompt": prompt, "n_predict": int(size[1]), "ignore_eos": True, "cache_prompt": False}
    started = time.perf_counter()
    status, _headers, text = post(port, "/completion", document)
    seconds = time.perf_counter() - started
    answer = json.loads(text)
    if status != 200 or answer["tokens_predicted"] != size[1]:
        raise RuntimeError(f"the server answered {status}: {text[:200]}")
    return seconds


def least_absolute(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Coefficients with the least sum of absolute errors, by reweighted least squares: a stall of the machine counts once."""
    weights = np.ones(len(values))
    for _round in range(50):
        root = np.sqrt(weights)
        found = np.linalg.lstsq(columns * root[:, None], values * root, rcond=None)[0]
        weights = 1.0 / np.maximum(np.abs(values - columns @ found), 1e-5)
    return found


Sample = tuple[np.ndarray, np.ndarray]


def one_by_one(port: int, random: np.random.Generator) -> Sample:
    """Tokens in and out, and seconds, of requests that meet no other."""
    sizes = lengths(random, MEASURED)
    return sizes, np.array([ask(port, random, size) for size in sizes])


def fitted(samples: list[Sample]) -> Profile:
    sizes = np.concatenate([sizes for sizes, _seconds in samples])
    seconds = np.concatenate([seconds for _sizes, seconds in samples])
    columns = np.column_stack([np.ones(len(sizes)), sizes[:, 0], sizes[:, 1] - 1.0])
    found = least_absolute(columns, seconds)
    if found[0] < 0.0:  # a line through the origin then; to cut the base off alone would make all requests longer
        found = np.concatenate([[0.0], least_absolute(columns[:, 1:], seconds)])
    base, prefill, step = np.maximum(found, [0.0, 1e-9, 1e-9])
    return Profile((float(step),), prefill_base_seconds=float(base), prefill_seconds_per_token=float(prefill))


def loaded(port: int, arrivals: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each request when they are sent at their moments, and the moments at which they were, in order."""
    found = np.full(len(arrivals), np.nan)
    sent = np.zeros(len(arrivals))

    def one(number: int) -> None:
        found[number] = ask(port, np.random.default_rng([9, number]), sizes[number])

    threads = []
    begin = time.perf_counter() + 0.2
    for number, moment in enumerate(arrivals):
        time.sleep(max(0.0, begin + moment - time.perf_counter()))
        sent[number] = time.perf_counter() - begin
        threads.append(threading.Thread(target=one, args=(number,)))
        threads[-1].start()
    for thread in threads:
        thread.join(60)
    if np.isnan(found).any():
        raise RuntimeError(f"{int(np.isnan(found).sum())} requests got no answer within a minute")
    return found, sent


def ratios(profile: Profile, samples: list[Sample]) -> np.ndarray:
    """Measured over fitted seconds of requests that met no other."""
    sizes = np.concatenate([sizes for sizes, _seconds in samples])
    seconds = np.concatenate([seconds for _sizes, seconds in samples])
    return seconds / (profile.prefill_seconds(sizes[:, 0]) + (sizes[:, 1] - 1.0) * profile.step_seconds[0])


def simulated(profile: Profile, arrivals: np.ndarray, sizes: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """Seconds of each request; ``scatter``: so many times the tokens each has to work on, in and out."""
    into, out = sizes[:, 0] * scatter, 1.0 + (sizes[:, 1] - 1.0) * scatter
    station = Station(profile, Requests(arrivals, into, out), ready=1, start=0.0)
    station.run_until(float(arrivals[-1]) + 3600.0)
    return np.asarray(station.finish) - arrivals


def in_stretches(known: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """``count`` of the known ratios, STRETCH in a row at a time as they were measured."""
    begins = random.integers(0, len(known) - STRETCH + 1, count // STRETCH + 1)
    return known[(begins[:, None] + np.arange(STRETCH)).ravel()[:count]]


Round = dict[str, Any]


def measured(port: int, rounds: int) -> list[Round]:
    """Of each round its load, when what was sent, how long it took, and the requests that met no other around it."""
    random = np.random.default_rng(11)
    found = []
    for size in lengths(random, 10):
        ask(port, random, size)
    before = one_by_one(port, random)
    for number in range(rounds * len(LOADS)):
        load = LOADS[number % len(LOADS)]
        full = fitted([before]).requests_per_second(MEAN_IN, MEAN_OUT)
        arrivals = np.cumsum(random.exponential(1.0 / (load * full), REQUESTS))
        sizes = lengths(random, len(arrivals))
        real, sent = loaded(port, arrivals, sizes)
        after = one_by_one(port, random)
        found.append({"load": load, "alone": [before, after], "sizes": sizes, "sent": sent, "real": real})
        before = after
        print(f"load {load:.0%}: {len(arrivals)} requests, full rate {full:.2f}/s", flush=True)
    return found


def change_of_speed(one: Round) -> float:
    """How much faster the server was after the round than before, as a share."""
    before, after = (fitted([sample]).requests_per_second(MEAN_IN, MEAN_OUT) for sample in one["alone"])
    return after / before - 1.0


def evaluated(rounds: list[Round]) -> dict[str, Any]:
    """Profiles and rows of the result: of the rounds in which the server was steady, and of all."""
    changes = [abs(change_of_speed(one)) for one in rounds]
    steady = [one for one, change in zip(rounds, changes) if change <= STEADY]
    without = sorted(set(LOADS) - {one["load"] for one in steady})
    if without:
        raise SystemExit(f"the machine was not quiet: no steady round at a load of {without}. Try again later")
    random = np.random.default_rng(12)
    others = [one for one, change in zip(rounds, changes) if change > STEADY]
    trials = [Trial.of(one, random) for one in (*steady, *others)]
    return {
        **_figures(trials[: len(steady)]),
        "change_of_speed": _range(changes),
        "steady_rounds_of": [len(steady), len(rounds)],
        "of_all_rounds": _figures(trials)["loads"],
    }


@dataclass(frozen=True)
class Trial:
    """A round beside its simulation. ``seconds``: one column measured and :data:`DRAWS` simulated, a row a request."""

    load: float
    profile: Profile
    scatter: np.ndarray
    seconds: np.ndarray

    @staticmethod
    def of(one: Round, random: np.random.Generator) -> Trial:
        profile = fitted(one["alone"])
        scatter = ratios(profile, one["alone"])
        drawn = [in_stretches(scatter, len(one["sent"]), random) for _draw in range(DRAWS)]
        models = [simulated(profile, one["sent"], one["sizes"], some) for some in drawn]
        return Trial(one["load"], profile, scatter, np.column_stack([one["real"], *models]))


def _figures(trials: list[Trial]) -> dict[str, Any]:
    profiles, scatters = [one.profile for one in trials], [one.scatter for one in trials]
    rows = [compared(load, [one.seconds for one in trials if one.load == load]) for load in LOADS]
    return {
        "profiles": {
            "base_seconds": _range([one.prefill_base_seconds for one in profiles]),
            "prefill_seconds_per_token": _range([one.prefill_seconds_per_token for one in profiles]),
            "step_seconds": _range([one.step_seconds[0] for one in profiles]),
            "scatter": _range([float(np.std(one)) for one in scatters]),
            "scatter_of_neighbours": _range([float(np.corrcoef(one[:-1], one[1:])[0, 1]) for one in scatters]),
        },
        "goal": WITHIN,
        "goal_met": all(abs(row[f"p{percentile}_error"]) <= WITHIN for row in rows for percentile in (50, 95)),
        "loads": rows,
    }


def why(profiles: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """By load, by how much P50 and P95 grow when the profile errs: :data:`ERRORS`, simulated with many requests."""
    base, prefill, step = (
        profiles[key]["median"] for key in ("base_seconds", "prefill_seconds_per_token", "step_seconds")
    )
    profile = Profile((step,), prefill_base_seconds=base, prefill_seconds_per_token=prefill)
    full = profile.requests_per_second(MEAN_IN, MEAN_OUT)
    random = np.random.default_rng(13)
    sizes, gaps = lengths(random, MANY), random.exponential(1.0 / full, MANY)
    rows = []
    for load in LOADS:
        found = {
            words: np.percentile(simulated(profile, np.cumsum(gaps / load), sizes, scatter(random)), (50, 95))
            for words, scatter in ERRORS.items()
        }
        as_found = found.pop("as found")
        rows.append(
            {"load": load, **{words: np.round(one / as_found - 1.0, 3).tolist() for words, one in found.items()}}
        )
    return rows


MANY = 20_000
ERRORS = {
    "as found": lambda random: np.ones(MANY),
    "3 % slower": lambda random: np.full(MANY, 1.03),
    "5 % slower": lambda random: np.full(MANY, 1.05),
    "requests of one size scatter by 20 %": lambda random: np.exp(random.normal(0.0, 0.2, MANY)),
}


def compared(load: float, rounds: list[np.ndarray]) -> dict[str, Any]:
    real, *draws = np.concatenate(rounds).T
    model = np.concatenate(draws)
    row: dict[str, Any] = {"load": load, "requests": len(real)}
    for percentile in (50, 95):
        pair = [float(np.percentile(values, percentile)) for values in (real, model)]
        row[f"p{percentile}_seconds"] = {"real": round(pair[0], 4), "simulated": round(pair[1], 4)}
        row[f"p{percentile}_error"] = round(pair[1] / pair[0] - 1.0, 4)
    return row


def others_share(before: tuple[float, ...], after: tuple[float, ...], own: float) -> float:
    """The share of all processor time that other processes and the host's neighbours took."""
    busy = sum(after) - sum(before) - (after[3] - before[3]) - (after[4] - before[4])
    return max(0.0, busy / os.sysconf("SC_CLK_TCK") - own) / ((sum(after) - sum(before)) / os.sysconf("SC_CLK_TCK"))


def processor_times() -> tuple[float, ...]:
    """The clock ticks of all processors: user, nice, system, idle, iowait, irq, softirq, steal."""
    return tuple(float(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:9])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--why", action="store_true")
    asked = parser.parse_args()
    path = Path(__file__).with_suffix(".json")
    if asked.why:
        result = json.loads(path.read_text())
        result["why"] = why(result["profiles"])
    elif asked.again:
        circumstances, rounds = pickle.loads(KEPT.read_bytes())
        result = {**circumstances, **evaluated(rounds)}
    else:
        circumstances, rounds = _run(asked.rounds)
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_bytes(pickle.dumps((circumstances, rounds)))
        result = {**circumstances, **evaluated(rounds)}
    print(json.dumps(result, indent=1))
    path.write_text(json.dumps(result, indent=1) + "\n")


def _run(rounds: int) -> tuple[dict[str, Any], list[Round]]:
    """The circumstances, and what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        ticks, own = processor_times(), time.process_time()
        with served(Path(folder)) as server:
            found = measured(server.port, rounds)
        of_server = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = time.process_time() - own + of_server.ru_utime + of_server.ru_stime
        others = others_share(ticks, processor_times(), own)
    circumstances = {
        "date": datetime.now(tz=timezone.utc).strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version(), "xllamacpp": version("xllamacpp")},
        "processor_share_of_others": round(others, 3),
        "load_average": round(os.getloadavg()[2], 1),
        "rounds": rounds,
    }
    return circumstances, found


def _range(values: list[float]) -> dict[str, float]:
    """Least, median and most over the rounds."""
    return {
        name: float(f"{np.percentile(values, at):.4g}") for name, at in (("least", 0), ("median", 50), ("most", 100))
    }


if __name__ == "__main__":
    main()
