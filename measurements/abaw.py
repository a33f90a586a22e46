"""How far models of time recover known curves of emotion, frame by frame, on a made-up Aff-Wild2.

    python measurements/abaw.py --work DIR [--speech FOLDER] [--out FILE]

The job of `affekt bench abaw --made-up`: 40 videos of made-up people are filmed (20 s, 25 frames a second), imported
from the official layout, read by affekt's own recipes, and three models of time are trained on every task beside a
constant, the mean, the readings as they are and a head that sees one frame. Aff-Wild2 itself cannot be had without an
agreement and was not measured. With --speech people speak: recordings of that folder, each of another person, are heard
in place of tones, and the result is `abaw_speech.json` (what changes is the sound alone: faces, curves and seeds stay).
A killed run goes on with the same --work. Needs torch, on the CPU: about twenty minutes of one processor.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from affekt.benchmarks import AbawSettings, abaw_facts, abaw_sheet, made_up_inputs, save_abaw
from affekt.corpora import AffWild2Settings
from affekt.experiments import sheet_markdown
from affekt.runs import write_atomically
from affekt.typed_json import json_file
from affekt.voice import BorrowedSpeech

RESULTS = Path(__file__).resolve().parent / 'results'
CORPUS = AffWild2Settings()
SETTINGS = AbawSettings(resamples=2000)


def main() -> None:
    """Run, or go on, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work', type=Path, required=True, help='folder for corpus, features and models')
    parser.add_argument('--speech', type=Path, metavar='FOLDER', help='recordings of speech, each of another person')
    parser.add_argument('--out', type=Path, help='the result; Markdown lies beside it')
    asked = parser.parse_args()
    speech = None if asked.speech is None else BorrowedSpeech.of_folder(asked.speech)
    out = asked.out or RESULTS / ('abaw.json' if speech is None else 'abaw_speech.json')
    inputs = made_up_inputs(asked.work, CORPUS, speech=speech)
    outcome = inputs.run(SETTINGS, folder=asked.work / 'training', resume=True)
    facts = abaw_facts(outcome)
    save_abaw(asked.work, outcome, facts)
    write_atomically(out, json_file(facts))
    write_atomically(out.with_suffix('.md'), sheet_markdown(abaw_sheet(outcome)).encode())


if __name__ == '__main__':
    main()
