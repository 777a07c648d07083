//! The error bounds that the vector functions state, measured against a double-double oracle, and
//! that every instruction set of the machine gives the same bits.

#![allow(
    clippy::type_complexity,
    reason = "the type of a closure is its signature"
)]

mod numbers;
mod oracle;
mod reductions;
mod transposition;

use fearless_simd::{Simd, SimdBase};
use oracle::Real;

use super::level::Instructions;
use super::logarithm;
use super::logistic::{self, Scale};
use super::math::{self, Pair, ScaledExp, ShiftedExp};
use super::{Task, dispatch};
use crate::float::Float;
use crate::wide::Wide;

/// A number format as the tests see it.
trait Tested: Float {
    const PRECISION: i32;
    const LOWEST: i32;
    fn bits(self) -> u64;
}

impl Tested for f32 {
    const PRECISION: i32 = 24;
    const LOWEST: i32 = -126;
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Tested for f64 {
    const PRECISION: i32 = 53;
    const LOWEST: i32 = -1022;
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// A function of two pairs, in vectors.
trait Function<T: Float>: Copy {
    fn apply<S: Simd>(self, a: Pair<T::Vector<S>>, b: Pair<T::Vector<S>>) -> Pair<T::Vector<S>>;
}

/// Two pairs: `[a.high, a.low, b.high, b.low]`.
type Arguments<T> = [T; 4];

struct Apply<'a, T, F>(&'a [Arguments<T>], F);

impl<T: Float, F: Function<T>> Task for Apply<'_, T, F> {
    type Output = Vec<[T; 2]>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<[T; 2]> {
        let mut results = Vec::new();
        for arguments in self.0.chunks(T::LANES) {
            let load = |place: usize| {
                let mut elements = vec![T::ONE; T::LANES];
                for (element, arguments) in elements.iter_mut().zip(arguments) {
                    *element = arguments[place];
                }
                T::Vector::<S>::from_slice(simd, &elements)
            };
            let pair = |place: usize| Pair {
                high: load(place),
                low: load(place + 1),
            };
            let result = self.1.apply::<S>(pair(0), pair(2));
            let (high, low) = (result.high.as_slice(), result.low.as_slice());
            let lanes = high.iter().zip(low).take(arguments.len());
            results.extend(lanes.map(|(&high, &low)| [high, low]));
        }
        results
    }
}

/// The results of a function, which are the same bits for all instruction sets.
fn results<T: Tested>(arguments: &[Arguments<T>], function: impl Function<T>) -> Vec<[T; 2]> {
    let mut levels = Instructions::available();
    let first = levels.next().expect("there is always one");
    let expected = dispatch(first, Apply(arguments, function));
    for level in levels {
        let given = dispatch(level, Apply(arguments, function));
        for ((given, expected), x) in given.iter().zip(&expected).zip(arguments) {
            let bits = |pair: &[T; 2]| pair.map(Tested::bits);
            assert_eq!(
                bits(given),
                bits(expected),
                "{} and {} differ at {x:?}: {given:?}, {expected:?}",
                level.name(),
                first.name(),
            );
        }
    }
    expected
}

/// Fails where `high + low` of a result is further than `bound` ulp from the oracle's.
fn check<T: Tested>(
    name: &str,
    arguments: &[Arguments<T>],
    function: impl Function<T>,
    oracle: impl Fn(Real, Real) -> Real,
    bound: f64,
) {
    assert!(arguments.len() > 100, "{name}: too few arguments");
    let results = results(arguments, function);
    let mut worst = (0.0, 0);
    for (index, (arguments, result)) in arguments.iter().zip(&results).enumerate() {
        let [a, a_low, b, b_low] = arguments.map(Float::to_f64);
        let exact = oracle(Real::pair(a, a_low), Real::pair(b, b_low));
        let [high, low] = result.map(Float::to_f64);
        let distance = exact.distance_in_ulp(high, low, T::PRECISION, T::LOWEST);
        // Not `>`: a NaN must not pass.
        if distance > worst.0 || distance.is_nan() {
            worst = (distance, index);
        }
    }
    let (distance, index) = worst;
    assert!(
        distance <= bound,
        "{name} of {}: {distance} ulp at {:?}, {:?}",
        T::NAME,
        arguments[index],
        results[index],
    );
}

