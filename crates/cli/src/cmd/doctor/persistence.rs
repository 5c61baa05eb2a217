//! What is left after a crash of Redis.

use super::{Facts, Finding};

const TURN_ON: &str = "`redis-cli CONFIG SET appendonly yes`, and the same in redis.conf";

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    if facts.is_silent() {
        return Vec::new();
    }
    let mut findings = vec![log(facts)];
    if facts.info("aof_last_write_status").is_some_and(|status| status != "ok") {
        findings.push(Finding::loses_work(
            "its last write to the append-only file failed",
            "look at its log, and at the space on its disk",
        ));
    }
    if facts.info("aof_last_bgrewrite_status").is_some_and(|status| status != "ok") {
        findings.push(Finding::warn(
            "its last rewrite of the append-only file failed, so that it grows",
            "look at its log, and at the space on its disk",
        ));
    }
    if facts.info("rdb_last_bgsave_status").is_some_and(|status| status != "ok") {
        findings.push(Finding::loses_work(
            "its last snapshot failed, and by default it then refuses every write",
            "look at its log, and at the space on its disk",
        ));
    }
    findings
}

fn log(facts: &Facts) -> Finding {
    let on = match facts.setting("appendonly") {
        Some(setting) => setting == "yes",
        None => facts.number("aof_enabled") == Some(1),
    };
    if on {
        return match facts.setting("appendfsync") {
            Some("always") => {
                Finding::ok("every write is on disk before it is answered (appendfsync always)")
            }
            Some("no") => Finding::warn(
                "the append-only file is flushed when the system likes: a power cut costs up to half a minute of jobs",
                "`redis-cli CONFIG SET appendfsync everysec`, and the same in redis.conf",
            ),
            Some(_) => {
                Finding::ok("the append-only file is flushed every second: a power cut costs at most that")
            }
            None => {
                Finding::ok("the append-only file is on; how often it is flushed the server does not tell")
            }
        };
    }
    match facts.setting("save") {
        Some("") => Finding::loses_work("it keeps nothing on disk: a restart loses every job", TURN_ON),
        Some(save) => Finding::loses_work(
            format!(
                "it only takes snapshots, here {}: a crash loses every job since the last one",
                often(save)
            ),
            TURN_ON,
        ),
        None => Finding::loses_work(
            "its append-only file is off: a crash loses every job since the last snapshot",
            TURN_ON,
        ),
    }
}

/// The most patient rule of `save` in words: `3600 1 300 100` is at the latest an hour after a change.
fn often(save: &str) -> String {
    let seconds = save.split_whitespace().step_by(2).filter_map(|number| number.parse::<u64>().ok()).max();
    match seconds {
        Some(seconds) => {
            format!(
                "at the latest {} after a change",
                crate::output::about(std::time::Duration::from_secs(seconds))
            )
        }
        None => format!("by the rule {save:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    #[test]
    fn without_an_append_only_file_work_is_lost() {
        let level = |config: &[(&str, &str)]| log(&Facts::of("redis_version:7", config)).level;

        assert_eq!(level(&[("appendonly", "no"), ("save", "")]), Level::LosesWork);
        assert_eq!(level(&[("appendonly", "no"), ("save", "3600 1 300 100")]), Level::LosesWork);
        assert_eq!(level(&[("appendonly", "yes"), ("appendfsync", "everysec")]), Level::Ok);
        assert_eq!(level(&[("appendonly", "yes"), ("appendfsync", "no")]), Level::Warn);
    }

    #[test]
    fn info_is_believed_where_config_is_forbidden() {
        assert_eq!(log(&Facts::of("aof_enabled:1", &[])).level, Level::Ok);
        assert_eq!(log(&Facts::of("aof_enabled:0", &[])).level, Level::LosesWork);
    }

    #[test]
    fn snapshot_rules_are_told_in_words() {
        assert_eq!(often("3600 1 300 100 60 10000"), "at the latest 1 hour after a change");
    }
}
