"""What pre-training on made-up faces brings: to made-up people never seen, and to real faces.

    python recipes/hicmae/read_faces.py --clips DIR --out DIR

`made-up faces`: emotion, valence, arousal and curves of people whom neither pre-training nor the map has seen.
`real faces`: how well hidden patches are rebuilt, and whether curves that were learnt from made-up people follow what
the landmarker says. Beside each snapshot stand the same network as it was drawn and plain pixels. Choices of penalty
are made on people of the training part. Writes `results.json`.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from faces import CLIPS, FORM, SETTINGS
from people import FOLDS, READ, SIZE, RealClip, curves_of, labelled_plans, packed, real_clips, unlabelled_plan
from probe import Labels, cross_read
from reading import Frames, WindowFeatures, cross_regressed, network_features, pixel_features, ridge
from torch.nn import functional

from affekt.arrays import Floats
from affekt.clips import Clip
from affekt.face3d import EMOTIONS
from affekt.metrics import bootstrap_interval, categorical_measure, compare, dimensional_measure, measure_intervals
from affekt.pretraining import HicmaePretraining, collate, pretrained_model, tube_mask
from affekt.pretraining.masked_training import new_network
from affekt.pretraining.rebuilding import split_tokens, taken, tubes, video_targets

RESAMPLES = 2000
STEP = 5
"""Frames from one window of a real clip to the next."""
DRAWN, PIXELS = 'as drawn', 'pixels'
MEAN, AVERAGE = 'mean of each patch', 'average made-up face'


class Results:
    """Scores with their intervals, all drawn from one seed."""

    @staticmethod
    def of(measure: Any, groups: Any, names: dict[str, str]) -> dict[str, Any]:
        """Name in the results to score of the measure."""
        scores = measure_intervals(measure, groups=groups, rng=np.random.default_rng(0), resamples=RESAMPLES)
        return {short: _rounded(scores[name]) for short, name in names.items()}

    @staticmethod
    def between(last: Any, others: dict[str, Any], groups: Any, score: str) -> dict[str, Any]:
        """One score of the last less those of others."""
        rows = {}
        for name, other in others.items():
            test = compare(last, other, rng=np.random.default_rng(0), groups=groups)[score]
            rows[name] = _rounded(test.difference) | {'p': round(test.p, 4)}
        return rows


def _rounded(interval: Any) -> dict[str, float]:
    return {name: round(float(getattr(interval, name)), 4) for name in ('value', 'low', 'high')}


def main() -> None:
    """Reads both sorts of faces by each arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--clips', type=Path, required=True, help='folder of real videos')
    parser.add_argument('--out', type=Path, required=True, help='folder of `faces.py`')
    given = parser.parse_args()
    torch.set_num_threads(1)
    models = _models(given.out)
    plans = labelled_plans()
    made_up = [np.asarray(clip.frames) for clip in packed(given.out / 'labelled', [plan for _, plan in plans])]
    real = real_clips(given.clips, given.out / 'real')
    print(f'{len(real)} real clips', flush=True)
    windows, owner, curves = _real_windows(real)
    features = {PIXELS: pixel_features(made_up)}
    real_features = {PIXELS: pixel_features(windows)}
    for name, model in models.items():
        for reading, rows in network_features(model, made_up).items():
            features[f'{name}, {reading}'] = rows
        for reading, rows in network_features(model, windows).items():
            real_features[f'{name}, {reading}'] = rows
    results = {
        'form': asdict(FORM),
        'settings': asdict(SETTINGS),
        'clips': {'pre-training': CLIPS, 'with labels': len(plans), 'people with labels': plans[-1][0] + 1,
                  'real': len(real), 'windows of real': len(windows)},
        'made-up faces': _made_up_scores(plans, features),
        'rebuilding': _rebuilding(models, given.out, made_up, [p for p, _ in plans], windows, owner),
        'real faces': _real_scores(plans, features, real_features, curves, owner),
    }  # fmt: skip
    (given.out / 'results.json').write_text(json.dumps(results, indent=1) + '\n')
    print(json.dumps(results, indent=1))


