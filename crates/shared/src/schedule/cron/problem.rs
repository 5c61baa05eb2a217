//! What is wrong with a cron expression: which field, why, and what it may be.

use croner::errors::CronError;

use super::parser;
use crate::Error;

struct Field {
    name: &'static str,
    takes: &'static str,
}

const FIELDS: [Field; 6] = [
    Field { name: "second", takes: "seconds go from 0 to 59" },
    Field { name: "minute", takes: "minutes go from 0 to 59" },
    Field { name: "hour", takes: "hours go from 0 to 23" },
    Field {
        name: "day of month",
        takes: "days go from 1 to 31, L is the last, 15W the weekday nearest to the 15th",
    },
    Field { name: "month", takes: "months go from 1 to 12 or JAN to DEC" },
    Field {
        name: "day of week",
        takes: "days go from 0 (Sunday) to 6, or MON to SUN; 5#2 is the second Friday, 5L the last",
    },
];

const NAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 0 1 1 *"),
    ("@annually", "0 0 0 1 1 *"),
    ("@monthly", "0 0 0 1 * *"),
    ("@weekly", "0 0 0 * * 0"),
    ("@daily", "0 0 0 * * *"),
    ("@midnight", "0 0 0 * * *"),
    ("@hourly", "0 0 * * * *"),
];

fn wrong(expression: &str, problem: impl Into<String>) -> Error {
    Error::Cron { expression: expression.to_owned(), problem: problem.into() }
}

/// The longest expression, in bytes: all that make sense are far shorter.
const LONGEST: usize = 1024;

/// The six fields of an expression, names such as `@daily` written out.
pub(super) fn fields(expression: &str) -> Result<Vec<String>, Error> {
    if expression.len() > LONGEST {
        let start: String = expression.chars().take(40).collect();
        return Err(wrong(&start, format!("goes on for {} bytes, the most is {LONGEST}", expression.len())));
    }
    if expression.starts_with('@') {
        if let Some((_, meaning)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(expression)) {
            return Ok(meaning.split(' ').map(str::to_owned).collect());
        }
        let problem = match expression.split_whitespace().next() {
            Some("@every") => "is no cron expression: set the period itself, with `every`".to_owned(),
            Some("@reboot") => "has no time: a schedule does not know when a machine starts".to_owned(),
            _ => format!("is not one of {}", NAMES.map(|(name, _)| name).join(", ")),
        };
        return Err(wrong(expression, problem));
    }
    let mut fields: Vec<String> = expression.split_whitespace().map(str::to_owned).collect();
    match fields.len() {
        0 => return Err(wrong(expression, "is empty; write it like \"0 3 * * *\", which is daily at 03:00")),
        5 => fields.insert(0, "0".to_owned()),
        6 => {}
        count => {
            let problem = format!(
                "has {count} field{}; write five: minute, hour, day of month, month, day of week, or six with the seconds \
                 before them",
                if count == 1 { "" } else { "s" }
            );
            return Err(wrong(expression, problem));
        }
    }
    for (field, text) in FIELDS.iter().zip(&fields) {
        if text.split(',').any(str::is_empty) {
            return Err(of_field(expression, field, text, "has a list with nothing between its commas"));
        }
    }
    Ok(fields)
}

fn of_field(expression: &str, field: &Field, text: &str, why: &str) -> Error {
    wrong(expression, format!("is wrong in its {} field {text:?}, which {why}; {}", field.name, field.takes))
}

/// The field that is at fault is the one that cannot be read when all others are `*`.
pub(super) fn explain(expression: &str, fields: &[String], error: &CronError) -> Error {
    for (place, field) in FIELDS.iter().enumerate() {
        let mut alone = ["*"; 6];
        alone[place] = &fields[place];
        if let Err(error) = parser().parse(&alone.join(" ")) {
            return of_field(expression, field, &fields[place], &why(&fields[place], &error));
        }
    }
    wrong(expression, format!("cannot be read: {error}"))
}

fn why(text: &str, error: &CronError) -> String {
    let backwards = text.split([',', '/']).find(|part| {
        part.split_once('-')
            .and_then(|(start, end)| Some(start.parse::<u32>().ok()? > end.parse::<u32>().ok()?))
            .unwrap_or(false)
    });
    if let Some(range) = backwards {
        return format!(
            "has the range {range} that runs backwards: write it as two, to the end and from the start"
        );
    }
    match error {
        CronError::ComponentError(said) if said.contains("out of") => "is out of range".to_owned(),
        CronError::IllegalCharacters(_) => "has a character that means nothing there".to_owned(),
        _ => "cannot be read".to_owned(),
    }
}

pub(super) fn never(expression: &str) -> Error {
    wrong(expression, "never comes: no year has such a day")
}
