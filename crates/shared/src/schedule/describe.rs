//! Cron expressions in words: `at 02:30 and 14:30, on Monday`, `every 5 minutes`.

use super::Cron;

/// More times than this are told as a rule, not one by one.
const MOST_TIMES: usize = 6;
const WORKING_WEEK: &str = "Monday, Tuesday, Wednesday, Thursday and Friday";

/// What an expression means, without its zone.
pub(super) fn describe(cron: &Cron) -> String {
    format!("{}{}", times(cron), days(cron))
}

fn times(cron: &Cron) -> String {
    let pattern = &cron.calendar().pattern;
    let (seconds, minutes, hours) =
        (pattern.seconds.values(), pattern.minutes.values(), pattern.hours.values());
    if cron.is_of_the_clock() && seconds.len() * minutes.len() * hours.len() <= MOST_TIMES {
        let mut times = Vec::new();
        for hour in &hours {
            for minute in &minutes {
                for second in &seconds {
                    times.push(match second {
                        0 => format!("{hour:02}:{minute:02}"),
                        _ => format!("{hour:02}:{minute:02}:{second:02}"),
                    });
                }
            }
        }
        return format!("at {}", listed(&times));
    }
    if let ([0], [minute]) = (&*seconds, &*minutes) {
        let past = if *minute == 0 { String::new() } else { format!(", at minute {minute}") };
        if hours.len() == 24 {
            return format!("every hour{past}");
        }
        if pattern.hours.step > 1 && is_every_nth(&hours, pattern.hours.step, 24) {
            return format!("every {} hours{past}", pattern.hours.step);
        }
        if *minute == 0 && hours.len() > 2 && hours.windows(2).all(|pair| pair[1] == pair[0] + 1) {
            return format!("every hour from {:02}:00 to {:02}:00", hours[0], hours[hours.len() - 1]);
        }
    }
    // Whatever else there is, `croner` says well enough; its days and full stop are not wanted here.
    let fields: Vec<&str> = cron.calendar().as_str().split_whitespace().collect();
    let said = croner::parser::CronParser::new()
        .parse(&format!("{} {} {} * * *", fields[0], fields[1], fields[2]))
        .map(|alone| alone.describe())
        .unwrap_or_default();
    let said = said.trim_end_matches('.');
    match said.strip_prefix("At every") {
        Some(rest) => format!("every{rest}"),
        None => said.to_lowercase(),
    }
}

/// Whether the values are all multiples of `step` below `end`, and the last is followed by the first.
fn is_every_nth(values: &[u16], step: u16, end: u16) -> bool {
    end.is_multiple_of(step) && values.iter().copied().eq((0..end).step_by(step.into()))
}

fn days(cron: &Cron) -> String {
    let fields: Vec<&str> = cron.calendar().as_str().split_whitespace().collect();
    let said = croner::parser::CronParser::new()
        .parse(&format!("0 0 0 {} {} {}", fields[3], fields[4], fields[5]))
        .map(|alone| alone.describe())
        .unwrap_or_default();
    let said = said.trim_end_matches('.').strip_prefix("At 00:00").unwrap_or_default();
    said.replace(", and ", " and ").replace(WORKING_WEEK, "Monday to Friday")
}

fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_told_in_words() {
        for (expression, words) in [
            ("0 3 * * *", "at 03:00"),
            ("@daily", "at 00:00"),
            ("30 2,14 * * *", "at 02:30 and 14:30"),
            ("0 8,12,18 * * *", "at 08:00, 12:00 and 18:00"),
            ("15 30 4 * * *", "at 04:30:15"),
            ("0 0 * * 1", "at 00:00, on Monday"),
            ("0 9 * * MON-FRI", "at 09:00, on Monday to Friday"),
            ("0 0 * * 1,3,5", "at 00:00, on Monday, Wednesday and Friday"),
            ("0 0 1 * *", "at 00:00, on day 1"),
            ("0 0 L * *", "at 00:00, on the last day of the month"),
            ("0 0 1 1 *", "at 00:00, on day 1, in January"),
            ("0 * * * *", "every hour"),
            ("30 * * * *", "every hour, at minute 30"),
            ("0 */6 * * *", "every 6 hours"),
            ("15 */12 * * *", "every 12 hours, at minute 15"),
            ("0 9-17 * * *", "every hour from 09:00 to 17:00"),
            ("*/5 * * * *", "every 5 minutes"),
            ("* * * * *", "every minute"),
            ("* * * * * *", "every second"),
        ] {
            assert_eq!(describe(&Cron::new(expression).unwrap()), words, "{expression}");
        }
    }
}
