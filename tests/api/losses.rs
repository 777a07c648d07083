//! Every loss with every option and reduction, against the formulas.

use logitkit::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, CategoricalCrossEntropy, CrossEntropy,
    NllLoss, Reduction, Result, Targets,
};
use ndarray::{Array1, ArrayD, Axis, IxDyn, arr0};

use crate::common::{
    Element, Kind, Options, Reference, Target, assert_close, cast, class_loss, log_softmax,
    map_rows, random, random_classes, random_probs, sigmoid, softplus, without,
};
use crate::softmax::both_types;

pub(crate) const REDUCTIONS: [Reduction; 3] = [Reduction::None, Reduction::Mean, Reduction::Sum];

const SHAPES: [(&[usize], usize); 8] = [
    (&[5], 0),
    (&[7, 1], 1),
    (&[6, 10], 1),
    (&[40, 6], 0),
    (&[3, 65, 2], 1),
    (&[2, 3, 4, 5], 2),
    (&[2, 1, 3, 2, 7], 4),
    (&[2, 2, 5, 1, 3, 2], 2),
];

type Both<T> = (logitkit::Loss<T>, ArrayD<T>);

/// The loss of a kind with the options, by `loss` (twice the same) and by `loss_and_grad`.
fn losses<T: Element>(
    kind: Kind,
    x: &ArrayD<T>,
    targets: &Targets<'_, T>,
    axis: usize,
    options: &Options,
    reduction: Reduction,
) -> Result<Both<T>> {
    let weight = options.weight.as_ref().map(|w| Array1::from_vec(w.clone()));
    let sample_weight = options.sample_weight.as_ref();
    let (targets, axis) = (|| targets.clone(), Axis(axis));
    macro_rules! call {
        ($loss:expr) => {{
            let mut loss = $loss.reduction(reduction);
            if let Some(weight) = &weight {
                loss = loss.weight(weight.view());
            }
            if let Some(weight) = sample_weight {
                loss = loss.sample_weight(weight.view());
            }
            if let Some(index) = options.ignore_index {
                loss = loss.ignore_index(index);
            }
            let alone = loss.loss(x.view(), targets(), axis)?;
            let (value, gradient) = loss.loss_and_grad(x.view(), targets(), axis)?;
            let mut out = x.mapv(|_| T::of(9.0));
            let into = loss.loss_and_grad_into(x.view(), targets(), axis, out.view_mut())?;
            assert_eq!(alone, value);
            assert_eq!((into, out), (value.clone(), gradient.clone()));
            Ok((value, gradient))
        }};
    }
    match kind {
        Kind::Logits => {
            let loss = CrossEntropy::new().z_loss(options.z_loss);
            call!(loss.label_smoothing(options.label_smoothing))
        }
        Kind::LogProbs => call!(NllLoss::new()),
        Kind::Probs => call!(CategoricalCrossEntropy::new().eps(options.eps)),
    }
}

fn assert_matches<T: Element>(
    (loss, gradient): Both<T>,
    reference: &Reference,
    reduction: Reduction,
    case: &str,
) {
    let divisor = if reduction == Reduction::Mean {
        reference.divisor
    } else {
        1.0
    };
    let expected = &reference.gradient / divisor;
    let sizes: f64 = reference
        .gradient
        .iter()
        .fold(0.0, |max, g| g.abs().max(max));
    assert_close(&gradient, &expected, sizes / divisor, case);
    let magnitude = 1.0 + reference.losses.iter().fold(0.0, |max, l| l.abs().max(max));
    if reduction == Reduction::None {
        let losses = loss.unreduced().expect("not reduced");
        assert_close(&losses, &reference.losses, magnitude, case);
    } else {
        let expected = arr0(reference.losses.sum() / divisor).into_dyn();
        let loss = arr0(loss.reduced().expect("reduced")).into_dyn();
        assert_close(&loss, &expected, magnitude, case);
    }
}

/// Combinations of options that a kind of loss has, for index or soft targets.
fn options_of(kind: Kind, rows: &[usize], classes: usize, soft: bool) -> Vec<Options> {
    let plain = Options::default();
    let weight = (0..classes).map(|c| 0.5 + 0.25 * (c % 5) as f64).collect();
    let mut sample_weight = random(rows, 1.0, 17).mapv(|s| (s + 1.0) * 0.75);
    sample_weight
        .iter_mut()
        .skip(1)
        .step_by(3)
        .for_each(|s| *s = 0.0);
    let ignore_index = (!soft).then_some(classes as i64 - 1);
    let weighted = Options {
        weight: Some(weight),
        ..plain.clone()
    };
    let mut options = vec![
        plain.clone(),
        weighted.clone(),
        Options {
            sample_weight: Some(sample_weight.clone()),
            ..plain.clone()
        },
        Options {
            ignore_index,
            ..plain.clone()
        },
        Options {
            sample_weight: Some(sample_weight.clone()),
            ignore_index,
            ..weighted.clone()
        },
    ];
    match kind {
        Kind::Logits => {
            let extra = [(0.1, 0.0), (1.0, 0.0), (0.0, 1e-2), (0.3, 0.5)];
            options.extend(extra.map(|(label_smoothing, z_loss)| Options {
                label_smoothing,
                z_loss,
                ..plain.clone()
            }));
            options.push(Options {
                label_smoothing: 0.2,
                z_loss: 0.1,
                sample_weight: Some(sample_weight),
                ignore_index,
                ..weighted
            });
        }
        Kind::LogProbs => {}
        Kind::Probs => options.push(Options {
            eps: 0.05,
            ..weighted
        }),
    }
    options
}

