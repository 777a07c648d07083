//! The element types: the sealed [`Element`] trait of what arrays hold, and the [`Float`] trait of
//! what is computed with, with each format's constants and its SIMD vector.
//!
//! Here belongs what depends on the number format alone: widths, exponents, polynomial
//! coefficients, conversions. No loops, no rows, no mathematics.

use fearless_simd::{
    Simd, SimdCombine, SimdFloat, SimdFloatElement, SimdNarrow, SimdSplit, SimdWiden, f32x4,
    f32x16, f64x4, f64x8,
};
use half::{bf16, f16};

mod sealed {
    pub trait Sealed {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// An element type of logits, probabilities and gradients: [`f32`], [`f64`], or
/// [`half::f16`] and [`half::bf16`], which are computed with as `f32`.
///
/// The trait is sealed: every kernel's error bound is proved and tested for each format.
pub trait Element: sealed::Sealed + Copy + PartialEq + Send + Sync + 'static {
    /// What is computed with, and what losses and log-sum-exps are returned as.
    type Compute: Float;

    /// The name that NumPy gives the type, for instance `float32`.
    const NAME: &'static str;
    #[doc(hidden)]
    const ENCODING: Encoding;
    #[doc(hidden)]
    const ZERO: Self;

    #[doc(hidden)]
    fn from_compute(value: Self::Compute) -> Self;
    #[doc(hidden)]
    fn to_f64(self) -> f64;
}

impl Element for f16 {
    type Compute = f32;

    const NAME: &'static str = "float16";
    const ENCODING: Encoding = Encoding::F16;
    const ZERO: Self = Self::ZERO;

    #[inline(always)]
    fn from_compute(value: f32) -> Self {
        Self::from_f32(value)
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        Self::to_f64(self)
    }
}

impl Element for bf16 {
    type Compute = f32;

    const NAME: &'static str = "bfloat16";
    const ENCODING: Encoding = Encoding::Bf16;
    const ZERO: Self = Self::ZERO;

    #[inline(always)]
    fn from_compute(value: f32) -> Self {
        Self::from_f32(value)
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        Self::to_f64(self)
    }
}

impl<T: Float> Element for T {
    type Compute = T;

    const NAME: &'static str = <T as Float>::NAME;
    const ENCODING: Encoding = Encoding::Own;
    const ZERO: Self = <T as Float>::ZERO;

    #[inline(always)]
    fn from_compute(value: T) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        Float::to_f64(self)
    }
}

/// What the elements of an array are that is computed with as another type.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// That type itself.
    Own,
    /// [`half::f16`], computed with as `f32`.
    F16,
    /// [`half::bf16`], computed with as `f32`.
    Bf16,
    /// `f64`, of which the nearest `f32` is computed with.
    F64High,
    /// `f64`, of which the nearest `f32` to what that one lacks is computed with.
    F64Low,
    /// `i64`.
    I64,
    /// A byte: 0, or 1 if it is anything else.
    Bool,
}

impl Encoding {
    /// The place so many elements on.
    #[inline(always)]
    pub(crate) fn offset<T>(self, start: *const T, elements: isize) -> *const T {
        match self {
            Self::Own => start.wrapping_offset(elements),
            Self::F16 | Self::Bf16 => start.cast::<u16>().wrapping_offset(elements).cast(),
            Self::F64High | Self::F64Low => start.cast::<f64>().wrapping_offset(elements).cast(),
            Self::I64 => start.cast::<i64>().wrapping_offset(elements).cast(),
            Self::Bool => start.cast::<u8>().wrapping_offset(elements).cast(),
        }
    }

    /// The size of an element, in bytes.
    #[inline(always)]
    pub(crate) fn size<T>(self) -> usize {
        match self {
            Self::Own => size_of::<T>(),
            Self::F16 | Self::Bf16 => size_of::<u16>(),
            Self::F64High | Self::F64Low => size_of::<f64>(),
            Self::I64 => size_of::<i64>(),
            Self::Bool => size_of::<u8>(),
        }
    }

    /// Whether elements are of half precision.
    #[inline(always)]
    pub(crate) fn is_half(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16)
    }

    /// The value of one element of half precision.
    #[inline(always)]
    pub(crate) fn decoded(self, bits: u16) -> f32 {
        match self {
            Self::F16 => f16::from_bits(bits).to_f32(),
            Self::Bf16 => bf16::from_bits(bits).to_f32(),
            _ => unreachable!("these have no bits of half precision"),
        }
    }

    /// One value, rounded to the nearest element.
    #[inline(always)]
    pub(crate) fn encoded(self, value: f32) -> u16 {
        match self {
            Self::F16 => f16::from_f32(value).to_bits(),
            Self::Bf16 => bf16::from_f32(value).to_bits(),
            _ => unreachable!("results are of half precision, or what is computed with"),
        }
    }
}

