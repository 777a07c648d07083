//! Half precision to `f32` and back, and other numbers to what is computed with, many at a time.
//!
//! Decoding halves is exact; encoding rounds to the nearest, ties to even. Both give the same bits at every
//! level: where there are instructions for `f16` they are used, else integers do it.

use fearless_simd::Simd;

#[cfg(target_arch = "x86_64")]
use super::{has_fused_mul_add, has_wide_registers};
use crate::float::{Encoding, Float, high, low};

/// Decodes as many elements as there are places for.
///
/// # Safety
/// So many are readable, and are of that encoding.
#[inline(always)]
pub(crate) unsafe fn decode<S: Simd, T: Float>(
    simd: S,
    encoding: Encoding,
    from: *const T,
    to: &mut [T],
) {
    // SAFETY: promised by the caller, as all of these.
    unsafe {
        match encoding {
            Encoding::F64High => convert(from.cast(), to, |x: f64| high(x).into()),
            Encoding::F64Low => convert(from.cast(), to, |x: f64| low(x).into()),
            Encoding::I64 => convert(from.cast(), to, |x: i64| x as f64),
            Encoding::Bool => convert(from.cast(), to, |x: u8| f64::from(u8::from(x != 0))),
            Encoding::Own | Encoding::F16 | Encoding::Bf16 => {
                decode_halves(simd, encoding, from, to);
            }
        }
    }
}

/// The number that one element stands for.
///
/// # Safety
/// An element of this encoding lies there, which is not `Own`.
#[inline(always)]
pub(crate) unsafe fn decode_one<T>(encoding: Encoding, place: *const T) -> f64 {
    // SAFETY: promised by the caller.
    unsafe {
        match encoding {
            Encoding::Own => unreachable!("these are not decoded"),
            Encoding::F16 | Encoding::Bf16 => encoding.decoded(*place.cast()).into(),
            Encoding::F64High => high(*place.cast()).into(),
            Encoding::F64Low => low(*place.cast()).into(),
            Encoding::I64 => *place.cast::<i64>() as f64,
            Encoding::Bool => f64::from(u8::from(*place.cast::<u8>() != 0)),
        }
    }
}

/// Replaces elements by a function of others.
///
/// # Safety
/// There are as many others.
#[inline(always)]
unsafe fn convert<U: Copy, T: Float>(from: *const U, to: &mut [T], number: impl Fn(U) -> f64) {
    // SAFETY: promised by the caller.
    let from = unsafe { std::slice::from_raw_parts(from, to.len()) };
    for (to, &from) in to.iter_mut().zip(from) {
        *to = T::from_f64(number(from));
    }
}

/// # Safety
/// So many are readable, and are encoded in `f16` or `bf16`; `T` is `f32`.
#[inline(always)]
unsafe fn decode_halves<S: Simd, T: Float>(
    simd: S,
    encoding: Encoding,
    from: *const T,
    to: &mut [T],
) {
    let to = T::as_f32s_mut(to).expect("half precision is computed with as f32");
    // SAFETY: promised by the caller.
    let from = unsafe { std::slice::from_raw_parts(from.cast::<u16>(), to.len()) };
    if encoding == Encoding::Bf16 {
        for (to, &bits) in to.iter_mut().zip(from) {
            *to = f32::from_bits(u32::from(bits) << 16);
        }
        return;
    }
    #[cfg(target_arch = "x86_64")]
    let done = if has_fused_mul_add(simd) {
        // SAFETY: the levels that have fused multiply-adds have these instructions, too.
        unsafe { x86::decode_f16(from, to) }
    } else {
        0
    };
    #[cfg(not(target_arch = "x86_64"))]
    let (_, done) = (simd, 0);
    for (to, &bits) in to[done..].iter_mut().zip(&from[done..]) {
        *to = f16_to_f32(bits);
    }
}

/// Encodes elements.
///
/// # Safety
/// There are places for so many, of the encoding, which is `f16` or `bf16`; `T` is `f32`.
#[inline(always)]
pub(crate) unsafe fn encode<S: Simd, T: Float>(
    simd: S,
    encoding: Encoding,
    from: &[T],
    to: *mut T,
) {
    let from = T::as_f32s(from).expect("half precision is computed with as f32");
    // SAFETY: promised by the caller.
    let to = unsafe { std::slice::from_raw_parts_mut(to.cast::<u16>(), from.len()) };
    #[cfg(target_arch = "x86_64")]
    let done = if has_fused_mul_add(simd) {
        // SAFETY: as above; wide registers are those of AVX-512.
        unsafe {
            match encoding {
                Encoding::Bf16 if has_wide_registers(simd) => x86::encode_bf16_wide(from, to),
                Encoding::Bf16 => x86::encode_bf16(from, to),
                _ => x86::encode_f16(from, to),
            }
        }
    } else {
        0
    };
    #[cfg(not(target_arch = "x86_64"))]
    let (_, done) = (simd, 0);
    let rest = to[done..].iter_mut().zip(&from[done..]);
    if encoding == Encoding::Bf16 {
        rest.for_each(|(to, &value)| *to = f32_to_bf16(value));
    } else {
        rest.for_each(|(to, &value)| *to = f32_to_f16(value));
    }
}

