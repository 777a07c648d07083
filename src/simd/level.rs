//! Which instruction set runs: the best one of the machine, or a lower one by `LOGITKIT_SIMD`.

use std::sync::LazyLock;

use fearless_simd::{Fallback, Level, Simd};

use crate::error::{Error, Result};

/// Work that is compiled once for every instruction set.
pub(crate) trait Task {
    type Output;

    /// Implementations are `#[inline(always)]`: the body must end up in the function that enables
    /// the instruction set.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// The names that `LOGITKIT_SIMD` takes, lowest first.
const NAMES: [&str; 5] = ["fallback", "sse4.2", "avx2", "avx512", "neon"];

/// An instruction set that the machine has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instructions(Level);

impl Instructions {
    /// The best one of the machine.
    pub(crate) fn best() -> Self {
        Self(Level::new())
    }

    /// The one of that name, if the machine has it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let best = Level::new();
        let level = match name {
            "fallback" => Some(Level::fallback()),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            "sse4.2" => best.as_sse4_2().map(Simd::level),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            "avx2" => best.as_avx2().map(Simd::level),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            "avx512" => best.as_avx512().map(Simd::level),
            #[cfg(target_arch = "aarch64")]
            "neon" => best.as_neon().map(Simd::level),
            _ => None,
        };
        level.map(Self)
    }

    /// All that the machine has, lowest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        NAMES.into_iter().filter_map(Self::named)
    }

    /// The name under which `LOGITKIT_SIMD` knows it.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Level::Avx512(_) => "avx512",
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Level::Avx2(_) => "avx2",
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Level::Sse4_2(_) => "sse4.2",
            #[cfg(target_arch = "aarch64")]
            Level::Neon(_) => "neon",
            _ => "fallback",
        }
    }
}

/// Runs a task with an instruction set. Levels below SSE4.2 share the portable code.
#[inline]
pub(crate) fn dispatch<T: Task>(instructions: Instructions, task: T) -> T::Output {
    match instructions.0 {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Level::Avx512(simd) => vectorized(simd, task),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Level::Avx2(simd) => vectorized(simd, task),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Level::Sse4_2(simd) => vectorized(simd, task),
        #[cfg(target_arch = "aarch64")]
        Level::Neon(simd) => vectorized(simd, task),
        _ => vectorized(Fallback::new(), task),
    }
}

#[inline(always)]
fn vectorized<S: Simd, T: Task>(simd: S, task: T) -> T::Output {
    simd.vectorize(
        #[inline(always)]
        || task.run(simd),
    )
}

/// The instruction set of this process: read once from `LOGITKIT_SIMD`, else the machine's best.
pub(crate) fn level() -> Result<Instructions> {
    static LEVEL: LazyLock<Result<Instructions>> = LazyLock::new(|| {
        let Some(value) = std::env::var_os("LOGITKIT_SIMD") else {
            return Ok(Instructions::best());
        };
        let name = value.to_string_lossy();
        Instructions::named(&name).ok_or_else(|| {
            let has: Vec<_> = Instructions::available().map(Instructions::name).collect();
            let fault = if NAMES.contains(&name.as_ref()) {
                "which this machine lacks"
            } else {
                "which is no instruction set that logitkit knows"
            };
            Error::SimdLevel(format!(
                "LOGITKIT_SIMD is {name:?}, {fault}; unset it, or set it to one of this machine's: {}",
                has.join(", ")
            ))
        })
    });
    match &*LEVEL {
        Ok(instructions) => Ok(*instructions),
        Err(error) => Err(error.clone()),
    }
}
