"""Members of NumPy's .npz archives, as arrays: their claims are not believed, and pickled objects are refused."""

from __future__ import annotations

import math
import zipfile
from typing import TYPE_CHECKING, Any

from graphrun.document.numbers import MOST_AXES

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENCRYPTED = 0x1
"""The bit of a member's flags that says so."""

MOST_PACKED = 1032
"""RFC 1951: a pair of length and distance takes two bits at the least and stands for 258 bytes at the most."""


def read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any] | None:
    """Return the array of a member; None when it holds objects, which only pickle could read.

    Raises:
        ValueError: it is no array, or not of the size that it claims; zipfile, zlib and NumPy raise nearly anything
            where data is damaged.
    """
    # Imported here because NumPy takes longer to load than a file of scalars to be read.
    import numpy as np
    from numpy.lib import format as npy

    headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if member.flag_bits & ENCRYPTED:
        raise ValueError("it is encrypted")
    with archive.open(member) as file:
        if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
            raise ValueError("it is no array of NumPy's")
    with archive.open(member) as file:
        version = npy.read_magic(file)
        if version not in headers:
            raise ValueError(f"no array of numbers is of the version {version[0]}.{version[1]} of the format")
        shape, _, dtype = headers[version](file)
    if dtype.hasobject:
        return None
    # A claim is not believed: what is there is what may be allocated, by the most that deflate packs into a byte.
    most = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: MOST_PACKED}.get(member.compress_type)
    there = member.file_size if most is None else min(member.file_size, most * member.compress_size)
    claimed = math.prod(shape) * max(dtype.itemsize, 1)
    if min(shape, default=0) < 0 or claimed > there:
        raise ValueError(f"its header claims the shape {list(shape)} of {dtype}, and there are {there:,} bytes")
    if len(shape) > MOST_AXES:
        raise ValueError(f"it has {len(shape)} axes, of at most {MOST_AXES}")
    with archive.open(member) as file:
        array = npy.read_array(file, allow_pickle=False)
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        # As of a Parquet file: the graph's integers have 64 bits with a sign.
        return np.asarray(array, np.float64)
    return np.asarray(array.astype(array.dtype.newbyteorder("="), copy=False))
