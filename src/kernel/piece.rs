//! Rows so long that threads share one: its normaliser is summed up from pieces, and its result is
//! written in pieces.

use fearless_simd::Simd;

use super::lane::Lane;
use super::normalizer::Normalizer;
use super::tile::TileKernel;
use crate::float::Float;

/// A kernel that also works on pieces of a row.
pub(crate) trait PieceKernel<T: Float>: TileKernel<T> {
    /// What is known of a row before its pieces are written.
    type Row: Copy + Sync;

    /// Whether a piece is made of exponentials: then it is better to keep those of the row's sum, where
    /// a thread has the row for itself.
    const WRITES_EXPONENTIALS: bool;

    /// Adds what the row adds; `logit` gives its elements.
    fn start<S: Simd>(
        &self,
        simd: S,
        row: usize,
        normalizer: &Normalizer<T>,
        logit: impl Fn(usize) -> T,
        total: &mut Self::Total,
    ) -> Self::Row;

    /// Writes the piece of the row that begins with class `first`, if the kernel writes.
    /// Implementations are `#[inline(always)]`.
    fn piece<S: Simd>(&self, simd: S, row: &Self::Row, first: usize, lane: &mut Lane<'_, T, 1>);
}
