//! What is refused, with which message, and that nothing is written then.

use logitkit::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, CategoricalCrossEntropy, CrossEntropy, Error,
    Loss, NllLoss, Result,
};
use ndarray::{Array1, Array2, ArrayViewMut2, Axis, arr0, arr1, arr2};

/// The error of a call that must leave its output alone.
fn refused<R: std::fmt::Debug>(call: impl FnOnce(ArrayViewMut2<'_, f64>) -> Result<R>) -> Error {
    refused_in((3, 4), call)
}

fn refused_in<R: std::fmt::Debug>(
    shape: (usize, usize),
    call: impl FnOnce(ArrayViewMut2<'_, f64>) -> Result<R>,
) -> Error {
    let mut out = Array2::from_elem(shape, 12_345.0);
    let error = call(out.view_mut()).expect_err("the arguments are wrong");
    assert!(
        out.iter().all(|&x| x == 12_345.0),
        "written before the error: {error}"
    );
    error
}

/// Fails unless the message holds all of these.
fn says(error: &Error, words: &[&str]) {
    let message = error.to_string();
    assert!(
        words.iter().all(|word| message.contains(word)),
        "{message:?} lacks one of {words:?}"
    );
}

fn logits() -> Array2<f64> {
    Array2::from_shape_fn((3, 4), |(row, class)| (row * class) as f64 / 8.0)
}

#[test]
fn axes_that_are_none() {
    let x = logits();
    let targets = arr1(&[0, 1, 2]);
    let two = Axis(2);
    let errors = [
        refused(|out| logitkit::softmax_into(x.view(), two, out)),
        refused(|out| logitkit::log_softmax_into(x.view(), two, out)),
        refused(|out| logitkit::softmax_vjp_into(x.view(), x.view(), two, out)),
        refused(|out| logitkit::log_softmax_vjp_into(x.view(), x.view(), two, out)),
        refused(|out| logitkit::softmax_in_place(out, two)),
        refused(|out| logitkit::log_softmax_in_place(out, two)),
        refused(|out| CrossEntropy::new().loss_and_grad_into(x.view(), targets.view(), two, out)),
        refused(|out| NllLoss::new().loss_and_grad_into(x.view(), targets.view(), two, out)),
        logitkit::logsumexp(x.view(), two).expect_err("no such axis"),
        logitkit::top_k(x.view(), 1, two).expect_err("no such axis"),
        logitkit::accuracy(x.view(), targets.view(), 1, two, None).expect_err("no such axis"),
        logitkit::perplexity(x.view(), targets.view(), two, None).expect_err("no such axis"),
    ];
    for error in errors {
        assert_eq!(
            error,
            Error::AxisOutOfBounds {
                axis: 2,
                dimensions: 2
            }
        );
        says(&error, &["axis 2", "dimension 2"]);
    }
    let scalar = arr0(1.0);
    let error = logitkit::softmax(scalar.view(), Axis(0)).expect_err("it has no axis");
    assert_eq!(
        error,
        Error::AxisOutOfBounds {
            axis: 0,
            dimensions: 0
        }
    );
    let weight = Array2::<f64>::zeros((2, 1));
    assert!(logitkit::linear(scalar.view(), weight.view(), None).is_err());
}

#[test]
fn outputs_of_another_shape() {
    let x = logits();
    let targets = arr1(&[0, 1, 2]);
    let one = Axis(1);
    let shape = (4, 3);
    let errors = [
        refused_in(shape, |out| logitkit::softmax_into(x.view(), one, out)),
        refused_in(shape, |out| logitkit::log_softmax_into(x.view(), one, out)),
        refused_in(shape, |out| {
            logitkit::softmax_vjp_into(x.view(), x.view(), one, out)
        }),
        refused_in(shape, |out| {
            logitkit::log_softmax_vjp_into(x.view(), x.view(), one, out)
        }),
        refused_in(shape, |out| logitkit::sigmoid_into(x.view(), out)),
        refused_in(shape, |out| logitkit::log_sigmoid_into(x.view(), out)),
        refused_in(shape, |out| logitkit::softplus_into(x.view(), out)),
        refused_in(shape, |out| {
            CrossEntropy::new().loss_and_grad_into(x.view(), targets.view(), one, out)
        }),
        refused_in(shape, |out| {
            let loss = BinaryCrossEntropyWithLogits::new();
            loss.loss_and_grad_into(x.view(), x.view(), out)
        }),
    ];
    for error in errors {
        says(&error, &["out", "[4, 3]", "[3, 4]"]);
    }
    let wrong = Array2::<f64>::zeros((4, 3));
    let error = refused(|out| logitkit::softmax_vjp_into(x.view(), wrong.view(), one, out));
    says(&error, &["cotangent", "[4, 3]", "[3, 4]"]);
}

#[test]
fn targets_that_fit_no_logits() {
    let x = logits();
    let one = Axis(1);
    let call = |targets: Array1<i64>| {
        refused(|out| CrossEntropy::new().loss_and_grad_into(x.view(), targets.view(), one, out))
    };
    says(
        &call(arr1(&[0, 1])),
        &["[2]", "[3, 4]", "[3]", "probabilities"],
    );
    says(&call(arr1(&[0, 1, 4])), &["targets[2] is 4", "4 classes"]);
    says(
        &call(arr1(&[0, -1, 0])),
        &["targets[1] is -1", "do not wrap"],
    );
    says(&call(arr1(&[0, -100, 0])), &["ignore_index=-100"]);

    let floats = arr1(&[0.0, 1.0, 2.0]);
    let error =
        refused(|out| CrossEntropy::new().loss_and_grad_into(x.view(), floats.view(), one, out));
    says(&error, &["float64", "astype(int)"]);
    let huge = arr1(&[0, u64::MAX, 0]);
    assert!(matches!(
        refused(|out| NllLoss::new().loss_and_grad_into(x.view(), huge.view(), one, out)),
        Error::ClassIndex { .. }
    ));
    let soft = Array2::from_elem((3, 4), 0.25);
    let error = refused(|out| {
        let loss = CrossEntropy::new().ignore_index(3);
        loss.loss_and_grad_into(x.view(), soft.view(), one, out)
    });
    assert_eq!(error, Error::IgnoreIndexWithProbabilities(3));
    let error = logitkit::accuracy(x.view(), soft.view(), 1, one, None).expect_err("not indices");
    says(&error, &["accuracy", "class indices", "argmax(axis=1)"]);
    let none = Array2::<f64>::zeros((3, 0));
    let error = CrossEntropy::new().loss(none.view(), arr1(&[0, 0, 0]).view(), one);
    assert_eq!(
        error,
        Err(Error::NoClasses {
            shape: vec![3, 0],
            axis: 1
        })
    );
    // An index to ignore is not checked, a row of weight 0 is.
    let zero = arr1(&[1.0, 0.0, 1.0]);
    let loss = CrossEntropy::new().sample_weight(zero.view());
    assert!(loss.loss(x.view(), arr1(&[0, 9, 0]).view(), one).is_err());
    let loss = CrossEntropy::new().ignore_index(9);
    assert!(loss.loss(x.view(), arr1(&[0, 9, 0]).view(), one).is_ok());
}

#[test]
fn options_out_of_range() {
    let x = logits();
    let p = Array2::from_elem((3, 4), 0.25);
    let targets = arr1(&[0, 1, 2]);
    let one = Axis(1);
    let (short, weights) = (arr1(&[1.0, 2.0]), arr1(&[1.0; 4]));
    let call = |loss: CrossEntropy<'_>| {
        refused(|out| loss.loss_and_grad_into(x.view(), targets.view(), one, out))
    };
    for share in [-0.1, 1.1, f64::NAN] {
        says(
            &call(CrossEntropy::new().label_smoothing(share)),
            &["label_smoothing"],
        );
    }
    for factor in [f64::INFINITY, f64::NAN] {
        says(&call(CrossEntropy::new().z_loss(factor)), &["z_loss"]);
    }
    says(
        &call(CrossEntropy::new().weight(short.view())),
        &["weight", "[2]", "[4]"],
    );
    let error = call(CrossEntropy::new().sample_weight(weights.view()));
    says(&error, &["sample_weight", "[4]", "[3]"]);
    for eps in [-1e-9, 0.5, f64::NAN] {
        let error = refused(|out| {
            let loss = CategoricalCrossEntropy::new().eps(eps);
            loss.loss_and_grad_into(p.view(), targets.view(), one, out)
        });
        says(&error, &["eps", "0.5"]);
        let error = refused(|out| {
            BinaryCrossEntropy::new()
                .eps(eps)
                .loss_and_grad_into(p.view(), p.view(), out)
        });
        says(&error, &["eps", "0.5"]);
    }
    says(
        &logitkit::top_k(x.view(), 5, one).expect_err("k"),
        &["k is 5", "4 classes"],
    );
    let error = logitkit::accuracy(x.view(), targets.view(), 5, one, None).expect_err("k");
    says(&error, &["k is 5"]);
}

#[test]
fn values_that_are_no_probabilities() {
    let targets = arr1(&[0, 1]);
    for wrong in [-0.5, 1.5, f64::NAN] {
        let p = arr2(&[[0.5, 0.5], [wrong, 0.5]]);
        let y = Array2::from_elem((2, 2), 1.0);
        let errors = [
            refused_in((2, 2), |out| {
                let loss = CategoricalCrossEntropy::new();
                loss.loss_and_grad_into(p.view(), targets.view(), Axis(1), out)
            }),
            refused_in((2, 2), |out| {
                BinaryCrossEntropy::new().loss_and_grad_into(p.view(), y.view(), out)
            }),
        ];
        for error in errors {
            says(&error, &["probs[1, 0] is", "[0, 1]"]);
        }
        let error = refused_in((2, 2), |out| {
            BinaryCrossEntropyWithLogits::new().loss_and_grad_into(y.view(), p.view(), out)
        });
        says(&error, &["targets[1, 0] is", "[0, 1]"]);
    }
    // What clipping forgives, and where nobody looks.
    let p = arr2(&[[0.5, 0.5], [1.0 + 1e-7, 0.0]]);
    let loss = CategoricalCrossEntropy::new();
    assert!(loss.loss(p.view(), targets.view(), Axis(1)).is_err());
    assert!(
        loss.clone()
            .eps(1e-6)
            .loss(p.view(), targets.view(), Axis(1))
            .is_ok()
    );
    let weights = arr1(&[1.0, 0.0]);
    let loss = loss.sample_weight(weights.view());
    assert!(loss.loss(p.view(), targets.view(), Axis(1)).is_ok());
}

#[test]
fn binary_arguments_of_other_shapes() {
    let x = logits();
    let row = Array2::from_elem((1, 4), 0.5);
    let error = refused(|out| {
        BinaryCrossEntropyWithLogits::new().loss_and_grad_into(x.view(), row.view(), out)
    });
    says(&error, &["targets", "[1, 4]", "[3, 4]"]);
    let y = Array2::from_elem((3, 4), 0.5);
    let wrong = arr1(&[1.0, 2.0, 3.0]);
    let calls: [(_, BinaryCrossEntropyWithLogits<'_, f64>); 2] = [
        (
            "weight",
            BinaryCrossEntropyWithLogits::new().weight(wrong.view()),
        ),
        (
            "pos_weight",
            BinaryCrossEntropyWithLogits::new().pos_weight(wrong.view()),
        ),
    ];
    for (name, loss) in calls {
        let error = refused(|out| loss.loss_and_grad_into(x.view(), y.view(), out));
        says(&error, &[name, "[3]", "[3, 4]", "broadcast"]);
    }
}

#[test]
fn layers_that_do_not_fit() {
    let (x, weight) = (Array2::<f32>::zeros((3, 4)), Array2::zeros((2, 5)));
    let error = logitkit::linear(x.view(), weight.view(), None).expect_err("4 is not 5");
    says(&error, &["[3, 4]", "[3, 5]"]);
    let (weight, bias) = (Array2::zeros((2, 4)), Array1::zeros(3));
    let error = logitkit::linear(x.view(), weight.view(), Some(bias.view())).expect_err("3, not 2");
    says(&error, &["bias", "[3]", "[2]"]);
}

#[test]
fn losses_know_whether_they_are_reduced() {
    assert_eq!(Loss::Reduced(1.0).unreduced(), None);
    assert_eq!(Loss::Unreduced(arr1(&[1.0]).into_dyn()).reduced(), None);
}
