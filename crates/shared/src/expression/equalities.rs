//! Equalities joined by `&&`: the expressions nearly everybody writes, read without a language behind them.

use serde_json::Value;

use super::{Scope, canonical, field};

#[derive(Debug, PartialEq)]
pub(super) struct Equalities {
    pub(super) pairs: Vec<(Operand, Operand)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// A field of `event`, by its path.
    Event(String),
    /// A field of `async`.
    Other(String),
    Value(Value),
}

impl Equalities {
    /// `None` if it is anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let mut pairs = Vec::new();
        loop {
            let left = reader.operand()?;
            reader.word("==")?;
            pairs.push((left, reader.operand()?));
            if reader.is_at_end() {
                return Some(Self { pairs });
            }
            reader.word("&&")?;
        }
    }

    pub(super) fn hold(&self, scope: &Scope<'_>) -> bool {
        self.pairs.iter().all(|(left, right)| match (left.find(scope), right.find(scope)) {
            (Some(left), Some(right)) => canonical(left) == canonical(right),
            _ => false,
        })
    }
}

impl Operand {
    /// A field or a value by itself; `None` if it is anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let operand = reader.operand()?;
        reader.is_at_end().then_some(operand)
    }

    pub(super) fn find<'a>(&'a self, scope: &Scope<'a>) -> Option<&'a Value> {
        match self {
            Self::Event(path) => field(scope.event, path),
            Self::Other(path) => field(scope.other?, path),
            Self::Value(value) => Some(value),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.rest.is_empty()
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn operand(&mut self) -> Option<Operand> {
        self.skip_space();
        match self.rest.chars().next()? {
            '"' | '\'' => Some(Operand::Value(self.string()?.into())),
            c if c.is_ascii_digit() || c == '-' => self.number().map(Operand::Value),
            _ => self.path(),
        }
    }

    /// A string without escapes; with them, it is left to those who know them.
    fn string(&mut self) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let (text, rest) = self.rest[1..].split_once(quote)?;
        if text.contains('\\') || text.is_empty() && rest.starts_with(quote) {
            return None;
        }
        self.rest = rest;
        Some(text.to_owned())
    }

    fn number(&mut self) -> Option<Value> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '.' | 'e' | 'E' | '+')))
            .unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        // `1u` is a number of CEL's own.
        if rest.starts_with(|c: char| c.is_alphanumeric()) {
            return None;
        }
        self.rest = rest;
        serde_json::from_str::<serde_json::Number>(text).ok().map(Value::Number)
    }

    fn name(&mut self) -> Option<String> {
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.rest = rest;
        Some(name.to_owned())
    }

    /// `event.data.user`, `event["data"]["user"]`, `event.items[0]`, or a word for a value.
    fn path(&mut self) -> Option<Operand> {
        let root = self.name()?;
        match root.as_str() {
            "true" => return Some(Operand::Value(true.into())),
            "false" => return Some(Operand::Value(false.into())),
            "null" => return Some(Operand::Value(Value::Null)),
            _ => {}
        }
        let mut steps = Vec::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                steps.push(self.name()?);
            } else if let Some(rest) = self.rest.strip_prefix('[') {
                self.rest = rest;
                let step = match self.operand()? {
                    Operand::Value(Value::String(name)) if !name.is_empty() && !name.contains('.') => name,
                    Operand::Value(Value::Number(index)) => index.as_u64()?.to_string(),
                    _ => return None,
                };
                self.word("]")?;
                steps.push(step);
            } else {
                break;
            }
        }
        // A call such as `event.data.name.startsWith("a")` goes on with a bracket.
        if steps.is_empty() || self.rest.starts_with('(') {
            return None;
        }
        match root.as_str() {
            "event" => Some(Operand::Event(steps.join("."))),
            "async" => Some(Operand::Other(steps.join("."))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let _ = Equalities::parse(&text);
        }
    }

    #[test]
    fn fields_and_values_are_read() {
        let read = Equalities::parse("event.data.items[0].id == async.data['id']&&-1.5==event.n").unwrap();

        assert_eq!(
            read.pairs,
            [
                (Operand::Event("data.items.0.id".to_owned()), Operand::Other("data.id".to_owned())),
                (Operand::Value(json!(-1.5)), Operand::Event("n".to_owned())),
            ]
        );
    }

    #[test]
    fn whatever_else_there_is_makes_it_another_kind_of_expression() {
        for text in [
            "",
            "event.a",
            "event.a != 1",
            "event.a == 1 || event.b == 2",
            "event.a == event.b.size()",
            "event.a == 'it\\'s'",
            "(event.a == 1)",
            "event == async",
            "event.a == 1u",
            "event.a == 1 &&",
            "event.a == '' ''",
            "event['a.b'] == 1",
        ] {
            assert_eq!(Equalities::parse(text), None, "{text}");
        }
    }
}
