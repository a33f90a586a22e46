"""A made-up FLAME of four points whose values can be worked out by hand."""

from __future__ import annotations

import pickle

import numpy as np
import scipy.sparse

TEMPLATE = np.array([[0.0, 0.0, 0.0], [0.0, -0.1, 0.1], [0.03, 0.02, 0.05], [-0.03, 0.02, 0.05]])
"""Metres: root, chin, left and right eye."""


def arrays():
    shapes = np.zeros((4, 3, 4))
    shapes[1, 1, 0] = -0.01  # shape1: the chin a centimetre lower
    shapes[1, 0, 3] = 0.02  # expression1: the chin two centimetres to the left
    pose = np.zeros((4, 3, 36))
    pose[1, 2, 9 + 4] = 0.1  # by (R - I)[1, 1] of the jaw, the second of the four joints
    regressor = np.zeros((5, 4))
    regressor[[0, 1, 2], 0] = 1  # root, neck and jaw hinge lie at the first point
    regressor[3, 2] = regressor[4, 3] = 1
    weights = np.zeros((4, 5))
    weights[0, 0] = weights[1, 2] = weights[2, 3] = weights[3, 4] = 1
    return {
        'v_template': TEMPLATE, 'f': np.array([[0, 1, 2], [0, 3, 1]], np.uint32), 'shapedirs': shapes, 'posedirs': pose,
        'J_regressor': scipy.sparse.csc_matrix(regressor), 'weights': weights,
        'kintree_table': np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32), 'bs_type': 'lrotmin',
    }  # fmt: skip


def kept(folder, content, protocol=2, name='generic_model.pkl'):
    path = folder / name
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path
