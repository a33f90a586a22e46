"""Preloaded by a forkserver, lets it go on when a client is killed between connecting and sending its request.

Python's own forkserver ends there with an EOFError, and refuses the connections of all later clients.
"""

from __future__ import annotations

import errno
import os
from multiprocessing import reduction
from typing import Any

_recvfds = reduction.recvfds


def received(client: Any, size: int) -> list[int]:
    """The client's file descriptors.

    Raises:
        ConnectionAbortedError: the client is gone; the server waits for the next one.
    """
    try:
        return _recvfds(client, size)
    except EOFError as error:
        raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED)) from error


reduction.recvfds = received
