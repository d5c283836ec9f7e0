# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Who has which accelerators when, while a schedule is made.

Every policy places through a :class:`Ledger`, so that no policy can give away more than is
free, start a job before its release, or run it on a number of accelerators it does not allow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import (
    TOLERANCE,
    Problem,
    size_for,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
Place = tuple[int, int]  # bin, accelerators
Run = tuple[int, int, int, int]  # first period, periods, bin, accelerators
MOST_RUN_SIZES = 6


class Ledger:
    """Free accelerators and what each job was given.

    ``places[j]`` maps period to (bin, accelerators); ``left[j]`` is the work not yet placed;
    ``fastest[j]`` the most work an hour can do for it.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        capacity = problem.capacity
        self.free: Array = capacity.free.copy()
        self.type_of = capacity.type_of
        self.bins_of = [[b for b, k in enumerate(self.type_of) if k == kind] for kind in range(len(capacity.types))]
        most = np.array([job.most for job in problem.jobs], dtype=float)
        self.fastest: list[float] = (problem.speed.max(axis=1, initial=0.0) * most).tolist()
        self.places: list[dict[int, Place]] = [{} for _job in problem.jobs]
        self.left: list[float] = problem.work.tolist()
        self.last_bin: list[int] = [self._held_bin(job) for job in range(len(problem.jobs))]
        self._columns: list[list[int]] = capacity.free.T.tolist()
        self._total: list[int] = capacity.free.sum(axis=0).tolist()
        self._rates: list[list[float]] = (problem.speed * capacity.hours).tolist()
        self._usable: list[list[float]] = problem.usable.tolist()
        self._kinds = [[k for k, rate in enumerate(rates) if rate > 0] for rates in self._rates]

    def any_free(self, period: int) -> bool:
        return self._total[period] > 0

    def rate(self, job: int, kind: int, period: int) -> float:
        """Work one accelerator does for the job in the period, accelerator-hours."""
        return self._rates[job][kind] * self._usable[job][period]

    def done_in(self, job: int, period: int) -> float:
        """Work its place in the period can do."""
        placed = self.places[job].get(period)
        return placed[1] * self.rate(job, self.type_of[placed[0]], period) if placed else 0.0

    def place(self, job: int, period: int, index: int, count: int) -> None:
        """Give ``count`` accelerators of a bin; the job must have nothing in this period."""
        self._take(period, index, count)
        self.places[job][period] = (index, count)
        self.left[job] -= self.done_in(job, period)
        self.last_bin[job] = index

    def remove(self, job: int, period: int) -> None:
        """Take back what the job has in the period."""
        self.left[job] += self.done_in(job, period)
        index, count = self.places[job].pop(period)
        self._take(period, index, -count)

    def offer(self, job: int, period: int, need: float, kinds: Sequence[int] | None = None) -> Place | None:
        """The place that does most of ``need``: fewest accelerators among equals, then where it ran last.

        ``kinds`` are the types to look at, all by default.
        """
        usable = self._usable[job][period]
        if usable <= 0:
            return None
        best: tuple[float, int, int, int] | None = None
        chosen: Place | None = None
        last = self.last_bin[job]
        for kind in self._kinds[job] if kinds is None else kinds:
            rate = self._rates[job][kind] * usable
            if rate <= 0:
                continue
            index, count = self._room(job, kind, period, need / rate)
            if not count:
                continue
            key = (-min(need, count * rate), count, 0 if index == last else 1, index)
            if best is None or (key[0] < best[0] - TOLERANCE or (key[0] <= best[0] + TOLERANCE and key[1:] < best[1:])):
                best, chosen = key, (index, count)
        return chosen

    def raise_in(self, job: int, period: int, need: float) -> bool:
        """More for a job that has a place already, for ``need`` in all; in another bin if that does more."""
        index, count = self.places[job][period]
        before = self.done_in(job, period)
        self.remove(job, period)
        found = self.offer(job, period, need)
        if found is not None:
            done = found[1] * self.rate(job, self.type_of[found[0]], period)
            if min(done, need) > min(before, need) + TOLERANCE:
                self.place(job, period, *found)
                return True
        self.place(job, period, index, count)
        return False

    def find_run(self, job: int, first: int, last: int) -> Run | None:
        """The run without a pause that ends first, starting in ``first`` .. ``last``, or None.

        Constant accelerators of one bin; fewest accelerator-periods among equal ends.
        """
        best: tuple[float, int, int, int, int] | None = None
        for kind in self._kinds[job]:
            for count in run_sizes(self.problem.jobs[job].sizes):
                for start, length, end in self._starts(job, kind, count, first, last):
                    key_end = (end, count * length)
                    if best is not None and key_end > best[:2]:
                        break  # later starts end later still
                    index = self.bin_with(kind, start, length, count)
                    if index is not None:
                        key = (end, count * length, start, index, count)
                        best = key if best is None or key < best else best
                        break
        if best is None:
            return None
        _end, area, start, index, count = best
        return start, area // count, index, count

    def place_run(self, job: int, run: Run) -> None:
        first, length, index, count = run
        for period in range(first, first + length):
            self.place(job, period, index, count)

    def run_of(self, job: int) -> Run:
        """What a job that runs without a pause was given."""
        periods = sorted(self.places[job])
        return (periods[0], len(periods), *self.places[job][periods[0]])

    def run_periods(self, job: int, kind: int, count: int, start: int) -> int:
        """Periods a run needs from ``start`` on; one that only the release keeps from the whole period counts."""
        rate = count * self._rates[job][kind]
        rest = self.problem.work[job] - rate * self._usable[job][start]
        return 1 + max(0, int(np.ceil(rest / rate - TOLERANCE)))

    def run_end(self, job: int, run: Run) -> float:
        """The moment a run ends, epoch seconds."""
        start, _length, index, count = run
        rate = count * self._rates[job][self.type_of[index]]
        periods = start + 1 - self._usable[job][start] + float(self.problem.work[job]) / rate
        return self.problem.capacity.start + periods * self.problem.capacity.period_seconds

    def _starts(self, job: int, kind: int, count: int, first: int, last: int) -> list[tuple[int, int, float]]:
        """(start, periods, moment of the end in periods) of every run inside the horizon, by start."""
        horizon = self.problem.capacity.periods
        runs = []
        for start in range(first, min(last, horizon - 1) + 1):
            usable = self._usable[job][start]
            if usable <= 0:
                continue
            length = self.run_periods(job, kind, count, start)
            if start + length > horizon:
                break
            span = float(self.problem.work[job]) / (count * self._rates[job][kind])
            runs.append((start, length, start + 1 - usable + span))
        return runs

    def bin_with(self, kind: int, start: int, length: int, count: int) -> int | None:
        """The tightest bin of a type with ``count`` free throughout."""
        found, tightest = None, 0
        for index in self.bins_of[kind]:
            if self._columns[start][index] < count:
                continue
            least = int(self.free[index, start : start + length].min())
            if least >= count and (found is None or least < tightest):
                found, tightest = index, least
        return found

    def _room(self, job: int, kind: int, period: int, wanted: float) -> Place:
        """The tightest bin of a type with the wanted number, where it ran last if that has it, else the roomiest."""
        spec = self.problem.jobs[job]
        column, last = self._columns[period], self.last_bin[job]
        size = size_for(spec, wanted, spec.most)
        if last >= 0 and self.type_of[last] == kind and column[last] >= size:
            return last, size
        tight, roomy = -1, -1
        for index in self.bins_of[kind]:
            free = column[index]
            if free >= size and (tight < 0 or free < column[tight]):
                tight = index
            if roomy < 0 or free > column[roomy]:
                roomy = index
        if tight >= 0:
            return tight, size
        return roomy, size_for(spec, wanted, column[roomy]) if roomy >= 0 else 0

    def _take(self, period: int, index: int, count: int) -> None:
        self.free[index, period] -= count
        self._columns[period][index] -= count
        self._total[period] -= count

    def _held_bin(self, job: int) -> int:
        held = self.problem.jobs[job].running
        if held is None:
            return -1
        bins: Mapping[tuple[str, str], int] = {name: b for b, name in enumerate(self.problem.capacity.bins)}
        place: Optional[int] = bins.get((held.accelerator_type, held.host))
        return -1 if place is None else place


def run_sizes(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes tried for a run without a pause: all when there are few, else the ends and the powers of two."""
    if len(sizes) <= MOST_RUN_SIZES:
        return sizes
    return tuple(size for size in sizes if size in (sizes[0], sizes[-1]) or size & (size - 1) == 0)
