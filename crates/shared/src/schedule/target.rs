//! What a schedule starts: a job, or a run of a function, under an id made of schedule and time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

use super::Recurrence;
use crate::{
    Error, EventId, EventName, EventRecord, FunctionName, JobId, JobName, JobOptions, Priority, QueueName,
    RunInput, ScheduleName,
};

/// What a schedule starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A job, always with the same payload.
    Job(Box<JobTarget>),
    /// A run of a durable function, with a made-up event `ergate/scheduled.timer`.
    Function(FunctionName),
}

/// A job as a schedule starts it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobTarget {
    /// The queue it goes to.
    pub queue: QueueName,
    /// Which handler it is for.
    pub name: JobName,
    /// Its payload, as JSON.
    pub payload: Box<RawValue>,
    /// The version of the payload's shape.
    #[serde(default = "first_version")]
    pub version: u16,
    /// Its place within the queue.
    #[serde(default)]
    pub priority: Priority,
    /// What is said beyond what the job's type declares.
    #[serde(default, skip_serializing_if = "JobOptions::is_empty")]
    pub options: JobOptions,
    /// After how many ms it is a dead letter if it has not started; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

const fn first_version() -> u16 {
    1
}

/// One job that is to be started.
#[derive(Debug, Clone)]
pub struct Starting {
    /// Under which id; always the same for a schedule and a time.
    pub id: JobId,
    /// The job.
    pub job: JobTarget,
}

/// The event a function is started with by a schedule.
pub const TIMER: &str = "ergate/scheduled.timer";

impl Target {
    /// The queue of what is started.
    pub fn queue(&self) -> QueueName {
        match self {
            Self::Job(job) => job.queue.clone(),
            Self::Function(name) => name.queue(),
        }
    }

    /// The name of what is started: of the job, or of the function.
    pub fn name(&self) -> &str {
        match self {
            Self::Job(job) => job.name.as_str(),
            Self::Function(name) => name.as_str(),
        }
    }

    /// The id of what `schedule` starts for the time `nominal`.
    ///
    /// # Errors
    /// [`Error::Name`] if the schedule's name is too long to be part of an id.
    pub fn id(&self, schedule: &ScheduleName, nominal: Timestamp) -> Result<JobId, Error> {
        self.id_from(&occasion(schedule, nominal), nominal)
    }

    fn id_from(&self, occasion: &str, at: Timestamp) -> Result<JobId, Error> {
        match self {
            Self::Job(_) => JobId::new(occasion),
            Self::Function(name) => {
                let ms = u64::try_from(at.as_millisecond()).unwrap_or(0);
                Ok(EventId::new(occasion)?.run_id(ms, name))
            }
        }
    }

    /// What `schedule` starts for the time `nominal`, which was to be done at `due`.
    ///
    /// # Errors
    /// As [`id`](Self::id).
    pub fn starting(
        &self,
        schedule: &ScheduleName,
        recurrence: &Recurrence,
        nominal: Timestamp,
        due: Timestamp,
    ) -> Result<Starting, Error> {
        self.starting_at(schedule, recurrence, &occasion(schedule, nominal), nominal, due)
    }

    /// What `schedule` starts out of turn at `now`; `mark` tells it from others of the same moment, in at most six bytes.
    ///
    /// # Errors
    /// As [`starting`](Self::starting).
    pub fn out_of_turn(
        &self,
        schedule: &ScheduleName,
        recurrence: &Recurrence,
        now: Timestamp,
        mark: &str,
    ) -> Result<Starting, Error> {
        let occasion = format!("{}+{mark}", occasion(schedule, now));
        self.starting_at(schedule, recurrence, &occasion, now, now)
    }

    fn starting_at(
        &self,
        schedule: &ScheduleName,
        recurrence: &Recurrence,
        occasion: &str,
        nominal: Timestamp,
        due: Timestamp,
    ) -> Result<Starting, Error> {
        let id = self.id_from(occasion, nominal)?;
        let job = match self {
            Self::Job(job) => job.as_ref().clone(),
            Self::Function(name) => JobTarget {
                queue: name.queue(),
                name: name.job(),
                payload: timer(schedule, recurrence, occasion, nominal, due)?,
                version: first_version(),
                priority: Priority::default(),
                options: JobOptions::default(),
                expires_in_ms: None,
            },
        };
        Ok(Starting { id, job })
    }
}

