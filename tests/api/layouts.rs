//! Layout never shows in a value: any strides of input, output, targets and weights.

use logitkit::{BinaryCrossEntropyWithLogits, CrossEntropy, Reduction, Targets};
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};

use crate::common::{Element, Layout, cast, random, random_classes, random_probs, without};
use crate::softmax::{both_types, element_functions, row_functions};

const SHAPES: [&[usize]; 6] = [
    &[19],
    &[4, 37],
    &[3, 1, 65],
    &[5, 0, 2],
    &[2, 3, 4, 5],
    &[2, 2, 1, 3, 2, 9],
];

/// Elements of memory that are none of the array's.
const GUARD: f64 = 12_345.0;

fn bits<T: Element>(array: &ArrayViewD<'_, T>) -> Vec<u64> {
    array.iter().map(|&x| Element::bits(x)).collect()
}

/// What a call writes in every layout is what it writes in the plain one, and nothing beside it.
fn check_output<T: Element>(
    shape: &[usize],
    case: &str,
    call: impl Fn(ndarray::ArrayViewMutD<'_, T>),
) {
    let mut expected = ArrayD::from_elem(IxDyn(shape), T::of(0.0));
    call(expected.view_mut());
    for layout in Layout::ALL {
        let mut memory = layout.memory(shape, T::of(GUARD));
        call(layout.view(&mut memory));
        let given = bits(&layout.view(&mut memory).view());
        assert_eq!(given, bits(&expected.view()), "{case}, out {layout:?}");
        let guards = memory.iter().filter(|x| x.value() == GUARD).count();
        assert_eq!(
            guards,
            memory.len() - expected.len(),
            "{case}, out {layout:?}"
        );
    }
}

/// Probabilities as targets, which `into` knows only for a type that is not generic.
fn soft_targets<'a, T: Element>(soft: &'a ArrayViewD<'_, T>) -> Targets<'a, T> {
    Targets::Probabilities(soft.view())
}

both_types! {
    row_functions_do_not_see_layouts => rows;
    element_functions_do_not_see_layouts => elements;
    losses_do_not_see_layouts => losses;
    broadcast_inputs_are_read_like_copies => repeated;
}

fn rows<T: Element>() {
    for shape in SHAPES {
        let x = cast::<T, _>(&random(shape, 5.0, 1));
        for axis in (0..shape.len()).map(Axis) {
            for (name, function, into, in_place, _) in row_functions::<T>() {
                let expected = function(x.view(), axis).expect("valid arguments");
                for layout in Layout::ALL {
                    let case = format!("{name} {shape:?} {axis:?} {layout:?}");
                    let mut memory = layout.holding(&x.view(), T::of(GUARD));
                    let given = function(layout.view(&mut memory).view(), axis);
                    let given = given.expect("valid arguments");
                    assert_eq!(bits(&given.view()), bits(&expected.view()), "{case}");
                    let memory = memory;
                    check_output(shape, &case, |out| {
                        let mut memory = memory.clone();
                        let x = layout.view(&mut memory);
                        into(x.view(), axis, out).expect("valid arguments");
                    });
                }
                check_output(shape, name, |mut out| {
                    out.assign(&x);
                    in_place(out, axis).expect("valid arguments");
                });
            }
        }
    }
}

fn elements<T: Element>() {
    for shape in SHAPES.into_iter().chain([&[3, 5000][..]]) {
        let x = cast::<T, _>(&random(shape, 5.0, 1));
        for (name, function, into, in_place, _) in element_functions::<T>() {
            let expected = function(x.view()).expect("valid arguments");
            for layout in Layout::ALL {
                let case = format!("{name} {shape:?} {layout:?}");
                let memory = layout.holding(&x.view(), T::of(GUARD));
                let given = function(layout.view(&mut memory.clone()).view());
                let given = given.expect("valid arguments");
                assert_eq!(bits(&given.view()), bits(&expected.view()), "{case}");
                check_output(shape, &case, |out| {
                    let mut memory = memory.clone();
                    into(layout.view(&mut memory).view(), out).expect("valid arguments");
                });
            }
            check_output(shape, name, |mut out| {
                out.assign(&x);
                in_place(out).expect("valid arguments");
            });
        }
    }
}

fn losses<T: Element>() {
    for shape in SHAPES.into_iter().filter(|shape| !shape.contains(&0)) {
        for axis in 0..shape.len() {
            let rows = without(shape, axis);
            let x = cast::<T, _>(&random(shape, 5.0, 1));
            let soft = cast::<T, _>(&random_probs(shape, axis, 2));
            let classes = random_classes(&rows, shape[axis], 3);
            let sample_weight = random(&rows, 0.5, 4) + 1.0;
            for layout in Layout::ALL {
                let case = format!("{shape:?} axis {axis} {layout:?}");
                let x = layout.holding(&x.view(), T::of(GUARD));
                let soft = layout.holding(&soft.view(), T::of(GUARD));
                let classes = layout.holding(&classes.view(), -7);
                let sample_weight = layout.holding(&sample_weight.view(), f64::NAN);
                check_output(shape, &case, |out| {
                    let (mut x, mut classes, mut s) =
                        (x.clone(), classes.clone(), sample_weight.clone());
                    let s = layout.view(&mut s);
                    let loss = CrossEntropy::new().reduction(Reduction::Sum);
                    let loss = loss.sample_weight(s.view()).label_smoothing(0.1);
                    let classes = layout.view(&mut classes);
                    let x = layout.view(&mut x);
                    loss.loss_and_grad_into(x.view(), classes.view(), Axis(axis), out)
                        .expect("valid arguments");
                });
                check_output(shape, &case, |out| {
                    let (mut x, mut soft) = (x.clone(), soft.clone());
                    let (x, soft) = (layout.view(&mut x), layout.view(&mut soft));
                    let soft = soft.view();
                    CrossEntropy::new()
                        .loss_and_grad_into(x.view(), soft_targets(&soft), Axis(axis), out)
                        .expect("valid arguments");
                });
                check_output(shape, &case, |out| {
                    let (mut x, mut soft) = (x.clone(), soft.clone());
                    let (x, soft) = (layout.view(&mut x), layout.view(&mut soft));
                    BinaryCrossEntropyWithLogits::new()
                        .weight(soft.view())
                        .loss_and_grad_into(x.view(), soft.view(), out)
                        .expect("valid arguments");
                });
            }
            // The same rows in every layout: what `check_output` compares is right in the plain
            // one, which the formulas are tested with.
            let soft = soft.view();
            let plain = CrossEntropy::new().loss(x.view(), soft_targets(&soft), Axis(axis));
            for layout in Layout::ALL {
                let mut memory = layout.holding(&x.view(), T::of(GUARD));
                let x = layout.view(&mut memory);
                let given = CrossEntropy::new().loss(x.view(), soft_targets(&soft), Axis(axis));
                assert_eq!(given, plain, "{shape:?} axis {axis} {layout:?}");
            }
        }
    }
}

fn repeated<T: Element>() {
    let row = cast::<T, _>(&random(&[33], 5.0, 1));
    let column = row.clone().insert_axis(Axis(1));
    for array in [
        row.broadcast(IxDyn(&[4, 33])),
        column.broadcast(IxDyn(&[33, 5])),
    ] {
        let array = array.expect("it broadcasts");
        let copy = array.to_owned();
        for axis in (0..2).map(Axis) {
            for (name, function, ..) in row_functions::<T>() {
                let given = function(array.view(), axis).expect("valid arguments");
                let expected = function(copy.view(), axis).expect("valid arguments");
                assert_eq!(
                    bits(&given.view()),
                    bits(&expected.view()),
                    "{name} {axis:?}"
                );
            }
        }
        for (name, function, ..) in element_functions::<T>() {
            let given = function(array.view()).expect("valid arguments");
            let expected = function(copy.view()).expect("valid arguments");
            assert_eq!(bits(&given.view()), bits(&expected.view()), "{name}");
        }
    }
}
