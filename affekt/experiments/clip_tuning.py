"""Fine-tuning on a manifest: a checkpoint and labelled clips in, a folder with a model, its scores and its card out.

    finetune_clips(Path('run'), Manifest.load(Path('m.parquet')), TuningSettings(), folder=Path('tuned'))
    affekt.pretraining.predict('tuned', 'interview.mp4')

The epoch is chosen on validation alone; test clips, if there are any, are predicted once, at the end. torch is
imported where it is used. Read `finetune_clips` first, then `clip_parts.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from affekt.arrays import Floats32, Ints
from affekt.clips import MODALITIES, ClipSettings, PackedClips, is_first_process, named_media, packed_clips
from affekt.corpora import Manifest
from affekt.encoders import RUN_WEIGHTS
from affekt.errors import CorpusError, ShapeError, listed, require_torch
from affekt.experiments.clip_card import TITLES, FinetunedClips, ScoreRow, tuned_card
from affekt.experiments.clip_parts import ClipParts, divided_clips
from affekt.metrics import categorical_measure, dimensional_measure, measure_intervals
from affekt.progress import Progress
from affekt.runs import Run, file_sha256, versions, write_atomically
from affekt.tables import csv_bytes
from affekt.typed_json import json_file
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.checkpoints import Checkpoint
    from affekt.pretraining import (
        HicmaeClassifier,
        HicmaeForm,
        LabelledClip,
        SvfapClassifier,
        SvfapForm,
        Transfer,
        Tuned,
        TunedModel,
        TuningSettings,
    )

    Form = HicmaeForm | SvfapForm

CARD, SCORES, PREDICTIONS, TRAINING = 'card.md', 'scores.json', 'predictions.csv', 'training'
"""Files of a finished run, and the folder of its training state."""
RESAMPLES = 2000
"""Resamples of an interval."""


def finetune_clips(
    source: Path,
    manifest: Manifest,
    settings: TuningSettings,
    *,
    folder: Path,
    label: str = 'emotion',
    validation: str = '',
    test: str = '',
    modalities: Sequence[str] = (),
    crop: str = 'faces',
    drop_path: float = 0.1,
    cache: Path | None = None,
    processes: int = 1,
    resume: bool = False,
    report: Callable[[Mapping[str, float]], None] | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> FinetunedClips:
    """Fine-tune a checkpoint on the labels of a manifest's clips and write model, scores and card into a folder.

    Args:
        source: a checkpoint of HiCMAE or SVFAP, of any stage, or the folder of a run.
        manifest: manifest of clips, some or all of which have the label.
        settings: settings of fine-tuning.
        folder: new folder, or that of a run to resume.
        label, validation, test: see `divided_clips`.
        modalities: `video`, `audio` or both; () for those that both checkpoint and clips have.
        crop: how faces are cut out of recordings, see `ClipSettings`.
        drop_path: stochastic depth rate of the last block; it rises evenly from 0 over the blocks.
        cache: folder of decoded clips, which several runs can share; None for one in the folder.
        processes: number of processes that decode.
        resume: continue the run in the folder, or read back a finished one.
        report: called with each row of the history.
        progress: called with the stage ('clips', 'train', 'features', 'predict'), units done and total units.
        say: called with a sentence on the size of a cache to be written, and one on the weights from the checkpoint.

    Raises:
        CorpusError: see `divided_clips`; or no clip of a part has the modalities that the model reads.
        WeightsError: the checkpoint is not one of HiCMAE or SVFAP, or is incomplete.
        RunError: the folder holds another run.
        MissingExtraError: torch, or peft for adapters, is not installed.
    """
    require_torch()
    from affekt.nn import require_device
    from affekt.pretraining import TunedModel, chosen_objective, opened_checkpoint

    # 1. labels, and the network's form
    parts = divided_clips(manifest, label, validation=validation, test=test, seed=settings.seed)
    chosen_objective(settings, bool(parts.classes))
    require_device(settings.device)
    checkpoint = opened_checkpoint(source)
    form = _form(checkpoint, parts, modalities)
    saved = _saved(checkpoint, parts, form, settings, crop=crop, drop_path=drop_path)
    is_done = (folder / RUN_WEIGHTS).exists()
    new_network = None if is_done else _network(checkpoint, form, len(parts.names), drop_path, settings.seed)
    is_first = is_first_process()
    with Run(folder, saved, resume=resume) if is_first else contextlib.nullcontext():
        # 2. clips, decoded once
        packed = _packed(parts, form, crop, cache or folder / 'clips', processes, progress, say)
        parts, clips, notes = _labelled(parts, packed, form)
        # 3. the pre-trained network is fine-tuned
        if new_network is None:
            model = TunedModel.open(folder)
        else:
            if say:
                say(str(new_network[1]))
            tuned = _tuned(new_network[0], clips, settings, folder / TRAINING, report, progress)
            model = _model(tuned, parts, settings, crop, saved)
            if is_first:
                model.save(folder)
        # 4. scores on held-out clips, and the card
        rows = _scored(model, parts, clips, settings, folder, progress) if is_first else []
        history, epoch = tuple(model.notes['history']), int(model.notes['epoch'])
        outcome = FinetunedClips(model, folder, parts, tuple(rows), history, epoch, (*parts.notes, *notes), settings)
        if is_first:
            _write(outcome, saved)
    return outcome


def _saved(
    checkpoint: Checkpoint, parts: ClipParts, form: Form, settings: TuningSettings, *, crop: str, drop_path: float
) -> dict[str, Any]:
    """Everything that the run's results depend on, as saved in its folder."""
    return {
        'from': {'name': checkpoint.path.name, 'sha256': file_sha256(checkpoint.path)}, 'label': list(parts.columns),
        'classes': list(parts.classes), 'stated': dict(parts.stated), 'modalities': list(form.modalities), 'crop': crop,
        'drop_path': drop_path, 'tuning': asdict(settings), 'corpus': parts.manifest.facts.corpus,
        'clips': _digest(parts),
    }  # fmt: skip


