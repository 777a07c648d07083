//! Hostile input, drawn at random: every public function with any shapes, strides, types, targets and
//! options. A call gives a right result or an error, writes nothing beside its output and never
//! panics.
//!
//! `make fuzz` runs it for longer, from the seed `FUZZ_SEED` and for `FUZZ_SECONDS`. Each call is drawn
//! from the seed and its own number, and `FUZZ_CALL` repeats one. The arrays are drawn, and laid out
//! in memory, in `fuzz/draw.rs`.

#[path = "fuzz/draw.rs"]
mod draw;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use draw::{Arrays, Random, Seen, arrays};
use half::{bf16, f16};
use logitkit::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, CategoricalCrossEntropy, CrossEntropy,
    Element, Float, Loss, NllLoss, Reduction, Result, Targets, accuracy, linear, log_sigmoid,
    log_sigmoid_in_place, log_sigmoid_into, log_softmax, log_softmax_in_place, log_softmax_into,
    log_softmax_vjp, log_softmax_vjp_into, logsumexp, perplexity, sigmoid, sigmoid_in_place,
    sigmoid_into, softmax, softmax_in_place, softmax_into, softmax_vjp, softmax_vjp_into, softplus,
    softplus_in_place, softplus_into, top_k,
};
use ndarray::{Array1, ArrayD, ArrayView1, ArrayViewD, ArrayViewMutD, Axis, Ix1, Ix2};

/// Seconds that a call may take: it takes milliseconds.
const PATIENCE: u64 = 60;

/// What is no array.
#[derive(Clone, Debug)]
struct Options {
    function: usize,
    axis: usize,
    k: usize,
    /// Which type indices are of; `None` for probabilities.
    width: Option<usize>,
    weighted: bool,
    sample_weighted: bool,
    ignore_index: Option<i64>,
    numbers: [f64; 2],
    reduction: Reduction,
    in_place: bool,
}

impl Options {
    fn drawn(random: &mut Random, dimensions: usize) -> Self {
        const NUMBERS: [f64; 10] = [
            0.0,
            0.0,
            0.1,
            0.25,
            1.0,
            -0.1,
            1.5,
            f64::NAN,
            f64::INFINITY,
            1e-300,
        ];
        let out_of_range = random.chance(0.03);
        Self {
            function: random.below(FUNCTIONS),
            axis: random.below(dimensions.max(1)) + if out_of_range { dimensions } else { 0 },
            k: *random.pick(&[0, 1, 1, 2, 3, 5, 40, usize::MAX]),
            width: Some(random.below(9)).filter(|&width| width < 5),
            weighted: random.chance(0.3),
            sample_weighted: random.chance(0.3),
            ignore_index: *random.pick(&[None, None, Some(1), Some(-100), Some(i64::MIN)]),
            numbers: [*random.pick(&NUMBERS), *random.pick(&NUMBERS)],
            reduction: *random.pick(&[Reduction::Mean, Reduction::Sum, Reduction::None]),
            in_place: random.chance(0.3),
        }
    }
}

/// The arrays of a call, as they are seen.
struct Views<'a, T> {
    x: ArrayViewD<'a, T>,
    other: ArrayViewD<'a, T>,
    indices: ArrayViewD<'a, i64>,
    sample_weight: ArrayViewD<'a, f64>,
    class_weight: ArrayView1<'a, T>,
}

/// What a call gave: arrays of numbers, the one that was written to `out` last.
type Outcome = Result<Vec<ArrayD<f64>>>;

fn numbers<T: Element>(array: &ArrayD<T>) -> ArrayD<f64> {
    array.mapv(Element::to_f64)
}

fn of_loss<T: Float>(loss: Loss<T>) -> ArrayD<f64> {
    match loss {
        Loss::Reduced(loss) => ndarray::arr0(loss.to_f64()).into_dyn(),
        Loss::Unreduced(losses) => losses.mapv(Element::to_f64),
    }
}

/// Targets of either kind, and of any integers.
fn targets<'a, T>(views: &Views<'a, T>, options: &Options) -> Targets<'a, T>
where
    T: Element,
    ArrayViewD<'a, T>: Into<Targets<'a, T>>,
{
    fn owned<'a, T, I>(indices: &ArrayViewD<'a, i64>, to: impl Fn(i64) -> I) -> Targets<'a, T>
    where
        I: logitkit::ClassIndex,
    {
        let integers = indices.mapv(to);
        match Targets::<T>::from(integers.view()) {
            Targets::Indices(array) => Targets::Indices(array.into_owned().into()),
            _ => unreachable!("integers are indices"),
        }
    }
    let indices = &views.indices;
    match options.width {
        None => views.other.clone().into(),
        Some(0) => owned(indices, |index| index as u8),
        Some(1) => owned(indices, |index| index as i32),
        Some(2) => owned(indices, |index| index as u64),
        Some(3) => owned(indices, |index| index as usize),
        Some(_) => indices.clone().into(),
    }
}

