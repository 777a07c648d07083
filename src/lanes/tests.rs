//! Where elements lie: rows, blocks and positions of views of every layout, and that kernels get
//! each row once, gathered and scattered as need be.

use fearless_simd::Simd;
use ndarray::{Array2, Array3, ArrayD, ArrayViewD, Axis, Dimension, Ix2, IxDyn, Slice, s};

use super::run::PARALLEL;
use super::view::{BLOCK, View, ViewMut, blocks, position};
use super::{read_blocks, read_rows, write_blocks, write_rows};
use crate::float::Float;
use crate::kernel::RowKernel;
use crate::kernel::lane::Lane;

/// How an array of a shape lies in memory.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Plain,
    Fortran,
    /// Every second element along each axis, from the second on.
    Steps,
    Reversed,
    /// The first axis is the innermost.
    Rotated,
}

const LAYOUTS: [Layout; 5] = [
    Layout::Plain,
    Layout::Fortran,
    Layout::Steps,
    Layout::Reversed,
    Layout::Rotated,
];

const SHAPES: [&[usize]; 9] = [
    &[7],
    &[1],
    &[0],
    &[3, 5],
    &[5, 1, 4],
    &[4, 0, 3],
    &[2, 3, 4],
    &[2, 1, 3, 2],
    &[2, 3, 1, 2, 2, 3],
];

const GUARD: f64 = -1.0;

impl Layout {
    /// Memory for an array of the shape.
    fn memory(self, shape: &[usize]) -> ArrayD<f64> {
        let mut shape = shape.to_vec();
        match self {
            Self::Plain | Self::Reversed => {}
            Self::Fortran => shape.reverse(),
            Self::Steps => shape.iter_mut().for_each(|size| *size = 2 * *size + 1),
            Self::Rotated => shape.rotate_left(1),
        }
        ArrayD::from_elem(IxDyn(&shape), GUARD)
    }

    /// The array in its memory.
    fn view(self, memory: &mut ArrayD<f64>) -> ndarray::ArrayViewMutD<'_, f64> {
        let dimensions = memory.ndim();
        let mut view = memory.view_mut();
        match self {
            Self::Plain => {}
            Self::Fortran => view = view.reversed_axes(),
            Self::Steps => view.slice_each_axis_inplace(|_| Slice::new(1, None, 2)),
            Self::Reversed => (0..dimensions).for_each(|axis| view.invert_axis(Axis(axis))),
            Self::Rotated => {
                let axes: Vec<usize> = (0..dimensions)
                    .map(|axis| (axis + dimensions - 1) % dimensions)
                    .collect();
                view = view.permuted_axes(axes);
            }
        }
        view
    }
}

/// 0, 1, 2 ... in the order of the indices, so that an element tells its place.
fn numbered(mut view: ndarray::ArrayViewMutD<'_, f64>) {
    for (number, element) in view.iter_mut().enumerate() {
        *element = number as f64;
    }
}

