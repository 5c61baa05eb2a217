use proptest::prelude::*;

use super::*;
use crate::schedule::{Origin, Schedule};

const MINUTE: u64 = 60_000;
/// A whole number of minutes since the epoch.
const START: u64 = 1_795_316_400_000;

fn each_minute(options: impl FnOnce(Schedule) -> Schedule) -> (ScheduleName, ScheduleSpec) {
    let schedule = Schedule::every("tick", Duration::from_millis(MINUTE)).function("f");
    options(schedule).build(Origin::Hand).unwrap()
}

fn nominals(plan: &Plan) -> Vec<u64> {
    plan.starts.iter().map(|start| (start.nominal - START) / MINUTE).collect()
}

/// Set in the middle of minute 0, so that minute 1 is the first.
fn begun(spec: &ScheduleSpec) -> ScheduleState {
    ScheduleState::new("b".to_owned(), spec, START + MINUTE / 2)
}

fn minute(number: u64) -> u64 {
    START + number * MINUTE
}

/// Goes through all steps at `now`.
fn pass(
    state: ScheduleState,
    name: &ScheduleName,
    spec: &ScheduleSpec,
    now: u64,
    busy: bool,
) -> (ScheduleState, Vec<u64>) {
    let Some(plan) = state.plan(name, spec, now, busy) else { return (state, Vec::new()) };
    let started = nominals(&plan);
    (state.planned(plan).carried_out(name, spec, now).unwrap(), started)
}

#[test]
fn nothing_is_done_before_the_time_and_the_next_is_found_from_it() {
    let (name, spec) = each_minute(|schedule| schedule);
    let state = begun(&spec);

    assert_eq!(state.due(&name, &spec, minute(0)), Some(minute(1)));
    assert_eq!(state.plan(&name, &spec, minute(1) - 1, false), None);

    let late = minute(1) + 700;
    let (state, started) = pass(state, &name, &spec, late, false);

    assert_eq!(started, [1]);
    assert_eq!(state.awaited, Some(minute(2)));
    assert_eq!(state.last.unwrap().nominal, minute(1));
    assert_eq!(state.counts, Counts { started: 1, missed: 0, skipped: 0 });
}

#[test]
fn of_missed_times_as_many_are_made_up_as_was_asked_for() {
    for (catch_up, now, started, missed) in [
        (CatchUp::Latest, minute(5), vec![5], 4),
        (CatchUp::Latest, minute(5) + 59_999, vec![5], 4),
        (CatchUp::All(3), minute(5), vec![3, 4, 5], 2),
        (CatchUp::All(10), minute(5), vec![1, 2, 3, 4, 5], 0),
        (CatchUp::Skip, minute(5) + 1_000, vec![5], 4),
    ] {
        let (name, spec) = each_minute(|schedule| schedule.catch_up(catch_up));

        let plan = begun(&spec).plan(&name, &spec, now, false).unwrap();

        assert_eq!((nominals(&plan), plan.missed), (started, missed), "{catch_up}");
        assert_eq!(plan.awaited, Some(minute(6)));
    }
}

#[test]
fn what_is_over_a_minute_late_is_not_made_up_if_missed_times_are_skipped() {
    let (name, spec) =
        Schedule::cron("daily", "@daily").function("f").catch_up(CatchUp::Skip).build(Origin::Hand).unwrap();
    let state = ScheduleState::new("b".to_owned(), &spec, START);
    let midnight = state.awaited.unwrap();

    let in_time = state.plan(&name, &spec, midnight + 60_000, false).unwrap();
    let late = state.plan(&name, &spec, midnight + 60_001, false).unwrap();

    assert_eq!((in_time.starts.len(), in_time.missed), (1, 0));
    assert_eq!((late.starts.len(), late.missed), (0, 1));
    assert_eq!(late.awaited, Some(midnight + 24 * 60 * MINUTE));
}

#[test]
fn years_of_missed_seconds_are_told_apart_quickly() {
    let (name, spec) = Schedule::cron("s", "* * * * * *").function("f").build(Origin::Hand).unwrap();
    let state = ScheduleState::new("b".to_owned(), &spec, START);
    let years_later = START + 3 * 365 * 24 * 60 * MINUTE;

    let plan = state.plan(&name, &spec, years_later, false).unwrap();

    assert_eq!(plan.starts.iter().map(|start| start.nominal).collect::<Vec<_>>(), [years_later]);
    assert_eq!(plan.missed, 1_000);
    assert_eq!(plan.awaited, Some(years_later + 1_000));
}

