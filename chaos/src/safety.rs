//! Which scenario fails without which safety: a check that cannot fail proves nothing.
//!
//! Played by `chaos-safeties`, in a build with the feature `unsafe-switches`.

use ergate_shared::safety::Safety;

/// The scenario that needs this safety.
pub const fn scenario_of(safety: Safety) -> &'static str {
    match safety {
        Safety::CountCheck => "lease-reply-lost",
        Safety::TokenCheck => "lease-outlived",
        Safety::Reaper => "killed-at-work",
        Safety::Reconciler => "state-damaged",
        Safety::EpochCheck => "data-replaced",
        Safety::EnqueueOnce => "enqueue-reply-lost",
        Safety::LookBack => "event-ahead",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[test]
    fn every_safety_has_a_scenario_that_needs_it() {
        for safety in Safety::ALL {
            let name = scenario_of(safety);
            assert!(scenario::all().iter().any(|scenario| scenario.name == name), "{name}");
        }
    }
}