/// The nearest `f32`.
#[inline(always)]
pub(crate) fn high(value: f64) -> f32 {
    value as f32
}

/// What the nearest `f32` lacks: nothing if it is infinite.
#[inline(always)]
pub(crate) fn low(value: f64) -> f32 {
    let high = high(value);
    let rest = (value - f64::from(high)) as f32;
    if high.is_finite() { rest } else { 0.0 }
}

/// A type that is computed with: [`f32`] or [`f64`].
pub trait Float: sealed::Sealed + SimdFloatElement + Send + Sync + 'static {
    /// The logical vector: 512 bits whatever the machine's width, so that results have the same
    /// bits everywhere.
    #[doc(hidden)]
    type Vector<S: Simd>: SimdFloat<S, Element = Self>;
    /// Four elements: what is transposed at once.
    #[doc(hidden)]
    type Quad<S: Simd>: SimdFloat<S, Element = Self>;
    /// A vector's lanes as `f64`.
    #[doc(hidden)]
    type Widened<S: Simd>: AsRef<[f64x8<S>]> + AsMut<[f64x8<S>]> + Copy;

    /// The name that NumPy gives the type: `float32` or `float64`.
    const NAME: &'static str;
    #[doc(hidden)]
    const LANES: usize;
    /// The numbers of a vector's lanes.
    #[doc(hidden)]
    const LANE_NUMBERS: &'static [Self];
    #[doc(hidden)]
    const ZERO: Self;
    #[doc(hidden)]
    const ONE: Self;
    #[doc(hidden)]
    const ONE_REF: &'static Self;
    #[doc(hidden)]
    const HALF: Self;
    #[doc(hidden)]
    const NAN: Self;
    #[doc(hidden)]
    const INFINITY: Self;
    #[doc(hidden)]
    const MIN_POSITIVE: Self;
    #[doc(hidden)]
    const FORMAT: Format<Self>;

    #[doc(hidden)]
    fn from_f64(value: f64) -> Self;
    #[doc(hidden)]
    fn to_f64(self) -> f64;
    #[doc(hidden)]
    fn widen<S: Simd>(vector: Self::Vector<S>) -> Self::Widened<S>;
    #[doc(hidden)]
    fn narrow<S: Simd>(widened: Self::Widened<S>) -> Self::Vector<S>;
    /// The vector of so many fours, by their numbers.
    #[doc(hidden)]
    fn join<S: Simd>(four: impl Fn(usize) -> Self::Quad<S>) -> Self::Vector<S>;
    /// A vector's fours with their numbers.
    #[doc(hidden)]
    fn split<S: Simd>(vector: Self::Vector<S>, take: impl FnMut(usize, Self::Quad<S>));
    /// The slice as one of `f32`, if it is.
    #[doc(hidden)]
    fn as_f32s(slice: &[Self]) -> Option<&[f32]>;
    /// The same to write to.
    #[doc(hidden)]
    fn as_f32s_mut(slice: &mut [Self]) -> Option<&mut [f32]>;
    /// Of slices of either type the one of this type.
    #[doc(hidden)]
    fn of_either<'a>(f32s: Option<&'a [f32]>, f64s: Option<&'a [f64]>) -> Option<&'a [Self]>;
}

