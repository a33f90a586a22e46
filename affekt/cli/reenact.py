"""The verbs that move the face of a portrait, and check what came of it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.choices import Named
from affekt.cli.group import AS_JSON, Command, main
from affekt.errors import UnknownNameError, listed
from affekt.terminal import say, say_json

if TYPE_CHECKING:
    from affekt.reenactment import Consent, PortraitCast
    from affekt.voice import BorrowedSpeech

PATH = click.Path(path_type=Path)


def _portrayed() -> tuple[str, ...]:
    from affekt.reenactment import PORTRAYED

    return tuple(PORTRAYED)


PORTRAYED_OPTION = click.option(
    '--portrayed',
    type=Named(_portrayed),
    help='Who is in the picture: you, somebody who has agreed, nobody real (asked for where left out).',
)
CONSENT_NOTE_OPTION = click.option(
    '--consent-note', default='', metavar='TEXT', help='Where the agreement is kept; written into every output.'
)
AGE_OPTION = click.option('--age', 'age_years', type=float, metavar='YEARS', help='Age of the portrayed person.')


def asked_consent(portrayed: str | None, note: str, age_years: float | None) -> Consent:
    """The statement on the portrayed person, asked for in a terminal where no option makes it.

    Raises:
        ConsentError: none was made, or it is a child by it.
    """
    from affekt.reenactment import PORTRAYED, required_consent

    if portrayed is None and sys.stdin.isatty() and sys.stderr.isatty():
        say('Who is in the picture? What you say is written into the output.', err=True)
        for name, statement in PORTRAYED.items():
            say(f'  {name:9}{statement}', err=True)
        portrayed = click.prompt('portrayed', type=click.Choice(tuple(PORTRAYED)), err=True)
    return required_consent(portrayed, note, age_years)


def cast_options(command: Command) -> Command:
    """The options that let portraits be seen and speech be heard; `asked_cast` and `asked_speech` read them."""
    portraits = click.option(
        '--portraits', type=PATH, metavar='FOLDER', help='Film real faces: a picture of each person, moved by software.'
    )
    speech = click.option(
        '--speech',
        type=PATH,
        metavar='FOLDER',
        help='Let recordings of speech be heard, one of each person, not tones.',
    )
    for option in (speech, AGE_OPTION, CONSENT_NOTE_OPTION, PORTRAYED_OPTION, portraits):
        command = option(command)
    return command


def asked_cast(asked: dict[str, Any], size: int) -> PortraitCast | None:
    """The portraits that `cast_options` name, with the statement on the people; None where none are.

    Args:
        asked: values of options, from which those of `cast_options` are taken away.
        size: of the corpus's pictures.

    Raises:
        UnknownNameError: there is a statement on nobody.
        ConsentError, PortraitError, MissingExtraError: as `required_consent` and `PortraitCast.of_folder`.
    """
    folder, portrayed, note, age = (asked.pop(name) for name in ('portraits', 'portrayed', 'consent_note', 'age_years'))
    if folder is None:
        stated = {'--portrayed': portrayed, '--consent-note': note, '--age': age}
        if given := [option for option, value in stated.items() if value not in (None, '')]:
            raise UnknownNameError(
                expected='--portraits with a statement on the people in them', came=f'{listed(given)} alone',
                todo='name the folder of portraits, or leave the statement out',
            )  # fmt: skip
        return None
    from affekt.reenactment import PortraitCast

    consent = asked_consent(portrayed, note, age)
    cast = PortraitCast.of_folder(folder, size, consent)
    for sentence in cast.notes:
        say(sentence, err=True)
    return cast


def asked_speech(asked: dict[str, Any]) -> BorrowedSpeech | None:
    """The recordings that --speech names; None where it names none.

    Args:
        asked: values of options, from which this one is taken away.

    Raises:
        MediaError: as `BorrowedSpeech.of_folder`.
    """
    folder = asked.pop('speech')
    if folder is None:
        return None
    from affekt.voice import BorrowedSpeech

    speech = BorrowedSpeech.of_folder(folder)
    for sentence in speech.notes:
        say(sentence, err=True)
    return speech


@main.command('verify')
@click.argument('path', metavar='FILE', type=PATH)
@click.option('--trust', 'trusted', type=PATH, metavar='PEM', help='Certificates that you trust to vouch for signers.')
@AS_JSON
def verify_command(path: Path, trusted: Path | None, as_json: bool) -> None:
    """Check whether FILE is as it was signed, and say who made it.

    \b
    affekt verify out.mp4
    affekt verify still.png --trust university.pem --json

    The answer is one of: intact (exit code 0), changed, no manifest (exit
    code 2). A signature of affekt's own making shows that nothing was changed,
    not who signed: the signer is unknown unless --trust vouches for them.
    """
    from affekt.reenactment import verify

    verdict = verify(path, trusted)
    if as_json:
        say_json(asdict(verdict) | {'path': str(path), 'words': verdict.words})
    else:
        say(f'{path}: {verdict.words}', style='' if verdict.is_intact else 'bold red')
        for line in _told(verdict):
            say(line)
    if not verdict.is_intact:
        click.get_current_context().exit(2)


def _told(verdict: Any) -> list[str]:
    """Lines on what a manifest says."""
    lines = [verdict.reason] if verdict.reason else []
    if verdict.state == 'no manifest':
        return lines
    if verdict.made_by:
        source = f' ({verdict.source_type})' if verdict.source_type else ''
        lines.append(f'made by {verdict.made_by}{source}, signed as {verdict.signer or "nobody"}')
    stated = verdict.statement
    if not stated:
        return lines
    driver = stated.get('driver_sha256')
    lines.append(f'engine {stated.get("engine")}, portrait {str(stated.get("portrait_sha256"))[:12]}…')
    if driver:
        mouth = ', whose mouth is in the picture' if stated.get('has_drivers_mouth') else ''
        lines.append(f'driver {str(driver)[:12]}…{mouth}')
    consent = stated.get('consent', {})
    lines.append(f'stated by the maker on {consent.get("stated_at", "")}: {consent.get("statement", "")}')
    if consent.get('note'):
        lines.append(f'note: {consent["note"]}')
    return lines
