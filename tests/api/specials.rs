//! The tables of special values: NaN, infinities, no classes, left-out rows.

use logitkit::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, CategoricalCrossEntropy, CrossEntropy,
    NllLoss, Reduction, Targets,
};
use ndarray::{Array1, Array2, ArrayView1, Axis, Ix1, arr0, arr1, arr2};

use crate::common::{Element, cast};
use crate::softmax::both_types;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn same<T: Element>(given: ArrayView1<'_, T>, expected: &[f64], case: &str) {
    let given: Vec<f64> = given.iter().map(|x| x.value()).collect();
    let equal = |(a, b): (&f64, &f64)| a == b || a.is_nan() && b.is_nan();
    let all = given.iter().zip(expected).all(equal) && given.len() == expected.len();
    assert!(all, "{case}: {given:?}, expected {expected:?}");
}

both_types! {
    special_rows_have_their_values => rows;
    special_rows_have_their_losses => losses;
    elements_at_the_ends_have_their_values => elements;
    rows_left_out_cost_nothing => left_out;
    binary_losses_at_the_ends_have_their_values => binary;
    probabilities_at_the_ends_have_their_losses => probs;
}

/// The row's softmax, log_softmax and log-sum-exp.
type Row = (&'static [f64], &'static [f64], &'static [f64], f64);

const ROWS: [Row; 8] = [
    (&[1.0, NAN, 2.0], &[NAN; 3], &[NAN; 3], NAN),
    (&[1.0, NAN, INF], &[NAN; 3], &[NAN; 3], NAN),
    (&[1.0, INF, 2.0], &[NAN; 3], &[NAN; 3], INF),
    (&[INF, INF, -INF], &[NAN; 3], &[NAN; 3], INF),
    (
        &[-INF, 0.0, -INF],
        &[0.0, 1.0, 0.0],
        &[-INF, 0.0, -INF],
        0.0,
    ),
    (&[-INF, -INF, -INF], &[NAN; 3], &[NAN; 3], -INF),
    (&[NAN, -INF, -INF], &[NAN; 3], &[NAN; 3], NAN),
    (&[], &[], &[], -INF),
];

fn rows<T: Element>() {
    for (row, softmax, log_softmax, logsumexp) in ROWS {
        // Alone, and far into a long row of nothing.
        for padding in [0, 7, 16, 64, 100] {
            if row.is_empty() && padding > 0 {
                continue;
            }
            let case = format!("{} of {row:?} after {padding}", T::NAME);
            let padded = |fill: f64, rest: &[f64]| [&vec![fill; padding], rest].concat();
            let poisoned = |rest: &[f64], fill| {
                if rest[0].is_nan() && rest.len() > 1 && rest.iter().all(|x| x.is_nan()) {
                    NAN
                } else {
                    fill
                }
            };
            let fills = if row.is_empty() {
                (0.0, 0.0)
            } else {
                (poisoned(softmax, 0.0), poisoned(log_softmax, -INF))
            };
            let x = cast::<T, Ix1>(&Array1::from_vec(padded(-INF, row)));
            let given = logitkit::softmax(x.view(), Axis(0)).expect("valid arguments");
            same(given.view(), &padded(fills.0, softmax), &case);
            let given = logitkit::log_softmax(x.view(), Axis(0)).expect("valid arguments");
            same(given.view(), &padded(fills.1, log_softmax), &case);
            let given = logitkit::logsumexp(x.view(), Axis(0)).expect("valid arguments");
            same(
                given.into_shape_with_order(1).expect("one number").view(),
                &[logsumexp],
                &case,
            );
        }
    }
    // A row harms no other.
    let x = cast::<T, _>(&arr2(&[[1.0, NAN], [INF, 0.0], [-INF, -INF], [0.0, 0.0]]));
    let given = logitkit::softmax(x.view(), Axis(1)).expect("valid arguments");
    same(given.row(3), &[0.5, 0.5], "the row below");
}

fn losses<T: Element>() {
    let x = cast::<T, _>(&arr2(&[
        [1.0, NAN, 2.0],
        [1.0, INF, 2.0],
        [-INF, -INF, -INF],
        [-INF, 0.0, 0.0],
        [0.0, -INF, -INF],
        [0.0, 0.0, -INF],
    ]));
    let targets = arr1(&[0, 0, 0, 0, 0, 1]);
    let loss = CrossEntropy::new().reduction(Reduction::None);
    let (losses, gradient) = loss
        .loss_and_grad(x.view(), targets.view(), Axis(1))
        .expect("valid arguments");
    let losses = losses
        .unreduced()
        .expect("not reduced")
        .into_dimensionality::<Ix1>();
    let losses = losses.expect("one for each row");
    let two = T::of(2.0_f64.ln()).value();
    same(losses.view(), &[NAN, NAN, NAN, INF, 0.0, two], "losses");
    same(
        gradient.row(3),
        &[-1.0, 0.5, 0.5],
        "gradient of an infinite loss",
    );
    same(
        gradient.row(4),
        &[0.0, 0.0, 0.0],
        "gradient of a certain answer",
    );
    same(gradient.row(5), &[0.5, -0.5, 0.0], "gradient beside it");

    // A class of target 0 adds nothing, whatever its logit.
    let soft = cast::<T, _>(&arr1(&[0.0, 1.0]));
    let x = cast::<T, _>(&arr1(&[-INF, 3.0]));
    let targets = soft_targets(&soft);
    let given = CrossEntropy::new()
        .loss(x.view(), targets, Axis(0))
        .expect("valid arguments");
    assert_eq!(given.reduced(), Some(T::of(0.0)));
    let targets = soft_targets(&soft);
    let given = NllLoss::new()
        .loss(x.view(), targets, Axis(0))
        .expect("valid arguments");
    assert_eq!(given.reduced(), Some(T::of(-3.0)));
}

fn soft_targets<T: Element>(soft: &Array1<T>) -> Targets<'_, T> {
    Targets::Probabilities(soft.view().into_dyn())
}

