//! The figures and how each is measured.
//!
//! "Redis CPU" is user and system time of the whole server process as it reports it itself. "Commands" without more
//! words are all that Redis runs, those called by scripts included.

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// Redis CPU of adding in bulk plus Redis CPU of processing, per job, until the server is quiet again.
    RedisCpu,
    /// Commands over the same two stretches, per job.
    Commands,
    /// Preloaded jobs divided by the time from the start of the first handler to the start of the last.
    Process,
    /// Jobs divided by the time from the first add, by 100 tasks, to the start of the last handler, the worker running.
    EndToEnd,
    /// Jobs divided by the time of the system's bulk call, 1,000 jobs a call, no worker.
    AddBulk,
    /// Jobs divided by the time 100 tasks take that each add one job after the other, no worker.
    AddConcurrent,
    /// Jobs divided by the time of adding one after the other, no worker.
    AddSingle,
    /// Growth of Redis' memory from a few waiting jobs to the preloaded ones, with no client connected.
    BytesWaiting,
    /// The same growth from a few completed jobs to as many as the system keeps by default, 8,000 at most.
    BytesCompleted,
    /// Median from just before the add to the start of the handler, a job each 20 ms on an idle queue.
    PickupP50,
    /// 99th percentile of the same.
    PickupP99,
    /// Commands clients send, seen by MONITOR, per job on an idle queue, less what the idle worker sends anyway.
    CommandsIdleJob,
    /// The same with the commands that scripts call.
    CommandsIdleJobInner,
    /// Median from the due time to the start of the handler, jobs due over one second while the worker is idle.
    LateP50,
    /// 99th percentile of the same. A job not run before patience ended counts as late as it was then.
    LateP99,
    /// Redis CPU of leasing and settling per job with 1,000,000 waiting, divided by that with 1,000 waiting.
    LeaseCostRatio,
    /// Commands per second that an idle worker sends, seen by MONITOR.
    IdleCommands,
    /// Resident memory of the worker's process before its first job.
    RssIdle,
    /// Highest resident memory of the worker's process while it processed the preloaded jobs.
    RssLoaded,
    /// CPU time of the worker's process while it processed the preloaded jobs, scaled to 50,000.
    WorkerCpu,
    /// Steps that do nothing, of preloaded runs, divided by the time from the first body to the last.
    Steps,
    /// Redis CPU of the same, leasing and settling the runs included, per step.
    RedisCpuStep,
    /// Growth of Redis' memory from some sleeping runs to very many more, per run.
    BytesSleeping,
    /// Median from the end of the sleep to the code going on, 10,000 due each second while very many sleep.
    ResumeP50,
    /// 99th percentile of the same.
    ResumeP99,
    /// Median from just before the send to the start of the code, an event each 20 ms on an idle function.
    EventStartP50,
    /// 99th percentile of the same.
    EventStartP99,
    /// Median of five bare PINGs one after the other, between those events: as many round trips as an event takes to its run.
    /// What is over the budget here already is the machine.
    RoundTripsP50,
    /// 99th percentile of the same.
    RoundTripsP99,
    /// Redis CPU of an event, sent and routed, that nobody waits for, while 10 runs wait for others of its name.
    EventCpu10,
    /// The same with 1,000 runs.
    EventCpu1k,
    /// The same with 100,000 runs.
    EventCpu100k,
    /// Time of such an event, 100 at once, with 10 runs waiting.
    EventTime10,
    /// The same with 1,000 runs.
    EventTime1k,
    /// The same with 100,000 runs.
    EventTime100k,
    /// Redis CPU of an event with 100,000 waiting runs, divided by that with 10.
    EventCostRatio,
}

