"""Types at the ends of the number range, and the functions that are made of others, against the standard library."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp
from scipy import special

from graphrun import nodes

BUILT_IN = {node_type.name: node_type for node_type in nodes.graphrun_node_types()}
INF = math.inf

# type, settings, inputs, value, derivatives
EXTREMES: list[tuple[str, dict[str, Any], list[float], float, list[float | None]]] = [
    ("sigmoid", {}, [1000], 1, [0]),
    ("sigmoid", {}, [-1000], 0, [0]),
    ("sigmoid", {}, [1e-300], 0.5, [0.25]),
    ("sigmoid", {}, [INF], 1, [0]),
    ("sigmoid", {}, [-INF], 0, [0]),
    ("log_sigmoid", {}, [1000], 0, [0]),
    ("log_sigmoid", {}, [-1000], -1000, [1]),
    ("log_sigmoid", {}, [-1e-300], -math.log(2), [0.5]),
    ("log_sigmoid", {}, [50], -math.exp(-50), [math.exp(-50)]),
    ("softplus", {}, [1000], 1000, [1]),
    ("softplus", {}, [-1000], 0, [0]),
    ("softplus", {}, [-50], math.exp(-50), [math.exp(-50)]),
    ("softplus", {}, [1e-300], math.log(2), [0.5]),
    ("softplus", {"beta": 10.0}, [1000], 1000, [1]),
    ("silu", {}, [1000], 1000, [1]),
    ("silu", {}, [-1000], 0, [0]),
    ("silu", {}, [1e-300], 5e-301, [0.5]),
    ("mish", {}, [1000], 1000, [1]),
    ("mish", {}, [-1000], 0, [0]),
    ("mish", {}, [1e-300], 6e-301, [0.6]),
    ("gelu", {}, [1000], 1000, [1]),
    ("gelu", {}, [-1000], 0, [0]),
    ("gelu", {}, [1e-300], 5e-301, [0.5]),
    ("gelu", {}, [-10], -5 * math.erfc(10 / math.sqrt(2)), [-7.61840009646481408567930014753e-22]),
    ("gelu", {"approximate": "tanh"}, [1000], 1000, [1]),
    ("gelu", {"approximate": "tanh"}, [-1000], 0, [0]),
    ("gelu", {"approximate": "tanh"}, [1e-300], 5e-301, [0.5]),
    ("elu", {}, [1000], 1000, [1]),
    ("elu", {}, [-1000], -1, [0]),
    ("elu", {}, [-1e-300], -1e-300, [1]),
    ("elu", {}, [-INF], -1, [0]),
    ("celu", {"alpha": 0.5}, [1000], 1000, [1]),
    ("celu", {"alpha": 0.5}, [-1000], -0.5, [0]),
    ("selu", {}, [-1000], -1.7580993408473766, [0]),
    ("softsign", {}, [1e300], 1, [0]),
    ("softsign", {}, [-1e-300], -1e-300, [1]),
    ("tanh", {}, [1000], 1, [0]),
    ("tanh", {}, [-1000], -1, [0]),
    ("tanh", {}, [1e-300], 1e-300, [1]),
    ("expm1", {}, [-1000], -1, [0]),
    ("expm1", {}, [1e-300], 1e-300, [1]),
    ("log1p", {}, [1e-300], 1e-300, [1]),
    ("log", {}, [1e-300], math.log(1e-300), [1e300]),
    ("asinh", {}, [1e300], math.asinh(1e300), [1e-300]),
    ("asinh", {}, [-1e-300], -1e-300, [1]),
    ("acosh", {}, [1e300], math.acosh(1e300), [1e-300]),
    ("atan", {}, [1e300], math.pi / 2, [0]),
    ("erf", {}, [1000], 1, [0]),
    ("erf", {}, [-INF], -1, [0]),
    ("erf", {}, [1e-300], 2e-300 / math.sqrt(math.pi), [2 / math.sqrt(math.pi)]),
    ("erfc", {}, [26], math.erfc(26), [-2 / math.sqrt(math.pi) * math.exp(-676)]),
    ("erfc", {}, [-1000], 2, [0]),
    ("cbrt", {}, [-1e-300], -1e-100, [1e200 / 3]),
    ("cbrt", {}, [INF], INF, [0]),
    ("hypot", {}, [3e300, 4e300], 5e300, [0.6, 0.8]),
    ("hypot", {}, [3e-300, 4e-300], 5e-300, [0.6, 0.8]),
    ("atan2", {}, [3e200, 4e200], math.atan2(3, 4), [4 / 25e200, -3 / 25e200]),
    ("atan2", {}, [3e-200, 4e-200], math.atan2(3, 4), [4e200 / 25, -3e200 / 25]),
    ("logaddexp", {}, [1000, -1000], 1000, [1, 0]),
    ("logaddexp", {}, [-1000, -1000], math.log(2) - 1000, [0.5, 0.5]),
    ("logaddexp", {}, [-INF, -INF], -INF, [0.5, 0.5]),
    ("logaddexp", {}, [INF, 5], INF, [1, 0]),
    ("logaddexp", {}, [5, INF], INF, [0, 1]),
    ("logaddexp", {}, [-INF, 5], 5, [0, 1]),
    ("logaddexp", {}, [INF, -INF], INF, [1, 0]),
    ("pow", {}, [0, 0], 1, [0, 0]),
    ("pow", {}, [0, 3], 0, [0, 0]),
    ("pow", {}, [0, 1], 0, [1, 0]),
    ("remainder", {}, [-7, 3], 2, [1, 3]),
    ("remainder", {}, [7, -3], -2, [1, 3]),
    ("remainder", {}, [1, 0.1], math.fmod(1, 0.1), [1, -9]),
    ("maximum", {}, [INF, INF], INF, [0.5, 0.5]),
    ("where", {}, [-0.0, 1, INF], INF, [None, 0, 1]),
    ("where", {}, [math.nan, 1, 2], 1, [None, 1, 0]),
]


@pytest.mark.parametrize(("name", "settings", "inputs", "value", "derivatives"), EXTREMES)
def test_the_limit_is_reached(
    name: str, settings: dict[str, Any], inputs: list[float], value: float, derivatives: list[float | None]
) -> None:
    """No overflow, cancellation or 0 times infinity in between spoils a value or derivative that is a number."""
    node_type = BUILT_IN[name]
    numbers = [np.float64(number) for number in inputs]
    full = dict(node_type.read_settings(settings))
    assert node_type.derivative is not None
    with np.errstate(all="ignore"):
        output = node_type.function(np, *numbers, **full)
        found = node_type.derivative(np, output, *numbers, **full)
    np.testing.assert_allclose(output, value, rtol=1e-12)
    for derivative, expected in zip(found, derivatives, strict=True):
        if expected is None:
            assert derivative is None
        else:
            np.testing.assert_allclose(derivative, expected, rtol=1e-12)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, -2])
@pytest.mark.parametrize("base", [-3.0, -0.5, 2.0])
def test_a_whole_power_of_a_negative_number_is_exact(base: float, exponent: int) -> None:
    """`r ** 2` has the derivative 2r for negative r too."""
    x, y = np.float64(base), np.float64(exponent)
    with np.errstate(all="ignore"):
        power = BUILT_IN["pow"].function(np, x, y)
        assert BUILT_IN["pow"].derivative is not None
        by_base, _ = BUILT_IN["pow"].derivative(np, power, x, y)
    assert power == base**exponent
    assert by_base == exponent * base ** (exponent - 1)


@pytest.mark.parametrize("name", sorted(name for name, node in BUILT_IN.items() if node.is_elementwise))
def test_nan_is_not_hidden(name: str) -> None:
    """A NaN that comes in goes out, or else nobody finds where it arose; what is true or false has no NaN."""
    node_type = BUILT_IN[name]
    with np.errstate(all="ignore"):
        output = node_type.function(
            np, *[np.float64(math.nan)] * len(node_type.inputs), **dict(node_type.default_settings or ())
        )
    assert np.isnan(output) or output.dtype == bool


def test_the_error_functions_agree_with_the_standard_library() -> None:
    """Cody's approximations are good to a few units in the last place in all their regions."""
    x = np.concatenate([np.linspace(-6, 6, 2401), np.linspace(-0.47, 0.47, 95), np.geomspace(1e-300, 1, 300)])
    tail = np.linspace(6, 26, 401)
    with np.errstate(all="ignore"):
        erf = BUILT_IN["erf"](np, x)
        erfc = BUILT_IN["erfc"](np, np.concatenate([x, tail]))
    np.testing.assert_allclose(erf, [math.erf(number) for number in x], rtol=2e-15)
    np.testing.assert_allclose(erfc, [math.erfc(number) for number in np.concatenate([x, tail])], rtol=3e-15)