#[test]
fn a_time_is_passed_over_while_the_last_job_runs() {
    let (name, spec) = each_minute(|schedule| schedule.overlap(Overlap::Skip));
    let state = begun(&spec);

    let (state, first) = pass(state, &name, &spec, minute(1), false);
    let (state, second) = pass(state, &name, &spec, minute(2), true);
    let (state, third) = pass(state, &name, &spec, minute(3), false);

    assert_eq!((first, second, third), (vec![1], vec![], vec![3]));
    assert_eq!(state.counts, Counts { started: 2, missed: 0, skipped: 1 });
}

#[test]
fn one_time_waits_for_the_end_of_the_last_job_and_no_more() {
    let (name, spec) = each_minute(|schedule| schedule.overlap(Overlap::QueueOne));
    let state = begun(&spec);

    let (state, first) = pass(state, &name, &spec, minute(1), false);
    let (state, second) = pass(state, &name, &spec, minute(2), true);
    assert_eq!(
        state.due(&name, &spec, minute(2)),
        Some(minute(2) + 5_000),
        "somebody looks before the next time"
    );
    let (state, third) = pass(state, &name, &spec, minute(3), true);
    assert_eq!(state.held, Some(minute(2)));
    let (state, at_the_end) = pass(state, &name, &spec, minute(3) + 1, false);

    assert_eq!((first, second, third, at_the_end), (vec![1], vec![], vec![], vec![2]));
    assert_eq!((state.held, state.awaited), (None, Some(minute(4))));
    assert_eq!(state.counts, Counts { started: 2, missed: 0, skipped: 1 });
}

#[test]
fn the_running_job_is_cancelled_only_if_another_takes_its_place() {
    let (name, spec) = each_minute(|schedule| schedule.overlap(Overlap::CancelRunning));
    let state = begun(&spec);

    assert!(!state.plan(&name, &spec, minute(1), false).unwrap().cancel);
    assert!(state.plan(&name, &spec, minute(1), true).unwrap().cancel);
}

#[test]
fn what_passes_while_paused_is_not_missed() {
    let (name, spec) = each_minute(|schedule| schedule);
    let state = begun(&spec).paused(minute(0));

    assert_eq!(state.due(&name, &spec, minute(9)), None);
    assert_eq!(state.plan(&name, &spec, minute(9), false), None);

    let (state, started) = pass(state.resumed(&spec, minute(9) + 1), &name, &spec, minute(10), false);

    assert_eq!(started, [10]);
    assert_eq!(state.counts.missed, 0);
}

#[test]
fn a_start_has_a_number_higher_than_all_before_even_once_it_is_set_anew() {
    let (name, spec) = each_minute(|schedule| schedule.catch_up(CatchUp::All(10)));
    let (state, _) = pass(begun(&spec), &name, &spec, minute(3), false);

    let state = state.set(&spec, minute(3));
    let plan = state.plan(&name, &spec, minute(5), false).unwrap();

    assert_eq!(
        plan.starts,
        [Start { number: 4, nominal: minute(4) }, Start { number: 5, nominal: minute(5) }]
    );
    assert_eq!(state.revision, 2);
}

#[test]
fn no_time_is_missed_however_large_the_jitter_if_somebody_looks_when_it_is_due() {
    let (name, spec) = each_minute(|schedule| schedule.jitter(Duration::from_hours(1)));
    let mut state = begun(&spec);

    for number in 1..=200 {
        let due = state.due(&name, &spec, 0).unwrap();
        let (next, started) = pass(state, &name, &spec, due, false);
        assert_eq!(started, [number]);
        state = next;
    }

    assert_eq!(state.counts, Counts { started: 200, missed: 0, skipped: 0 });
}

#[test]
fn a_plan_of_a_release_that_did_not_say_in_which_queue_is_read() {
    let (name, spec) = each_minute(|schedule| schedule);
    let plan = begun(&spec).plan(&name, &spec, minute(1), false).unwrap();
    let planned = begun(&spec).planned(Plan { queue: None, ..plan });
    assert!(!planned.write().contains("queue"), "as it was written then");

    let read = ScheduleState::read(&name, &planned.write()).unwrap();

    assert_eq!(read, planned);
    assert_eq!(read.carried_out(&name, &spec, minute(1)).unwrap().last.unwrap().queue, spec.target.queue());
}

#[test]
fn what_was_started_is_found_in_the_queue_it_was_put_into() {
    let (name, spec) = each_minute(|schedule| schedule);
    let plan = begun(&spec).plan(&name, &spec, minute(1), false).unwrap();
    let queue = QueueName::new("fn/f@2").unwrap();
    let plan = Plan { queue: Some(queue.clone()), ..plan };

    let state = begun(&spec).planned(plan).carried_out(&name, &spec, minute(1)).unwrap();

    assert_eq!(state.last.unwrap().queue, queue);
}

