//! The bits of results are recorded here: they are the same on every architecture, instruction set
//! and number of threads. That they are right is tested elsewhere.
//!
//! The numbers that go in are made of integers by exact arithmetic, so they are the same, too. Not
//! among the operations is `linear`: the order of its sums is that of `ndarray`.

use half::{bf16, f16};
use logitkit::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, CategoricalCrossEntropy, CrossEntropy,
    Element, Float, Loss, NllLoss, Reduction, log_sigmoid, log_softmax, log_softmax_vjp, logsumexp,
    perplexity, sigmoid, softmax, softmax_vjp, softplus, top_k,
};
use ndarray::{Array, Array1, Array2, ArrayView2, Axis, Dimension};

/// Digests of all results in f64, f32, f16 and bf16. A change that is meant to change bits changes
/// them: the failing test prints the new ones.
const RECORDED: [(&str, u64); 17] = [
    ("softmax", 0x3967_97eb_0ca7_0316),
    ("log_softmax", 0xd4d7_fb52_7de7_f365),
    ("logsumexp", 0x9f94_8863_f0b8_09c9),
    ("softmax_vjp", 0xec05_9b85_838b_a423),
    ("log_softmax_vjp", 0xa017_e7be_5adf_e751),
    ("sigmoid", 0x1e44_4f80_96ce_cb90),
    ("log_sigmoid", 0xee5a_87d6_3860_5ac0),
    ("softplus", 0xf8fd_0ecb_6502_da66),
    ("top_k", 0x6d6c_8c2b_430f_f205),
    ("perplexity", 0x7a88_6400_50e6_3fbb),
    ("cross_entropy", 0x0cc2_a1d1_8fd7_5b03),
    ("cross_entropy with options", 0xb84e_60ea_94c1_da91),
    ("nll_loss", 0x8c4c_9240_916f_9d22),
    ("cross_entropy of soft targets", 0xc353_e29f_51a7_55b1),
    ("categorical_cross_entropy", 0xdf7a_1476_5ab4_d500),
    ("binary_cross_entropy_with_logits", 0x376f_c175_f349_b8e9),
    ("binary_cross_entropy", 0xcb14_1b4a_0896_44b4),
];

/// Every tail of vectors of 4, 8 and 16 lanes, rows short and long, and enough of both for threads.
fn shapes() -> impl Iterator<Item = (usize, usize)> {
    let few_rows = (1..20).chain([31, 32, 33, 63, 64, 65, 1000, 4999]);
    let many_rows = [7, 8, 9, 15, 16, 17, 33, 20_000];
    few_rows
        .map(|classes| (3, classes))
        .chain(many_rows.map(|rows| (rows, 10)))
        // Two classes have a way of their own, and what is done for 20 depends on the instruction set.
        .chain([(70, 2), (70, 20)])
}

/// Numbers that depend on nothing but how many were drawn before.
struct Draws(u64);

impl Draws {
    /// A multiple of 2⁻³² in [0, 1).
    fn unit(&mut self) -> f64 {
        // The constants of Knuth's MMIX; the upper half of the state is the better one.
        let state = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = state.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as f64 / 4_294_967_296.0
    }

    /// A logit: mostly of the size that networks give, now and then one that takes another path.
    fn logit(&mut self) -> f64 {
        let logit = self.unit() * 40.0 - 20.0;
        match (self.unit() * 400.0) as u32 {
            0 => f64::NEG_INFINITY,
            1 => logit * 40.0,
            2 => -0.0,
            3 => logit / 1e40,
            4 if self.unit() < 0.05 => f64::NAN,
            5 if self.unit() < 0.05 => f64::INFINITY,
            _ => logit,
        }
    }

    fn array<T: Number>(
        &mut self,
        shape: (usize, usize),
        draw: impl Fn(&mut Self) -> f64,
    ) -> Array2<T> {
        Array2::from_shape_simple_fn(shape, || T::rounded(draw(self)))
    }
}

/// An element type that numbers can be rounded to: half precision by way of f32, for a direct way from
/// f64 rounds once on ARM and twice on x86-64.
trait Number: Element {
    fn rounded(value: f64) -> Self;
}

impl Number for f64 {
    fn rounded(value: f64) -> Self {
        value
    }
}

impl Number for f32 {
    fn rounded(value: f64) -> Self {
        value as Self
    }
}

impl Number for f16 {
    fn rounded(value: f64) -> Self {
        Self::from_f32(value as f32)
    }
}

impl Number for bf16 {
    fn rounded(value: f64) -> Self {
        Self::from_f32(value as f32)
    }
}

