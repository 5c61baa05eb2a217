//! A schedule as it is declared.

use std::time::Duration;

use serde_json::value::RawValue;

use super::{CatchUp, Cron, Every, JobTarget, Origin, Overlap, Recurrence, ScheduleSpec, Target, Zone};
use crate::{Error, FunctionName, Job, JobName, JobOptions, Priority, QueueName, ScheduleName, duration};

/// A schedule about to be declared: when, what, and what becomes of times that were missed or overlap.
///
/// Everything is checked when it is declared: by a worker at its start, or by a client.
///
/// ```
/// # use std::time::Duration;
/// # use ergate_shared::{Job, Schedule, schedule::Overlap};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Nightly;
/// # impl Job for Nightly { const NAME: &str = "nightly"; }
/// let nightly = Schedule::cron("nightly", "0 3 * * *").zone("Europe/Berlin").job(Nightly);
///
/// let sync = Schedule::every("sync", Duration::from_mins(15)).function("sync").overlap(Overlap::Skip);
/// ```
#[derive(Debug)]
#[must_use = "a schedule is declared by handing it to a worker or a client"]
pub struct Schedule {
    name: String,
    when: Result<When, Error>,
    zone: Option<Result<Zone, Error>>,
    target: Option<Result<Target, Error>>,
    priority: Option<Priority>,
    options: Option<JobOptions>,
    expires_in: Option<Duration>,
    queue: Option<String>,
    catch_up: CatchUp,
    overlap: Overlap,
    jitter: Duration,
}

#[derive(Debug)]
enum When {
    Cron(Cron, Option<Zone>),
    Every(Every),
}

impl Schedule {
    fn new(name: impl Into<String>, when: Result<When, Error>) -> Self {
        Self {
            name: name.into(),
            when,
            zone: None,
            target: None,
            priority: None,
            options: None,
            expires_in: None,
            queue: None,
            catch_up: CatchUp::default(),
            overlap: Overlap::default(),
            jitter: Duration::ZERO,
        }
    }

    /// At the times of a [`Cron`] expression, which may begin with its zone: `TZ=Europe/Berlin 0 3 * * *`.
    pub fn cron(name: impl Into<String>, expression: &str) -> Self {
        Self::new(name, Cron::with_zone(expression).map(|(cron, zone)| When::Cron(cron, zone)))
    }

    /// Every so often, at least each 100 ms; the times are whole periods since the Unix epoch.
    pub fn every(name: impl Into<String>, period: Duration) -> Self {
        Self::new(name, Every::new(period).map(When::Every))
    }

    /// Counts the periods of [`every`](Self::every) from this moment instead.
    pub fn anchored(self, anchor: jiff::Timestamp) -> Self {
        let no_anchor = self.wrong("has a cron expression, which has no anchor");
        let when = self.when.and_then(|when| match when {
            When::Every(every) => Ok(When::Every(every.anchored(anchor))),
            When::Cron(..) => Err(no_anchor),
        });
        Self { when, ..self }
    }

    /// Sets the zone by whose clock the expression is read; default UTC.
    pub fn zone(mut self, zone: &str) -> Self {
        self.zone = Some(Zone::new(zone));
        self
    }

    /// Starts a job with this payload each time.
    #[allow(clippy::needless_pass_by_value, reason = "a job that is scheduled is given away")]
    pub fn job<J: Job>(self, job: J) -> Self {
        let payload = serde_json::value::to_raw_value(&job)
            .map_err(|error| self.wrong(&format!("has a payload that is no JSON: {error}")));
        let target = || -> Result<Target, Error> {
            Ok(Target::Job(Box::new(JobTarget {
                queue: QueueName::new(J::QUEUE)?,
                name: JobName::new(J::NAME)?,
                payload: payload?,
                version: J::VERSION,
                priority: J::PRIORITY,
                options: JobOptions::default(),
                expires_in_ms: None,
            })))
        };
        let target = target();
        Self { target: Some(target), ..self }
    }

    /// Starts a job whose type is not known here, with its payload as JSON text.
    pub fn raw_job(self, queue: QueueName, name: JobName, payload: impl Into<String>) -> Self {
        let target = RawValue::from_string(payload.into())
            .map_err(|error| self.wrong(&format!("has a payload that is no JSON: {error}")))
            .map(|payload| {
                Target::Job(Box::new(JobTarget {
                    queue,
                    name,
                    payload,
                    version: 1,
                    priority: Priority::default(),
                    options: JobOptions::default(),
                    expires_in_ms: None,
                }))
            });
        Self { target: Some(target), ..self }
    }

    /// Starts a run of a durable function, with an event `ergate/scheduled.timer`.
    pub fn function(self, name: impl Into<String>) -> Self {
        let target = FunctionName::new(name.into()).map(Target::Function);
        Self { target: Some(target), ..self }
    }

    /// Puts its jobs into another queue than their type declares.
    pub fn queue(mut self, queue: &str) -> Self {
        self.queue = Some(queue.to_owned());
        self
    }

    /// Sets the place of its jobs within the queue; default: what their type declares.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets retries, back-off, time-out and so on of its jobs; default: what their type declares.
    pub fn options(mut self, options: JobOptions) -> Self {
        self.options = Some(options);
        self
    }

