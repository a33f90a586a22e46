"""How far known curves are recovered from real faces that software moved, and by models that saw only synthetic heads.

    python measurements/abaw_portraits.py FACE ... --trained RUN --work DIR [--out FILE]

The job of `measurements/abaw.py` on another cast: 20 videos of 6 s show portraits, each moved by commanded curves
(`affekt.reenactment.PortraitCast`). FACE is a picture, or a video whose first frame is taken; each must be of another
adult. RUN is the --work of `measurements/abaw.py`, whose models are scored on these faces as they are. The videos stay
in DIR, carry no statement on the people, are not signed, and are not to be passed on. A killed run goes on. Needs
torch, on the CPU: about three minutes of one processor.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from affekt.benchmarks import AbawSettings, abaw_facts, abaw_sheet, made_up_inputs, save_abaw
from affekt.corpora import AffWild2Settings
from affekt.experiments import sheet_markdown
from affekt.media import Recording, write_image
from affekt.reenactment import PortraitCast
from affekt.runs import write_atomically
from affekt.typed_json import json_file

RESULTS = Path(__file__).resolve().parent / 'results'
CORPUS = AffWild2Settings(videos=20, seconds=6.0, seed=1)
SETTINGS = AbawSettings(tasks=('expr', 'va', 'au'), models=('transformer',), window=150, stride=75, resamples=2000)
"""Windows as long as the videos: those of 300 frames, as for the synthetic heads, would be the same here."""
MOST_SIDE = 1024


def main() -> None:
    """Run, or go on, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('faces', nargs='+', type=Path, metavar='FACE', help='pictures and videos of different people')
    parser.add_argument('--trained', type=Path, help='work folder of measurements/abaw.py')
    parser.add_argument('--work', type=Path, required=True, help='folder for corpus, features and models')
    parser.add_argument(
        '--out', type=Path, default=RESULTS / 'abaw_portraits.json', help='the result, and its Markdown'
    )
    asked = parser.parse_args()
    cast = PortraitCast.of_folder(_stills(asked.faces, asked.work / 'portraits'), CORPUS.size)
    inputs = made_up_inputs(asked.work, CORPUS, cast=cast)
    outcome = inputs.run(SETTINGS, folder=asked.work / 'training', resume=True, carried_over=asked.trained)
    facts = abaw_facts(outcome) | {'portraits': len(cast.portraits), 'not_taken': len(cast.left_out)}
    save_abaw(asked.work, outcome, facts)
    write_atomically(asked.out, json_file(facts))
    write_atomically(asked.out.with_suffix('.md'), sheet_markdown(abaw_sheet(outcome)).encode())


def _stills(faces: list[Path], folder: Path) -> Path:
    """A folder with a picture of each face."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in faces:
        still = folder / f'{path.stem}_{path.suffix[1:]}.png'
        if not still.exists():
            write_image(still, next(Recording.open(path).frames(max_side=MOST_SIDE)).image)
    return folder


if __name__ == '__main__':
    main()
