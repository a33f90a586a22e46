"""Speed and memory of a run, from the rows of its log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

Row = Mapping[str, float]
OTHERS = ('step', 'loss', 'learning_rate', 'gradient_norm', 'without_video', 'without_audio', 'unread')
"""Columns of a log that are not single losses."""


class Pace:
    """Clips per second, between the last two rows and since the first one.

    What came before the first row is left out, since it includes one-time costs, such as compilation.

    Args:
        batch_size: clips per step.
        clock: returns seconds, from any origin.
    """

    def __init__(self, batch_size: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._batch_size, self._clock = batch_size, clock
        self._first = (0.0, 0.0)
        self._last: tuple[float, float] | None = None
        """Step and time of the last row."""
        self.latest = float('nan')
        """Clips per second between the last two rows; nan before there are two."""

    def row(self, row: Row) -> None:
        """Add a row of the log."""
        point = (row['step'], self._clock())
        if self._last is None:
            self._first = point
        else:
            self.latest = self._between(self._last, point)
        self._last = point

    @property
    def mean(self) -> float:
        """Clips per second from the first row to the last; nan before there are two."""
        return self._between(self._first, self._last) if self._last else float('nan')

    def _between(self, start: tuple[float, float], end: tuple[float, float]) -> float:
        seconds = end[1] - start[1]
        return self._batch_size * (end[0] - start[0]) / seconds if seconds > 0 else float('nan')


def peak_memory_bytes(device: str) -> int:
    """Peak memory of this process, or of its tensors on a CUDA device; 0 if the system does not report it."""
    if torch.device(device).type == 'cuda':
        return torch.cuda.max_memory_allocated(device)
    status = Path('/proc/self/status')
    if status.exists():  # `ru_maxrss` would include the parent process
        peaks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith('VmHWM')]
        return int(peaks[0]) * 1024 if peaks else 0
    if sys.platform == 'win32':
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


def losses_in_words(row: Row) -> str:
    """The sum of the losses of a row and each of them, then those that were not measured; one alone by its name.

    >>> losses_in_words({'step': 9.0, 'video': 0.91, 'audio': 0.8, 'loss': 1.71, 'learning_rate': 1e-4})
    'loss 1.710 (video 0.910, audio 0.800)'
    >>> losses_in_words({'step': 9.0, 'audio': 0.8, 'loss': 0.8, 'learning_rate': 1e-4})
    'audio loss 0.800'
    >>> losses_in_words({'step': 9.0, 'video': float('nan'), 'audio': 0.8, 'loss': 0.8, 'learning_rate': 1e-4})
    'loss 0.800 (audio 0.800; video not measured)'
    >>> losses_in_words({'step': 9.0, 'audio': float('nan'), 'loss': 0.0, 'learning_rate': 1e-4})
    'audio loss not measured'
    """
    losses = {name: value for name, value in row.items() if name not in OTHERS}
    if len(losses) == 1:
        ((name, value),) = losses.items()
        return f'{name} loss {value:.3f}' if value == value else f'{name} loss not measured'
    measured = ', '.join(f'{name} {value:.3f}' for name, value in losses.items() if value == value)
    unmeasured = ' and '.join(name for name, value in losses.items() if value != value)
    parts = [measured, f'{unmeasured} not measured' if unmeasured else '']
    return f'loss {row["loss"]:.3f} ({"; ".join(filter(None, parts))})'
