//! JSON over several lines, without reading it into values: keys keep their order and numbers all their digits.

use serde::de::IgnoredAny;

/// Indents JSON text by two spaces a level; text that is no JSON comes back as it is.
pub(crate) fn indented(text: &str) -> String {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if in_string {
            shown.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                shown.push(c);
            }
            '{' | '[' => {
                shown.push(c);
                while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                match rest.next_if(|c| matches!(c, '}' | ']')) {
                    Some(end) => shown.push(end),
                    None => {
                        depth += 1;
                        new_line(&mut shown, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut shown, depth);
                shown.push(c);
            }
            ',' => {
                shown.push(c);
                new_line(&mut shown, depth);
            }
            ':' => shown.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => shown.push(c),
        }
    }
    shown
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_numbers_their_digits() {
        assert_eq!(
            indented(r#"{"b":123456789012345678901234567890,"a":[1.10,{}],"c":[ ]}"#),
            "{\n  \"b\": 123456789012345678901234567890,\n  \"a\": [\n    1.10,\n    {}\n  ],\n  \"c\": []\n}"
        );
    }

    #[test]
    fn strings_are_left_alone() {
        assert_eq!(indented(r#"{"a":"x, {y}: \"z\\"}"#), "{\n  \"a\": \"x, {y}: \\\"z\\\\\"\n}");
    }

    #[test]
    fn what_is_no_json_is_shown_as_it_is() {
        assert_eq!(indented("not json"), "not json");
    }
}
