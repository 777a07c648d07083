//! Sums of `f64` numbers without rounding: the same whatever the order, and however they are split.

use crate::error::{Error, Result};
use crate::stop::checkpoint;

/// Digits of a sum, in units of the smallest `f64`. 66 hold the largest one; the others what so many
/// of them, and a sign, need beyond that.
pub(crate) const DIGITS: usize = 68;

/// Bits of a digit.
const BITS: u32 = 32;

/// Numbers that are added before digits are brought back to so many bits.
const MOST: usize = 1 << 30;

/// Numbers after which to see whether the caller wants the call to end.
const MANY: usize = 1 << 16;

/// One sum.
#[derive(Clone)]
struct Sum {
    digits: [i64; DIGITS],
    /// The sum of what is not finite.
    special: f64,
}

impl Sum {
    const NOTHING: Self = Self {
        digits: [0; DIGITS],
        special: 0.0,
    };

    #[inline(always)]
    fn add(&mut self, value: f64) {
        let bits = value.to_bits();
        let exponent = (bits >> 52) as usize & 0x7ff;
        let fraction = bits & ((1 << 52) - 1);
        if exponent == 0x7ff {
            self.special += value;
            return;
        }
        // Subnormal numbers have no leading 1, and the exponent of the smallest normal ones.
        let significand = fraction | u64::from(exponent != 0) << 52;
        let shift = exponent.saturating_sub(1);
        let (digit, shift) = (shift / BITS as usize, shift as u32 % BITS);
        let shifted = u128::from(significand) << shift;
        let mask = u128::from(u32::MAX);
        let parts = [shifted, shifted >> BITS, shifted >> (2 * BITS)];
        for (sum, part) in self.digits[digit..digit + 3].iter_mut().zip(parts) {
            let part = (part & mask) as i64;
            *sum += if value < 0.0 { -part } else { part };
        }
    }

    /// Brings all digits but the last to 32 bits.
    fn carry(&mut self) {
        let mut carry = 0;
        for digit in &mut self.digits {
            let sum = *digit + carry;
            (*digit, carry) = (sum & i64::from(u32::MAX), sum >> BITS);
        }
        // What is left of a negative sum is its sign.
        self.digits[DIGITS - 1] += carry << BITS;
    }
}

/// The sums of groups of numbers, those groups alone that have some.
pub(crate) struct GroupSums {
    pub(crate) groups: Vec<i64>,
    /// Of each of these, the digits as a number of two's complement, least significant byte first.
    pub(crate) bytes: Vec<u8>,
    /// Of each, the sum of what is not finite.
    pub(crate) special: Vec<f64>,
}

/// Sums up values by groups from 0 to `count`; a value of no group is left out.
pub(crate) fn group_sums(
    values: impl Iterator<Item = (f64, i64)>,
    count: usize,
) -> Result<GroupSums> {
    const NONE: u32 = u32::MAX;
    let mut places = crate::lanes::reserved::<u32>(count)?;
    places.resize(count, NONE);
    let (mut groups, mut sums) = (Vec::new(), Vec::<Sum>::new());
    for (index, (value, group)) in values.enumerate() {
        if index.is_multiple_of(MANY) {
            checkpoint();
        }
        if index.is_multiple_of(MOST) {
            sums.iter_mut().for_each(Sum::carry);
        }
        let Some(place) = usize::try_from(group)
            .ok()
            .and_then(|group| places.get_mut(group))
        else {
            continue;
        };
        if *place == NONE {
            *place = u32::try_from(sums.len()).unwrap_or(NONE);
            sums.try_reserve(1)
                .map_err(|_| Error::memory_for::<Sum>(sums.len() + 1))?;
            sums.push(Sum::NOTHING);
            groups.push(group);
        }
        sums[*place as usize].add(value);
    }
    let mut bytes = crate::lanes::reserved(sums.len() * DIGITS * size_of::<u32>())?;
    for sum in &mut sums {
        sum.carry();
        for digit in sum.digits {
            bytes.extend((digit as u32).to_le_bytes());
        }
    }
    let special = sums.iter().map(|sum| sum.special).collect();
    Ok(GroupSums {
        groups,
        bytes,
        special,
    })
}
