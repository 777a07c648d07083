//! The only place that knows axes, strides, scratch, splitting and rayon: it turns (views, axis,
//! kernel) into calls of the kernel, row by row or tile by tile.

mod copied;
mod gather;
#[cfg(test)]
mod gather_tests;
mod numbers;
mod pieces;
pub(crate) mod rows;
pub(crate) mod run;
pub(crate) mod team;
#[cfg(test)]
mod tests;
pub(crate) mod tiles;
pub(crate) mod view;

pub(crate) use numbers::{find_number, read_numbers};
pub(crate) use rows::Rows;
#[cfg(feature = "python")]
pub(crate) use run::PARALLEL;
pub(crate) use run::{
    ValueKernel, check_memory, read_blocks, read_rows, read_values, reserved, write_blocks,
    write_rows, zeros,
};
#[cfg(feature = "python")]
pub(crate) use team::{Helpers, with_helpers};
#[cfg(feature = "python")]
pub(crate) use tiles::{Where, run_over};
pub(crate) use tiles::{read_classes, read_tiles, write_classes, write_tiles};
#[cfg(feature = "python")]
pub(crate) use view::Dims;
pub(crate) use view::{Outputs, Parts, View, ViewMut, check_shape, position, shape_without};
