//! The diagonal of the Hessian of the cross entropy of logits: `scale [G p (1 - p) + Z p^2]` with
//! `G = sum(a) + 2 z_loss lse` and `Z = 2 z_loss`.
//!
//! It is made of the terms that are kept for the gradient, before that takes their place. `1 - p` of the
//! top class is the sum of the others. All other classes have a `p` of at most a half, so that
//! `p - p^2` loses nothing.

use fearless_simd::{ExtractToken, Select, Simd, SimdBase};

use super::lane::{Lane, RowMap};
use super::normalizer::{KeptTerms, Normalizer, most_factor, tiny_factor};
use super::rows::{Halves, PerRow, ROWS, load, store};
use super::tile::Tile;
use super::tile_gradient::TileGradient;
use crate::float::Float;
use crate::simd::Vector;
use crate::simd::math::Pair;
use crate::simd::number::Number;
use crate::wide::Wide;

/// What the diagonal of the Hessian is multiplied by.
///
/// It can be parsed from the names that Python takes: `"exact"`, `"bound"`, `"friedman"`.
///
/// # Examples
///
/// ```
/// use logitkit::Hessian;
///
/// assert_eq!("bound".parse(), Ok(Hessian::Bound));
/// assert_eq!(Hessian::default(), Hessian::Exact);
/// let error = "full".parse::<Hessian>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"hessian is "full", expected "exact", "bound" or "friedman""#
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hessian {
    /// Nothing: it is the second derivative of the loss.
    #[default]
    Exact,
    /// Two. Without a z-loss and with coefficients that are not negative, a diagonal matrix of these
    /// numbers is at least as large as the whole Hessian, by Gershgorin's theorem: steps that are
    /// divided by them do not overshoot. XGBoost's rule.
    Bound,
    /// `C / (C - 1)` for C classes, and 1 for one: Friedman's, which LightGBM takes.
    Friedman,
}

impl Hessian {
    /// The factor for so many classes.
    #[inline(always)]
    pub(crate) fn factor(self, classes: usize) -> Wide {
        match self {
            Self::Bound => Wide::new(2.0),
            Self::Friedman if classes > 1 => {
                Wide::new(classes as f64).divided_by(Wide::new((classes - 1) as f64))
            }
            Self::Exact | Self::Friedman => Wide::new(1.0),
        }
    }
}

/// The Hessian of a row as a function of `p`: `linear p (1 - p) + square p^2`.
#[derive(Clone, Copy)]
pub(crate) struct Curvature {
    linear: Wide,
    square: Wide,
}

impl Curvature {
    /// From `G`, `Z` and what both are multiplied by.
    #[inline(always)]
    pub(crate) fn new(common: Wide, z_loss: f64, scale: Wide) -> Self {
        Self {
            linear: common * scale,
            square: Wide::new(2.0 * z_loss) * scale,
        }
    }

    #[inline(always)]
    fn at(&self, p: Wide, complement: Wide) -> f64 {
        ((self.linear * complement + self.square * p) * p).to_f64()
    }

    /// The entry of the top class.
    #[inline(always)]
    fn at_top<T: Float>(&self, row: &Normalizer<T>) -> f64 {
        let whole = Wide::new(1.0) + row.others;
        let p = Wide::new(1.0).divided_by(whole);
        self.at(p, row.others.divided_by(whole))
    }
}

/// What a row holds when its Hessian is made of it: multiples of its probabilities.
struct Terms<T> {
    /// The probability of a class whose term is 1.
    unit: Wide,
    /// A term as large as this is that of the top class, or of one whose probability is the same
    /// for all that shows.
    top: T,
    /// A term of no more than this is nothing.
    least: T,
    /// A larger factor would leave something of such a term.
    most_factor: f64,
}

impl<T: Float> Terms<T> {
    #[inline(always)]
    fn kept<S: Simd>(simd: S, kept: &KeptTerms<T>) -> Self {
        Self {
            unit: kept.probability(T::ONE),
            top: kept.top(),
            least: kept.least_term(simd),
            most_factor: most_factor::<T>(),
        }
    }

    /// Those that are probabilities.
    #[inline(always)]
    fn probabilities() -> Self {
        Self {
            unit: Wide::new(1.0),
            top: T::HALF,
            least: T::ZERO,
            most_factor: largest_factor::<T>(),
        }
    }
}

/// Up to this a factor is finite.
#[inline(always)]
fn largest_factor<T: Float>() -> f64 {
    T::MIN_POSITIVE.to_f64().recip()
}