/// The constants of a binary floating-point format that the vector mathematics needs.
#[doc(hidden)]
pub struct Format<T: SimdFloatElement + 'static> {
    /// Width of the stored significand: the exponent starts above it.
    pub significand_bits: u32,
    /// What is added to an exponent when it is stored.
    pub exponent_bias: T,
    /// `1.5 * 2^significand_bits`: adding it rounds to an integer and leaves that integer in the
    /// low bits.
    pub magic: T,
    /// `2^significand_bits`.
    pub integer_limit: T,
    /// The bits of 1.0.
    pub one_bits: T::Bits,
    /// The bits of 1.0 less the bits of 0.75: added to a number's bits it moves significands from
    /// 1.5 on to the next exponent.
    pub three_quarters_gap: T::Bits,
    /// The mask of the significand and the exponent bits that `2^0` and `2^-1` differ in.
    pub integer_limit_bits: T::Bits,
    /// A power of two that lifts every subnormal number into the normal range, and its exponent.
    pub subnormal_lift: (T, T),
    pub log2_e: T,
    pub ln_2_high: T,
    pub ln_2_low: T,
    /// `(e^t - 1 - t) / t^2` on `|t| <= ln(2)/2`, lowest power first.
    /// `scripts/polynomials.py` makes the polynomials.
    pub exp: &'static [T],
    /// `(log((1+s)/(1-s)) - 2s) / s^3` in powers of `s^2`, for `s^2 <= 0.04`, lowest power first.
    pub log: &'static [T],
    /// `(log(1+e) - e) / e^2` in powers of `e - 1/2`, for `0 <= e <= 1`, lowest power first.
    pub log1p: &'static [T],
    /// Below this argument `log1p(e) = e` to the last bit.
    pub log1p_linear: T,
    /// Sums of exponentials are kept scaled by two to this power, so that terms that are
    /// subnormal beside the maximum keep all their bits.
    pub sum_lift: f64,
    /// Two to that power.
    pub sum_lift_factor: f64,
    /// Where the sum of a row's other terms is at least this share of the maximum's, the difference
    /// of the sum of all and the maximum's has bits enough.
    pub confident: f64,
    /// Exponentials of arguments below this are nothing beside the smallest number of the format,
    /// however many there are.
    pub negligible: f64,
    /// Arguments from here on have a normal exponential.
    pub normal: f64,
    /// Arguments up to here have a finite exponential.
    pub finite: f64,
    /// Exponentials of arguments below this round to zero.
    pub zero: f64,
    /// From this magnitude of a row's maximum on, the maximum is subtracted first: every element
    /// that counts beside it is then within a factor of two of it, so that the difference is
    /// exact.
    pub exact_difference: f64,
}

impl Float for f32 {
    type Vector<S: Simd> = f32x16<S>;
    type Quad<S: Simd> = f32x4<S>;
    type Widened<S: Simd> = [f64x8<S>; 2];

    const NAME: &'static str = "float32";
    const LANES: usize = 16;
    const LANE_NUMBERS: &'static [Self] = &[
        0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0,
    ];
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ONE_REF: &'static Self = &1.0;
    const HALF: Self = 0.5;
    const NAN: Self = Self::NAN;
    const INFINITY: Self = Self::INFINITY;
    const MIN_POSITIVE: Self = Self::MIN_POSITIVE;
    const FORMAT: Format<Self> = Format {
        significand_bits: 23,
        exponent_bias: 127.0,
        magic: 12_582_912.0,
        integer_limit: 8_388_608.0,
        one_bits: 0x3F80_0000,
        three_quarters_gap: 0x0040_0000,
        integer_limit_bits: 0x4B00_0000,
        subnormal_lift: (16_777_216.0, 24.0),
        log2_e: core::f32::consts::LOG2_E,
        ln_2_high: core::f32::consts::LN_2,
        ln_2_low: -1.904_654_2e-9,
        exp: &[
            0.5,
            0.166_665_18,
            0.041_666_202,
            0.008_368_985,
            0.001_395_065_8,
        ],
        log: &[0.666_666_6, 0.400_008_62, 0.285_070_7, 0.240_994_47],
        log1p: &[
            -0.378_139_56,
            0.179_224_9,
            -0.093_231_86,
            0.051_089_06,
            -0.028_905,
            0.016_656_986,
            -0.010_177_704,
            0.006_930_693,
            -0.003_318_474,
        ],
        log1p_linear: 1e-9,
        sum_lift: 64.0,
        sum_lift_factor: 18_446_744_073_709_551_616.0,
        confident: 1.0 / 16_384.0,
        negligible: -130.0,
        normal: -87.0,
        finite: 88.0,
        zero: -105.0,
        exact_difference: 512.0,
    };

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn widen<S: Simd>(vector: Self::Vector<S>) -> Self::Widened<S> {
        let (low, high) = vector.widen();
        [low, high]
    }

    #[inline(always)]
    fn narrow<S: Simd>(widened: Self::Widened<S>) -> Self::Vector<S> {
        widened[0].narrow(widened[1])
    }

    #[inline(always)]
    fn join<S: Simd>(four: impl Fn(usize) -> Self::Quad<S>) -> Self::Vector<S> {
        let (low, high) = (four(0).combine(four(1)), four(2).combine(four(3)));
        low.combine(high)
    }

    #[inline(always)]
    fn split<S: Simd>(vector: Self::Vector<S>, mut take: impl FnMut(usize, Self::Quad<S>)) {
        let (low, high) = SimdSplit::split(vector);
        for (half, first) in [(low, 0), (high, 2)] {
            let (low, high) = SimdSplit::split(half);
            take(first, low);
            take(first + 1, high);
        }
    }

    #[inline(always)]
    fn as_f32s(slice: &[f32]) -> Option<&[f32]> {
        Some(slice)
    }

    #[inline(always)]
    fn as_f32s_mut(slice: &mut [f32]) -> Option<&mut [f32]> {
        Some(slice)
    }

    #[inline(always)]
    fn of_either<'a>(f32s: Option<&'a [f32]>, _: Option<&'a [f64]>) -> Option<&'a [f32]> {
        f32s
    }
}