/// A function of one array in its three forms.
macro_rules! map {
    ($call:expr, $into:expr, $in_place:expr, $views:expr, $options:expr, $out:expr) => {
        match $out {
            None => $call.map(|result| vec![numbers(&result)]),
            Some(mut out) if $options.in_place && out.shape() == $views.x.shape() => {
                out.assign(&$views.x);
                $in_place(out).map(|()| vec![])
            }
            Some(out) => $into(out).map(|()| vec![]),
        }
    };
}

/// A loss in its three forms.
macro_rules! loss {
    ($loss:expr, $reads:expr, $options:expr, $out:expr, ($($arguments:expr),*)) => {{
        let loss = $loss.reduction($options.reduction);
        match $out {
            None if $reads => loss.loss($($arguments),*).map(|loss| vec![of_loss(loss)]),
            None => {
                let found = loss.loss_and_grad($($arguments),*);
                found.map(|(loss, grad)| vec![of_loss(loss), numbers(&grad)])
            }
            Some(out) => {
                let loss = loss.loss_and_grad_into($($arguments),*, out);
                loss.map(|loss| vec![of_loss(loss)])
            }
        }
    }};
}

/// A loss over classes with its options.
macro_rules! class_loss {
    ($loss:expr, $reads:expr, $views:expr, $options:expr, $out:expr) => {{
        let mut loss = $loss;
        if $options.weighted {
            loss = loss.weight($views.class_weight);
        }
        if $options.sample_weighted {
            loss = loss.sample_weight($views.sample_weight.view());
        }
        if let Some(index) = $options.ignore_index {
            loss = loss.ignore_index(index);
        }
        let arguments = targets($views, $options);
        loss!(
            loss,
            $reads,
            $options,
            $out,
            ($views.x.view(), arguments.clone(), Axis($options.axis))
        )
    }};
}

const FUNCTIONS: usize = 22;

/// Whether a function writes to an array of the caller.
fn has_out(function: usize) -> bool {
    function < 12
}

/// Calls [`linear`], if there is a matrix for it.
fn layer<T: Element>(views: &Views<'_, T>, options: &Options) -> Outcome {
    let (x, other) = (views.x.view(), views.other.view());
    let weight = other.into_dimensionality::<Ix2>().ok();
    // As many outputs as there are rows may take gigabytes.
    let Some(weight) = weight.filter(|w| w.nrows() <= 1 << 10 || x.is_empty()) else {
        return Ok(vec![]);
    };
    let bias = options.weighted.then_some(views.class_weight);
    linear(x, weight, bias).map(|result| vec![numbers(&result)])
}

/// Makes a call.
fn call<'a, T>(
    views: &Views<'a, T>,
    options: &Options,
    out: Option<ArrayViewMutD<'_, T>>,
) -> Outcome
where
    T: Element,
    ArrayViewD<'a, T>: Into<Targets<'a, T>>,
{
    let (x, other, axis) = (views.x.view(), views.other.view(), Axis(options.axis));
    let [first, second] = options.numbers;
    match options.function {
        0 => map!(
            softmax(x.view(), axis),
            |out| softmax_into(x.view(), axis, out),
            |out| softmax_in_place(out, axis),
            views,
            options,
            out
        ),
        1 => map!(
            log_softmax(x.view(), axis),
            |out| log_softmax_into(x.view(), axis, out),
            |out| log_softmax_in_place(out, axis),
            views,
            options,
            out
        ),
        2 => map!(
            sigmoid(x.view()),
            |out| sigmoid_into(x.view(), out),
            sigmoid_in_place,
            views,
            options,
            out
        ),
        3 => map!(
            log_sigmoid(x.view()),
            |out| log_sigmoid_into(x.view(), out),
            log_sigmoid_in_place,
            views,
            options,
            out
        ),
        4 => map!(
            softplus(x.view()),
            |out| softplus_into(x.view(), out),
            softplus_in_place,
            views,
            options,
            out
        ),
        5 => match out {
            None => softmax_vjp(x, other, axis).map(|result| vec![numbers(&result)]),
            Some(out) => softmax_vjp_into(x, other, axis, out).map(|()| vec![]),
        },
        6 => match out {
            None => log_softmax_vjp(x, other, axis).map(|result| vec![numbers(&result)]),
            Some(out) => log_softmax_vjp_into(x, other, axis, out).map(|()| vec![]),
        },
        function @ (7 | 12) => {
            let loss = CrossEntropy::new().label_smoothing(first).z_loss(second);
            class_loss!(loss, function == 12, views, options, out)
        }
        function @ (8 | 13) => {
            class_loss!(NllLoss::new(), function == 13, views, options, out)
        }
        function @ (9 | 14) => {
            let loss = CategoricalCrossEntropy::new().eps(first);
            class_loss!(loss, function == 14, views, options, out)
        }
        function @ (10 | 15) => {
            let mut loss = BinaryCrossEntropyWithLogits::new();
            if options.weighted {
                loss = loss.weight(views.class_weight);
            }
            if options.sample_weighted {
                loss = loss.pos_weight(views.other.view());
            }
            loss!(loss, function == 15, options, out, (x.view(), other.view()))
        }
        function @ (11 | 16) => {
            let mut loss = BinaryCrossEntropy::new().eps(first);
            if options.weighted {
                loss = loss.weight(views.class_weight);
            }
            loss!(loss, function == 16, options, out, (x.view(), other.view()))
        }
        17 => logsumexp(x, axis).map(|result| vec![result.mapv(Element::to_f64)]),
        18 => top_k(x, options.k, axis)
            .map(|(values, indices)| vec![numbers(&values), indices.mapv(|index| index as f64)]),
        19 => accuracy(
            x,
            targets(views, options),
            options.k,
            axis,
            options.ignore_index,
        )
        .map(|share| vec![ndarray::arr0(share).into_dyn()]),
        20 => perplexity(x, targets(views, options), axis, options.ignore_index)
            .map(|value| vec![ndarray::arr0(value).into_dyn()]),
        _ => layer(views, options),
    }
}

