"""Whether an answer depends on the clips that share its batch: the small describer, answers and certainty.

    python describer_batches.py [--clips 16]

Parts of the read speech and of the demo video that come with affekt, each lacking other sources: voice with and without
words, words alone, voice and face, face alone. Features are read once, then all clips are answered one at a time and
2, 7 and all at a time. A certainty is rounded; the margin is the smallest distance of an unrounded one to the next
boundary of rounding, beside the largest difference between batches.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from affekt.corpora import Facts, Manifest, Sample
from affekt.description import ClipDescriber, ClipReader, Description, PerceivedClip, open_clip_describer, opening
from affekt.runs import versions, write_atomically
from affekt.typed_json import json_file
from affekt.weights import SMALL_DESCRIBER, model_path

RESULT = Path(__file__).resolve().parent / 'results' / 'describer_batches.json'
EXACT = 15
"""Decimal places that leave a certainty as it is."""
SENTENCES = (
    'I miss her so much.',
    'Leave me alone, all of you!',
    'What a wonderful surprise, thank you.',
    'Well.',
    'I do not know what will happen to us now, and nobody tells me anything at all.',
)


def made_clips(count: int) -> Manifest:
    """Clips of which each fifth has the same sources, and no two the same part of a recording."""
    speech, video = str(model_path('read_speech.wav')), str(model_path('carphone.mp4'))
    rows = []
    for at in range(count):
        words, start = SENTENCES[at % len(SENTENCES)], 0.4 * at
        part = {'start_s': start, 'end_s': start + 1.5 + 0.2 * (at % 4)}
        shown = {'start_s': 0.15 * at, 'end_s': 0.15 * at + 1.0}
        rows.append((
            Sample(f'clip{at:02d}', audio=speech, text='', **part),
            Sample(f'clip{at:02d}', audio=speech, text=words, **part),
            Sample(f'clip{at:02d}', text=f'{words} {at}'),
            Sample(f'clip{at:02d}', audio=speech, video=video, text='', **shown),
            Sample(f'clip{at:02d}', video=video, text='', missing='audio', **shown),
        )[at % 5])  # fmt: skip
    return Manifest(Facts('parts of two recordings', root=''), rows)


class ReadOnce:
    """A reader of clips that keeps what it read."""

    def __init__(self, reader: ClipReader) -> None:
        self._reader, self._read = reader, dict[str, PerceivedClip]()
        self.form, self.asked = reader.form, reader.asked

    def read(self, manifest: Manifest, sample: Sample, *, words: str | None = None) -> PerceivedClip:
        """The clip, read at the first call."""
        if sample.sample not in self._read:
            self._read[sample.sample] = self._reader.read(manifest, sample, words=words)
        return self._read[sample.sample]


def answers_by_clip(described: list[tuple[PerceivedClip, Description]]) -> dict[str, dict[str, Any]]:
    """Everything that the answer to each clip says, but its certainty; what the clip lacks is part of it."""
    return {
        each.name: {
            'text': each.answer.text, 'labels': each.answer.labels, 'failure': each.failure, 'lacking': clip.lacking,
        }
        for clip, each in described
    }  # fmt: skip


def compared(describer: ClipDescriber, manifest: Manifest, sizes: list[int]) -> dict[str, Any]:
    """All clips answered in batches of each size, against one at a time."""
    rounding, opening.DIGITS = opening.DIGITS, EXACT
    samples = list(manifest.samples)
    answers, certainties, rows = {}, {}, {}

    def rounded(size: int, name: str) -> float | None:
        value = certainties[size][name]
        return None if value is None else round(value, rounding)

    for size in (1, *sizes):
        describer.batch_size = size
        described: list[tuple[PerceivedClip, Description]] = []
        begin = time.process_time()
        for first in range(0, len(manifest), size):
            described += describer.describe(manifest, samples[first : first + size])
        seconds = time.process_time() - begin
        answers[size] = answers_by_clip(described)
        certainties[size] = {each.name: each.certainty for _, each in described}
        pairs = [(value, certainties[size][name]) for name, value in certainties[1].items() if value is not None]
        rows[str(size)] = {
            'same_answers': sum(answers[size][name] == answers[1][name] for name in manifest.names),
            'same_certainty': sum(rounded(1, name) == rounded(size, name) for name in manifest.names),
            'largest_difference': max(abs(value - float(other or 0.0)) for value, other in pairs),
            'seconds': round(seconds, 2),
        }
    opening.DIGITS = rounding
    known = [value for value in certainties[1].values() if value is not None]
    scaled = [value * 10**rounding for value in known]
    return {
        'clips': len(manifest), 'decimal_places': rounding, 'with_certainty': len(known),
        'answers': {name: answers[1][name]['labels'] for name in manifest.names},
        'failed': sum(bool(each['failure']) for each in answers[1].values()),
        'margin': min(abs(value - int(value) - 0.5) for value in scaled) / 10**rounding,
        'batches': rows,
    }  # fmt: skip


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--clips', type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    describer = open_clip_describer(SMALL_DESCRIBER, asr='none')
    describer.reader = ReadOnce(describer.reader)  # type: ignore[assignment]
    manifest = made_clips(options.clips)
    describer.describe(manifest, manifest.samples)  # reads all clips
    result = {'versions': versions(), **compared(describer, manifest, [2, 7, options.clips])}
    write_atomically(RESULT, json_file(result))
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