/// Writes the Hessian of a row whose terms are kept.
#[inline(never)]
pub(crate) fn write_from_terms<S: Simd, T: Float>(
    simd: S,
    kept: &KeptTerms<T>,
    row: &Normalizer<T>,
    curvature: &Curvature,
    lane: &mut Lane<'_, T, 1>,
) {
    simd.vectorize(
        #[inline(always)]
        || {
            let terms = Terms::kept(simd, kept);
            if let Some(function) = Function::new(&terms, row, curvature) {
                lane.write_second(simd, &function);
            } else {
                let [kept, second] = lane.outputs();
                second.copy_from_slice(kept);
                replace_rare(&terms, row, curvature, second);
            }
        },
    );
}

/// Writes the Hessian of a piece of a row, and leaves its logits alone.
#[inline(never)]
pub(crate) fn write_from_logits<S: Simd, T: Float>(
    simd: S,
    row: &Normalizer<T>,
    curvature: &Curvature,
    lane: &mut Lane<'_, T, 1>,
) {
    simd.vectorize(
        #[inline(always)]
        || {
            let mut second = lane.second_lane();
            row.write_probabilities(simd, Wide::ZERO, &mut second);
            let terms = Terms::probabilities();
            if let Some(function) = Function::new(&terms, row, curvature) {
                second.rewrite_row(simd, [None; 2], &function);
            } else {
                replace_rare(&terms, row, curvature, second.output());
            }
        },
    );
}

/// Replaces terms by the Hessian where a factor is so small that it would lose bits, or so large that
/// something would be left of a negligible term.
#[cold]
#[inline(never)]
fn replace_rare<T: Float>(
    terms: &Terms<T>,
    row: &Normalizer<T>,
    curvature: &Curvature,
    elements: &mut [T],
) {
    let of_top = curvature.at_top(row);
    for element in elements {
        let result = if *element >= terms.top {
            of_top
        } else if *element <= terms.least {
            0.0
        } else {
            let p = Wide::new(element.to_f64()) * terms.unit;
            curvature.at(p, Wide::new(1.0) - p)
        };
        *element = T::from_f64(result);
    }
}

/// `linear p - (linear - square) p^2` of terms, but for the top class.
struct Function<T> {
    /// For each unit of a term, as is `square`.
    linear: [T; 2],
    square: T,
    unit: [T; 2],
    top: T,
    of_top: T,
}

impl<T: Float> Function<T> {
    /// `None` where a factor is too small or too large.
    #[inline(always)]
    fn new(terms: &Terms<T>, row: &Normalizer<T>, curvature: &Curvature) -> Option<Self> {
        let linear = curvature.linear * terms.unit;
        let (least, most) = (tiny_factor::<T>(), terms.most_factor);
        (least..=most).contains(&linear.high.abs()).then(|| Self {
            linear: linear.parts(),
            square: T::from_f64((curvature.square * terms.unit).to_f64()),
            unit: terms.unit.parts(),
            top: terms.top,
            of_top: T::from_f64(curvature.at_top(row)),
        })
    }
}

impl<S: Simd, T: Float> RowMap<S, T> for Function<T> {
    const FILL: T = T::ZERO;

    #[inline(always)]
    fn map<const N: usize>(&self, mut terms: [T::Vector<S>; N]) -> [T::Vector<S>; N] {
        for term in &mut terms {
            let c = |constant| T::Vector::<S>::splat(term.token(), constant);
            let pair = |[high, low]: [T; 2]| Pair {
                high: c(high),
                low: c(low),
            };
            let (linear, unit) = (pair(self.linear), pair(self.unit));
            let result = curved::<S, T>(*term, linear, unit, c(self.square));
            *term = term.simd_ge(c(self.top)).select(c(self.of_top), result);
        }
        terms
    }
}

/// `linear p - (linear - square) p^2`, where a term times `unit` is `p`: rounded once but for what `p^2`
/// is made of.
#[inline(always)]
fn curved<S: Simd, T: Float>(
    term: T::Vector<S>,
    linear: Pair<T::Vector<S>>,
    unit: Pair<T::Vector<S>>,
    square: T::Vector<S>,
) -> T::Vector<S> {
    let low = term * linear.low;
    let slope = term.fused_mul_add(linear.high, low);
    let p = term.fused_mul_add(unit.high, term * unit.low);
    let bend = term.fused_mul_add(-square, slope);
    term.fused_mul_add(linear.high, (-bend).fused_mul_add(p, low))
}

/// What the Hessians of a tile's rows are made of.
struct TileCurvature<T> {
    linear: Halves<T>,
    unit: Halves<T>,
    square: [T; ROWS],
    of_top: [T; ROWS],
    /// `linear` without the lift of the terms, and `square`, not rounded.
    plain: [PerRow; 2],
}

