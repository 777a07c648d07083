"""Properties that tie the functions together, on arrays drawn by hypothesis.

Each is a theorem about the formulas; the bound of each follows from those of the functions that it
compares. Values themselves are compared with references elsewhere.
"""

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import DTypeLike

import logitkit
from tests.support import FLOATS, REDUCTIONS, Array, index_shape, rows_of

# Two results within 2 ulp of one value, or 4 where options are involved, and what rounding the
# theorem's own arithmetic in float64 adds.
PLAIN = 4.5
OPTIONS = 9.0


def close(got: object, want: object, dtype: DTypeLike, bound: float, scale: object = 0.0) -> None:
    """Compare within `bound` ulp of the wanted values, or of a scale where that is larger."""
    left, right = np.asarray(got, np.float64), np.asarray(want, np.float64)
    limits = np.finfo(np.dtype(dtype).type)
    size = np.maximum(np.abs(right), np.abs(np.asarray(scale, np.float64)))
    unit = np.maximum(float(limits.eps) * size, float(limits.smallest_subnormal))
    assert left.shape == right.shape
    assert np.isfinite(left).all()
    assert (np.abs(left - right) <= bound * unit).all(), f"\n{left}\n{right}"


# Strategies


@st.composite
def cases(
    draw: st.DrawFn, largest: float = 80.0, *, rows: int = 0, exact: bool = False
) -> tuple[Array, int]:
    """Draw logits of 1 to 3 dimensions, and the axis of their classes.

    They are any numbers, or whole ones and so tied, or (`exact`) multiples of 1/64.
    """
    dtype = draw(st.sampled_from(FLOATS))
    axis = draw(st.integers(0, 2))
    classes = draw(st.sampled_from((1, 2, 3, 4, 10, 17, 33)))
    before = draw(st.lists(st.integers(rows, 4), min_size=axis, max_size=axis))
    after = draw(st.lists(st.integers(rows, 4), max_size=2 - axis))
    shape = (*before, classes, *after)
    if exact:
        bits = int(largest * 64)
        return draw(hnp.arrays(np.int64, shape, elements=st.integers(-bits, bits))).astype(
            dtype
        ) / dtype(64), axis
    numbers = st.floats(-largest, largest, width=32)
    elements = draw(st.sampled_from((numbers, st.integers(-3, 3).map(float))))
    return draw(hnp.arrays(dtype, shape, elements=elements)), axis


def draw_indices(data: st.DataObject, x: Array, axis: int, *, ignored: bool = False) -> Array:
    """Draw class indices, some of them -100 if asked."""
    classes = st.integers(0, x.shape[axis] - 1)
    elements = st.one_of(classes, st.just(-100)) if ignored else classes
    return data.draw(hnp.arrays(np.int64, index_shape(x, axis), elements=elements), "indices")


def draw_numbers(data: st.DataObject, shape: Any, dtype: DTypeLike, low: int, name: str) -> Array:  # noqa: ANN401
    """Draw multiples of 1/64 up to 4, whose products with each other are exact."""
    elements = st.integers(low, 256)
    whole = data.draw(hnp.arrays(np.int64, shape, elements=elements), name)
    return (whole / 64).astype(dtype)


def one_hot(indices: Array, x: Array, axis: int) -> Array:
    """Spread class indices along `axis` of an array like `x`."""
    spread = np.zeros(x.shape, x.dtype)
    np.put_along_axis(spread, np.expand_dims(indices, axis), 1, axis)
    return spread


# softmax and its logarithm


@given(case=cases())
def test_rows_of_softmax_sum_to_1(case: tuple[Array, int]) -> None:
    """Each entry is within 2 ulp of itself, so that the sum is, whatever the number of classes."""
    x, axis = case
    for row in rows_of(logitkit.softmax(x, axis), axis):
        assert abs(math.fsum(row) - 1) <= 2.5 * np.finfo(x.dtype).eps
        assert all(0 <= p <= 1 for p in row)


@given(case=cases(largest=20.0))
def test_log_softmax_is_the_log_of_softmax(case: tuple[Array, int]) -> None:
    x, axis = case
    want = np.log(logitkit.softmax(x, axis).astype(np.float64))
    close(logitkit.log_softmax(x, axis), want, x.dtype, PLAIN, scale=1.0)


