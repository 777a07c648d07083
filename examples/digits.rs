//! Learn to read handwritten digits with this crate and `ndarray`.
//!
//! The same model as `digits.py`: one hidden layer and a fully connected layer that gives ten
//! logits, trained on small batches by gradient descent with momentum.
//!
//! Run `cargo run --release --example digits`. It takes less than a second once built.

use std::error::Error;

use logitkit::{CrossEntropy, accuracy, linear, perplexity};
use ndarray::{Array, Array1, Array2, Axis, Dimension};

/// See `data/README.md` for the source, the authors and the licence.
const DATA: &str = include_str!("data/digits.csv");
const PIXELS: usize = 64;
const CLASSES: usize = 10;
const HIDDEN: usize = 64;
const EPOCHS: usize = 30;
const BATCH: usize = 32;
const LEARNING_RATE: f32 = 0.1;
const MOMENTUM: f32 = 0.9;

/// Images, one per row with values from 0 to 1, and the digits they show.
struct Digits {
    images: Array2<f32>,
    labels: Array1<i64>,
}

impl Digits {
    /// Read the lines of the data whose number satisfies `keep`.
    fn load(keep: impl Fn(usize) -> bool) -> Result<Self, Box<dyn Error>> {
        let mut pixels = Vec::new();
        let mut labels = Vec::new();
        for (_, line) in DATA.lines().enumerate().filter(|&(number, _)| keep(number)) {
            let (image, label) = line.rsplit_once(',').ok_or("a line without a comma")?;
            for pixel in image.split(',') {
                pixels.push(pixel.parse::<f32>()? / 16.0);
            }
            labels.push(label.parse()?);
        }
        let images = Array2::from_shape_vec((labels.len(), PIXELS), pixels)?;
        Ok(Self {
            images,
            labels: labels.into(),
        })
    }

    /// How many images there are.
    fn len(&self) -> usize {
        self.labels.len()
    }

    /// The images at these places, in this order.
    fn select(&self, places: &[usize]) -> Self {
        Self {
            images: self.images.select(Axis(0), places),
            labels: self.labels.select(Axis(0), places),
        }
    }
}

/// Random numbers that are good enough for first weights and for shuffling (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number in [-1, 1).
    fn signed_unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    /// Weights spread evenly around 0 with this variance.
    fn weights(&mut self, shape: (usize, usize), variance: f32) -> Array2<f32> {
        let bound = (3.0 * variance).sqrt();
        Array2::from_shape_simple_fn(shape, || bound * self.signed_unit())
    }

    fn shuffle(&mut self, places: &mut [usize]) {
        for last in (1..places.len()).rev() {
            let other = (self.next() >> 32) as usize % (last + 1);
            places.swap(last, other);
        }
    }
}

/// The weights of two fully connected layers with a relu between them. Also used for whatever
/// has the same shape: their gradients and their velocities.
struct Network {
    w1: Array2<f32>,
    b1: Array1<f32>,
    w2: Array2<f32>,
    b2: Array1<f32>,
}

impl Network {
    fn random(random: &mut Random) -> Self {
        Self {
            w1: random.weights((HIDDEN, PIXELS), 2.0 / PIXELS as f32),
            b1: Array1::zeros(HIDDEN),
            w2: random.weights((CLASSES, HIDDEN), 1.0 / HIDDEN as f32),
            b2: Array1::zeros(CLASSES),
        }
    }

    fn zeros() -> Self {
        Self {
            w1: Array2::zeros((HIDDEN, PIXELS)),
            b1: Array1::zeros(HIDDEN),
            w2: Array2::zeros((CLASSES, HIDDEN)),
            b2: Array1::zeros(CLASSES),
        }
    }

    /// The hidden layer and the logits: ten scores per image.
    fn forward(&self, images: &Array2<f32>) -> logitkit::Result<(Array2<f32>, Array2<f32>)> {
        let mut hidden = linear(images.view(), self.w1.view(), Some(self.b1.view()))?;
        hidden.mapv_inplace(|signal| signal.max(0.0));
        let logits = linear(hidden.view(), self.w2.view(), Some(self.b2.view()))?;
        Ok((hidden, logits))
    }

    /// The mean loss and its gradient for each of the weights.
    fn loss_and_gradients(&self, batch: &Digits) -> logitkit::Result<(f32, Self)> {
        let (hidden, logits) = self.forward(&batch.images)?;
        let (loss, d_logits) =
            CrossEntropy::new().loss_and_grad(logits.view(), batch.labels.view(), Axis(1))?;
        let loss = loss.reduced().expect("a mean is one number");
        // The chain rule, backwards. relu passes the gradient on where it passed the signal on.
        let d_hidden = d_logits.dot(&self.w2) * hidden.mapv(|signal| f32::from(signal > 0.0));
        let gradients = Self {
            w1: d_hidden.t().dot(&batch.images),
            b1: d_hidden.sum_axis(Axis(0)),
            w2: d_logits.t().dot(&hidden),
            b2: d_logits.sum_axis(Axis(0)),
        };
        Ok((loss, gradients))
    }

    /// One step of gradient descent with momentum.
    fn step(&mut self, velocity: &mut Self, gradients: &Self) {
        descend(&mut self.w1, &mut velocity.w1, &gradients.w1);
        descend(&mut self.b1, &mut velocity.b1, &gradients.b1);
        descend(&mut self.w2, &mut velocity.w2, &gradients.w2);
        descend(&mut self.b2, &mut velocity.b2, &gradients.b2);
    }
}

/// The step for one array of weights.
fn descend<D: Dimension>(
    weight: &mut Array<f32, D>,
    velocity: &mut Array<f32, D>,
    gradient: &Array<f32, D>,
) {
    *velocity *= MOMENTUM;
    velocity.scaled_add(-LEARNING_RATE, gradient);
    *weight += &*velocity;
}

fn main() -> Result<(), Box<dyn Error>> {
    let training = Digits::load(|number| number % 4 != 0)?;
    let test = Digits::load(|number| number % 4 == 0)?;

    let mut random = Random(1);
    let mut network = Network::random(&mut random);
    let mut velocity = Network::zeros();
    let mut order: Vec<usize> = (0..training.len()).collect();
    for epoch in 1..=EPOCHS {
        random.shuffle(&mut order);
        let mut total = 0.0;
        for places in order.chunks(BATCH) {
            let (loss, gradients) = network.loss_and_gradients(&training.select(places))?;
            network.step(&mut velocity, &gradients);
            total += loss * places.len() as f32;
        }
        if epoch % 5 == 0 {
            eprintln!(
                "epoch {epoch}/{EPOCHS}  training loss {:.4}",
                total / training.len() as f32
            );
        }
    }

    let (_, logits) = network.forward(&test.images)?;
    let (logits, labels) = (logits.view(), test.labels.view());
    let top_1 = accuracy(logits, labels, 1, Axis(1), None)?;
    let top_3 = accuracy(logits, labels, 3, Axis(1), None)?;
    println!("test images     {}", test.len());
    println!("top-1 accuracy  {:.2} %", 100.0 * top_1);
    println!("top-3 accuracy  {:.2} %", 100.0 * top_3);
    println!(
        "perplexity      {:.4}",
        perplexity(logits, labels, Axis(1), None)?
    );
    if top_1 < 0.96 {
        return Err("fewer than 96 % of the test images were read right".into());
    }
    Ok(())
}
