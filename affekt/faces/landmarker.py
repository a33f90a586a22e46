"""Faces of one image: 478 landmarks, 52 blendshapes, head pose and a presence score for each.

The official `face_landmarker.task` contains three networks (detector, mesh, blendshapes) and the canonical face; LiteRT
runs them on the CPU. Coordinates are continuous pixels: pixel (0, 0) covers [0, 1) x [0, 1); landmark depth z is in
pixels too, relative to the head's centre and growing away from the camera. 'Left' and 'right' are the person's own
sides.

Source: Kartynnik et al. 2019, arXiv:1907.06724 (mesh); Grishchenko et al. 2020, arXiv:2006.10962 (attention
mesh); crops as in MediaPipe, tasks/cc/vision/face_landmarker (Apache-2.0).
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from affekt.arrays import Floats32
from affekt.errors import ShapeError, WeightsError
from affekt.faces.align import rectangle
from affekt.faces.blendshapes import BLENDSHAPE_LANDMARKS
from affekt.faces.detector import SIDE as DETECTOR_SIDE
from affekt.faces.detector import TIGHT_MARGIN, Detection, FaceDetector
from affekt.faces.headpose import CanonicalFace, head_pose
from affekt.faces.mesh import DUPLICATE_OVERLAP, Face, Mesh, Region, box_overlap, is_duplicate, is_part

Pixels = npt.NDArray[np.uint8]

MODEL_FILE = 'face_landmarker.task'
MESH_SIDE = 256
"""Side of the mesh network's input, pixels."""
SMALLEST_SIDE = 16
"""Minimum height and width of an image, in pixels."""
TURNED_BY = 0.5
"""Minimum excess of the detector's raw score for the rotated image over that for the image, for a face to count as
upside down. Upside-down faces have at least 0.7, faces with a mask up to 0.3."""
TURNED_REACH = 1.5
"""Side of the region searched for a turned face, relative to the region in which it was misread."""
SMALL_SIDE = 256
"""Longest side, in pixels, of an image that may be a portrait of one face."""
FILLING_SHARES = (1.2, 1.0, 0.9)
"""Sides of the regions in which such a face is read, relative to the image's longer side."""


