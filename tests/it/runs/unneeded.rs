//! Waits that a run needs no more are kept no longer, though their time is not over.

use super::*;

#[derive(Debug, Serialize, Deserialize)]
struct Paid {
    user: u64,
}

impl Event for Paid {
    const NAME: &str = "order/paid";
}

/// How many waits for a payment are kept.
async fn waits(story: &Story) -> u64 {
    let mut count = redis::cmd("HLEN");
    count.arg(story.client.name_keys(&Paid::NAME.parse().unwrap()).waits);
    story.client.redis().command("HLEN", &count).await.unwrap()
}

fn payment(step: &Step, event: &SignedUp) -> ergate::WaitFor<Paid> {
    step.wait_for::<Paid>("payment").on("user", event.user)
}

#[tokio::test]
async fn of_those_that_lost_a_race_while_their_run_goes_on() {
    async fn patient(event: SignedUp, step: Step) -> Result<()> {
        let (paid, late) = (payment(&step, &event), step.clone());
        step.race(
            "outcome",
            [
                Step::way(async { Ok(paid.await?.is_some()) }),
                Step::way(async move {
                    late.sleep("patience", Duration::from_millis(300)).await;
                    Ok(false)
                }),
            ],
        )
        .await?;
        step.sleep("much later", Duration::from_hours(24)).await;
        Ok(())
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("patient", patient));

    let run = start(&story, "patient").await;
    until("the payment is waited for", async || waits(&story).await == 1).await;

    until("it is waited for no more", async || waits(&story).await == 0).await;
    assert!(run.journal().await.unwrap().step("outcome").is_some());
    worker.stop().await;
}

#[tokio::test]
async fn of_what_the_code_had_left_behind_when_it_returned() {
    async fn hasty(event: SignedUp, step: Step) -> Result<&'static str> {
        tokio::select! {
            paid = payment(&step, &event) => Ok(paid?.map_or("nothing", |_| "paid")),
            () = step.sleep("patience", Duration::from_millis(300)) => Ok("too late"),
        }
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("hasty", hasty));

    let run = start(&story, "hasty").await;
    until("the payment is waited for", async || waits(&story).await == 1).await;

    assert_eq!(run.result::<String>(DEADLINE).await.unwrap(), "too late");
    until("it is waited for no more", async || waits(&story).await == 0).await;
    worker.stop().await;
}

#[tokio::test]
async fn but_those_of_a_run_that_failed_are_kept_as_it_may_be_made_to_go_on() {
    async fn broken(event: SignedUp, step: Step) -> Result<()> {
        tokio::select! {
            _ = payment(&step, &event) => Ok(()),
            () = step.sleep("patience", Duration::from_millis(300)) => Err(Failure::fatal("no patience")),
        }
    }
    let story = Story::begin().await;
    let worker = worker(&story, &Shared::default(), Function::new("broken", broken));

    let run = start(&story, "broken").await;

    until_state(&run, RunState::Failed).await;
    worker.stop().await;
    assert_eq!(waits(&story).await, 1);
}
