"""Blendshapes and head pose, added to tracked faces: tracking needs only their landmarks."""

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
        scene: number of possible cuts so far, including uncertain ones; tracking continues across those.
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
        """The observation of this person with the completed face."""
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
    """Adds blendshapes and head pose to tracked faces; call it with every frame, in order.

    It may run in another thread than the tracker that shares its landmarker.
    """

    def __init__(self, landmarker: FaceLandmarker) -> None:
        self._landmarker = landmarker
        self._previous: dict[int, tuple[Mesh, Face]] = {}

    def observations(self, followed: Sequence[Followed], image: npt.NDArray[np.uint8]) -> list[FaceObservation]:
        """The completed faces of a frame; faces reused from the previous frame are not computed again."""
        height, width = image.shape[:2]
        current: dict[int, tuple[Mesh, Face]] = {}
        for person in followed:
            mesh, face = self._previous.get(person.person, (None, None))
            if face is None or mesh is not person.mesh:
                face = self._landmarker.completed(person.mesh, width, height)
            current[person.person] = person.mesh, face
        self._previous = current
        return [person.with_face(current[person.person][1]) for person in followed]
