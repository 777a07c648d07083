//! What holds for any logits: shifts change nothing, rows sum to one, gradients to zero, and are
//! what finite differences say.

use logitkit::{
    BinaryCrossEntropyWithLogits, CategoricalCrossEntropy, CrossEntropy, NllLoss, Reduction,
};
use ndarray::{Array1, Array2, Axis, arr0};
use proptest::prelude::*;

const AXIS: Axis = Axis(0);

/// A row of logits and one of its classes.
fn row_and_class(magnitude: f64) -> impl Strategy<Value = (Array1<f64>, usize)> {
    prop::collection::vec(-magnitude..magnitude, 1..70).prop_flat_map(|row| {
        let classes = row.len();
        (Just(Array1::from_vec(row)), 0..classes)
    })
}

/// Logits, and probabilities of the same shape.
fn soft() -> impl Strategy<Value = (Array1<f64>, Array1<f64>)> {
    prop::collection::vec((-5.0..5.0, 0.01..1.0), 1..20).prop_map(|rows: Vec<(f64, f64)>| {
        let (x, t): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let t = Array1::from_vec(t);
        let sum = t.sum();
        (Array1::from_vec(x), t / sum)
    })
}

fn mean<T: logitkit::Float>(loss: logitkit::Result<logitkit::Loss<T>>) -> T {
    loss.expect("valid arguments").reduced().expect("the mean")
}

/// The slope of a function of a row by central differences, fourth order.
fn finite_difference(x: &Array1<f64>, loss: impl Fn(&Array1<f64>) -> f64) -> Array1<f64> {
    let step = 1e-3;
    Array1::from_shape_fn(x.len(), |class| {
        let at = |steps: f64| {
            let mut moved = x.clone();
            moved[class] += steps * step;
            loss(&moved)
        };
        (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * step)
    })
}