/// Numbers from `low` to `high`, evenly spread but for a little disorder, with both ends.
fn spread<T: Float>(low: f64, high: f64, count: usize) -> impl Iterator<Item = T> {
    let step = (high - low) / (count - 1) as f64;
    (0..count).map(move |i| {
        let disorder = (i as f64 * 0.618_033_988_749_895).fract() - 0.5;
        T::from_f64((low + step * (i as f64 + disorder)).clamp(low, high))
    })
}

fn singles<T: Float>(numbers: impl Iterator<Item = T>) -> Vec<Arguments<T>> {
    let zero = T::ZERO;
    numbers.map(|x| [x, zero, zero, zero]).collect()
}

/// Numbers with a low part of up to half an ulp of either sign.
fn pairs<T: Float>(numbers: impl Iterator<Item = T>) -> Vec<Arguments<T>> {
    let half_ulp = (-1.0 - f64::from(T::FORMAT.significand_bits)).exp2();
    let with_low = numbers.enumerate().map(|(i, x)| {
        let share = (i % 9) as f64 / 4.5 - 0.9;
        let leading = x.to_f64().abs().log2().floor().exp2();
        let low = T::from_f64(leading * half_ulp * share);
        // The low part of a subnormal number would round to more than half of its ulp.
        let low = if x.to_f64().abs() < T::MIN_POSITIVE.to_f64() || !low.to_f64().is_finite() {
            T::ZERO
        } else {
            low
        };
        [x, low, T::ZERO, T::ZERO]
    });
    with_low.collect()
}

/// Positive numbers of every size from the smallest to the largest.
fn every_size<T: Tested>() -> impl Iterator<Item = T> {
    let smallest = T::LOWEST - T::PRECISION + 1;
    (smallest..=-T::LOWEST).flat_map(|exponent| {
        [1.0, 1.03, 1.25, 1.499_999, 1.5, 1.75, 1.999_9].map(|significand: f64| {
            let half = exponent / 2;
            T::from_f64(significand * f64::from(half).exp2() * f64::from(exponent - half).exp2())
        })
    })
}

macro_rules! function {
    ($name:ident, |$a:ident, $b:ident| $body:expr) => {
        #[derive(Clone, Copy)]
        struct $name;

        impl<T: Float> Function<T> for $name {
            #[inline(always)]
            fn apply<S: Simd>(
                self,
                $a: Pair<T::Vector<S>>,
                $b: Pair<T::Vector<S>>,
            ) -> Pair<T::Vector<S>> {
                let _ = &$b;
                $body
            }
        }
    };
}

/// A result that is one number.
#[inline(always)]
fn single<S: Simd, V: super::Vector<S>>(high: V) -> Pair<V> {
    let low = V::splat(high.token(), V::Element::ZERO);
    Pair { high, low }
}

function!(Exp, |a, b| math::exp_pair(a));
function!(Log, |a, b| logarithm::log_pair(a));
function!(Log1p, |a, b| logarithm::log1p_pair(a));
function!(Sigmoid, |a, b| {
    let [result] = logistic::sigmoid([a.high]);
    single(result)
});
function!(Softplus, |a, b| {
    let [result] = logistic::softplus([a.high]);
    single(result)
});
function!(ScaledSigmoid, |a, b| {
    let scale = Scale::new(Wide::new(1.0).divided_by(Wide::new(3.0)));
    let [both] = logistic::logistic::<S, _, 1, true>([a.high], scale);
    single(both.sigmoid)
});
function!(OverOnePlus, |a, b| single(math::over_one_plus(a, b)));

impl<T: Float> Function<T> for ShiftedExp<T> {
    #[inline(always)]
    fn apply<S: Simd>(self, a: Pair<T::Vector<S>>, _: Pair<T::Vector<S>>) -> Pair<T::Vector<S>> {
        let [result] = ShiftedExp::apply(&self, [a.high]);
        single(result)
    }
}