@given(case=cases())
def test_log_softmax_is_the_distance_from_logsumexp(case: tuple[Array, int]) -> None:
    x, axis = case
    lse = np.asarray(logitkit.logsumexp(x, axis, keepdims=True), np.float64)
    terms = np.maximum(np.abs(x), np.abs(lse).max(initial=1.0))
    close(logitkit.log_softmax(x, axis), x - lse, x.dtype, PLAIN, scale=terms)


@given(case=cases(exact=True), power=st.integers(-3, 10), sign=st.sampled_from((1, -1)))
def test_a_shift_of_all_classes_changes_nothing(
    case: tuple[Array, int], power: int, sign: int
) -> None:
    """The sums with the shift are exact here, so that only the functions' own bounds remain."""
    x, axis = case
    shift = x.dtype.type(sign * 2.0**power)
    close(logitkit.softmax(x + shift, axis), logitkit.softmax(x, axis), x.dtype, PLAIN)
    close(logitkit.log_softmax(x + shift, axis), logitkit.log_softmax(x, axis), x.dtype, PLAIN)
    lse = np.asarray(logitkit.logsumexp(x, axis), np.float64)
    terms = np.abs(lse) + float(abs(shift)) + np.log(x.shape[axis])
    close(logitkit.logsumexp(x + shift, axis), lse + float(shift), x.dtype, PLAIN, scale=terms)


@given(data=st.data(), case=cases())
def test_classes_can_be_permuted(data: st.DataObject, case: tuple[Array, int]) -> None:
    x, axis = case
    order = data.draw(st.permutations(range(x.shape[axis])), "order")
    permuted = x.take(order, axis=axis)
    for function in (logitkit.softmax, logitkit.log_softmax):
        close(function(permuted, axis), function(x, axis).take(order, axis), x.dtype, PLAIN)
    lse = logitkit.logsumexp(x, axis)
    terms = np.abs(x).max(axis=axis, initial=0.0)
    close(logitkit.logsumexp(permuted, axis), lse, x.dtype, PLAIN, scale=terms)
    targets = draw_indices(data, x, axis)
    loss, grad = logitkit.cross_entropy_and_grad(x, targets, axis=axis, reduction="none")
    renamed = np.argsort(order)[targets]
    same, moved = logitkit.cross_entropy_and_grad(permuted, renamed, axis=axis, reduction="none")
    close(same, loss, x.dtype, PLAIN)
    close(moved, grad.take(order, axis), x.dtype, PLAIN)


@given(data=st.data(), case=cases())
def test_rows_do_not_know_each_other(data: st.DataObject, case: tuple[Array, int]) -> None:
    """Rows in any order, alone or in company, give the same."""
    x, axis = case
    rows = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
    order = data.draw(st.permutations(range(len(rows))), "order")
    for function in (logitkit.softmax, logitkit.log_softmax):
        together = np.moveaxis(function(x, axis), axis, -1).reshape(rows.shape)
        close(function(rows[order]), together[order], x.dtype, PLAIN)
        for row, want in zip(rows, together, strict=True):
            close(function(row), want, x.dtype, PLAIN)


@given(data=st.data(), case=cases(largest=20.0))
def test_vjps_are_products_with_the_jacobian(data: st.DataObject, case: tuple[Array, int]) -> None:
    x, axis = case
    probs, logs = logitkit.softmax(x, axis), logitkit.log_softmax(x, axis)
    cotangent = draw_numbers(data, x.shape, x.dtype, -256, "cotangent")
    got = rows_of(logitkit.softmax_vjp(probs, cotangent, axis), axis)
    of_logs = rows_of(logitkit.log_softmax_vjp(logs, cotangent, axis), axis)
    identity = np.eye(x.shape[axis])
    for i, (p, log, g) in enumerate(
        zip(*(np.array(rows_of(part, axis)) for part in (probs, logs, cotangent)), strict=True)
    ):
        bound = PLAIN + len(p)
        jacobian = np.diag(p) - np.outer(p, p)
        close(got[i], jacobian @ g, x.dtype, bound, scale=p * (np.abs(g) + p @ np.abs(g)))
        of_log = identity - np.outer(np.exp(log), np.ones_like(p))
        terms = np.abs(g) + np.exp(log) * np.abs(g).sum()
        close(of_logs[i], of_log @ g, x.dtype, bound, scale=terms)