#[test]
fn times_of_a_plan_that_is_given_up_are_missed_and_the_next_one_is_awaited() {
    let (name, spec) = each_minute(|schedule| schedule.catch_up(CatchUp::All(2)).overlap(Overlap::QueueOne));
    let plan = begun(&spec).plan(&name, &spec, minute(4), false).unwrap();
    assert_eq!((nominals(&plan), plan.missed, plan.held), (vec![3], 2, Some(minute(4))));

    let state = begun(&spec).planned(plan).given_up();

    assert_eq!((state.plan.as_ref(), state.last.as_ref()), (None, None));
    assert_eq!((state.held, state.awaited), (Some(minute(4)), Some(minute(5))));
    assert_eq!(state.counts, Counts { started: 0, missed: 3, skipped: 0 });
    assert_eq!(state.clone().given_up(), state);
}

fn by_hand(number: u64) -> Started {
    let job = JobId::new(format!("tick@{number}")).unwrap();
    Started { nominal: number, at: number, queue: QueueName::new("mail").unwrap(), job }
}

#[test]
fn what_was_started_by_hand_counts_until_it_has_ended_and_sixteen_at_most_do() {
    let ats = |state: &ScheduleState| state.started().map(|started| started.at).collect::<Vec<_>>();
    let state = ScheduleState::default()
        .out_of_turn(by_hand(1), Vec::new())
        .out_of_turn(by_hand(3), vec![by_hand(1)]);

    assert_eq!(ats(&state), [1, 3]);
    assert_eq!(ats(&state.clone().out_of_turn(by_hand(4), vec![by_hand(3)])), [3, 4]);

    let many = state.out_of_turn(by_hand(90), (10..50).map(by_hand).collect());
    assert_eq!(ats(&many), (35..50).chain([90]).collect::<Vec<_>>());
}

#[test]
fn a_state_of_an_earlier_release_reads_with_what_was_last_started_by_hand() {
    let kept = r#"{"birth":"b","by_hand":{"nominal":7,"at":7,"queue":"mail","job":"tick@7"},"starts":0,"counts":{}}"#;

    let state = ScheduleState::read(&ScheduleName::new("tick").unwrap(), kept).unwrap();

    assert_eq!(state.started().collect::<Vec<_>>(), [&by_hand(7)]);
    assert!(!state.write().contains("by_hand_before"), "an earlier release reads it as it always was");
}

#[test]
fn a_state_reads_back_with_what_a_later_release_put_in() {
    let (name, spec) = each_minute(|schedule| schedule);
    let plan = begun(&spec).plan(&name, &spec, minute(1), false).unwrap();
    let mut state = begun(&spec).planned(plan);
    state.unknown.insert("mood".to_owned(), "good".into());

    assert_eq!(ScheduleState::read(&name, &state.write()).unwrap(), state);
}

proptest! {
    /// Whatever is asked when: no time is started twice, all are accounted for, and numbers grow.
    #[test]
    fn each_time_is_started_missed_or_passed_over_once(
        steps in prop::collection::vec((1_u64..400_000, any::<bool>()), 1..40),
        overlap in prop::sample::select(vec![Overlap::Allow, Overlap::Skip, Overlap::QueueOne, Overlap::CancelRunning]),
        catch_up in prop::sample::select(vec![CatchUp::Skip, CatchUp::Latest, CatchUp::All(3)]),
        jitter in prop::sample::select(vec![0, 1_000, 90_000]),
    ) {
        let (name, spec) = each_minute(|schedule| {
            schedule.overlap(overlap).catch_up(catch_up).jitter(Duration::from_millis(jitter))
        });
        let (mut state, mut now, mut started, mut number) = (begun(&spec), START, Vec::new(), 0);
        for (passes, busy) in steps {
            now += passes;
            let Some(plan) = state.plan(&name, &spec, now, busy) else { continue };
            for start in &plan.starts {
                prop_assert!(start.nominal <= now);
                prop_assert_eq!(start.number, number + 1);
                number = start.number;
                started.push(start.nominal);
            }
            state = state.planned(plan).carried_out(&name, &spec, now).unwrap();
        }
        prop_assert!(started.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", started);
        let passed = (state.awaited.unwrap() - minute(1)) / MINUTE;
        let counts = state.counts;
        let held = u64::from(state.held.is_some());
        prop_assert_eq!(counts.started + counts.missed + counts.skipped + held, passed);
        prop_assert_eq!(counts.started, started.len() as u64);
    }
}
