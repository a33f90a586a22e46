"""One engine for all training, and supervised training built on it.

`Engine` takes steps over any batches, with schedules, weight averages, checkpoints and several processes; pretraining
and frame-level training use it too. `train` takes samples in memory and settings, and returns the model at its best
epoch on validation, with its history and whether it may be reported. `train_semi` also uses samples without truth;
`train_together` trains folds and draws of hyper-parameters as one batched model. Read `supervised.py` first, or
`engine.py` for what is below it. Needs torch.
"""

from affekt.training.absent import MissingScores, missing_modality_answers, missing_modality_scores, with_gaps
from affekt.training.averages import WeightAverage
from affekt.training.best_epoch import BEST, BestEpoch
from affekt.training.checkpoints import last_weights, step_files, whole
from affekt.training.curves import write_curves
from affekt.training.engine import Engine, Step
from affekt.training.optimiser import LBFGS, AdamW, PlainAdam
from affekt.training.order import IndexBatches, LoadedBatches
from affekt.training.pace import Pace, losses_in_words, peak_memory_bytes
from affekt.training.parallel import Ranks, on_processes
from affekt.training.precision import has_precision
from affekt.training.samples import UNKNOWN, Batch, Samples, Sequences, epoch_seed
from affekt.training.schedules import Schedule, layered_groups
from affekt.training.scoring import SCORES, Predicted, is_constant, require_finite, task_losses, task_sums
from affekt.training.semi import Round, SemiTrained, pseudo_labelled, train_semi
from affekt.training.settings import EngineSettings, SemiSettings, TrainingSettings
from affekt.training.standing import Trained
from affekt.training.supervised import predict, train
from affekt.training.together import Split, train_together

__all__ = [
    'BEST',
    'LBFGS',
    'SCORES',
    'UNKNOWN',
    'AdamW',
    'Batch',
    'BestEpoch',
    'Engine',
    'EngineSettings',
    'IndexBatches',
    'LoadedBatches',
    'MissingScores',
    'Pace',
    'PlainAdam',
    'Predicted',
    'Ranks',
    'Round',
    'Samples',
    'Schedule',
    'SemiSettings',
    'SemiTrained',
    'Sequences',
    'Split',
    'Step',
    'Trained',
    'TrainingSettings',
    'WeightAverage',
    'epoch_seed',
    'has_precision',
    'is_constant',
    'last_weights',
    'layered_groups',
    'losses_in_words',
    'missing_modality_answers',
    'missing_modality_scores',
    'on_processes',
    'peak_memory_bytes',
    'predict',
    'pseudo_labelled',
    'require_finite',
    'step_files',
    'task_losses',
    'task_sums',
    'train',
    'train_semi',
    'train_together',
    'whole',
    'with_gaps',
    'write_curves',
]
