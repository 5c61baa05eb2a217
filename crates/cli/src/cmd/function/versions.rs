//! The versions of a function that a command means: each has a queue and a declaration of its own.

use ergate_client::Client;
use ergate_shared::FunctionName;

use crate::exit::Refusal;

/// The version that is named, or all there are: at least one.
pub(super) async fn meant(client: &Client, function: &FunctionName) -> anyhow::Result<Vec<FunctionName>> {
    let mut known: Vec<_> = client.functions().await?.into_keys().collect();
    // Runs of a version that nobody declares any more may still sleep.
    known.extend(client.queues().await?.iter().filter_map(FunctionName::of_queue));
    let meant = of(function, known);
    if meant.is_empty() {
        return Err(Refusal::not_found(format!("no function {function}"))
            .hint("`ergate function list` tells which there are")
            .into());
    }
    Ok(meant)
}

/// All of a function for a name without a version.
fn of(function: &FunctionName, mut known: Vec<FunctionName>) -> Vec<FunctionName> {
    known.retain(|name| name == function || !function.has_version() && name.base() == *function);
    known.sort();
    known.dedup();
    known
}

/// `function onboard` or `functions onboard, onboard@2`.
pub(super) fn named(versions: &[FunctionName]) -> String {
    let names = versions.iter().map(FunctionName::as_str).collect::<Vec<_>>().join(", ");
    format!("function{} {names}", if versions.len() == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<FunctionName> {
        names.iter().map(|name| FunctionName::new((*name).to_owned()).unwrap()).collect()
    }

    fn meant(function: &str) -> Vec<FunctionName> {
        let known = names(&["onboard@2", "onboard", "onboard-team", "onboard@2", "digest@3"]);
        of(&names(&[function])[0], known)
    }

    #[test]
    fn a_name_without_a_version_means_all_versions_there_are() {
        assert_eq!(meant("onboard"), names(&["onboard", "onboard@2"]));
        assert_eq!(meant("digest"), names(&["digest@3"]));
    }

    #[test]
    fn a_name_with_a_version_means_that_one() {
        assert_eq!(meant("onboard@2"), names(&["onboard@2"]));
        assert_eq!(meant("onboard@3"), names(&[]));
    }

    #[test]
    fn versions_are_named_one_by_one() {
        assert_eq!(named(&meant("onboard@2")), "function onboard@2");
        assert_eq!(named(&meant("onboard")), "functions onboard, onboard@2");
    }
}
