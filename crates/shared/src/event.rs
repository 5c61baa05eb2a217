//! Events: named facts with data, which start and resume runs.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A fact with a name, such as `user/created`: its data is the implementing type.
///
/// ```
/// # use ergate_shared::Event;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct UserCreated {
///     user: u64,
/// }
///
/// impl Event for UserCreated {
///     const NAME: &str = "user/created";
/// }
/// ```
pub trait Event: Serialize + DeserializeOwned + Send + 'static {
    /// What it is called: `area/action`.
    const NAME: &'static str;
}

/// An event as it is kept and handed to functions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Made by the sender, or chosen by the user.
    pub id: String,
    /// What it is called: `area/action`.
    pub name: String,
    /// What is known of it.
    #[serde(default)]
    pub data: serde_json::Value,
    /// Who it is about, as the sender said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<serde_json::Value>,
    /// When it happened, in ms since the epoch.
    pub ts: u64,
    /// The version of its shape, as the sender said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v: Option<String>,
}