/// A schedule and a time: what a job is started for, and what its id is made of.
fn occasion(schedule: &ScheduleName, nominal: Timestamp) -> String {
    format!("{schedule}@{nominal}")
}

/// What a run is started with: one event, whose id is made of schedule and time too.
fn timer(
    schedule: &ScheduleName,
    recurrence: &Recurrence,
    occasion: &str,
    nominal: Timestamp,
    due: Timestamp,
) -> Result<Box<RawValue>, Error> {
    let event = EventRecord {
        id: EventId::new(occasion)?,
        name: EventName::new(TIMER)?,
        data: json!({
            "schedule": schedule,
            "cron": recurrence.text(),
            "scheduledAt": nominal.to_string(),
            "fireAt": due.to_string(),
        }),
        user: None,
        ts: u64::try_from(nominal.as_millisecond()).unwrap_or(0),
        v: None,
    };
    let input = RunInput::of(event);
    Ok(serde_json::value::to_raw_value(&input).expect("names and times always serialise"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> ScheduleName {
        ScheduleName::new("nightly").unwrap()
    }

    fn job() -> Target {
        Target::Job(Box::new(JobTarget {
            queue: QueueName::new("mail").unwrap(),
            name: JobName::new("report").unwrap(),
            payload: RawValue::from_string(r#"{"n":12345678901234567890123}"#.to_owned()).unwrap(),
            version: 1,
            priority: Priority::Normal,
            options: JobOptions::default(),
            expires_in_ms: None,
        }))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_id_of_a_job_says_which_schedule_and_when() {
        let id = |time| job().id(&name(), at(time)).unwrap().to_string();

        assert_eq!(id("2026-11-22T03:00:00Z"), "nightly@2026-11-22T03:00:00Z");
        assert_eq!(id("2026-11-22T03:00:00.25Z"), "nightly@2026-11-22T03:00:00.25Z");
    }

    #[test]
    fn a_payload_is_kept_to_the_last_digit() {
        let kept = serde_json::to_string(&job()).unwrap();
        let Target::Job(read) = serde_json::from_str(&kept).unwrap() else { panic!("it was a job") };

        assert_eq!(read.payload.get(), r#"{"n":12345678901234567890123}"#);
    }

    #[test]
    fn a_run_has_an_id_of_26_characters_that_begins_with_its_time() {
        let function = Target::Function(FunctionName::new("cleanup").unwrap());
        let id = |schedule: &str, time| {
            function.id(&ScheduleName::new(schedule.to_owned()).unwrap(), at(time)).unwrap()
        };

        let run = id("nightly", "2026-11-22T03:00:00Z");

        assert_eq!(run.as_str().len(), 26);
        assert_eq!(run, id("nightly", "2026-11-22T03:00:00Z"));
        assert_ne!(run, id("nightly", "2026-11-23T03:00:00Z"));
        assert_ne!(run, id("weekly", "2026-11-22T03:00:00Z"));
        assert_eq!(run.as_str()[..10], *"01M80K4FW0", "as a ULID of that time begins");
    }

    #[test]
    fn a_function_is_started_with_a_timer_event() {
        let function = Target::Function(FunctionName::new("cleanup").unwrap());
        let recurrence =
            Recurrence::Cron { cron: "0 3 * * *".parse().unwrap(), zone: super::super::Zone::utc() };
        let (nominal, due) = (at("2026-11-22T03:00:00Z"), at("2026-11-22T03:00:07Z"));

        let starting = function.starting(&name(), &recurrence, nominal, due).unwrap();

        assert_eq!((starting.job.queue.as_str(), starting.job.name.as_str()), ("fn/cleanup", "cleanup"));
        let input: serde_json::Value = serde_json::from_str(starting.job.payload.get()).unwrap();
        assert_eq!(
            input,
            json!({ "events": [{
                "id": "nightly@2026-11-22T03:00:00Z",
                "name": "ergate/scheduled.timer",
                "ts": 1_795_316_400_000_u64,
                "data": {
                    "schedule": "nightly", "cron": "0 3 * * *",
                    "scheduledAt": "2026-11-22T03:00:00Z", "fireAt": "2026-11-22T03:00:07Z",
                },
            }], "version": 0 })
        );
    }
}
