"""Published self-supervised encoders of face and voice (HiCMAE, SVFAP): pre-training, fine-tuning, prediction.

Recordings, official frame folders or a packed cache come in as `Clip`s; pre-trained and fine-tuned models, clip
features and predictions go out. Read `forms.py` first, then `hicmae.py`; `affekt.clips` defines clips. Names are
imported on first access, so that settings can be used without torch, which models and tensors need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affekt.pretraining.adapters import Views, probed_answers, view_features
    from affekt.pretraining.augmentation import (
        Augmentation,
        evaluation_augmentation,
        pretraining_augmentation,
        tuning_augmentation,
    )
    from affekt.pretraining.batches import ClipBatch, collate, normalised_frames, resized
    from affekt.pretraining.forms import FORMS, HicmaeForm, SvfapForm, changed_form, form_named
    from affekt.pretraining.hicmae import HicmaeClassifier, HicmaePretraining
    from affekt.pretraining.masked_settings import PretrainingSettings
    from affekt.pretraining.masked_training import Pretrained, pretrain
    from affekt.pretraining.masking import cell_mask, tube_mask
    from affekt.pretraining.mixing import Mixing, mixed, soft_targets
    from affekt.pretraining.objectives import LabelledClip, chosen_objective
    from affekt.pretraining.predicting import TunedModel, predict, predict_proba
    from affekt.pretraining.spectrograms import filterbank, filterbanks
    from affekt.pretraining.svfap import SvfapClassifier, SvfapPretraining
    from affekt.pretraining.transfer import (
        Transfer,
        classifier_from,
        opened_checkpoint,
        pretraining_from,
        stored_form,
        transferred,
    )
    from affekt.pretraining.tuning import Tuned, state_digest, tune
    from affekt.pretraining.tuning_settings import TuningSettings
    from affekt.pretraining.windows import (
        Sampling,
        Window,
        consecutive_windows,
        cut,
        evaluation_windows,
        pretraining_window,
        tuning_window,
    )

_LATER = {
    'Augmentation': 'augmentation',
    'ClipBatch': 'batches',
    'FORMS': 'forms',
    'HicmaeClassifier': 'hicmae',
    'HicmaeForm': 'forms',
    'HicmaePretraining': 'hicmae',
    'LabelledClip': 'objectives',
    'chosen_objective': 'objectives',
    'Mixing': 'mixing',
    'Pretrained': 'masked_training',
    'PretrainingSettings': 'masked_settings',
    'Sampling': 'windows',
    'SvfapClassifier': 'svfap',
    'SvfapForm': 'forms',
    'SvfapPretraining': 'svfap',
    'Transfer': 'transfer',
    'Tuned': 'tuning',
    'TunedModel': 'predicting',
    'TuningSettings': 'tuning_settings',
    'Views': 'adapters',
    'Window': 'windows',
    'cell_mask': 'masking',
    'changed_form': 'forms',
    'classifier_from': 'transfer',
    'collate': 'batches',
    'consecutive_windows': 'windows',
    'cut': 'windows',
    'evaluation_augmentation': 'augmentation',
    'evaluation_windows': 'windows',
    'filterbank': 'spectrograms',
    'filterbanks': 'spectrograms',
    'form_named': 'forms',
    'mixed': 'mixing',
    'normalised_frames': 'batches',
    'opened_checkpoint': 'transfer',
    'predict': 'predicting',
    'predict_proba': 'predicting',
    'pretrain': 'masked_training',
    'pretraining_augmentation': 'augmentation',
    'pretraining_from': 'transfer',
    'pretraining_window': 'windows',
    'probed_answers': 'adapters',
    'resized': 'batches',
    'soft_targets': 'mixing',
    'state_digest': 'tuning',
    'stored_form': 'transfer',
    'transferred': 'transfer',
    'tube_mask': 'masking',
    'tune': 'tuning',
    'tuning_augmentation': 'augmentation',
    'tuning_window': 'windows',
    'view_features': 'adapters',
}
"""Public name to the module that defines it."""

__all__ = [
    'FORMS',
    'Augmentation',
    'ClipBatch',
    'HicmaeClassifier',
    'HicmaeForm',
    'HicmaePretraining',
    'LabelledClip',
    'Mixing',
    'Pretrained',
    'PretrainingSettings',
    'Sampling',
    'SvfapClassifier',
    'SvfapForm',
    'SvfapPretraining',
    'Transfer',
    'Tuned',
    'TunedModel',
    'TuningSettings',
    'Views',
    'Window',
    'cell_mask',
    'changed_form',
    'chosen_objective',
    'classifier_from',
    'collate',
    'consecutive_windows',
    'cut',
    'evaluation_augmentation',
    'evaluation_windows',
    'filterbank',
    'filterbanks',
    'form_named',
    'mixed',
    'normalised_frames',
    'opened_checkpoint',
    'predict',
    'predict_proba',
    'pretrain',
    'pretraining_augmentation',
    'pretraining_from',
    'pretraining_window',
    'probed_answers',
    'resized',
    'soft_targets',
    'state_digest',
    'stored_form',
    'transferred',
    'tube_mask',
    'tune',
    'tuning_augmentation',
    'tuning_window',
    'view_features',
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f'affekt.pretraining.{_LATER[name]}'), name)
    raise AttributeError(f'module affekt.pretraining has no attribute {name!r}')
