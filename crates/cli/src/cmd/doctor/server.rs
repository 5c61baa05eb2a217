//! Which server it is, and whether Ergate runs on it.

use std::time::Duration;

use super::{Facts, Finding};
use crate::output;

/// The oldest version whose commands the scripts use.
const OLDEST: (u32, u32) = (6, 2);

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    if facts.is_cluster {
        return vec![Finding::warn(
            format!("{} is a cluster, whose nodes are not looked at one by one", facts.address),
            "run `ergate doctor --redis-url redis://NODE` for each of its primaries",
        )];
    }
    if facts.is_silent() {
        return vec![Finding::warn(
            "the server does not answer INFO, so most of what follows cannot be judged",
            "allow the user `+info`, or run this as one who may",
        )];
    }
    let valkey = facts.info("valkey_version");
    let flavour = if valkey.is_some() { "Valkey" } else { "Redis" };
    let version = valkey.or(facts.info("redis_version")).unwrap_or("of unknown version");
    let up = facts.number("uptime_in_seconds").unwrap_or(0);
    let about =
        format!("{flavour} {version} at {}, up {}", facts.address, output::about(Duration::from_secs(up)));
    let mut findings = Vec::new();
    if is_too_old(version) {
        let (major, minor) = OLDEST;
        findings.push(Finding::loses_work(
            format!("{about}; Ergate needs {major}.{minor} or later"),
            "update the server: Redis 7.2 or Valkey 8 are good choices",
        ));
    } else {
        findings.push(Finding::ok(about));
    }
    if facts.info("role").is_some_and(|role| role != "master") {
        let primary = match (facts.info("master_host"), facts.info("master_port")) {
            (Some(host), Some(port)) => format!("redis://{host}:{port}"),
            _ => "its primary".to_owned(),
        };
        findings.push(Finding::loses_work(
            "it is a replica and refuses every write",
            format!("connect to {primary}"),
        ));
    }
    if facts.number("loading") == Some(1) {
        findings.push(Finding::warn("it is still loading its data", "wait until it is done"));
    }
    findings
}

fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) < OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    fn worst(info: &str) -> Level {
        let findings = findings(&Facts::of(info, &[]));
        let has = |level| findings.iter().any(|finding| finding.level == level);
        if has(Level::LosesWork) {
            Level::LosesWork
        } else if has(Level::Warn) {
            Level::Warn
        } else {
            Level::Ok
        }
    }

    #[test]
    fn old_servers_and_replicas_lose_work() {
        assert_eq!(worst("redis_version:6.0.16\r\nrole:master"), Level::LosesWork);
        assert_eq!(worst("redis_version:7.0.15\r\nrole:slave\r\nmaster_host:db"), Level::LosesWork);
        assert_eq!(worst("redis_version:7.0.15\r\nrole:master"), Level::Ok);
        assert_eq!(worst("redis_version:7.2.4\r\nvalkey_version:9.1.2\r\nrole:master"), Level::Ok);
    }
}
