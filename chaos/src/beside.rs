//! Ergate beside a peer: the same scenes on each, and what was seen, without a judgement.
//!
//! The driver knows a system by its program only (crate `beside`): it adds jobs with it, looks at them with it, and starts, stops
//! and kills workers of it. A scene is played on a server of its own. The seed decides the moments at which faults strike and
//! how long they last.

pub mod play;
pub mod report;
pub mod scenes;
pub mod system;

pub use self::{
    play::{Fact, Played},
    scenes::{Scene, all},
    system::{Setting, System},
};
