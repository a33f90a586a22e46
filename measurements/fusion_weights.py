"""How much the words should count in fusion: the exponent that fits best on speech that the text model never saw.

    python measurements/fusion_weights.py --data SHARED_DATA [--out FILE]

The pool of `affekt.analysis.fuse` multiplies a prior with each source's likelihood ratio to the power of its weight.
Here one source, the words of MELD's 1,109 development utterances (dialogues; the model learned from written comments),
is pooled alone for every exponent from 0.05 to 1; the log loss, the accuracy and the mean confidence are reported.
MELD's test part is not read. The labels rest on picture and sound too, which words cannot know.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from affekt.analysis.fuse import REFERENCE_PRIOR, Opinion, pool
from affekt.analysis.model_choice import TEXT, TRAINED_ON, softened
from affekt.labels import EKMAN, MELD_TO_EKMAN
from affekt.text.emotion import TextEmotion


def measure(data: Path) -> dict[str, object]:
    """Log loss, accuracy and mean confidence for each exponent, beside the prior alone and the most frequent class."""
    with (data / 'meld_text' / 'dev_sent_emo.csv').open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    readings = TextEmotion().read([row['Utterance'] for row in rows])
    used = [(r, row) for r, row in zip(readings, rows, strict=True) if r.reason in ('', 'unsure')]
    truth = np.array([EKMAN.index(MELD_TO_EKMAN[row['Emotion']]) for _, row in used])
    prior = softened(TRAINED_ON[TEXT])
    by_exponent = []
    for exponent in np.round(np.arange(0.05, 1.01, 0.05), 2).tolist():
        pooled = np.stack([pool([Opinion('words', r.ekman, quality=exponent, prior=prior)]) for r, _ in used])
        picked = pooled[np.arange(len(truth)), truth]
        by_exponent.append({
            'exponent': exponent,
            'log_loss': round(float(-np.log(picked).mean()), 4),
            'accuracy': round(float((pooled.argmax(axis=1) == truth).mean()), 4),
            'confidence': round(float(pooled.max(axis=1).mean()), 4),
        })  # fmt: skip
    everyday = np.array([REFERENCE_PRIOR[category] for category in EKMAN])
    everyday /= everyday.sum()
    return {
        'utterances': len(used),
        'best_exponent': min(by_exponent, key=lambda row: row['log_loss'])['exponent'],
        'prior_alone_log_loss': round(float(-np.log(everyday[truth]).mean()), 4),
        'always_neutral_accuracy': round(float((truth == EKMAN.index('neutral')).mean()), 4),
        'by_exponent': by_exponent,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder that holds meld_text/')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'fusion_weights.json')
    given = parser.parse_args()
    result = measure(given.data)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + '\n')
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
