"""affekt sees, hears and reads how people come across, and measures how well any model does it.

`affekt.analyze(path)` takes a video, an audio file or a photograph and returns an `Analysis`: how each person comes
across and when, how certain that is, and the visual, vocal and verbal cues behind it. `ROOMS` lists the subpackages in
reading order; each imports only earlier ones.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affekt.analysis import Analysis, Timeline, analyze
    from affekt.live import LiveSession, stream
    from affekt.media import Recording
    from affekt.report import render_report

__version__ = '0.1.0'

ROOMS = (
    'errors',
    'moved_names',
    'plugins',
    'files',
    'wording',
    'written_languages',
    'text_encoding',
    'journals',
    'runs',
    'workers',
    'progress',
    'arrays',
    'pickles',
    'npz',
    'tables',
    'typed_json',
    'purpose',
    'npm',
    'http_calls',
    'downloads',
    'model_files',
    'weights',
    'labels',
    'containers',
    'media',
    'faces',
    'voice',
    'text',
    'people',
    'face3d',
    'frames',
    'corpora',
    'clips',
    'metrics',
    'pages',
    'llm',
    'ranking',
    'preference',
    'judging',
    'nn',
    'encoders',
    'features',
    'corruption',
    'training',
    'fusion',
    'checkpoints',
    'pretraining',
    'representations',
    'sequence_models',
    'description',
    'diffusion',
    'experiments',
    'benchmarks',
    'challenges',
    'describers',
    'provenance',
    'captioning',
    'analysis',
    'report',
    'batch',
    'live',
    'reenactment',
    'own_data',
    'serve',
    'annotation',
    'testing',
    'demo',
    'doctor',
    'terminal',
    'cli',
)
TORCH_ROOMS = (
    'nn',
    'training',
    'fusion',
    'pretraining',
    'representations',
    'sequence_models',
    'description',
    'diffusion',
)
"""Subpackages that need torch; others import them within functions only."""

_HOMES = {
    'Analysis': 'affekt.analysis',
    'LiveSession': 'affekt.live',
    'Recording': 'affekt.media',
    'Timeline': 'affekt.analysis',
    'analyze': 'affekt.analysis',
    'render_report': 'affekt.report',
    'stream': 'affekt.live',
}

__all__ = [
    'ROOMS',
    'Analysis',
    'LiveSession',
    'Recording',
    'Timeline',
    '__version__',
    'analyze',
    'render_report',
    'stream',
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f'module affekt has no attribute {name!r}')
