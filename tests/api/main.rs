//! The public API against a naive `f64` reference that shares no code with the crate.
//!
//! One test binary: every binary compiles all kernels for all instruction sets anew. What needs a
//! process of its own stands beside this directory.

mod common;
mod errors;
mod layouts;
mod losses;
mod properties;
mod softmax;
mod specials;
mod threads;
