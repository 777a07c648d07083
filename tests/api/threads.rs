//! The same bits for any number of threads.

use logitkit::{BinaryCrossEntropyWithLogits, CrossEntropy, Reduction, Targets};
use ndarray::{ArrayD, Axis};
use rayon::ThreadPoolBuilder;

use crate::common::{Element, cast, random, random_classes, random_probs, without};
use crate::softmax::{both_types, element_functions, row_functions};

/// Large enough for several grains: many short rows, a few long ones, and one.
const SHAPES: [(&[usize], usize); 4] = [
    (&[30_011, 10], 1),
    (&[10, 30_011], 0),
    (&[5, 40_009], 1),
    (&[1, 200_003], 1),
];

fn bits<T: Element>(array: &ArrayD<T>) -> impl Iterator<Item = u64> {
    array.iter().map(|&x| Element::bits(x))
}

/// The bits of everything that a shape can be put through.
fn everything<T: Element>(shape: &[usize], axis: usize) -> Vec<u64> {
    let rows = without(shape, axis);
    let x = cast::<T, _>(&random(shape, 6.0, 1));
    let soft = cast::<T, _>(&random_probs(shape, axis, 2));
    let classes = random_classes(&rows, shape[axis], 3);
    let weights = random(&rows, 0.5, 4) + 1.0;
    let axis = Axis(axis);
    let mut all = Vec::new();
    for (_, function, ..) in row_functions::<T>() {
        all.extend(bits(&function(x.view(), axis).expect("valid arguments")));
    }
    for (_, function, ..) in element_functions::<T>() {
        all.extend(bits(&function(x.view()).expect("valid arguments")));
    }
    all.extend(bits(
        &logitkit::logsumexp(x.view(), axis).expect("valid arguments"),
    ));
    let (values, indices) = logitkit::top_k(x.view(), 3, axis).expect("valid arguments");
    all.extend(bits(&values));
    all.extend(indices.iter().map(|&class| class as u64));
    let perplexity = logitkit::perplexity(x.view(), classes.view(), axis, None);
    all.push(perplexity.expect("valid arguments").to_bits());
    for reduction in [Reduction::None, Reduction::Mean, Reduction::Sum] {
        let loss = CrossEntropy::new()
            .reduction(reduction)
            .sample_weight(weights.view());
        let targets = [
            Targets::from(classes.view()),
            Targets::Probabilities(soft.view()),
        ];
        let mut results = targets
            .map(|targets| {
                loss.loss_and_grad(x.view(), targets, axis)
                    .expect("valid arguments")
            })
            .to_vec();
        let loss = BinaryCrossEntropyWithLogits::new().reduction(reduction);
        results.push(
            loss.loss_and_grad(x.view(), soft.view())
                .expect("valid arguments"),
        );
        for (loss, gradient) in results {
            all.extend(bits(&gradient));
            match loss {
                logitkit::Loss::Reduced(loss) => all.push(Element::bits(loss)),
                logitkit::Loss::Unreduced(losses) => all.extend(bits(&losses)),
            }
        }
    }
    all
}

both_types! {
    threads_do_not_show_in_results => threads;
}

fn threads<T: Element>() {
    for (shape, axis) in SHAPES {
        let results = [1, 2, 3, 7].map(|threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads")
                .install(|| everything::<T>(shape, axis))
        });
        let [one, rest @ ..] = &results;
        assert!(
            rest.iter().all(|result| result == one),
            "{shape:?} axis {axis}"
        );
    }
}
