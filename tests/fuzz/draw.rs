//! Arrays of any shape, laid out in memory in any way, and the numbers that are drawn for them.

use std::fmt;

use logitkit::Element;
use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, Axis, IxDyn, Slice};

/// A generator of random numbers (SplitMix64) that depends on a seed and the number of a call.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let mut random = Self(seed);
        random.0 = random.next() ^ number;
        Self(random.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A number from 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// How a view is made of what lies in memory, axis by axis: every so many-th element, perhaps from
/// behind, or one element over and over.
#[derive(Clone, Copy, Debug)]
struct Way {
    step: usize,
    reversed: bool,
    repeated: Option<usize>,
}

/// An array as it is seen, and the memory that it lies in.
#[derive(Clone)]
pub(crate) struct Seen<T> {
    memory: ArrayD<T>,
    ways: Vec<Way>,
    /// Which axis of the memory each axis is.
    order: Vec<usize>,
    shape: Vec<usize>,
}

impl<T: Copy> Seen<T> {
    /// Lays an array of a shape out in some way; `repeats`: elements may be the same memory.
    fn drawn(
        random: &mut Random,
        shape: &[usize],
        repeats: bool,
        mut element: impl FnMut(&mut Random) -> T,
    ) -> Self {
        let plain = random.chance(0.35);
        let mut order: Vec<usize> = (0..shape.len()).collect();
        if !plain {
            for place in (1..order.len()).rev() {
                order.swap(place, random.below(place + 1));
            }
        }
        let (mut ways, mut sizes) = (Vec::new(), vec![0; shape.len()]);
        for (&size, &axis) in shape.iter().zip(&order) {
            let way = Way {
                step: if plain {
                    1
                } else {
                    *random.pick(&[1, 1, 1, 2, 3])
                },
                reversed: !plain && random.chance(0.25),
                repeated: (repeats && !plain && size > 0 && random.chance(0.1)).then_some(size),
            };
            sizes[axis] = match way.repeated {
                Some(_) => 1,
                // The gaps end with one.
                None => size * way.step,
            };
            ways.push(way);
        }
        let memory = ArrayD::from_shape_simple_fn(IxDyn(&sizes), || element(random));
        Self {
            memory,
            ways,
            order,
            shape: shape.to_vec(),
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn view(&self) -> ArrayViewD<'_, T> {
        let mut sizes = self.memory.shape().to_vec();
        for (way, &axis) in self.ways.iter().zip(&self.order) {
            sizes[axis] = way.repeated.unwrap_or(sizes[axis]);
        }
        let memory = self
            .memory
            .broadcast(IxDyn(&sizes))
            .expect("axes of 1 are repeated");
        let mut view = memory.permuted_axes(self.order.clone());
        for (axis, way) in self.ways.iter().enumerate() {
            view.slice_axis_inplace(Axis(axis), way.slice());
        }
        view
    }

    /// A view to write to, of an array without repeats.
    pub(crate) fn view_mut(&mut self) -> ArrayViewMutD<'_, T> {
        let mut view = self.memory.view_mut().permuted_axes(self.order.clone());
        for (axis, way) in self.ways.iter().enumerate() {
            view.slice_axis_inplace(Axis(axis), way.slice());
        }
        view
    }
}

impl Way {
    fn slice(self) -> Slice {
        let step = if self.repeated.is_some() {
            1
        } else {
            self.step as isize
        };
        Slice::new(0, None, if self.reversed { -step } else { step })
    }
}

impl<T: Element> Seen<T> {
    /// Whether all of the memory is what another array's is, to the bit.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let bits = |x: &T| Element::to_f64(*x).to_bits();
        self.memory
            .iter()
            .map(bits)
            .eq(other.memory.iter().map(bits))
    }

    /// Whether the gaps between the elements are what another array's are.
    pub(crate) fn same_beside(&self, other: &Self) -> bool {
        let (mut one, mut two) = (self.clone(), other.clone());
        one.view_mut().fill(T::ZERO);
        two.view_mut().fill(T::ZERO);
        one.same(&two)
    }
}

impl<T> fmt::Display for Seen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} as {:?} of {:?}", self.shape, self.ways, self.order)
    }
}

/// The arrays that calls are made of, whichever of them a function takes.
pub(crate) struct Arrays<T> {
    /// The axis of the classes that they were drawn for.
    pub(crate) axis: usize,
    pub(crate) x: Seen<T>,
    pub(crate) other: Seen<T>,
    pub(crate) indices: Seen<i64>,
    pub(crate) sample_weight: Seen<f64>,
    pub(crate) class_weight: Seen<T>,
    pub(crate) out: Seen<T>,
}

