"""Every public function once more, in plain Python on lists: the oracle of the tests.

Only `math` and lists: no NumPy, and no code shared with the package. A *row* is the list of the
classes of one sample; targets are a list with one entry per row, an int (a class index) or a list
of floats (soft targets). Axes, shapes and dtypes are the business of the tests; the checks of
arguments and their errors do not belong here either.

Numbers are good to about 1e-15, relative to the value where the contract bounds the value, and
relative to the terms where the contract bounds those: a `Total` is a float that carries its terms.
Below the smallest normal number they are good to one ulp before options scale them up.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

Row = Sequence[float]
Target = int | Row
Loss = float | list[float]


class Total(float):
    """A sum, with the largest of its terms and the sum of their magnitudes (at least its own)."""

    largest: float
    magnitude: float

    def __new__(cls, value: float, terms: Iterable[float]) -> Self:
        """Make the sum `value` of `terms`."""
        own = largest = abs(value)
        magnitude = 0.0
        for term in terms:
            size = abs(term)
            magnitude += size
            largest = max(largest, size)
        return cls._make(value, largest, max(own, magnitude))

    def scaled(self, factor: float, divisor: float = 1.0) -> Self:
        """Multiply value and terms by `factor` and divide by `divisor`."""
        if factor == divisor == 1.0:
            return self
        up, down = abs(factor), abs(divisor)
        return self._make(
            self * factor / divisor, self.largest * up / down, self.magnitude * up / down
        )

    @classmethod
    def added(cls, totals: Sequence["Total"]) -> Self:
        """Add up sums: as accurate as their parts allow."""
        largest = _sum([total.largest for total in totals])
        return cls._make(_sum(totals), largest, _sum([total.magnitude for total in totals]))

    @classmethod
    def _make(cls, value: float, largest: float, magnitude: float) -> Self:
        total = float.__new__(cls, value)
        total.largest, total.magnitude = largest, magnitude
        return total


def _sum(terms: Sequence[float]) -> float:
    """`math.fsum` that answers inf or nan where fsum raises."""
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):
        return sum(terms)


def _product(coefficient: float, value: float) -> float:
    """Multiply, with 0 times anything being 0."""
    return 0.0 if coefficient == 0 else coefficient * value


def _without_each(terms: Sequence[float]) -> list[float]:
    """For each of the terms (none negative), the sum of the others, without cancellation."""
    top = max(range(len(terms)), key=terms.__getitem__)
    total = _sum(terms)
    rest = _sum([*terms[:top], *terms[top + 1 :]])
    return [rest if i == top else total - term for i, term in enumerate(terms)]


# Rows of logits


def _exp_difference(a: float, b: float) -> float:
    """`exp(a - b)` for a <= b, with the rounding error of the difference put back."""
    difference = a - b
    if math.isinf(difference):
        return 0.0
    return math.exp(difference) * (1.0 + math.fsum([a, -b, -difference]))


def _is_regular(row: Row) -> bool:
    """Tell whether the row has a softmax: no NaN, no +inf, and not -inf throughout."""
    return all(not math.isnan(x) and x != math.inf for x in row) and any(x > -math.inf for x in row)


class _Logits:
    """What everything else is made of, for a regular row: maximum, rest, log of the sum."""

    def __init__(self, row: Row) -> None:
        self.maximum = max(row)
        self.exps = [_exp_difference(x, self.maximum) for x in row]
        self.others = _without_each(self.exps)
        top = list(row).index(self.maximum)
        self.log_rest = math.log1p(self.others[top])
        self.lse = _sum([self.maximum, self.log_rest])
        self.probs = [e / (1.0 + self.others[top]) for e in self.exps]
        self.complements = [other / (1.0 + self.others[top]) for other in self.others]


def logsumexp(row: Row) -> Total:
    """Log of the sum of the exponentials."""
    if not _is_regular(row):
        worst = math.nan if any(math.isnan(x) for x in row) else max(row, default=-math.inf)
        return Total(worst, [])
    logits = _Logits(row)
    return Total(logits.lse, [logits.maximum, logits.log_rest])


def softmax(row: Row) -> list[float]:
    """Exponentials divided by their sum."""
    return _Logits(row).probs if _is_regular(row) else [math.nan] * len(row)


def log_softmax(row: Row) -> list[float]:
    """Logits less their logsumexp."""
    if not _is_regular(row):
        return [math.nan] * len(row)
    logits = _Logits(row)
    return [_sum([x, -logits.maximum, -logits.log_rest]) for x in row]


def softmax_vjp(probs: Row, cotangent: Row) -> list[Total]:
    """Gradient of softmax: p (g - sum p g)."""
    products = [p * g for p, g in zip(probs, cotangent, strict=True)]
    mean, size = _sum(products), _sum([abs(product) for product in products])
    return [
        Total(p * _sum([g, -mean]), [p * g, p * size])
        for p, g in zip(probs, cotangent, strict=True)
    ]


def log_softmax_vjp(log_probs: Row, cotangent: Row) -> list[Total]:
    """Gradient of log_softmax: g - p sum g."""
    total, size = _sum(cotangent), _sum([abs(g) for g in cotangent])
    pairs = [(math.exp(log_p), g) for log_p, g in zip(log_probs, cotangent, strict=True)]
    return [Total(_sum([g, -p * total]), [g, p * size]) for p, g in pairs]


# Single numbers


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x))."""
    small = math.exp(-abs(x))
    return (small if x < 0 else 1.0) / (1.0 + small)


