"""Acoustic measures of openSMILE by the package `opensmile`: eGeMAPS, ComParE 2016, IS09, IS10, IS13, custom ones.

openSMILE is free for research and teaching; other use requires a licence of audEERING. It is not part of affekt:
install it with `pip install 'affekt[opensmile]'`. Recipes without such a licence: `acoustics-utt`, `mfcc-utt`.

The published folders were made by openSMILE 2.3; package and configurations here are newer. IS13 has 6,373 functionals
where the published folder has 6,372, and rows of IS09, IS10 and IS13 have 16, 38 and 65 columns, without deltas, where
the published folders have 32, 32 and 120. Column names are openSMILE's.

Axes: S samples of audio, T windows, D measures.

Source: Eyben et al. 2010, doi:10.1145/1873951.1874246; Eyben et al. 2016, doi:10.1109/TAFFC.2015.2457417.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.errors import UnknownNameError, WeightsError, missing_extra
from affekt.features.recipes import Features, Recipe, SampleEncoder, Unable
from affekt.features.sample_encoders import audio_encoder
from affekt.runs import file_sha256
from affekt.weights import with_home

SETS: Mapping[str, tuple[str, int, int]] = {
    'egemaps-v01a': ('eGeMAPSv01a', 88, 23),
    'egemaps-v02': ('eGeMAPSv02', 88, 25),
    'compare2016': ('ComParE_2016', 6373, 65),
    'is09': ('IS09', 384, 16),
    'is10': ('IS10', 1582, 38),
    'is13': ('IS13', 6373, 65),
}
"""Recipe without its level to openSMILE's name, number of functionals, and number of measures per window."""
OWN = 'opensmile-own'
"""Name of the recipe for another configuration, whose file is given; its levels must be called func and lld."""
LEVELS: Mapping[str, tuple[str, str]] = {'utt': ('UTT', 'func'), 'frm': ('FRA', 'lld')}
RATE_HZ = 16_000


def smile_names() -> tuple[str, ...]:
    """Names of the recipes of openSMILE."""
    return tuple(f'{name}-{level}' for name in (*SETS, OWN) for level in LEVELS)


def has_smile() -> bool:
    """Whether the package is installed; does not import it."""
    return importlib.util.find_spec('opensmile') is not None


def smile_recipe(name: str, model: str | None = None) -> Recipe:
    """A recipe of openSMILE, with the names of its columns.

    Args:
        name: one of `smile_names()`.
        model: path of a configuration, for `opensmile-own`; None otherwise.

    Raises:
        UnknownNameError: unknown recipe, or a set with its own configuration is given one.
        MissingExtraError: openSMILE is not installed.
        WeightsError: the configuration is missing, or openSMILE cannot read it.
    """
    if name not in smile_names():
        raise UnknownNameError(expected='a set of openSMILE', came=repr(name), todo='see `affekt features list`')
    short, ending = name.rsplit('-', 1)
    level, stage = LEVELS[ending]
    facts: dict[str, Any] = {'level': level, 'rate_hz': RATE_HZ}
    if (short == OWN) == (model is None):
        raise WeightsError(
            expected=f'--model FILE.conf for {OWN}, and none for other sets of openSMILE',
            came='none' if model is None else f'{model} for {name}',
            todo='give the configuration' if model is None else f'leave --model out, or use {OWN}-{ending}',
        )
    chosen = SETS[short][0] if model is None else _configuration(with_home(model, 'a file for --model').resolve())
    smile = _smile(chosen, stage)
    facts |= {'tool': 'openSMILE', 'package': _opensmile().__version__, 'set': str(chosen) if model is None else 'own'}
    if model is not None:
        facts['sha256'] = _digest(Path(chosen))
    facts['pooling'] = 'functionals of the whole' if level == 'UTT' else 'all windows'
    opening = functools.partial(_open, chosen, stage)
    return Recipe(name, 'audio', smile.num_features, facts, opening, columns=tuple(smile.feature_names), batch=8)


def _opensmile() -> Any:
    try:
        import opensmile
    except ImportError as error:
        raise missing_extra('openSMILE (free for research only)', 'opensmile', instead='use acoustics-utt') from error
    return opensmile


def _configuration(path: Path) -> str:
    if not path.is_file():
        raise WeightsError(
            expected='a configuration of openSMILE', came=f'{path}, which is not there', todo='check --model'
        )
    return str(path)


def _smile(chosen: str, stage: str) -> Any:
    """openSMILE with a configuration.

    Raises:
        WeightsError: openSMILE cannot read the configuration.
    """
    opensmile = _opensmile()
    is_known = chosen in {name for name, *_ in SETS.values()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # eGeMAPS v01a is published, and deprecated
            level = {'func': opensmile.FeatureLevel.Functionals, 'lld': opensmile.FeatureLevel.LowLevelDescriptors}
            return opensmile.Smile(
                getattr(opensmile.FeatureSet, chosen) if is_known else chosen, level[stage] if is_known else stage
            )
    except Exception as error:  # the library's own errors have no common class
        came = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            expected='a configuration that openSMILE reads, with a source, a sink and the levels func and lld',
            came=f'{chosen}: {came}', todo='see the manual of the package opensmile, custom configurations',
        ) from error  # fmt: skip


def _digest(path: Path) -> str:
    """One hash of a configuration and of all files that it includes, directly or indirectly."""
    digests: dict[Path, str] = {}
    pending = [path.resolve()]
    while pending:
        file = pending.pop()
        if file in digests or not file.is_file():
            continue
        digests[file] = file_sha256(file)
        included = re.findall(r'\\\{([^\\{}\n]+)\}', file.read_text(encoding='utf-8', errors='replace'))
        pending += [(folder / name).resolve() for name in included for folder in (file.parent, path.resolve().parent)]
    return hashlib.sha256(' '.join(digests[file] for file in sorted(digests)).encode()).hexdigest()


def _open(chosen: str, stage: str, recipe: Recipe) -> SampleEncoder:
    smile = _smile(chosen, stage)

    def encode(sample: str, sound: Floats32) -> Features | Unable:
        clipped = np.clip(sound, -1, 32_767 / 32_768)  # openSMILE gets 16-bit samples; 1.0 would overflow
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # audio that is too short shows as nan
            table = smile.process_signal(clipped, RATE_HZ)
        rows = np.asarray(table.values, np.float32)
        if not np.isfinite(rows).all():
            return Unable(sample, f'{len(sound) / RATE_HZ:.2f} s of audio, too short for openSMILE')
        if recipe.facts['level'] == 'UTT':
            return recipe.features(sample, rows)
        begins, ends = (table.index.get_level_values(name).total_seconds().to_numpy() for name in ('start', 'end'))
        return recipe.features(sample, rows, (begins + ends) / 2)

    return audio_encoder(encode)
