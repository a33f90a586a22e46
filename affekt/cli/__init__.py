"""The command line: one verb per job. Each command parses, calls the public function of the same name, and prints.

Read `group.py` first; every other file adds the verbs in its name.
"""

from affekt.cli import (  # noqa: F401  each adds its verbs
    bench,
    bench_frames,
    bench_training,
    caption,
    comparing,
    corpus,
    corrupt,
    describe,
    emotion_words,
    features,
    installation,
    prefer,
    pretraining,
    rank,
    recordings,
    reenact,
    stream,
    track,
)
from affekt.cli.group import main

__all__ = ['main']
