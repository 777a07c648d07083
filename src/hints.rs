//! What to write instead of an array of the wrong shape, where the shapes tell, as the end of an
//! error's message.

use crate::lanes::shape_without;

/// For an array that must have one shape. What is written to, and factors of a product, are no
/// matter of taking another view.
pub(crate) fn of_shape(name: &str, given: &[usize], expected: &[usize]) -> String {
    if matches!(name, "x" | "out" | "the array of the losses") {
        return String::new();
    }
    sentence(view(name, given, expected).or_else(|| spread(name, given, expected)))
}

/// For an array that must broadcast to a shape.
pub(crate) fn of_broadcast(name: &str, given: &[usize], expected: &[usize]) -> String {
    sentence(rewritten(name, given, expected.len(), |shape| {
        broadcasts(shape, expected)
    }))
}

/// For targets that are neither class indices nor probabilities.
pub(crate) fn of_targets(dtype: &str, targets: &[usize], logits: &[usize], axis: usize) -> String {
    if targets == shape_without(logits, axis) {
        return String::new();
    }
    let rewritten = view("targets", targets, logits)
        .or_else(|| view("targets", targets, &shape_without(logits, axis)))
        .or_else(|| {
            let is_float = dtype.contains("float");
            is_float
                .then(|| spread("targets", targets, logits))
                .flatten()
        });
    match rewritten {
        None => of_indices(targets, logits, axis),
        rewritten => sentence(rewritten),
    }
}

/// For targets that are no class indices.
pub(crate) fn of_indices(targets: &[usize], logits: &[usize], axis: usize) -> String {
    let indices = shape_without(logits, axis);
    if targets == indices {
        return String::new();
    }
    if let Some(view) = view("targets", targets, &indices) {
        return sentence(Some(view));
    }
    let other = (0..logits.len()).find(|&other| shape_without(logits, other) == targets);
    if let Some(other) = other {
        return format!("; if the classes are on axis {other}, pass axis={other}");
    }
    if (0..targets.len()).any(|axis| targets[axis] != 1 && shape_without(targets, axis) == logits) {
        return "; logits come first and targets second: are they swapped?".into();
    }
    sentence(spread("targets", targets, &indices))
}

/// For a target of -1 where there are two classes.
pub(crate) fn of_sign(name: &str, value: f64) -> &'static str {
    if name == "targets" && value == -1.0 {
        "; if targets are -1 and 1, write (targets + 1) / 2"
    } else {
        ""
    }
}

fn sentence(rewritten: Option<String>) -> String {
    rewritten.map_or_else(String::new, |rewritten| format!("; write {rewritten}"))
}

/// The array as a view of exactly this shape.
fn view(name: &str, given: &[usize], expected: &[usize]) -> Option<String> {
    rewritten(name, given, expected.len(), |shape| shape == expected)
}

/// The array as one whose elements are repeated.
fn spread(name: &str, given: &[usize], expected: &[usize]) -> Option<String> {
    broadcasts(given, expected).then(|| format!("np.broadcast_to({name}, {expected:?})"))
}

/// The array as another view of it that fits.
fn rewritten(
    name: &str,
    given: &[usize],
    dimensions: usize,
    fits: impl Fn(&[usize]) -> bool,
) -> Option<String> {
    match given {
        [rest @ .., 1] if fits(rest) => return Some(format!("{name}[..., 0]")),
        [1, rest @ ..] if fits(rest) => return Some(format!("{name}[0]")),
        _ => {}
    }
    let transposed: Vec<_> = given.iter().rev().copied().collect();
    if fits(&transposed) {
        return Some(format!("{name}.T"));
    }
    let mut longer = given.to_vec();
    longer.resize(dimensions.max(given.len()), 1);
    if fits(&longer) {
        let axes = ", None".repeat(dimensions - given.len());
        return Some(format!("{name}[...{axes}]"));
    }
    None
}

fn broadcasts(shape: &[usize], expected: &[usize]) -> bool {
    let mut trailing = shape.iter().rev().zip(expected.iter().rev());
    shape.len() <= expected.len() && trailing.all(|(&a, &b)| a == 1 || a == b)
}
