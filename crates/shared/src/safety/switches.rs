//! The switches themselves.

use std::{io::Write as _, sync::LazyLock};

use super::{Safety, lines::edited_without};

/// The environment variable that names the safety that is off.
pub const VARIABLE: &str = "ERGATE_UNSAFE_WITHOUT";

/// The environment variable that puts another text in the place of one file under `lua/`: `worker/reap=FILE`.
pub const SOURCE_VARIABLE: &str = "ERGATE_UNSAFE_LUA";

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