def _form(checkpoint: Checkpoint, parts: ClipParts, modalities: Sequence[str]) -> Form:
    """The form of the checkpoint, for the requested modalities, or for those that the manifest names.

    Raises:
        CorpusError: the clips have none of the modalities.
        ShapeError: the checkpoint does not read a requested modality.
    """
    from affekt.pretraining import stored_form

    form = stored_form(checkpoint)
    if unknown := [name for name in modalities if name not in form.modalities]:
        raise ShapeError(
            expected=f'modalities that the checkpoint reads: {" and ".join(form.modalities)}', came=listed(unknown),
            todo='choose others, or another checkpoint',
        )  # fmt: skip
    train = parts.manifest.take(parts.parts['train'])
    requested = tuple(name for name in MODALITIES if name in (modalities or form.modalities))
    present = tuple(name for name in requested if named_media(train, name).any())
    if not present:
        raise CorpusError(
            expected=f'training clips with {" or ".join(requested)}', came='none in the manifest',
            todo='add the media, or take a checkpoint that reads what there is',
        )  # fmt: skip
    return form if present == form.modalities else stored_form(checkpoint, modalities=present)


def _packed(
    parts: ClipParts,
    form: Form,
    crop: str,
    folder: Path,
    processes: int,
    progress: Progress | None,
    say: Callable[[str], None] | None,
) -> PackedClips:
    manifest = parts.manifest
    settings = ClipSettings(form.size, crop, form.modalities)  # type: ignore[arg-type]
    return packed_clips(manifest, folder, settings, processes=processes, progress=progress, say=say)