/// What the operations gave so far: a FNV-1a digest of each, in the order of their first results.
#[derive(Default)]
struct Digests(Vec<(&'static str, u64)>);

impl Digests {
    fn add<'v, T: Element>(&mut self, name: &'static str, values: impl IntoIterator<Item = &'v T>) {
        let place = self.0.iter().position(|(known, _)| *known == name);
        let place = place.unwrap_or_else(|| {
            self.0.push((name, 0xcbf2_9ce4_8422_2325));
            self.0.len() - 1
        });
        for value in values {
            // Exact, and one NaN for all NaNs: their bits are the machine's affair.
            let wide = value.to_f64();
            let bits = if wide.is_nan() {
                u64::MAX
            } else {
                wide.to_bits()
            };
            for byte in bits.to_le_bytes() {
                let digest = self.0[place].1 ^ u64::from(byte);
                self.0[place].1 = digest.wrapping_mul(0x0100_0000_01b3);
            }
        }
    }

    fn add_loss<C: Float, T: Element, D: Dimension>(
        &mut self,
        name: &'static str,
        (loss, grad): &(Loss<C>, Array<T, D>),
    ) {
        match loss {
            Loss::Reduced(value) => self.add(name, [value]),
            Loss::Unreduced(values) => self.add(name, values),
        }
        self.add(name, grad);
    }
}

fn true_classes((rows, classes): (usize, usize), draws: &mut Draws) -> Array1<i64> {
    Array1::from_shape_simple_fn(rows, || (draws.unit() * classes as f64) as i64)
}

/// The operations that take all element types.
fn of_rows<T: Number>(found: &mut Digests, logits: ArrayView2<'_, T>, draws: &mut Draws) {
    let (shape, axis) = (logits.dim(), Axis(1));
    let targets = true_classes(shape, draws);
    let cotangent = draws.array(shape, |draws| draws.unit() - 0.5);
    let weight = Array1::from_shape_simple_fn(shape.1, || T::rounded(draws.unit() + 0.5));
    let sample_weight = targets.mapv(|class| (class % 3) as f64);

    let probs = softmax(logits, axis).expect("valid");
    let log_probs = log_softmax(logits, axis).expect("valid");
    found.add("softmax", &probs);
    found.add("log_softmax", &log_probs);
    found.add("logsumexp", &logsumexp(logits, axis).expect("valid"));
    let vjp = softmax_vjp(probs.view(), cotangent.view(), axis);
    found.add("softmax_vjp", &vjp.expect("valid"));
    let vjp = log_softmax_vjp(log_probs.view(), cotangent.view(), axis);
    found.add("log_softmax_vjp", &vjp.expect("valid"));
    found.add("sigmoid", &sigmoid(logits).expect("valid"));
    found.add("log_sigmoid", &log_sigmoid(logits).expect("valid"));
    found.add("softplus", &softplus(logits).expect("valid"));
    let (values, _) = top_k(logits, shape.1.min(3), axis).expect("valid");
    found.add("top_k", &values);
    let value = perplexity(logits, targets.view(), axis, None).expect("valid");
    found.add("perplexity", [&value]);

    for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
        let plain = CrossEntropy::new().reduction(reduction);
        let both = plain.loss_and_grad(logits, targets.view(), axis);
        found.add_loss("cross_entropy", &both.expect("valid"));
        let smoothed = plain
            .weight(weight.view())
            .sample_weight(sample_weight.view())
            .ignore_index(1)
            .label_smoothing(0.1)
            .z_loss(0.01);
        let both = smoothed.loss_and_grad(logits, targets.view(), axis);
        found.add_loss("cross_entropy with options", &both.expect("valid"));
        let both = NllLoss::new()
            .reduction(reduction)
            .weight(weight.view())
            .loss_and_grad(log_probs.view(), targets.view(), axis);
        found.add_loss("nll_loss", &both.expect("valid"));
    }
}

/// Those that take the types that are computed with: probabilities as targets, and binary losses.
fn of_probabilities<T>(found: &mut Digests, logits: ArrayView2<'_, T>, draws: &mut Draws)
where
    T: Number + Float,
    for<'a> logitkit::Targets<'a, T>: From<ArrayView2<'a, T>>,
{
    let (shape, axis) = (logits.dim(), Axis(1));
    let targets = draws.array(shape, Draws::unit);
    let probs = draws.array(shape, Draws::unit);
    let weight = draws.array(shape, Draws::unit);
    for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
        let soft = CrossEntropy::new().reduction(reduction);
        let both = soft.loss_and_grad(logits, targets.view(), axis);
        found.add_loss("cross_entropy of soft targets", &both.expect("valid"));
        let both = CategoricalCrossEntropy::new()
            .reduction(reduction)
            .eps(1e-3)
            .loss_and_grad(probs.view(), targets.view(), axis);
        found.add_loss("categorical_cross_entropy", &both.expect("valid"));
        let both = BinaryCrossEntropyWithLogits::new()
            .reduction(reduction)
            .pos_weight(weight.view())
            .loss_and_grad(logits, targets.view());
        found.add_loss("binary_cross_entropy_with_logits", &both.expect("valid"));
        let both = BinaryCrossEntropy::new()
            .reduction(reduction)
            .weight(weight.view())
            .loss_and_grad(probs.view(), targets.view());
        found.add_loss("binary_cross_entropy", &both.expect("valid"));
    }
}

#[test]
fn results_have_the_recorded_bits() {
    let mut found = Digests::default();
    for shape in shapes() {
        let mut draws = Draws((shape.0 * 65_536 + shape.1) as u64);
        // Rows that are slices, and rows whose elements lie apart.
        for turned in [false, true] {
            let logits: Array2<f64> = if turned {
                let (rows, classes) = shape;
                draws.array((classes, rows), Draws::logit).reversed_axes()
            } else {
                draws.array(shape, Draws::logit)
            };
            of_rows(&mut found, logits.view(), &mut draws);
            of_probabilities(&mut found, logits.view(), &mut draws);
            let single = logits.mapv(<f32 as Number>::rounded);
            of_rows(&mut found, single.view(), &mut draws);
            of_probabilities(&mut found, single.view(), &mut draws);
            of_rows(&mut found, logits.mapv(f16::rounded).view(), &mut draws);
            of_rows(&mut found, logits.mapv(bf16::rounded).view(), &mut draws);
        }
    }
    assert!(
        found.0 == RECORDED,
        "on {}, the results of {:?} have other bits than recorded. All digests: {:#018x?}",
        logitkit::simd_level().expect("a level"),
        found
            .0
            .iter()
            .filter(|one| !RECORDED.contains(one))
            .map(|one| one.0)
            .collect::<Vec<_>>(),
        found.0,
    );
}
