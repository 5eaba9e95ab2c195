"""Every built-in node type, by the check that plugin authors use, and their list as a whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

from graphrun import nodes
from graphrun.declare.nodetype import NodeType
from graphrun.testing import check_node_type

BUILT_IN = nodes.graphrun_node_types()

# The array API standard's names, then PyTorch's.
NAMES = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "remainder",
    "fmod",
    "negative",
    "abs",
    "identity",
    "stop_gradient",
    "pow",
    "square",
    "sqrt",
    "cbrt",
    "reciprocal",
    "hypot",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log1mexp",
    "logit",
    "log2",
    "log10",
    "logaddexp",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "atan2",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "sign",
    "floor",
    "ceil",
    "round",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "logical_not",
    "maximum",
    "minimum",
    "clip",
    "where",
    "sigmoid",
    "log_sigmoid",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "softplus",
    "softsign",
    "silu",
    "mish",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "erf",
    "erfc",
    "erfinv",
    "normal_cdf",
    "normal_log_cdf",
    "lgamma",
    "digamma",
    "sum",
    "mean",
    "prod",
    "max",
    "min",
    "var",
    "std",
    "logsumexp",
    "vector_norm",
    "cumulative_sum",
    "argmax",
    "matmul",
    "vecdot",
    "tensordot",
    "outer",
    "einsum",
    "trace",
    "det",
    "inv",
    "diagonal",
    "diag_embed",
    "solve",
    "solve_triangular",
    "cholesky",
    "reshape",
    "permute_dims",
    "matrix_transpose",
    "broadcast_to",
    "expand_dims",
    "squeeze",
    "flip",
    "concat",
    "stack",
    "unstack",
    "tile",
    "pad",
    "slice",
    "take",
    "take_along_axis",
    "embedding",
    "segment_sum",
    "one_hot",
    "softmax",
    "log_softmax",
    "layer_norm",
    "rms_norm",
    "group_norm",
    "batch_norm",
    "dropout",
    "normal_noise",
    "conv1d",
    "conv2d",
    "conv_transpose2d",
    "max_pool1d",
    "max_pool2d",
    "avg_pool2d",
    "scaled_dot_product_attention",
    "mean_squared_error",
    "mean_absolute_error",
    "huber_loss",
    "quantile_loss",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "cross_entropy",
    "nll_loss",
    "accuracy",
    "poisson_nll_loss",
    "negative_binomial_nll_loss",
    "student_t_nll_loss",
]


@pytest.mark.slow
@pytest.mark.parametrize("node_type", BUILT_IN, ids=lambda node_type: node_type.name)
def test_a_type_keeps_all_that_it_declares(node_type: NodeType) -> None:
    """Shapes, purity, scalars, broadcasting, float32, derivatives, kinks: `check_node_type` finds nothing."""
    check_node_type(node_type)


@pytest.mark.parametrize("node_type", BUILT_IN, ids=lambda node_type: node_type.name)
def test_a_type_is_described_in_one_line(node_type: NodeType) -> None:
    """`graphrun nodes` prints the docstring in a table, so it is one sentence on one line."""
    assert node_type.description
    assert "\n" not in node_type.description
    assert node_type.description.endswith(".")


def test_the_types_are_those_of_the_list() -> None:
    """No type is lost or registered twice: graph files depend on the names."""
    assert sorted(node_type.name for node_type in BUILT_IN) == sorted(NAMES)


def test_every_type_has_a_derivative_function() -> None:
    """A built-in type that has no derivative says so by None, input by input."""
    assert [node_type.name for node_type in BUILT_IN if node_type.derivative is None] == []


def test_importing_the_types_imports_no_array_library() -> None:
    """`graphrun --help` must not wait for NumPy, and no start for SciPy or SymPy."""
    program = (
        "import sys; before = set(sys.modules); import graphrun.nodes; "
        "print(sorted({'numpy', 'scipy', 'sympy', 'pydantic'} & (set(sys.modules) - before)))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
