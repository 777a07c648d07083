//! The edges of lanes: every length about a few vectors, unaligned starts, in place, and nothing
//! written past the end.

use fearless_simd::{ExtractToken, Simd, SimdBase};

use super::lane::{Lane, RowMap, SUMMED, VectorMap, sum_row};
use crate::float::Float;
use crate::simd::level::Instructions;
use crate::simd::{Task, dispatch};

/// `2a + b + 1` of the inputs; keeps how many elements it was told are valid, and what the results of a
/// row add up to.
#[derive(Default)]
struct Mix {
    valid: usize,
    sum: f64,
}

impl<S: Simd, T: Float> VectorMap<S, T, 1> for Mix {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [a]: [[T::Vector<S>; N]; 1],
        valid: usize,
    ) -> [T::Vector<S>; N] {
        self.valid += valid;
        a.map(|a| a + a + T::Vector::<S>::splat(a.token(), T::ONE))
    }
}

impl<S: Simd, T: Float> VectorMap<S, T, 2> for Mix {
    #[inline(always)]
    fn map<const N: usize>(
        &mut self,
        [mut a, b]: [[T::Vector<S>; N]; 2],
        valid: usize,
    ) -> [T::Vector<S>; N] {
        self.valid += valid;
        for (a, b) in a.iter_mut().zip(b) {
            *a = *a + *a + b;
        }
        a
    }
}

/// `2a + 1` of a row.
impl<S: Simd, T: Float> RowMap<S, T> for Mix {
    const FILL: T = T::ZERO;

    #[inline(always)]
    fn map<const N: usize>(&self, x: [T::Vector<S>; N]) -> [T::Vector<S>; N] {
        x.map(|x| x + x + T::Vector::<S>::splat(x.token(), T::ONE))
    }
}

/// What is done with a lane; gives what the function kept.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Write1,
    Write4,
    Read,
    Copy,
    SumRow,
    WriteRow,
    WriteRowAndSum,
    CopyAndRewriteRow,
}

struct Act<'a, 'b, T, const K: usize>(Action, &'a mut Lane<'b, T, K>);

impl<T: Float, const K: usize> Task for Act<'_, '_, T, K>
where
    Mix: Mixes<K>,
{
    type Output = Mix;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Mix {
        Mix::act(simd, self.0, self.1)
    }
}

