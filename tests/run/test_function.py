"""A graph as a function: for SciPy, by vectors and by names, in threads and processes."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from multiprocessing import get_context

import numpy as np
import pytest
import scipy.optimize
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from lesson import GRAPHS, NESTED

import graphrun

ENGINES = ["numpy", "numba", pytest.param("jax", marks=pytest.mark.slow)]

SHAPES = """\
parameters: {a: 1, W: [[1, 2, 3], [4, 5, 6]], b: {value: [7, 8], lower: 0}}
constants: {c: [1, 2, 3]}
nodes: {y: W @ c + a, f: sum(y * b)}
minimize: f
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_value_and_gradient_are_those_of_rosenbrock(engine):
    """SciPy has the function, its gradient and its Hessian."""
    function = graphrun.load(GRAPHS / "rosenbrock.yaml").function(engine=engine)
    assert function.engine == engine
    for x in np.random.default_rng(0).normal(size=(20, 2)):
        value, gradient = function.value_and_gradient(x)
        assert value == pytest.approx(scipy.optimize.rosen(x), rel=1e-12)
        assert function(x) == function.value(x) == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(gradient, scipy.optimize.rosen_der(x), rtol=1e-12, atol=1e-11)
        np.testing.assert_allclose(function.hessian(x), scipy.optimize.rosen_hess(x), rtol=1e-12)
        v = np.array([2.0, -1.0])
        np.testing.assert_allclose(function.hessian_product(x, v), scipy.optimize.rosen_hess_prod(x, v), rtol=1e-11)


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "Newton-CG", "trust-exact", "SLSQP"])
def test_scipy_minimizes_it(method):
    """Whatever of the derivatives a method asks for."""
    function = graphrun.load(GRAPHS / "rosenbrock.yaml").function(engine="numpy")
    derivatives = {"hess": function.hessian} if method in {"Newton-CG", "trust-exact"} else {}
    found = scipy.optimize.minimize(
        function.value_and_gradient, function.start, jac=True, method=method, tol=1e-10, **derivatives
    )
    np.testing.assert_allclose(found.x, [1, 1], atol=1e-4)


def test_scipy_fits_by_the_jacobian_of_a_node(load):
    """Residuals and their Jacobian are those of a node, within the file's bounds."""
    graph = load("""\
parameters: {amplitude: 1, rate: {value: 1, lower: 0, upper: 5}}
constants: {t: [0, 1, 2, 3], seen: [4, 2, 1, 0.5]}
nodes: {r: amplitude * exp(-rate * t) - seen}
""")
    residuals = graph.function(of="r")
    bounds = (residuals.lower, residuals.upper)
    found = scipy.optimize.least_squares(residuals, residuals.start, jac=residuals.jacobian, bounds=bounds, xtol=1e-14)
    np.testing.assert_allclose(found.x, [4, np.log(2)], rtol=1e-9)
    assert residuals.value(found.x).shape == (4,)
    numbers = scipy.optimize.approx_fprime(found.x, residuals)
    np.testing.assert_allclose(residuals.jacobian(found.x), numbers, atol=1e-6)


