"""The one training loop, for any model that answers with logits, values and losses.

Samples in memory and settings come in; the model as it was at its best epoch on validation comes out, with its history
and whether it may be reported. `train_semi` also learns from samples without truth; `train_together` trains folds and
draws of hyper-parameters as one batched model. Read `supervised.py` first. Needs torch.
"""

from affekt.training.absent import MissingScores, missing_modality_answers, missing_modality_scores, with_gaps
from affekt.training.parallel import Ranks, on_processes
from affekt.training.progress import Trained
from affekt.training.samples import UNKNOWN, Batch, Samples, Sequences
from affekt.training.scoring import SCORES, Predicted, task_losses
from affekt.training.semi import Round, SemiTrained, pseudo_labelled, train_semi
from affekt.training.settings import SemiSettings, TrainingSettings
from affekt.training.supervised import predict, train
from affekt.training.together import Split, train_together

__all__ = [
    'SCORES',
    'UNKNOWN',
    'Batch',
    'MissingScores',
    'Predicted',
    'Ranks',
    'Round',
    'Samples',
    'SemiSettings',
    'SemiTrained',
    'Sequences',
    'Split',
    'Trained',
    'TrainingSettings',
    'missing_modality_answers',
    'missing_modality_scores',
    'on_processes',
    'predict',
    'pseudo_labelled',
    'task_losses',
    'train',
    'train_semi',
    'train_together',
    'with_gaps',
]
