//! Properties of the public API over drawn logits: what must hold whatever the numbers.

use logitkit::{BinaryCrossEntropyWithLogits, CrossEntropy, Reduction, log_softmax, softmax};
use ndarray::{Array2, ArrayView2, Axis};
use proptest::prelude::*;

const CLASSES: usize = 7;

fn logits() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-30.0..30.0, 3 * CLASSES)
}

fn matrix(elements: &[f64]) -> Array2<f64> {
    let view = ArrayView2::from_shape((3, CLASSES), elements).expect("three rows");
    view.to_owned()
}

proptest! {
    #[test]
    fn rows_of_a_softmax_sum_to_one(elements in logits()) {
        let probs = softmax(matrix(&elements).view(), Axis(1)).expect("valid");
        for row in probs.rows() {
            prop_assert!((row.sum() - 1.0).abs() < 1e-15 * 7.0);
            prop_assert!(row.iter().all(|p| (0.0..=1.0).contains(p)));
        }
    }

    #[test]
    fn a_shift_by_a_power_of_two_changes_little(elements in logits()) {
        let x = matrix(&elements).mapv(|x| (x * 64.0).round() / 64.0);
        let probs = softmax(x.view(), Axis(1)).expect("valid");
        let shifted = softmax((&x + 1024.0).view(), Axis(1)).expect("valid");
        for (p, q) in probs.iter().zip(&shifted) {
            prop_assert!((p - q).abs() <= 4.0 * f64::EPSILON * p);
        }
    }

    #[test]
    fn the_loss_is_that_of_log_softmax_and_its_gradient_sums_to_zero(
        elements in logits(),
        targets in prop::array::uniform3(0_i64..CLASSES as i64),
    ) {
        let x = matrix(&elements);
        let targets = ndarray::Array1::from(targets.to_vec());
        let options = CrossEntropy::new().reduction(Reduction::Sum);
        let (loss, gradient) = options
            .loss_and_grad(x.view(), targets.view(), Axis(1))
            .expect("valid");
        let loss = loss.reduced().expect("a sum");
        let log_probs = log_softmax(x.view(), Axis(1)).expect("valid");
        let picked = targets.iter().enumerate();
        let wanted: f64 = picked.map(|(row, &class)| -log_probs[[row, class as usize]]).sum();
        prop_assert!((loss - wanted).abs() <= 1e-14 * wanted.max(1e-300));
        for row in gradient.rows() {
            prop_assert!(row.sum().abs() < 1e-14);
        }
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss(
        elements in logits(),
        place in 0..3 * CLASSES,
        targets in prop::array::uniform3(0_i64..CLASSES as i64),
    ) {
        let targets = ndarray::Array1::from(targets.to_vec());
        let options = CrossEntropy::new().reduction(Reduction::Sum);
        let loss_at = |step: f64| {
            let mut moved = elements.clone();
            moved[place] += step;
            let loss = options.loss(matrix(&moved).view(), targets.view(), Axis(1));
            loss.expect("valid").reduced().expect("a sum")
        };
        let x = matrix(&elements);
        let (_, gradient) = options
            .loss_and_grad(x.view(), targets.view(), Axis(1))
            .expect("valid");
        let slope = (loss_at(1e-4) - loss_at(-1e-4)) / 2e-4;
        let entry = gradient[[place / CLASSES, place % CLASSES]];
        prop_assert!((slope - entry).abs() < 1e-6, "{slope} {entry}");
    }

    #[test]
    fn the_hessian_is_the_slope_of_the_gradient(
        elements in logits(),
        place in 0..3 * CLASSES,
        targets in prop::array::uniform3(0_i64..CLASSES as i64),
        z_loss in prop::option::of(0.01..0.1),
    ) {
        let targets = ndarray::Array1::from(targets.to_vec());
        let options = CrossEntropy::new().z_loss(z_loss.unwrap_or(0.0)).label_smoothing(0.1);
        let at = [place / CLASSES, place % CLASSES];
        let entry_at = |step: f64| {
            let mut moved = elements.clone();
            moved[place] += step;
            let found = options.loss_and_grad(matrix(&moved).view(), targets.view(), Axis(1));
            found.expect("valid").1[at]
        };
        let x = matrix(&elements);
        let (loss, gradient, hessian) = options
            .loss_and_grad_hess(x.view(), targets.view(), Axis(1))
            .expect("valid");
        let both = options.loss_and_grad(x.view(), targets.view(), Axis(1)).expect("valid");
        prop_assert_eq!((loss, gradient), both);
        let slope = (entry_at(1e-4) - entry_at(-1e-4)) / 2e-4;
        prop_assert!((slope - hessian[at]).abs() < 1e-6, "{slope} {}", hessian[at]);
    }

    #[test]
    fn the_hessian_of_a_binary_loss_is_the_slope_of_its_gradient(
        elements in logits(),
        place in 0..3 * CLASSES,
        share in 0.0..1.0,
    ) {
        let targets = Array2::from_elem((3, CLASSES), share);
        let options = BinaryCrossEntropyWithLogits::new().reduction(Reduction::Sum);
        let at = [place / CLASSES, place % CLASSES];
        let entry_at = |step: f64| {
            let mut moved = elements.clone();
            moved[place] += step;
            let found = options.loss_and_grad(matrix(&moved).view(), targets.view());
            found.expect("valid").1[at]
        };
        let x = matrix(&elements);
        let (_, _, hessian) = options.loss_and_grad_hess(x.view(), targets.view()).expect("valid");
        let slope = (entry_at(1e-4) - entry_at(-1e-4)) / 2e-4;
        prop_assert!((slope - hessian[at]).abs() < 1e-6, "{slope} {}", hessian[at]);
    }
}

/// Results of half precision are those of `f64`, rounded, or a neighbour.
mod half_precision {
    use half::{bf16, f16};
    use logitkit::{Element, Loss};

    use super::*;

    /// The bits of numbers as integers that neighbours of one sign follow in.
    fn is_near<T: Element>(
        got: T,
        want: f64,
        bits: impl Fn(T) -> u16,
        round: impl Fn(f64) -> T,
    ) -> bool {
        bits(got).abs_diff(bits(round(want))) <= 1
    }

    fn check<T: Element<Compute = f32>>(
        elements: &[f64],
        bits: impl Fn(T) -> u16 + Copy,
        round: impl Fn(f64) -> T + Copy,
    ) {
        let x = matrix(elements).mapv(round);
        let wide = x.mapv(Element::to_f64);
        for axis in [Axis(0), Axis(1)] {
            let got = softmax(x.view(), axis).expect("valid");
            let want = softmax(wide.view(), axis).expect("valid");
            for (&got, &want) in got.iter().zip(&want) {
                assert!(
                    is_near(got, want, bits, round),
                    "softmax gave {}, not {want}",
                    got.to_f64()
                );
            }
        }
        let targets = ndarray::array![0, 3, 6];
        let (loss, gradient) = CrossEntropy::new()
            .loss_and_grad(x.view(), targets.view(), Axis(1))
            .expect("valid");
        let (want, slope) = CrossEntropy::new()
            .loss_and_grad(wide.view(), targets.view(), Axis(1))
            .expect("valid");
        let (Loss::Reduced(loss), Loss::Reduced(want)) = (loss, want) else {
            unreachable!("a mean is one number")
        };
        assert!((f64::from(loss) - want).abs() <= 3e-7 * want);
        for (&got, &want) in gradient.iter().zip(&slope) {
            assert!(
                is_near(got, want, bits, round),
                "gradient {}, not {want}",
                got.to_f64()
            );
        }
    }

    proptest! {
        #[test]
        fn of_f16(elements in logits()) {
            check(&elements, f16::to_bits, f16::from_f64);
        }

        #[test]
        fn of_bf16(elements in logits()) {
            check(&elements, bf16::to_bits, bf16::from_f64);
        }
    }
}