# One element


@given(x=hnp.arrays(np.float64, (9,), elements=st.floats(-700, 700)))
def test_sigmoid_and_its_relatives(x: Array) -> None:
    eps = np.float64
    close(logitkit.sigmoid(x) + logitkit.sigmoid(-x), np.ones(9), eps, PLAIN)
    close(logitkit.log_sigmoid(x), -logitkit.softplus(-x), eps, PLAIN)
    close(logitkit.log_sigmoid(x), np.log(logitkit.sigmoid(x)), eps, PLAIN, scale=1.0)
    positive = logitkit.softplus(x)
    close(positive - logitkit.softplus(-x), x, eps, PLAIN, scale=positive + np.abs(x))
    pairs = np.stack([np.zeros_like(x), x], axis=-1)
    close(logitkit.softmax(pairs)[:, 1], logitkit.sigmoid(x), eps, PLAIN)
    close(logitkit.logsumexp(pairs), positive, eps, PLAIN)


@given(data=st.data(), case=cases())
def test_the_binary_loss_is_the_softmax_loss_of_two_classes(
    data: st.DataObject, case: tuple[Array, int]
) -> None:
    z = case[0].reshape(-1)
    y = data.draw(hnp.arrays(np.int64, z.shape, elements=st.integers(0, 1)), "targets")
    pairs = np.stack([np.zeros_like(z), z], axis=-1)
    want, slopes = logitkit.cross_entropy_and_grad(pairs, y, reduction="none")
    got, slope = logitkit.binary_cross_entropy_with_logits_and_grad(z, y, reduction="none")
    close(got, want, z.dtype, PLAIN)
    close(slope, slopes[:, 1], z.dtype, PLAIN)


# Losses


@given(data=st.data(), case=cases(largest=20.0))
def test_cross_entropy_of_softmax_is_the_softmax_loss(
    data: st.DataObject, case: tuple[Array, int]
) -> None:
    x, axis = case
    targets = draw_indices(data, x, axis)
    want = logitkit.cross_entropy(x, targets, axis=axis, reduction="none")
    probs, logs = logitkit.softmax(x, axis), logitkit.log_softmax(x, axis)
    from_probs = logitkit.categorical_cross_entropy(probs, targets, axis=axis, reduction="none")
    close(from_probs, want, x.dtype, PLAIN + 2, scale=1.0)
    close(logitkit.nll_loss(logs, targets, axis=axis, reduction="none"), want, x.dtype, PLAIN)


@given(data=st.data(), case=cases())
def test_rows_of_the_gradient_sum_to_0(data: st.DataObject, case: tuple[Array, int]) -> None:
    x, axis = case
    weight = draw_numbers(data, (x.shape[axis],), x.dtype, 1, "weight")
    smoothing = data.draw(st.sampled_from((0.0, 0.125)), "label_smoothing")
    indices = draw_indices(data, x, axis)
    for targets in (indices, draw_numbers(data, x.shape, x.dtype, 0, "targets")):
        _, grad = logitkit.cross_entropy_and_grad(
            x, targets, axis=axis, weight=weight, label_smoothing=smoothing, reduction="sum"
        )
        whole = 1.0 if targets is indices else 4.0 * x.shape[axis]
        terms = 2 * float(weight.max()) * (whole + 1)
        sums = [math.fsum(row) for row in rows_of(grad, axis)]
        close(sums, np.zeros(len(sums)), x.dtype, OPTIONS, scale=terms)


@given(case=cases())
def test_the_gradient_vanishes_where_the_targets_are_the_softmax(case: tuple[Array, int]) -> None:
    x, axis = case
    targets = logitkit.softmax(x, axis)
    _, grad = logitkit.cross_entropy_and_grad(x, targets, axis=axis, reduction="sum")
    # The rows of rounded targets sum to 1 but for 2 ulp, which the gradient shows.
    close(grad, np.zeros(x.shape), x.dtype, OPTIONS, scale=targets)


