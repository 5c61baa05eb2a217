//! The scripts of schedules against a model: tickers and people who each take one step at a time, repeat it, or die in between;
//! each time of a schedule starts its job once.

use std::cell::{Cell, RefCell};

use proptest::collection::vec;

use super::{Met, sequences, transitions};
use crate::story::Story;

mod kept;
mod operation;
mod play;

use operation::operations;
use play::Play;

/// Sequences tried unless the environment says otherwise: some seconds.
const CASES: u32 = 80;
const LONGEST: usize = 60;

#[test]
fn each_time_of_a_schedule_is_started_once_whoever_dies_and_whatever_comes_twice() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let story = runtime.block_on(Story::begin());
    let (played, met) = (Cell::new(0), RefCell::new(Met::default()));

    sequences(CASES, vec(operations(), 1..LONGEST), |operations| {
        played.set(played.get() + 1);
        runtime.block_on(async {
            let mut play = Play::new(&story, played.get());
            for (step, operation) in operations.iter().enumerate() {
                let done = play.play(operation).await;
                done.map_err(|problem| format!("step {step}, {operation:?}: {problem}"))?;
            }
            let transitions = play.end().await.map_err(|problem| format!("at the end: {problem}"))?;
            met.borrow_mut().extend(transitions);
            Ok(())
        })
    });

    let called = runtime.block_on(transitions::called(&story));
    transitions::all_were_met("schedules", &called, &met.borrow());
}
