"""A trained frame model as a folder: `settings.json` has its settings, `weights.safetensors` the rest.

The scales of the inputs, estimated on training frames, are among the weights. Loading is strict.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from affekt.errors import ValueRangeError, WeightsError
from affekt.frames import FrameLabels, Smoothing
from affekt.nn import read_tensors, save_tensors, seeded
from affekt.runs import read_regular_file, write_atomically
from affekt.sequence_models.aligning import Clock, FeatureSource, frame_videos
from affekt.sequence_models.choices import build_sequence_model
from affekt.sequence_models.clock import OnLearnedClocks, with_learned_clocks
from affekt.sequence_models.form import SequenceModel, SequenceShape
from affekt.sequence_models.inputs import Alignment, FrameVideos, require_same_features
from affekt.sequence_models.predicting import FramePrediction, mean_prediction, predict_as_trained
from affekt.sequence_models.settings import FrameTrainingSettings
from affekt.typed_json import json_file, typed

SETTINGS = 'settings.json'
WEIGHTS = 'weights.safetensors'
"""Files of a folder."""
FORMAT = 1
"""Format version of the folder; a newer one is refused."""


@dataclass(frozen=True, eq=False)
class FramePredictor:
    """A trained model and everything its predictions depend on.

    Args:
        model: the model, in evaluation mode.
        settings: settings with which it was trained.
        alignment: settings of the resampling of features to the frames.
        expressions: names of the classes; () for a model without.
        action_units: names of the units; () for a model without.
        smoothing: task to the smoothing of its curves.
        notes: its origin: epoch, validation scores, training videos.
    """

    model: SequenceModel | OnLearnedClocks = field(repr=False)
    settings: FrameTrainingSettings
    alignment: Alignment = field(default_factory=Alignment)
    expressions: tuple[str, ...] = ()
    action_units: tuple[str, ...] = ()
    smoothing: Mapping[str, Smoothing] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def predict(self, videos: FrameVideos, *, smooth: bool = True, draws: int = 0) -> dict[str, FramePrediction]:
        """Predictions for every frame of every video, averaged over windows and smoothed.

        Args:
            videos: videos with the modalities that it was trained on; their labels are not read.
            smooth: False for no smoothing.
            draws: additional predictions with dropout, from which `spread` estimates the model's uncertainty (Gal and
                Ghahramani 2016, arXiv:1506.02142). Reproducible; 0 leaves `spread` nan, and one draw is not enough.

        Raises:
            ShapeError: modalities, sizes or alignment differ.
            ValueRangeError: draws of a model without dropout, or fewer than 2.
        """
        require_same_features(self.model.shape.sizes, self.alignment, videos)
        predictions = predict_as_trained(self.model, videos, self.settings)
        if draws:
            if draws < 2:
                raise ValueRangeError(
                    expected='0 draws, or 2 or more', came=f'{draws}', todo='ask for 8, or leave draws out'
                )
            if not self.settings.dropout:
                raise ValueRangeError(
                    expected='a model with dropout, or an ensemble', came='one without, whose draws are all alike',
                    todo='train with dropout, or train folds',
                )  # fmt: skip
            with seeded(self.settings.seed):
                drawn_predictions = [
                    predict_as_trained(self.model, videos, self.settings, dropout=True) for _ in range(draws)
                ]
            spreads = {name: mean_prediction([each[name] for each in drawn_predictions]).spread for name in predictions}
            predictions = {name: replace(each, spread=spreads[name]) for name, each in predictions.items()}
        return {name: each.smoothed(self.smoothing) if smooth else each for name, each in predictions.items()}

    def predict_features(
        self, features: Mapping[str, FeatureSource], frames: Mapping[str, int], clock: Clock, *, smooth: bool = True
    ) -> dict[str, FramePrediction]:
        """Predictions from features on any clock, resampled to the frames as in training.

        Args:
            features: modality to a source of features by video, see `frame_videos`; one without any of the videos,
                such as the voice of a silent recording, may be an empty mapping.
            frames: video to its number of frames.
            clock: times of the frames.
            smooth: False for no smoothing.

        Raises:
            ShapeError, ValueRangeError, UnknownNameError: see `frame_videos` and `predict`.
        """
        labels = [FrameLabels(video, 'test', frames=count) for video, count in frames.items()]
        videos = frame_videos(
            labels, features, clock, methods=self.alignment.methods, longest_gap_s=self.alignment.longest_gap_s,
            of_recording=self.alignment.of_recording, around=self.alignment.neighbours,
            sizes=self.model.shape.sizes,
        )  # fmt: skip
        return self.predict(videos, smooth=smooth)

    def save(self, folder: Path) -> None:
        """Write `settings.json` and `weights.safetensors`.

        Raises:
            StorageError: the folder cannot be written, as on a full disk.
        """
        save_tensors(folder / WEIGHTS, self.model.state_dict())
        contents = {
            'format': FORMAT, 'settings': asdict(self.settings), 'sizes': dict(self.model.shape.sizes),
            'alignment': asdict(self.alignment), 'expressions': self.expressions, 'action_units': self.action_units,
            'smoothing': {task: asdict(each) for task, each in self.smoothing.items()}, 'notes': dict(self.notes),
        }  # fmt: skip
        write_atomically(folder / SETTINGS, json_file(contents))

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> FramePredictor:
        """Read a saved folder.

        Raises:
            WeightsError: the folder is not a trained frame model, is damaged, or is from a newer affekt.
        """
        path = Path(folder)
        try:
            contents = json.loads(read_regular_file(path / SETTINGS))
            if contents['format'] > FORMAT:
                raise ValueError(f'format {contents["format"]}, which only a newer affekt reads')
            settings = typed(FrameTrainingSettings, contents['settings'])
            expressions = tuple(map(str, contents['expressions']))
            units = tuple(map(str, contents['action_units']))
            shape = SequenceShape(
                {str(name): int(size) for name, size in contents['sizes'].items()}, hidden=settings.hidden,
                dropout=settings.dropout, form=settings.form, classes=len(expressions), units=len(units),
                values=2 if 'affect' in settings.tasks else 0,
            )  # fmt: skip
            alignment = typed(Alignment, contents['alignment'])
            with torch.random.fork_rng(devices=[]):
                model_without_clocks = build_sequence_model(settings.model, shape, **settings.options)
            model = with_learned_clocks(model_without_clocks, alignment.learned)
            tensors, _ = read_tensors(path / WEIGHTS)
            model.load_state_dict(tensors)
            smoothing = {str(task): typed(Smoothing, each) for task, each in contents['smoothing'].items()}
            return cls(model.eval(), settings, alignment, expressions, units, smoothing, dict(contents['notes']))
        except (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise WeightsError(
                expected=f'a trained model of frames in {path}', came=' '.join(str(error).split())[:300],
                todo='give the folder `model` of a run, or train it again',
            ) from error  # fmt: skip
