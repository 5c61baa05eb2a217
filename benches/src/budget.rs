//! What each figure may be, as data. Only ratios carry over from machine to machine, so rates are held against a peer
//! measured in the same run.

use crate::figure::{Better, Figure};

/// A bound for the system under development.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Budget {
    /// An absolute bound for a figure where lower is better.
    AtMost(f64),
    /// A multiple of one peer's figure, or of the best peer's if none is named.
    Times { peer: Option<&'static str>, factor: f64 },
    /// A multiple of another figure of one peer, for what no peer has: it tells how fast the machine is.
    TimesOther { peer: &'static str, figure: Figure, factor: f64 },
}

/// The best of the peers that lose no job when a worker is killed.
const BEST_RELIABLE: Option<&str> = Some("bullmq-official");

const BUDGETS: &[(Figure, Budget)] = &[
    (Figure::RedisCpu, Budget::AtMost(8.0)),
    (Figure::Process, Budget::Times { peer: BEST_RELIABLE, factor: 5.0 }),
    (Figure::EndToEnd, Budget::Times { peer: BEST_RELIABLE, factor: 5.0 }),
    (Figure::AddBulk, Budget::Times { peer: Some("oxana"), factor: 1.5 }),
    (Figure::AddConcurrent, Budget::Times { peer: Some("apalis-redis"), factor: 1.5 }),
    (Figure::AddSingle, Budget::Times { peer: None, factor: 1.0 }),
    (Figure::BytesWaiting, Budget::AtMost(300.0)),
    (Figure::BytesCompleted, Budget::AtMost(350.0)),
    (Figure::PickupP50, Budget::Times { peer: BEST_RELIABLE, factor: 0.5 }),
    (Figure::PickupP99, Budget::Times { peer: BEST_RELIABLE, factor: 0.5 }),
    (Figure::CommandsIdleJob, Budget::AtMost(5.0)),
    (Figure::LateP50, Budget::AtMost(2.0)),
    (Figure::LateP99, Budget::AtMost(10.0)),
    (Figure::LeaseCostRatio, Budget::AtMost(1.2)),
    (Figure::IdleCommands, Budget::AtMost(2.0)),
    (Figure::RssIdle, Budget::AtMost(10.0)),
    (Figure::RssLoaded, Budget::AtMost(40.0)),
    (Figure::WorkerCpu, Budget::AtMost(0.6)),
    // 20,000 a second where that peer processes 24,000.
    (
        Figure::Steps,
        Budget::TimesOther { peer: "bullmq-official", figure: Figure::Process, factor: 20.0 / 24.0 },
    ),
    (Figure::ResumeP99, Budget::AtMost(50.0)),
    (Figure::EventStartP99, Budget::AtMost(5.0)),
    (Figure::EventCostRatio, Budget::AtMost(1.2)),
];

impl Budget {
    pub(crate) fn of(figure: Figure) -> Option<Self> {
        BUDGETS.iter().find(|(named, _)| *named == figure).map(|(_, budget)| *budget)
    }

    /// The number the figure is held against; `None` if the peer was not measured. `other` tells another figure of a peer.
    pub(crate) fn bound(
        self,
        peers: &[(&str, f64)],
        better: Better,
        other: impl Fn(&str, Figure) -> Option<f64>,
    ) -> Option<f64> {
        match self {
            Self::TimesOther { peer, figure, factor } => other(peer, figure).map(|value| value * factor),
            Self::AtMost(bound) => Some(bound),
            Self::Times { peer: Some(named), factor } => {
                peers.iter().find(|(peer, _)| *peer == named).map(|(_, value)| value * factor)
            }
            Self::Times { peer: None, factor } => best(peers, better).map(|(_, value)| value * factor),
        }
    }

    pub(crate) fn text(self, better: Better) -> String {
        let sign = if better == Better::Higher { "≥" } else { "≤" };
        match self {
            Self::AtMost(bound) => format!("{sign} {bound}"),
            Self::Times { peer, factor } => format!("{sign} {factor} × {}", peer.unwrap_or("best")),
            Self::TimesOther { peer, figure, factor } => {
                format!("{sign} {factor:.2} × {peer} {}", figure.name())
            }
        }
    }
}

/// The peer with the best value.
pub(crate) fn best<'a>(peers: &[(&'a str, f64)], better: Better) -> Option<(&'a str, f64)> {
    let order = |a: &&(&str, f64), b: &&(&str, f64)| a.1.total_cmp(&b.1);
    match better {
        Better::Higher => peers.iter().max_by(order).copied(),
        Better::Lower => peers.iter().min_by(order).copied(),
    }
}

/// Whether `value` keeps within `bound`.
pub(crate) fn is_met(value: f64, bound: f64, better: Better) -> bool {
    match better {
        Better::Higher => value >= bound,
        Better::Lower => value <= bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_held_against_the_named_peer() {
        let peers = [("oxana", 100.0), ("apalis-redis", 300.0)];
        let named = Budget::Times { peer: Some("oxana"), factor: 1.5 };
        let any = Budget::Times { peer: None, factor: 1.0 };
        let none = |_: &str, _: Figure| None;

        assert_eq!(named.bound(&peers, Better::Higher, none), Some(150.0));
        assert_eq!(any.bound(&peers, Better::Higher, none), Some(300.0));
        assert_eq!(any.bound(&peers, Better::Lower, none), Some(100.0));
        assert_eq!(named.bound(&peers[1..], Better::Higher, none), None);
    }
    #[test]
    fn what_no_peer_has_is_held_against_another_figure_of_one() {
        let budget = Budget::TimesOther { peer: "oxana", figure: Figure::Process, factor: 0.5 };
        let other =
            |peer: &str, figure: Figure| (peer == "oxana" && figure == Figure::Process).then_some(300.0);

        assert_eq!(budget.bound(&[], Better::Higher, other), Some(150.0));
        assert_eq!(budget.bound(&[("oxana", 7.0)], Better::Higher, |_, _| None), None);
    }
}