def test_a_vector_is_all_elements_end_to_end(load):
    """In the file's order, or in that of the names."""
    function = load(SHAPES).function()
    assert function.names == ["a", *[f"W[{i},{j}]" for i in range(2) for j in range(3)], "b[0]", "b[1]"]
    np.testing.assert_array_equal(function.start, [1, 1, 2, 3, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(function.lower, [-np.inf] * 7 + [0, 0])
    np.testing.assert_array_equal(function.upper, [np.inf] * 9)
    some = load(SHAPES).function(["b", "a"])
    np.testing.assert_array_equal(some.start, [7, 8, 1])
    assert some.arguments == ("b", "a")
    assert some.value([0, 1, 10]) == 32 + 10
    assert some.value({"a": 10}) == 7 * 24 + 8 * 42


def test_the_start_is_for_whoever_walks_on_from_there(load):
    """In place too: the file's values stay what is missing of a point."""
    function = load(SHAPES).function()
    x = function.start
    x -= function.value_and_gradient(x)[1]
    assert function.value({}) == function.value(function.start) != function.value(x)


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        (1j, "complex"),
        (np.complex64(1), "complex64"),
        ("3", "str"),
        (np.datetime64("2020-01-01"), "datetime64"),
        (None, "NoneType"),
        ([1, [2]], "inhomogeneous"),
        (10**400, "too large"),
    ],
)
def test_what_is_no_real_number_is_refused(load, odd, kind):
    """Though NumPy takes it for one: of a complex step the imaginary part would be lost. So between steps."""
    graph = load("parameters: {a: 1}\nnodes: {f: a * a}\nminimize: f\n")
    function, row = graph.function(), next(graph.iterate(1))
    for take in (
        lambda: function.value([odd]),
        lambda: function.value_and_gradient([odd]),
        lambda: function.hessian_product([1.0], {"a": odd}),
        lambda: function.vector({"a": odd}),
        lambda: row.set(a=odd),
    ):
        with pytest.raises(graphrun.UsageError, match=f"a point is made of numbers: .*{kind}"):
            take()
    assert row.parameters == {"a": 1}


NUMBERS = st.floats(-1e6, 1e6)


@given(a=NUMBERS, matrix=st.lists(NUMBERS, min_size=6, max_size=6), b=st.lists(NUMBERS, min_size=2, max_size=2))
@settings(max_examples=examples(200))
def test_mappings_and_vectors_are_the_same_point(a, matrix, b):
    """There and back; gradients come as the point does."""
    function = _shapes()
    values = {"a": a, "W": np.reshape(matrix, (2, 3)), "b": np.array(b)}
    vector = function.vector(values)
    np.testing.assert_array_equal(vector, [a, *matrix, *b])
    back = function.mapping(vector)
    assert list(back) == ["a", "W", "b"]
    assert isinstance(back["a"], float)
    for name, value in values.items():
        np.testing.assert_array_equal(back[name], value)
    by_vector, by_name = function.value_and_gradient(vector), function.value_and_gradient(values)
    assert by_vector[0] == by_name[0] == function.value(vector)
    np.testing.assert_array_equal(function.vector(by_name[1]), by_vector[1])


@cache
def _shapes():
    return graphrun.loads(SHAPES).function(engine="numpy")


