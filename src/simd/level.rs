//! Which instruction set runs: the best one of the machine, or a lower one by `LOGITKIT_SIMD`.

use std::sync::LazyLock;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use fearless_simd::Fallback;
use fearless_simd::{Level, Simd};

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
            "fallback" => Some(lowest()),
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
        let levels = NAMES
            .into_iter()
            .filter_map(|name| Self::named(name).map(|level| (name, level)));
        // Where vectors are the least that there is, `fallback` is another name of them.
        levels.filter_map(|(name, level)| (level.name() == name).then_some(level))
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

/// What every machine of this architecture has.
fn lowest() -> Level {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(sse2) = Level::new().as_sse2() {
        return sse2.level();
    }
    Level::baseline()
}

/// Runs a task with an instruction set.
///
/// Never inlined, so that a task is compiled once for each level and not at every call.
#[inline(never)]
pub(crate) fn dispatch<T: Task>(instructions: Instructions, task: T) -> T::Output {
    match instructions.0 {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Level::Avx512(simd) => vectorized(simd, task),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Level::Avx2(simd) => vectorized(simd, task),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Level::Sse4_2(simd) => vectorized(simd, task),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Level::Sse2(simd) => vectorized(simd, task),
        #[cfg(target_arch = "aarch64")]
        Level::Neon(simd) => vectorized(simd, task),
        // Scalar code takes minutes to compile: only where there may be machines without vectors.
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        _ => vectorized(Fallback::new(), task),
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        _ => unreachable!("every machine of this architecture has the vectors named above"),
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
