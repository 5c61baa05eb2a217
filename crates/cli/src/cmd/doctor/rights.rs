//! Whether this user may run the scripts, and every command in them.

use std::collections::BTreeSet;

use ergate_client::{Error, Redis};
use ergate_shared::{
    Namespace, QueueName,
    key::{QueueKey, QueueKeys, RegistryKeys},
    script::Script,
};

use super::Finding;

/// What clients and workers send besides the scripts.
const OUTSIDE_SCRIPTS: [&str; 25] = [
    "BLPOP",
    "EVAL",
    "EVALSHA",
    "GET",
    "HDEL",
    "HGETALL",
    "HKEYS",
    "HMGET",
    "HSCAN",
    "HSET",
    "INFO",
    // Rings workers' bells. In scripts it is one of two names that are chosen between, and not found by its text.
    "LPUSH",
    "PING",
    "SADD",
    "SET",
    "SMEMBERS",
    "SUBSCRIBE",
    "XDEL",
    "XRANGE",
    "XREADGROUP",
    "XREVRANGE",
    "ZADD",
    "ZLEXCOUNT",
    "ZREM",
    "ZREVRANGE",
];
/// `return 1`, which `EVAL` has the server remember.
const SHA: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";

/// Answers which of `ARGV` the user who asks may not run on `KEYS[1]`; nothing is run.
const WHICH_ARE_FORBIDDEN: &str = "
local forbidden = {}
for _, command in ipairs(ARGV) do
  local ok, allowed
  if command == 'PING' or command == 'INFO' or command == 'TIME' then
    ok, allowed = pcall(redis.acl_check_cmd, command)
  elseif command == 'EVAL' or command == 'EVALSHA' then
    ok, allowed = pcall(redis.acl_check_cmd, command, 'x', '1', KEYS[1])
  else
    ok, allowed = pcall(redis.acl_check_cmd, command, KEYS[1], '1', '1')
  end
  if ok and not allowed then
    forbidden[#forbidden + 1] = command
  end
end
return forbidden";

pub(super) async fn findings(redis: &Redis, namespace: &Namespace) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let user = match allowed(redis.command::<String>("ACL WHOAMI", redis::cmd("ACL").arg("WHOAMI")).await)? {
        Ok(user) => format!("user {user}"),
        Err(_) => "this user".to_owned(),
    };
    if let Err(problem) = scripts(redis, namespace).await? {
        findings.push(Finding::loses_work(
            format!("{user} may not run scripts: {problem}"),
            "allow `+eval +evalsha`; every change of a job is a script",
        ));
        return Ok(findings);
    }
    findings.push(Finding::ok(format!("{user} may run scripts")));
    findings.push(commands(redis, namespace, &user).await?);
    Ok(findings)
}

/// Tells an answer of the server that it does not allow something from a broken connection.
fn allowed<T>(answer: Result<T, Error>) -> Result<Result<T, String>, Error> {
    match answer {
        Ok(value) => Ok(Ok(value)),
        Err(Error::Redis { source, .. }) if !source.is_io_error() => Ok(Err(source.to_string())),
        Err(error) => Err(error),
    }
}

async fn scripts(redis: &Redis, namespace: &Namespace) -> Result<Result<(), String>, Error> {
    let key = RegistryKeys::new(namespace).queues;
    let call = |verb: &str, script: &str| {
        let mut call = redis::cmd(verb);
        // In a cluster the key brings both calls to the same node; elsewhere a right to keys is another question.
        match redis.is_cluster() {
            true => call.arg(script).arg(1).arg(&key),
            false => call.arg(script).arg(0),
        };
        call
    };
    let by_text = redis.command::<u8>("EVAL", &call("EVAL", "return 1")).await;
    if let Err(problem) = allowed(by_text)? {
        return Ok(Err(problem));
    }
    Ok(allowed(redis.command::<u8>("EVALSHA", &call("EVALSHA", SHA)).await)?.map(drop))
}

/// The commands in the scripts are read from the scripts, so that none can be forgotten here.
fn needed() -> BTreeSet<&'static str> {
    let in_scripts = Script::all()
        .flat_map(|script| script.text.split("call('").skip(1).filter_map(|rest| rest.split('\'').next()));
    in_scripts.chain(OUTSIDE_SCRIPTS).collect()
}

async fn commands(redis: &Redis, namespace: &Namespace, user: &str) -> Result<Finding, Error> {
    let keys = QueueKeys::new(namespace, &QueueName::new("doctor").expect("it is a valid name"));
    let registry = RegistryKeys::new(namespace);
    let mut forbidden = BTreeSet::new();
    for key in [keys.get(QueueKey::ended), &registry.queues] {
        let mut ask = redis::cmd("EVAL");
        ask.arg(WHICH_ARE_FORBIDDEN).arg(1).arg(key);
        for command in needed() {
            ask.arg(command);
        }
        match allowed(redis.command::<Vec<String>>("EVAL", &ask).await)? {
            Ok(more) => forbidden.extend(more),
            Err(problem) if problem.contains("acl_check_cmd") => {
                return Ok(Finding::ok("which commands it may run can only be asked from Redis 7.0 on"));
            }
            Err(problem) => {
                return Ok(Finding::loses_work(
                    format!("{user} may not touch keys like {key}: {problem}"),
                    format!("allow `~{namespace}:*` and `&{namespace}:*`"),
                ));
            }
        }
    }
    if forbidden.is_empty() {
        let count = needed().len();
        return Ok(Finding::ok(format!(
            "it may run all {count} commands Ergate uses, on keys {namespace}:*"
        )));
    }
    let names: Vec<_> = forbidden.iter().map(String::as_str).collect();
    let fix: Vec<_> = names.iter().map(|name| format!("+{}", name.to_lowercase())).collect();
    Ok(Finding::loses_work(
        format!("{user} may not run {} on keys {namespace}:*", names.join(", ")),
        format!("allow `{} ~{namespace}:* &{namespace}:*`", fix.join(" ")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_the_scripts_are_found_in_their_text() {
        let needed = needed();

        for command in ["HSET", "ZADD", "LPOP", "LPUSH", "RPUSH", "PUBLISH", "TIME", "HSETNX"] {
            assert!(needed.contains(command), "{command}");
        }
        assert!(needed.iter().all(|command| command.chars().all(|c| c.is_ascii_uppercase())), "{needed:?}");
    }
}