/// What lies above the exponent of the largest `f16` is its infinity and its NaNs. Without a branch
/// the compiler makes vectors of it.
#[inline(always)]
fn f16_to_f32(bits: u16) -> f32 {
    let bits = u32::from(bits);
    let (sign, magnitude) = ((bits & 0x8000) << 16, bits & 0x7FFF);
    let normal = (magnitude << 13) + ((127 - 15) << 23);
    let subnormal = (magnitude as i32 as f32 * (1.0 / 16_777_216.0)).to_bits();
    let special = normal | 0x7F80_0000;
    // A NaN becomes a quiet one, as the instructions make it.
    let special = if magnitude > 0x7C00 {
        special | 0x0040_0000
    } else {
        special
    };
    let finite = if magnitude < 0x0400 {
        subnormal
    } else {
        normal
    };
    let result = if magnitude >= 0x7C00 { special } else { finite };
    f32::from_bits(sign | result)
}

#[inline(always)]
fn f32_to_f16(value: f32) -> u16 {
    /// The `f32` whose last bit is that of the smallest `f16`.
    const SUBNORMAL: u32 = (127 - 15 + 23 - 10 + 1) << 23;
    /// From here on the nearest `f16` is infinite.
    const INFINITE: u32 = 0x477F_F000;
    let bits = value.to_bits();
    let (sign, magnitude) = ((bits >> 16) & 0x8000, bits & 0x7FFF_FFFF);
    // Adding rounds to a multiple of the smallest number.
    let shifted = f32::from_bits(magnitude) + f32::from_bits(SUBNORMAL);
    let subnormal = shifted.to_bits().wrapping_sub(SUBNORMAL);
    let is_odd = (magnitude >> 13) & 1;
    let rounded = magnitude.wrapping_sub((127 - 15) << 23);
    let normal = rounded.wrapping_add(0x0FFF + is_odd) >> 13;
    let finite = if magnitude < (127 - 14) << 23 {
        subnormal
    } else {
        normal
    };
    let nan = 0x7E00 | ((magnitude >> 13) & 0x03FF);
    let special = if magnitude > 0x7F80_0000 { nan } else { 0x7C00 };
    let result = if magnitude >= INFINITE {
        special
    } else {
        finite
    };
    (sign | result) as u16
}

