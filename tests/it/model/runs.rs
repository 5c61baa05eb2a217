//! The scripts of runs and events against a model: workers that journal, wait and invoke, routers that bring events, and a courier
//! that brings results. Each is cut off anywhere and begins again; each entry is journalled once, and nothing is lost.

use std::cell::{Cell, RefCell};

use proptest::collection::vec;

use super::{Met, sequences, transitions};
use crate::story::Story;

mod events;
mod journal;
mod judge;
mod operation;
mod play;
mod router;
mod worker;
mod world;

use operation::operations;
use play::Play;

/// Sequences tried unless the environment says otherwise: about ten seconds.
const CASES: u32 = 60;
const LONGEST: usize = 90;

#[test]
fn every_entry_is_journalled_once_and_no_event_or_result_is_lost() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let story = runtime.block_on(Story::begin());
    let (played, met) = (Cell::new(0), RefCell::new(Met::default()));

    sequences(CASES, vec(operations(), 1..LONGEST), |operations| {
        played.set(played.get() + 1);
        runtime.block_on(async {
            let mut play = Play::new(&story, played.get());
            play.begin_with(3).await?;
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
    transitions::all_were_met("runs", &called, &met.borrow());
}
