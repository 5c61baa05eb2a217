//! Scripts with one fault each: what is compared, joined or added is turned round, or a statement is left out. A test has to fail
//! for each of them, or it must be said why none can.

/// One fault in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The file under `lua/`, without the ending.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What stood there.
    pub was: String,
    /// What stands there.
    pub is: String,
}

/// What is put in the place of what.
const TURNED: [(&str, &str); 13] = [
    (" == ", " ~= "),
    (" ~= ", " == "),
    (" < ", " <= "),
    (" <= ", " < "),
    (" > ", " >= "),
    (" >= ", " > "),
    (" and ", " or "),
    (" or ", " and "),
    ("not ", ""),
    (" + ", " - "),
    (" - ", " + "),
    ("true", "false"),
    ("false", "true"),
];

/// All mutants of a file, in the order of its lines.
pub fn mutants(path: &str, text: &str) -> Vec<Mutant> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let code = line.split("--").next().unwrap_or_default().trim_end();
        let mut add = |is: String| {
            found.push(Mutant { path: path.to_owned(), line: at + 1, was: code.to_owned(), is });
        };
        for (this, other) in TURNED {
            for (from, _) in code.match_indices(this) {
                add(format!("{}{other}{}", &code[..from], &code[from + this.len()..]));
            }
        }
        if is_statement(code) {
            add(String::new());
        }
    }
    found
}

/// Whether the line is a call or an assignment, whole, that may be left out without anything else being no code any more.
fn is_statement(code: &str) -> bool {
    let code = code.trim();
    let word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_.[]'".contains(c));
    let called = code.split_once('(').is_some_and(|(name, _)| word(name) && code.ends_with(')'));
    let assigned = code.split_once(" = ").is_some_and(|(names, value)| {
        names.split(", ").all(word) && !value.ends_with(['{', '(', ',']) && !value.ends_with(" or")
    });
    let whole = code.matches('(').count() == code.matches(')').count();
    (called || assigned) && whole && !code.starts_with("local ")
}

impl Mutant {
    /// The file with the fault in it.
    pub fn applied_to(&self, text: &str) -> String {
        let lines = text.lines().enumerate();
        let lines = lines.map(|(at, line)| if at + 1 == self.line { self.is.as_str() } else { line });
        lines.flat_map(|line| [line, "\n"]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operator_and_each_statement_is_a_mutant_and_comments_are_none() {
        let text = "-- a == b\nif a == b and c then -- d < e\n  call('DEL', jobs)\n  kept = kept + 1\nend\nlocal x = y()\n";

        let found = mutants("job/x", text);

        let told: Vec<_> = found.iter().map(|it| (it.line, it.is.trim())).collect();
        assert_eq!(
            told,
            [
                (2, "if a ~= b and c then"),
                (2, "if a == b or c then"),
                (3, ""),
                (4, "kept = kept - 1"),
                (4, "")
            ]
        );
        assert!(found[2].applied_to(text).contains("then -- d < e\n\n  kept"));
    }
}
