"""The verb reenact, which animates portraits, and its subcommand train-refiner."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.choices import SEED, Named, licenses
from affekt.cli.group import AS_JSON, Command, end_with, main
from affekt.cli.help import OwnArgument, VerbWithVerbs
from affekt.cli.installation import fetch
from affekt.errors import UnknownNameError, listed
from affekt.terminal import StageBars, say, say_json
from affekt.typed_json import plain
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.reenactment import Consent, Credentials, Design, MotionSource, PortraitCast, ReenactSettings
    from affekt.voice import BorrowedSpeech

PATH = click.Path(path_type=Path)


def _portrayed() -> tuple[str, ...]:
    from affekt.reenactment import PORTRAYED

    return tuple(PORTRAYED)


ENGINES = ('geometric', 'diffusion')
PAINTING = {
    'device': '--device', 'steps': '--steps', 'guidance': '--guidance', 'seed': '--seed', 'side': '--painted-size',
    'precision': '--precision',
}  # fmt: skip
"""Settings of drawing networks to their options."""
PORTRAYED_OPTION = click.option(
    '--portrayed',
    type=Named(_portrayed),
    help='Portrayed person: you, somebody who has agreed, or nobody real (asked for if omitted).',
)
CONSENT_NOTE_OPTION = click.option(
    '--consent-note', default='', metavar='TEXT', help='Note on where the agreement is kept; written into every output.'
)
AGE_OPTION = click.option('--age', 'age_years', type=float, metavar='YEARS', help='Age of the portrayed person.')


def asked_consent(portrayed: str | None, note: str, age_years: float | None) -> Consent:
    """The statement on the portrayed person, asked for in a terminal if no option gives it.

    Raises:
        ConsentError: there is none, or it says that the person is a child.
    """
    from affekt.reenactment import PORTRAYED, required_consent

    if portrayed is None and sys.stdin.isatty() and sys.stderr.isatty():
        say('Who is portrayed? Your answer is written into the output.', err=True)
        for name, statement in PORTRAYED.items():
            say(f'  {name:9}{statement}', err=True)
        portrayed = click.prompt('portrayed', type=click.Choice(tuple(PORTRAYED)), err=True)
    return required_consent(portrayed, note, age_years)


def cast_options(command: Command) -> Command:
    """The options for portraits and speech in a synthetic corpus; `asked_cast` and `asked_speech` read them."""
    portraits = click.option(
        '--portraits',
        type=PATH,
        metavar='FOLDER',
        help='Folder of portraits, one per person, to animate instead of synthetic faces.',
    )
    speech = click.option(
        '--speech',
        type=PATH,
        metavar='FOLDER',
        help='Folder of speech recordings, one per person, to use instead of tones.',
    )
    for option in (speech, AGE_OPTION, CONSENT_NOTE_OPTION, PORTRAYED_OPTION, portraits):
        command = option(command)
    return command


def asked_cast(options: dict[str, Any], size: int) -> PortraitCast | None:
    """The portraits that `cast_options` name, with the statement on the people; None if none are.

    Args:
        options: values of options, from which those of `cast_options` are removed.
        size: side of the corpus's frames in pixels.

    Raises:
        UnknownNameError: there is a statement on nobody.
        ConsentError, PortraitError, MissingExtraError: as `required_consent` and `PortraitCast.of_folder`.
    """
    folder, portrayed, note, age = (
        options.pop(name) for name in ('portraits', 'portrayed', 'consent_note', 'age_years')
    )
    if folder is None:
        stated = {'--portrayed': portrayed, '--consent-note': note, '--age': age}
        if named := [option for option, value in stated.items() if value not in (None, '')]:
            raise UnknownNameError(
                expected='--portraits with a statement on the people in them', came=f'{listed(named)} alone',
                todo='name the folder of portraits, or leave the statement out',
            )  # fmt: skip
        return None
    from affekt.reenactment import PortraitCast

    consent = asked_consent(portrayed, note, age)
    fetch(['face_landmarker.task'])
    cast = PortraitCast.of_folder(folder, size, consent)
    for sentence in cast.notes:
        say(sentence, err=True)
    return cast


def asked_speech(options: dict[str, Any]) -> BorrowedSpeech | None:
    """The recordings that --speech names; None if it names none.

    Args:
        options: values of options, from which this one is removed.

    Raises:
        MediaError: as `BorrowedSpeech.of_folder`.
    """
    folder = options.pop('speech')
    if folder is None:
        return None
    from affekt.voice import BorrowedSpeech

    speech = BorrowedSpeech.of_folder(folder)
    for sentence in speech.notes:
        say(sentence, err=True)
    return speech


def _emotions() -> tuple[str, ...]:
    from affekt.reenactment import EMOTIONS

    return (*EMOTIONS, 'all')


def _timeline_sources() -> tuple[str, ...]:
    from affekt.reenactment import TIMELINE_SOURCES

    return tuple(TIMELINE_SOURCES)


def painting_options(command: Command) -> Command:
    """The options on networks that paint; `asked_painting` reads them."""
    options = (
        click.option('--weights', type=PATH, metavar='DIR', help='Folder of weights, for --engine diffusion.'),
        click.option('--device', help='Device of --engine diffusion: cpu (default), cuda, cuda:1, …'),
        click.option('--steps', type=click.IntRange(1, 1000), help='Number of denoising steps (default 20).'),
        click.option('--guidance', type=click.FloatRange(1), help='Guidance scale, 1 or more (default 3.5).'),
        click.option(
            '--painted-size', 'side', type=click.IntRange(32), metavar='PIXELS',
            help='Side of the square that networks draw, a multiple of 8 (default 512).',
        ),
        click.option(
            '--precision', type=Named(('auto', 'float32', 'bfloat16')),
            help='Precision of --engine diffusion (default auto: bfloat16 if the device supports it).',
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def asked_painting(options: dict[str, Any], is_painted: bool) -> dict[str, Any]:
    """The values of `painting_options`, as fields of `ReenactSettings`.

    Args:
        options: values of options, from which those are removed.
        is_painted: whether networks draw.

    Raises:
        click.UsageError: options of networks are given but no network draws, or no weights are given.
    """
    from affekt.reenactment import PaintSettings

    weights = options.pop('weights')
    given = {name: value for name in PAINTING if (value := options.pop(name, None)) is not None}
    if is_painted != (weights is not None):
        raise click.UsageError('--engine diffusion and --weights DIR, a folder of the published weights, go together.')
    if not is_painted:
        if given:
            named = listed([PAINTING[name] for name in given])
            raise click.UsageError(f'{named} {"belongs" if len(given) == 1 else "belong"} to --engine diffusion.')
        return {}
    device = given.pop('device', 'cpu')
    return {'weights': weights, 'device': device, 'painting': PaintSettings(**given)}


@main.group('reenact', cls=VerbWithVerbs)
@click.argument('portrait', cls=OwnArgument, type=PATH)
@click.argument('driver', cls=OwnArgument, required=False, type=PATH)
@click.option('-o', '--out', required=True, type=PATH, help='Video (.mp4), still (.png, .jpg), or folder of a set.')
@click.option('--emotion', type=Named(_emotions, several=True), help='Emotion that comes and goes, without a driver.')
@click.option('--curve', type=PATH, help='Table of curves over time_s that move the portrait.')
@click.option('--scores', 'are_scores', is_flag=True, help='Columns of --curve are scores of a face network.')
@click.option(
    '--timeline', type=PATH, metavar='RUN', help='Run folder of an analysis, whose person moves the portrait.'
)
@click.option('--person', metavar='NAME', help='Person of the analysis (default: the one seen longest).')
@click.option('--by', type=Named(_timeline_sources), help='Source of the motion within the analysis: face, or emotion.')
@click.option('--intensity', metavar='SHARE', help='Strength of the expression (default 1; for an emotion 0.7).')
@click.option(
    '--absolute', is_flag=True, help="Transfer the driver's expression and pose themselves, not their changes."
)
@click.option('--seconds', type=float, help='Length of an emotion (default 3).')
@click.option('--fps', 'rate_hz', type=float, help="Frames per second (default: the driver's own; 25 without one).")
@click.option('--head', type=float, help="Share of the head's movement, 0 to 1 (default 1).")
@click.option('--calm-at', 'calm_at_s', type=float, metavar='SECONDS', help="Time of the driver's calm face.")
@click.option('--own-mouth', is_flag=True, help="Use a synthetic inside of the mouth, not the driver's.")
@click.option('--engine', type=Named(ENGINES), default='geometric', help='Engine that draws (default geometric).')
@painting_options
@click.option('--seed', type=SEED, help='Random seed of the noise of --engine diffusion (default 42).')
@click.option('--face-model', type=PATH, metavar='FILE', help='FLAME model whose head guides --engine diffusion.')
@click.option(
    '--face-encoder', 'face_encoders', type=PATH, multiple=True, metavar='FILE',
    help='SMIRK or DECA checkpoint that reads the parameters of --face-model; give it twice for both.',
)  # fmt: skip
@click.option('--refine', 'refiner', type=PATH, metavar='DIR', help='Personal refiner, from train-refiner.')
@click.option('--anew', is_flag=True, help='Start again instead of resuming an interrupted run.')
@click.option('--license', type=Named(licenses), help='Licence of the weights: research (default), or commercial-ok.')
@click.option('--size', 'max_side', type=int, help='Longest side of the output in pixels (default 1024).')
@click.option('--purpose', default='', metavar='TEXT', help='Purpose of the output; recorded with it.')
@PORTRAYED_OPTION
@CONSENT_NOTE_OPTION
@AGE_OPTION
@click.option(
    '--without-note',
    'note_off_by',
    default='',
    metavar='NAME',
    help='Leave out the visible note; NAME is the person responsible, and is recorded.',
)
@click.option(
    '--certificate', type=PATH, metavar='PEM', help='Certificate chain to sign with, instead of the self-made one.'
)
@click.option('--key', type=PATH, metavar='PEM', help='Private key of the certificate.')
@AS_JSON
def reenact_command(
    portrait: Path,
    driver: Path | None,
    out: Path,
    portrayed: str | None,
    consent_note: str,
    age_years: float | None,
    certificate: Path | None,
    key: Path | None,
    anew: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Animate the face of PORTRAIT: by the face in DRIVER, an emotion, curves.

    \b
    affekt reenact portrait.jpg driving.mp4 -o out.mp4
    affekt reenact portrait.jpg --emotion surprise --intensity 0.7 -o out.mp4
    affekt reenact portrait.jpg --timeline affekt_runs/clip -o out.mp4
    affekt reenact a.jpg b.mp4 --engine diffusion --weights DIR -o out.mp4
    affekt reenact portraits/ --emotion all --intensity 0,0.5,1 -o stimuli

    PORTRAIT shows one clear face from the front. Every output is signed, carries
    a visible note that it is generated, and has a record beside it. After an
    interruption, the same command continues. Processes
    started by torchrun share the drawing of --engine diffusion.

    A folder of portraits, several emotions or several intensities make a set
    of stimuli: every person with every emotion at every intensity, equal in
    length and brightness, with a table of requested values and affekt's readings.
    """
    from affekt.clips import is_first_process
    from affekt.containers import is_media_name
    from affekt.reenactment import read_credentials, reenact_to, require_signable

    design = _design(portrait, driver, options)
    if design is not None and anew:
        raise click.UsageError('A set of stimuli is continued clip by clip: leave --anew out.')
    if design is not None and is_media_name(out.name):
        raise click.UsageError(f'A set of stimuli goes into a folder, and {out.name} is the name of a file.')
    source = None if design else _source(driver, options)
    settings = _settings(options)
    if (certificate is None) != (key is None):
        raise click.UsageError('--certificate and --key belong together.')
    if source is not None:
        require_signable(out)
    consent = asked_consent(portrayed, consent_note, age_years)
    credentials = None if certificate is None or key is None else read_credentials(certificate, key)
    fetch(['face_landmarker.task'])
    if source is None:
        _make_set(portrait, out, design, consent, settings, credentials, as_json=as_json)
        return
    with StageBars() if is_first_process() else contextlib.nullcontext() as bars:
        output = reenact_to(
            out, portrait, source, consent=consent, settings=settings, credentials=credentials, progress=bars, anew=anew
        )
    if not output.is_written:
        return
    if as_json:
        say_json(asdict(output) | {'path': str(output.path), 'record': str(output.record)})
        return
    for note in output.notes:
        say(note, err=True, style='yellow')
    resumed_text = f', {output.resumed:,} of them from an earlier run' if output.resumed else ''
    length = f', {output.seconds:.1f} s' if output.seconds else ''
    audio_text = ', with audio' if output.has_sound else ''
    say(f'{output.path}: {counted(output.pictures, "frame")}{resumed_text}{length}{audio_text}')
    say(f'record {output.record}')


