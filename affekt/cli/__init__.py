"""The command line: one verb per job. Each command parses, calls the public function of the same name, and prints.

Read `group.py` first; every other file adds the verbs that its name says.
"""

from affekt.cli import (  # noqa: F401  each adds its verbs
    annotate,
    bench,
    bench_frames,
    bench_training,
    corpus,
    corrupt,
    extraction,
    features,
    installation,
    judge,
    prefer,
    pretraining,
    rank,
    recordings,
    score,
    stream,
    track,
)
from affekt.cli.group import main

__all__ = ['main']