def _models(out: Path) -> dict[str, HicmaePretraining]:
    """The network as drawn, then its snapshots in order."""
    drawn = new_network(FORM, SETTINGS)
    assert isinstance(drawn, HicmaePretraining)
    models = {DRAWN: drawn}
    for path in sorted((out / 'pretrained').glob('weights-epoch-*.safetensors')):
        model = pretrained_model(path)[0]
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


def _made_up_scores(plans: list[Any], features: dict[str, WindowFeatures]) -> dict[str, Any]:
    """Emotion, valence and arousal of a clip, curves of slices: of people whom nothing has seen."""
    person = np.array([who for who, _ in plans])
    fold = person % FOLDS
    emotion = np.array([EMOTIONS.index(plan.emotion) for _, plan in plans])
    affect = np.array([[plan.curves.valence.mean(), plan.curves.arousal.mean()] for _, plan in plans])
    truth = _some(_made_up_curves(plans))
    slices = len(truth) // len(plans)
    emotions: dict[str, Any] = {}
    valences: dict[str, Any] = {}
    rows: dict[str, Any] = {'chance': round(1 / len(EMOTIONS), 4), 'arms': {}}
    for name, arm in features.items():
        guess = cross_read(arm.clips, emotion, fold, len(EMOTIONS))
        emotions[name] = categorical_measure(emotion, guess, range(len(EMOTIONS)))
        scores: dict[str, Any] = {'emotion': Results.of(emotions[name], person, {'UAR': 'balanced_accuracy'})}
        read = cross_regressed(arm.clips, affect, fold)
        for k, label in enumerate(('valence', 'arousal')):
            measure = dimensional_measure(affect[:, k], read[:, k])
            scores[label] = Results.of(measure, person, {'CCC': 'concordance'})
            if label == 'valence':
                valences[name] = measure
        read = cross_regressed(_some(arm.slices), truth, np.repeat(fold, slices))
        for k, curve in enumerate(READ):
            measure = dimensional_measure(truth[:, k], read[:, k])
            scores[curve] = Results.of(measure, np.repeat(person, slices), {'correlation': 'pearson'})
        rows['arms'][name] = scores
        print(name, json.dumps(scores), flush=True)
    for last in list(features)[-2:]:
        others = [DRAWN + ',' + last.split(',')[1], PIXELS]
        rows[f'{last}, less'] = {
            'UAR': Results.between(emotions[last], {o: emotions[o] for o in others}, person, 'balanced_accuracy'),
            'CCC of valence': Results.between(valences[last], {o: valences[o] for o in others}, person, 'concordance'),
        }
    return rows


def _some(slices: Any) -> Any:
    """Every second slice of (W, S, K), one after another: neighbours say nearly the same."""
    return slices[:, ::2].reshape(-1, slices.shape[2])


def _made_up_curves(plans: list[Any]) -> Floats:
    """(W, S, 3)"""
    return np.stack([_by_slice(curves_of(plan.names, plan.curves.expression)) for _, plan in plans])