fn every_option<T: Element>(kind: Kind) {
    for (shape, axis) in SHAPES {
        let (rows, classes) = (without(shape, axis), shape[axis]);
        let scores = match kind {
            Kind::Logits => random(shape, 8.0, 1),
            Kind::LogProbs => {
                let log_probs = map_rows(&random(shape, 3.0, 1), axis, log_softmax);
                log_probs.mapv(|p| f64::from(p as f32))
            }
            Kind::Probs => random_probs(shape, axis, 1).mapv(|p| f64::from((p * 0.999) as f32)),
        };
        let x = cast::<T, _>(&scores);
        let classes_of = random_classes(&rows, classes, 6);
        let soft = random_probs(shape, axis, 9);
        let soft_t = cast::<T, _>(&soft);
        let targets = [
            (
                Target::Classes(classes_of.clone()),
                Targets::Indices(ndarray::CowArray::from(classes_of.view())),
            ),
            (Target::Soft(soft), Targets::Probabilities(soft_t.view())),
        ];
        for (naive, target) in &targets {
            let is_soft = matches!(naive, Target::Soft(_));
            for options in options_of(kind, &rows, classes, is_soft) {
                let reference = class_loss(kind, &scores, naive, axis, &options);
                for reduction in REDUCTIONS {
                    if reduction == Reduction::Mean && reference.divisor == 0.0 {
                        continue;
                    }
                    let case = format!(
                        "{kind:?} {shape:?} axis {axis} {reduction:?} {naive:?} {options:?}"
                    );
                    let given = losses(kind, &x, target, axis, &options, reduction);
                    assert_matches(
                        given.expect("valid arguments"),
                        &reference,
                        reduction,
                        &case,
                    );
                }
            }
        }
    }
}

fn cross_entropy<T: Element>() {
    every_option::<T>(Kind::Logits);
}

fn nll_loss<T: Element>() {
    every_option::<T>(Kind::LogProbs);
}

fn categorical_cross_entropy<T: Element>() {
    every_option::<T>(Kind::Probs);
}

both_types! {
    cross_entropy_follows_its_formula => cross_entropy;
    nll_loss_follows_its_formula => nll_loss;
    categorical_cross_entropy_follows_its_formula => categorical_cross_entropy;
    binary_losses_follow_their_formulas => binary;
}