const SIZES: [usize; 16] = [0, 1, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 33, 64, 65, 130];

/// The number of elements from which calls work in several threads.
const LARGE: usize = 1 << 16;

fn shape(random: &mut Random) -> Vec<usize> {
    let dimensions = *random.pick(&[0, 1, 1, 2, 2, 2, 2, 3, 3, 4, 7]);
    let mut shape: Vec<usize> = (0..dimensions).map(|_| *random.pick(&SIZES)).collect();
    let most = match dimensions {
        0..=2 => 130,
        3 => 17,
        _ => 4,
    };
    for size in &mut shape {
        *size = (*size).min(most);
    }
    if dimensions == 2 && random.chance(0.05) {
        let other = 2 + random.below(40);
        shape = vec![other, LARGE / other + random.below(100)];
        if random.chance(0.5) {
            shape.reverse();
        }
    }
    if dimensions > 1 && random.chance(0.02) {
        // No elements, but more rows than anybody could count.
        shape.fill(1);
        shape[random.below(dimensions)] = 1 << 40;
        shape[random.below(dimensions)] = 0;
    }
    shape
}

/// Mostly the shape, sometimes another.
fn or_another(random: &mut Random, right: Vec<usize>) -> Vec<usize> {
    if random.chance(0.95) {
        return right;
    }
    let mut wrong = right;
    match random.below(4) {
        0 => wrong.push(1),
        1 => drop(wrong.pop()),
        2 => wrong.reverse(),
        _ => wrong
            .iter_mut()
            .take(1)
            .for_each(|size| *size = (*size).min(1000) + 1),
    }
    if wrong
        .iter()
        .try_fold(1_usize, |all, &n| all.checked_mul(n))
        .is_none_or(|all| all > 1 << 20)
    {
        wrong.fill(1);
    }
    wrong
}

/// Draws arrays that suit each other, mostly.
pub(crate) fn arrays<T: Element>(random: &mut Random) -> Arrays<T> {
    let shape = shape(random);
    let axis = random.below(shape.len().max(1));
    let probs = random.chance(0.5);
    let poison = if random.chance(0.15) { 0.05 } else { 0.0 };
    let number = move |random: &mut Random, unit: bool| {
        let wide = if unit {
            random.unit()
        } else {
            random.unit() * 60.0 - 30.0
        };
        let special = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1e300,
            -1e30,
            1e-310,
            -0.0,
        ];
        let drawn = if random.chance(poison) {
            *random.pick(&special)
        } else {
            wide
        };
        T::from_compute(logitkit::Float::from_f64(drawn))
    };
    let mut rows = shape.clone();
    let classes = if shape.is_empty() {
        0
    } else {
        rows.remove(axis)
    };
    let few = rows.iter().product::<usize>() <= 1 << 20;
    let rows = if few { rows } else { vec![] };
    let linear = shape
        .last()
        .filter(|_| random.chance(0.04))
        .map(|&last| vec![3, last]);
    let other = linear
        .filter(|shape| shape[1] < 1 << 20)
        .unwrap_or_else(|| shape.clone());
    let (other, rows) = (or_another(random, other), or_another(random, rows));
    let weights = or_another(random, vec![if classes > 1 << 20 { 1 } else { classes }]);
    let wild = random.chance(0.1);
    let index = move |random: &mut Random| match random.below(20) {
        0 if wild => *random.pick(&[-1, -100, i64::MIN, i64::MAX, 1 << 40]),
        _ => random.below(classes.clamp(1, 1 << 40)) as i64,
    };
    let out = or_another(random, shape.clone());
    Arrays {
        axis,
        x: Seen::drawn(random, &shape, true, move |random| number(random, probs)),
        other: Seen::drawn(random, &other, true, move |random| number(random, true)),
        indices: Seen::drawn(random, &rows, true, index),
        sample_weight: Seen::drawn(random, &rows, true, |random| {
            if random.chance(0.2) {
                0.0
            } else {
                random.unit()
            }
        }),
        class_weight: Seen::drawn(
            random,
            &[weights.first().copied().unwrap_or(1)],
            true,
            move |random| number(random, true),
        ),
        out: Seen::drawn(random, &out, false, |_| T::ZERO),
    }
}
