"""Whether a covered, drawn, blurred or turned face is noticed: `python measurements/faces_conditions.py --data DIR`.

Writes results/faces_conditions.json. Covers are pasted over faces: a mask from nose to chin, a box over the lower half,
sunglasses, a bar over the eyes, the left or right half, a hand over the mouth; plain, shaded, textured or like skin,
hard or soft at their edges. The weights of `affekt/faces/conditions.py` are fitted, and the threshold is set so that
one in a hundred bare faces passes it, on FER2013's training faces and one half of the people of clips/, test_media/ and
media/; FER2013's test faces and the other half of the people judge them. FER2013 has real hands and glasses among its
bare faces. Drawings are filtered photographs: few colours with dark lines, fewer shades, a sketch, strokes of a brush;
nothing is fitted on them. Pasted covers are easier than real ones: nothing shines through, and their texture is not
that of a face.
"""

from __future__ import annotations

import argparse
import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from scipy.optimize import minimize

from affekt.faces import Face, FaceLandmarker, align_face, euler_angles_deg, five_points
from affekt.faces.conditions import BLURRED_BELOW, DRAWN_ABOVE, UPSIDE_DOWN_DEG, cover_measures, few_shades
from affekt.faces.readings import READINGS, readings
from affekt.media import Recording
from affekt.typed_json import json_file

COVERS = ('mask', 'lower box', 'sunglasses', 'eye bar', 'left half', 'right half', 'hand')
DRAWINGS = ('cartoon', 'poster', 'sketch', 'brush')
MASK = (
    454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 116, 118,
    195, 347, 345,
)  # fmt: skip
"""Landmarks of a mask's outline: from ear to ear along the jaw, and back over the bridge of the nose."""
MIDLINE = (10, 151, 9, 8, 168, 6, 195, 4, 2, 0, 17, 152)
CLOTH = ((150, 190, 215), (235, 235, 235), (25, 25, 28), (180, 200, 190))
FER_FACES = {'train': (200, 400), 'test': (200, 300)}
"""Part of FER2013 to faces that are covered, and further bare ones."""
BARE_THAT_PASS = 0.01
SHARPNESS = [reading.name for reading in READINGS].index('sharpness')
PENALTY = 3.0


@dataclass(frozen=True)
class Seen:
    """One picture, as it was read."""

    part: str
    """'fer train', 'fer test', 'people a' or 'people b'."""
    shown: str
    """'bare', 'blurred', 'turned', or one of COVERS."""
    measures: tuple[float, ...] = ()
    """Empty where no face was found."""
    sharpness: float = float('nan')
    roll_deg: float = float('nan')
    shades: float = float('nan')


def people(data: Path) -> Iterator[tuple[str, Image.Image]]:
    """Photographs, and two pictures of each video, by whom they show."""
    paths = [*sorted((data / 'clips').iterdir()), *sorted((data / 'test_media').iterdir()), data / 'media/boy.jpeg']
    for path in paths:
        if path.suffix in {'.jpg', '.jpeg', '.mp4', '.mpg'} and 'no_face' not in path.name:
            half = 'a' if zlib.crc32(path.stem.encode()) % 2 else 'b'
            for _, frame in zip(range(2), Recording.open(path).frames(rate_hz=0.8, max_side=720), strict=False):
                yield f'people {half}', Image.fromarray(frame.image)


def fer_faces(data: Path, part: str, rng: np.random.Generator) -> Iterator[tuple[bool, Image.Image]]:
    """Faces of a part of FER2013, and whether they are to be covered."""
    with zipfile.ZipFile(data / 'fer2013' / 'fer2013_jpg.zip') as archive:
        names = [name for name in archive.namelist() if name.startswith(f'{part}/') and name.endswith('.jpg')]
        covered, bare = FER_FACES[part]
        for number, at in enumerate(rng.permutation(len(names))[: covered + bare]):
            yield number < covered, Image.open(BytesIO(archive.read(names[at]))).convert('RGB')


def pictures(data: Path, landmarker: FaceLandmarker, rng: np.random.Generator) -> Iterator[Seen]:
    """Every picture as it is, and made worse."""
    for part, image in people(data):
        yield from _versions(part, image, COVERS, landmarker, rng, turned=True)
    for part in FER_FACES:
        for is_covered, image in fer_faces(data, part, rng):
            covers = tuple(rng.choice(COVERS, 2, replace=False)) if is_covered else ()
            yield from _versions(f'fer {part}', image, covers, landmarker, rng, blurred=is_covered)