def _real_scores(
    plans: list[Any],
    features: dict[str, WindowFeatures],
    real: dict[str, WindowFeatures],
    curves: Floats,
    owner: Labels,
) -> dict[str, Any]:
    """Correlation within clips of curves read by maps of made-up people with those of the landmarker."""
    truth = _some(_made_up_curves(plans))
    validation = np.repeat([who % FOLDS == 0 for who, _ in plans], len(truth) // len(plans))
    groups = np.repeat(owner, curves.shape[1])
    known = _centred(curves.reshape(-1, len(READ)), groups)
    measures: dict[str, Any] = {}
    rows: dict[str, Any] = {'arms': {}, 'deviation within clips': {
        curve: round(float(known[:, k].std()), 4) for k, curve in enumerate(READ)
    }}  # fmt: skip
    for name, arm in features.items():
        fitted = ridge(_some(arm.slices), truth, validation)
        read = _centred(fitted(real[name].slices.reshape(-1, arm.slices.shape[2])), groups)
        measures[name] = [dimensional_measure(known[:, k], read[:, k]) for k in range(len(READ))]
        rows['arms'][name] = {
            curve: Results.of(measures[name][k], groups, {'correlation': 'pearson'}) for k, curve in enumerate(READ)
        }
    for last in list(features)[-2:]:
        others = [DRAWN + ',' + last.split(',')[1], PIXELS]
        rows[f'{last}, less'] = {
            curve: Results.between(measures[last][k], {o: measures[o][k] for o in others}, groups, 'pearson')
            for k, curve in enumerate(READ)
        }
    return rows


def _centred(curves: Floats, groups: Labels) -> Floats:
    """Less the mean of each clip."""
    result = curves.copy()
    for group in np.unique(groups):
        result[groups == group] -= curves[groups == group].mean(axis=0)
    return result


def _rebuilding(
    models: dict[str, HicmaePretraining],
    out: Path,
    made_up: list[Frames],
    person: list[int],
    real: list[Frames],
    owner: Labels,
) -> dict[str, Any]:
    """Mean squared errors of hidden patches, by clip of real faces and by person of made-up ones."""
    average = _average_targets(packed(out / 'unlabelled', [unlabelled_plan(number) for number in range(CLIPS)]))
    rows: dict[str, Any] = {}
    for title, windows, groups in (('made-up faces', made_up, np.array(person)), ('real faces', real, owner)):
        errors = _errors(models, windows, average)
        errors = {name: _by_group(values, groups) for name, values in errors.items()}
        scores = {name: _rounded(_mean_interval(values)) for name, values in errors.items()}
        last = list(models)[-1]
        less = {name: _rounded(_mean_interval(errors[last] - errors[name])) for name in (DRAWN, MEAN, AVERAGE)}
        rows[title] = {'error': scores, f'{last} less': less}
        print(title, json.dumps(rows[title]), flush=True)
    return rows


def _by_group(values: Floats, groups: Labels) -> Floats:
    return np.array([values[groups == group].mean() for group in np.unique(groups)])


def _mean_interval(values: Floats) -> Any:
    rng = np.random.default_rng(0)
    return bootstrap_interval(lambda row: float(np.mean(row)), values, rng=rng, resamples=RESAMPLES)


def _average_targets(clips: Any) -> torch.Tensor:
    """(N, P) what the patches of made-up faces are on average, at each place; of every fourth clip."""
    total, count = torch.zeros(1), 0
    for at in range(0, len(clips), 4):
        patches = tubes(_video([np.asarray(clips[at].frames)]))
        total = total + video_targets(patches, is_difference=SETTINGS.is_difference)[0]
        count += 1
    return total / count


def _errors(models: dict[str, HicmaePretraining], windows: list[Frames], average: torch.Tensor) -> dict[str, Floats]:
    """(W,) of each model, of each patch's own mean, and of the average face: all with the same masks."""
    rng = torch.Generator().manual_seed(0)
    errors: dict[str, list[torch.Tensor]] = {name: [] for name in (*models, MEAN, AVERAGE)}
    for start in range(0, len(windows), 32):
        video = _video(windows[start : start + 32])
        mask = tube_mask(len(video), FORM.video_grid, SETTINGS.video_mask, rng=rng)
        hidden = split_tokens(mask)[1]  # (B, M)
        truth = video_targets(taken(tubes(video), hidden), is_difference=SETTINGS.is_difference)  # (B, M, P)
        with torch.inference_mode():
            guesses = {name: model.eval()(video=video, video_mask=mask).video for name, model in models.items()}
        guesses |= {MEAN: torch.zeros_like(truth), AVERAGE: average[hidden]}
        for name, guess in guesses.items():
            errors[name].append(functional.mse_loss(guess, truth, reduction='none').mean(dim=(1, 2)))
    return {name: torch.cat(values).double().numpy() for name, values in errors.items()}


def _video(windows: list[Frames]) -> torch.Tensor:
    """(B, 3, T, S, S)"""
    video = collate([Clip('', window, None, None) for window in windows], size=SIZE).video
    assert video is not None
    return video


if __name__ == '__main__':
    main()