class FaceLandmarker:
    """The networks of `face_landmarker.task`, loaded once; use one instance per thread.

    Only `blendshapes` and `completed`, which use a separate network, may run in a second thread at the same time.

    Args:
        path: the .task file; None for that of `affekt.weights`.
        threads: CPU threads per network.
        detection_threshold: minimum score of a detection, in [0, 1].
        presence_threshold: minimum presence score of a mesh, in [0, 1].

    Raises:
        WeightsError: the file is missing or is not a face landmarker.
    """

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        threads: int = 1,
        detection_threshold: float = 0.5,
        presence_threshold: float = 0.5,
    ) -> None:
        members = _members(_default_path() if path is None else Path(path))
        self.presence_threshold = presence_threshold
        self._detection = members['face_detector.tflite'], threads, detection_threshold
        self.detector = self.another_detector()
        self._mesh = _interpreter(members['face_landmarks_detector.tflite'], threads)
        self._blendshapes = _interpreter(members['face_blendshapes.tflite'], threads)
        self.canonical = CanonicalFace.parse(members['geometry_pipeline_metadata_landmarks.binarypb'])
        self._mesh_input = self._mesh.get_input_details()[0]['index']
        outputs = self._mesh.get_output_details()
        self._points_output = next(o['index'] for o in outputs if o['shape'][-1] == 478 * 3)
        self._presence_output = next(o['index'] for o in outputs if len(o['shape']) == 4 and o['shape'][-1] == 1)
        self._blendshapes_input = self._blendshapes.get_input_details()[0]['index']
        self._blendshapes_output = self._blendshapes.get_output_details()[0]['index']

    def another_detector(self) -> FaceDetector:
        """A detector like `detector`, for another thread."""
        model, threads, threshold = self._detection
        return FaceDetector(_interpreter(model, threads), threshold)

    def detect(self, image: Pixels, scales: int = 4) -> list[Detection]:
        """Detections in an (H, W, 3) image, best first; see `FaceDetector.detect`.

        Raises:
            ShapeError: the image is not uint8 (H, W, 3) with H, W >= 16.
        """
        return self.detector.detect(checked_image(image), scales)

    def mesh(self, image: Pixels, region: Region) -> tuple[Floats32, float]:
        """Landmarks (478, 3) in pixels of `image`, read inside one region, and the presence score in [0, 1]."""
        self._set_mesh_input(cut(image, region, MESH_SIDE))
        self._mesh.invoke()
        points = self._mesh.get_tensor(self._points_output).reshape(478, 3)
        logit = float(self._mesh.get_tensor(self._presence_output).reshape(()))
        scale = region.side / MESH_SIDE
        cos, sin = np.cos(region.angle_rad) * scale, np.sin(region.angle_rad) * scale
        x, y = points[:, 0] - MESH_SIDE / 2, points[:, 1] - MESH_SIDE / 2
        landmarks = np.empty((478, 3), dtype=np.float32)
        landmarks[:, 0] = x * cos - y * sin + region.center_x
        landmarks[:, 1] = x * sin + y * cos + region.center_y
        landmarks[:, 2] = points[:, 2] * scale
        return landmarks, float(1 / (1 + np.exp(-logit)))

    def _set_mesh_input(self, crop: Pixels) -> None:
        """Write a (256, 256, 3) crop into the mesh network's input; LiteRT does not run while a view of it exists."""
        network_input = self._mesh.tensor(self._mesh_input)()[0]
        np.copyto(network_input, crop)
        network_input *= np.float32(1 / 255)

    def blendshapes(self, landmarks: Floats32) -> Floats32:
        """(52,) scores in [0, 1] from landmarks (478, 3) or (478, 2) in pixels."""
        self._blendshapes.set_tensor(self._blendshapes_input, landmarks[BLENDSHAPE_LANDMARKS, :2][None])
        self._blendshapes.invoke()
        scores = self._blendshapes.get_tensor(self._blendshapes_output)
        return np.asarray(np.clip(scores.reshape(52), 0, 1), dtype=np.float32)

    def locate(self, image: Pixels, region: Region) -> Mesh | None:
        """The mesh of the face in a region of an (H, W, 3) image; None if the presence score is too low."""
        landmarks, presence = self.mesh(image, region)
        if not presence >= self.presence_threshold or not np.isfinite(landmarks).all():
            return None
        low, high = np.minimum.reduce(landmarks[:, :2]), np.maximum.reduce(landmarks[:, :2])
        return Mesh(box=np.concatenate([low, high - low]), landmarks=landmarks, presence=presence)

    def completed(self, mesh: Mesh, width: int, height: int) -> Face:
        """The face with blendshapes and head pose, which follow from its landmarks and the image's size in pixels."""
        return Face(
            box=mesh.box,
            landmarks=mesh.landmarks,
            blendshapes=self.blendshapes(mesh.landmarks),
            pose=head_pose(mesh.landmarks, width, height, self.canonical).astype(np.float32),
            presence=mesh.presence,
        )

    def read(self, image: Pixels, region: Region) -> Face | None:
        """The face inside one region of an (H, W, 3) image; None if the presence score is too low."""
        return self._completed_in(image, self.locate(image, region))

    def _completed_in(self, image: Pixels, mesh: Mesh | None) -> Face | None:
        return None if mesh is None else self.completed(mesh, image.shape[1], image.shape[0])

    def _shifted(self, face: Face, by: float, width: int, height: int) -> Face:
        """A face with its coordinates moved by `by` pixels in x and y, in an image of the given size."""
        landmarks = face.landmarks + np.array([by, by, 0], dtype=np.float32)
        return replace(
            face,
            box=face.box + np.array([by, by, 0, 0], dtype=np.float32),
            landmarks=landmarks,
            pose=head_pose(landmarks, width, height, self.canonical).astype(np.float32),
        )

    def read_found(self, image: Pixels, region: Region) -> Face | None:
        """`read` for a region from the detector: see `locate_found`."""
        return self._completed_in(image, self.locate_found(image, region))

    def locate_found(self, image: Pixels, region: Region) -> Mesh | None:
        """`locate` for a region from the detector: an upside-down face is turned first.

        The detector also finds faces upside down, with eyes at the mouth, and the mesh network then fits an upright
        face with full confidence: a smile becomes sadness. So the detector's score is compared for both orientations
        and, if the other one is clearly better, the face is located again there. For faces tilted by up to
        90 degrees the other orientation never wins (measurements/faces_turned.py), so their reading is unaffected.
        """
        mesh = self.locate(image, region)
        if mesh is None:
            return None
        region_of_mesh = Region.from_landmarks(mesh.landmarks)
        turned = replace(region_of_mesh, angle_rad=region_of_mesh.angle_rad + np.pi)
        if self.looks_upright(image, region_of_mesh) >= self.looks_upright(image, turned) - TURNED_BY:
            return mesh
        wide = replace(turned, side=TURNED_REACH * turned.side)
        detections = self.detector.detect(cut(image, wide, DETECTOR_SIDE), 1)
        if not detections:
            return None
        mesh = self.locate(image, Region.from_detection(detections[0]).placed_in(wide, DETECTOR_SIDE))
        return None if mesh is None else self.locate(image, Region.from_landmarks(mesh.landmarks))

    def read_filling(self, image: Pixels) -> Face | None:
        """The face that fills an image in which no detection could be read; None if there is none.

        The detector needs margin around a face. A small image is often a portrait of one face, so the
        mesh is also fitted to the whole of it, and kept if a second reading around its own landmarks agrees.
        """
        height, width = image.shape[:2]
        # the mesh network also reads a truncated face better with black than with repeated edges around it
        edge = round((TIGHT_MARGIN - 1) / 2 * max(height, width))
        framed = np.pad(image, ((edge, edge), (edge, edge), (0, 0)))
        for detection in self.detector.detect_tight(image):
            region = Region.from_detection(detection)
            shifted = replace(region, center_x=region.center_x + edge, center_y=region.center_y + edge)
            if (face := self.read_found(framed, shifted)) is not None:
                return self._shifted(face, -edge, width, height)
        if max(height, width) > SMALL_SIDE:
            return None
        for share in FILLING_SHARES:
            first = self.read_found(image, Region(width / 2, height / 2, share * max(height, width), 0.0))
            second = None if first is None else self.read(image, Region.from_landmarks(first.landmarks))
            if first is not None and second is not None and box_overlap(first, second) >= DUPLICATE_OVERLAP:
                return second
        return None

    def looks_upright(self, image: Pixels, region: Region) -> float:
        """The detector's highest raw score in a region, turned level: larger for an upright face."""
        return self.detector.best_logit(cut(image, region, DETECTOR_SIDE))

    def faces(self, image: Pixels, max_faces: int = 20, scales: int = 4) -> list[Face]:
        """All faces of one image, largest first.

        Args:
            image: (H, W, 3) RGB uint8, H, W >= 16.
            max_faces: maximum number of faces, >= 1.
            scales: search depth, see `FaceDetector.detect`.

        Returns:
            Faces without duplicates; [] if there is none.

        Raises:
            ShapeError: the image is not uint8 (H, W, 3) with H, W >= 16.
        """
        faces: list[Face] = []
        for detection in self.detect(image, scales):
            face = self.read_found(image, Region.from_detection(detection))
            if face is not None and not is_duplicate(face, faces) and not is_part(face, faces):
                faces.append(face)
            if len(faces) == max_faces:
                break
        if not faces and (filling := self.read_filling(image)) is not None:
            faces.append(filling)
        return sorted(faces, key=lambda face: -float(face.box[2] * face.box[3]))