def test_the_sign_is_the_objectives_own(load):
    """Maximized or not; of the lesson, by hand."""
    function = load(NESTED).function()
    assert function.maximize
    value, gradient = function.value_and_gradient(function.start)
    assert value == -4
    np.testing.assert_array_equal(gradient, [-2, -2, 2])
    np.testing.assert_array_equal(function.hessian(function.start), [[0, 0, 1], [0, 0, 1], [1, 1, 0]])
    assert function.value(function.start, of="d") == 2
    np.testing.assert_array_equal(function.jacobian(function.start, of="d"), [[1, 1, 0]])


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_not_finite_is_returned(load, engine):
    """SciPy backs off from such a point; a later one is as exact as any."""
    function = load("parameters: {x: 1}\nnodes: {f: log(x) ** 2}\nminimize: f\n").function(engine=engine)
    for _ in range(2):
        value, gradient = function.value_and_gradient(np.array([-1.0]))
        assert np.isnan(value)
        assert np.isnan(gradient).all()
        assert np.isnan(function.hessian([-1.0])).all()
        value, gradient = function.value_and_gradient(np.array([np.e]))
        assert (value, gradient[0]) == pytest.approx((1, 2 / np.e), rel=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_branch_that_is_not_taken_gives_nothing(load, engine):
    """A gradient of zero gives zero, however often the function was called before."""
    text = "parameters: {x: 4}\nnodes: {f: 'where(x > 0, x * x, sqrt(x))'}\nminimize: f\n"
    text = text.replace("x > 0", "greater(x, 0)")
    function = load(text).function(engine=engine)
    for x, slope in ((4.0, 8.0), (0.0, np.inf), (3.0, 6.0)):
        assert function.value_and_gradient([x])[1] == [slope]


def test_all_training_rows_are_its_data(tmp_path, monkeypatch):
    """Whatever the batches are; a step that is asked for gives its own rows."""
    monkeypatch.chdir(tmp_path)
    rows = np.arange(8.0)
    (tmp_path / "rows.csv").write_text("x\n" + "\n".join(map(str, rows)))
    text = "parameters: {m: 0}\ndata: {file: rows.csv, batch_size: 2}\nnodes: {f: mean((x - m) ** 2)}\nminimize: f\n"
    graph = graphrun.loads(text)
    assert graph.function().value([1.0]) == np.mean((rows - 1) ** 2)
    assert graph.function(step=1).value([1.0]) == np.mean((rows[2:4] - 1) ** 2)


def test_noise_is_that_of_one_step(load):
    """So that it is a function: of step 0, as the first row of a run, or of another one."""
    graph = load("parameters: {w: [1, 1, 1, 1, 1, 1, 1, 1]}\nnodes: {f: 'sum(dropout(w, rate=0.5))'}\nminimize: f\n")
    function = graph.function()
    assert function.value(function.start) == function.value(function.start) == graph.run(steps=0).values["f"]
    values = [graph.function(step=k).value(function.start) for k in range(5)]
    assert len(set(values)) > 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g.function(["q"]), "'q' is no parameter; there are: a, b, c"),
        (lambda g: g.function("a"), "names: a list of names is needed, not 'a'"),
        (lambda g: g.function(of="g"), "'g' is no value"),
        (lambda g: g.function(engine="nimba"), "engine 'nimba' is unknown"),
        (lambda g: g.function().value([1.0, 2.0]), r"a point has the shape \(3,\), not \(2,\)"),
        (lambda g: g.function().value({"d": 1}), "'d' is no argument"),
        (lambda g: g.function().value("nonsense"), "a point is made of numbers: "),
        (lambda g: g.function().value({"a": {}}), "a point is made of numbers: "),
        (lambda g: g.function([]), "a function has a parameter at least"),
        (lambda g: g.function().value({"a": [1, 2]}), r"'a' has the shape \(\), not \(2,\)"),
        (lambda g: g.function(3), "names: a list of names is needed, not 3"),
        (lambda g: g.function().of(None), "None is no value"),
        (lambda g: g.function(step=-1), "step is a whole number of 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(load, call, message):
    """With the nearest right thing."""
    with pytest.raises(graphrun.UsageError, match=message):
        call(load(NESTED))


def test_a_graph_without_objective_names_a_node(load):
    """A value, and no gradient of an array."""
    graph = load("parameters: {x: 2}\nconstants: {c: [1, 2]}\nnodes: {y: x * x, z: x * c}\n")
    with pytest.raises(graphrun.UsageError, match=r"the graph has no objective: name the node"):
        graph.function()
    assert graph.function(of="y").value_and_gradient([3.0]) == (9, [6])
    with pytest.raises(graphrun.UsageError, match=r"'z' has the shape \(2,\), and a gradient is that of a number"):
        graph.function(of="z").value_and_gradient([3.0])


def test_a_matrix_that_takes_too_much_memory_is_refused():
    """Before it is made; the function of another node has the graph's limit too."""
    graph = graphrun.load(
        {"parameters": {"x": np.ones(2000)}, "nodes": {"y": "exp(x) * x", "f": "sum(y)"}, "minimize": "f"},
        memory="100MiB",
    )
    function = graph.function()
    for take, what in (
        (lambda: function.hessian(function.start), "the Hessian of f, 2,000 x 2,000 numbers, takes 153 MiB of memory"),
        (lambda: function.jacobian(function.start, of="y"), "the Jacobian of y, 2,000 x 2,000 numbers, takes"),
    ):
        with pytest.raises(graphrun.MemoryLimitError, match=what):
            take()
    assert function.hessian_product(function.start, np.ones(2000)) == pytest.approx(np.full(2000, 3 * np.e))
    assert function.jacobian(function.start).shape == (1, 2000)


@graphrun.elementwise
def steep(xp, x):
    """A type whose derivative is not to be had above 4."""
    return x * x


@steep.local_derivatives
def _(xp, y, x):
    if (x > 4).any():
        raise RuntimeError("too steep")
    return (2 * x,)


@pytest.mark.parametrize("value", [1.0, [1.0, 2.0]])
@pytest.mark.parametrize("ask", ["value_and_gradient", "jacobian", "hessian", "residuals"])
def test_a_derivative_that_raises_is_told(value, ask):
    """By every method, also by that of a solver: which node, and what its inputs are."""
    data = {"parameters": {"x": value}, "nodes": {"y": "steep(x) + 0", "f": "sum(y ** 2)"}, "minimize": "f"}
    function = graphrun.load(data, types=steep).function()
    point = function.start + 4
    take = {
        "value_and_gradient": lambda: function.value_and_gradient(point),
        "hessian": lambda: function.hessian(point),
        "jacobian": lambda: function.jacobian(point),
        "residuals": lambda: function.jacobian(point, of="y"),
    }
    with pytest.raises(graphrun.PluginError, match=r"node 'y\.1' \(type steep\) .*raises RuntimeError: too steep"):
        take[ask]()


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_do_not_disturb_each_other(engine):
    """Each has its own numbers."""
    function = graphrun.load(GRAPHS / "rosenbrock.yaml").function(engine=engine)
    points = np.random.default_rng(0).normal(size=(400, 2))

    def call(x):
        value, gradient = function.value_and_gradient(x)
        return value, *gradient, function.value(x, of="off"), *function.jacobian(x)[0]

    with ThreadPoolExecutor(8) as pool:
        found = np.array(list(pool.map(call, points)))
    for x, (value, *gradient, off, _, _) in zip(points, found.tolist(), strict=True):
        assert value == pytest.approx(scipy.optimize.rosen(x), rel=1e-12)
        np.testing.assert_allclose(gradient, scipy.optimize.rosen_der(x), rtol=1e-12, atol=1e-11)
        assert off == x[1] - x[0] ** 2


def test_a_function_is_pickled_with_its_graph():
    """For SciPy's workers: the copy is the same function, also one of another node and of some arguments."""
    function = graphrun.loads(SHAPES).function(["b", "a"], engine="numpy")
    for original in (function, function.of("y")):
        again = pickle.loads(pickle.dumps(original))  # noqa: S301 (our own)
        assert (again.node, again.arguments, again.engine) == (original.node, ("b", "a"), "numpy")
        np.testing.assert_array_equal(again.value([0, 1, 10]), original.value([0, 1, 10]))


@pytest.mark.campaign
def test_processes_call_it():
    """SciPy's differential evolution, spread over two processes that are started anew."""
    function = graphrun.load(GRAPHS / "rosenbrock.yaml").function(engine="numpy")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = scipy.optimize.differential_evolution(
            function, [(-2, 2), (-2, 2)], workers=pool.map, updating="deferred", maxiter=2, popsize=3, rng=0
        )
    assert found.nfev > 6


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("engine", ENGINES)
def test_points_of_any_dtype_are_the_graphs(load, engine, dtype):
    """Whole numbers too; what is returned is a new array each time."""
    function = load("parameters: {x: 1, y: 2}\nnodes: {f: x / y}\nminimize: f\n").function(engine=engine, dtype=dtype)
    assert function.start.dtype == dtype
    for kind in (int, np.float32, np.float64):
        value, gradient = function.value_and_gradient(np.array([3, 2], kind))
        assert value == 1.5
        assert gradient.dtype == dtype
        np.testing.assert_array_equal(gradient, [0.5, -0.75])
    assert function.value_and_gradient([3, 2])[1] is not gradient
    assert function.value_and_gradient([3, 2])[1] is not function.value_and_gradient([3, 2])[1]
