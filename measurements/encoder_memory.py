"""The most memory of a process that makes an encoder of clips and runs four windows, in MiB, Python and torch included.

    python encoder_memory.py hicmae-tiny

A process of its own that imports nothing else, as in the protocol of the published figures, of which 218 MB were Python
and torch. `nothing` imports the same and makes no network. `encoder_speed.py` calls it for each size.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affekt.pretraining import FORMS, HicmaeClassifier, SvfapClassifier, SvfapForm

WINDOWS = 4


def network(name: str, *, fused: bool = True) -> Any:
    """A fine-tuning network of six classes with random weights."""
    form = FORMS[name]()
    with torch.device('meta'):
        made = (SvfapClassifier if isinstance(form, SvfapForm) else HicmaeClassifier)(form, 6, 0.0)
    made.to_empty(device='cpu')
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.05, generator=rng)
    for module in made.modules():
        if hasattr(module, 'fused'):
            module.fused = fused
    return made.eval().requires_grad_(False)


def inputs(form: Any, count: int) -> tuple[Tensor, Tensor | None]:
    """Random windows."""
    rng = torch.Generator().manual_seed(1)
    video = torch.randn(count, 3, form.frames, form.size, form.size, generator=rng)
    return video, None if isinstance(form, SvfapForm) else torch.randn(count, 1, 256, 128, generator=rng)


def main() -> None:
    """Run, and print the peak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', choices=(*FORMS, 'nothing'))
    name = parser.parse_args().name
    torch.set_num_threads(1)
    if name != 'nothing':
        model = network(name)
        with torch.inference_mode():
            model(*inputs(model.form, WINDOWS))
    # not `ru_maxrss`, which a child inherits from the process that started it
    peak = re.search(r'VmHWM:\s+(\d+) kB', Path('/proc/self/status').read_text())
    assert peak
    print(round(int(peak[1]) / 1024, 1))


if __name__ == '__main__':
    main()