def _design(portrait: Path, driver: Path | None, options: dict[str, Any]) -> Design | None:
    """The design of a set of stimuli, with its options removed; None for a single output."""
    from affekt.reenactment import Design, named_emotions

    emotion, intensity = options['emotion'], options['intensity']
    is_set = portrait.is_dir() or ',' in (emotion or '') or emotion == 'all' or ',' in (intensity or '')
    if not is_set:
        return None
    if emotion is None:
        raise click.UsageError('A set of stimuli is made of emotions: name them with --emotion, or all.')
    for name, value in (
        ('DRIVER', driver), ('--curve', options['curve']), ('--timeline', options['timeline']),
        ('--calm-at', options['calm_at_s']), ('--person', options['person']), ('--by', options['by']),
        ('--scores', options['are_scores'] or None), ('--refine', options['refiner']),
        ('--face-model', options['face_model']),
    ):  # fmt: skip
        if value is not None:
            raise click.UsageError(f'{name} does not apply to a set of stimuli.')
    source_options = {name: options.pop(name) for name in tuple(options) if name in _OF_SOURCES}
    options['intensity'] = None
    fields: dict[str, Any] = {
        name: source_options[name] for name in ('seconds', 'rate_hz') if source_options[name] is not None
    }
    if intensity is not None:
        fields['intensities'] = tuple(_share(part) for part in intensity.split(',') if part.strip())
    return Design(named_emotions(emotion), **fields)


