"""Where JAX's arrays lie, and where compiled programs are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from graphrun.base.errors import UsageError
from graphrun.base.types import Array
from graphrun.engines.cache import cache_folder

double_precision = partial(jax.enable_x64, True)
"""Inside it JAX has 64 bits, as NumPy has, whatever the rest of the process chose; float32 stays where asked for."""

ROWS = "data"
"""The axis of the mesh along which rows are shared out."""

PLATFORMS = ("cpu", "gpu", "tpu")


@dataclass(frozen=True)
class Placement:
    """Where arrays lie: on one device, or shared out among the devices of a mesh.

    Attributes:
        device: the device, or the sharding that puts an array on every device of the mesh.
        mesh: the devices that share out rows, or None.
    """

    device: Any
    mesh: Mesh | None = None

    @staticmethod
    def on_all_devices() -> Placement:
        """Return the placement on the devices of all processes, which share out the rows of each step."""
        mesh = Mesh(np.array(jax.devices()), (ROWS,))
        return Placement(NamedSharding(mesh, PartitionSpec()), mesh)

    @property
    def results(self) -> Any:
        """Where `jax.jit` leaves results: where every process has all of them."""
        return None if self.mesh is None else self.device

    @property
    def is_processor(self) -> bool:
        """Whether all of it is the processor, whose memory is the host's."""
        devices = [self.device] if self.mesh is None else self.mesh.devices.flat
        return all(device.platform == "cpu" for device in devices)

    def whole(self, array: Any) -> Array:
        """Put an array on the device, or on every one."""
        if self.mesh is None:
            placed: Array = jax.device_put(array, self.device)
            return placed
        array = np.asarray(array)
        return jax.make_array_from_callback(array.shape, self.device, lambda place: array[place])

    def rows(self, array: Any) -> Array:
        """Put rows there, shared out among the devices."""
        if self.mesh is None:
            return self.whole(array)
        array = np.asarray(array)
        self.check_rows(len(array))
        return jax.make_array_from_callback(array.shape, self._sharing(0), lambda place: array[place])

    def parts(self, rows: int) -> list[tuple[int, int]]:
        """Return where the rows of this process's devices begin and end, of all the rows of a step."""
        if self.mesh is None:
            return [(0, rows)]
        self.check_rows(rows)
        places = self._sharing(0).addressable_devices_indices_map((rows,)).values()
        return sorted({place[0].indices(rows)[:2] for place in places if place is not None})

    def stacked(self, shape: tuple[int, ...], parts: Mapping[int, Any]) -> Array:
        """Put steps x rows there, shared out along the rows, this process's parts by where they begin."""
        if self.mesh is None:
            placed: Array = jax.device_put(parts[0], self.device)
            return placed

        def part(place: Any) -> Any:
            return parts[place[1].start or 0]

        return jax.make_array_from_callback(shape, self._sharing(1), part)

    def check_rows(self, rows: int) -> None:
        """Refuse rows that cannot be shared out in equal parts."""
        if self.mesh is not None and rows % self.mesh.size:
            raise UsageError(
                f"{rows} rows cannot be shared out among {self.mesh.size} devices in equal parts: "
                f"set data.batch_size to a multiple of {self.mesh.size}"
            )

    def _sharing(self, axis: int) -> NamedSharding:
        """Return how an array is shared out along an axis."""
        assert self.mesh is not None  # noqa: S101 (for the type checker: the caller looked)
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, ROWS))


def find_device(name: str | None) -> jax.Device:
    """Return a device by name: ``cpu``, ``gpu``, ``gpu:1``, ..., or that of JAX's choice.

    Raises:
        UsageError: there is no such device.
    """
    if name is None:
        return jax.devices()[0]
    platform, colon, number = name.partition(":")
    if platform not in PLATFORMS or (colon and not number.isdecimal()):
        raise UsageError(f"device {name!r} is none of {', '.join(PLATFORMS)}, with or without a number as in gpu:0")
    try:
        devices = jax.devices(platform)
    except RuntimeError:
        there = ", ".join(sorted({device.platform for device in jax.devices()}))
        raise UsageError(f"JAX finds no {platform} here; there is: {there}") from None
    if int(number or 0) >= len(devices):
        raise UsageError(f"device {name!r} is unknown; the last one is {platform}:{len(devices) - 1}")
    return devices[int(number or 0)]


def keep_compiled_programs() -> None:
    """Have JAX keep compiled programs in the user's cache folder, where it can, unless it was told already where to."""
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    folder = cache_folder("jax")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        # JAX would warn of every program that it cannot keep.
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # By default only what took a second is kept.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