@given(data=st.data(), case=cases(rows=1))
def test_reductions(data: st.DataObject, case: tuple[Array, int]) -> None:
    """Sum is the sum of none; mean is the sum over its denominator, and so are the gradients."""
    x, axis = case
    targets = draw_indices(data, x, axis)
    options: dict[str, Any] = {
        "weight": draw_numbers(data, (x.shape[axis],), x.dtype, 1, "weight"),
        "sample_weight": draw_numbers(data, targets.shape, x.dtype, 1, "sample_weight"),
    }
    for given_options in ({}, options):
        (losses, each), (total, summed), (mean, divided) = (
            logitkit.cross_entropy_and_grad(
                x, targets, axis=axis, reduction=reduction, **given_options
            )
            for reduction in REDUCTIONS
        )
        parts = [1.0] * targets.size
        if given_options:
            parts = (options["weight"][targets] * options["sample_weight"]).ravel().tolist()
        close(total, math.fsum(np.ravel(losses).tolist()), x.dtype, OPTIONS)
        close(mean, float(total) / math.fsum(parts), x.dtype, OPTIONS)
        close(summed, each, x.dtype, OPTIONS)
        # A subnormal entry of the sum has fewer bits, which the division does not bring back.
        tiny = float(np.finfo(x.dtype).tiny) / math.fsum(parts)
        close(divided, summed.astype(np.float64) / math.fsum(parts), x.dtype, OPTIONS, tiny)


@given(data=st.data(), case=cases(rows=1))
def test_weights_of_1_are_no_weights(data: st.DataObject, case: tuple[Array, int]) -> None:
    x, axis = case
    targets = draw_indices(data, x, axis)
    ones: dict[str, Any] = {
        "weight": np.ones(x.shape[axis]),
        "sample_weight": np.ones(targets.shape),
    }
    for reduction in REDUCTIONS:
        want = logitkit.cross_entropy_and_grad(x, targets, axis=axis, reduction=reduction)
        got = logitkit.cross_entropy_and_grad(x, targets, axis=axis, reduction=reduction, **ones)
        for left, right in zip(got, want, strict=True):
            close(left, right, x.dtype, OPTIONS)


@given(data=st.data(), case=cases(rows=1))
def test_a_whole_sample_weight_is_a_repeated_row(
    data: st.DataObject, case: tuple[Array, int]
) -> None:
    x = np.moveaxis(*case, -1).reshape(-1, case[0].shape[case[1]])
    targets = draw_indices(data, x, -1)
    times = data.draw(hnp.arrays(np.int64, len(x), elements=st.integers(0, 3)), "times")
    weight = draw_numbers(data, x.shape[1:], x.dtype, 1, "weight")
    for reduction in ("sum", "mean") if times.any() else ("sum",):
        got, grad = logitkit.cross_entropy_and_grad(
            x, targets, weight=weight, sample_weight=times, reduction=reduction
        )
        want, rows = logitkit.cross_entropy_and_grad(
            x.repeat(times, axis=0), targets.repeat(times), weight=weight, reduction=reduction
        )
        close(got, want, x.dtype, OPTIONS)
        first = (np.cumsum(times) - times)[times > 0]
        factors = times[times > 0, None]
        close(grad[times > 0], rows[first].astype(np.float64) * factors, x.dtype, OPTIONS)
        assert (grad[times == 0] == 0).all()


@given(data=st.data(), case=cases(rows=1))
def test_ignored_rows_are_as_if_removed(data: st.DataObject, case: tuple[Array, int]) -> None:
    x = np.moveaxis(*case, -1).reshape(-1, case[0].shape[case[1]])
    targets = draw_indices(data, x, -1, ignored=True)
    kept = targets != -100
    weight = draw_numbers(data, x.shape[1:], x.dtype, 1, "weight")
    for reduction in ("sum", "mean") if kept.any() else ("sum",):
        got, grad = logitkit.cross_entropy_and_grad(
            x, targets, weight=weight, ignore_index=-100, reduction=reduction
        )
        want, rows = logitkit.cross_entropy_and_grad(
            x[kept], targets[kept], weight=weight, reduction=reduction
        )
        close(got, want, x.dtype, OPTIONS)
        close(grad[kept], rows, x.dtype, OPTIONS)
        assert (grad[~kept] == 0).all()