_OF_SOURCES = (
    'emotion', 'curve', 'timeline', 'seconds', 'rate_hz', 'calm_at_s', 'person', 'by', 'are_scores',
)  # fmt: skip
"""Options of the source of motion."""


def _make_set(
    portraits: Path,
    out: Path,
    design: Design | None,
    consent: Consent,
    settings: ReenactSettings,
    credentials: Credentials | None,
    *,
    as_json: bool,
) -> None:
    """Makes a set of stimuli and prints the result."""
    from affekt.reenactment import make_stimuli

    fetch(['face-identity'], required=False)
    with StageBars() as bars:
        stimuli = make_stimuli(
            portraits, out, design, consent=consent, settings=settings, credentials=credentials, progress=bars
        )
    if as_json:
        say_json(asdict(stimuli) | {name: str(getattr(stimuli, name)) for name in ('folder', 'table', 'page')})
    else:
        resumed_text = f', {stimuli.resumed:,} of them from an earlier run' if stimuli.resumed else ''
        say(f'{stimuli.folder}: {counted(stimuli.clips, "clip", "clips")}{resumed_text}')
        say(f'table {stimuli.table}', f'page {stimuli.page}')
    for person, note in stimuli.notes.items():
        say(f'{person}: {note}', err=True, style='yellow')
    end_with(stimuli.left_out)