def _versions(
    part: str, image: Image.Image, covers: tuple[str, ...], landmarker: FaceLandmarker, rng: np.random.Generator,
    *, turned: bool = False, blurred: bool = True,
) -> Iterator[Seen]:  # fmt: skip
    faces = landmarker.faces(np.asarray(image), max_faces=1)
    if not faces:
        return
    yield _seen(part, 'bare', image, faces[0])
    shown = {cover: covered(image, faces[0], cover, rng) for cover in covers}
    if blurred:
        sigma = float(faces[0].box[2]) / rng.uniform(12, 25)
        shown['blurred'] = image.filter(ImageFilter.GaussianBlur(sigma))
    if turned:
        shown |= {'turned': image.rotate(180), **{drawing: drawn(image, drawing, rng) for drawing in DRAWINGS}}
    for name, picture in shown.items():
        again = landmarker.faces(np.asarray(picture), max_faces=1)
        yield _seen(part, name, picture, again[0]) if again else Seen(part, name)


def _seen(part: str, shown: str, image: Image.Image, face: Face) -> Seen:
    crop = align_face(np.asarray(image), five_points(face.landmarks))
    sharpness = float(readings(face, crop)[SHARPNESS])
    roll_deg = float(euler_angles_deg(face.pose)[2])
    return Seen(part, shown, tuple(cover_measures(crop).values()), sharpness, roll_deg, few_shades(crop))