/// About the same numbers: the bounds in ulp are tested elsewhere, here a wrong element is looked for.
fn assert_near(got: &ArrayD<f64>, want: &ArrayD<f64>) {
    assert_eq!(got.shape(), want.shape());
    let finite = want.iter().filter(|x| x.is_finite());
    let largest = finite.fold(0.0, |largest: f64, x| largest.max(x.abs()));
    for (&x, &y) in got.iter().zip(want) {
        let same = x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
        let near = (x - y).abs() <= 0.02 * y.abs() + 1e-5 * largest;
        assert!(same || near, "{x} where the same numbers in order give {y}");
    }
}

/// Draws a call, makes it and checks what came of it; whether it was a result.
fn check<T>(random: &mut Random) -> bool
where
    T: Element,
    for<'a> ArrayViewD<'a, T>: Into<Targets<'a, T>>,
{
    let Arrays {
        axis,
        x,
        other,
        indices,
        sample_weight,
        class_weight,
        out,
    } = arrays::<T>(random);
    let mut options = Options::drawn(random, x.shape().len());
    if random.chance(0.9) && axis < x.shape().len() {
        options.axis = axis;
    }
    let views = Views {
        x: x.view(),
        other: other.view(),
        indices: indices.view(),
        sample_weight: sample_weight.view(),
        class_weight: class_weight
            .view()
            .into_dimensionality::<Ix1>()
            .expect("1-d"),
    };
    let told = Told(format!(
        "{options:?}\n{} x {x}, other {other}, indices {indices}, sample_weight {sample_weight}, \
         class_weight {class_weight}, out {out}",
        T::NAME
    ));
    let uses_out = has_out(options.function) && random.chance(0.7);
    let mut written: Seen<T> = out.clone();
    let outcome = call(&views, &options, uses_out.then(|| written.view_mut()));
    let result = match outcome {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let untouched = if options.in_place && uses_out && options.function < 5 {
                written.same_beside(&out) // the input was written there
            } else {
                written.same(&out)
            };
            assert!(untouched, "out was written to in spite of: {error}");
            false
        }
        Ok(mut results) => {
            assert!(
                written.same_beside(&out),
                "something beside out was written to"
            );
            if uses_out {
                results.push(numbers(&written.view().to_owned()));
            }
            let class_weight = Array1::from_iter(views.class_weight.iter().copied());
            let [x, other] = [&views.x, &views.other].map(in_order);
            let (indices, sample_weight) =
                (in_order(&views.indices), in_order(&views.sample_weight));
            let tidy = Views {
                x: x.view(),
                other: other.view(),
                indices: indices.view(),
                sample_weight: sample_weight.view(),
                class_weight: class_weight.view(),
            };
            let want = call(&tidy, &options, None).expect("the same numbers are accepted");
            assert_eq!(results.len(), want.len());
            results
                .iter()
                .zip(&want)
                .for_each(|(got, want)| assert_near(got, want));
            true
        }
    };
    drop(told);
    result
}

fn in_order<T: Copy>(view: &ArrayViewD<'_, T>) -> ArrayD<T> {
    let elements = view.iter().copied().collect();
    ArrayD::from_shape_vec(view.raw_dim(), elements).expect("as many elements")
}

