"""Initial values of parameters that are declared by shape.

Each draw depends on the seed and the parameter's name alone, so that adding a parameter changes no other.
"""

from __future__ import annotations

import hashlib
import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from graphrun.base.types import Finite, NotBelow
from graphrun.declare.declaration import Declaration

Shape = tuple[int, ...]


ROOT_2 = math.sqrt(2)


class Initializer(Declaration):
    """An initializer: a function ``(random, shape, *, settings) -> array`` of float64 numbers."""

    first_parameter = "the source of random numbers, `random`"


@Initializer
def zeros(_random: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Zeros."""
    return np.zeros(shape)


@Initializer
def ones(_random: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Ones."""
    return np.ones(shape)


@Initializer
def constant(_random: np.random.Generator, shape: Shape, *, value: Finite) -> NDArray[Any]:
    """One number everywhere."""
    return np.full(shape, float(value))


@Initializer
def identity(_random: np.random.Generator, shape: Shape, *, gain: Finite = 1.0) -> NDArray[Any]:
    """The identity matrix times a gain; a matrix that is not square has ones on its main diagonal."""
    if len(shape) != 2:
        raise ValueError(f"an identity is a matrix, and the shape {list(shape)} is not")
    return gain * np.eye(*shape)


@Initializer
def uniform(
    random: np.random.Generator, shape: Shape, *, low: Finite = -1.0, high: Annotated[Finite, NotBelow("low")] = 1.0
) -> NDArray[Any]:
    """Uniform in [low, high)."""
    if not low <= high:
        raise ValueError(f"low {low} is above high {high}")
    return random.uniform(low, high, shape)


@Initializer
def normal(random: np.random.Generator, shape: Shape, *, mean: Finite = 0.0, std: Finite = 1.0) -> NDArray[Any]:
    """Normal, of a mean and a standard deviation."""
    return mean + _deviation(std) * random.standard_normal(shape)


@Initializer
def truncated_normal(
    random: np.random.Generator, shape: Shape, *, mean: Finite = 0.0, std: Finite = 1.0
) -> NDArray[Any]:
    """Normal, drawn again where it is more than two standard deviations from the mean."""
    drawn = np.asarray(random.standard_normal(shape))
    while (outside := np.abs(drawn) > 2).any():
        drawn[outside] = random.standard_normal(np.count_nonzero(outside))
    return mean + _deviation(std) * drawn


@Initializer
def glorot_uniform(random: np.random.Generator, shape: Shape, *, gain: Finite = 1.0) -> NDArray[Any]:
    """Uniform within gain (6 / (fan_in + fan_out))^(1/2) of 0 (Glorot and Bengio, 2010)."""
    fan_in, fan_out = fans(shape)
    bound = gain * math.sqrt(6 / max(fan_in + fan_out, 1))
    return random.uniform(-bound, bound, shape)


@Initializer
def glorot_normal(random: np.random.Generator, shape: Shape, *, gain: Finite = 1.0) -> NDArray[Any]:
    """Normal of the standard deviation gain (2 / (fan_in + fan_out))^(1/2) (Glorot and Bengio, 2010)."""
    fan_in, fan_out = fans(shape)
    return gain * math.sqrt(2 / max(fan_in + fan_out, 1)) * random.standard_normal(shape)


@Initializer
def he_uniform(random: np.random.Generator, shape: Shape, *, gain: Finite = ROOT_2) -> NDArray[Any]:
    """Uniform within gain (3 / fan_in)^(1/2) of 0 (He et al., 2015); the gain of relu is 2^(1/2)."""
    bound = gain * math.sqrt(3 / max(fans(shape)[0], 1))
    return random.uniform(-bound, bound, shape)


@Initializer
def he_normal(random: np.random.Generator, shape: Shape, *, gain: Finite = ROOT_2) -> NDArray[Any]:
    """Normal of the standard deviation gain / fan_in^(1/2) (He et al., 2015); the gain of relu is 2^(1/2)."""
    return gain / math.sqrt(max(fans(shape)[0], 1)) * random.standard_normal(shape)


@Initializer
def orthogonal(random: np.random.Generator, shape: Shape, *, gain: Finite = 1.0) -> NDArray[Any]:
    """A matrix with orthonormal rows or columns, times a gain (Saxe et al., 2014); further axes count as columns."""
    if len(shape) < 2:
        raise ValueError(f"an orthogonal matrix has two axes or more, and the shape {list(shape)} has {len(shape)}")
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(random.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diagonal(r))  # Makes the factor unique, so that it is uniform over orthogonal matrices.
    return gain * (q if rows >= columns else q.T).reshape(shape)


INITIALIZERS: dict[str, Initializer] = {
    value.name: value for value in list(vars().values()) if isinstance(value, Initializer)
}


def draw(initializer: Initializer, settings: dict[str, Any], shape: Shape, *, seed: int, name: str) -> NDArray[Any]:
    """Draw the initial value of a parameter by its shape and name and the seed of the run.

    Raises:
        ValueError: the initializer cannot make that shape.
    """
    try:
        return np.asarray(initializer(generator(seed, name), shape, **settings), dtype=float)
    except (MemoryError, OverflowError):
        raise ValueError(f"the shape {list(shape)} is too large for this computer's memory") from None


def generator(seed: int, name: str) -> np.random.Generator:
    """Return the source of random numbers for one name, which depends on the seed and on nothing else."""
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, int.from_bytes(digest)])))


def fans(shape: Shape) -> tuple[int, int]:
    """Return how many inputs and outputs a weight connects.

    A matrix is (inputs, outputs), as in ``x @ W``; a kernel of a convolution is (outputs, inputs, *window).
    """
    if len(shape) < 2:
        size = math.prod(shape)
        return size, size
    if len(shape) == 2:
        return shape[0], shape[1]
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _deviation(std: float) -> float:
    if std < 0:
        raise ValueError(f"a standard deviation is 0 or more, not {std}")
    return std


OTHER_NAMES = {
    "xavier": "glorot_uniform",
    "xavier_uniform": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "kaiming": "he_uniform",
    "kaiming_uniform": "he_uniform",
    "kaiming_normal": "he_normal",
    "gaussian": "normal",
    "eye": "identity",
    **dict.fromkeys(("glorot", "xavier_glorot"), "glorot_uniform"),
    "he": "he_normal",
    "msra": "he_normal",
    **dict.fromkeys(("randn", "random", "random_normal", "standard_normal"), "normal"),
    **dict.fromkeys(("rand", "random_uniform"), "uniform"),
    **dict.fromkeys(("fill", "full", "value"), "constant"),
    "zero": "zeros",
    "one": "ones",
}
"""What PyTorch, Keras and NumPy call an initializer, where it is another name."""