def test_the_cube_root_agrees_with_the_c_library() -> None:
    """One Newton step brings the power of 1/3 to the last digit, denormal numbers included."""
    x = np.concatenate([np.geomspace(5e-324, 1e308, 2000), -np.geomspace(5e-324, 1e308, 2000), [0.0]])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(BUILT_IN["cbrt"](np, x), np.cbrt(x), rtol=5e-16)


@pytest.mark.parametrize(
    ("name", "settings", "shapes"),
    [
        ("permute_dims", {"axes": [0, 2]}, [(2, 3)]),
        ("permute_dims", {"axes": [0, -3]}, [(2, 3)]),
        ("permute_dims", {"axes": [0, 0]}, [(2, 3)]),
        ("permute_dims", {"axes": [0]}, [(2, 3)]),
        ("reshape", {"shape": [4]}, [(2, 3)]),
        ("sum", {"axis": 2}, [(2, 3)]),
        ("mean", {"axis": [0, -2]}, [(2, 3)]),
        ("matmul", {}, [(2, 3), (2, 3)]),
        ("matmul", {}, [(), (2, 3)]),
    ],
)
def test_shapes_that_do_not_fit_are_refused(name: str, settings: dict[str, Any], shapes: list[tuple[int, ...]]) -> None:
    """The forward function raises ValueError, which the program reports before the first step."""
    node_type = BUILT_IN[name]
    with pytest.raises(ValueError, match=r"."):
        node_type.function(np, *(np.ones(shape) for shape in shapes), **dict(node_type.read_settings(settings)))


