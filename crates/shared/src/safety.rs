//! Safeties that a test may switch off, to see that something fails then: a check that cannot fail proves nothing.
//!
//! Only a build with the feature `unsafe-switches` can; in any other [`Safety::is_on`] is the constant `true`, and scripts are
//! what is under `lua/`. With it, the environment variable `ERGATE_UNSAFE_WITHOUT` names the one that is off, and every process
//! says so on standard error; and `ERGATE_UNSAFE_LUA` puts a mutant in the place of a script. It is for tests of Ergate itself and
//! nothing else: jobs are lost and doubled.

/// Something without which a fault would do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// A worker compares how many jobs it holds with what Redis says.
    CountCheck,
    /// Only the token a job was leased with settles it.
    TokenCheck,
    /// What a dead worker held is taken back.
    Reaper,
    /// States that must not exist are looked for and repaired.
    Reconciler,
    /// Workers notice that Redis has another data set.
    EpochCheck,
    /// An enqueue that is sent again is applied once.
    EnqueueOnce,
    /// A run that begins to wait for an event looks back for it.
    LookBack,
}

impl Safety {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::CountCheck,
        Self::TokenCheck,
        Self::Reaper,
        Self::Reconciler,
        Self::EpochCheck,
        Self::EnqueueOnce,
        Self::LookBack,
    ];

    /// Its name, as the environment variable has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CountCheck => "count-check",
            Self::TokenCheck => "token-check",
            Self::Reaper => "reaper",
            Self::Reconciler => "reconciler",
            Self::EpochCheck => "epoch-check",
            Self::EnqueueOnce => "enqueue-once",
            Self::LookBack => "look-back",
        }
    }

    /// Whether it is on.
    #[cfg(not(feature = "unsafe-switches"))]
    #[inline]
    pub const fn is_on(self) -> bool {
        true
    }
}

#[cfg(feature = "unsafe-switches")]
pub use switches::{SOURCE_VARIABLE, VARIABLE, edited, source};

#[cfg(any(test, feature = "unsafe-switches"))]
mod lines;
#[cfg(feature = "unsafe-switches")]
mod switches;