fn elements<T: Element>() {
    let x = cast::<T, _>(&arr1(&[-INF, INF, NAN, 0.0, -1e30, 1e30]));
    let two = T::of(2.0_f64.ln()).value();
    let big = T::of(1e30).value();
    let given = logitkit::sigmoid(x.view()).expect("valid arguments");
    same(given.view(), &[0.0, 1.0, NAN, 0.5, 0.0, 1.0], "sigmoid");
    let given = logitkit::log_sigmoid(x.view()).expect("valid arguments");
    same(
        given.view(),
        &[-INF, 0.0, NAN, -two, -big, 0.0],
        "log_sigmoid",
    );
    let given = logitkit::softplus(x.view()).expect("valid arguments");
    same(given.view(), &[0.0, INF, NAN, two, 0.0, big], "softplus");
}

fn left_out<T: Element>() {
    let x = cast::<T, _>(&arr2(&[[NAN, 0.0], [0.0, 0.0], [INF, INF]]));
    let targets = arr1(&[-100, 1, 0]);
    let weights = arr1(&[1.0, 1.0, 0.0]);
    let loss = CrossEntropy::new()
        .ignore_index(-100)
        .sample_weight(weights.view());
    for reduction in [Reduction::Mean, Reduction::Sum] {
        let loss = loss.clone().reduction(reduction);
        let (loss, gradient) = loss
            .loss_and_grad(x.view(), targets.view(), Axis(1))
            .expect("valid arguments");
        assert_eq!(loss.reduced(), Some(T::of(2.0_f64.ln())));
        let expected = cast::<T, _>(&arr2(&[[0.0, 0.0], [0.5, -0.5], [0.0, 0.0]]));
        assert_eq!(gradient, expected);
    }
    // Nothing left: nan, 0, and no gradient.
    let none = CrossEntropy::new().ignore_index(0);
    let targets = arr1(&[0, 0, 0]);
    for (reduction, expected) in [(Reduction::Mean, NAN), (Reduction::Sum, 0.0)] {
        let loss = none.clone().reduction(reduction);
        let (loss, gradient) = loss
            .loss_and_grad(x.view(), targets.view(), Axis(1))
            .expect("valid arguments");
        let loss = Array1::from_elem(1, loss.reduced().expect("reduced"));
        same(loss.view(), &[expected], "all left out");
        assert!(gradient.iter().all(|g| g.value() == 0.0));
    }
    let empty = Array2::from_elem((0, 3), T::of(0.0));
    let targets = Array1::<i64>::zeros(0);
    let loss = CrossEntropy::new().loss(empty.view(), targets.view(), Axis(1));
    let loss = loss.expect("valid arguments").reduced().expect("the mean");
    assert!(loss.value().is_nan());
}

fn binary<T: Element>() {
    let x = cast::<T, _>(&arr1(&[INF, -INF, INF, -INF, NAN, NAN]));
    let y = cast::<T, _>(&arr1(&[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]));
    let w = cast::<T, _>(&arr1(&[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]));
    let loss = BinaryCrossEntropyWithLogits::new()
        .reduction(Reduction::None)
        .weight(w.view());
    let (losses, gradient) = loss
        .loss_and_grad(x.view(), y.view())
        .expect("valid arguments");
    let losses = losses
        .unreduced()
        .expect("not reduced")
        .into_dimensionality::<Ix1>();
    same(
        losses.expect("1-d").view(),
        &[0.0, 0.0, INF, INF, NAN, 0.0],
        "losses",
    );
    same(
        gradient.view(),
        &[0.0, 0.0, 1.0, -1.0, NAN, 0.0],
        "gradient",
    );

    let p = cast::<T, _>(&arr1(&[0.0, 1.0, 0.0, 1.0]));
    let y = cast::<T, _>(&arr1(&[0.0, 1.0, 1.0, 0.0]));
    let loss = BinaryCrossEntropy::new().reduction(Reduction::None);
    let (losses, gradient) = loss
        .loss_and_grad(p.view(), y.view())
        .expect("valid arguments");
    let losses = losses
        .unreduced()
        .expect("not reduced")
        .into_dimensionality::<Ix1>();
    same(losses.expect("1-d").view(), &[0.0, 0.0, INF, INF], "losses");
    same(gradient.view(), &[1.0, -1.0, -INF, INF], "gradient");
}

fn probs<T: Element>() {
    let p = cast::<T, _>(&arr1(&[0.0, 1.0]));
    for (target, loss, slope) in [(0, INF, [-INF, 0.0]), (1, 0.0, [0.0, -1.0])] {
        let (given, gradient) = CategoricalCrossEntropy::new()
            .loss_and_grad(p.view(), arr0(target).view(), Axis(0))
            .expect("valid arguments");
        assert_eq!(given.reduced(), Some(T::of(loss)));
        same(gradient.view(), &slope, "gradient");
    }
    // Clipped: a finite loss, and no slope.
    let (given, gradient) = CategoricalCrossEntropy::new()
        .eps(0.125)
        .loss_and_grad(p.view(), arr0(0).view(), Axis(0))
        .expect("valid arguments");
    assert_eq!(given.reduced(), Some(T::of(8.0_f64.ln())));
    same(
        gradient.view(),
        &[0.0, 0.0],
        "gradient of a clipped probability",
    );
}