def _labelled(
    parts: ClipParts, packed: PackedClips, form: Form
) -> tuple[ClipParts, dict[str, list[LabelledClip]], list[str]]:
    """The parts without clips that cannot be read, their clips, and notes on those that are left out.

    Raises:
        CorpusError: no clip of a part, or of a class of training, is readable.
    """
    from affekt.pretraining import LabelledClip

    readable = np.zeros(len(packed), dtype=np.bool_)
    if 'video' in form.modalities:
        readable |= packed.frame_counts > 0
    if 'audio' in form.modalities:
        readable |= packed.sample_counts > 0
    position_of = {name: row for row, name in enumerate(packed.names) if readable[row]}
    is_readable = np.array([name in position_of for name in parts.manifest.names], dtype=np.bool_)
    unreadable = [parts.manifest.names[row] for index in parts.parts.values() for row in index[~is_readable[index]]]
    parts = parts.take(is_readable)
    clips_of: dict[str, list[LabelledClip]] = {}
    for part, index in parts.parts.items():
        names = [parts.manifest.names[row] for row in index.tolist()]
        clips_of[part] = [
            LabelledClip(partial(packed.__getitem__, position_of[name]), int(target) if parts.classes else target)
            for name, target in zip(names, parts.truth(index), strict=True)
        ]
        if not clips_of[part]:
            raise CorpusError(
                expected=f'{part} clips with {" or ".join(form.modalities)} that can be read',
                came='; '.join(packed.sentences), todo='check the paths in the manifest, or name the folder of media',
            )  # fmt: skip
    training_targets = [clip.target for clip in clips_of['train']] if parts.classes else []
    if missing := [name for class_number, name in enumerate(parts.classes) if class_number not in training_targets]:
        raise CorpusError(
            expected='training clips of every class that can be read',
            came=f'none of {listed(missing)} ({"; ".join(packed.sentences)})',
            todo='see why they cannot be read, or choose other parts',
        )  # fmt: skip
    notes = list(packed.sentences)
    if unreadable:
        reads = ' or '.join(form.modalities)
        notes.append(
            f'{counted(len(unreadable), "clip")} without {reads} that can be read, left out: {listed(unreadable, 3)}'
        )
    return parts, clips_of, notes


def _network(
    checkpoint: Checkpoint, form: Form, outputs: int, drop_path: float, seed: int
) -> tuple[HicmaeClassifier | SvfapClassifier, Transfer]:
    """The network, whose new weights depend on the seed alone, and the report of weights taken from the checkpoint."""
    from affekt.nn import seeded
    from affekt.pretraining import classifier_from

    with seeded(seed):
        return classifier_from(checkpoint, outputs, drop_path=drop_path, **_changes(checkpoint, form))


def _changes(checkpoint: Checkpoint, form: Form) -> dict[str, Any]:
    """Fields in which the form differs from the checkpoint's own."""
    from affekt.pretraining import stored_form

    return {} if stored_form(checkpoint) == form else {'modalities': form.modalities}


def _tuned(
    network: HicmaeClassifier | SvfapClassifier, clips: Mapping[str, Sequence[LabelledClip]], settings: TuningSettings,
    folder: Path, report: Callable[[Mapping[str, float]], None] | None, progress: Progress | None,
) -> Tuned:  # fmt: skip
    """The network fine-tuned on the training clips, from where an interrupted run in the folder left it."""
    from affekt.pretraining import tune

    return tune(
        network, clips['train'], clips.get('validation'), settings, folder=folder, resume=folder.exists(),
        report=report, progress=progress,
    )  # fmt: skip


def _model(tuned: Tuned, parts: ClipParts, settings: TuningSettings, crop: str, saved: Mapping[str, Any]) -> TunedModel:
    """The fine-tuned model with the metadata that its folder stores."""
    from affekt.pretraining import TunedModel

    notes = {
        'corpus': parts.manifest.facts.corpus, 'from': saved['from'], 'tuning': saved['tuning'],
        'epoch': tuned.epoch, 'history': [dict(row) for row in tuned.history],
    }  # fmt: skip
    arguments = (parts.names, bool(parts.classes), settings.stride, crop, notes)
    return TunedModel(tuned.model, *arguments)  # type: ignore[arg-type]


