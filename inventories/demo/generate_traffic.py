# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate a demand history for trying the collection out. The traffic is made up, not measured.

Each model's rate, in requests/s, is

    level x day profile x week profile x level shift x bursts x lognormal AR(1) noise

and what is written are Poisson arrivals at that rate, counted per step. The profiles
imitate what operators of language models report: people by day and in the evening
(chat), office hours with a noon dip (code), and batches by day with nights that are
almost empty (embedding). The same options give the same bytes.

Prints one JSON object with the two moments of the last two days at which plans differ
most: `trough`, whose following two hours have the lowest total demand, and `peak`,
one hour before the highest total demand.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import sys
import zlib
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

HOUR, DAY = 3600, 86_400
NOTICE = "GENERATED TRAFFIC. These requests never happened; do not take them for measurements."


@dataclass(frozen=True)
class Profile:
    """How one kind of traffic moves.

    ``hours`` is the relative level at 0, 1, ... 23 h UTC, ``weekdays`` from Monday on.
    ``shift_at`` is the part of the history after which the level is ``shift`` times as high.
    """

    hours: tuple[float, ...]
    weekdays: tuple[float, ...]
    noise: float
    bursts_per_day: float
    shift_at: float
    shift: float


PROFILES = {
    "chat": Profile(
        hours=(26, 19, 14, 11, 10, 13, 21, 36, 55, 72, 84, 90, 92, 95, 100, 99, 94, 88, 86, 88, 84, 72, 54, 38),
        weekdays=(1.0, 1.03, 1.04, 1.02, 0.97, 0.78, 0.8),
        noise=0.10,
        bursts_per_day=1.0,
        shift_at=0.55,
        shift=1.3,
    ),
    "code": Profile(
        hours=(9, 7, 6, 6, 7, 11, 24, 50, 80, 97, 100, 92, 70, 82, 98, 99, 90, 68, 45, 32, 26, 21, 16, 12),
        weekdays=(1.0, 1.05, 1.06, 1.03, 0.9, 0.45, 0.42),
        noise=0.14,
        bursts_per_day=0.7,
        shift_at=1.0,
        shift=1.0,
    ),
    "embedding": Profile(
        hours=(1, 1, 0, 0, 0, 1, 8, 34, 66, 90, 100, 96, 88, 92, 97, 90, 74, 55, 40, 28, 18, 9, 4, 2),
        weekdays=(1.0, 1.0, 1.0, 1.0, 0.95, 0.6, 0.6),
        noise=0.22,
        bursts_per_day=2.0,
        shift_at=0.4,
        shift=0.8,
    ),
}
DEFAULT_MODELS = ("chat-8b:6", "code-7b:2.5", "embed-small:4")
DEFAULT_END = "2026-11-19T00:00:00Z"
NIGHT_SHARE_SENT = 0.3  # below a twentieth of the top, this share of steps has any traffic
NIGHT_LEVEL = 0.05