def log_sigmoid(x: float) -> float:
    """Log of the sigmoid."""
    return -softplus(-x)


def softplus(x: float) -> float:
    """Log of 1 + exp(x)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


# Losses of rows


def _coefficients(target: Target, classes: int, weight: Row | None, smoothing: float) -> Row:
    """Give what the loss multiplies `lse - x_c` by, for each class c."""
    weight = [1.0] * classes if weight is None else weight
    shares = [float(c == target) for c in range(classes)] if isinstance(target, int) else target
    return [
        w * ((1.0 - smoothing) * share + smoothing / classes)
        for w, share in zip(weight, shares, strict=True)
    ]


def _losses_of_rows(
    rows: Sequence[Row],
    targets: Sequence[Target],
    one_row: Callable[[Row, Row, bool], tuple[Total, list[Total]]],
    *,
    weight: Row | None,
    sample_weight: Row | None,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> tuple[Loss, list[list[float]]]:
    """Apply `one_row` (row, coefficients, is the target an index) to the rows kept; reduce."""
    losses: list[Total] = []
    grads: list[list[Total]] = []
    shares: list[float] = []
    for n, (row, target) in enumerate(zip(rows, targets, strict=True)):
        scale = 1.0 if sample_weight is None else sample_weight[n]
        coefficients = _coefficients(target, len(row), weight, label_smoothing)
        is_index = isinstance(target, int)
        if (
            scale == 0
            or (is_index and target == ignore_index)
            or (not any(coefficients) and z_loss == 0)
        ):
            losses.append(Total(0.0, []))
            grads.append([Total(0.0, []) for _ in row])
            continue
        loss, grad = one_row(row, coefficients, is_index)
        losses.append(loss.scaled(scale))
        grads.append([entry.scaled(scale) for entry in grad])
        class_weight = weight[target] if isinstance(target, int) and weight is not None else 1.0
        shares.append(scale * class_weight)
    return _reduced(losses, grads, reduction, _sum(shares))


def _reduced(
    losses: Sequence[Total], grads: Sequence[Sequence[Total]], reduction: str, divisor: float
) -> tuple[Loss, list[list[float]]]:
    """Reduce the losses, and scale the gradients to match."""
    if reduction == "none":
        return list(losses), [list(row) for row in grads]
    total = Total.added(losses)
    if reduction == "sum":
        return total, [list(row) for row in grads]
    if divisor == 0:
        return math.nan, [[0.0] * len(row) for row in grads]
    return total.scaled(1.0, divisor), [
        [entry.scaled(1.0, divisor) for entry in row] for row in grads
    ]


def cross_entropy_and_grad(
    rows: Sequence[Row],
    targets: Sequence[Target],
    *,
    weight: Row | None = None,
    sample_weight: Row | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    reduction: str = "mean",
) -> tuple[Loss, list[list[float]]]:
    """Cross entropy of logits, and its gradient."""

    def one_row(row: Row, a: Row, is_index: bool) -> tuple[Total, list[Total]]:
        if not _is_regular(row):
            return Total(math.nan, []), [Total(math.nan, [])] * len(row)
        logits = _Logits(row)
        maximum, rest, lse = logits.maximum, logits.log_rest, logits.lse
        all_a, other_a = _sum(a), _without_each(a)
        likelihood = [_product(a_c, maximum - x) for a_c, x in zip(a, row, strict=True)]
        likelihood.append(all_a * rest)
        squares = [maximum * maximum, 2.0 * maximum * rest, rest * rest]
        loss = Total(
            _sum([*likelihood, _product(z_loss, lse * lse)]),
            [*likelihood, *(_product(z_loss, square) for square in squares)],
        )
        plain = is_index and label_smoothing == 0 and z_loss == 0
        grad = []
        for p, q, a_i, other in zip(logits.probs, logits.complements, a, other_a, strict=True):
            z_terms = [2.0 * _product(z_loss, maximum * p), 2.0 * _product(z_loss, rest * p)]
            parts = [other * p, -a_i * q]
            value = _sum([*parts, 2.0 * _product(z_loss, lse * p)])
            # With one class in play nothing cancels; otherwise the terms are those of the formula.
            grad.append(Total(value, parts if plain else [all_a * p, a_i, *z_terms]))
        return loss, grad

    return _losses_of_rows(
        rows,
        targets,
        one_row,
        weight=weight,
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
        z_loss=z_loss,
    )


def _hessian_factor(name: str, classes: int) -> float:
    """Give what the diagonal is multiplied by."""
    return {"exact": 1.0, "bound": 2.0, "friedman": classes / max(classes - 1, 1)}[name]


def cross_entropy_and_grad_hess(
    rows: Sequence[Row],
    targets: Sequence[Target],
    *,
    weight: Row | None = None,
    sample_weight: Row | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    reduction: str = "mean",
    hessian: str = "exact",
) -> tuple[Loss, list[list[float]], list[list[float]]]:
    """Cross entropy of logits, its gradient, and the diagonal of its Hessian."""

    def one_row(row: Row, a: Row, _is_index: bool) -> tuple[Total, list[Total]]:
        if not _is_regular(row):
            return Total(math.nan, []), [Total(math.nan, [])] * len(row)
        logits, all_a = _Logits(row), _sum(a)
        factor = _hessian_factor(hessian, len(row))
        hess = []
        for p, q in zip(logits.probs, logits.complements, strict=True):
            parts = [all_a * p * q]
            if z_loss != 0:
                parts += [2.0 * z_loss * p * p, 2.0 * z_loss * logits.lse * p * q]
            hess.append(Total(_sum(parts), parts).scaled(factor))
        return Total(0.0, []), hess

    options: dict[str, Any] = {
        "weight": weight,
        "sample_weight": sample_weight,
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
        "z_loss": z_loss,
        "reduction": reduction,
    }
    _, hess = _losses_of_rows(rows, targets, one_row, **options)
    return *cross_entropy_and_grad(rows, targets, **options), hess


def nll_loss_and_grad(
    rows: Sequence[Row],
    targets: Sequence[Target],
    *,
    weight: Row | None = None,
    sample_weight: Row | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> tuple[Loss, list[list[float]]]:
    """Negative log-likelihood of log-probabilities, and its gradient."""

    def one_row(row: Row, a: Row, _is_index: bool) -> tuple[Total, list[Total]]:
        terms = [-_product(a_c, log_p) for a_c, log_p in zip(a, row, strict=True)]
        return Total(_sum(terms), terms), [Total(-a_c, []) for a_c in a]

    return _losses_of_rows(
        rows,
        targets,
        one_row,
        weight=weight,
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def _clipped_log(p: float, q: float, eps: float) -> tuple[float, float]:
    """Log of p = 1 - q clipped into [eps, 1 - eps], and its derivative by p."""
    if p < eps:
        return math.log(eps), 0.0
    if q < eps:
        return math.log1p(-eps), 0.0
    if p == 0:
        return -math.inf, math.inf
    return (math.log(p) if p < q else math.log1p(-q)), 1.0 / p


def categorical_cross_entropy_and_grad(
    rows: Sequence[Row],
    targets: Sequence[Target],
    *,
    weight: Row | None = None,
    sample_weight: Row | None = None,
    ignore_index: int | None = None,
    eps: float = 0.0,
    reduction: str = "mean",
) -> tuple[Loss, list[list[float]]]:
    """Cross entropy of probabilities, and its gradient."""

    def one_row(row: Row, a: Row, _is_index: bool) -> tuple[Total, list[Total]]:
        logs = [_clipped_log(p, 1.0 - p, eps) for p in row]
        terms = [-_product(a_c, log_p) for a_c, (log_p, _) in zip(a, logs, strict=True)]
        slopes = [-_product(a_c, slope) for a_c, (_, slope) in zip(a, logs, strict=True)]
        return Total(_sum(terms), terms), [Total(slope, []) for slope in slopes]

    return _losses_of_rows(
        rows,
        targets,
        one_row,
        weight=weight,
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


# Losses of single numbers


def _binary_reduced(
    elements: Iterable[tuple[Row, Row, float]], reduction: str
) -> tuple[Loss, list[float]]:
    """Reduce elements, each given as terms of its loss, terms of its gradient, and its weight."""
    losses: list[Total] = []
    grads: list[list[Total]] = []
    for loss, grad, weight in elements:
        losses.append(Total(_sum(loss), loss).scaled(weight))
        grads.append([Total(_sum(grad), grad).scaled(weight)])
    loss_reduced, grads_reduced = _reduced(losses, grads, reduction, len(losses))
    return loss_reduced, [row[0] for row in grads_reduced]


def binary_cross_entropy_and_grad(
    probs: Row,
    targets: Row,
    *,
    weight: Row | None = None,
    eps: float = 0.0,
    reduction: str = "mean",
) -> tuple[Loss, list[float]]:
    """Binary cross entropy of probabilities, and its gradient; weights one per element."""
    elements: list[tuple[Row, Row, float]] = []
    for p, y, w in zip(probs, targets, weight or [1.0] * len(probs), strict=True):
        if w == 0:
            elements.append(([0.0], [0.0], 1.0))
            continue
        log_p, slope_p = _clipped_log(p, 1.0 - p, eps)
        log_q, slope_q = _clipped_log(1.0 - p, p, eps)
        loss = [-_product(y, log_p), -_product(1.0 - y, log_q)]
        grad = [-_product(y, slope_p), _product(1.0 - y, slope_q)]
        elements.append((loss, grad, w))
    return _binary_reduced(elements, reduction)


def binary_cross_entropy_with_logits_and_grad(
    logits: Row,
    targets: Row,
    *,
    weight: Row | None = None,
    pos_weight: Row | None = None,
    reduction: str = "mean",
) -> tuple[Loss, list[float]]:
    """Binary cross entropy of logits, and its gradient; both weights one per element."""
    elements: list[tuple[Row, Row, float]] = []
    ones = [1.0] * len(logits)
    for z, y, w, pos in zip(logits, targets, weight or ones, pos_weight or ones, strict=True):
        if w == 0:
            elements.append(([0.0], [0.0], 1.0))
            continue
        loss = [_product(pos * y, softplus(-z)), _product(1.0 - y, softplus(z))]
        grad = [_product(1.0 - y, sigmoid(z)), -_product(pos * y, sigmoid(-z))]
        elements.append((loss, grad, w))
    return _binary_reduced(elements, reduction)


def binary_cross_entropy_with_logits_and_grad_hess(
    logits: Row,
    targets: Row,
    *,
    weight: Row | None = None,
    pos_weight: Row | None = None,
    reduction: str = "mean",
) -> tuple[Loss, list[float], list[float]]:
    """Binary cross entropy of logits, its gradient, and its second derivatives."""
    ones = [1.0] * len(logits)
    elements: list[tuple[Row, Row, float]] = []
    for z, y, w, pos in zip(logits, targets, weight or ones, pos_weight or ones, strict=True):
        counts = pos * y + (1.0 - y)
        hess = 0.0 if w == 0 else _product(counts, sigmoid(z) * sigmoid(-z))
        elements.append(([0.0], [hess], w if w != 0 else 1.0))
    options: dict[str, Any] = {"weight": weight, "pos_weight": pos_weight, "reduction": reduction}
    loss, grad = binary_cross_entropy_with_logits_and_grad(logits, targets, **options)
    return loss, grad, _binary_reduced(elements, reduction)[1]


# The losses alone, and prediction


def cross_entropy(rows: Sequence[Row], targets: Sequence[Target], **options: Any) -> Loss:  # noqa: ANN401
    """Cross entropy of logits."""
    return cross_entropy_and_grad(rows, targets, **options)[0]


def nll_loss(rows: Sequence[Row], targets: Sequence[Target], **options: Any) -> Loss:  # noqa: ANN401
    """Negative log-likelihood of log-probabilities."""
    return nll_loss_and_grad(rows, targets, **options)[0]


def categorical_cross_entropy(
    rows: Sequence[Row],
    targets: Sequence[Target],
    **options: Any,  # noqa: ANN401
) -> Loss:
    """Cross entropy of probabilities."""
    return categorical_cross_entropy_and_grad(rows, targets, **options)[0]


def binary_cross_entropy(probs: Row, targets: Row, **options: Any) -> Loss:  # noqa: ANN401
    """Binary cross entropy of probabilities."""
    return binary_cross_entropy_and_grad(probs, targets, **options)[0]


def binary_cross_entropy_with_logits(logits: Row, targets: Row, **options: Any) -> Loss:  # noqa: ANN401
    """Binary cross entropy of logits."""
    return binary_cross_entropy_with_logits_and_grad(logits, targets, **options)[0]


def linear(
    rows: Sequence[Row], weight: Sequence[Row], bias: Row | None = None
) -> list[list[Total]]:
    """Multiply rows by the transposed weight and add the bias: the fully connected layer."""
    out = []
    for row in rows:
        terms = [[x * w for x, w in zip(row, w_row, strict=True)] for w_row in weight]
        if bias is not None:
            terms = [[*products, b] for products, b in zip(terms, bias, strict=True)]
        out.append([Total(_sum(products), products) for products in terms])
    return out


def top_k(row: Row, k: int) -> tuple[list[float], list[int]]:
    """Find the k largest values, descending, ties by lowest index, NaN first; and indices."""

    def rank(i: int) -> tuple[bool, float]:
        return (False, 0.0) if math.isnan(row[i]) else (True, -row[i])

    indices = sorted(range(len(row)), key=rank)[:k]
    return [row[i] for i in indices], indices


def accuracy(
    rows: Sequence[Row], targets: Sequence[int], *, k: int = 1, ignore_index: int | None = None
) -> float:
    """Share of the rows kept whose target is among the top k."""
    hits = [
        target in top_k(row, k)[1]
        for row, target in zip(rows, targets, strict=True)
        if target != ignore_index
    ]
    return sum(hits) / len(hits) if hits else math.nan


def perplexity(
    rows: Sequence[Row], targets: Sequence[int], *, ignore_index: int | None = None
) -> float:
    """Exponential of the mean cross entropy."""
    mean = cross_entropy(rows, targets, ignore_index=ignore_index)
    assert isinstance(mean, float)
    try:
        return math.exp(mean)
    except OverflowError:
        return math.inf