    /// Dead-letters a job of it that has not started by then; default never. At most ten years.
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in = Some(time);
        self
    }

    /// Sets what becomes of times that were missed; default: the latest of them is started.
    pub fn catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// Sets what becomes of times that come while the last job has not ended; default: they are started beside it.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// Puts each start off by up to this long, by a chance that is always the same for a time; default none, at most a
    /// day. It is never put off as far as the next time, so that no time is lost to a large jitter.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// What it is called, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks everything.
    ///
    /// # Errors
    /// The first thing that is wrong, with the schedule's name.
    pub fn build(self, origin: Origin) -> Result<(ScheduleName, ScheduleSpec), Error> {
        let name = ScheduleName::new(self.name.clone())?;
        let named = |error: Error| match error {
            error @ Error::Schedule { .. } => error,
            error => Error::Schedule { name: name.to_string(), problem: format!("is not valid: {error}") },
        };
        let spec = self.spec(origin).map_err(named)?;
        spec.check(&name).map_err(named)?;
        Ok((name, spec))
    }

    fn spec(self, origin: Origin) -> Result<ScheduleSpec, Error> {
        let missing = self.wrong("starts nothing: give it a job or a function");
        let no_job = self.wrong("starts a function, whose queue, priority and options are its own");
        let no_zone = self.wrong("is every so often, which knows no zone");
        let expires_in = match self.expires_in {
            Some(time) if time > duration::LONGEST => {
                let shown = duration::show(time);
                return Err(self.wrong(&format!("has an expiry of {shown}, the most is ten years")));
            }
            expires_in => expires_in.map(|time| time.as_millis() as u64),
        };
        let recurrence = match (self.when?, self.zone.transpose()?) {
            (When::Cron(cron, own), zone) => {
                Recurrence::Cron { cron, zone: zone.or(own).unwrap_or_default() }
            }
            (When::Every(every), None) => Recurrence::Every(every),
            (When::Every(_), Some(_)) => return Err(no_zone),
        };
        let mut target = self.target.ok_or(missing)??;
        match &mut target {
            Target::Job(job) => {
                if let Some(queue) = self.queue {
                    job.queue = QueueName::new(queue)?;
                }
                if let Some(priority) = self.priority {
                    job.priority = priority;
                }
                if let Some(options) = self.options {
                    job.options = options;
                }
                job.expires_in_ms = expires_in;
            }
            Target::Function(_) => {
                let says = self.queue.is_some() || self.priority.is_some() || self.options.is_some();
                if says || expires_in.is_some() {
                    return Err(no_job);
                }
            }
        }
        Ok(ScheduleSpec {
            recurrence,
            target,
            catch_up: self.catch_up,
            overlap: self.overlap,
            jitter_ms: u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX),
            origin,
        })
    }

    fn wrong(&self, problem: &str) -> Error {
        Error::Schedule { name: self.name.clone(), problem: problem.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(schedule: Schedule) -> String {
        schedule.build(Origin::Hand).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_said_with_the_name_of_the_schedule() {
        let cron = || Schedule::cron("nightly", "0 3 * * *");

        assert_eq!(refused(cron()), "schedule nightly starts nothing: give it a job or a function");
        assert!(refused(Schedule::cron("nightly", "0 25 * * *").function("f")).starts_with(
            "schedule nightly is not valid: cron expression \"0 25 * * *\" is wrong in its hour field"
        ));
        assert!(refused(cron().zone("Berlin").function("f")).contains("Europe/Berlin is"));
        assert!(refused(cron().function("f").priority(Priority::High)).contains("its own"));
        assert!(refused(cron().function("f").jitter(Duration::from_hours(25))).contains("1d1h"));
        assert!(refused(cron().function("f").catch_up(CatchUp::All(0))).contains("write skip instead"));
        assert!(refused(Schedule::cron("n".repeat(97), "@daily").function("f")).contains("97 bytes"));
        assert!(refused(Schedule::cron("a b", "@daily").function("f")).contains("schedule name \"a b\""));
        assert!(
            refused(Schedule::every("e", Duration::from_secs(1)).zone("UTC").function("f"))
                .contains("no zone")
        );
        assert!(refused(Schedule::every("e", Duration::ZERO).function("f")).contains("100ms"));
    }

    #[test]
    fn an_expiry_is_refused_where_that_of_an_enqueue_is() {
        let expires_in = |time| {
            let (queue, name) = (QueueName::new("mail").unwrap(), JobName::new("report").unwrap());
            Schedule::cron("nightly", "0 3 * * *").raw_job(queue, name, "{}").expires_in(time)
        };

        let (_, spec) = expires_in(duration::LONGEST).build(Origin::Code).unwrap();
        let Target::Job(job) = spec.target else { panic!("it is a job") };
        assert_eq!(job.expires_in_ms.map(u128::from), Some(duration::LONGEST.as_millis()));
        for time in [duration::LONGEST + Duration::from_millis(1), Duration::MAX] {
            let error = refused(expires_in(time));
            assert!(error.starts_with("schedule nightly has an expiry of "), "{error}");
            assert!(error.ends_with(", the most is ten years"), "{error}");
        }
    }

    #[test]
    fn a_zone_that_is_set_goes_before_one_in_the_expression() {
        let (_, spec) = Schedule::cron("n", "TZ=UTC 0 3 * * *")
            .zone("Asia/Tokyo")
            .function("f")
            .build(Origin::Hand)
            .unwrap();

        assert_eq!(spec.recurrence.describe(), "at 03:00 (Asia/Tokyo)");
    }
}
