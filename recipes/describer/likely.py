"""What is chosen once the describer is trained, and tested on comments that chose neither: labels by their shares, and
how far a voice may lie from those of training for a certainty to be stated.

    python recipes/describer/likely.py --corpora DIR --out DIR

By itself it is for the describer that ships, whose weights and other answers stay as they are: results, notes, card and
page are then written anew with these figures. It takes minutes of one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from certainty import WORDS, calibration, logits_of
from data import HELD, PROSODY, SENTENCE, VOICE, goemotions, nemo, ravdess
from evaluate import answers, share, table
from page import RESULT
from readers import KIND, Start, margins, text_head, words_of
from report import write_words
from runs import KNOWN, folds, folds_of
from tested import asked, kept

from affekt.corpora import Manifest
from affekt.description import Asked, Describer, Example, LikelyLabels, open_describer
from affekt.description.batches import tensors_of
from affekt.labels import GOEMOTIONS
from affekt.metrics import multilabel_macro_f1
from affekt.weights import PACKAGED
from examples import Clips, Numbers, clips_of, decided, of_texts

LEASTS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
FAMILIAR = 0.98
"""Share of the clips of the choosing actors that lie within the limit of a voice."""
MOST_OF_AN_ACTOR, MOST_OF_A_STRANGER = 18, 16
"""Clips of each tested actor, and of each speaker of nEMO, whose distance is looked at."""
BATCH = 64
LIKELY = LikelyLabels(WORDS, {SENTENCE: 0.0})
Labels = list[tuple[str, ...]]


# Labels by their shares


def shares_of(describer: Describer, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, K) shares of answers that begin with each word, and that name it."""
    rows = []
    for begin in range(0, len(examples), BATCH):
        prompts: list[Asked] = [
            describer.prompt(tensors_of(each), KIND, each.question, words=each.transcript)
            for each in examples[begin : begin + BATCH]
        ]
        rows.append(LIKELY.shares(describer, prompts))
    first, named = zip(*rows, strict=True)
    return torch.cat(first), torch.cat(named)


def labels_at(first: torch.Tensor, named: torch.Tensor, least: float) -> Labels:
    """What is named of each at a share."""
    return [LIKELY.chosen(*row, least) for row in zip(first, named, strict=True)]


def chosen_share(describer: Describer, texts: Clips, start: Start) -> dict[str, Any]:
    """The share at which labels agree best with those of the head of text; what is true is not looked at."""
    lines = texts.of_split('dev')
    words = words_of(GOEMOTIONS)
    taught = table(decided(start, texts.sources[SENTENCE][lines]), words)
    first, named = shares_of(describer, of_texts(texts, lines, start))
    agreement = {
        least: round(float(multilabel_macro_f1(taught, table(labels_at(first, named, least), words))), 4)
        for least in LEASTS
    }
    return {
        'comments': len(lines), 'least': max(agreement, key=agreement.__getitem__),
        'agreement': {f'{least:g}': value for least, value in agreement.items()},
    }  # fmt: skip


def words_tested(describer: Describer, texts: Clips, start: Start, least: float) -> dict[str, Any]:
    """Labels of comments that chose no share and no step, beside those of one answer and of the head of text."""
    lines = texts.of_split(HELD)
    examples = of_texts(texts, lines, start)
    greedy = [list(each) for each in answers(describer, examples, KNOWN).labels]
    return {**words_read(texts, start, lines, *shares_of(describer, examples), least), 'greedy': greedy}


def words_read(
    texts: Clips, start: Start, lines: Numbers, first: torch.Tensor, named: torch.Tensor, least: float
) -> dict[str, Any]:
    """The same from the shares of some comments."""
    features = texts.sources[SENTENCE][lines]
    labels, scores = labels_at(first, named, least), margins(start, features)[:, : len(GOEMOTIONS)]
    strict = [[start.words[k] for k in np.flatnonzero(row >= 0)] for row in scores]
    return {
        'labels': [list(each) for each in labels], 'valid': [True] * len(labels), 'least': least,
        'truth': [list(texts.truth[n]) for n in lines], 'head': [list(each) for each in decided(start, features)],
        'head, or none': strict, 'logits': first.log().clamp(min=-50.0).numpy().round(3).tolist(),
    }  # fmt: skip


# How far a voice may lie from those of training


