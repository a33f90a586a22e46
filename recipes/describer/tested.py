"""What ships, answering on test parts of all corpora but GoEmotions (`likely.py`); what is asked and kept of clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from certainty import logits_of
from data import PROSODY, SENTENCE, VOICE
from evaluate import LIMITS, Answers, answers, read
from readers import KIND, LABELS
from runs import KNOWN, SENTIMENTS, Starts

from affekt.description import Describer, Example, generated_answers
from examples import Clips, Numbers, faces_read, of_faces, of_sentiment, sentiment_word, thirds

SEEN_LINES = 600
"""Of the test parts of MELD and EmoBank, drawn, on which an earlier describer was scored: the others are tested."""
LINES = 1000
"""Of MELD and EmoBank that are tested, at most."""


def asked(clips: Clips, numbers: Numbers, sources: Sequence[str], heard: Numbers | None = None) -> list[Example]:
    """Clips with some of their sources; the voice is that of other clips where `heard` says which."""
    examples = []
    for place, n in enumerate(numbers):
        other = n if heard is None else heard[place]
        perceived = {name: clips.sources[name][n if name == SENTENCE else other] for name in sources}
        examples.append(Example(clips.names[n], perceived, '', LABELS, ' neutral', ()))
    return examples


def kept(path: Path, make: Any) -> dict[str, Any]:
    """What is in a file, or what was made and put there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make(), indent=0) + '\n')
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def plain(given: Answers) -> dict[str, Any]:
    """Answers as they are kept."""
    return {'labels': [list(each) for each in given.labels], 'valid': given.valid.tolist(), 'texts': list(given.texts)}


def final_tests(clips: dict[str, Clips], describer: Describer, starts: Starts) -> dict[str, Any]:
    """Name of a test to what makes its answers; of words `likely.py` makes them."""
    nemo, faces = clips['nemo'], clips['fer2013']
    stills, everybody = faces.of_split('test'), np.arange(len(nemo))

    def unheard() -> dict[str, Any]:
        examples = asked(nemo, everybody, (VOICE, PROSODY))
        other = asked(nemo, everybody, (VOICE, PROSODY), np.random.default_rng(3).permutation(everybody))
        return {
            'voice alone': plain(answers(describer, examples, KNOWN)),
            "another clip's voice": plain(answers(describer, other, KNOWN)),
            'head': starts.heard(nemo.sources[VOICE]), 'truth': [each[0] for each in nemo.truth],
            'speaker': nemo.speaker.tolist(), 'logits': logits_of(describer, examples),
        }  # fmt: skip

    def seen() -> dict[str, Any]:
        given = answers(describer, of_faces(faces, stills), KNOWN)
        truth = [faces.truth[n][0] for n in stills]
        learnt = [faces.truth[n][0] for n in faces.of_split('train')]
        return {**plain(given), 'truth': truth, 'network': faces_read(faces, stills), 'learnt': learnt}

    def sentiment(name: str) -> Any:
        def make() -> dict[str, Any]:
            corpus = clips[name]
            third, test = thirds(corpus, corpus.of_split('train')), corpus.of_split('test')
            test = np.random.default_rng(3).permutation(test)[SEEN_LINES:][:LINES]
            given = read(generated_answers(describer, of_sentiment(corpus, test, third), KIND, LIMITS), SENTIMENTS)
            truth = [sentiment_word(float(corpus.sentiment[n]), third) for n in test]
            learnt = [sentiment_word(float(corpus.sentiment[n]), third) for n in corpus.of_split('train')]
            return {**plain(given), 'truth': truth, 'learnt': learnt}

        return make

    return {
        'nemo': unheard, 'fer2013': seen, 'meld': sentiment('meld'),
        'emobank': sentiment('emobank'),
    }  # fmt: skip
