//! Tiles of any number of classes, against the definition, and nothing touched behind them.

use fearless_simd::Simd;

use super::Tested;
use crate::float::Float;
use crate::simd::level::Instructions;
use crate::simd::transpose::{ROWS, to_columns, to_rows};
use crate::simd::{Task, dispatch};

struct ThereAndBack<'a, T> {
    rows: &'a [T],
    columns: &'a mut [T],
    back: &'a mut [T],
}

impl<T: Float> Task for ThereAndBack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        to_columns(simd, self.rows, self.columns);
        to_rows(simd, self.columns, self.back);
    }
}

fn tiles<T: Tested>() {
    let guard = T::from_f64(-1.0);
    for level in Instructions::available() {
        for classes in (1..=9).chain([17, 128]) {
            let len = ROWS * classes;
            let whole = len + 4;
            let rows: Vec<T> = (0..whole).map(|i| T::from_f64(i as f64)).collect();
            let mut columns = vec![guard; len];
            let mut back = vec![guard; whole];
            let task = ThereAndBack {
                rows: &rows,
                columns: &mut columns,
                back: &mut back,
            };
            dispatch(level, task);
            for (i, &x) in columns.iter().enumerate() {
                let (class, row) = (i / ROWS, i % ROWS);
                assert_eq!(x, rows[row * classes + class], "{classes} classes, {i}");
            }
            assert_eq!(back[..len], rows[..len], "{classes} classes");
            assert_eq!(back[len..], [guard; 4], "{classes} classes");
        }
    }
}

#[test]
fn tiles_are_transposed_there_and_back() {
    tiles::<f32>();
    tiles::<f64>();
}
