"""Downloads of files: limited to the expected size, and without a long wait where there is no network."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import InvalidURL
from pathlib import Path
from urllib.parse import urlsplit


def downloaded(address: str, out: Path, size: int, progress: Callable[[int, int], None] | None = None) -> None:
    """Download at most `size` bytes from an address into a file.

    Args:
        address: an http or https address.
        out: path of the file to write.
        size: expected size in bytes.
        progress: called with the bytes so far and the bytes expected.

    Raises:
        OSError, HTTPException: the download failed, or has more bytes than expected.
    """
    require_reachable(address)
    done = 0
    try:
        with urllib.request.urlopen(address, timeout=30) as response, out.open('wb') as file:
            while piece := response.read(1 << 18):
                file.write(piece)
                done += len(piece)
                if done > size:
                    raise OSError(f'more than the expected {size} bytes came')
                if progress:
                    progress(done, size)
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from error
    except (InvalidURL, UnicodeError) as error:  # whose message may hold a password from the address
        raise OSError('its address is not one that can be asked') from error


REACHED_S = 2.0
"""Longest time in seconds for a server to accept a connection, including the name look-up."""
_unreachable: set[str] = set()
"""Servers that this process could not reach."""


def require_reachable(address: str) -> None:
    """Check that the server accepts connections: without a network, each look-up alone may take ten seconds.

    Raises:
        OSError: it does not. Behind a proxy nothing is checked, as the proxy connects.
    """
    parts = urlsplit(address)
    host, port = parts.hostname or '', parts.port or (443 if parts.scheme == 'https' else 80)
    if urllib.request.getproxies().get(parts.scheme) and not urllib.request.proxy_bypass(host):
        return
    if host in _unreachable:
        raise OSError(f'{host} cannot be reached')
    reached = threading.Event()

    def reach() -> None:
        with (
            contextlib.suppress(OSError, UnicodeError),
            socket.create_connection((host, port), timeout=REACHED_S),
        ):
            reached.set()
        ended.set()

    ended = threading.Event()
    threading.Thread(target=reach, daemon=True, name='reach').start()
    ended.wait(REACHED_S)
    if not reached.is_set():
        _unreachable.add(host)
        raise OSError(f'{host} cannot be reached')