def test_gamma_of_negative_numbers() -> None:
    """By reflection, as SciPy has it; poles are infinite."""
    x = np.array([-0.5, -1.3, -2.5, -10.3, -200.25, -1e-300])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(BUILT_IN["lgamma"](np, x), special.gammaln(x), rtol=1e-13)
        np.testing.assert_allclose(BUILT_IN["digamma"](np, x), special.digamma(x), rtol=1e-12)
        derivative = BUILT_IN["digamma"].derivative
        assert derivative is not None
        np.testing.assert_allclose(derivative(np, None, x[:-1])[0], special.polygamma(1, x[:-1]), rtol=1e-12)
        assert BUILT_IN["lgamma"](np, np.array([0.0, -1.0, -7.0, math.inf])).tolist() == [math.inf] * 4
        assert BUILT_IN["erfinv"](np, np.array([-1.0, 1.0])).tolist() == [-math.inf, math.inf]


@pytest.mark.slow
def test_the_zero_of_digamma() -> None:
    """Beside it all digits are those of the distance."""
    zero = 1.4616321449683622
    for x in (zero, math.nextafter(zero, 2), math.nextafter(zero, 0), zero + 1e-9):
        with mp.workdps(40):
            expected = float(mp.digamma(mp.mpf(x)))
        assert float(BUILT_IN["digamma"](np, np.float64(x))) == pytest.approx(expected, rel=1e-14)


@pytest.mark.slow
def test_the_logarithm_of_one_more_in_xla() -> None:
    """XLA's own loses 7 bits where x is about -0.4."""
    jax = pytest.importorskip("jax")
    from graphrun.engines.jax import forms  # noqa: F401 (it declares the form)
    from graphrun.engines.jax.devices import double_precision

    x = np.linspace(-0.45, -0.2, 1001)
    with double_precision():
        found = jax.jit(lambda x: BUILT_IN["log1p"].functions("jax")[0](jax.numpy, x))(x)
    np.testing.assert_allclose(np.asarray(found), np.log1p(x), rtol=6e-16)
