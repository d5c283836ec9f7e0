# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The next set of values: by Optuna's tree-structured Parzen estimator, or at random.

TPE (Bergstra et al. 2011, NeurIPS 24; with constraints Watanabe and Hutter 2023, arXiv:2211.14411) is
asked anew each time from the whole history, so the same history gives the same proposal. A trial that
crashed or broke a limit enters with what it broke by, so that its surroundings are left alone.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.space import Parameter
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.trials import FAILED, Goal, Trial

METHODS = ("tpe", "random")
# What a crash counts as having exceeded its limits by: more than any measurement does.
_CRASH = 10.0
_RANDOM_FIRST = 6


def propose(
    space: Sequence[Parameter], trials: Sequence[Trial], goal: Goal, *, method: str, seed: int
) -> dict[str, Any]:
    """Values not tried before, where such can be found.

    Raises:
        MissingLibraryError: the method is ``tpe`` and Optuna is not installed.
    """
    tried = [one.params for one in trials]
    for attempt in range(20):
        number = seed * 10007 + len(trials) * 101 + attempt
        params = _random(space, number) if method == "random" else _parzen(space, trials, goal, number)
        if params not in tried:
            break
    return params


def _random(space: Sequence[Parameter], seed: int) -> dict[str, Any]:
    source = random.Random(seed)
    return {one.name: _drawn(one, source) for one in space}


def _drawn(one: Parameter, source: random.Random) -> Any:
    if one.kind == "choice":
        return source.choice(one.values)
    value = (
        math.exp(source.uniform(math.log(one.low), math.log(one.high)))
        if one.log
        else source.uniform(one.low, one.high)
    )
    if one.kind == "float" and not one.step:
        return value
    value = one.low + round((value - one.low) / one.step) * one.step
    value = min(value, one.low + math.floor((one.high - one.low) / one.step + 1e-9) * one.step)
    return int(value) if one.kind == "int" else value


def _parzen(space: Sequence[Parameter], trials: Sequence[Trial], goal: Goal, seed: int) -> dict[str, Any]:
    optuna = require("optuna", purpose="tuning by TPE")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {one.name: _distribution(optuna, one) for one in space}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(
            seed=seed,
            multivariate=True,
            n_startup_trials=_RANDOM_FIRST,
            constraints_func=lambda trial: (trial.user_attrs["excess"],),
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for trial in trials:
            if trial.role == "verify" or not (trial.measurements or trial.state == FAILED):
                continue
            study.add_trial(_as_frozen(optuna, trial, goal, distributions, trials))
        asked = study.ask(distributions)
    return {one.name: asked.params[one.name] for one in space}


def _as_frozen(optuna: Any, trial: Trial, goal: Goal, distributions: dict[str, Any], trials: Sequence[Trial]) -> Any:
    scores = [one.score(goal) for one in trials if one.measurements]
    if trial.state == FAILED:
        value, excess = min(scores, default=0.0), _CRASH
    else:
        value, excess = trial.score(goal), min(trial.excess(goal), _CRASH)
    attributes = {"excess": excess, "constraints": [excess]}
    return optuna.trial.create_trial(
        params=trial.params,
        distributions=distributions,
        value=value,
        user_attrs=attributes,
        # Where Optuna keeps what constraints_func says of trials that it ran itself.
        system_attrs={"constraints": [excess]},
    )


def _distribution(optuna: Any, one: Parameter) -> Any:
    if one.kind == "choice":
        return optuna.distributions.CategoricalDistribution(list(one.values))
    if one.kind == "int":
        step = 1 if one.log else int(one.step)
        high = int(one.high) if one.log else int(one.low + (one.high - one.low) // one.step * one.step)
        return optuna.distributions.IntDistribution(int(one.low), high, log=one.log, step=step)
    return optuna.distributions.FloatDistribution(one.low, one.high, log=one.log, step=one.step or None)