def drawn(image: Image.Image, drawing: str, rng: np.random.Generator) -> Image.Image:
    """The picture as if it were drawn."""
    if drawing == 'poster':
        return ImageOps.posterize(image.filter(ImageFilter.MedianFilter(5)), int(rng.integers(2, 4)))
    if drawing == 'brush':
        return image.filter(ImageFilter.ModeFilter(max(5, (image.size[0] // 80) | 1)))
    grey = image.convert('L')
    if drawing == 'sketch':
        soft = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(max(2, image.size[0] / 60)))
        dodged = np.asarray(grey, dtype=np.float64) * 255 / np.maximum(255 - np.asarray(soft, dtype=np.float64), 1)
        return Image.fromarray(np.clip(dodged, 0, 255).astype(np.uint8)).convert('RGB')
    flat = image
    for _ in range(4):
        flat = flat.filter(ImageFilter.MedianFilter(5))
    few = flat.quantize(int(rng.integers(8, 20))).convert('RGB')
    lines = (
        grey.filter(ImageFilter.GaussianBlur(1)).filter(ImageFilter.FIND_EDGES).point(lambda v: 0 if v > 25 else 255)
    )
    return Image.composite(few, Image.new('RGB', image.size), lines)


def covered(image: Image.Image, face: Face, cover: str, rng: np.random.Generator) -> Image.Image:
    """The picture with something over the face."""
    width, height = image.size
    points = 2 * face.landmarks[:, :2]
    outline = Image.new('L', (2 * width, 2 * height), 0)
    _draw_outline(ImageDraw.Draw(outline), points, cover, rng)
    mask = outline.resize(image.size, Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        mask = mask.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    return Image.composite(Image.fromarray(_stuff(image, face, cover, rng)), image, mask)


def _draw_outline(draw: ImageDraw.ImageDraw, points: np.ndarray, cover: str, rng: np.random.Generator) -> None:
    span = float(np.linalg.norm(points[33] - points[263]))
    low, high = points.min(axis=0), points.max(axis=0)
    if cover == 'mask':
        draw.polygon([tuple(points[at]) for at in MASK], fill=255)
    elif cover == 'lower box':
        draw.rectangle([low[0] - 5, points[[4, 5], 1].mean(), high[0] + 5, high[1] + 5], fill=255)
    elif cover == 'sunglasses':
        centres = [points[list(corners)].mean(axis=0) for corners in ((33, 133), (362, 263))]
        reach = span * np.array([rng.uniform(0.27, 0.34), rng.uniform(0.19, 0.26)])
        for centre in centres:
            draw.ellipse([*(centre - reach), *(centre + reach)], fill=255)
        draw.line([tuple(centre) for centre in centres], fill=255, width=max(1, int(0.08 * span)))
    elif cover == 'eye bar':
        rows = points[[33, 133, 362, 263], 1]
        draw.rectangle([points[234][0], rows.min() - 0.2 * span, points[454][0], rows.max() + 0.2 * span], fill=255)
    elif cover == 'hand':
        centre = points[[13, 14]].mean(axis=0) + rng.normal(0, 0.1, 2) * span
        before, after = np.array([0.55, 0.4]) * span, np.array([0.55, 0.5]) * span
        draw.ellipse([*(centre - before), *(centre + after)], fill=255)
    else:
        side = low[0] - 10 if cover == 'left half' else high[0] + 10
        ends = [(side, points[152][1] + 10), (side, points[10][1] - 10)]
        draw.polygon([*(tuple(points[at]) for at in MIDLINE), *ends], fill=255)


def _stuff(image: Image.Image, face: Face, cover: str, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) what covers: plain, shaded cloth, a texture, or skin."""
    shape = (image.size[1], image.size[0], 3)
    if cover == 'sunglasses':
        return np.full(shape, rng.integers(0, 70), np.uint8)
    sort = rng.integers(4)
    if sort == 0:
        return np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), shape).copy()
    if sort == 1:
        patch = np.asarray(image.crop((0, 0, max(8, image.size[0] // 4), max(8, image.size[1] // 4))))
        return np.asarray(Image.fromarray(patch).resize(image.size))
    base = np.array(CLOTH[rng.integers(len(CLOTH))], dtype=np.float64)
    if sort == 3:
        cheeks = np.clip(face.landmarks[[50, 280, 101, 330], :2].astype(int), 0, np.array(image.size) - 1)
        base = np.asarray(image)[cheeks[:, 1], cheeks[:, 0]].mean(axis=0) * rng.uniform(0.8, 1.1)
    shade = np.linspace(-1, 1, shape[0])[:, None] * rng.normal(0, 18)
    shade = shade + np.linspace(-1, 1, shape[1])[None] * rng.normal(0, 18)
    return np.clip(base + shade[..., None] + rng.normal(0, 3, (*shape[:2], 1)), 0, 255).astype(np.uint8)


def fitted(seen: list[Seen]) -> dict[str, float]:
    """Weights of the measures, the constant under '': a ridge-penalised logistic fit, both classes of equal weight."""
    used = [each for each in seen if each.measures and each.part in ('fer train', 'people a')]
    rows = np.array([each.measures for each in used])
    is_covered = np.array([each.shown in COVERS for each in used])
    bare = np.array([each.shown == 'bare' for each in used])
    centre, scale = rows.mean(axis=0), rows.std(axis=0)
    design = (rows - centre) / scale
    weight = np.where(is_covered, 0.5 / is_covered.sum(), 0.5 / (~is_covered).sum()) * len(used)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        score = design @ values[:-1] + values[-1]
        gap = weight * (1 / (1 + np.exp(-score)) - is_covered)
        total = float((weight * np.logaddexp(0, np.where(is_covered, -score, score))).sum())
        return total + PENALTY * float(values[:-1] @ values[:-1]) / 2, np.append(
            design.T @ gap + PENALTY * values[:-1], gap.sum()
        )

    best = minimize(loss, np.zeros(rows.shape[1] + 1), jac=True, method='L-BFGS-B').x
    threshold = float(np.quantile(design[bare] @ best[:-1], 1 - BARE_THAT_PASS))
    plain = best[:-1] / scale
    names = list(cover_measures(np.zeros((48, 48), np.uint8)))
    constant = -threshold - float(plain @ centre)
    return {'': round(constant, 4), **{name: round(float(w), 4) for name, w in zip(names, plain, strict=True)}}


def judged(seen: list[Seen], weights: dict[str, float]) -> dict[str, Any]:
    """Share of each sort of picture that is taken for covered, blurred or upside down, by part."""
    own = np.array(list(weights.values()))
    table: dict[str, Any] = {}
    for part in sorted({each.part for each in seen}):
        for shown in ('bare', *COVERS, *DRAWINGS, 'blurred', 'turned'):
            every = [each for each in seen if (each.part, each.shown) == (part, shown)]
            found = [each for each in every if each.measures]
            if not found:
                continue
            blurred = np.array([each.sharpness < BLURRED_BELOW for each in found])
            flat = np.array([each.shades > DRAWN_ABOVE for each in found]) & ~blurred
            is_covered = np.array([own[0] + own[1:] @ each.measures > 0 for each in found]) & ~blurred & ~flat
            upside_down = np.array([abs(each.roll_deg) > UPSIDE_DOWN_DEG for each in found])
            told = {'covered': is_covered, 'drawn': flat, 'blurred': blurred, 'upside_down': upside_down}
            shares = {name: round(float(which.mean()), 4) for name, which in told.items()}
            table.setdefault(part, {})[shown] = {'pictures': len(every), 'found': len(found), **shares}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with clips/, test_media/, media/ and fer2013/')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'faces_conditions.json')
    given = parser.parse_args()
    seen = list(pictures(given.data, FaceLandmarker(threads=1), np.random.default_rng(4)))
    weights = fitted(seen)
    result = {'weights': weights, 'fitted_on': ['fer train', 'people a'], 'shares': judged(seen, weights)}
    given.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