def _source(driver: Path | None, options: dict[str, Any]) -> MotionSource:
    """The source of motion: one of four, with its options."""
    from affekt.reenactment import ByCurves, ByEmotion, ByTimeline, ByVideo, DriverSettings

    emotion, curve, timeline = options.pop('emotion'), options.pop('curve'), options.pop('timeline')
    seconds, rate_hz, calm_at_s = options.pop('seconds'), options.pop('rate_hz'), options.pop('calm_at_s')
    person, by, are_scores = options.pop('person'), options.pop('by'), options.pop('are_scores')
    named = {'DRIVER': driver, '--emotion': emotion, '--curve': curve, '--timeline': timeline}
    named_sources = [name for name, value in named.items() if value is not None]
    if len(named_sources) != 1:
        raise click.UsageError(
            f'Name one of DRIVER, --emotion, --curve and --timeline; {" and ".join(named_sources) or "none"} was named.'
        )
    for name, value, belongs_to in (
        ('--seconds', seconds, '--emotion'), ('--calm-at', calm_at_s, 'DRIVER'), ('--person', person, '--timeline'),
        ('--by', by, '--timeline'), ('--scores', are_scores or None, '--curve'),
    ):  # fmt: skip
        if value is not None and named_sources != [belongs_to]:
            raise click.UsageError(f'{name} belongs to {belongs_to}.')
    rate = {} if rate_hz is None else {'rate_hz': rate_hz}
    if driver is not None:
        return ByVideo(driver, DriverSettings(calm_at_s=calm_at_s, **rate))
    if curve is not None:
        return ByCurves(curve, are_scores, **rate)
    if timeline is not None:
        return ByTimeline(timeline, int(person) if person and person.isdecimal() else person, by, **rate)
    strength = options.pop('intensity')
    options['intensity'] = None
    length = {} if seconds is None else {'seconds': seconds}
    return ByEmotion(emotion, 0.7 if strength is None else _share(strength), **length, **rate)


