"""What pre-training on made-up faces brings: to made-up people never seen, and to real faces.

    python recipes/hicmae/read_faces.py --clips DIR --out DIR

`made-up faces`: emotion, valence, arousal and curves of people whom neither pre-training nor the map has seen.
`real faces`: how well hidden patches are rebuilt, and whether curves that were learnt from made-up people follow what
the landmarker says. Beside each snapshot stand the same network as it was drawn and plain pixels. Penalties are chosen
on people of the training part. What an arm reads is kept; `results.json` has the scores.

Axes: n clips with labels, W windows, S time slices of a window, N tokens, P cells of a patch.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from faces import CLIPS, FORM, SETTINGS
from people import FOLDS, READ, SIZE, RealClip, curves_of, labelled_plans, packed, real_clips, unlabelled_plan
from probe import Labels, cross_read
from reading import FEATURES, Frames, WindowFeatures, cross_regressed, network_features, pixel_features, ridge
from torch.nn import functional

from affekt.arrays import Floats
from affekt.clips import Clip
from affekt.face3d import EMOTIONS, FaceClip
from affekt.metrics import (
    bootstrap_interval,
    categorical_measure,
    compare,
    dimensional_measure,
    measure_intervals,
    pearson,
)
from affekt.pretraining import HicmaePretraining, collate, pretraining_from, tube_mask
from affekt.pretraining.masked_training import new_network
from affekt.pretraining.rebuilding import split_tokens, taken, tubes, video_targets
from affekt.typed_json import json_file

RESAMPLES = 2000
BATCH = 32
STEP = 5
"""Frames from one window of a real clip to the next."""
DRAWN, PIXELS = 'as drawn', 'pixels'
MEAN, AVERAGE = 'mean of each patch', 'average made-up face'


@dataclass(frozen=True, eq=False)
class LabelledPeople:
    """Clips with labels; those of one person lie in one fold."""

    planned: list[tuple[int, FaceClip]]

    @property
    def plans(self) -> list[FaceClip]:
        """(n,)"""
        return [plan for _, plan in self.planned]

    @cached_property
    def person(self) -> Labels:
        """(n,)"""
        return np.array([person for person, _ in self.planned])

    @cached_property
    def emotion(self) -> Labels:
        """(n,) places in EMOTIONS."""
        return np.array([EMOTIONS.index(plan.emotion) for plan in self.plans])

    @cached_property
    def affect(self) -> Floats:
        """(n, 2) mean valence and arousal."""
        return np.array([[plan.curves.valence.mean(), plan.curves.arousal.mean()] for plan in self.plans])

    @cached_property
    def curves(self) -> Floats:
        """(n * S / 2, 3) of every second slice."""
        amounts = [curves_of(plan.names, plan.curves.expression) for plan in self.plans]
        return np.asarray(_some(np.stack([_by_slice(curves) for curves in amounts])))


@dataclass(frozen=True, eq=False)
class Readings:
    """What an arm reads: of people with labels by maps that have not seen them, of real faces by the map of all.

    Attributes:
        emotion, affect, curves: as those of `LabelledPeople`.
        real_curves: (W * S, 3) of real windows.
    """

    emotion: Labels
    affect: Floats
    curves: Floats
    real_curves: Floats


def main() -> None:
    """Reads both sorts of faces by each arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--clips', type=Path, required=True, help='folder of real videos')
    parser.add_argument('--out', type=Path, required=True, help='folder of `faces.py`')
    given = parser.parse_args()
    torch.set_num_threads(1)
    # 1. windows of both sorts of faces, and what is known of them
    models = _models(given.out)
    people = LabelledPeople(labelled_plans())
    made_up = [np.asarray(clip.frames) for clip in packed(given.out / 'labelled', people.plans)]
    real = real_clips(given.clips, given.out / 'real')
    windows, owner, curves = _real_windows(real)
    # 2. what each arm reads
    arms = {PIXELS: _read_pixels(given.out / 'read', people, made_up, windows)}
    for name, model in models.items():
        arms |= _read_network(given.out / 'read', name, model, people, made_up, windows)
    # 3. scores
    results = {
        'form': asdict(FORM),
        'settings': asdict(SETTINGS),
        'clips': {
            'pre-training': CLIPS, 'with labels': len(made_up), 'people with labels': len(set(people.person.tolist())),
            'real': len(real), 'windows of real': len(windows),
        },
        'made-up faces': _made_up_scores(people, arms),
        'real faces': _real_scores(arms, curves, owner),
        'rebuilding': _rebuilding(models, given.out, (made_up, people.person), (windows, owner)),
    }  # fmt: skip
    (given.out / 'results.json').write_bytes(json_file(results))


