//! The arithmetic of numbers in one part and in two, against the oracle's.

use std::marker::PhantomData;

use fearless_simd::{Simd, f64x8};

use super::oracle::Real;
use super::{Arguments, Function, Tested, pairs, results, spread};
use crate::simd::math::Pair;
use crate::simd::number::Number;

/// An operation on numbers for results of type `T`.
#[derive(Clone, Copy, Debug)]
struct Operation<T>(Kind, PhantomData<T>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plus,
    Minus,
    Times,
    Over,
    Log1p,
}

impl<T: Tested> Function<f64> for Operation<T> {
    #[inline(always)]
    fn apply<S: Simd>(self, a: Pair<f64x8<S>>, b: Pair<f64x8<S>>) -> Pair<f64x8<S>> {
        let (a, b) = (Number::<S, T>::from_pair(a), Number::from_pair(b));
        let result = match self.0 {
            Kind::Plus => a.plus(b),
            Kind::Minus => a.minus(b),
            Kind::Times => a.times(b),
            Kind::Over => a.over(b),
            Kind::Log1p => {
                let [log] = Number::log1p_each([a]);
                log
            }
        };
        result.pair()
    }
}

/// Fails where a result is further from the oracle's than two to the power of `-bits`, relative
/// to it.
fn check<T: Tested>(
    kind: Kind,
    arguments: &[Arguments<f64>],
    bits: i32,
    oracle: impl Fn(Real, Real) -> Real,
) {
    // What is not used must not count.
    let low = |x: f64| if T::LANES == 8 { x } else { 0.0 };
    let given = results(arguments, Operation::<T>(kind, PhantomData));
    for ([a, a_low, b, b_low], [high, low_given]) in arguments.iter().zip(given) {
        let exact = oracle(Real::pair(*a, low(*a_low)), Real::pair(*b, low(*b_low)));
        let distance = exact.distance_in_ulp(high, low_given, bits, -2000);
        assert!(
            distance <= 0.5,
            "{kind:?} of {}: {distance} at {a:e} + {a_low:e}, {b:e} + {b_low:e}: {high:e}",
            T::NAME,
        );
        assert!(T::LANES == 8 || low_given == 0.0);
    }
}

/// Positive numbers from `1e-60` to `1e60`, each with another of any of these sizes.
fn two_of_many_sizes() -> Vec<Arguments<f64>> {
    let numbers = pairs(spread::<f64>(-138.0, 138.0, 2003).map(f64::exp));
    let others = numbers.iter().cycle().skip(709).step_by(3);
    let both = numbers.iter().zip(others);
    both.map(|(a, b)| [a[0], a[1], b[0], b[1]]).collect()
}

fn operations<T: Tested>() {
    let bits = if T::LANES == 8 { 100 } else { 50 };
    let positive = two_of_many_sizes();
    let negated = |arguments: &Arguments<f64>| {
        let [a, a_low, b, b_low] = *arguments;
        [a, a_low, -b, -b_low]
    };
    let mixed: Vec<_> = positive.iter().map(negated).collect();
    check::<T>(Kind::Plus, &positive, bits, Real::plus);
    check::<T>(Kind::Minus, &mixed, bits, |a, b| a.plus(b.neg()));
    for arguments in [&positive, &mixed] {
        check::<T>(Kind::Times, arguments, bits, Real::times);
        check::<T>(Kind::Over, arguments, bits, Real::over);
    }
    // Of a difference the terms' last bits are all that may be missing: here they have none.
    let single = |[a, _, b, _]: &Arguments<f64>| [*a, 0.0, *b, 0.0];
    let exact: Vec<_> = positive.iter().map(single).collect();
    check::<T>(Kind::Minus, &exact, bits, |a, b| a.plus(b.neg()));
}

#[test]
fn numbers_have_the_bits_they_promise() {
    operations::<f32>();
    operations::<f64>();
}

/// Sums over other classes: none, hardly any, as much as the maximum's, millions.
fn logarithms<T: Tested>(bits: i32) {
    let sizes = pairs(spread::<f64>(-690.0, 20.0, 4001).map(f64::exp));
    // 1 + e beside 1, and beside where the power of two that is split off changes.
    let near = |x: f64| spread::<f64>(x * (1.0 - 1e-3), x * (1.0 + 1e-3), 501);
    let edges = pairs([0.5, 1.0, 2.0, 5.0].into_iter().flat_map(near));
    for arguments in [&sizes, &edges] {
        check::<T>(Kind::Log1p, arguments, bits, |e, _| e.log1p());
    }
    check::<T>(Kind::Log1p, &[[0.0; 4]], bits, |e, _| e);
}

#[test]
fn logarithms_of_numbers_are_good_to_half_an_ulp_and_to_50_bits() {
    logarithms::<f32>(50);
    logarithms::<f64>(53);
}

fn special<T: Tested>() {
    use Kind::{Minus, Over, Plus, Times};
    let (infinity, nan) = (f64::INFINITY, f64::NAN);
    let table = [
        (Plus, infinity, 1.0, infinity),
        (Plus, 1.0, infinity, infinity),
        (Plus, infinity, infinity, infinity),
        (Plus, infinity, -infinity, nan),
        (Plus, f64::MAX, f64::MAX, infinity),
        (Minus, 1.0, -infinity, infinity),
        (Minus, 1.0, infinity, -infinity),
        (Minus, infinity, infinity, nan),
        (Minus, -f64::MAX, f64::MAX, -infinity),
        (Times, infinity, 2.0, infinity),
        (Times, -3.0, infinity, -infinity),
        (Times, f64::MAX, 2.0, infinity),
        (Times, 0.0, infinity, nan),
        (Over, 0.0, 3.0, 0.0),
    ];
    for (kind, a, b, expected) in table {
        let [[high, low]] = results(&[[a, 0.0, b, 0.0]], Operation::<T>(kind, PhantomData))[..]
        else {
            panic!("one result");
        };
        let sum = high + low;
        let same = sum == expected || sum.is_nan() && expected.is_nan();
        assert!(same, "{kind:?} of {}: {a}, {b}: {high}, {low}", T::NAME);
    }
}

#[test]
fn numbers_know_infinity() {
    special::<f32>();
    special::<f64>();
}
