//! How large a play is.

use std::time::Duration;

/// How large a play is, and what is expected of it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Worker processes at a time.
    pub workers: usize,
    /// Slots of each, for jobs and for each function.
    pub slots: usize,
    /// Their lease.
    pub lease: Duration,
    /// Their shutdown deadline.
    pub deadline: Duration,
    /// By how much the clock of each is wrong, in turn.
    pub clocks_ms: Vec<i64>,
    /// The address space of each, in MiB.
    pub memory_mb: Option<u64>,
    /// How many of them, the first, are neither killed nor told to stop.
    pub spared: usize,
    /// The release of those that are started.
    pub release: u32,
    /// Producer processes.
    pub producers: usize,
    /// Jobs of each producer.
    pub jobs: usize,
    /// Orders of each producer.
    pub orders: usize,
    /// Whether their events have ids of their own.
    pub event_ids: bool,
    /// The time over which all that is sent.
    pub over: Duration,
    /// How often a fault strikes in that time.
    pub strikes: usize,
    /// Whether each strike is one of the faults by chance, not each in turn.
    pub mixed: bool,
    /// How long it may take until all is done once all is sent.
    pub patience: Duration,
    /// Whether the reconciler may find something to repair.
    pub repairs: bool,
    /// Whether nothing is done that may cost a lease.
    pub leases_hold: bool,
    /// Whether workers are told to stop while they have more to do than they may finish.
    pub hands_back: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            workers: 3,
            slots: 10,
            lease: Duration::from_secs(3),
            deadline: Duration::from_millis(300),
            clocks_ms: vec![0],
            memory_mb: None,
            spared: 0,
            release: 1,
            producers: 2,
            jobs: 150,
            orders: 20,
            event_ids: true,
            over: Duration::from_secs(4),
            strikes: 2,
            mixed: false,
            patience: Duration::from_secs(180),
            repairs: false,
            leases_hold: false,
            hands_back: false,
        }
    }
}