impl Figure {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 36] = [
        Self::RedisCpu,
        Self::Commands,
        Self::Process,
        Self::EndToEnd,
        Self::AddBulk,
        Self::AddConcurrent,
        Self::AddSingle,
        Self::BytesWaiting,
        Self::BytesCompleted,
        Self::PickupP50,
        Self::PickupP99,
        Self::CommandsIdleJob,
        Self::CommandsIdleJobInner,
        Self::LateP50,
        Self::LateP99,
        Self::LeaseCostRatio,
        Self::IdleCommands,
        Self::RssIdle,
        Self::RssLoaded,
        Self::WorkerCpu,
        Self::Steps,
        Self::RedisCpuStep,
        Self::BytesSleeping,
        Self::ResumeP50,
        Self::ResumeP99,
        Self::EventStartP50,
        Self::EventStartP99,
        Self::RoundTripsP50,
        Self::RoundTripsP99,
        Self::EventCpu10,
        Self::EventCpu1k,
        Self::EventCpu100k,
        Self::EventTime10,
        Self::EventTime1k,
        Self::EventTime100k,
        Self::EventCostRatio,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RedisCpu => "redis_cpu_us_per_job",
            Self::Commands => "commands_per_job",
            Self::Process => "process_per_s",
            Self::EndToEnd => "end_to_end_per_s",
            Self::AddBulk => "add_bulk_per_s",
            Self::AddConcurrent => "add_concurrent_per_s",
            Self::AddSingle => "add_single_per_s",
            Self::BytesWaiting => "bytes_waiting",
            Self::BytesCompleted => "bytes_completed",
            Self::PickupP50 => "pickup_p50_ms",
            Self::PickupP99 => "pickup_p99_ms",
            Self::CommandsIdleJob => "commands_idle_job",
            Self::CommandsIdleJobInner => "commands_idle_job_inner",
            Self::LateP50 => "delayed_late_p50_ms",
            Self::LateP99 => "delayed_late_p99_ms",
            Self::LeaseCostRatio => "lease_cost_ratio_1m",
            Self::IdleCommands => "idle_commands_per_s",
            Self::RssIdle => "worker_rss_idle_mb",
            Self::RssLoaded => "worker_rss_loaded_mb",
            Self::WorkerCpu => "worker_cpu_s_per_50k",
            Self::Steps => "steps_per_s",
            Self::RedisCpuStep => "redis_cpu_us_per_step",
            Self::BytesSleeping => "bytes_sleeping_run",
            Self::ResumeP50 => "resume_late_p50_ms",
            Self::ResumeP99 => "resume_late_p99_ms",
            Self::EventStartP50 => "event_start_p50_ms",
            Self::EventStartP99 => "event_start_p99_ms",
            Self::RoundTripsP50 => "five_round_trips_p50_ms",
            Self::RoundTripsP99 => "five_round_trips_p99_ms",
            Self::EventCpu10 => "event_cpu_us_10_waiting",
            Self::EventCpu1k => "event_cpu_us_1k_waiting",
            Self::EventCpu100k => "event_cpu_us_100k_waiting",
            Self::EventTime10 => "event_us_10_waiting",
            Self::EventTime1k => "event_us_1k_waiting",
            Self::EventTime100k => "event_us_100k_waiting",
            Self::EventCostRatio => "event_cost_ratio_100k",
        }
    }

    pub(crate) fn better(self) -> Better {
        match self {
            Self::Process
            | Self::EndToEnd
            | Self::AddBulk
            | Self::AddConcurrent
            | Self::AddSingle
            | Self::Steps => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// Whether the figure is measured a second time with the append-only file on.
    pub(crate) fn has_aof(self) -> bool {
        self == Self::RedisCpu || self.better() == Better::Higher
    }
}

/// A figure under one persistence setting: one row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Measure {
    pub(crate) aof: bool,
    pub(crate) figure: Figure,
}

impl Measure {
    /// All rows in the order of the table.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let plain = Figure::ALL.into_iter().map(|figure| Self { aof: false, figure });
        let aof = Figure::ALL
            .into_iter()
            .filter(|figure| figure.has_aof())
            .map(|figure| Self { aof: true, figure });
        plain.chain(aof)
    }

    pub(crate) fn name(self) -> String {
        let suffix = if self.aof { "_aof" } else { "" };
        format!("{}{suffix}", self.figure.name())
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::all().find(|measure| measure.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name() {
        for measure in Measure::all() {
            assert_eq!(Measure::parse(&measure.name()), Some(measure));
        }
    }
}