impl<T: Float> Function<T> for ScaledExp<T> {
    #[inline(always)]
    fn apply<S: Simd>(self, a: Pair<T::Vector<S>>, _: Pair<T::Vector<S>>) -> Pair<T::Vector<S>> {
        single(self.or_nothing(a.high))
    }
}

/// Runs a generic check for both formats.
macro_rules! both_formats {
    ($($test:ident => $check:ident;)*) => {$(
        #[test]
        fn $test() {
            $check::<f32>();
            $check::<f64>();
        }
    )*};
}

both_formats! {
    exp_pair_is_exact_to_a_half_an_ulp => exp_pair;
    log_pair_is_exact_to_a_half_an_ulp => log_pair;
    log1p_pair_is_exact_to_a_half_an_ulp => log1p_pair;
    sigmoid_and_softplus_are_within_their_bounds => sigmoid_and_softplus;
    over_one_plus_is_within_its_bound => over_one_plus;
    shifted_exp_is_within_an_ulp => shifted_exp;
    scaled_exp_is_within_an_ulp => scaled_exp;
    special_arguments_have_their_values => special_arguments;
}

fn exp_pair<T: Tested>() {
    let f = T::FORMAT;
    // Below that the low part is subnormal and says less.
    let lowest = f.normal + 8.0;
    let normal = pairs(spread::<T>(lowest, 0.0, 4001).chain(spread(-1.0, f.finite, 2001)));
    check("exp_pair", &normal, Exp, |x, _| x.exp(), 0.5);
    let subnormal = singles(spread::<T>(f.zero + 1.0, lowest, 1001));
    check("exp_pair", &subnormal, Exp, |x, _| x.exp(), 1.0);
}

/// Numbers of every size but the largest two powers of two, which no sum over classes comes near.
fn every_argument_of_log<T: Tested>() -> impl Iterator<Item = T> {
    let limit = f64::from(-T::LOWEST - 1).exp2();
    every_size::<T>().filter(move |u| u.to_f64() < limit)
}

fn log_pair<T: Tested>() {
    let near_one = spread::<T>(0.5, 2.0, 4001).filter(|u| u.to_f64() != 1.0);
    let numbers = pairs(every_argument_of_log::<T>().chain(near_one));
    check("log_pair", &numbers, Log, |u, _| u.log(), 0.5);
}

fn log1p_pair<T: Tested>() {
    let numbers = pairs(every_argument_of_log::<T>().chain(spread(1e-3, 2.0, 2001)));
    check("log1p_pair", &numbers, Log1p, |e, _| e.log1p(), 0.5);
    let negative = pairs(spread::<T>(-0.999, -1e-3, 2001));
    check("log1p_pair", &negative, Log1p, |e, _| e.log1p(), 0.5);
}

fn sigmoid_and_softplus<T: Tested>() {
    let limit = -T::FORMAT.zero;
    let wide = spread::<T>(-limit, limit, 6001).chain(spread(-4.0, 4.0, 2001));
    let tiny = every_size::<T>().filter(|z| z.to_f64() < 1.0);
    let numbers = singles(wide.chain(tiny));
    check("sigmoid", &numbers, Sigmoid, |z, _| z.sigmoid(), 1.8);
    check("softplus", &numbers, Softplus, |z, _| z.softplus(), 1.8);
    let third = |z: Real, _| z.sigmoid().over(Real::new(3.0));
    check("scaled sigmoid", &numbers, ScaledSigmoid, third, 2.0);
}

fn over_one_plus<T: Tested>() {
    let numerators = pairs(spread::<T>(1e-3, 1.0, 1001));
    let divisors = pairs(spread::<T>(0.0, 1.0, 1001).step_by(1));
    let arguments: Vec<_> = numerators
        .iter()
        .zip(divisors.iter().cycle().skip(317))
        .map(|(a, e)| [a[0], a[1], e[0], e[1]])
        .collect();
    let oracle = |a: Real, e: Real| a.over(Real::new(1.0).plus(e));
    check("over_one_plus", &arguments, OverOnePlus, oracle, 0.7);
}

/// Maxima of rows, on both sides of where they are subtracted first.
const MAXIMA: [f64; 12] = [
    0.0, 0.3, -0.7, 10.0, -88.7, 127.0, 511.0, -511.5, 513.0, 4095.0, -5000.5, 3e6,
];