def _models(out: Path) -> dict[str, HicmaePretraining]:
    """The network as drawn, then its snapshots in order."""
    drawn = new_network(FORM, SETTINGS)
    assert isinstance(drawn, HicmaePretraining)
    models = {DRAWN: drawn}
    for path in sorted((out / 'pretrained').glob('weights-epoch-*.safetensors')):
        model = pretraining_from(path)[0]
        assert isinstance(model, HicmaePretraining)
        epoch = int(re.findall(r'\d+', path.stem)[-1])
        models[f'epoch {epoch}'] = model
    return models


def _real_windows(clips: list[RealClip]) -> tuple[list[Frames], Labels, Floats]:
    """Windows of all clips, the clip of each, and (W, S, 3) curves of their slices."""
    windows, owner, curves = [], [], []
    for at, clip in enumerate(clips):
        span = clip.stride * (FORM.frames - 1) + 1
        for start in range(0, len(clip.frames) - span + 1, STEP):
            shown = start + clip.stride * np.arange(FORM.frames)
            windows.append(clip.frames[shown])
            owner.append(at)
            curves.append(_by_slice(clip.curves[shown]))
    return windows, np.array(owner), np.stack(curves)


def _by_slice(curves: Floats) -> Floats:
    """(S, K) the mean of every two frames."""
    return np.asarray(curves.reshape(-1, 2, curves.shape[1]).mean(axis=1))


def _some(slices: Any) -> Any:
    """Every second slice of (W, S, K), one after another: neighbours say nearly the same."""
    return slices[:, ::2].reshape(-1, slices.shape[2])


def _read_pixels(folder: Path, people: LabelledPeople, made_up: list[Frames], real: list[Frames]) -> Readings:
    path = folder / f'{PIXELS}.npz'
    return _stored(path) or _kept(path, _readings(people, pixel_features(made_up), pixel_features(real)))


def _read_network(
    folder: Path, name: str, model: HicmaePretraining, people: LabelledPeople, made_up: list[Frames], real: list[Frames]
) -> dict[str, Readings]:
    """By both readings of the encoder, from disk where they are there."""
    paths = {reading: folder / f'{name}, {reading}.npz' for reading in FEATURES}
    if not all(path.exists() for path in paths.values()):
        ours, theirs = network_features(model, made_up), network_features(model, real)
        for reading, path in paths.items():
            _kept(path, _readings(people, ours[reading], theirs[reading]))
    stored = {path.stem: _stored(path) for path in paths.values()}
    return {arm: readings for arm, readings in stored.items() if readings is not None}


def _readings(people: LabelledPeople, made_up: WindowFeatures, real: WindowFeatures) -> Readings:
    fold = people.person % FOLDS
    some = _some(made_up.slices)
    fold_of_some = np.repeat(fold, len(some) // len(fold))
    fitted = ridge(some, people.curves, fold_of_some == 0)
    return Readings(
        cross_read(made_up.clips, people.emotion, fold, len(EMOTIONS)),
        cross_regressed(made_up.clips, people.affect, fold),
        cross_regressed(some, people.curves, fold_of_some),
        fitted(real.slices.reshape(-1, real.slices.shape[2])),
    )


def _stored(path: Path) -> Readings | None:
    if not path.exists():
        return None
    with np.load(path) as arrays:
        return Readings(**arrays)


def _kept(path: Path, readings: Readings) -> Readings:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **asdict(readings))
    print(path.stem, flush=True)
    return readings


