"""Feature files of other programs that affekt never opens, with instructions for saving them as .npy.

A pickle executes code of its author, and the others need their own libraries. Three lines of Python, run on the machine
where they were written, convert them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from affekt.errors import FileError, TableError
from affekt.runs import only_regular

_PICKLE = ('import pickle, numpy', 'rows = pickle.load(open({path!r}, "rb"))  # a dict of sample to array')
_TORCH = ('import torch, numpy', 'rows = torch.load({path!r}, weights_only=True)  # a dict of sample to tensor')
_HDF5 = ('import h5py, numpy', 'rows = h5py.File({path!r})  # a group of datasets, one a sample')
_MATLAB = ('import scipy.io, numpy', 'rows = scipy.io.loadmat({path!r})  # a dict; leave out names that begin with __')
_JOBLIB = ('import joblib, numpy', 'rows = joblib.load({path!r})  # a dict of sample to array')
_TENSORS = ('import safetensors.numpy, numpy', 'rows = safetensors.numpy.load_file({path!r})')
_SAVE = 'for name, array in rows.items(): numpy.save(f"mine/{name}.npy", numpy.asarray(array, "float32"))'
WAYS: Mapping[str, tuple[str, str]] = {
    '.pkl': _PICKLE, '.pickle': _PICKLE, '.p': _PICKLE, '.joblib': _JOBLIB,
    '.pt': _TORCH, '.pth': _TORCH, '.bin': _TORCH, '.ckpt': _TORCH,
    '.h5': _HDF5, '.hdf5': _HDF5, '.hdf': _HDF5, '.mat': _MATLAB, '.safetensors': _TENSORS,
}  # fmt: skip
"""Extension to the two lines that open such a file with its own library."""
_BEGINS: Mapping[bytes, str] = {
    b'\x80\x02': '.pkl', b'\x80\x03': '.pkl', b'\x80\x04': '.pkl', b'\x80\x05': '.pkl', b'\x89HDF': '.h5',
    b'MATLAB': '.mat',
}  # fmt: skip
"""First bytes to the extension of such files, whatever their name."""


def require_known(path: Path) -> None:
    """Check that a file is not of a format that is never opened.

    Raises:
        TableError: the file is one of them, by its name or its first bytes; the message shows how to save it elsewhere
            in three lines.
        FileError: the path is a pipe or a device.
        OSError: the file cannot be read.
    """
    ending = path.suffix.lower()
    if ending not in WAYS:
        with open(path, 'rb', opener=only_regular) as file:
            begin = file.read(8)
        ending = next((of_magic for magic, of_magic in _BEGINS.items() if begin.startswith(magic)), '')
    if ending:
        raise foreign(path, ending)


def foreign(path: Path, ending: str = '') -> TableError:
    """The error for a file that is not opened here, with the three lines to run where it was made.

    Raises:
        FileError: the path is a pipe or a device.
    """
    if path.exists() and not path.is_file():
        raise FileError(expected='a regular file', came=f'{path}', todo='name a file')
    opening = WAYS[ending or path.suffix.lower()]
    steps = tuple(line.replace('{path!r}', repr(path.name)) for line in (*opening, _SAVE))
    return TableError(
        expected='features as .npy, .npz, .csv, .parquet, or a folder of them',
        came=f'{path}, which could run code or needs a library of its own, so that it is never opened here',
        todo='save it as .npy on the machine where it was made, in a folder `mine`, and import that:', steps=steps,
    )  # fmt: skip
