//! A failure in few words: what a handler says of its failure has no bound, an event has one.

use ergate_shared::FailureRecord;

/// The longest message, in bytes.
const LONGEST_MESSAGE: usize = 4096;
/// The longest message of an error below, in bytes.
const LONGEST_CAUSE: usize = 1024;
/// The most errors below.
const MOST_CAUSES: usize = 16;

/// The failure with its messages cut: 20 KiB at most, six times as much as JSON.
pub(super) fn brief(failure: &FailureRecord) -> FailureRecord {
    let mut chain: Vec<String> =
        failure.chain.iter().take(MOST_CAUSES).map(|cause| cut(cause, LONGEST_CAUSE)).collect();
    let more = failure.chain.len() - chain.len();
    if more > 0 {
        chain.push(format!("[{more} more]"));
    }
    FailureRecord {
        kind: failure.kind,
        message: cut(&failure.message, LONGEST_MESSAGE),
        chain,
        attempt: failure.attempt,
        worker: failure.worker.clone(),
        at: failure.at,
    }
}

/// The first `most` bytes of a text, whole characters, and how many are left out.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most);
    format!("{}… [{} bytes more]", &text[..end], text.len() - end)
}

#[cfg(test)]
mod tests {
    use ergate_shared::FailureKind;

    use super::*;

    fn failure(message: String, chain: Vec<String>) -> FailureRecord {
        FailureRecord {
            kind: FailureKind::Panic,
            message,
            chain,
            attempt: 3,
            worker: "w".to_owned(),
            at: 1_795_301_793_689,
        }
    }

    #[test]
    fn a_failure_of_usual_length_is_told_as_it_is() {
        let usual = failure("x".repeat(4096), vec!["y".repeat(1024); 16]);

        assert_eq!(brief(&usual), usual);
    }

    #[test]
    fn long_messages_are_cut_between_characters_and_say_so() {
        let long = failure(format!("x{}", "é".repeat(4096)), vec!["y".repeat(1030)]);

        let brief = brief(&long);

        assert_eq!(brief.message, format!("x{}… [4098 bytes more]", "é".repeat(2047)));
        assert_eq!(brief.chain, [format!("{}… [6 bytes more]", "y".repeat(1024))]);
    }

    #[test]
    fn of_many_errors_below_the_outermost_are_told_and_the_others_counted() {
        let causes: Vec<String> = (0..100).map(|n| n.to_string()).collect();

        let brief = brief(&failure(String::new(), causes.clone()));

        assert_eq!(brief.chain[..16], causes[..16]);
        assert_eq!(brief.chain[16..], ["[84 more]"]);
    }
}