impl Float for f64 {
    type Vector<S: Simd> = f64x8<S>;
    type Quad<S: Simd> = f64x4<S>;
    type Widened<S: Simd> = [f64x8<S>; 1];

    const NAME: &'static str = "float64";
    const LANES: usize = 8;
    const LANE_NUMBERS: &'static [Self] = &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ONE_REF: &'static Self = &1.0;
    const HALF: Self = 0.5;
    const NAN: Self = Self::NAN;
    const INFINITY: Self = Self::INFINITY;
    const MIN_POSITIVE: Self = Self::MIN_POSITIVE;
    const FORMAT: Format<Self> = Format {
        significand_bits: 52,
        exponent_bias: 1023.0,
        magic: 6_755_399_441_055_744.0,
        integer_limit: 4_503_599_627_370_496.0,
        one_bits: 0x3FF0_0000_0000_0000,
        three_quarters_gap: 0x0008_0000_0000_0000,
        integer_limit_bits: 0x4330_0000_0000_0000,
        subnormal_lift: (18_014_398_509_481_984.0, 54.0),
        log2_e: core::f64::consts::LOG2_E,
        ln_2_high: core::f64::consts::LN_2,
        ln_2_low: 2.319_046_813_846_299_6e-17,
        exp: &[
            0.500_000_000_000_001_3,
            0.166_666_666_666_667,
            0.041_666_666_666_513_794,
            0.008_333_333_333_306_936,
            0.001_388_888_894_748_460_9,
            0.000_198_412_699_179_688_78,
            2.480_148_941_927_560_3e-5,
            2.755_721_577_640_702e-6,
            2.763_147_883_485_297e-7,
            2.511_802_776_624_797_3e-8,
        ],
        log: &[
            0.666_666_666_666_666,
            0.400_000_000_000_561,
            0.285_714_285_559_673_8,
            0.222_222_242_807_941_12,
            0.181_816_668_107_838_03,
            0.153_910_815_789_267_7,
            0.131_741_073_048_116_89,
            0.138_396_165_306_551_47,
        ],
        log1p: &[
            -0.378_139_567_567_342_46,
            0.179_224_936_936_037_2,
            -0.093_230_366_363_669_03,
            0.051_083_446_105_400_235,
            -0.028_943_183_164_417_248,
            0.016_788_742_491_279_415,
            -0.009_909_900_766_965_173,
            0.005_929_011_560_867_239,
            -0.003_585_664_773_888_357_6,
            0.002_187_647_577_833_163,
            -0.001_344_531_173_139_686_6,
            0.000_831_343_021_805_022_9,
            -0.000_516_539_114_707_604_8,
            0.000_323_465_948_221_079_67,
            -0.000_204_879_231_300_449_92,
            0.000_125_449_138_393_567_44,
            -7.108_740_776_375_84e-5,
            5.274_510_114_021_705e-5,
            -5.112_654_075_723_478_5e-5,
            2.532_982_472_273_011e-5,
        ],
        log1p_linear: 1e-18,
        sum_lift: 200.0,
        sum_lift_factor: f64::from_bits((1023 + 200) << 52),
        confident: 1.0 / 1_099_511_627_776.0,
        negligible: -840.0,
        normal: -708.0,
        finite: 709.0,
        zero: -746.0,
        exact_difference: 4096.0,
    };

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn widen<S: Simd>(vector: Self::Vector<S>) -> Self::Widened<S> {
        [vector]
    }

    #[inline(always)]
    fn narrow<S: Simd>(widened: Self::Widened<S>) -> Self::Vector<S> {
        widened[0]
    }

    #[inline(always)]
    fn join<S: Simd>(four: impl Fn(usize) -> Self::Quad<S>) -> Self::Vector<S> {
        four(0).combine(four(1))
    }

    #[inline(always)]
    fn split<S: Simd>(vector: Self::Vector<S>, mut take: impl FnMut(usize, Self::Quad<S>)) {
        let (low, high) = SimdSplit::split(vector);
        take(0, low);
        take(1, high);
    }

    #[inline(always)]
    fn as_f32s(_: &[f64]) -> Option<&[f32]> {
        None
    }

    #[inline(always)]
    fn as_f32s_mut(_: &mut [f64]) -> Option<&mut [f32]> {
        None
    }

    #[inline(always)]
    fn of_either<'a>(_: Option<&'a [f32]>, f64s: Option<&'a [f64]>) -> Option<&'a [f64]> {
        f64s
    }
}
