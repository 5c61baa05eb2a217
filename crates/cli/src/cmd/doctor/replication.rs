//! What is left after the loss of the machine Redis is on.

use super::{Facts, Finding};

/// A replica this far behind loses as much at a fail-over.
const LATE_SECONDS: u64 = 10;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    if facts.is_silent() || facts.info("role").is_some_and(|role| role != "master") {
        return Vec::new();
    }
    let replicas = facts.number("connected_slaves").unwrap_or(0);
    if replicas == 0 {
        return vec![Finding::ok("no replicas: jobs are as safe as this machine and its disk")];
    }
    let mut findings = Vec::new();
    for number in 0..replicas {
        let Some(line) = facts.info(&format!("slave{number}")) else { continue };
        let field = |name: &str| line.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let (host, port) = (field("ip").unwrap_or("?"), field("port").unwrap_or("?"));
        let lag: u64 = field("lag").and_then(|lag| lag.parse().ok()).unwrap_or(0);
        if field("state").is_some_and(|state| state != "online") {
            findings.push(Finding::warn(
                format!("replica {host}:{port} is still being filled"),
                "wait, and look at its log",
            ));
        } else if lag > LATE_SECONDS {
            findings.push(Finding::warn(
                format!("replica {host}:{port} is {lag} seconds behind"),
                "look at its load and the network",
            ));
        }
    }
    let text = crate::output::counted(replicas, "replica");
    match facts.setting("min-replicas-to-write") {
        Some("0") => findings.push(Finding::warn(
            format!("{text}, and none is waited for: cut off from them, it goes on taking jobs that a fail-over throws away"),
            "`redis-cli CONFIG SET min-replicas-to-write 1`, and the same in redis.conf",
        )),
        Some(least) => findings.push(Finding::ok(format!("{text}, at least {least} of which must be there for it to take jobs"))),
        None => findings.push(Finding::ok(text)),
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    const TWO: &str = "role:master\r\nconnected_slaves:2\r\n\
        slave0:ip=10.0.0.2,port=6379,state=online,offset=1,lag=0\r\n\
        slave1:ip=10.0.0.3,port=6379,state=online,offset=1,lag=60";

    #[test]
    fn a_replica_far_behind_is_named() {
        let findings = findings(&Facts::of(TWO, &[("min-replicas-to-write", "1")]));

        assert!(findings[0].what.contains("10.0.0.3:6379 is 60 seconds behind"), "{findings:?}");
        assert_eq!(findings[1].level, Level::Ok);
    }

    #[test]
    fn replicas_that_nobody_waits_for_are_a_warning() {
        let findings =
            findings(&Facts::of("role:master\r\nconnected_slaves:1", &[("min-replicas-to-write", "0")]));

        assert_eq!(findings.last().map(|finding| finding.level), Some(Level::Warn));
    }
}
