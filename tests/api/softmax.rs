//! softmax and its kin, element-wise functions, predictions and the linear layer.

use logitkit::{Result, Targets};
use ndarray::{Array1, Array2, ArrayD, ArrayViewD, ArrayViewMutD, Axis, Ix2, IxDyn, arr1, arr2};

use crate::common::{
    Element, assert_close, cast, fold_rows, log_softmax, log_sum_exp, map_rows, random,
    random_classes, sigmoid, softmax, softplus, without,
};

/// 1 to 6 dimensions, short and long rows, and none.
pub(crate) const SHAPES: [&[usize]; 12] = [
    &[1],
    &[17],
    &[1000],
    &[0],
    &[4, 10],
    &[3, 0],
    &[0, 3],
    &[3, 1, 65],
    &[5, 33, 2],
    &[2, 3, 4, 5],
    &[2, 1, 3, 2, 7],
    &[2, 2, 1, 3, 2, 9],
];

type Rows<T> = (
    &'static str,
    fn(ArrayViewD<'_, T>, Axis) -> Result<ArrayD<T>>,
    fn(ArrayViewD<'_, T>, Axis, ArrayViewMutD<'_, T>) -> Result<()>,
    fn(ArrayViewMutD<'_, T>, Axis) -> Result<()>,
    fn(&[f64]) -> Vec<f64>,
);

pub(crate) fn row_functions<T: Element>() -> [Rows<T>; 2] {
    [
        (
            "softmax",
            logitkit::softmax,
            logitkit::softmax_into,
            logitkit::softmax_in_place,
            softmax,
        ),
        (
            "log_softmax",
            logitkit::log_softmax,
            logitkit::log_softmax_into,
            logitkit::log_softmax_in_place,
            log_softmax,
        ),
    ]
}

type Elements<T> = (
    &'static str,
    fn(ArrayViewD<'_, T>) -> Result<ArrayD<T>>,
    fn(ArrayViewD<'_, T>, ArrayViewMutD<'_, T>) -> Result<()>,
    fn(ArrayViewMutD<'_, T>) -> Result<()>,
    fn(f64) -> f64,
);

pub(crate) fn element_functions<T: Element>() -> [Elements<T>; 3] {
    [
        (
            "sigmoid",
            logitkit::sigmoid,
            logitkit::sigmoid_into,
            logitkit::sigmoid_in_place,
            sigmoid,
        ),
        (
            "log_sigmoid",
            logitkit::log_sigmoid,
            logitkit::log_sigmoid_into,
            logitkit::log_sigmoid_in_place,
            |z| -softplus(-z),
        ),
        (
            "softplus",
            logitkit::softplus,
            logitkit::softplus_into,
            logitkit::softplus_in_place,
            softplus,
        ),
    ]
}

/// Runs a generic test for both element types.
macro_rules! both_types {
    ($($test:ident => $check:ident;)*) => {$(
        #[test]
        fn $test() {
            $check::<f32>();
            $check::<f64>();
        }
    )*};
}
pub(crate) use both_types;

both_types! {
    row_functions_follow_their_formulas => rows;
    logsumexp_follows_its_formula => logsumexp;
    element_functions_follow_their_formulas => elements;
    vjps_follow_their_formulas => vjps;
    top_k_sorts_as_documented => top_k;
}

fn rows<T: Element>() {
    for shape in SHAPES {
        for magnitude in [1.0, 80.0, 1e4] {
            let logits = random(shape, magnitude, shape.len());
            let x = cast::<T, _>(&logits);
            for axis in 0..shape.len() {
                for (name, function, into, in_place, reference) in row_functions::<T>() {
                    let case = format!("{name} {shape:?} axis {axis} magnitude {magnitude}");
                    let expected = map_rows(&logits, axis, reference);
                    let given = function(x.view(), Axis(axis)).expect("valid arguments");
                    // Of the reference's own rounding: x - max - log(sum), and exp of it.
                    let slack = if size_of::<T>() == 8 {
                        magnitude / 100.0
                    } else {
                        1e-30
                    };
                    assert_close(&given, &expected, slack, &case);
                    let mut out = x.mapv(|_| T::of(5.0));
                    into(x.view(), Axis(axis), out.view_mut()).expect("valid arguments");
                    assert_eq!(out, given, "{case}");
                    let mut out = x.clone();
                    in_place(out.view_mut(), Axis(axis)).expect("valid arguments");
                    assert_eq!(out, given, "{case}");
                }
            }
        }
    }
}

fn logsumexp<T: Element>() {
    for shape in SHAPES {
        let logits = random(shape, 30.0, 7);
        let x = cast::<T, _>(&logits);
        for axis in 0..shape.len() {
            let expected = fold_rows(&logits, axis, log_sum_exp);
            let given = logitkit::logsumexp(x.view(), Axis(axis)).expect("valid arguments");
            assert_close(&given, &expected, 1e-3, &format!("{shape:?} axis {axis}"));
        }
    }
}

fn elements<T: Element>() {
    let scalar: &[usize] = &[];
    for shape in SHAPES.into_iter().chain([scalar]) {
        let logits = random(shape, 40.0, 3);
        let x = cast::<T, _>(&logits);
        for (name, function, into, in_place, reference) in element_functions::<T>() {
            let case = format!("{name} {shape:?}");
            let given = function(x.view()).expect("valid arguments");
            assert_close(&given, &logits.mapv(reference), 0.0, &case);
            let mut out = x.mapv(|_| T::of(5.0));
            into(x.view(), out.view_mut()).expect("valid arguments");
            assert_eq!(out, given, "{case}");
            let mut out = x.clone();
            in_place(out.view_mut()).expect("valid arguments");
            assert_eq!(out, given, "{case}");
        }
    }
}

fn vjps<T: Element>() {
    for shape in SHAPES {
        for axis in 0..shape.len() {
            let case = format!("{shape:?} axis {axis}");
            let logits = random(shape, 3.0, 11);
            let cotangent = random(shape, 2.0, 12);
            let g = cast::<T, _>(&cotangent);
            let sums = |product: ArrayD<f64>| product.sum_axis(Axis(axis)).insert_axis(Axis(axis));

            let probs = map_rows(&logits, axis, softmax).mapv(|p| f64::from(p as f32));
            let expected = &probs * &(&cotangent - &sums(&probs * &cotangent));
            let p = cast::<T, _>(&probs);
            let given = logitkit::softmax_vjp(p.view(), g.view(), Axis(axis)).expect("valid");
            assert_close(&given, &expected, 2.0, &case);
            let mut out = p.clone();
            logitkit::softmax_vjp_into(p.view(), g.view(), Axis(axis), out.view_mut())
                .expect("valid");
            assert_eq!(out, given, "{case}");

            let log_probs = map_rows(&logits, axis, log_softmax).mapv(|p| f64::from(p as f32));
            let expected = &cotangent - &(log_probs.mapv(f64::exp) * sums(cotangent.clone()));
            let p = cast::<T, _>(&log_probs);
            let given = logitkit::log_softmax_vjp(p.view(), g.view(), Axis(axis)).expect("valid");
            assert_close(&given, &expected, 4.0, &case);
            let mut out = p.clone();
            logitkit::log_softmax_vjp_into(p.view(), g.view(), Axis(axis), out.view_mut())
                .expect("valid");
            assert_eq!(out, given, "{case}");
        }
    }
}

fn top_k<T: Element>() {
    for shape in SHAPES {
        for axis in 0..shape.len() {
            // Few values, so that there are ties; and NaN.
            let mut scores = random(shape, 6.0, 5).mapv(|x| x.round() + 0.0);
            scores.iter_mut().step_by(11).for_each(|x| *x = f64::NAN);
            let x = cast::<T, _>(&scores);
            let classes = shape[axis];
            for k in [0, 1, 2, 5, 70, classes] {
                if k > classes {
                    continue;
                }
                let (values, indices) =
                    logitkit::top_k(x.view(), k, Axis(axis)).expect("valid arguments");
                let mut expected_shape = shape.to_vec();
                expected_shape[axis] = k;
                assert_eq!(values.shape(), expected_shape);
                assert_eq!(indices.shape(), expected_shape);
                let best = values
                    .lanes(Axis(axis))
                    .into_iter()
                    .zip(indices.lanes(Axis(axis)));
                for (row, (values, indices)) in x.lanes(Axis(axis)).into_iter().zip(best) {
                    let mut order: Vec<usize> = (0..row.len()).collect();
                    let rank = |class: usize| {
                        let score = row[class].value();
                        if score.is_nan() { f64::INFINITY } else { score }
                    };
                    order.sort_by(|&a, &b| rank(b).total_cmp(&rank(a)));
                    order.truncate(k);
                    let case = format!("{shape:?} axis {axis} k {k}");
                    let classes: Vec<_> = order.iter().map(|&class| class as i64).collect();
                    assert_eq!(indices.to_vec(), classes, "{case}");
                    let expected: Vec<_> = order.iter().map(|&c| Element::bits(row[c])).collect();
                    let given: Vec<_> = values.iter().map(|&x| Element::bits(x)).collect();
                    assert_eq!(given, expected, "{case}");
                }
            }
        }
    }
}

#[test]
fn accuracy_counts_hits_among_the_best() {
    let scores = random(&[40, 9], 3.0, 2);
    let targets = random_classes(&[40], 9, 4);
    for k in 0..=9 {
        let (_, best) = logitkit::top_k(scores.view(), k, Axis(1)).expect("valid arguments");
        let hit = |row: usize| {
            best.index_axis(Axis(0), row)
                .iter()
                .any(|&c| c == targets[row])
        };
        let kept: Vec<usize> = (0..40).filter(|&row| targets[row] != 3).collect();
        let share = |rows: &[usize]| {
            rows.iter().filter(|&&row| hit(row)).count() as f64 / rows.len() as f64
        };
        let all: Vec<usize> = (0..40).collect();
        let given = logitkit::accuracy(scores.view(), targets.view(), k, Axis(1), None);
        assert_eq!(given, Ok(share(&all)));
        let given = logitkit::accuracy(scores.view(), targets.view(), k, Axis(1), Some(3));
        assert_eq!(given, Ok(share(&kept)));
    }
    let none = Array1::<i64>::zeros(0);
    let scores = Array2::<f32>::zeros((0, 9));
    let given = logitkit::accuracy(scores.view(), none.view(), 1, Axis(1), None);
    assert!(given.expect("valid arguments").is_nan());
}

#[test]
fn perplexity_is_the_exponential_of_the_mean_loss() {
    for shape in [&[30, 9][..], &[9, 6, 5]] {
        let axis = usize::from(shape.len() == 2);
        let logits = random(shape, 3.0, 2);
        let targets = random_classes(&without(shape, axis), 9, 4);
        let losses = map_rows(&logits, axis, log_softmax);
        let rows = losses.lanes(Axis(axis)).into_iter().zip(&targets);
        let kept: Vec<f64> = rows
            .filter(|(_, y)| **y != 2)
            .map(|(row, &y)| -row[y as usize])
            .collect();
        let expected = (kept.iter().sum::<f64>() / kept.len() as f64).exp();
        let given = logitkit::perplexity(logits.view(), targets.view(), Axis(axis), Some(2))
            .expect("valid arguments");
        assert!((given / expected - 1.0).abs() < 1e-13);
        let x = cast::<f32, _>(&logits);
        let given = logitkit::perplexity(x.view(), targets.view(), Axis(axis), Some(2));
        assert!((given.expect("valid arguments") / expected - 1.0).abs() < 1e-6);
    }
}

#[test]
fn class_indices_of_every_integer_type_are_taken() {
    let logits = random(&[5, 4], 3.0, 2);
    let expected = logitkit::accuracy(
        logits.view(),
        arr1(&[0_i64, 1, 2, 3, 0]).view(),
        1,
        Axis(1),
        None,
    );
    macro_rules! same {
        ($($type:ty)*) => {$(
            let targets = arr1::<$type>(&[0, 1, 2, 3, 0]);
            let targets = Targets::from(targets.view());
            assert_eq!(logitkit::accuracy(logits.view(), targets, 1, Axis(1), None), expected);
        )*};
    }
    same!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);
}

#[test]
fn linear_is_a_matrix_product_with_a_bias() {
    let x = arr2(&[[1.0_f32, 2.0, 3.0], [0.5, 0.0, -1.0]]);
    let weight = arr2(&[[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]]);
    let bias = arr1(&[10.0, 20.0]);
    let given = logitkit::linear(x.view(), weight.view(), Some(bias.view()));
    assert_eq!(given, Ok(arr2(&[[17.0, 19.0], [8.5, 21.0]])));
    let given = logitkit::linear(x.row(0), weight.view(), None);
    assert_eq!(given, Ok(arr1(&[7.0, -1.0])));
    let batch = random(&[2, 3, 4, 3], 2.0, 1);
    let weight = random(&[5, 3], 2.0, 2)
        .into_dimensionality::<Ix2>()
        .expect("two dimensions");
    let given = logitkit::linear(batch.view(), weight.view(), None).expect("valid arguments");
    assert_eq!(given.shape(), [2, 3, 4, 5]);
    for (index, &value) in given.indexed_iter() {
        let at = |feature| batch[IxDyn(&[index[0], index[1], index[2], feature])];
        let expected: f64 = (0..3).map(|f| at(f) * weight[[index[3], f]]).sum();
        assert!((value - expected).abs() < 1e-14);
    }
}
