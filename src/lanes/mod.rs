//! The only place that knows axes, strides, scratch, splitting and rayon: it turns (views, axis,
//! kernel) into calls of the kernel, row by row or tile by tile.

mod numbers;
mod pieces;
pub(crate) mod run;
pub(crate) mod team;
#[cfg(test)]
mod tests;
pub(crate) mod tiles;
pub(crate) mod view;

pub(crate) use numbers::read_numbers;
#[cfg(feature = "python")]
pub(crate) use run::PARALLEL;
pub(crate) use run::{
    ValueKernel, read_blocks, read_rows, read_values, reserved, write_blocks, write_rows,
};
#[cfg(feature = "python")]
pub(crate) use team::{Helpers, with_helpers};
pub(crate) use tiles::{read_classes, write_classes};
pub(crate) use view::{Rows, View, ViewMut, check_shape, position};