fn for_each_layout(check: impl Fn(ArrayViewD<'_, f64>, &str)) {
    for shape in SHAPES {
        for layout in LAYOUTS {
            let mut memory = layout.memory(shape);
            let mut view = layout.view(&mut memory);
            assert_eq!(view.shape(), shape);
            numbered(view.view_mut());
            check(view.view(), &format!("{shape:?} {layout:?}"));
        }
        // One element for all.
        let one = ArrayD::from_elem(IxDyn(&[]), 7.0);
        let repeated = one.broadcast(IxDyn(shape)).expect("a scalar broadcasts");
        check(repeated, &format!("{shape:?} repeated"));
    }
}

#[test]
fn rows_are_the_lanes_of_every_layout() {
    for_each_layout(|array, case| {
        for axis in 0..array.ndim() {
            let view = View::from(array.view());
            let rows = view.rows(axis);
            let lanes = array.lanes(Axis(axis));
            let count: usize = view.shape_without(axis).iter().product();
            assert_eq!(
                (rows.count(), rows.len()),
                (count, array.shape()[axis]),
                "{case}"
            );
            assert_eq!(rows.elements(), array.len(), "{case}");
            for (row, lane) in lanes.into_iter().enumerate().take(count) {
                let mut filled = vec![0.0; rows.len()];
                rows.for_each(row, 0, &mut filled, |x| x);
                assert_eq!(filled, lane.to_vec(), "{case}, axis {axis}");
                for (index, &x) in lane.iter().enumerate() {
                    assert_eq!(rows.element(row, index), x, "{case}, axis {axis}");
                    let first = lane.iter().position(|&y| y == x);
                    assert_eq!(rows.find(row, |y| y == x), first, "{case}, axis {axis}");
                }
                assert_eq!(rows.find(row, |y| y < 0.0), None);
            }
        }
    });
}

#[test]
fn elements_come_in_the_order_of_the_indices() {
    for_each_layout(|array, case| {
        let view = View::from(array.view());
        let elements = view.elements();
        assert_eq!(
            (elements.count(), elements.len()),
            (array.len(), 1),
            "{case}"
        );
        for (place, (indices, &x)) in array.indexed_iter().enumerate() {
            assert_eq!(elements.value(place), x, "{case}");
            assert_eq!(
                position(place, array.shape()),
                indices.as_array_view().to_vec(),
                "{case}"
            );
        }
    });
}

#[test]
fn blocks_hold_each_element_once_and_alike_in_all_arrays() {
    let shapes = [
        &[3, BLOCK + 7][..],
        &[2 * BLOCK + 1],
        &[BLOCK],
        &[BLOCK, 2, 3],
    ];
    for shape in SHAPES.into_iter().chain(shapes) {
        for first in LAYOUTS {
            for second in LAYOUTS {
                let mut memories = [first.memory(shape), second.memory(shape)];
                let [one, two] = &mut memories;
                let (mut one, mut two) = (first.view(one), second.view(two));
                numbered(one.view_mut());
                numbered(two.view_mut());
                let len = one.len();
                let two = ViewMut::of(two);
                let ([a, b], c) = blocks(
                    &[View::from(one.view()), two.as_input()],
                    [Some(&two), None],
                );
                let [Some(c), None] = c else {
                    panic!("one output gives one output")
                };
                let case = format!("{shape:?} {first:?} {second:?}");
                let mut seen = vec![false; len];
                for row in 0..a.count() {
                    assert!(a.len_of(row) <= BLOCK, "{case}");
                    for index in 0..a.len_of(row) {
                        let x = a.element(row, index);
                        assert_eq!(b.element(row, index), x, "{case}");
                        assert_eq!(c.element(row, index), x, "{case}");
                        assert!(!std::mem::replace(&mut seen[x as usize], true), "{case}");
                    }
                }
                assert!(seen.into_iter().all(|seen| seen), "{case}");
                assert_eq!(a.elements(), len, "{case}");
            }
        }
    }
}

#[test]
fn what_lies_in_one_piece_is_one_block() {
    let array = Array3::<f64>::zeros((4, 5, 6));
    for view in [
        array.view(),
        array.t(),
        array.slice(s![..;-1, ..;-1, ..;-1]),
    ] {
        let ([rows], _) = blocks(&[View::from(view)], [None; 2]);
        assert_eq!((rows.count(), rows.len(), rows.stride().abs()), (1, 120, 1));
    }
}

#[test]
fn shapes_broadcast_by_the_rules_of_numpy() {
    let row = Array2::from_shape_vec((1, 3), vec![1.0, 2.0, 3.0]).expect("three elements");
    let view = View::from(row.view());
    let repeated = view
        .broadcast(&[2, 4, 3])
        .expect("1 broadcasts to 4, nothing to 2");
    assert_eq!(repeated.shape(), [2, 4, 3]);
    let elements = repeated.elements();
    assert!((0..24).all(|place| elements.value(place) == (place % 3 + 1) as f64));
    for wrong in [&[3][..], &[4, 4], &[3, 1]] {
        assert!(view.broadcast(wrong).is_none(), "{wrong:?}");
    }
    let seven = 7.0;
    let scalar = View::scalar(&seven)
        .broadcast(&[2, 2])
        .expect("a scalar broadcasts");
    assert_eq!(scalar.elements().value(3), 7.0);
}

#[test]
fn an_axis_that_is_none_is_an_error() {
    let array = Array2::<f32>::zeros((2, 3));
    let view = View::from(array.view());
    assert!(view.check_axis(1).is_ok());
    assert!(view.check_axis(2).is_err());
}

/// `a + 1000 * reversed(b)` of two rows (or of one and itself); the total is the first element of
/// each row.
struct Reverse;

impl<T: Float, const K: usize> RowKernel<T, K> for Reverse {
    type Total = Vec<f64>;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        _simd: S,
        row: usize,
        lane: &mut Lane<'_, T, K>,
        _scratch: &mut Vec<f64>,
        total: &mut Vec<f64>,
    ) {
        let a: Vec<f64> = lane.input().iter().map(|x| x.to_f64()).collect();
        let b: Vec<f64> = lane.nth_input(K - 1).iter().map(|x| x.to_f64()).collect();
        let mixed = a.iter().zip(b.iter().rev()).map(|(a, b)| a + 1000.0 * b);
        for (out, mixed) in lane.output().iter_mut().zip(mixed) {
            *out = T::from_f64(mixed);
        }
        total.push(row as f64);
    }
}