/// `Mix` as a function of `K` inputs.
trait Mixes<const K: usize> {
    fn act<S: Simd, T: Float>(simd: S, action: Action, lane: &mut Lane<'_, T, K>) -> Mix;
}

macro_rules! mixes {
    ($k:literal) => {
        impl Mixes<$k> for Mix {
            #[inline(always)]
            fn act<S: Simd, T: Float>(simd: S, action: Action, lane: &mut Lane<'_, T, $k>) -> Mix {
                let mut mix = Mix::default();
                match action {
                    Action::Write1 => lane.write::<1, S>(simd, &mut mix),
                    Action::Write4 => lane.write::<4, S>(simd, &mut mix),
                    Action::Read => lane.read::<1, _>(simd, &mut mix),
                    Action::Copy => lane.copy_input(),
                    Action::SumRow => {
                        let sum = sum_row(simd, lane.input(), [None; 2], &mix);
                        mix.sum = sum.total::<T>().to_f64();
                    }
                    Action::WriteRow => lane.write_row(simd, [None; 2], &mix),
                    Action::WriteRowAndSum => {
                        let sum = lane.write_row_and_sum(simd, [None; 2], &mix);
                        mix.sum = sum.total::<T>().to_f64();
                    }
                    Action::CopyAndRewriteRow => {
                        lane.copy_input();
                        lane.rewrite_row(simd, [None; 2], &mix);
                    }
                }
                mix
            }
        }
    };
}

mixes!(1);
mixes!(2);

const GUARD: f64 = 12_345.0;

fn buffer<T: Float>(len: usize, factor: f64) -> Vec<T> {
    (0..len)
        .map(|i| T::from_f64(factor * (i + 1) as f64))
        .collect()
}

/// One action on lanes of `K` inputs, at one start; `in_place` is the input that is the output.
fn act<T: Float, const K: usize>(
    level: Instructions,
    action: Action,
    len: usize,
    start: usize,
    in_place: Option<usize>,
) where
    Mix: Mixes<K>,
{
    let case = format!(
        "{} K={K} {action:?} {len} from {start}, {in_place:?}",
        level.name()
    );
    let whole = start + len + 2 * T::LANES;
    let mut inputs: Vec<Vec<T>> = (0..K).map(|k| buffer(whole, [1.0, -3.5][k])).collect();
    let row = |k: usize, i: usize| [1.0, -3.5][k] * (start + i + 1) as f64;
    let mut output = vec![T::from_f64(GUARD); whole];
    let mut pointers = [std::ptr::null(); K];
    for (pointer, input) in pointers.iter_mut().zip(&inputs) {
        *pointer = input[start..].as_ptr();
    }
    let out = match in_place {
        Some(k) => inputs[k][start..].as_mut_ptr(),
        None => output[start..].as_mut_ptr(),
    };
    if let Some(k) = in_place {
        pointers[k] = out;
    }
    // SAFETY: all buffers hold `len` elements and more from `start` on; the output is one of the
    // inputs from the same element on, or a buffer of its own.
    let mut lane = unsafe { Lane::new(pointers, out, len) };
    for k in 0..K {
        assert_eq!(lane.nth_input(k).len(), len, "{case}");
    }
    let kept = dispatch(level, Act(action, &mut lane));
    let valid = match action {
        Action::Write1 | Action::Write4 | Action::Read => len,
        _ => 0,
    };
    assert_eq!(kept.valid, valid, "{case}");
    let sum = match action {
        Action::SumRow | Action::WriteRowAndSum => (0..len).map(|i| 2.0 * row(0, i) + 1.0).sum(),
        _ => 0.0,
    };
    assert_eq!(kept.sum, sum, "{case}");

    let before = |i: usize| in_place.map_or(GUARD, |k| [1.0, -3.5][k] * (i + 1) as f64);
    let written = in_place.map_or(&output, |k| &inputs[k]);
    for (i, x) in written.iter().enumerate() {
        let place = i.wrapping_sub(start);
        let expected = if place >= len {
            before(i)
        } else {
            let a = row(0, place);
            match action {
                Action::Read | Action::SumRow => before(i),
                Action::Copy => a,
                Action::WriteRow | Action::WriteRowAndSum | Action::CopyAndRewriteRow => {
                    2.0 * a + 1.0
                }
                _ if K == 1 => 2.0 * a + 1.0,
                _ => 2.0 * a + row(1, place),
            }
        };
        assert_eq!(x.to_f64(), expected, "{case}, element {i}");
    }
}

fn edges<T: Float>() {
    let actions = [
        Action::Write1,
        Action::Write4,
        Action::Read,
        Action::Copy,
        Action::SumRow,
        Action::WriteRow,
        Action::WriteRowAndSum,
        Action::CopyAndRewriteRow,
    ];
    for level in Instructions::available() {
        for action in actions {
            let about = |len: usize| len - T::LANES - 1..=len + T::LANES + 1;
            let short = 0..=2 * 4 * T::LANES + 1;
            for len in short.chain(about(SUMMED)).chain(about(2 * SUMMED)) {
                for start in [0, 1, T::LANES - 1] {
                    act::<T, 1>(level, action, len, start, None);
                    act::<T, 1>(level, action, len, start, Some(0));
                    act::<T, 2>(level, action, len, start, None);
                    act::<T, 2>(level, action, len, start, Some(0));
                    act::<T, 2>(level, action, len, start, Some(1));
                }
            }
        }
    }
}

#[test]
fn f32_lanes_are_worked_on_to_their_ends_and_no_further() {
    edges::<f32>();
}

#[test]
fn f64_lanes_are_worked_on_to_their_ends_and_no_further() {
    edges::<f64>();
}
