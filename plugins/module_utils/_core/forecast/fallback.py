# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A forecast for a history too short to test one on: flagged, wide, never refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.siblings import Profile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.student import t_quantile

DEFAULT_RELATIVE_SPREAD = 0.5
PRIOR_DEGREES = 4
SEEN_SHARE = 0.5
LEAST_SHAPE = 0.2
HALF_LIFE_DAYS = 0.5
ENOUGH_SIBLINGS = 5
INDEPENDENT_STEPS = 6
MOST_ORIGINS = 8


@dataclass(frozen=True)
class ShortForecast:
    """One series: ``mean`` (horizon,), ``quantiles`` (Q, horizon), ``window_maximum`` (Q,)."""

    mean: Any
    quantiles: Any
    window_maximum: Any


from itertools import product
SHAPES=(0.0,0.5,1.0)
HALVES=(0.05,0.25,4.0)
SHARES=(0.0,0.5,0.8,1.0)
DEGREES=(1,4,16,64)
CRIT='mean'
NB='2'
MF='1.5'
def feat(x):
    x=np.where(np.isfinite(x),x,0.0); m=np.maximum(x.mean(axis=1),1e-300)
    return np.stack([np.log(x.std(axis=1)/m+.1),np.log(x[:,-1]/m+.1)],1)


def expect(rows, known, seen, ahead, season, share, half):
    """level (R,), residual (R,n), mean (R,h)"""
    n = rows.shape[1]
    weight = np.where(known, 0.5 ** (np.arange(n - 1, -1, -1) / half), 0.0)
    filled = np.where(known, rows, 0.0)
    level = (weight * filled).sum(axis=1) / np.maximum((weight * seen).sum(axis=1), 1e-300)
    mean = level[:, None] * ahead
    if share and season and n >= season:
        take = n - season + np.arange(ahead.size) % season
        a = np.where(known[:, take], share, 0.0)
        mean = (1 - a) * mean + a * filled[:, take]
    return mean

def scatter(rows, known, seen, mean, prior, degrees):
    filled = np.where(known, rows, 0.0)
    level = filled.sum(axis=1)/np.maximum((known*seen).sum(axis=1),1e-300)
    own = (np.where(known, filled - level[:, None] * seen, 0.0)**2).sum(axis=1)
    count = known.sum(axis=1)
    variance = (degrees * (prior * level) ** 2 + own) / (degrees + np.maximum(count - 1, 0))
    return np.sqrt(variance)[:, None] * np.maximum(mean / np.maximum(level, 1e-300)[:, None], LEAST_SHAPE)

def quant(z, levels):
    z = z[np.isfinite(z)]
    return np.quantile(z, levels)

def forecast_short(values: Any, season: int, options: ForecastOptions, profile: Profile | None = None, phase: int = 0) -> ShortForecast:
    h, w = options.horizon_steps, options.window_steps
    levels = options.quantiles
    Q = len(levels)
    known = np.isfinite(values)
    if not known.any():
        zeros = np.zeros(Q)
        return ShortForecast(np.zeros(h), zeros[:, None] + np.zeros(h), zeros)
    n = values.size
    R = None if profile is None else rehearse_rows(profile, n, h, phase)
    if R is None:
        seen, ahead = np.ones(n), np.ones(h)
        mean = expect(values[None], known[None], seen, ahead, season, 1.0, 1e9)
        spread = scatter(values[None], known[None], seen, mean, DEFAULT_RELATIVE_SPREAD, PRIOR_DEGREES)
        degrees = max(1, min(int(known.sum()) - 1, 30))
        steps = min(w, INDEPENDENT_STEPS)
        tails = np.array([t_quantile(q, degrees) for q in levels])
        top = np.array([t_quantile(q ** (1.0 / steps), degrees) for q in levels])
    else:
        rows, fut, kn, unit = R
        if n>=3 and float(NB)>1:
            F=feat(rows); g=feat(values[None]); dist=(((F-g)/(F.std(axis=0)+1e-9))**2).sum(axis=1)
            K=max(80,int(len(rows)/float(NB))); i=np.argsort(dist,kind='stable')[:K]
            rows,fut,kn,unit=rows[i],fut[i],kn[i],unit[i]
        best=None
        for power, half, share in product(SHAPES, HALVES, SHARES if season and n >= season else (0.0,)):
            shape = profile.shape**power
            seen, ahead = shape[(phase+np.arange(n))%shape.size], shape[(phase+n+np.arange(h))%shape.size]
            m = expect(rows, kn, seen, ahead, season, share, half*profile.day_steps)
            e = np.abs(m-fut).mean(axis=1)/unit
            score = np.log(e+1e-3).mean() if CRIT=='geo' else e.mean()
            if best is None or score < best[0]-1e-9: best=(score,power,half,share,seen,ahead,m)
        _s,power,half,share,seen,ahead,m=best
        prior = float(np.sqrt(np.mean(profile.within**2 * profile.shape**2)))
        bb=None
        for d in DEGREES:
            sp=scatter(rows,kn,seen,m,prior,d)
            z=(fut-m)/sp; q=m+np.quantile(z,.95)*sp
            loss=np.maximum(.95*(fut-q),-.05*(fut-q)).mean(axis=1)/unit
            score=np.log(loss+1e-3).mean() if CRIT2=='geo' else loss.mean()
            if bb is None or score<bb[0]-1e-9: bb=(score,d,z,sp)
        _s,d,z,sp=bb
        LOG.append((n,power,half,share,d))
        zm = (fut[:, :w].max(axis=1) - m[:, :w].max(axis=1)) / sp[:, :w].max(axis=1)
        mean = expect(values[None], known[None], seen, ahead, season, share, half*profile.day_steps)
        spread = scatter(values[None], known[None], seen, mean, prior, d)
        m_=profile.siblings*float(MF); lv=[min(q*(m_+1)/m_,1.) if q>.5 else (max(1-(1-q)*(m_+1)/m_,0.) if q<.5 else q) for q in levels]
        tails, top = quant(z, lv), quant(zm, lv)
    mean, spread = mean[0], spread[0]
    paths = np.maximum(mean[None, :] + spread * tails[:, None], 0.0)
    s = spread[:w].max(); peak = mean[:w].max()
    return ShortForecast(mean, paths, np.maximum(peak + s * top, 0))
LOG=[]
CRIT2='mean'
def rehearse_rows(profile, n, h, phase):
    H = profile.histories
    J, T = H.shape
    P = profile.day_steps
    c0 = ((phase + n) - profile.end_phase + T) % P
    c = np.arange(c0, T - h + 1, P)
    c = c[c >= n][-MOST_ORIGINS:]
    if not c.size: return None
    unit = np.nanmean(np.abs(H[:,P:]-H[:,:-P]),axis=1)
    rows = H[:, c[:, None] + np.arange(-n, 0)].reshape(-1, n)
    fut = H[:, c[:, None] + np.arange(h)].reshape(-1, h)
    unit = np.repeat(unit, c.size)
    kn = np.isfinite(rows)
    ok = (np.where(kn, rows, 0).sum(axis=1) > 0) & (kn.sum(axis=1) >= 0.8*n)& np.isfinite(fut).all(axis=1) & (unit>0)
    if ok.sum() < 5: return None
    return rows[ok], fut[ok], kn[ok], unit[ok]
