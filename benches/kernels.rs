//! Nanoseconds per element of the kernels, on one thread and on arrays in a cache: what the
//! arithmetic costs. `benches/compare.py` measures large arrays, where memory is what costs.
//!
//! Each regime has one array that fits in an L1 cache beside its result and one that fits in an L2
//! cache; both are small enough to stay on the calling thread. `cargo bench -- few` picks some.

use std::hint::black_box;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logitkit::{BinaryCrossEntropyWithLogits, CrossEntropy};
use ndarray::{Array1, Array2, Axis};

type Shape = (usize, usize);

/// Where the classes are, and how many: the name, the shapes for L1 and L2, the axis.
const REGIMES: [(&str, [Shape; 2], usize); 4] = [
    ("few classes", [(400, 10), (4000, 10)], 1),
    ("rows", [(4, 1000), (40, 1000)], 1),
    ("long rows", [(1, 4000), (1, 40_000)], 1),
    ("axis not last", [(100, 40), (100, 400)], 0),
];

/// Elements for the functions that know no rows.
const ELEMENTS: [usize; 2] = [4000, 40_000];

/// Time in nanoseconds, and in place of a throughput the nanoseconds of one element.
struct PerElement(WallTime);

impl Measurement for PerElement {
    type Intermediate = <WallTime as Measurement>::Intermediate;
    type Value = <WallTime as Measurement>::Value;

    fn start(&self) -> Self::Intermediate {
        self.0.start()
    }

    fn end(&self, begun: Self::Intermediate) -> Self::Value {
        self.0.end(begun)
    }

    fn add(&self, left: &Self::Value, right: &Self::Value) -> Self::Value {
        self.0.add(left, right)
    }

    fn zero(&self) -> Self::Value {
        self.0.zero()
    }

    fn to_f64(&self, value: &Self::Value) -> f64 {
        self.0.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for PerElement {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        self.0.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(
        &self,
        typical: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        if let Throughput::Elements(count) = throughput {
            for value in values {
                *value /= *count as f64;
            }
            "ns/element"
        } else {
            let formatter = self.0.formatter();
            formatter.scale_throughputs(typical, throughput, values)
        }
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        self.0.formatter().scale_for_machines(values)
    }
}

type Bench = Criterion<PerElement>;

/// Logits from -5 to 5 that repeat after many classes.
fn logits((rows, columns): Shape) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        ((row * 31 + column * 17) % 1009) as f32 / 100.0 - 5.0
    })
}

/// Measures one operation in all regimes; `run` gets the logits, the classes, the axis and a place
/// for a result.
fn by_row(
    bench: &mut Bench,
    name: &str,
    mut run: impl FnMut(&Array2<f32>, &Array1<i64>, Axis, &mut Array2<f32>),
) {
    let mut group = bench.benchmark_group(name);
    for (regime, shapes, axis) in REGIMES {
        for shape in shapes {
            let (x, mut out) = (logits(shape), logits(shape));
            let (classes, rows) = (x.len_of(Axis(axis)), x.len_of(Axis(1 - axis)));
            let targets = Array1::from_shape_fn(rows, |row| (row * 7 % classes) as i64);
            group.throughput(Throughput::Elements(x.len() as u64));
            let id = BenchmarkId::new(regime, format!("{}x{}", shape.0, shape.1));
            group.bench_function(id, |bencher| {
                let (x, targets, out) = (black_box(&x), black_box(&targets), black_box(&mut out));
                bencher.iter(|| run(x, targets, Axis(axis), out));
            });
        }
    }
    group.finish();
}

/// Measures one operation on elements; `run` gets the logits, targets of 0 and 1, and a place.
fn by_element(
    bench: &mut Bench,
    name: &str,
    mut run: impl FnMut(&Array2<f32>, &Array2<f32>, &mut Array2<f32>),
) {
    let mut group = bench.benchmark_group(name);
    for count in ELEMENTS {
        let (x, mut out) = (logits((1, count)), logits((1, count)));
        let targets = Array2::from_shape_fn((1, count), |(_, element)| (element % 2) as f32);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("elements", count), |bencher| {
            let (x, targets, out) = (black_box(&x), black_box(&targets), black_box(&mut out));
            bencher.iter(|| run(x, targets, out));
        });
    }
    group.finish();
}

fn rows(bench: &mut Bench) {
    by_row(bench, "softmax", |x, _, axis, out| {
        logitkit::softmax_into(x.view(), axis, out.view_mut()).expect("valid arguments");
    });
    by_row(bench, "log_softmax", |x, _, axis, out| {
        logitkit::log_softmax_into(x.view(), axis, out.view_mut()).expect("valid arguments");
    });
    let loss = CrossEntropy::new();
    by_row(bench, "cross_entropy", |x, targets, axis, _| {
        let loss = loss.loss(x.view(), targets.view(), axis);
        black_box(loss).expect("valid arguments");
    });
    by_row(bench, "cross_entropy_and_grad", |x, targets, axis, out| {
        let loss = loss.loss_and_grad_into(x.view(), targets.view(), axis, out.view_mut());
        black_box(loss).expect("valid arguments");
    });
}

fn elements(bench: &mut Bench) {
    by_element(bench, "sigmoid", |x, _, out| {
        logitkit::sigmoid_into(x.view(), out.view_mut()).expect("valid arguments");
    });
    by_element(bench, "softplus", |x, _, out| {
        logitkit::softplus_into(x.view(), out.view_mut()).expect("valid arguments");
    });
    let loss = BinaryCrossEntropyWithLogits::new();
    by_element(bench, "binary_with_logits", |x, targets, _| {
        let loss = loss.loss(x.view(), targets.view());
        black_box(loss).expect("valid arguments");
    });
    by_element(bench, "binary_with_logits_and_grad", |x, targets, out| {
        let loss = loss.loss_and_grad_into(x.view(), targets.view(), out.view_mut());
        black_box(loss).expect("valid arguments");
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(PerElement(WallTime));
    targets = rows, elements
}
criterion_main!(benches);