#[test]
fn scattered_rows_are_gathered_and_written_back() {
    for shape in SHAPES {
        for (input, output) in LAYOUTS.into_iter().flat_map(|a| LAYOUTS.map(|b| (a, b))) {
            for axis in 0..shape.len() {
                let case = format!("{shape:?} {input:?} {output:?} axis {axis}");
                let mut memories = [input.memory(shape), input.memory(shape)];
                let [a, b] = memories.each_mut().map(|memory| {
                    let mut view = input.view(memory);
                    numbered(view.view_mut());
                    view
                });
                let b = b.mapv(|x| x + 0.25);
                let mut memory = output.memory(shape);
                let out = ViewMut::of(output.view(&mut memory));
                let inputs = [View::from(a.view()), View::from(b.view())];
                let mut rows = Vec::new();
                write_rows(&inputs, &out, axis, &Reverse, |grain| rows.extend(grain))
                    .expect("an instruction set");
                let mut reversed = b.view();
                reversed.invert_axis(Axis(axis));
                let expected = &a + &(reversed.to_owned() * 1000.0);
                let written = output.view(&mut memory).to_owned();
                assert_eq!(written, expected, "{case}");
                let guards = memory.iter().filter(|&&x| x == GUARD).count();
                assert_eq!(guards, memory.len() - expected.len(), "{case}");
                // Rows without elements have nothing to be written, and there may be any number.
                let count = if expected.is_empty() {
                    0
                } else {
                    inputs[0].rows(axis).count()
                };
                assert_eq!(
                    rows,
                    (0..count).map(|row| row as f64).collect::<Vec<_>>(),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn in_place_rows_are_read_before_they_are_written() {
    for layout in LAYOUTS {
        let mut memory = layout.memory(&[3, 5, 4]);
        numbered(layout.view(&mut memory));
        let before = layout.view(&mut memory).to_owned();
        let out = ViewMut::of(layout.view(&mut memory));
        write_rows(&[out.as_input()], &out, 1, &Reverse, |_| ()).expect("an instruction set");
        let mut reversed = before.view();
        reversed.invert_axis(Axis(1));
        let expected = &before + &(reversed.to_owned() * 1000.0);
        assert_eq!(layout.view(&mut memory).to_owned(), expected, "{layout:?}");
    }
}

/// Adds one; the total is how many elements there were.
struct Increment;

impl<const K: usize> RowKernel<f64, K> for Increment {
    type Total = usize;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        _simd: S,
        _row: usize,
        lane: &mut Lane<'_, f64, K>,
        _scratch: &mut Vec<f64>,
        total: &mut usize,
    ) {
        lane.copy_input();
        lane.output().iter_mut().for_each(|x| *x += 1.0);
        *total += lane.output().len();
    }
}

/// Reads and writes nothing; the total is the rows that came by.
struct Count;

impl RowKernel<f64, 1> for Count {
    type Total = Vec<(usize, f64)>;

    #[inline(always)]
    fn row<S: Simd>(
        &self,
        _simd: S,
        row: usize,
        lane: &mut Lane<'_, f64, 1>,
        _scratch: &mut Vec<f64>,
        total: &mut Vec<(usize, f64)>,
    ) {
        total.push((row, lane.input().iter().sum()));
    }
}

#[test]
fn totals_of_parallel_grains_come_in_order() {
    let shape = [PARALLEL / 8 + 13, 16];
    let mut memory = Layout::Fortran.memory(&shape);
    numbered(Layout::Fortran.view(&mut memory));
    let array = Layout::Fortran.view(&mut memory);
    let array = array.into_dimensionality::<Ix2>().expect("two dimensions");
    let view = View::from(array.view());
    let expected: Vec<_> = array
        .rows()
        .into_iter()
        .map(|row| row.sum())
        .enumerate()
        .collect();
    let mut rows = Vec::new();
    read_rows(std::array::from_ref(&view), 1, &Count, |grain| {
        rows.extend(grain);
    })
    .expect("an instruction set");
    assert_eq!(rows, expected);

    let mut elements = 0.0;
    let mut blocks = 0;
    let add = |grain: Vec<(usize, f64)>| {
        for (row, sum) in grain {
            assert_eq!(row, blocks);
            blocks += 1;
            elements += sum;
        }
    };
    read_blocks(&[view], &Count, add).expect("an instruction set");
    let count = array.len() as f64;
    assert_eq!(elements, count * (count - 1.0) / 2.0);
}

#[test]
fn element_wise_kernels_reach_every_element_once() {
    for shape in SHAPES
        .into_iter()
        .chain([&[3, BLOCK + 7][..], &[300, 5, 70]])
    {
        for layout in LAYOUTS {
            let mut memory = layout.memory(shape);
            numbered(layout.view(&mut memory));
            let before = layout.view(&mut memory).to_owned();
            let out = ViewMut::of(layout.view(&mut memory));
            let mut total = 0;
            write_blocks(&[out.as_input()], &out, &Increment, |count| total += count)
                .expect("an instruction set");
            assert_eq!(total, before.len(), "{shape:?} {layout:?}");
            assert_eq!(
                layout.view(&mut memory).to_owned(),
                before + 1.0,
                "{shape:?} {layout:?}"
            );
            let guards = memory.iter().filter(|&&x| x == GUARD).count();
            assert_eq!(guards, memory.len() - total, "{shape:?} {layout:?}");
        }
    }
}