def distances(describer: Describer, voices: Clips, numbers: Numbers) -> list[float]:
    """Of each voice from those of training."""
    reader = describer.reader(VOICE)
    return [reader.distance(torch.from_numpy(row)) for row in voices.sources[VOICE][numbers]]


def familiar_voices(
    describer: Describer, voices: Clips, strangers: Clips, chosen_by: Numbers, tested: Numbers, temperature: float
) -> dict[str, Any]:
    """The limit by the choosing actors, and what it does to certainties of unheard actors and of another corpus."""
    limit = round(float(np.quantile(distances(describer, voices, chosen_by), FAMILIAR)), 4)
    rows: dict[str, Any] = {}
    for name, corpus, numbers, sources in (
        ('RAVDESS, tested actors', voices, tested, (VOICE, PROSODY, SENTENCE)),
        ('nEMO, left out', strangers, np.arange(len(strangers)), (VOICE, PROSODY)),
    ):
        near = np.array(distances(describer, corpus, numbers)) <= limit
        speaker = np.array([str(corpus.speaker[n]) for n in numbers])
        rows[name] = {'clips': len(numbers), 'stated': share(near, speaker)}
        if near.any():
            within = numbers[near]
            logits = logits_of(describer, asked(corpus, within, sources))
            truth = [corpus.truth[n] for n in within]
            rows[name]['of_those'] = calibration(logits, [temperature] * len(within), truth, speaker[near])
    return {'limit': limit, 'clips': len(chosen_by), 'tested': rows}


# By itself, of what ships


def tests(corpora: Path, out: Path, fold: int) -> dict[str, Any]:
    """The share, the words and the voices of what ships; each is measured once and kept."""
    describer = open_describer(PACKAGED / 'describer')
    comments = goemotions(corpora / 'goemotions' / 'original')
    texts = clips_of(Manifest(comments.facts, [row for row in comments.samples if row.split in ('dev', HELD)]), out)
    start = text_head(texts.sources[SENTENCE].shape[1])
    kept_in = out / 'answers'
    chosen = kept(kept_in / 'share.json', partial(chosen_share, describer, texts, start))
    words = kept(kept_in / 'held.json', partial(words_tested, describer, texts, start, chosen['least']))
    heard = familiar_clips(ravdess(corpora / 'ravdess_speech'), nemo(corpora / 'nemo'), fold)
    voices, strangers = (clips_of(manifest, out) for manifest in heard)
    parts = folds(voices)[fold]
    stated = json.loads((PACKAGED / 'describer' / 'describer.json').read_text())['notes']['certainty'][VOICE]
    limits = kept(
        kept_in / 'familiar.json',
        partial(familiar_voices, describer, voices, strangers, parts.chosen_by, parts.tested, stated),
    )
    return {'share': chosen, 'words': words, 'familiar': limits}


def familiar_clips(actors: Manifest, strangers: Manifest, fold: int) -> tuple[Manifest, Manifest]:
    """All clips of the actors who choose the step of a fold, and some of each other speaker, drawn: speakers limit what
    is known here, and clips do not."""
    rng = np.random.default_rng(11)
    parts = folds_of(np.array([str(row.speaker) for row in actors.samples]))[fold]
    choosing, tested = ({actors.samples[n].speaker for n in part} for part in (parts.chosen_by, parts.tested))
    most = {**dict.fromkeys(choosing, len(actors)), **dict.fromkeys(tested, MOST_OF_AN_ACTOR)}
    others = dict.fromkeys({row.speaker for row in strangers.samples}, MOST_OF_A_STRANGER)
    return drawn(actors, most, rng), drawn(strangers, others, rng)


def drawn(manifest: Manifest, most: Mapping[str | None, int], rng: np.random.Generator) -> Manifest:
    """At most so many samples of each of these speakers, speaker by speaker."""
    samples = []
    for speaker in sorted(map(str, most)):
        own = [row for row in manifest.samples if row.speaker == speaker]
        samples += [own[at] for at in np.sort(rng.permutation(len(own))[: most[speaker]])]
    return Manifest(manifest.facts, samples)


def main() -> None:
    """Measure what ships, and write its results, notes, card and page anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--corpora', type=Path, required=True, help='folder with ravdess_speech, nemo, goemotions')
    parser.add_argument('--out', type=Path, required=True, help='folder for features and answers')
    options = parser.parse_args()
    torch.set_num_threads(1)
    fold = json.loads(RESULT.read_text())['choice']['fold']
    write_words(tests(options.corpora, options.out, fold))


if __name__ == '__main__':
    main()
