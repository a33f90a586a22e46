"""Blendshapes and head pose from landmarks, which tracking does not need and which are added after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.faces.landmarker import FaceLandmarker
from affekt.faces.mesh import Face, Mesh


@dataclass(frozen=True, kw_only=True, repr=False)
class FaceObservation(Face):
    """A face of one person at one time.

    Attributes:
        time_s: time of the frame, seconds from the recording's start.
        person: number of the person, from 0 in order of appearance.
        is_measured: False if the face did not move and its last reading was reused.
        scene: number of possible cuts so far, including uncertain ones, across which tracking goes on.
    """

    time_s: float
    person: int
    is_measured: bool = True
    scene: int = 0


@dataclass(frozen=True)
class Followed:
    """The position of one person's face at one time.

    Attributes:
        mesh: the face's landmarks; the same object as in the previous frame if `is_measured` is False.
        time_s, person, is_measured, scene: see `FaceObservation`.
    """

    mesh: Mesh
    time_s: float
    person: int
    is_measured: bool
    scene: int

    def with_face(self, face: Face) -> FaceObservation:
        """The observation of the completed face."""
        return FaceObservation(
            box=face.box,
            landmarks=face.landmarks,
            blendshapes=face.blendshapes,
            pose=face.pose,
            presence=face.presence,
            time_s=self.time_s,
            person=self.person,
            is_measured=self.is_measured,
            scene=self.scene,
        )


class Completion:
    """Adds blendshapes and head pose to tracked faces; feed it every frame, in order.

    It may run in another thread than the tracker that shares its landmarker.
    """

    def __init__(self, landmarker: FaceLandmarker) -> None:
        self._landmarker = landmarker
        self._before: dict[int, tuple[Mesh, Face]] = {}

    def observations(self, followed: Sequence[Followed], image: npt.NDArray[np.uint8]) -> list[FaceObservation]:
        """The completed faces of a frame; faces reused from the previous frame are not computed again."""
        height, width = image.shape[:2]
        now: dict[int, tuple[Mesh, Face]] = {}
        for each in followed:
            mesh, face = self._before.get(each.person, (None, None))
            if face is None or mesh is not each.mesh:
                face = self._landmarker.completed(each.mesh, width, height)
            now[each.person] = each.mesh, face
        self._before = now
        return [each.with_face(now[each.person][1]) for each in followed]
