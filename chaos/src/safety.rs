//! Which scenario fails without which safety, and what is said of it then: a check that cannot fail proves nothing, nor does one
//! that fails for another reason.
//!
//! Played by `chaos-safeties`, in a build with the feature `unsafe-switches`.

use ergate_shared::safety::Safety;

/// What shows that a safety is needed.
#[derive(Debug, Clone, Copy)]
pub struct Proof {
    /// The scenario that fails without it.
    pub scenario: &'static str,
    /// What one of its breaches says then.
    pub words: &'static str,
}

impl Proof {
    /// The first breach that says so.
    pub fn among<'a>(&self, breaches: &'a [String]) -> Option<&'a str> {
        breaches.iter().map(String::as_str).find(|breach| breach.contains(self.words))
    }
}

/// What shows that this safety is needed.
pub const fn proof_of(safety: Safety) -> Proof {
    const NOT_DONE: &str = "not all was done within";
    let (scenario, words) = match safety {
        Safety::CountCheck => ("lease-reply-lost", NOT_DONE),
        Safety::TokenCheck => ("lease-outlived", "although its lease was lost"),
        Safety::Reaper => ("killed-at-work", NOT_DONE),
        Safety::Reconciler => ("state-damaged", "nobody repaired jobs that were in no state"),
        Safety::EpochCheck => ("data-replaced", "a worker did not notice that Redis has another data set"),
        // How often a job began, where Redis has counted no reason to begin it again.
        Safety::EnqueueOnce => ("enqueue-reply-lost", "times, with"),
        Safety::LookBack => ("event-ahead", NOT_DONE),
    };
    Proof { scenario, words }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[test]
    fn every_safety_has_a_scenario_that_needs_it() {
        for safety in Safety::ALL {
            let name = proof_of(safety).scenario;
            assert!(scenario::all().iter().any(|scenario| scenario.name == name), "{name}");
        }
    }

    #[test]
    fn what_a_breach_must_say_is_what_verdicts_and_faults_say() {
        let said = [
            include_str!("verdict/kept.rs"),
            include_str!("verdict/again.rs"),
            include_str!("fault/needed.rs"),
        ];
        for safety in Safety::ALL {
            let words = proof_of(safety).words;
            assert!(said.iter().any(|source| source.contains(words)), "{words}");
        }
    }

    #[test]
    fn a_failure_for_another_reason_shows_nothing() {
        let another = "fault: reply to an enqueue lost: the runtime is shutting down".to_owned();
        let wanted = "plain 01M8 began 2 times, with Tries { failures: 0 }".to_owned();
        let proof = proof_of(Safety::EnqueueOnce);

        assert_eq!(proof.among(std::slice::from_ref(&another)), None);
        assert_eq!(proof.among(&[another, wanted.clone()]), Some(wanted.as_str()));
    }
}
