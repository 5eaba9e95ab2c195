"""NumPy's .npz archives: named arrays whose first axis is the rows."""

import os
import zipfile
from contextlib import suppress

from graphrun.base.memory import COPIES, MORE_MEMORY, memory_limit, size_text
from graphrun.base.wording import printable, quote
from graphrun.data.array_table import ArrayTable
from graphrun.data.problems import DataError
from graphrun.data.table import Array, Wanted
from graphrun.document.npz import read_array


class NpzTable(ArrayTable):
    """An archive of arrays, each read when it is first asked for; pickled objects are refused."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self._arrays: dict[str, Array | None] = {}
        self._held = 0
        try:
            with zipfile.ZipFile(self.name) as archive:
                self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        except Exception:  # of a file that is none, zipfile raises nearly anything
            self._members = {}
        self.headers = tuple(self._members)
        if not self.headers:
            raise DataError(f"{printable(self.name)}: this is no .npz archive of arrays\n  numpy.savez writes one")

    def _array(self, header: str) -> Array | None:
        """Return an array; None when it holds objects."""
        if header not in self._arrays:
            self._check_size(header)
            try:
                with zipfile.ZipFile(self.name) as archive:
                    self._arrays[header] = read_array(archive, self._members[header])
            except Exception as error:  # zipfile, zlib and NumPy raise nearly anything where data is damaged
                reason = str(error).partition("\n")[0] or type(error).__name__
                message = f"the array {quote(header)} cannot be read: {printable(reason)}"
                raise DataError(f"{printable(self.name)}: {message}") from None
        return self._arrays[header]

    def _check_size(self, header: str) -> None:
        """Refuse an array that would not fit into memory, by the size that the archive gives."""
        damaged = (OSError, zipfile.BadZipFile, KeyError, NotImplementedError, ValueError)
        with suppress(*damaged), zipfile.ZipFile(self.name) as archive:
            names = archive.namelist()
            self._held += archive.getinfo(header if header in names else f"{header}.npy").file_size
        if self._held * COPIES > memory_limit():
            sizes = f"{size_text(self._held * COPIES)} of memory; the limit is {size_text(memory_limit())}"
            message = f"with the array {quote(header)} the file takes {sizes}\n  {MORE_MEMORY}"
            raise DataError(f"{printable(self.name)}: {message}")

    def read(self, wanted: Wanted) -> dict[str, Array]:
        """Return arrays as they are, and keep none of them."""
        try:
            return super().read(wanted)
        finally:
            self._arrays.clear()
