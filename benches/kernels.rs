//! Elements per second of the kernels, from a few classes to a vocabulary.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logitkit::CrossEntropy;
use ndarray::{Array1, Array2, Axis};

/// Rows and classes.
const SHAPES: [(usize, usize); 4] = [(1, 10), (4096, 10), (512, 1000), (32, 32_000)];

fn logits((rows, classes): (usize, usize)) -> Array2<f32> {
    Array2::from_shape_fn((rows, classes), |(row, class)| {
        ((row * 31 + class * 17) % 1009) as f32 / 100.0 - 5.0
    })
}

/// Measures one operation for all shapes; `run` gets the logits, the classes and a place for a result.
fn each_shape(
    criterion: &mut Criterion,
    name: &str,
    mut run: impl FnMut(&Array2<f32>, &Array1<i64>, &mut Array2<f32>),
) {
    let mut group = criterion.benchmark_group(name);
    for shape in SHAPES {
        let (rows, classes) = shape;
        let (x, mut out) = (logits(shape), logits(shape));
        let targets = Array1::from_shape_fn(rows, |row| (row * 7 % classes) as i64);
        group.throughput(Throughput::Elements((rows * classes) as u64));
        let id = BenchmarkId::from_parameter(format!("{rows}x{classes}"));
        group.bench_function(id, |bencher| {
            bencher.iter(|| run(black_box(&x), black_box(&targets), black_box(&mut out)));
        });
    }
    group.finish();
}

fn kernels(criterion: &mut Criterion) {
    each_shape(criterion, "softmax", |x, _, out| {
        logitkit::softmax_into(x.view(), Axis(1), out.view_mut()).expect("valid arguments");
    });
    each_shape(criterion, "sigmoid", |x, _, out| {
        logitkit::sigmoid_into(x.view(), out.view_mut()).expect("valid arguments");
    });
    let loss = CrossEntropy::new();
    each_shape(criterion, "cross_entropy", |x, targets, _| {
        let loss = loss.loss(x.view(), targets.view(), Axis(1));
        black_box(loss).expect("valid arguments");
    });
    each_shape(criterion, "cross_entropy_and_grad", |x, targets, out| {
        let loss = loss.loss_and_grad_into(x.view(), targets.view(), Axis(1), out.view_mut());
        black_box(loss).expect("valid arguments");
    });
}

criterion_group!(benches, kernels);
criterion_main!(benches);
