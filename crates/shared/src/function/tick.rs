//! What a function takes first that schedules start.

use jiff::Timestamp;
use serde::Deserialize;

use super::FunctionInput;
use crate::{Event, EventRecord, RunInput, ScheduleName, schedule::TIMER};

/// A time of a schedule: what a function takes first that only schedules start.
///
/// ```
/// # use ergate_shared::function::Tick;
/// async fn daily_cleanup(tick: Tick /* , step: Step, … */) {
///     println!("cleaning up for {}", tick.at);
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tick {
    /// The schedule; `None` if the run was started by hand.
    pub schedule: Option<ScheduleName>,
    /// The schedule's time, however late the run is; by hand, when it was started.
    pub at: Timestamp,
}

/// Either an event or a time: what a function takes first that both start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOrTick<E> {
    /// Started by an event, or by hand with its data.
    Event(E),
    /// Started by a schedule.
    Tick(Tick),
}

impl FunctionInput for Tick {
    fn event() -> Option<&'static str> {
        None
    }

    fn read(input: &RunInput) -> Result<Self, String> {
        tick(input.events.first().ok_or("the run was started without an event")?)
    }
}

impl<E: Event> FunctionInput for EventOrTick<E> {
    fn event() -> Option<&'static str> {
        Some(E::NAME)
    }

    fn read(input: &RunInput) -> Result<Self, String> {
        match input.events.first() {
            Some(event) if event.name.as_str() == TIMER => tick(event).map(Self::Tick),
            _ => E::read(input).map(Self::Event),
        }
    }
}

fn tick(event: &EventRecord) -> Result<Tick, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Timer {
        schedule: ScheduleName,
        scheduled_at: String,
    }
    if event.name.as_str() != TIMER {
        let at = i64::try_from(event.ts).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        return Ok(Tick { schedule: None, at: at.unwrap_or_default() });
    }
    let wrong = |problem: String| format!("data of event {} is no {TIMER}: {problem}", event.id);
    let timer = Timer::deserialize(&event.data).map_err(|error| wrong(error.to_string()))?;
    let at = timer.scheduled_at.parse().map_err(|error: jiff::Error| wrong(error.to_string()))?;
    Ok(Tick { schedule: Some(timer.schedule), at })
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Manual {
        organization: u32,
    }

    impl Event for Manual {
        const NAME: &str = "integration/sync.manual";
    }

    fn input(name: &str, data: &serde_json::Value) -> RunInput {
        let event = serde_json::json!({ "id": "E1", "name": name, "data": data, "ts": 1_000 });
        RunInput::of(serde_json::from_value(event).unwrap())
    }

    fn timer() -> RunInput {
        input(TIMER, &serde_json::json!({ "schedule": "sync", "scheduledAt": "2026-11-22T06:00:00Z" }))
    }

    #[test]
    fn a_schedule_starts_with_its_nominal_time() {
        let tick = Tick::read(&timer()).unwrap();

        assert_eq!(tick.schedule.unwrap().as_str(), "sync");
        assert_eq!(tick.at.to_string(), "2026-11-22T06:00:00Z");
    }

    #[test]
    fn a_run_started_by_hand_is_a_tick_of_no_schedule() {
        let tick = Tick::read(&input("ergate/function.invoked", &serde_json::Value::Null)).unwrap();

        assert_eq!((tick.schedule, tick.at.as_millisecond()), (None, 1_000));
    }

    #[test]
    fn an_event_and_a_time_are_told_apart() {
        let manual = input(Manual::NAME, &serde_json::json!({ "organization": 7 }));

        let read = EventOrTick::<Manual>::read(&manual);
        assert_eq!(read, Ok(EventOrTick::Event(Manual { organization: 7 })));
        assert!(matches!(EventOrTick::<Manual>::read(&timer()), Ok(EventOrTick::Tick(_))));
    }
}
