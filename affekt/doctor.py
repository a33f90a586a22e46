"""`affekt doctor`: installed packages, verified model files, and extras with what each would add."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from typing import Any

from affekt.errors import StorageError
from affekt.files import require_folder_possible
from affekt.plugins import GROUPS, Listed, Members, installed, strangers
from affekt.weights import MODELS, cache_folder, state

EXTRAS: Mapping[str, tuple[tuple[str, ...], str]] = {
    'serve': (
        ('fastapi', 'uvicorn', 'wsproto'),
        'pages in a browser: affekt annotate, affekt stream --page',
    ),
    'torch': (
        ('torch', 'accelerate', 'peft', 'safetensors', 'sklearn', 'onnx', 'onnxscript'),
        'train: affekt pretrain, finetune, track train, describe train, and the benchmarks that train',
    ),
    'llm': (
        ('torch', 'transformers', 'gguf', 'accelerate'),
        'run language models in this process: affekt describe --model, affekt judge --local',
    ),
    'encoders': (
        ('torch', 'transformers', 'sentencepiece', 'safetensors', 'huggingface_hub'),
        'run published encoders over a corpus: affekt features extract --recipe chinese-hubert-large-utt',
    ),
    'ray': (('ray',), 'extract features on many machines: affekt features extract --on ray'),
    'opensmile': (('opensmile',), 'measure audio with openSMILE, free for research: --recipe egemaps-v02-utt'),
    'reenact': (('cv2', 'c2pa', 'cryptography'), 'sign moved portraits, and draw them faster: affekt reenact'),
    'test': (('pytest', 'hypothesis', 'selenium'), 'run the test suite and the benchmarks'),
}
"""Name of an extra to its modules and to what they add."""

MODULES: Mapping[str, str] = {
    'av': 'decode and encode media',
    'ai_edge_litert': 'face landmarks',
    'onnxruntime': 'speech activity, expression, sentence embedding',
    'ctranslate2': 'speech recognition',
    'tokenizers': 'word pieces',
    'pyarrow': 'tables',
    'pympi': 'ELAN export',
    'praatio': 'TextGrid export',
    'webvtt': 'WebVTT export',
}
"""Required module to its use."""


def examine(*, thorough: bool = False) -> dict[str, list[dict[str, str]]]:
    """A report on this installation; nothing is changed or downloaded.

    Args:
        thorough: hash every byte of the model files, instead of trusting an earlier check of an unchanged file.

    Returns:
        'machine', 'packages', 'models' and 'extras', each a list of rows of strings; except in 'machine', each row has
        a 'state': 'present' or 'missing', for models 'verified', 'missing' or 'damaged'.
    """
    return {
        'machine': _machine(),
        'packages': [
            {'package': module, 'state': 'present' if find_spec(module) else 'missing', 'for': purpose}
            for module, purpose in MODULES.items()
        ],
        'models': [
            {
                'model': model.name,
                'state': state(model, thorough=thorough),
                'size': f'{model.size / 1e6:.1f} MB',
                'licence': model.licence,
            }
            for model in MODELS.values()
        ],
        'extras': [
            {
                'extra': f'affekt[{name}]',
                'state': 'present' if all(find_spec(module) for module in modules) else 'missing',
                'adds': adds,
            }
            for name, (modules, adds) in EXTRAS.items()
        ],
    }


def is_healthy(report: Mapping[str, list[dict[str, str]]]) -> bool:
    """Whether all required packages are present, no model file is damaged, and missing ones can be kept."""
    packages = all(row['state'] == 'present' for row in report['packages'])
    states = {row['state'] for row in report['models']}
    return packages and 'damaged' not in states and not ('missing' in states and unusable_cache())


def unusable_cache() -> str:
    """The reason why the model cache cannot be written; '' if it can."""
    try:
        require_folder_possible(cache_folder())
    except StorageError as error:
        return error.came
    return ''


def _machine() -> list[dict[str, str]]:
    try:
        direct = [requirement for requirement in requires('affekt') or [] if 'extra ==' not in requirement]
        program = f'affekt {version("affekt")}, {len(direct)} direct dependencies'
    except PackageNotFoundError:
        program = 'affekt, from its source folder'
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return [
        {'what': 'program', 'is': program},
        {'what': 'python', 'is': f'{sys.version.split()[0]} on {platform.system()} {platform.machine()}'},
        {'what': 'cores', 'is': str(cores)},
        {'what': 'model cache', 'is': str(cache_folder())},
        {'what': 'cameras', 'is': _cameras()},
    ]


def _cameras() -> str:
    """The cameras that `affekt stream` can read, as text."""
    try:
        from affekt.live import cameras
    except ImportError as error:
        return f'not known without {error.name}'
    return ', '.join(map(str, cameras())) or 'none, so affekt stream needs an address, a file or standard input'


def plugged_in() -> tuple[Listed, ...]:
    """All entry points by which other packages add to affekt, loaded, each with its error if it cannot be used."""
    from affekt.analysis import EXPORTS
    from affekt.corpora import CORPORA
    from affekt.features import RECIPES
    from affekt.judging.plain_judges import REFERENCES
    from affekt.metrics import METRICS

    tables: list[Members[Any]] = [RECIPES, CORPORA, METRICS, REFERENCES, EXPORTS]
    if find_spec('torch') is not None:
        from affekt.fusion import FUSION_MODELS

        tables.append(FUSION_MODELS)
    rows = [row for table in tables for row in table.listed()]
    groups = {table.group for table in tables}
    torch_missing = "no torch (pip install 'affekt[torch]')"
    rows += [
        Listed(plugin, plugin.error(torch_missing)) for plugin in installed() if plugin.group in {*GROUPS} - groups
    ]
    return tuple(sorted((*rows, *strangers()), key=lambda row: (row.plugin.package, row.plugin.group, row.plugin.name)))