/// Writes the Hessian of a tile's rows beside the terms that it is made of.
#[inline(always)]
pub(crate) fn write_tile<S: Simd, T: Float>(
    simd: S,
    tile: &mut Tile<'_, T>,
    z_loss: f64,
    scale: Number<S, T>,
    gradient: &TileGradient<'_>,
) {
    let lift = T::FORMAT.sum_lift_factor;
    let (mut plain, mut of_top) = ([[0.0; ROWS]; 2], [0.0; ROWS]);
    let (mut units, mut squares) = ([[0.0; ROWS]; 2], [0.0; ROWS]);
    let linear = Halves::of(
        simd,
        #[inline(always)]
        |start| {
            let rows = gradient.eight::<S, T>(simd, start);
            let top = rows.rows.top_probability();
            let rest = rows.rows.others.times(top);
            let scale = rows.scale(scale);
            let linear = rows.common(z_loss).all.times(scale);
            let square = Number::splat(simd, 2.0 * z_loss).times(scale);
            let at_top = linear.times(rest).plus(square.times(top)).times(top);
            let unit = top.scaled(lift.recip());
            let keep = |number| rows.unless_left_out(number);
            let (linear, square, unit) = (keep(linear), keep(square), keep(unit));
            store(linear.high, &mut plain[0], start);
            store(square.high, &mut plain[1], start);
            store(keep(at_top).high, &mut of_top, start);
            store(square.times(unit).high, &mut squares, start);
            store(unit.high, &mut units[0], start);
            store(unit.low, &mut units[1], start);
            linear.times(unit).pair()
        },
    );
    let unit = Halves::of(
        simd,
        #[inline(always)]
        |start| Pair {
            high: load(simd, &units[0], start),
            low: load(simd, &units[1], start),
        },
    );
    let curvature = TileCurvature {
        linear,
        unit,
        square: squares.map(T::from_f64),
        of_top: of_top.map(T::from_f64),
        plain,
    };
    curvature.write(simd, tile, &units[0]);
}

impl<T: Float> TileCurvature<T> {
    #[inline(always)]
    fn write<S: Simd>(&self, simd: S, tile: &mut Tile<'_, T>, units: &PerRow) {
        let Some(second) = &mut tile.second else {
            return;
        };
        let (zero, lift) = (T::ZERO, T::from_f64(T::FORMAT.sum_lift_factor));
        let classes = tile.elements.chunks_exact(ROWS);
        let results = second.chunks_exact_mut(ROWS);
        let least = tiny_factor::<T>() * T::FORMAT.sum_lift_factor;
        let most = largest_factor::<T>();
        let is_rare = |factor: f64| factor != 0.0 && (factor.abs() < least || factor.abs() > most);
        if self.plain[0]
            .iter()
            .fold(false, |any, &factor| any | is_rare(factor))
        {
            for (terms, results) in classes.zip(results) {
                for (row, (&term, result)) in terms.iter().zip(results).enumerate() {
                    *result = self.of_term(row, term, units[row]);
                }
            }
            return;
        }
        for start in (0..ROWS).step_by(T::LANES) {
            let lanes = start..start + T::LANES;
            let vector = |numbers: &[T]| T::Vector::<S>::from_slice(simd, numbers);
            let c = |constant| T::Vector::<S>::splat(simd, constant);
            let linear = self.linear.vectors(simd, start);
            let unit = self.unit.vectors(simd, start);
            let square = vector(&self.square[lanes.clone()]);
            let of_top = vector(&self.of_top[lanes.clone()]);
            let left_out = unit.high.simd_eq(c(zero));
            for (terms, results) in classes.clone().zip(second.chunks_exact_mut(ROWS)) {
                let term = vector(&terms[lanes.clone()]);
                let result = curved::<S, T>(term, linear, unit, square);
                let result = term.simd_ge(c(lift)).select(of_top, result);
                let result = left_out.select(c(zero), result);
                result.store_slice(&mut results[lanes.clone()]);
            }
        }
    }

    /// The entry of a class, where a factor in the tile is tiny or huge.
    fn of_term(&self, row: usize, term: T, unit: f64) -> T {
        let term = term.to_f64();
        if unit == 0.0 {
            return T::ZERO;
        }
        if term >= T::FORMAT.sum_lift_factor {
            return self.of_top[row];
        }
        let [linear, square] = [self.plain[0][row], self.plain[1][row]];
        let p = term * unit;
        T::from_f64((linear * (1.0 - p) + square * p) * p)
    }
}