def _made_up_scores(people: LabelledPeople, arms: dict[str, Readings]) -> dict[str, Any]:
    """Emotion, valence and arousal of a clip, curves of slices: of people whom nothing has seen."""
    person_of_slice = np.repeat(people.person, len(people.curves) // len(people.person))
    emotions: dict[str, Any] = {}
    valences: dict[str, Any] = {}
    rows: dict[str, Any] = {'chance': round(1 / len(EMOTIONS), 4), 'arms': {}}
    for name, arm in arms.items():
        emotions[name] = categorical_measure(people.emotion, arm.emotion, range(len(EMOTIONS)))
        scores: dict[str, Any] = {'emotion': _scores(emotions[name], people.person, {'UAR': 'balanced_accuracy'})}
        affect = [dimensional_measure(people.affect[:, k], arm.affect[:, k]) for k in range(2)]
        valences[name] = affect[0]
        for measure, label in zip(affect, ('valence', 'arousal'), strict=True):
            scores[label] = _scores(measure, people.person, {'CCC': 'concordance'})
        for k, curve in enumerate(READ):
            measure = dimensional_measure(people.curves[:, k], arm.curves[:, k])
            scores[curve] = _scores(measure, person_of_slice, {'correlation': 'pearson'})
        rows['arms'][name] = scores
    for last, others in _pairs(arms):
        rows[f'{last}, less'] = {
            'UAR': _between(emotions[last], {o: emotions[o] for o in others}, people.person, 'balanced_accuracy'),
            'CCC of valence': _between(valences[last], {o: valences[o] for o in others}, people.person, 'concordance'),
        }
    return rows


def _real_scores(arms: dict[str, Readings], curves: Floats, owner: Labels) -> dict[str, Any]:
    """Correlation within clips of curves read by maps of made-up people with those of the landmarker."""
    groups = np.repeat(owner, curves.shape[1])
    known = _centred(curves.reshape(-1, len(READ)), groups)
    deviations = {curve: round(float(known[:, k].std()), 4) for k, curve in enumerate(READ)}
    rows: dict[str, Any] = {'arms': {}, 'deviation within clips': deviations}
    measures: dict[str, Any] = {}
    by_clip: dict[str, Floats] = {}
    for name, arm in arms.items():
        by_clip[name] = _by_clip(known, arm.real_curves, groups)  # (clips, 3)
        read = _centred(arm.real_curves, groups)
        measures[name] = [dimensional_measure(known[:, k], read[:, k]) for k in range(len(READ))]
        rows['arms'][name] = {
            curve: _scores(measures[name][k], groups, {'correlation': 'pearson'})
            | {'mean correlation of a clip': _rounded(_mean_interval(by_clip[name][:, k]))}
            for k, curve in enumerate(READ)
        }
    for last, others in _pairs(arms):
        rows[f'{last}, less'] = {
            curve: _between(measures[last][k], {o: measures[o][k] for o in others}, groups, 'pearson')
            for k, curve in enumerate(READ)
        }
        rows[f'{last}, less, mean of a clip'] = {
            curve: {o: _rounded(_mean_interval(by_clip[last][:, k] - by_clip[o][:, k])) for o in others}
            for k, curve in enumerate(READ)
        }
    return rows


def _by_clip(known: Floats, read: Floats, groups: Labels) -> Floats:
    """(clips, 3) correlations: of all together, one clip that moves much decides."""
    return np.array([
        [pearson(known[groups == group, k], read[groups == group, k]) for k in range(len(READ))]
        for group in np.unique(groups)
    ])  # fmt: skip


def _pairs(arms: dict[str, Readings]) -> list[tuple[str, list[str]]]:
    """Both readings of the last snapshot, each with what it is compared with."""
    return [(last, [f'{DRAWN}, {last.partition(", ")[2]}', PIXELS]) for last in list(arms)[-2:]]


def _scores(measure: Any, groups: Any, names: dict[str, str]) -> dict[str, Any]:
    """Name in the results to score of the measure, with intervals."""
    scores = measure_intervals(measure, groups=groups, rng=np.random.default_rng(0), resamples=RESAMPLES)
    return {short: _rounded(scores[name]) for short, name in names.items()}


def _between(last: Any, others: dict[str, Any], groups: Any, score: str) -> dict[str, Any]:
    """One score of the last less those of others."""
    rows = {}
    for name, other in others.items():
        test = compare(last, other, rng=np.random.default_rng(0), groups=groups)[score]
        rows[name] = _rounded(test.difference) | {'p': round(test.p, 4)}
    return rows


def _rounded(interval: Any) -> dict[str, float]:
    return {name: round(float(getattr(interval, name)), 4) for name in ('value', 'low', 'high')}


def _centred(curves: Floats, groups: Labels) -> Floats:
    """Less the mean of each clip."""
    result = curves.copy()
    for group in np.unique(groups):
        result[groups == group] -= curves[groups == group].mean(axis=0)
    return result


def _rebuilding(
    models: dict[str, HicmaePretraining],
    out: Path,
    made_up: tuple[list[Frames], Labels],
    real: tuple[list[Frames], Labels],
) -> dict[str, Any]:
    """Mean squared errors of hidden patches, by person of made-up faces and by clip of real ones."""
    average = _average_targets(out)
    last = list(models)[-1]
    rows: dict[str, Any] = {}
    for title, (windows, groups) in (('made-up faces', made_up), ('real faces', real)):
        path = out / 'read' / f'errors of {title}.npz'
        if not path.exists():
            np.savez(path, **_errors(models, windows, average))  # type: ignore[arg-type]
        with np.load(path) as stored:
            errors = {name: _by_group(values, groups) for name, values in stored.items()}
        rows[title] = {
            'error': {name: _rounded(_mean_interval(values)) for name, values in errors.items()},
            f'{last}, less': {
                name: _rounded(_mean_interval(errors[last] - errors[name])) for name in (DRAWN, MEAN, AVERAGE)
            },
        }
    return rows


def _by_group(values: Floats, groups: Labels) -> Floats:
    return np.array([values[groups == group].mean() for group in np.unique(groups)])


def _mean_interval(values: Floats) -> Any:
    rng = np.random.default_rng(0)
    return bootstrap_interval(lambda row: float(np.mean(row)), values, rng=rng, resamples=RESAMPLES)


def _average_targets(out: Path) -> torch.Tensor:
    """(N, P * 3) what the patches of the faces of pre-training are on average, at each place; of every fourth clip."""
    clips = packed(out / 'unlabelled', [unlabelled_plan(number) for number in range(CLIPS)])
    targets = [
        video_targets(tubes(_video([np.asarray(clips[at].frames)])), is_difference=SETTINGS.is_difference)[0]
        for at in range(0, len(clips), 4)
    ]
    return torch.stack(targets).mean(dim=0)


def _errors(models: dict[str, HicmaePretraining], windows: list[Frames], average: torch.Tensor) -> dict[str, Floats]:
    """(W,) of each model, of each patch's own mean, and of the average face: all with the same masks."""
    rng = torch.Generator().manual_seed(0)
    errors: dict[str, list[torch.Tensor]] = {name: [] for name in (*models, MEAN, AVERAGE)}
    for start in range(0, len(windows), BATCH):
        video = _video(windows[start : start + BATCH])
        mask = tube_mask(len(video), FORM.video_grid, SETTINGS.video_mask, rng=rng)
        hidden = split_tokens(mask)[1]  # (B, M)
        truth = video_targets(taken(tubes(video), hidden), is_difference=SETTINGS.is_difference)  # (B, M, P * 3)
        with torch.inference_mode():
            guesses = {name: model.eval()(video=video, video_mask=mask).video for name, model in models.items()}
        guesses |= {MEAN: torch.zeros_like(truth), AVERAGE: average[hidden]}
        for name, guess in guesses.items():
            errors[name].append(functional.mse_loss(guess, truth, reduction='none').mean(dim=(1, 2)))
    return {name: torch.cat(values).double().numpy() for name, values in errors.items()}


def _video(windows: list[Frames]) -> torch.Tensor:
    """(B, 3, T, H, W)"""
    video = collate([Clip('', window, None, None) for window in windows], size=SIZE).video
    assert video is not None
    return video


if __name__ == '__main__':
    main()
