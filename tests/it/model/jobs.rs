//! The scripts of a queue against a model of one: jobs, workers, limits, and calls that are cut on their way.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use proptest::collection::vec;

use super::{Met, sequences, transitions};
use crate::{
    story::Story,
    support::{RedisServer, until},
};

mod letter;
mod operation;
mod pace;
mod queue;
mod rehearsal;

use operation::{Operation, operations};
use rehearsal::Rehearsal;

/// Sequences tried unless the environment says otherwise: about ten seconds.
const CASES: u32 = 100;
const LONGEST: usize = 60;

#[test]
#[allow(clippy::await_holding_refcell_ref, reason = "nothing else runs")]
fn the_scripts_do_what_a_plain_model_of_a_queue_does() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // What was answered is in the hands of the operating system, which does not die.
    let server = RedisServer::options().config("appendonly", "yes").config("appendfsync", "no");
    let story = RefCell::new(runtime.block_on(async { Story::on(server.start().await).await }));
    let (played, met) = (Cell::new(0), RefCell::new(Met::default()));
    let called = RefCell::new(BTreeSet::new());

    sequences(CASES, vec(operations(), 1..LONGEST), |operations| {
        played.set(played.get() + 1);
        let name = format!("model-{}", played.get());
        runtime.block_on(async {
            let queue = story.borrow().client.queue(&name).unwrap();
            let mut rehearsal = Rehearsal::of(queue);
            for (step, operation) in operations.iter().enumerate() {
                if matches!(operation, Operation::Restart) {
                    called.borrow_mut().append(&mut transitions::called(&story.borrow()).await);
                    restart(&mut story.borrow_mut()).await;
                }
                let done = rehearsal.play(operation).await;
                done.map_err(|problem| format!("step {step}, {operation:?}: {problem}"))?;
            }
            let transitions =
                rehearsal.clear_away().await.map_err(|problem| format!("at the end: {problem}"))?;
            met.borrow_mut().extend(transitions);
            Ok(())
        })
    });

    called.borrow_mut().append(&mut runtime.block_on(transitions::called(&story.borrow())));
    transitions::all_were_met("jobs", &called.borrow(), &met.borrow());
}

async fn restart(story: &mut Story) {
    story.redis.restart().await;
    until("the client is connected again", async || {
        story.client.redis().command::<String>("PING", &redis::cmd("PING")).await.is_ok()
    })
    .await;
}