def rates(
    profile: Profile, moments: npt.NDArray[np.float64], step: int, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Relative rate at each moment; any mean."""
    hours = (moments % DAY) / HOUR
    day = np.interp(hours, np.arange(25), (*profile.hours, profile.hours[0])) / 100
    weekday = ((moments // DAY + 3) % 7).astype(int)  # 1 January 1970 was a Thursday
    level = day * np.array(profile.weekdays)[weekday]
    shifted = np.arange(len(moments)) >= profile.shift_at * len(moments)
    level = level * np.where(shifted, profile.shift, 1.0)
    level = (
        level * _bursts(profile, len(moments), step, generator) * _noise(profile.noise, len(moments), step, generator)
    )
    night = day < NIGHT_LEVEL
    return np.where(night & (generator.random(len(moments)) > NIGHT_SHARE_SENT), 0.0, level)


def _bursts(profile: Profile, count: int, step: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """A factor that jumps at random moments and falls back within about half an hour."""
    factor = np.ones(count)
    since_start = np.arange(count) * step
    for begin in np.flatnonzero(generator.random(count) < profile.bursts_per_day * step / DAY):
        height = generator.uniform(0.2, 0.7)
        after = since_start[begin:] - since_start[begin]
        factor[begin:] += height * np.exp(-after / (HOUR / 2))
    return factor


def _noise(sigma: float, count: int, step: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Lognormal noise of mean one whose logarithm is AR(1), forgetting in about half an hour."""
    keep = float(np.exp(-step / (HOUR / 2)))
    shocks = generator.standard_normal(count) * sigma * np.sqrt(1 - keep**2)
    noise = np.empty(count)
    state = generator.standard_normal() * sigma
    for index, shock in enumerate(shocks):
        state = keep * state + shock
        noise[index] = state
    return np.exp(noise - sigma**2 / 2)


def generate(
    models: dict[str, float], *, seed: int, days: float, step: int, end: float
) -> tuple[npt.NDArray[np.float64], dict[str, npt.NDArray[np.float64]]]:
    """Moments (epoch seconds) and requests/s of each model; each model has its own random numbers."""
    count = int(days * DAY // step)
    last = end // step * step
    moments = last - step * np.arange(count - 1, -1, -1, dtype=np.float64)
    kinds = list(PROFILES.values())
    history = {}
    for index, (name, mean) in enumerate(models.items()):
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        relative = rates(_profile(name) or kinds[index % len(kinds)], moments, step, generator)
        arrivals = generator.poisson(relative / relative.mean() * mean * step)
        history[name] = np.round(arrivals / step, 4)
    return moments, history


def _profile(name: str) -> Profile | None:
    for part, kind in (("chat", "chat"), ("code", "code"), ("embed", "embedding")):
        if part in name:
            return PROFILES[kind]
    return None


def planning_moments(moments: npt.NDArray[np.float64], total: npt.NDArray[np.float64], step: int) -> dict[str, object]:
    """Where in the last two days to plan for least and most, and the highest total of the two hours that follow."""
    ahead = 2 * HOUR // step
    recent = np.flatnonzero(moments > moments[-1] - 2 * DAY)
    starts = recent[recent + ahead < len(moments)]
    sums = np.array([total[start + 1 : start + 1 + ahead].sum() for start in starts])
    trough = int(starts[sums.argmin()])
    # An hour before and an hour after the top must lie inside, for there to be something to plan and to see.
    inside = recent[(recent - HOUR // step >= recent[0]) & (recent + HOUR // step < len(moments))]
    peak = int(inside[total[inside].argmax()]) - HOUR // step
    result: dict[str, object] = {}
    for name, index in (("trough", trough), ("peak", peak)):
        result[name] = iso(moments[index])
        result[f"{name}_requests_per_second"] = float(total[index + 1 : index + 1 + ahead].max())
    return result


def render(moments: npt.NDArray[np.float64], history: dict[str, npt.NDArray[np.float64]], *, compress: bool) -> bytes:
    """The history file: rows sorted by series and time."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("series", "timestamp", "value"))
    stamps = [iso(moment) for moment in moments]
    for name in sorted(history):
        writer.writerows((name, stamp, f"{value:.10g}") for stamp, value in zip(stamps, history[name]))
    content = text.getvalue().encode()
    if not compress:
        return content
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=6) as stream:
        stream.write(content)
    return packed.getvalue()


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment like 2026-11-23T18:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _model(text: str) -> tuple[str, float]:
    name, _unused, rate = text.rpartition(":")
    try:
        mean = float(rate)
    except ValueError:
        mean = 0.0
    if not name or not 0 < mean < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:MEAN with a mean above 0 requests/s, like chat-8b:6")
    return name, mean


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=NOTICE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=7, help="seed of the random numbers, 0 or more (default 7)")
    parser.add_argument("--days", type=float, default=14, help="length in days, at least 3 (default 14)")
    parser.add_argument("--step-seconds", type=int, default=600, help="seconds a sample, 10 to 3600 (default 600)")
    parser.add_argument(
        "--end",
        type=_moment,
        default=DEFAULT_END,
        metavar="ISO",
        help=f"moment of the last sample (default {DEFAULT_END}, after two working days)",
    )
    parser.add_argument("--dest", type=Path, required=True, metavar="PATH", help="history file, .csv or .csv.gz")
    parser.add_argument(
        "--models",
        type=_model,
        nargs="+",
        metavar="NAME:MEAN",
        default=[_model(text) for text in DEFAULT_MODELS],
        help=f"models with their mean requests/s (default {' '.join(DEFAULT_MODELS)})",
    )
    options = parser.parse_args(arguments)
    if options.seed < 0 or not 3 <= options.days <= 3660 or not 10 <= options.step_seconds <= HOUR:
        parser.error("--seed is 0 or more, --days 3 to 3660, --step-seconds 10 to 3600")
    if not options.dest.parent.is_dir():
        parser.error(f"the directory {options.dest.parent} does not exist")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    models = dict(options.models)
    moments, history = generate(
        models, seed=options.seed, days=options.days, step=options.step_seconds, end=options.end
    )
    options.dest.write_bytes(render(moments, history, compress=options.dest.suffix == ".gz"))
    Path(f"{options.dest}.README").write_text(
        f"{NOTICE}\n\n{options.dest.name} was written by inventories/demo/generate_traffic.py with --seed {options.seed}"
        f" --days {options.days:g} --step-seconds {options.step_seconds} --end {iso(options.end)}"
        f" --models {' '.join(f'{name}:{mean:g}' for name, mean in models.items())}\n",
        encoding="utf-8",
    )
    report = {
        "notice": NOTICE,
        "history": str(options.dest),
        "history_start": iso(moments[0]),
        "history_end": iso(moments[-1]),
        "step_seconds": options.step_seconds,
        **planning_moments(moments, np.sum(list(history.values()), axis=0), options.step_seconds),
    }
    sys.stdout.write(json.dumps(report, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
