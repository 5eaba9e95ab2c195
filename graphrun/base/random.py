"""Random numbers that are a function of a key, a step and a position: the same in every engine, in any order.

The generator is pcg4d of M. Jarzynski and M. Olano, "Hash Functions for GPU Rendering", Journal of Computer Graphics
Techniques 9 (2020), 20-38: four 32-bit words in, four out, by additions, multiplications and shifts of unsigned
integers that wrap around. So a backward pass, a resumed run and a compiled loop draw again what was drawn before.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

MULTIPLIER, INCREMENT = 1664525, 1013904223
WORD = 0xFFFFFFFF


def key_of(seed: int, name: str) -> int:
    """Return the key of what a name draws, of 64 bits, by a hash: other names and seeds draw independent numbers."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest(), "little")


def uniform(xp: Any, key: int, step: Any, shape: tuple[int, ...]) -> Any:
    """Return numbers drawn uniformly from the multiples of 2^-24 in [0, 1), which float32 holds exactly, as float32.

    The key is that of `key_of`; the step is a number from 0 to 2^32 - 1, also one that a compiled program computes.
    """
    size = math.prod(shape)
    words = pcg4d(
        xp,
        xp.arange(-(-size // 4), dtype=xp.uint32),
        _word(xp, step),
        _word(xp, key & WORD),
        _word(xp, key >> 32 & WORD),
    )
    # The highest bits are the best ones of a linear congruence.
    bits = xp.concat(words)[:size] >> 8
    return xp.reshape(xp.astype(bits, xp.float32) * xp.asarray(2.0**-24, dtype=xp.float32), shape)


def pcg4d(xp: Any, x: Any, y: Any, z: Any, w: Any) -> tuple[Any, Any, Any, Any]:
    """Mix four arrays of words, as one in the original's component-wise notation; the first has the shape of all."""
    multiplier, increment, shift = (_word(xp, number) for number in (MULTIPLIER, INCREMENT, 16))
    x, y, z, w = (word * multiplier + increment for word in (x, y, z, w))
    x = x + y * w
    y = y + z * x
    z = z + x * y
    w = w + y * z
    x, y, z, w = (word ^ (word >> shift) for word in (x, y, z, w))
    x = x + y * w
    y = y + z * x
    z = z + x * y
    return x, y, z, w + y * z


def _word(xp: Any, number: Any) -> Any:
    # An array of one, for NumPy warns when a single number wraps around.
    return xp.reshape(xp.asarray(number, dtype=xp.uint32), (1,))