def _settings(options: dict[str, Any]) -> ReenactSettings:
    """Settings of transfer, drawing and marking."""
    from affekt.reenactment import EngineSettings, ReenactSettings, TransferSettings

    intensity, head = options.pop('intensity'), options.pop('head')
    amounts: dict[str, Any] = {} if intensity is None else {'intensity': _share(intensity)}
    amounts |= {} if head is None else {'head': head}
    engine, weights_license = options.pop('engine'), options.pop('license')
    painting = asked_painting(options, is_painted=engine == 'diffusion')
    guide: dict[str, Any] = {'face_model': options.pop('face_model'), 'face_encoders': options.pop('face_encoders')}
    if (guide['face_model'] is None) != (not guide['face_encoders']) or (guide['face_model'] and not painting):
        raise click.UsageError('--face-model and --face-encoder go together, with --engine diffusion.')
    if (refiner := options.pop('refiner')) is not None and painting:
        raise click.UsageError(
            '--refine corrects drawings of --engine geometric: leave it out with --engine diffusion.'
        )
    licensed = {} if weights_license is None else {'license': weights_license}
    size = {} if (side := options.pop('max_side')) is None else {'max_side': side}
    return ReenactSettings(
        TransferSettings(absolute=options.pop('absolute'), **amounts),
        EngineSettings(driver_mouth=not options.pop('own_mouth')),
        note_off_by=options.pop('note_off_by'),
        purpose=options.pop('purpose'),
        refiner=refiner,
        **guide,
        **painting,
        **size,
        **licensed,
    )


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise click.UsageError(f'--intensity takes a number such as 0.7, not {text!r}.') from error


@reenact_command.command('train-refiner')
@click.argument('video', type=PATH)
@click.option('-o', '--out', required=True, type=PATH, metavar='DIR', help='Folder for refiner, portrait and card.')
@click.option('--steps', type=click.IntRange(1), default=250, help='Updates (default 250).')
@click.option('--refined-size', 'refined', type=click.IntRange(32), default=192, metavar='PIXELS',
              help='Maximum side of the square around the head that it reads (default 192).')  # fmt: skip
@click.option('--size', 'max_side', type=click.IntRange(64), default=512, metavar='PIXELS',
              help='Longest side of the portrait (default 512).')  # fmt: skip
@click.option('--seed', type=SEED, default=0, help='Random seed (default 0).')
@AS_JSON
def train_refiner_command(
    video: Path, out: Path, steps: int, refined: int, max_side: int, seed: int, as_json: bool
) -> None:
    """Train a network that corrects geometry's drawings of one person.

    \b
    affekt reenact train-refiner person.mp4 -o refiner
    affekt reenact refiner/portrait.png driving.mp4 --refine refiner -o out.mp4

    VIDEO shows one clear face, from the front in its first frame, which becomes
    the portrait. The refiner trains on the first 60 % of the video and is
    evaluated on the rest at display size. It is kept only if PSNR and SSIM
    both rise there, with intervals above 0; otherwise the exit code
    is 2. It corrects only this portrait.
    """
    from affekt.diffusion import RefinerSettings
    from affekt.reenactment import train_refiner

    fetch(['face_landmarker.task'])
    with StageBars(name_width=6) as bars:
        trained = train_refiner(
            video, out, RefinerSettings(steps=steps, seed=seed), size=refined, max_side=max_side, progress=bars
        )
    card = trained.card
    if as_json:
        say_json({'folder': str(trained.folder), 'portrait': str(trained.portrait), **plain(asdict(card))})
    else:
        judged = card.judged
        say(f'judged on {counted(judged["frames"], "later frame")} of {video.name}, with intervals of 95 %')
        for name, title, digits in (('psnr', 'PSNR, dB', 2), ('ssim', 'SSIM', 4)):
            unit = f'{name}_db' if name == 'psnr' else name
            gain = judged[f'{name}_gain_db' if name == 'psnr' else f'{name}_gain']
            low, high = ('?' if gain[end] is None else f'{gain[end]:+.{digits}f}' for end in ('low', 'high'))
            before, after = (f'{judged[when][unit]:.{digits}f}' for when in ('before', 'after'))
            say(f'{title:9} {before} by geometry, {after} refined: {gain["value"]:+.{digits}f} [{low}, {high}]')
        if card.is_kept:
            say(f'kept: {trained.folder}')
            say(f'affekt reenact {trained.portrait} driving.mp4 --refine {trained.folder} -o out.mp4', style='dim')
        else:
            say('not kept: it does not surely help on frames that it did not learn from', style='yellow')
    if not card.is_kept:
        click.get_current_context().exit(2)
