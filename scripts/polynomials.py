"""Makes the polynomial coefficients of src/float.rs: minimax by Remez' exchange, in 60 digits.

Run as `python scripts/polynomials.py`; it prints each polynomial with the binary logarithm of its
largest error. The tests measure what is left of that in the functions themselves.
"""

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 60

Function = Callable[[Any], Any]


def exp_tail(t: Any) -> Any:  # noqa: ANN401 -- mpmath has no types
    """(e^t - 1 - t) / t^2."""
    if abs(t) < mp.mpf("1e-8"):
        return mp.mpf(1) / 2 + t / 6 + t * t / 24
    return (mp.exp(t) - 1 - t) / t**2


def log_tail(z: Any) -> Any:  # noqa: ANN401
    """(log((1+s)/(1-s)) - 2s) / s^3 with z = s^2."""
    if z < mp.mpf("1e-10"):
        return mp.mpf(2) / 3 + 2 * z / 5 + 2 * z * z / 7
    s = mp.sqrt(z)
    return (mp.log((1 + s) / (1 - s)) - 2 * s) / s**3


def log1p_curve(x: Any) -> Any:  # noqa: ANN401
    """(log(1+e) - e) / e^2 with x = e - 1/2."""
    e = x + mp.mpf(1) / 2
    if e < mp.mpf("1e-12"):
        return -mp.mpf(1) / 2 + e / 3
    return (mp.log(1 + e) - e) / e**2


def log1p_weight(x: Any) -> Any:  # noqa: ANN401
    """Give the share of log(1 + e) that an error of `log1p_curve` has."""
    e = x + mp.mpf(1) / 2
    return e**2 / mp.log(1 + e) if e > 0 else mp.mpf(0)


def alternating_extrema(xs: list[Any], errors: list[Any], count: int) -> list[Any]:
    """Find the places of `count` extrema of alternating sign, the largest where there are more."""
    chosen: list[tuple[Any, Any]] = []
    for x, error in zip(xs, errors, strict=True):
        if chosen and chosen[-1][1] * error > 0:
            if abs(error) > abs(chosen[-1][1]):
                chosen[-1] = (x, error)
        else:
            chosen.append((x, error))
    while len(chosen) > count:
        chosen.pop(0 if abs(chosen[0][1]) < abs(chosen[-1][1]) else -1)
    return [x for x, _ in chosen]


def minimax(
    function: Function, ends: tuple[Any, Any], degree: int, weight: Function
) -> tuple[list[Any], Any]:
    """Coefficients, lowest power first, that minimise the largest weighted error."""
    low, high = ends
    count = degree + 2
    middle, half = (low + high) / 2, (high - low) / 2
    xs = [middle - half * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]
    grid = [low + (high - low) * mp.mpf(i) / 2000 for i in range(2001)]
    coefficients: list[Any] = []
    errors: list[Any] = []
    for _ in range(20):
        matrix = mp.matrix(count, count)
        for row, x in enumerate(xs):
            for column in range(degree + 1):
                matrix[row, column] = x**column
            matrix[row, degree + 1] = (-1) ** row / weight(x)
        solution = mp.lu_solve(matrix, mp.matrix([function(x) for x in xs]))
        coefficients = list(solution)[: degree + 1]
        errors = [weight(x) * (mp.polyval(coefficients[::-1], x) - function(x)) for x in grid]
        places = alternating_extrema(grid, errors, count)
        if len(places) < count:
            break
        moved = max(abs(a - b) for a, b in zip(places, xs, strict=True))
        xs = places
        if moved < high * mp.mpf("1e-9"):
            break
    return coefficients, max(abs(error) for error in errors)


def main() -> None:
    """Print the polynomials of both formats."""
    # A little more than ln(2)/2: the reduction rounds.
    reach = mp.log(2) / 2 + mp.mpf("0.0005")
    for name, dtype, exp_degree, log_degree, log1p_degree in (
        ("f32", np.float32, 4, 3, 8),
        ("f64", np.float64, 9, 7, 19),
    ):
        # The weights make the errors those of e^t, log(1 + f) and log(1 + e), up to a constant.
        for what, (coefficients, error) in (
            ("exp", minimax(exp_tail, (-reach, reach), exp_degree, lambda t: t * t + 1e-6)),
            (
                "log",
                minimax(
                    log_tail, (mp.mpf(0), mp.mpf("0.04002")), log_degree, lambda z: z / 2 + 1e-6
                ),
            ),
            (
                "log1p",
                minimax(
                    log1p_curve,
                    (-mp.mpf(1) / 2, mp.mpf(1) / 2),
                    log1p_degree,
                    lambda x: log1p_weight(x) + mp.mpf("1e-9"),
                ),
            ),
        ):
            print(f"{name} {what}: error 2^{float(mp.log(error, 2)):.1f}")
            for coefficient in coefficients:
                print(f"    {dtype(float(coefficient))!r}")


if __name__ == "__main__":
    main()
