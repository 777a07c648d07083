//! Sums, maxima and searches over slices, of every length about a few vectors.

use fearless_simd::{Simd, SimdBase, f64x8};

use super::Tested;
use crate::float::Float;
use crate::simd::level::Instructions;
use crate::simd::reduce::{self, ProductSum, TermSum};
use crate::simd::{Task, dispatch};
use crate::wide::Wide;

/// What a task gives at every level of the machine, which is the same.
fn at_all_levels<Q: Task<Output: PartialEq + std::fmt::Debug>>(task: impl Fn() -> Q) -> Q::Output {
    let mut outputs = Instructions::available().map(|level| dispatch(level, task()));
    let first = outputs.next().expect("there is always one");
    outputs.for_each(|output| assert_eq!(output, first));
    first
}

/// An integer between -500 and 500, without a pattern that a vector's width could hide.
fn disorder(index: usize) -> f64 {
    ((index * 7919 + 104_729) % 1009 % 1000) as f64 - 500.0
}

struct Max<'a, T>(&'a [T]);
impl<T: Float> Task for Max<'_, T> {
    type Output = T;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> T {
        reduce::max(simd, self.0)
    }
}

struct Partial<'a, T>(&'a [T], T);
impl<T: Float> Task for Partial<'_, T> {
    type Output = Vec<T>;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<T> {
        reduce::partial(simd, self.0, self.1).as_slice().to_vec()
    }
}

struct Terms<'a, T>(&'a [T]);
impl<T: Float> Task for Terms<'_, T> {
    type Output = Wide;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Wide {
        let mut sum = TermSum::new(simd);
        for chunk in self.0.chunks(T::LANES) {
            sum.add::<T>(reduce::partial(simd, chunk, T::ZERO));
        }
        sum.total::<T>()
    }
}

struct Products<'a>(&'a [f64], &'a [f64]);
impl Task for Products<'_> {
    type Output = Wide;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Wide {
        let mut sum = ProductSum::new(simd);
        for (a, b) in self.0.chunks_exact(8).zip(self.1.chunks_exact(8)) {
            sum.add(f64x8::from_slice(simd, a), f64x8::from_slice(simd, b));
        }
        sum.total()
    }
}

fn max_of_any_length<T: Tested>() {
    let numbers: Vec<T> = (0..8 * T::LANES + 5)
        .map(|i| T::from_f64(disorder(i)))
        .collect();
    for start in [0, 1, 3] {
        for end in start..numbers.len() {
            let row = &numbers[start..end];
            let max = at_all_levels(|| Max(row));
            let expected = row
                .iter()
                .fold(-T::INFINITY, |m, &x| if x > m { x } else { m });
            assert_eq!(max, expected, "{start}..{end}");
        }
    }
    // The largest from every place in turn on.
    for len in [1, T::LANES, 4 * T::LANES, 8 * T::LANES + 3] {
        for place in 0..len {
            let mut row = vec![-T::INFINITY; len];
            row[place..].fill(T::from_f64(-3.0));
            assert_eq!(at_all_levels(|| Max(&row)), T::from_f64(-3.0));
        }
    }
}

#[test]
fn the_maximum_is_found_at_any_length() {
    max_of_any_length::<f32>();
    max_of_any_length::<f64>();
}

fn partial<T: Tested>() {
    let numbers: Vec<T> = (0..T::LANES).map(|i| T::from_f64(disorder(i))).collect();
    for len in 0..=T::LANES {
        let mut expected = numbers[..len].to_vec();
        expected.resize(T::LANES, T::from_f64(7.5));
        let given = at_all_levels(|| Partial(&numbers[..len], T::from_f64(7.5)));
        assert_eq!(given, expected);
    }
}

#[test]
fn partial_vectors_are_filled_up() {
    partial::<f32>();
    partial::<f64>();
}

#[test]
fn sums_of_f64_terms_keep_what_f64_drops() {
    // In each lane 1 and then many terms that vanish beside it one by one.
    let mut terms = vec![1.0; 8];
    terms.resize(8 + 100_000, 1e-17);
    let sum = at_all_levels(|| Terms(&terms));
    let exact = Wide::new(8.0) + Wide::product(1e-17, 100_000.0);
    assert!((sum - exact).to_f64().abs() < 1e-24, "{sum:?}");
}

#[test]
fn sums_of_f32_terms_are_those_of_f64() {
    let terms: Vec<f32> = (0..10_007)
        .map(|i| (disorder(i) + 501.0) as f32 * 1e-3)
        .collect();
    let sum = at_all_levels(|| Terms(&terms)).to_f64();
    let expected: f64 = terms.iter().map(|&t| f64::from(t)).sum();
    assert!(
        (sum - expected).abs() < 1e-11 * expected,
        "{sum} {expected}"
    );
}

#[test]
fn sums_of_products_keep_both_rounding_errors() {
    // (1 + d)(1 - d) - 1 = -d^2, all of which the plain products round away.
    let d = 2.0_f64.powi(-30);
    let a: Vec<f64> = [[1.0 + d; 8], [-1.0; 8]].concat();
    let b: Vec<f64> = [[1.0 - d; 8], [1.0; 8]].concat();
    let sum = at_all_levels(|| Products(&a, &b)).to_f64();
    assert_eq!(sum, -8.0 * d * d);
    let infinite = at_all_levels(|| Products(&[f64::INFINITY; 16], &[1.0; 16]));
    assert_eq!(infinite.to_f64(), f64::INFINITY);
}

#[test]
fn a_nan_term_makes_the_sum_nan() {
    for place in 0..40 {
        let mut terms = [1.0_f32; 40];
        terms[place] = f32::NAN;
        for level in Instructions::available() {
            assert!(dispatch(level, Terms(&terms)).to_f64().is_nan(), "{place}");
        }
    }
}

#[test]
fn instruction_sets_answer_to_their_names() {
    for level in Instructions::available() {
        let same = Instructions::named(level.name()).expect("it has just been listed");
        assert_eq!(same.name(), level.name());
    }
    assert!(Instructions::named("mmx").is_none());
    // Every ARM machine has NEON, so there `fallback` is another name of it.
    let lowest = if cfg!(target_arch = "aarch64") {
        "neon"
    } else {
        "fallback"
    };
    assert_eq!(
        Instructions::available().next().map(Instructions::name),
        Some(lowest)
    );
}
