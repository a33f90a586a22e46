"""The contract of exports, on small synthetic analyses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from affekt.analysis import (
    EXPORTS,
    Analysis,
    AnalysisSettings,
    Evidence,
    ModelUse,
    Moment,
    OpenLabel,
    Person,
    Sentence,
    Source,
    Spoken,
    SpokenWord,
    Timeline,
)
from affekt.labels import EKMAN
from affekt.testing.contract import promised, require

ODD = 'Ünï <b>&amp; "quoted" \'x\' --> \N{GRINNING FACE} \x07 end\nnext; =1+1, \t|'
"""Text with characters that formats must escape or cannot represent."""
PERSON = 'person 1'


def check_export(write: Callable[[Analysis, Path], None] | str) -> None:
    """Check that an export writes one file for any analysis, and nothing else.

    1. It writes the requested file, which is not empty, and no other; also where the file exists already.
    2. A recording without findings, and texts with quotes, tags, control characters and line breaks, are written
       too.
    3. The analysis is unchanged.

    Args:
        write: function of an analysis and the file's path; or the name of a format.

    Raises:
        ContractError: a check fails.
    """
    label = write if isinstance(write, str) else getattr(write, '__name__', repr(write))
    with promised('an export of that name'):
        writer = EXPORTS[write] if isinstance(write, str) else write
    require(callable(writer), 'a function of an analysis and a path', repr(writer))
    for what, analysis in _analyses().items():
        before = _content(analysis)
        with TemporaryDirectory() as folder:
            out = Path(folder) / 'exported.part'
            for _ in range(2):
                with promised(f'{label} to write {what}'):
                    writer(analysis, out)
                beside = sorted(path.name for path in Path(folder).iterdir())
                require(beside == [out.name], f'one file from {label} for {what}', f'{beside}')
                require(out.stat().st_size > 0, f'a file from {label} for {what} that is not empty', 'an empty one')
        require(_content(analysis) == before, f'{label} to leave the analysis as it is', 'another')


def _content(analysis: Analysis) -> str:
    whole = analysis.to_dict() | {'timeline': analysis.timeline.to_arrow().to_pylist()}
    return json.dumps(whole, sort_keys=True, default=str)


def _analyses() -> dict[str, Analysis]:
    """Description of an analysis to that analysis."""
    span = (0.0, 2.0)
    evidence = (Evidence('words', *span, PERSON, quote=ODD),)
    shares = {name: 0.7 if name == EKMAN[3] else 0.05 for name in EKMAN}
    rows = [
        {'start_s': start, 'end_s': start + 2.0, 'person': PERSON, 'source': source, 'name': name, 'value': value}
        for source in ('words', 'fused')
        for start in (0.0, 2.0)
        for name, value in {**shares, 'valence': 0.5, 'arousal': 0.4}.items()
    ]
    spoken = tuple(
        Spoken(2.0 * n, 2.0 * n + 1.5, PERSON, '', text, (SpokenWord(2.0 * n, 2.0 * n + 1.0, 'We', 0.9),))
        for n, text in enumerate(('We won, I am so glad!', ODD))
    )
    moment = Moment('peak', 1.0, *span, PERSON, 0.8, ODD, evidence)
    labels = tuple(OpenLabel(word, PERSON, 0.5, 0.6, 0.5, 0.4, evidence, *span) for word in ('glad', ODD))
    person = Person(PERSON, 0.0, 3.0, None, shares, (0.5, 0.4, 0.6), None)
    settings, nothing = AnalysisSettings(), Timeline.empty()
    return {
        'a recording in which nothing was found': Analysis(
            Source('silence.wav', 'audio', 3.0, '00' * 32), nothing, (), (), (), (), (), {}, (), settings
        ),
        'what somebody said': Analysis(
            Source('talk & more.wav', 'audio', 4.0, '11' * 32), Timeline.from_rows(rows), (person,), labels, (moment,),
            (Sentence(ODD, evidence),), spoken, {}, (ModelUse('made up', 'none', 'none', ''),), settings,
        ),
    }  # fmt: skip
