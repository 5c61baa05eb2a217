//! A recorded run and the code of another day.

use ergate::{
    run::{RecordedRun, RunState},
    testing::{Divergence, Replay},
};

use super::*;

/// The run all others are compared with.
async fn old(event: SignedUp, step: Step, State(mails): State<Mails>) -> Result<u32> {
    let number: u32 = step.run("number", async { Ok::<_, Failure>(7) }).await?;
    step.sleep("a day", Duration::from_hours(24)).await;
    step.run("tips", mail(&mails, &event.email)).await?;
    Ok(number)
}

async fn recorded() -> RecordedRun {
    let run = TestRun::of(Function::new("old", old), Mails::default()).event(ada()).finish().await;
    // Through a file, as a test of yours has it.
    RecordedRun::from_json(&run.recorded().to_json()).unwrap()
}

async fn check(function: Function<Mails>, run: RecordedRun) -> Result<Mails, Divergence> {
    let mails = Mails::default();
    Replay::of(function, Arc::clone(&mails), run).check().await?;
    Ok(mails)
}

fn said(checked: Result<Mails, Divergence>) -> String {
    checked.unwrap_err().to_string()
}

#[tokio::test]
async fn the_code_of_the_same_day_takes_the_same_way_and_does_nothing() {
    let mails = check(Function::new("old", old), recorded().await).await.unwrap();

    assert!(mails.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_renamed_step_is_named_with_what_the_journal_has_in_its_place() {
    async fn renamed(event: SignedUp, step: Step, State(mails): State<Mails>) -> Result<()> {
        let _: u32 = step.run("number", async { Ok::<_, Failure>(7) }).await?;
        step.sleep("a day", Duration::from_hours(24)).await;
        step.run("hints", mail(&mails, &event.email)).await?;
        Ok(())
    }

    let divergence = check(Function::new("renamed", renamed), recorded().await).await.unwrap_err();

    assert_eq!((divergence.expected(), divergence.asked()), (Some("tips"), Some("hints")));
    assert_eq!(divergence.to_string(), "the journal goes on with step tips, the code asks for step hints");
}

#[tokio::test]
async fn a_sleep_that_was_renamed_is_found_though_it_runs_no_body() {
    async fn renamed(_: SignedUp, step: Step) -> Result<()> {
        let _: u32 = step.run("number", async { Ok::<_, Failure>(7) }).await?;
        step.sleep("24 hours", Duration::from_hours(24)).await;
        Ok(())
    }

    let checked = Replay::of(Function::new("renamed", renamed), (), recorded().await).check().await;

    assert_eq!(
        checked.unwrap_err().to_string(),
        "the journal goes on with step a day, the code asks for step 24 hours"
    );
}

#[tokio::test]
async fn a_step_that_is_gone_and_one_that_is_new_are_found() {
    async fn shorter(_: SignedUp, step: Step, State(_): State<Mails>) -> Result<u32> {
        step.sleep("a day", Duration::from_hours(24)).await;
        Ok(step.run("number", async { Ok::<_, Failure>(7) }).await?)
    }
    async fn longer(event: SignedUp, step: Step, State(mails): State<Mails>) -> Result<()> {
        old(event, step.clone(), State(Arc::clone(&mails))).await?;
        step.run("goodbye", mail(&mails, "ada")).await?;
        Ok(())
    }

    let shorter = check(Function::new("shorter", shorter), recorded().await).await;
    let longer = check(Function::new("longer", longer), recorded().await).await;

    assert_eq!(said(shorter), "the journal goes on with step tips, the code has returned");
    assert_eq!(said(longer), "the run had ended here, the code asks for step goodbye");
}

#[tokio::test]
async fn a_run_under_way_may_ask_for_more_than_it_has_recorded() {
    let run =
        TestRun::of(Function::new("old", old), Mails::default()).event(ada()).until("tips").finish().await;
    let recorded = run.recorded();
    assert_eq!(recorded.state, RunState::Suspended);

    let mails = check(Function::new("old", old), recorded).await.unwrap();

    assert!(mails.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_step_that_became_a_sleep_and_a_result_of_another_type_are_found() {
    async fn sleeping(_: SignedUp, step: Step, State(_): State<Mails>) -> Result<()> {
        step.sleep("number", Duration::from_hours(24)).await;
        Ok(())
    }
    async fn retyped(_: SignedUp, step: Step, State(_): State<Mails>) -> Result<String> {
        Ok(step.run("number", async { Ok::<_, Failure>(String::new()) }).await?)
    }

    let sleeping = said(check(Function::new("sleeping", sleeping), recorded().await).await);
    let retyped = said(check(Function::new("retyped", retyped), recorded().await).await);

    assert!(sleeping.contains("the code fails: step number is a sleep in the code"), "{sleeping}");
    assert!(retyped.contains("its remembered result is no longer of the type in the code"), "{retyped}");
}

#[tokio::test]
async fn steps_side_by_side_and_the_losers_of_a_race_are_known_whatever_their_order() {
    async fn both(_: SignedUp, step: Step, State(mails): State<Mails>) -> Result<String> {
        let slow = async {
            tokio::task::yield_now().await;
            mail(&mails, "slow").await
        };
        let (slow, fast) = tokio::join!(step.run("slow", slow), step.run("fast", mail(&mails, "fast")));
        slow?;
        fast?;
        let late = step.clone();
        let way = |name: &'static str, hours| {
            let step = late.clone();
            Step::way(async move {
                step.sleep(format!("{name} sleep"), Duration::from_hours(hours)).await;
                Ok(name.to_owned())
            })
        };
        Ok(step.race("first", [way("tortoise", 2), way("hare", 1)]).await?)
    }
    let run = TestRun::of(Function::new("both", both), Mails::default()).event(ada()).finish().await;
    assert_eq!(run.result::<String>(), "hare");

    check(Function::new("both", both), run.recorded()).await.unwrap();
}

#[tokio::test]
async fn a_run_is_under_way_after_each_of_its_entries_and_its_code_goes_on_from_there() {
    async fn busy(event: SignedUp, step: Step, State(mails): State<Mails>) -> Result<u32> {
        let (number, _) = tokio::join!(
            step.run("number", async { Ok::<_, Failure>(7_u32) }),
            step.run("mail", mail(&mails, &event.email))
        );
        let flaky = step.run_with("flaky", async |attempt| {
            if attempt.number < 3 { Err(Failure::retry("not yet")) } else { Ok(attempt.number) }
        });
        let attempts = flaky.await?;
        let answer = step.wait_for::<Answer>("answer").within(Duration::from_hours(1)).await?;
        if answer.is_none() {
            for _ in 0..3 {
                step.sleep("remind", Duration::from_hours(1)).await;
                step.run("reminder", mail(&mails, "again")).await?;
            }
        }
        Ok(number? + attempts)
    }
    let run = TestRun::of(Function::new("busy", busy), Mails::default()).event(ada()).finish().await;
    assert_eq!(run.result::<u32>(), 10);
    assert_eq!(run.entries().len(), 13, "{:?}", run.entries());

    for entries in 0..=13 {
        let mut recorded = run.recorded();
        recorded.entries.truncate(entries);
        recorded.state = if entries == 13 { RunState::Completed } else { RunState::Suspended };

        let mails = check(Function::new("busy", busy), recorded).await;

        assert!(mails.is_ok_and(|mails| mails.lock().unwrap().is_empty()), "after {entries} entries");
    }
}

#[tokio::test]
async fn a_run_that_failed_may_fail_again_and_not_go_another_way() {
    async fn failing(_: SignedUp, step: Step, State(_): State<Mails>) -> Result<()> {
        let charged = step.run("charge", async { Err::<(), _>(Failure::fatal("no money")) }).await;
        Ok(charged?)
    }
    async fn handling(event: SignedUp, step: Step, State(mails): State<Mails>) -> Result<()> {
        if step.run("charge", async { Err::<(), _>(Failure::fatal("no money")) }).await.is_err() {
            step.run("apologise", mail(&mails, &event.email)).await?;
        }
        Ok(())
    }
    let run = TestRun::of(Function::new("failing", failing), Mails::default()).event(ada()).finish().await;

    check(Function::new("failing", failing), run.recorded()).await.unwrap();
    let other = check(Function::new("handling", handling), run.recorded()).await;

    assert_eq!(said(other), "the run had ended here, the code asks for step apologise");
}

#[tokio::test]
async fn a_run_that_was_cancelled_while_it_slept_is_no_divergence() {
    let run =
        TestRun::of(Function::new("old", old), Mails::default()).event(ada()).until("tips").finish().await;
    let cancelled = RecordedRun { state: RunState::Cancelled, ..run.recorded() };

    check(Function::new("old", old), cancelled).await.unwrap();
}

#[tokio::test]
async fn a_race_of_a_release_that_did_not_number_uses_is_replayed_as_it_went_there() {
    async fn racing(_: SignedUp, step: Step, State(_): State<Mails>) -> Result<u32> {
        let fetch = async |mirror: u32| Ok::<_, Failure>(mirror);
        let quick = async { step.run("fetch", fetch(0)).await };
        let slow = async {
            step.run("fetch", fetch(1)).await?;
            step.sleep("line up", Duration::from_hours(1)).await;
            step.run("fetch", fetch(2)).await
        };
        let first = step.race("first", [Step::way(quick), Step::way(slow)]).await?;
        step.sleep("rest", Duration::from_hours(1)).await;
        Ok(first + step.run("fetch", fetch(3)).await?)
    }
    let run = TestRun::of(Function::new("racing", racing), Mails::default()).event(ada()).finish().await;
    assert_eq!(run.result::<u32>(), 3);
    let mut recorded: serde_json::Value = serde_json::from_str(&run.recorded().to_json()).unwrap();
    let race = recorded["journal"].as_array_mut().unwrap().iter_mut().find(|entry| entry["step"] == "first");
    let won = race.unwrap()["op"]["done"]["result"].as_object_mut().unwrap();
    assert!(won.remove("won").is_some() && won.remove("lost").is_some(), "{won:?}");

    check(Function::new("racing", racing), RecordedRun::from_json(&recorded.to_string()).unwrap())
        .await
        .unwrap();
}
