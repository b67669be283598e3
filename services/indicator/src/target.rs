//! Which instructions of the processor are used.

use std::sync::OnceLock;

use pulp::{Arch, WithSimd};

/// A set of instructions that the engine is compiled for. Numbers are the same with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// What every processor of the platform has.
    Baseline,
    /// x86-64-v3: registers of four numbers.
    Avx2,
    /// x86-64-v4: registers of eight.
    Avx512,
}

/// This processor lacks instructions, or another choice was made before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be chosen: the processor lacks it, or the choice was made before")]
pub struct TargetError(Target);

/// Made once for the whole process; the best one where nobody chooses.
static CHOICE: OnceLock<Arch> = OnceLock::new();

impl Target {
    /// What this processor can run, the slowest first.
    pub fn available() -> Vec<Self> {
        [Self::Baseline, Self::Avx2, Self::Avx512].into_iter().filter(|target| target.arch().is_some()).collect()
    }

    /// Uses these instructions from now on, in the whole process. For measurements: without, the best ones are used.
    ///
    /// # Errors
    /// When the processor lacks them, or when something was computed before.
    pub fn choose(self) -> Result<(), TargetError> {
        let arch = self.arch().ok_or(TargetError(self))?;
        CHOICE.set(arch).map_err(|_| TargetError(self))
    }

    fn arch(self) -> Option<Arch> {
        #[cfg(target_arch = "x86_64")]
        {
            use pulp::x86::{V3, V4};
            match self {
                Self::Baseline => Some(Arch::Scalar),
                Self::Avx2 => V3::try_new().map(Arch::V3),
                Self::Avx512 => V4::try_new().map(Arch::V4),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            (self == Self::Baseline).then(Arch::new)
        }
    }
}

/// Runs an operation with the best instructions, or the chosen ones.
#[inline(always)]
pub(crate) fn dispatch<O: WithSimd>(operation: O) -> O::Output {
    CHOICE.get_or_init(Arch::new).dispatch(operation)
}