def _scored(
    model: TunedModel,
    parts: ClipParts,
    clips: Mapping[str, Sequence[LabelledClip]],
    settings: TuningSettings,
    folder: Path,
    progress: Progress | None,
) -> list[ScoreRow]:
    """Scores of validation and test with intervals; writes the file of predictions."""
    from affekt.pretraining import predict_proba

    groups = parts.manifest.groups()
    row_of = {name: row for row, name in enumerate(parts.manifest.names)}
    rows, cells = [], []
    for part in ('validation', 'test'):
        if part not in clips:
            continue
        loaded = [labelled.opened() for labelled in clips[part]]
        predictions = predict_proba(
            model.model, loaded, segments=settings.segments, stride=settings.stride, numbers=not model.is_classes,
            progress=progress,
        )  # fmt: skip
        index = np.array([row_of[clip.name] for clip in loaded], dtype=np.int64)
        rows += _score_rows(part, parts, index, predictions, settings.seed, groups[index])
        cells += _cells(part, parts, index, predictions)
    header = ('sample', 'part', *(f'true {name}' for name in parts.columns), 'predicted', *parts.names)
    header = header if parts.classes else tuple(name for name in header if name != 'predicted')
    write_atomically(folder / PREDICTIONS, csv_bytes(header, cells))
    return rows


def _score_rows(part: str, parts: ClipParts, index: Ints, outputs: Floats32, seed: int, groups: Any) -> list[ScoreRow]:
    """Each score of a part, beside the score of the constant answer."""
    truth, training_truth = parts.truth(index), parts.truth(parts.parts['train'])
    rows = []
    if parts.classes:
        constant = np.full(len(truth), np.bincount(training_truth).argmax())
        measures = {
            '': [
                categorical_measure(truth, prediction, len(parts.classes))
                for prediction in (outputs.argmax(axis=1), constant)
            ]
        }
    else:
        measures = {
            name: [
                dimensional_measure(truth[:, column], prediction, ddof=1)
                for prediction in (
                    outputs[:, column].astype(np.float64),
                    np.full(len(truth), training_truth[:, column].mean()),
                )
            ]
            for column, name in enumerate(parts.columns)
        }
    for dimension, (measure, baseline) in measures.items():
        intervals = measure_intervals(measure, rng=np.random.default_rng(seed), groups=groups, resamples=RESAMPLES)
        constant_scores = baseline.scores()
        rows += [
            ScoreRow(part, dimension, name, intervals[name], constant_scores[name])
            for name in TITLES
            if name in intervals
        ]
    return rows


def _cells(part: str, parts: ClipParts, index: Ints, outputs: Floats32) -> list[tuple[Any, ...]]:
    truth = parts.truth(index)
    names = [parts.manifest.names[number] for number in index.tolist()]
    if parts.classes:
        predictions = outputs.argmax(axis=1)
        return [
            (name, part, parts.classes[target], parts.classes[predicted], *row)
            for name, target, predicted, row in zip(
                names, truth.tolist(), predictions.tolist(), outputs.tolist(), strict=True
            )
        ]
    pairs = zip(names, truth.tolist(), outputs.tolist(), strict=True)
    return [(name, part, *target, *row) for name, target, row in pairs]


def _write(outcome: FinetunedClips, saved: Mapping[str, Any]) -> None:
    """Write scores, card and the page of the training history."""
    from affekt.training import BEST, step_files, write_curves

    facts = {
        'scores': [
            {
                'part': row.part, 'about': row.about or None, 'score': row.name, 'value': row.interval.value,
                'low': row.interval.low, 'high': row.interval.high, 'baseline': row.baseline,
            }
            for row in outcome.rows
        ],
        'parts': {name: len(index) for name, index in outcome.parts.parts.items()}, 'stated': saved['stated'],
        'epoch': outcome.epoch, 'notes': list(outcome.notes), 'versions': versions(),
    }  # fmt: skip
    write_atomically(outcome.folder / SCORES, json_file(facts))
    write_atomically(outcome.folder / CARD, tuned_card(outcome, saved).encode())
    rows = [{'step': float(number), **row} for number, row in enumerate(outcome.history, 1)]
    write_curves(rows, outcome.folder / 'history.html', title=outcome.folder.name)
    for path in (*step_files(outcome.folder / TRAINING), outcome.folder / TRAINING / BEST):
        with contextlib.suppress(OSError):  # the state for resuming; the model is saved
            path.unlink()


def _digest(parts: ClipParts) -> str:
    """SHA-256, in hexadecimal, of the clips' names, labels and division."""
    digest = hashlib.sha256()
    for name, index in parts.parts.items():
        truth = parts.truth(index).tolist()
        digest.update(repr((name, [parts.manifest.names[row] for row in index.tolist()], truth)).encode())
    return digest.hexdigest()