/// What is subtracted first from a row with this maximum, and what is left of the maximum.
fn offset_and_rest<T: Float>(max: T) -> (T, f64) {
    if max.to_f64().abs() < T::FORMAT.exact_difference {
        (T::ZERO, max.to_f64())
    } else {
        (max, 0.0)
    }
}

fn shifted_exp<T: Tested>() {
    for max in MAXIMA.map(T::from_f64) {
        let (offset, rest) = offset_and_rest(max);
        // What the normaliser adds to the maximum, and what the logarithm of a factor takes.
        for added in [0.0, 0.3, 2.75, 17.3, -20.5] {
            let shift = Wide::sum(rest, added) + Wide::new(1e-17);
            let below = T::FORMAT.zero - 3.0 + added;
            let row = spread::<T>(max.to_f64() + below, max.to_f64(), 3001);
            let oracle = |x: Real, _| {
                let shift = Real::pair(shift.high, shift.low);
                x.plus(Real::new(offset.to_f64()).plus(shift).neg()).exp()
            };
            let function = ShiftedExp::new(offset, shift);
            check(
                &format!("ShiftedExp({max:?}, {added})"),
                &singles(row),
                function,
                oracle,
                1.0,
            );
        }
    }
}

fn scaled_exp<T: Tested>() {
    let f = T::FORMAT;
    for max in MAXIMA.map(T::from_f64) {
        let (offset, rest) = offset_and_rest(max);
        let exponent = (rest * std::f64::consts::LOG2_E).round_ties_even();
        let function = ScaledExp::new(offset, rest, exponent);
        let lowest = max.to_f64() + f.negligible;
        let row = singles(spread::<T>(lowest, max.to_f64(), 3001));
        let oracle = |x: Real, _| {
            let term = x.plus(Real::new(-offset.to_f64())).exp();
            term.times_power((f.sum_lift - exponent) as i32)
        };
        check(&format!("ScaledExp({max:?})"), &row, function, oracle, 1.0);

        let far_below = [lowest - 1.0 - lowest.abs() * 1e-6, -1e30, f64::NEG_INFINITY];
        let results = results(&singles(far_below.map(T::from_f64).into_iter()), function);
        assert!(results.iter().all(|[x, _]| x.bits() == 0), "{results:?}");
    }
}

fn special_arguments<T: Tested>() {
    let infinity = f64::INFINITY;
    let table = |function: &dyn Fn(&[Arguments<T>]) -> Vec<[T; 2]>, rows: &[(f64, f64)]| {
        let arguments = singles(rows.iter().map(|&(x, _)| T::from_f64(x)));
        let given = function(&arguments);
        for ([high, _], &(x, expected)) in given.iter().zip(rows) {
            let high = high.to_f64();
            let same = high == expected || high.is_nan() && expected.is_nan();
            assert!(same, "{x}: {high}, expected {expected}");
        }
    };
    let nan = f64::NAN;
    let sigmoids = [
        (-infinity, 0.0),
        (infinity, 1.0),
        (0.0, 0.5),
        (nan, nan),
        (-nan, nan),
    ];
    table(&|x| results(x, Sigmoid), &sigmoids);
    let rows = [
        (-infinity, 0.0),
        (infinity, infinity),
        (nan, nan),
        (-1e6, 0.0),
    ];
    table(&|x| results(x, Softplus), &rows);
    table(
        &|x| results(x, Exp),
        &[(-infinity, 0.0), (0.0, 1.0), (-1e6, 0.0)],
    );
    let rows = [(0.0, -infinity), (infinity, infinity), (1.0, 0.0)];
    table(&|x| results(x, Log), &rows);
    let rows = [(0.0, 0.0), (infinity, infinity), (-1.0, -infinity)];
    table(&|x| results(x, Log1p), &rows);
    let shifted = ShiftedExp::new(T::ZERO, Wide::new(1.0));
    let rows = [(-infinity, 0.0), (1.0, 1.0), (-1e30, 0.0)];
    table(&|x| results(x, shifted), &rows);
}