def checked_image(image: Pixels) -> Pixels:
    """The image itself, if it is uint8 RGB of at least 16 x 16.

    Raises:
        ShapeError: it is not.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < SMALLEST_SIDE:
        raise ShapeError(
            expected=f'a uint8 RGB image (H, W, 3) with H, W >= {SMALLEST_SIDE}',
            came=f'{image.dtype} {image.shape}',
            todo='convert or enlarge the image first',
        )
    return image


def cut(image: Pixels, region: Region, side: int) -> Pixels:
    """The (side, side, 3) upright crop of a region: bilinear, averaged first when shrinking by two or more.

    The edge of the image is repeated beyond it, as in MediaPipe. A region is at most eight images wide.
    """
    cos, sin = float(np.cos(region.angle_rad)), float(np.sin(region.angle_rad))
    extent = min(region.side, 8.0 * max(image.shape[:2]))
    half_extent = extent * (abs(cos) + abs(sin)) / 2 + 2
    left, top = int(region.center_x - half_extent), int(region.center_y - half_extent)
    right, bottom = int(region.center_x + half_extent) + 1, int(region.center_y + half_extent) + 1
    patch = Image.fromarray(rectangle(image, left, top, right, bottom))
    shrink = max(1, int(extent / side))
    if shrink > 1:
        patch = patch.reduce(shrink)
    scale = extent / side / shrink
    x = (region.center_x - left) / shrink - (cos - sin) * scale * side / 2
    y = (region.center_y - top) / shrink - (sin + cos) * scale * side / 2
    matrix = (cos * scale, -sin * scale, x, sin * scale, cos * scale, y)
    return np.asarray(patch.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def _default_path() -> Path:
    from affekt.weights import model_path

    return Path(model_path(MODEL_FILE))


def _members(path: Path) -> dict[str, bytes]:
    """Name to content of the files in the .task archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise WeightsError(
            expected='the face landmarker archive',
            came=f'{path}: {error}',
            todo=f'run `affekt weights get {MODEL_FILE}`',
        ) from error
    needed = {
        'face_detector.tflite',
        'face_landmarks_detector.tflite',
        'face_blendshapes.tflite',
        'geometry_pipeline_metadata_landmarks.binarypb',
    }
    if not needed <= members.keys():
        raise WeightsError(
            expected=f'an archive with {sorted(needed)}',
            came=f'{sorted(members)} in {path}',
            todo=f'run `affekt weights get {MODEL_FILE}`',
        )
    return members


def _interpreter(model: bytes, threads: int) -> Any:
    """A LiteRT interpreter with its tensors allocated."""
    from ai_edge_litert.interpreter import Interpreter

    with _silenced_native_notice():
        interpreter = Interpreter(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter


@contextmanager
def _silenced_native_notice() -> Iterator[None]:
    """Context in which LiteRT's native code cannot write its notice about a delegate to standard error."""
    try:
        standard_error = os.dup(2)
    except OSError:
        yield
        return
    with open(os.devnull, 'wb') as null_device:
        os.dup2(null_device.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
