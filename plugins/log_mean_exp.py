"""A smooth maximum along an axis, as an example of a tensor node type."""

import graphrun


@graphrun.tensor(
    examples=[
        graphrun.Example(shapes=[(3, 4)]),
        graphrun.Example(shapes=[(3, 4)], settings={"axis": 0}),
        graphrun.Example(shapes=[(2, 3, 4)], settings={"axis": -1}),
        # Numbers so large that e^x overflows: the shift by the maximum has to save them.
        graphrun.Example(values=[[1000.0, 1001.0, 999.5]]),
    ]
)
def log_mean_exp(xp, x, *, axis: int | None = None):
    """Logarithm of the mean of e^x, along an axis or over all elements: between the mean and the maximum."""
    largest = xp.max(x, axis=axis, keepdims=True)
    mean = xp.mean(xp.exp(x - largest), axis=axis)
    return xp.log(mean) + xp.reshape(largest, mean.shape)


@log_mean_exp.vjp
def _(xp, gradient, y, x, *, axis):
    # dy/dx_i = e^(x_i) / (n mean(e^x)) = e^(x_i - y) / n: the softmax of x.
    count = x.size if axis is None else x.shape[axis]
    if axis is not None:
        gradient, y = xp.expand_dims(gradient, axis=axis), xp.expand_dims(y, axis=axis)
    return (gradient * xp.exp(x - y) / count,)


@graphrun.hookimpl
def graphrun_node_types():
    """Return the node types of this plugin."""
    return [log_mean_exp]
