//! What is left out of scripts. It is compiled for unit tests too, so that none of these lines goes out of date unseen.

use super::Safety;

/// Lines of scripts that are a safety, and what stands in their place without it: script, safety, line, replacement.
const LINES: [(&str, Safety, &str, &str); 5] = [
    (
        "worker/turn",
        Safety::TokenCheck,
        "if call('HGET', leased, id) ~= lease_token then",
        "if not call('HGET', leased, id) then",
    ),
    ("worker/turn", Safety::TokenCheck, "if current[at] ~= expected then", "if not current[at] then"),
    (
        "worker/turn",
        Safety::TokenCheck,
        "if record and tokens[i] == ARGV[at + 2] and has_flag(record, KEYED)",
        "if record and tokens[i] and has_flag(record, KEYED)",
    ),
    (
        "job/enqueue",
        Safety::EnqueueOnce,
        "if last_number and tonumber(last_number) >= number then",
        "if false then",
    ),
    ("event/wait", Safety::LookBack, "local from = since * 1000 - SLACK", "local from = 9e15"),
];

/// The text of a script, without what is off.
///
/// # Panics
/// If it has not got a line it should have.
pub(super) fn edited_without(off: Option<Safety>, script: &str, text: String) -> String {
    LINES.iter().filter(|(of, safety, ..)| *of == script && off == Some(*safety)).fold(
        text,
        |text, (_, safety, line, instead)| {
            assert!(text.contains(line), "{script} has no line {line:?}, which {safety:?} is made of");
            text.replace(line, instead)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Script;

    #[test]
    fn every_line_that_is_replaced_is_in_its_script() {
        for (name, safety, line, instead) in LINES {
            let script = Script::all().find(|script| script.name == name).unwrap();
            let edited = edited_without(Some(safety), name, script.text.clone());
            assert!(edited.contains(instead) && !edited.contains(line), "{name}: {line}");
        }
    }
}
