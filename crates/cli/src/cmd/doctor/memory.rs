//! What happens when memory is full, and how far that is.

use super::{Facts, Finding};
use crate::output;

/// Above this share of `maxmemory` a burst of jobs fills the rest before anybody looks.
const NEARLY_FULL: f64 = 0.85;
/// Redis gives freed memory back badly once this much of it is holes; below 100 MB that is noise.
const FRAGMENTED: f64 = 2.0;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    if facts.is_silent() {
        return Vec::new();
    }
    let mut findings = vec![eviction(facts), usage(facts)];
    let ratio: f64 =
        facts.info("mem_fragmentation_ratio").and_then(|ratio| ratio.parse().ok()).unwrap_or(1.0);
    if ratio > FRAGMENTED && facts.number("used_memory").unwrap_or(0) > 100 << 20 {
        findings.push(Finding::warn(
            format!("its process has {ratio:.1} times the memory its data needs"),
            "`redis-cli CONFIG SET activedefrag yes`, or restart it at a quiet time",
        ));
    }
    findings
}

fn eviction(facts: &Facts) -> Finding {
    let policy = facts.setting("maxmemory-policy").or(facts.info("maxmemory_policy")).unwrap_or("unknown");
    let fix = "`redis-cli CONFIG SET maxmemory-policy noeviction`, and the same in redis.conf";
    match policy {
        "noeviction" => Finding::ok("when memory is full it refuses new jobs and deletes none (noeviction)"),
        policy if policy.starts_with("allkeys-") => Finding::loses_work(
            format!("when memory is full it deletes jobs (maxmemory-policy {policy})"),
            fix,
        ),
        policy if policy.starts_with("volatile-") => Finding::ok(format!(
            "when memory is full it deletes only keys with a time to live, which no job is in ({policy})"
        )),
        policy => Finding::warn(format!("maxmemory-policy is {policy}"), fix),
    }
}

fn usage(facts: &Facts) -> Finding {
    let used = facts.number("used_memory").unwrap_or(0);
    let most = facts.number("maxmemory").unwrap_or(0);
    let total = facts.number("total_system_memory").unwrap_or(0);
    if most == 0 {
        let advice = match total {
            0 => "two thirds of the machine's memory".to_owned(),
            total => format!("{}mb", (total * 2 / 3) >> 20),
        };
        return Finding::warn(
            format!(
                "{} in use and no maxmemory: the system kills Redis when memory runs out",
                output::bytes(used)
            ),
            format!("`redis-cli CONFIG SET maxmemory {advice}`, and the same in redis.conf"),
        );
    }
    let share = used as f64 / most as f64;
    let text = format!("{} of {} in use ({:.0} %)", output::bytes(used), output::bytes(most), share * 100.0);
    let fix = "raise maxmemory, or keep fewer ended jobs: `ergate queue limit QUEUE --keep-completed N`";
    if share >= 1.0 {
        return Finding::loses_work(format!("{text}: it is full, and new jobs are refused"), fix);
    }
    if share >= NEARLY_FULL {
        return Finding::warn(format!("{text}; when it is full, new jobs are refused"), fix);
    }
    Finding::ok(text)
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    #[test]
    fn a_cache_that_deletes_keys_loses_work() {
        let level = |policy| eviction(&Facts::of("used_memory:1", &[("maxmemory-policy", policy)])).level;

        assert_eq!(level("allkeys-lru"), Level::LosesWork);
        assert_eq!(level("noeviction"), Level::Ok);
        assert_eq!(level("volatile-ttl"), Level::Ok);
    }

    #[test]
    fn the_policy_is_read_from_info_where_config_is_forbidden() {
        assert_eq!(eviction(&Facts::of("maxmemory_policy:allkeys-lfu", &[])).level, Level::LosesWork);
    }

    #[test]
    fn nearly_full_is_a_warning_with_both_sizes() {
        let finding = usage(&Facts::of("used_memory:9437184\r\nmaxmemory:10485760", &[]));

        assert_eq!(finding.level, Level::Warn);
        assert!(finding.what.contains("9.0 MiB of 10.0 MiB in use (90 %)"), "{}", finding.what);
        assert_eq!(usage(&Facts::of("used_memory:11\r\nmaxmemory:10", &[])).level, Level::LosesWork);
    }
}