/// Tells what the call was if it panics.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Makes the call of a number.
fn make(seed: u64, number: u64) -> bool {
    let _told = Told(format!(
        "Repeat it with FUZZ_SEED={seed} FUZZ_CALL={number}"
    ));
    let mut random = Random::new(seed, number);
    match random.below(4) {
        0 => check::<f16>(&mut random),
        1 => check::<bf16>(&mut random),
        2 => check::<f32>(&mut random),
        _ => check::<f64>(&mut random),
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is {value:?}, expected a number")),
    )
}

/// Ends the process if a call takes forever.
fn watch(seed: u64, number: &Arc<AtomicU64>) {
    let number = Arc::clone(number);
    std::thread::spawn(move || {
        loop {
            let before = number.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(PATIENCE));
            if number.load(Ordering::Relaxed) == before {
                eprintln!("a call hangs: repeat it with FUZZ_SEED={seed} FUZZ_CALL={before}");
                std::process::exit(1);
            }
        }
    });
}

#[test]
fn some_calls() {
    let results = (0..2000).filter(|&number| make(0, number)).count();
    assert!(
        (500..1900).contains(&results),
        "{results} of 2000 calls gave a result"
    );
}

// What was found

#[test]
fn rows_without_classes_are_not_counted() {
    let x = ArrayD::<f32>::zeros(vec![0, 1 << 30, 1 << 30]);
    assert_eq!(
        softmax(x.view(), Axis(0)).expect("empty").shape(),
        x.shape()
    );
    assert_eq!(sigmoid(x.view()).expect("empty").shape(), x.shape());
    assert_eq!(
        softmax_vjp(x.view(), x.view(), Axis(0))
            .expect("empty")
            .shape(),
        x.shape()
    );
    assert_eq!(
        top_k(x.view(), 0, Axis(0)).expect("empty").0.shape(),
        x.shape()
    );
    let turned = x.permuted_axes(vec![1, 0, 2]);
    assert_eq!(
        softplus(turned.view()).expect("empty").shape(),
        turned.shape()
    );
}

#[test]
fn results_that_no_memory_holds_are_errors() {
    fn assert_refused<T>(result: Result<T>) {
        assert!(matches!(result, Err(logitkit::Error::Memory { .. })));
    }
    let one = ndarray::arr0(0.5_f64);
    let x = one
        .broadcast((1 << 57, 3))
        .expect("zeros strides take no memory");
    assert_refused(softmax(x, Axis(1)));
    assert_refused(log_softmax(x, Axis(0)));
    assert_refused(sigmoid(x));
    assert_refused(softmax_vjp(x, x, Axis(1)));
    assert_refused(log_softmax_vjp(x, x, Axis(1)));
    assert_refused(top_k(x, 1, Axis(1)));
    assert_refused(BinaryCrossEntropy::new().loss_and_grad(x, x));
    assert_refused(BinaryCrossEntropyWithLogits::new().loss_and_grad(x, x));
    let index = ndarray::arr0(0_i64);
    let targets = index.broadcast(1 << 57).expect("the same");
    assert_refused(CrossEntropy::new().loss_and_grad(x, targets, Axis(1)));
    let layer = ndarray::Array2::zeros((3, 3));
    assert_refused(linear(x, layer.view(), None));
    let (many, layer) = (
        ndarray::Array2::<f32>::zeros((1 << 40, 0)),
        ndarray::Array2::zeros((3, 0)),
    );
    assert_refused(linear(many.view(), layer.view(), None));
    let nothing = ndarray::Array3::<f32>::zeros((0, 1 << 40, 0));
    let layer = ndarray::Array2::zeros((1 << 40, 0));
    assert_refused(linear(nothing.view(), layer.view(), None));
}

#[test]
#[ignore = "takes as long as it is told to: `make fuzz`"]
fn calls_for_some_time() {
    let seed = from_environment("FUZZ_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::from(now.map_or(0, |now| now.subsec_nanos()))
    });
    if let Some(number) = from_environment("FUZZ_CALL") {
        make(seed, number);
        return;
    }
    let seconds = from_environment("FUZZ_SECONDS").unwrap_or(20);
    println!("seed {seed}, {seconds} seconds");
    let end = Instant::now() + Duration::from_secs(seconds);
    let current = Arc::new(AtomicU64::new(0));
    watch(seed, &current);
    let (mut number, mut results) = (0, 0_u64);
    while Instant::now() < end {
        current.store(number, Ordering::Relaxed);
        results += u64::from(make(seed, number));
        number += 1;
    }
    println!("{number} calls, {results} of them with a result");
}