@given(data=st.data(), case=cases(rows=1), smoothing=st.sampled_from((0.0, 0.125, 0.5, 1.0)))
def test_smoothing_is_a_mixture_of_soft_targets(
    data: st.DataObject, case: tuple[Array, int], smoothing: float
) -> None:
    x, axis = case
    indices = draw_indices(data, x, axis)
    hard = one_hot(indices, x, axis)
    mixed = (1 - smoothing) * hard.astype(np.float64) + smoothing / x.shape[axis]
    for reduction in REDUCTIONS:
        want, slopes = logitkit.cross_entropy_and_grad(
            x, indices, axis=axis, label_smoothing=smoothing, reduction=reduction
        )
        for targets, rest in ((hard, smoothing), (hard.astype(bool), smoothing), (mixed, 0.0)):
            got, grad = logitkit.cross_entropy_and_grad(
                x, targets, axis=axis, label_smoothing=rest, reduction=reduction
            )
            close(got, want, x.dtype, OPTIONS)
            close(grad, slopes, x.dtype, OPTIONS, scale=1.0)


@given(data=st.data(), case=cases(rows=1))
def test_z_loss_adds_the_square_of_logsumexp(data: st.DataObject, case: tuple[Array, int]) -> None:
    x, axis = case
    targets = draw_indices(data, x, axis)
    plain = logitkit.cross_entropy(x, targets, axis=axis, reduction="none")
    lse = np.asarray(logitkit.logsumexp(x, axis), np.float64)
    terms = np.abs(lse) * np.abs(x).max(axis=axis)
    got = logitkit.cross_entropy(x, targets, axis=axis, z_loss=0.25, reduction="none")
    close(got, plain + 0.25 * lse**2, x.dtype, 2 * OPTIONS, scale=terms)


# Prediction


@given(data=st.data(), case=cases())
def test_top_k_is_a_stable_sort(data: st.DataObject, case: tuple[Array, int]) -> None:
    x, axis = case
    k = data.draw(st.integers(0, x.shape[axis]), "k")
    values, indices = logitkit.top_k(x, k, axis)
    # A stable descending sort: -0.0 equals 0.0, as it does here.
    order = np.argsort(-x, axis=axis, kind="stable").take(range(k), axis=axis)
    assert np.array_equal(indices, order)
    assert np.array_equal(values, np.take_along_axis(x, order, axis))


@given(data=st.data(), case=cases(rows=1))
def test_accuracy_grows_with_k_up_to_1(data: st.DataObject, case: tuple[Array, int]) -> None:
    x, axis = case
    targets = draw_indices(data, x, axis)
    shares = [
        float(logitkit.accuracy(x, targets, k=k, axis=axis)) for k in range(x.shape[axis] + 1)
    ]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares[1] == (np.argmax(x, axis=axis) == targets).mean()


@given(data=st.data(), case=cases(largest=20.0, rows=1))
def test_perplexity_is_the_exponential_of_the_mean_loss(
    data: st.DataObject, case: tuple[Array, int]
) -> None:
    x, axis = case
    targets = draw_indices(data, x, axis)
    loss = logitkit.cross_entropy(x.astype(np.float64), targets, axis=axis)
    want = math.exp(loss)
    got = logitkit.perplexity(x, targets, axis=axis)
    # The losses of float32 logits are right to float32's last bits, and their mean is not rounded.
    scale = np.finfo(x.dtype).eps / np.finfo(np.float64).eps
    close(got, want, np.float64, scale * PLAIN * (1 + abs(float(loss))))


@given(data=st.data())
def test_linear_is_a_matrix_product(data: st.DataObject) -> None:
    features, classes = data.draw(st.integers(0, 9)), data.draw(st.integers(1, 5))
    lead = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=4), "lead")
    dtype = data.draw(st.sampled_from(FLOATS), "dtype")
    x = draw_numbers(data, (*lead, features), dtype, -256, "x")
    weight = draw_numbers(data, (classes, features), dtype, -256, "weight")
    bias = draw_numbers(data, (classes,), dtype, -256, "bias")
    want = x.astype(np.float64) @ weight.T.astype(np.float64)
    # Sums of so few products of such numbers are exact in either type.
    assert np.array_equal(logitkit.linear(x, weight), want)
    assert np.array_equal(logitkit.linear(x, weight, bias), want + bias)
