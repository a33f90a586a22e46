"""Frame-level models: expression, valence and arousal, and action units for every frame of a video.

Features of several modalities, aligned to the frames, come in as windows; a prediction for each frame comes out. Read
`form.py` first, then `attention_sequence.py`; `losses.py` has the losses, `choices.py` the list of models.
`frame_videos` aligns labels and features with any timestamps, `train_frames` trains, and `FramePredictor` predicts
whole videos. Needs torch.
"""

from affekt.sequence_models.aligning import Clock, FeatureSource, frame_videos
from affekt.sequence_models.attention_sequence import AttentionSequence
from affekt.sequence_models.baselines import (
    constant_predictions,
    mean_predictions,
    read_predictions,
    reading_modality,
)
from affekt.sequence_models.choices import SEQUENCE_MODELS, build_sequence_model, load_published_sequence
from affekt.sequence_models.clock import LearnedClock
from affekt.sequence_models.convolution import TemporalConvolution
from affekt.sequence_models.ensembles import FrameEnsemble, TrainedFolds, recording_folds, train_folds
from affekt.sequence_models.expression_head import ExpressionHead
from affekt.sequence_models.form import FrameAnswers, KeepMask, SequenceModel, SequenceShape
from affekt.sequence_models.inputs import (
    FRAME_CLOCKS,
    Alignment,
    FrameClock,
    FrameVideos,
    WindowBatch,
    WindowBatches,
    require_same_features,
)
from affekt.sequence_models.losses import (
    PUBLISHED_EXPRESSION_LOSS,
    ExpressionLoss,
    balanced_units,
    class_weights,
    concordance_loss,
    squared_loss,
    unit_loss,
)
from affekt.sequence_models.mctn_sequence import TranslationSequence
from affekt.sequence_models.mfn_sequence import MemorySequence
from affekt.sequence_models.objectives import FrameLosses
from affekt.sequence_models.predicting import (
    OFFICIAL_SCORES,
    FramePrediction,
    mean_prediction,
    official_scores,
    predict_frames,
)
from affekt.sequence_models.predictor import FramePredictor
from affekt.sequence_models.projection import PerFrame
from affekt.sequence_models.pseudo_labels import (
    PseudoLabelCard,
    PseudoLabelSettings,
    TrainedWithPseudoLabels,
    pseudo_labelled,
    train_with_pseudo_labels,
)
from affekt.sequence_models.rows import FrameRows, NeighbourRows
from affekt.sequence_models.settings import (
    FRAME_TASKS,
    LOSS_SETTINGS,
    FrameTask,
    FrameTrainingSettings,
    loss_settings,
)
from affekt.sequence_models.training import TrainedFrames, train_frames, tuned_frame_smoothing
from affekt.sequence_models.transformer import FrameTransformer

__all__ = [
    'FRAME_CLOCKS',
    'FRAME_TASKS',
    'LOSS_SETTINGS',
    'OFFICIAL_SCORES',
    'PUBLISHED_EXPRESSION_LOSS',
    'SEQUENCE_MODELS',
    'Alignment',
    'AttentionSequence',
    'Clock',
    'ExpressionHead',
    'ExpressionLoss',
    'FeatureSource',
    'FrameAnswers',
    'FrameClock',
    'FrameEnsemble',
    'FrameLosses',
    'FramePrediction',
    'FramePredictor',
    'FrameRows',
    'FrameTask',
    'FrameTrainingSettings',
    'FrameTransformer',
    'FrameVideos',
    'KeepMask',
    'LearnedClock',
    'MemorySequence',
    'NeighbourRows',
    'PerFrame',
    'PseudoLabelCard',
    'PseudoLabelSettings',
    'SequenceModel',
    'SequenceShape',
    'TemporalConvolution',
    'TrainedFolds',
    'TrainedFrames',
    'TrainedWithPseudoLabels',
    'TranslationSequence',
    'WindowBatch',
    'WindowBatches',
    'balanced_units',
    'build_sequence_model',
    'class_weights',
    'concordance_loss',
    'constant_predictions',
    'frame_videos',
    'load_published_sequence',
    'loss_settings',
    'mean_prediction',
    'mean_predictions',
    'official_scores',
    'predict_frames',
    'pseudo_labelled',
    'read_predictions',
    'reading_modality',
    'recording_folds',
    'require_same_features',
    'squared_loss',
    'train_folds',
    'train_frames',
    'train_with_pseudo_labels',
    'tuned_frame_smoothing',
    'unit_loss',
]