fn close(a: &Array1<f64>, b: &Array1<f64>, tolerance: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shift_of_all_logits_changes_no_probability(
        (x, _) in row_and_class(100.0),
        shift in -1000..1000_i32,
    ) {
        // Logits with few bits, so that the shift is exact.
        let x = x.mapv(|x| (x * 1024.0).round() / 1024.0);
        let shifted = &x + f64::from(shift);
        let p = logitkit::softmax(x.view(), AXIS).expect("valid arguments");
        let q = logitkit::softmax(shifted.view(), AXIS).expect("valid arguments");
        for (p, q) in p.iter().zip(&q) {
            prop_assert!((p - q).abs() <= 4.0 * f64::EPSILON * p, "{} {}", p, q);
        }
    }

    #[test]
    fn rows_sum_to_one((x, _) in row_and_class(1000.0)) {
        let p = logitkit::softmax(x.view(), AXIS).expect("valid arguments");
        prop_assert!(p.iter().all(|p| (0.0..=1.0).contains(p)));
        prop_assert!((p.sum() - 1.0).abs() < 1e-14);
        let narrow = x.mapv(|x| x as f32);
        let p = logitkit::softmax(narrow.view(), AXIS).expect("valid arguments");
        prop_assert!(p.iter().all(|p| (0.0..=1.0).contains(p)));
        let sum: f64 = p.iter().map(|&p| f64::from(p)).sum();
        prop_assert!((sum - 1.0).abs() < 3e-7, "{}", sum);
    }

    #[test]
    fn log_softmax_is_the_logarithm_of_softmax((x, _) in row_and_class(300.0)) {
        let p = logitkit::softmax(x.view(), AXIS).expect("valid arguments");
        let log = logitkit::log_softmax(x.view(), AXIS).expect("valid arguments");
        prop_assert!(log.iter().zip(&p).all(|(l, p)| (l - p.ln()).abs() < 1e-13 * (1.0 + l.abs())));
        let lse = logitkit::logsumexp(x.view(), AXIS).expect("valid arguments").into_scalar();
        prop_assert!(log.iter().zip(&x).all(|(l, x)| (x - l - lse).abs() < 1e-12));
    }

    #[test]
    fn gradients_of_a_row_sum_to_zero((x, y) in row_and_class(30.0)) {
        let (_, gradient) = CrossEntropy::new()
            .loss_and_grad(x.view(), arr0(y).view(), AXIS)
            .expect("valid arguments");
        prop_assert!(gradient[y] <= 0.0);
        let others: f64 = gradient.iter().filter(|g| **g > 0.0).sum();
        prop_assert!((others + gradient[y]).abs() <= 1e-14 * others, "{} {}", others, gradient[y]);
    }

    #[test]
    fn the_three_ways_to_a_loss_agree((x, y) in row_and_class(30.0)) {
        let target = arr0(y);
        let direct: f64 = mean(CrossEntropy::new().loss(x.view(), target.view(), AXIS));
        let p = logitkit::softmax(x.view(), AXIS).expect("valid arguments");
        let of_probs = mean(CategoricalCrossEntropy::new().loss(p.view(), target.view(), AXIS));
        let log_probs = logitkit::log_softmax(x.view(), AXIS).expect("valid arguments");
        let nll = mean(NllLoss::new().loss(log_probs.view(), target.view(), AXIS));
        prop_assert!((of_probs - direct).abs() < 1e-14 * (1.0 + direct), "{} {}", of_probs, direct);
        prop_assert!((nll - direct).abs() <= 1e-15 * direct, "{} {}", nll, direct);
    }

    #[test]
    fn one_hot_targets_are_class_indices((x, y) in row_and_class(30.0)) {
        let mut hot = Array1::zeros(x.len());
        hot[y] = 1.0;
        for smoothing in [0.0, 0.1] {
            let loss = CrossEntropy::new().label_smoothing(smoothing);
            let (a, g) = loss.loss_and_grad(x.view(), arr0(y).view(), AXIS).expect("valid");
            let (b, h) = loss.loss_and_grad(x.view(), hot.view(), AXIS).expect("valid");
            let (a, b): (f64, f64) = (mean(Ok(a)), mean(Ok(b)));
            prop_assert!((a - b).abs() <= 1e-14 * a, "{} {}", a, b);
            prop_assert!(close(&g, &h, 1e-15));
        }
    }

    #[test]
    fn cross_entropy_gradients_are_finite_differences((x, t) in soft(), z in 0.0..0.5) {
        let loss = CrossEntropy::new().label_smoothing(0.2).z_loss(z);
        let value = |x: &Array1<f64>| mean(loss.loss(x.view(), t.view(), AXIS));
        let (_, gradient) = loss.loss_and_grad(x.view(), t.view(), AXIS).expect("valid");
        prop_assert!(close(&gradient, &finite_difference(&x, value), 1e-8));
    }

    #[test]
    fn gradients_from_probabilities_are_finite_differences((_, t) in soft(), y in 0..20_usize) {
        // Away from the ends, where the loss bends too much for the differences.
        let p = t.mapv(|t| 0.1 + 0.8 * t);
        let y = y % p.len();
        let loss = CategoricalCrossEntropy::new();
        let value = |p: &Array1<f64>| mean(loss.loss(p.view(), arr0(y).view(), AXIS));
        let (_, gradient) = loss.loss_and_grad(p.view(), arr0(y).view(), AXIS).expect("valid");
        prop_assert!(close(&gradient, &finite_difference(&p, value), 1e-6));
    }

    #[test]
    fn binary_gradients_are_finite_differences((x, y) in soft(), v in 0.1..3.0) {
        let v = arr0(v);
        let loss = BinaryCrossEntropyWithLogits::new().pos_weight(v.view());
        let loss = loss.reduction(Reduction::Sum);
        let value = |x: &Array1<f64>| mean(loss.loss(x.view(), y.view()));
        let (_, gradient) = loss.loss_and_grad(x.view(), y.view()).expect("valid");
        prop_assert!(close(&gradient, &finite_difference(&x, value), 1e-8));
    }

    #[test]
    fn vjps_are_finite_differences((x, g) in soft()) {
        let dot = |values: Array1<f64>| values.dot(&g);
        let softmax = |x: &Array1<f64>| logitkit::softmax(x.view(), AXIS).expect("valid");
        let vjp = logitkit::softmax_vjp(softmax(&x).view(), g.view(), AXIS).expect("valid");
        prop_assert!(close(&vjp, &finite_difference(&x, |x| dot(softmax(x))), 1e-8));
        let log_softmax = |x: &Array1<f64>| logitkit::log_softmax(x.view(), AXIS).expect("valid");
        let vjp = logitkit::log_softmax_vjp(log_softmax(&x).view(), g.view(), AXIS).expect("valid");
        prop_assert!(close(&vjp, &finite_difference(&x, |x| dot(log_softmax(x))), 1e-8));
    }

    #[test]
    fn rows_do_not_see_each_other(
        (x, _) in row_and_class(30.0),
        place in 0..5_usize,
    ) {
        let mut rows = Array2::from_elem((5, x.len()), f64::NAN);
        rows.row_mut(place).assign(&x);
        let alone = logitkit::softmax(x.view(), AXIS).expect("valid arguments");
        let among = logitkit::softmax(rows.view(), Axis(1)).expect("valid arguments");
        prop_assert_eq!(among.row(place), alone);
    }

    #[test]
    fn sigmoid_is_the_softmax_of_two(z in -700.0..700.0_f64) {
        let pair = ndarray::arr1(&[z, 0.0]);
        let p = logitkit::softmax(pair.view(), AXIS).expect("valid arguments")[0];
        let s = logitkit::sigmoid(arr0(z).view()).expect("valid arguments").into_scalar();
        prop_assert!((p - s).abs() <= 4.0 * f64::EPSILON * s, "{} {}", p, s);
    }
}