fn binary<T: Element>() {
    let scalar: &[usize] = &[];
    for shape in [
        scalar,
        &[1],
        &[17],
        &[6, 10],
        &[3, 65, 2],
        &[2, 1, 3, 2, 7],
        &[2, 2, 1, 3, 2, 3],
    ] {
        let logits = random(shape, 6.0, 1);
        let probs = logits.mapv(|z| f64::from(sigmoid(z) as f32));
        let targets = random(shape, 0.5, 2).mapv(|y| y + 0.5);
        // One weight for each place along the last axis, broadcast; one of them 0.
        let last = shape.last().copied().unwrap_or(1);
        let mut weight = random(&[last], 1.0, 3).mapv(|w| w + 1.5);
        weight[[last / 2]] = if last > 2 { 0.0 } else { 1.25 };
        let weight = if shape.is_empty() {
            arr0(0.75).into_dyn()
        } else {
            weight
        };
        let pos_weight = arr0(2.5).into_dyn();
        let all_weights = weight
            .broadcast(IxDyn(shape))
            .expect("it broadcasts")
            .to_owned();
        let ones = all_weights.mapv(|_| 1.0);
        let (x, p, y) = (
            cast::<T, _>(&logits),
            cast::<T, _>(&probs),
            cast::<T, _>(&targets),
        );
        let (w, v) = (cast::<T, _>(&weight), cast::<T, _>(&pos_weight));
        for (weighted, reduction) in REDUCTIONS.into_iter().flat_map(|r| [(false, r), (true, r)]) {
            let (weights, positive) = if weighted {
                (&all_weights, 2.5)
            } else {
                (&ones, 1.0)
            };
            let divisor = logits.len() as f64;
            let reference = |loss: &dyn Fn(f64, f64) -> [f64; 2], scores: &ArrayD<f64>| {
                let rows = scores.iter().zip(&targets).zip(weights);
                let both: Vec<_> = rows
                    .map(|((&s, &y), &w)| loss(s, y).map(|value| w * value))
                    .collect();
                let part = |i: usize| {
                    let values = both.iter().map(|both| both[i]).collect();
                    ArrayD::from_shape_vec(IxDyn(shape), values).expect("one for each")
                };
                Reference {
                    losses: part(0),
                    gradient: part(1),
                    divisor,
                }
            };
            let case = format!("{shape:?} {reduction:?} weighted {weighted}");

            let mut loss = BinaryCrossEntropyWithLogits::new().reduction(reduction);
            if weighted {
                loss = loss.weight(w.view()).pos_weight(v.view());
            }
            let given = loss
                .loss_and_grad(x.view(), y.view())
                .expect("valid arguments");
            assert_eq!(loss.loss(x.view(), y.view()), Ok(given.0.clone()), "{case}");
            let mut out = x.clone();
            let into = loss.loss_and_grad_into(x.view(), y.view(), out.view_mut());
            assert_eq!(
                (into, out),
                (Ok(given.0.clone()), given.1.clone()),
                "{case}"
            );
            let formula = |z: f64, y: f64| {
                [
                    positive * y * softplus(-z) + (1.0 - y) * softplus(z),
                    (1.0 - y) * sigmoid(z) - positive * y * sigmoid(-z),
                ]
            };
            assert_matches(given, &reference(&formula, &logits), reduction, &case);

            for eps in [0.0, 0.1] {
                let mut loss = BinaryCrossEntropy::new().reduction(reduction).eps(eps);
                if weighted {
                    loss = loss.weight(w.view());
                }
                let given = loss
                    .loss_and_grad(p.view(), y.view())
                    .expect("valid arguments");
                assert_eq!(loss.loss(p.view(), y.view()), Ok(given.0.clone()), "{case}");
                let mut out = p.clone();
                let into = loss.loss_and_grad_into(p.view(), y.view(), out.view_mut());
                assert_eq!(
                    (into, out),
                    (Ok(given.0.clone()), given.1.clone()),
                    "{case}"
                );
                let formula = |p: f64, y: f64| {
                    let clipped = if eps > 0.0 {
                        p.clamp(eps, 1.0 - eps)
                    } else {
                        p
                    };
                    let slope = if clipped == p {
                        (1.0 - y) / (1.0 - p) - y / p
                    } else {
                        0.0
                    };
                    [-(y * clipped.ln() + (1.0 - y) * (-clipped).ln_1p()), slope]
                };
                assert_matches(given, &reference(&formula, &probs), reduction, &case);
            }
        }
    }
}

#[test]
fn the_article_s_examples_come_out() {
    // One-hot targets pick p = 0.4, 0.4, 0.1.
    let probs = ndarray::arr2(&[[0.3, 0.3, 0.4], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]]);
    let targets = ndarray::arr1(&[2_u8, 1, 0]);
    let loss = CategoricalCrossEntropy::new().loss(probs.view(), targets.view(), Axis(1));
    let loss: f64 = loss.expect("valid arguments").reduced().expect("the mean");
    let expected = -(0.4_f64.ln() + 0.4_f64.ln() + 0.1_f64.ln()) / 3.0;
    assert!((loss - expected).abs() < 1e-15);

    // The worse the guess, the larger the loss.
    let guess = |p: f64| {
        let mut row = [(1.0 - p) / 4.0; 5];
        row[3] = p;
        let logits = Array1::from_iter(row.map(f64::ln));
        let loss = CrossEntropy::new().loss(logits.view(), ndarray::arr0(3).view(), Axis(0));
        loss.expect("valid arguments").reduced().expect("the mean")
    };
    let losses = [0.6, 0.3, 0.1].map(guess);
    assert!(
        losses
            .iter()
            .zip([0.6_f64, 0.3, 0.1])
            .all(|(l, p)| (l + p.ln()).abs() < 1e-14)
    );
    assert!(losses.is_sorted());
}

#[test]
fn a_confident_right_answer_keeps_its_small_loss() {
    let mut logits = Array1::<f32>::zeros(101);
    logits[17] = 30.0;
    let targets = ndarray::arr0(17);
    let (loss, gradient) = CrossEntropy::new()
        .loss_and_grad(logits.view(), targets.view(), Axis(0))
        .expect("valid arguments");
    let expected = 100.0 * (-30.0_f64).exp();
    let loss = f64::from(loss.reduced().expect("the mean"));
    assert!((loss / expected - 1.0).abs() < 1.2e-7, "{loss}");
    assert!(
        (f64::from(gradient[17]) / -expected - 1.0).abs() < 1.2e-7,
        "{}",
        gradient[17]
    );
}

#[test]
fn reductions_have_names() {
    assert_eq!("none".parse(), Ok(Reduction::None));
    assert_eq!("mean".parse(), Ok(Reduction::Mean));
    assert_eq!("sum".parse(), Ok(Reduction::Sum));
    let error = "avg"
        .parse::<Reduction>()
        .expect_err("there is none of that name");
    assert_eq!(
        error.to_string(),
        r#"reduction is "avg", expected "none", "mean" or "sum""#
    );
}
