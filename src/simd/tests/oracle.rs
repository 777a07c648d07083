//! Exponential and logarithm in double-double arithmetic, by textbook series: the oracle of the
//! vector functions. Shares no code with them.

/// `(high + low) * 2^exponent`: some 100 bits, with no limit where `f64` ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Real {
    high: f64,
    low: f64,
    exponent: i32,
}

const LN_2: Real = Real::pair(std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17);

impl Real {
    pub(super) const fn pair(high: f64, low: f64) -> Self {
        Self {
            high,
            low,
            exponent: 0,
        }
    }

    pub(super) const fn new(value: f64) -> Self {
        Self::pair(value, 0.0)
    }

    /// The nearest `f64`, for finding where a value lies.
    pub(super) fn to_f64(self) -> f64 {
        times_power(self.high + self.low, self.exponent)
    }

    pub(super) fn times_power(self, exponent: i32) -> Self {
        Self {
            exponent: self.exponent + exponent,
            ..self
        }
    }

    /// The same value with another exponent.
    fn with_exponent(self, exponent: i32) -> Self {
        let shift = self.exponent - exponent;
        Self {
            high: times_power(self.high, shift),
            low: times_power(self.low, shift),
            exponent,
        }
    }

    pub(super) fn neg(self) -> Self {
        Self {
            high: -self.high,
            low: -self.low,
            ..self
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let exponent = self.exponent.max(other.exponent);
        let (a, b) = (self.with_exponent(exponent), other.with_exponent(exponent));
        let (high, error) = exact_sum(a.high, b.high);
        let (low, low_error) = exact_sum(a.low, b.low);
        let (high, error) = exact_sum(high, error + low);
        let (high, low) = exact_sum(high, error + low_error);
        Self {
            high,
            low,
            exponent,
        }
    }

    pub(super) fn times(self, other: Self) -> Self {
        let high = self.high * other.high;
        let error = self.high.mul_add(other.high, -high);
        let (high, low) = exact_sum(
            high,
            error + (self.high * other.low + self.low * other.high),
        );
        Self {
            high,
            low,
            exponent: self.exponent + other.exponent,
        }
    }

    pub(super) fn over(self, other: Self) -> Self {
        let quotient = |rest: Self| {
            let quotient = rest.high / other.high;
            let exponent = rest.exponent - other.exponent;
            Self {
                exponent,
                ..Self::new(quotient)
            }
        };
        let first = quotient(self);
        let rest = self.plus(first.times(other).neg());
        let second = quotient(rest);
        let rest = rest.plus(second.times(other).neg());
        first.plus(second).plus(quotient(rest))
    }

    pub(super) fn exp(self) -> Self {
        let x = self.with_exponent(0);
        let n = (x.high / std::f64::consts::LN_2).round();
        let rest = x.plus(Self::new(n).times(LN_2).neg());
        // 27 terms of the series are enough for |rest| < 0.35.
        let one = Self::new(1.0);
        let series = (1..=27).rev().fold(one, |sum, k| {
            one.plus(sum.times(rest).over(Self::new(f64::from(k))))
        });
        series.times_power(n as i32)
    }

    /// The logarithm of a positive number.
    pub(super) fn log(self) -> Self {
        let first = Self::new(self.high.ln()).plus(Self::new(f64::from(self.exponent)).times(LN_2));
        // log(u) = y + log(u e^-y), and what is left is next to log(1).
        let rest = self.times(first.neg().exp()).with_exponent(0);
        first.plus(rest.plus(Self::new(-1.0)).log1p_series())
    }

    pub(super) fn log1p(self) -> Self {
        if self.to_f64().abs() < 1e-4 {
            self.log1p_series()
        } else {
            Self::new(1.0).plus(self).log()
        }
    }

    /// `e - e^2/2 + e^3/3 ...` for tiny `e`.
    fn log1p_series(self) -> Self {
        let sum = (1..=9).rev().fold(Self::new(0.0), |sum, k| {
            let coefficient = Self::new(1.0).over(Self::new(f64::from(k)));
            coefficient.plus(sum.times(self).neg())
        });
        sum.times(self)
    }

    /// `1 / (1 + e^-z)`.
    pub(super) fn sigmoid(self) -> Self {
        let one = Self::new(1.0);
        if self.high > 0.0 {
            one.over(one.plus(self.neg().exp()))
        } else {
            self.exp().over(one.plus(self.exp()))
        }
    }

    /// `log(1 + e^z)`.
    pub(super) fn softplus(self) -> Self {
        if self.high > 0.0 {
            self.plus(self.neg().exp().log1p())
        } else {
            self.exp().log1p()
        }
    }

    /// How far `high + low` is from this value, in units of the last place of this value in a
    /// format of so many bits that is subnormal below two to the power `lowest`.
    pub(super) fn distance_in_ulp(self, high: f64, low: f64, bits: i32, lowest: i32) -> f64 {
        if self.high == 0.0 {
            return if high == 0.0 { 0.0 } else { f64::INFINITY };
        }
        let exact = self.with_exponent(self.exponent);
        let leading = exact.high.abs().log2().floor() as i32 + exact.exponent;
        let unit = leading.max(lowest) - (bits - 1);
        let given = Self::new(high)
            .with_unit(unit)
            .plus(Self::new(low).with_unit(unit));
        let difference = given.plus(exact.with_exponent(unit).neg());
        (difference.high + difference.low).abs()
    }

    fn with_unit(self, unit: i32) -> Self {
        self.with_exponent(unit)
    }
}

fn exact_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// `value * 2^exponent` for any exponent.
fn times_power(mut value: f64, mut exponent: i32) -> f64 {
    while exponent != 0 && value != 0.0 {
        let step = exponent.clamp(-1000, 1000);
        value *= f64::from(step).exp2();
        exponent -= step;
        if !value.is_finite() {
            break;
        }
    }
    value
}

#[test]
fn the_oracle_knows_known_values() {
    // exp(1), log(10), exp(-745.5) and log(3e-320), to 32 digits.
    let e = Real::new(1.0).exp();
    assert!(e.distance_in_ulp(std::f64::consts::E, 1.445_646_891_729_250_2e-16, 100, -1022) < 1.0);
    let log = Real::new(10.0).log();
    assert!(
        log.distance_in_ulp(
            std::f64::consts::LN_10,
            -2.170_756_223_382_249_4e-16,
            98,
            -1022
        ) < 1.0
    );
    let back = Real::new(1234.5).exp().log();
    assert!(back.distance_in_ulp(1234.5, 0.0, 95, -1022) < 1.0);
    let tiny = Real::new(1e-30).log1p();
    assert!(tiny.distance_in_ulp(1e-30, -0.5e-60, 98, -1022) < 1.0);
    for x in [-700.0, -30.0, -1.5, -0.1, 0.0, 0.3, 2.0, 40.0, 700.0_f64] {
        let close = |a: f64, b: f64| (a - b).abs() <= 4e-16 * b.abs();
        assert!(close(Real::new(x).exp().to_f64(), x.exp()), "exp({x})");
        assert!(close(
            Real::new(x).softplus().to_f64(),
            x.max(0.0) + (-x.abs()).exp().ln_1p()
        ));
        assert!(close(
            Real::new(x).sigmoid().to_f64(),
            1.0 / (1.0 + (-x).exp())
        ));
    }
}