#[inline(always)]
fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + ((bits >> 16) & 1));
    // A NaN must not round to an infinity.
    let quiet = bits | 0x0040_0000;
    let result = if bits & 0x7FFF_FFFF > 0x7F80_0000 {
        quiet
    } else {
        rounded
    };
    (result >> 16) as u16
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::{
        __m256, __m256i, __m512i, _CMP_UNORD_Q, _MM_FROUND_TO_NEAREST_INT, _mm_loadu_si128,
        _mm_storeu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_blendv_epi8,
        _mm256_castps_si256, _mm256_cmp_ps, _mm256_cvtph_ps, _mm256_cvtps_ph, _mm256_loadu_ps,
        _mm256_movemask_ps, _mm256_or_si256, _mm256_packus_epi32, _mm256_permute4x64_epi64,
        _mm256_set1_epi32, _mm256_srli_epi32, _mm256_storeu_ps, _mm256_storeu_si256,
        _mm512_add_epi32, _mm512_and_si512, _mm512_castps_si512, _mm512_cmp_ps_mask,
        _mm512_loadu_ps, _mm512_mask_or_epi32, _mm512_packus_epi32, _mm512_permutexvar_epi64,
        _mm512_set_epi64, _mm512_set1_epi32, _mm512_srli_epi32, _mm512_storeu_si512,
    };

    /// Elements of a vector.
    const LANES: usize = 8;

    /// Decodes whole vectors, and tells how many elements that were.
    ///
    /// # Safety
    /// The machine has AVX and F16C.
    #[inline(always)]
    pub(super) unsafe fn decode_f16(from: &[u16], to: &mut [f32]) -> usize {
        let vectors = from.chunks_exact(LANES).zip(to.chunks_exact_mut(LANES));
        for (from, to) in vectors {
            // SAFETY: both hold a vector, and the caller promises the instructions.
            unsafe {
                let encoded = _mm_loadu_si128(from.as_ptr().cast());
                _mm256_storeu_ps(to.as_mut_ptr(), _mm256_cvtph_ps(encoded));
            }
        }
        from.len() / LANES * LANES
    }

    /// Encodes whole vectors, and tells how many elements that were.
    ///
    /// # Safety
    /// As for [`decode_f16`].
    #[inline(always)]
    pub(super) unsafe fn encode_f16(from: &[f32], to: &mut [u16]) -> usize {
        let vectors = from.chunks_exact(LANES).zip(to.chunks_exact_mut(LANES));
        for (from, to) in vectors {
            // SAFETY: as above.
            unsafe {
                let encoded =
                    _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_loadu_ps(from.as_ptr()));
                _mm_storeu_si128(to.as_mut_ptr().cast(), encoded);
            }
        }
        from.len() / LANES * LANES
    }

    /// Encodes pairs of vectors, and tells how many elements that were. The compiler's own vectors
    /// take half as long again.
    ///
    /// # Safety
    /// The machine has AVX2.
    #[inline(always)]
    pub(super) unsafe fn encode_bf16(from: &[f32], to: &mut [u16]) -> usize {
        const PAIR: usize = 2 * LANES;
        let pairs = from.chunks_exact(PAIR).zip(to.chunks_exact_mut(PAIR));
        for (from, to) in pairs {
            // SAFETY: both hold two vectors, and the caller promises the instructions.
            unsafe {
                let low = _mm256_loadu_ps(from.as_ptr());
                let high = _mm256_loadu_ps(from.as_ptr().add(LANES));
                let mut rounded = [rounded_to_bf16(low), rounded_to_bf16(high)];
                if _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_UNORD_Q>(low, high)) != 0 {
                    rounded = [quiet_bf16(low, rounded[0]), quiet_bf16(high, rounded[1])];
                }
                // Packed are the lower halves of both, then the upper ones.
                let packed = _mm256_packus_epi32(rounded[0], rounded[1]);
                let in_order = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
                _mm256_storeu_si256(to.as_mut_ptr().cast(), in_order);
            }
        }
        from.len() / PAIR * PAIR
    }

    /// A vector's elements rounded to the 16 bits that they end with. A NaN may become an infinity.
    ///
    /// # Safety
    /// The machine has AVX2.
    #[inline(always)]
    unsafe fn rounded_to_bf16(values: __m256) -> __m256i {
        // SAFETY: promised by the caller.
        unsafe {
            let bits = _mm256_castps_si256(values);
            let is_odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let less_than_half = _mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF));
            _mm256_srli_epi32::<16>(_mm256_add_epi32(less_than_half, is_odd))
        }
    }

    /// The same with NaNs, which become quiet ones.
    ///
    /// # Safety
    /// As for [`rounded_to_bf16`].
    #[inline(always)]
    unsafe fn quiet_bf16(values: __m256, rounded: __m256i) -> __m256i {
        // SAFETY: promised by the caller.
        unsafe {
            let bits = _mm256_castps_si256(values);
            let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
            let is_nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(values, values));
            _mm256_blendv_epi8(rounded, _mm256_srli_epi32::<16>(quiet), is_nan)
        }
    }

    /// [`encode_bf16`] by AVX-512: its vectors are twice as long, and it chooses between elements by
    /// masks.
    ///
    /// # Safety
    /// The machine has AVX-512 F and BW.
    #[inline(always)]
    pub(super) unsafe fn encode_bf16_wide(from: &[f32], to: &mut [u16]) -> usize {
        const WIDE: usize = 2 * LANES;
        const PAIR: usize = 2 * WIDE;
        let pairs = from.chunks_exact(PAIR).zip(to.chunks_exact_mut(PAIR));
        for (from, to) in pairs {
            // SAFETY: both hold two vectors, and the caller promises the instructions.
            unsafe {
                let low = rounded_to_bf16_wide(from.as_ptr());
                let high = rounded_to_bf16_wide(from.as_ptr().add(WIDE));
                // Packed are a quarter of the one, a quarter of the other, and so on.
                let packed = _mm512_packus_epi32(low, high);
                let order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
                let in_order = _mm512_permutexvar_epi64(order, packed);
                _mm512_storeu_si512(to.as_mut_ptr().cast(), in_order);
            }
        }
        from.len() / PAIR * PAIR
    }

    /// A vector's elements rounded to the 16 bits that they end with.
    ///
    /// # Safety
    /// A vector is readable there, and the machine has AVX-512 F.
    #[inline(always)]
    unsafe fn rounded_to_bf16_wide(from: *const f32) -> __m512i {
        // SAFETY: promised by the caller.
        unsafe {
            let values = _mm512_loadu_ps(from);
            let bits = _mm512_castps_si512(values);
            let is_odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let less_than_half = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF));
            let rounded = _mm512_add_epi32(less_than_half, is_odd);
            // A NaN must not round to an infinity.
            let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(values, values);
            let quiet = _mm512_set1_epi32(0x0040_0000);
            _mm512_srli_epi32::<16>(_mm512_mask_or_epi32(rounded, is_nan, bits, quiet))
        }
    }
}

