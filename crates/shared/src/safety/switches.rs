//! The switches themselves.

use std::{io::Write as _, sync::LazyLock};

use super::Safety;

/// The environment variable that names the safety that is off.
pub const VARIABLE: &str = "ERGATE_UNSAFE_WITHOUT";

/// The environment variable that puts another text in the place of one file under `lua/`: `worker/reap=FILE`.
pub const SOURCE_VARIABLE: &str = "ERGATE_UNSAFE_LUA";

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
    ("job/enqueue", Safety::EnqueueOnce, "if applied_before() then", "if applied_before() and false then"),
    ("event/wait", Safety::LookBack, "local from = since * 1000 - SLACK", "local from = 9e15"),
];

static OFF: LazyLock<Option<Safety>> = LazyLock::new(|| {
    let name = std::env::var(VARIABLE).ok()?;
    let off = Safety::ALL.into_iter().find(|safety| safety.name() == name);
    let off = off.unwrap_or_else(|| panic!("{VARIABLE}: there is no safety {name:?}"));
    let warning = format!(
        "\n*** UNSAFE: this process runs without {name}, for tests of Ergate only. Jobs will be lost. ***\n"
    );
    // If nobody can read it, nobody is there to be warned.
    let _ = writeln!(std::io::stderr(), "{warning}");
    Some(off)
});

impl Safety {
    /// Whether it is on.
    pub fn is_on(self) -> bool {
        *OFF != Some(self)
    }
}

/// The path of the file that is replaced, and what stands there instead.
static OTHER: LazyLock<Option<(String, String)>> = LazyLock::new(|| {
    let said = std::env::var(SOURCE_VARIABLE).ok()?;
    let (path, file) =
        said.split_once('=').unwrap_or_else(|| panic!("{SOURCE_VARIABLE}: no `=` in {said:?}"));
    let text =
        std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{SOURCE_VARIABLE}: {file}: {error}"));
    Some((path.to_owned(), text))
});

/// What stands in the file of this path under `lua/`, unless something else is to stand there.
pub fn source(path: &str, own: &'static str) -> &'static str {
    OTHER.as_ref().filter(|(replaced, _)| replaced == path).map_or(own, |(_, text)| text)
}

/// The text of a script, without what is off.
///
/// # Panics
/// If it has not got a line it should have: then the table is out of date.
pub fn edited(script: &str, text: String) -> String {
    edited_without(*OFF, script, text)
}

fn edited_without(off: Option<Safety>, script: &str, text: String) -> String {
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