#[cfg(test)]
mod tests {
    use fearless_simd::Simd;
    use half::{bf16, f16};

    use super::{decode, decode_one, encode};
    use crate::float::{Encoding, Float};
    use crate::simd::level::Instructions;
    use crate::simd::{Task, dispatch};

    struct Decode<'a>(Encoding, &'a [u16], &'a mut [f32]);

    impl Task for Decode<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            assert_eq!(self.1.len(), self.2.len());
            // SAFETY: both are slices of one length.
            unsafe { decode(simd, self.0, self.1.as_ptr().cast(), self.2) }
        }
    }

    struct Encode<'a>(Encoding, &'a [f32], &'a mut [u16]);

    impl Task for Encode<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            assert_eq!(self.1.len(), self.2.len());
            // SAFETY: both are slices of one length.
            unsafe { encode(simd, self.0, self.1, self.2.as_mut_ptr().cast()) }
        }
    }

    /// All elements of 16 bits.
    fn all() -> Vec<u16> {
        (0..=u16::MAX).collect()
    }

    fn decoded(level: Instructions, encoding: Encoding, bits: &[u16]) -> Vec<f32> {
        let mut values = vec![0.0; bits.len()];
        dispatch(level, Decode(encoding, bits, &mut values));
        values
    }

    fn encoded(level: Instructions, encoding: Encoding, values: &[f32]) -> Vec<u16> {
        let mut bits = vec![0; values.len()];
        dispatch(level, Encode(encoding, values, &mut bits));
        bits
    }

    #[test]
    fn decodes_every_element_as_half_does() {
        for level in Instructions::available() {
            for (encoding, oracle) in [
                (
                    Encoding::F16,
                    (|b| f16::from_bits(b).to_f32()) as fn(u16) -> f32,
                ),
                (Encoding::Bf16, |b| bf16::from_bits(b).to_f32()),
            ] {
                let values = decoded(level, encoding, &all());
                for (bits, value) in all().into_iter().zip(values) {
                    let expected = oracle(bits);
                    assert_eq!(value.is_nan(), expected.is_nan(), "{encoding:?} {bits:#x}");
                    if !value.is_nan() {
                        let same = value.to_bits() == expected.to_bits();
                        assert!(same, "{encoding:?} {bits:#x}: {value}, {expected}");
                    }
                }
            }
        }
    }

    /// Every element, the ties beside it, and what lies on either side of those.
    fn around(values: &[f32]) -> Vec<f32> {
        let mut found = Vec::new();
        for pair in values.windows(2) {
            let (low, high) = (pair[0], pair[1]);
            let tie = low + (high - low) / 2.0;
            let bits = tie.to_bits();
            found.extend([low, high, tie]);
            found.extend([
                f32::from_bits(bits + 1),
                f32::from_bits(bits.saturating_sub(1)),
            ]);
        }
        let special = [
            f32::INFINITY,
            f32::NAN,
            f32::MAX,
            f32::MIN_POSITIVE,
            1e-45,
            0.0,
            // The tie between the largest f16 and what would follow it, and its neighbours.
            65_520.0,
            65_519.996,
            65_520.004,
            // The same for bf16.
            f32::from_bits(0x7F7F_8000),
            f32::from_bits(0x7F7F_7FFF),
            // NaNs whose payload is all in the bits that are lost, or all ones.
            f32::from_bits(0x7F80_0001),
            f32::from_bits(0x7FFF_FFFF),
        ];
        found.extend(special);
        let negative: Vec<_> = found.iter().map(|value| -value).collect();
        found.into_iter().chain(negative).collect()
    }

    #[test]
    fn encodes_ties_and_their_neighbours_as_half_does() {
        for level in Instructions::available() {
            for (encoding, oracle, finite) in [
                (
                    Encoding::F16,
                    (|x| f16::from_f32(x).to_bits()) as fn(f32) -> u16,
                    0x7C00,
                ),
                (Encoding::Bf16, |x| bf16::from_f32(x).to_bits(), 0x7F80),
            ] {
                let elements: Vec<u16> = (0..finite).collect();
                let values = around(&decoded(level, encoding, &elements));
                let bits = encoded(level, encoding, &values);
                for (value, bits) in values.into_iter().zip(bits) {
                    if value.is_nan() {
                        let back = encoding.decoded(bits);
                        assert!(back.is_nan(), "{encoding:?}: NaN became {back}");
                    } else {
                        let same = bits == oracle(value);
                        assert!(same, "{encoding:?} {value:e}: {bits:#x}");
                    }
                }
            }
        }
    }

    /// The last elements, which fill no vector, and places that are not aligned to one.
    #[test]
    fn converts_any_number_of_elements() {
        for level in Instructions::available() {
            for encoding in [Encoding::F16, Encoding::Bf16] {
                for len in 0..=34 {
                    for start in 0..3 {
                        let bits = &all()[0x3C00 + start..][..len];
                        let values = decoded(level, encoding, bits);
                        let one_by_one: Vec<_> =
                            bits.iter().map(|&bits| encoding.decoded(bits)).collect();
                        assert_eq!(values, one_by_one);
                        assert_eq!(encoded(level, encoding, &values), bits);
                    }
                }
            }
        }
    }

    struct DecodeOthers<'a, U, T>(Encoding, &'a [U], &'a mut [T]);

    impl<U, T: Float> Task for DecodeOthers<'_, U, T> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            assert_eq!(self.0.size::<T>(), size_of::<U>());
            assert_eq!(self.1.len(), self.2.len());
            // SAFETY: both are slices of one length, of the encoding's type.
            unsafe { decode(simd, self.0, self.1.as_ptr().cast(), self.2) }
        }
    }

    /// Holds what is decoded together, and one by one, to what is due.
    fn check<U, T: Float>(encoding: Encoding, numbers: &[U], due: &[T]) {
        for level in Instructions::available() {
            for start in 0..numbers.len() {
                let mut found = vec![T::ONE; numbers.len() - start];
                dispatch(level, DecodeOthers(encoding, &numbers[start..], &mut found));
                assert_eq!(found, due[start..], "{encoding:?}");
            }
        }
        for (number, due) in numbers.iter().zip(due) {
            // SAFETY: it is one of the encoding's type.
            let found = unsafe { decode_one(encoding, (&raw const *number).cast::<T>()) };
            assert_eq!(T::from_f64(found), *due, "{encoding:?}");
        }
    }

    #[test]
    fn decodes_other_numbers() {
        let longs: Vec<i64> = (-20..20).chain([1 << 40, i64::MIN, i64::MAX]).collect();
        check(
            Encoding::I64,
            &longs,
            &longs.iter().map(|&x| x as f64).collect::<Vec<_>>(),
        );
        check(
            Encoding::I64,
            &longs,
            &longs.iter().map(|&x| x as f32).collect::<Vec<_>>(),
        );
        let bytes: Vec<u8> = (0..40).map(|x| x % 3).collect();
        let due: Vec<f32> = bytes
            .iter()
            .map(|&x| if x == 0 { 0.0 } else { 1.0 })
            .collect();
        check(Encoding::Bool, &bytes, &due);
        check(
            Encoding::Bool,
            &bytes,
            &due.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(),
        );
    }

    #[test]
    fn numbers_are_the_sums_of_their_parts() {
        let mut numbers: Vec<f64> = (1..40).map(|x| f64::from(x).sqrt() * 1e-3).collect();
        numbers.extend([0.0, -0.3, 1.0, f64::INFINITY, -1e300]);
        let highs: Vec<f32> = numbers.iter().map(|&x| x as f32).collect();
        let lows: Vec<f32> = numbers
            .iter()
            .zip(&highs)
            .map(|(&x, &high)| (x - f64::from(high)) as f32)
            .map(|low| if low.is_finite() { low } else { 0.0 })
            .collect();
        check(Encoding::F64High, &numbers, &highs);
        check(Encoding::F64Low, &numbers, &lows);
        for ((number, high), low) in numbers.iter().zip(highs).zip(lows).take(39) {
            let sum = f64::from(high) + f64::from(low);
            assert!(
                (sum - number).abs() <= number * 2.0_f64.powi(-47),
                "{number}"
            );
        }
    }
}
