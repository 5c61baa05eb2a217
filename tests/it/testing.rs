//! The kit that users test their own functions and producers with: it needs no Redis.

use std::sync::{Arc, Mutex};

use ergate::{
    EventRecord,
    prelude::*,
    testing::{Outbox, TestRun},
};

mod replay;

type Mails = Arc<Mutex<Vec<String>>>;

#[derive(Debug, Serialize, Deserialize)]
struct SignedUp {
    email: String,
}

impl Event for SignedUp {
    const NAME: &str = "user/signed-up";
}

#[derive(Debug, Serialize, Deserialize)]
struct Audit {
    what: String,
}

impl Job for Audit {
    const NAME: &str = "audit";
}

fn ada() -> SignedUp {
    SignedUp { email: "ada".to_owned() }
}

async fn mail(mails: &Mails, what: &str) -> Result<()> {
    mails.lock().unwrap().push(what.to_owned());
    Ok(())
}

async fn is_active() -> Result<bool> {
    Err(Failure::retry("there is no database in a test"))
}

async fn welcome(event: SignedUp, step: Step, State(mails): State<Mails>) -> Result<String> {
    step.run("send-email", mail(&mails, "welcome")).await?;
    step.sleep("wait-1-day", Duration::from_hours(24)).await;
    step.run("send-tips-email", mail(&mails, "tips")).await?;
    step.sleep("wait-3-days", Duration::from_hours(72)).await;
    if !step.run("check-activity", is_active()).await? {
        step.run("send-reengagement", mail(&mails, "come back")).await?;
    }
    Ok(event.email)
}

#[tokio::test]
async fn four_days_of_sleeps_pass_at_once() {
    let mails = Mails::default();

    let run = TestRun::of(Function::new("welcome", welcome), Arc::clone(&mails))
        .event(ada())
        .step("check-activity", &false)
        .finish()
        .await;

    assert_eq!(run.result::<String>(), "ada");
    assert_eq!(
        run.steps(),
        ["send-email", "wait-1-day", "send-tips-email", "wait-3-days", "check-activity", "send-reengagement"]
    );
    assert_eq!(*mails.lock().unwrap(), ["welcome", "tips", "come back"]);
    assert_eq!(run.took(), Duration::from_hours(96));
}

#[tokio::test]
async fn a_preset_step_decides_which_way_the_run_takes() {
    let run = TestRun::of(Function::new("welcome", welcome), Mails::default())
        .event(ada())
        .step("check-activity", &true)
        .finish()
        .await;

    assert_eq!(run.steps().last(), Some(&"check-activity"));
    assert!(run.returned::<bool>("check-activity"));
}

#[tokio::test]
async fn a_step_is_tried_as_often_as_declared_before_the_run_fails() {
    let function =
        Function::new("welcome", welcome).retries(2).backoff(Backoff::fixed(Duration::from_secs(10)));

    let run = TestRun::of(function, Mails::default()).event(ada()).finish().await;

    assert!(run.failure().unwrap().is_fatal());
    let said = run.failure().unwrap().to_string();
    assert_eq!(said, "step check-activity failed at attempt 3: there is no database in a test");
    assert_eq!(run.took(), Duration::from_hours(96) + Duration::from_secs(20), "two delays, without jitter");
}

#[tokio::test]
async fn a_run_stops_before_the_step_it_is_told_to() {
    let mails = Mails::default();

    let run = TestRun::of(Function::new("welcome", welcome), Arc::clone(&mails))
        .event(ada())
        .until("send-tips-email")
        .finish()
        .await;

    assert_eq!(run.steps(), ["send-email", "wait-1-day"]);
    assert_eq!(*mails.lock().unwrap(), ["welcome"]);
}

#[tokio::test]
async fn a_run_stops_before_a_sleep_too() {
    let welcome = Function::new("welcome", welcome);

    let run = TestRun::of(welcome, Mails::default()).event(ada()).until("wait-1-day").finish().await;

    assert_eq!(run.steps(), ["send-email"]);
    assert!(run.took().is_zero());
}

#[tokio::test]
#[should_panic(expected = "the run never came to step send-tips; its steps are")]
async fn a_run_that_never_comes_to_the_step_it_is_to_stop_before_is_no_passed_test() {
    let welcome = Function::new("welcome", welcome);

    TestRun::of(welcome, Mails::default())
        .event(ada())
        .step("check-activity", &true)
        .until("send-tips")
        .finish()
        .await;
}

#[tokio::test]
async fn what_a_function_enqueues_can_be_looked_at() {
    async fn audited(event: SignedUp, step: Step, client: Client) -> Result<()> {
        let job = Audit { what: format!("{} signed up", event.email) };
        step.run("audit", async { client.enqueue(job).await.map(|receipt| receipt.id) }).await?;
        Ok(())
    }
    let (client, outbox): (Client, Outbox) = Client::recording();

    TestRun::of(Function::new("audited", audited), ())
        .client(client)
        .event(ada())
        .finish()
        .await
        .result::<()>();

    assert_eq!(outbox.jobs::<Audit>()[0].what, "ada signed up");
}

#[tokio::test]
async fn a_recording_client_knows_an_id_it_has_seen_and_has_no_redis_to_ask() {
    let (client, outbox) = Client::recording();
    let audit = || Audit { what: "it".to_owned() };

    let first = client.enqueue(audit()).id("one").await.unwrap();
    let second = client.enqueue(audit()).id("one").await.unwrap();
    let asked = client.queue("default").unwrap().stats().await.unwrap_err();

    assert!(!first.duplicate && second.duplicate);
    assert_eq!(outbox.all().len(), 1);
    assert!(asked.to_string().contains("a-recording-client-has-no-redis"), "{asked}");
}

#[tokio::test]
async fn what_was_enqueued_and_sent_is_asserted_by_type() {
    let (client, outbox) = Client::recording();
    outbox.assert_empty();

    client.enqueue(Audit { what: "it".to_owned() }).await.unwrap();
    client.send_all([ada(), ada()]).await.unwrap();
    let again = client.send(ada()).id("one").await.unwrap();
    let duplicate = client.send(ada()).id("one").await.unwrap();

    assert_eq!(outbox.assert_enqueued::<Audit>().len(), 1);
    assert_eq!(outbox.assert_sent::<SignedUp>().len(), 3);
    assert!(!again.duplicate && duplicate.duplicate);
    assert_eq!(outbox.all_events()[2].id.as_str(), "one");
}

#[tokio::test]
#[should_panic(expected = "no event user/signed-up was sent; what was: user/left, user/left")]
async fn an_assertion_that_fails_says_what_there_was_instead() {
    let (client, outbox) = Client::recording();
    client.send_raw("user/left", serde_json::json!({})).await.unwrap();
    client.send_raw("user/left", serde_json::json!({})).await.unwrap();

    outbox.assert_sent::<SignedUp>();
}

#[tokio::test]
async fn an_event_that_a_step_sends_is_recorded_under_the_key_of_the_step() {
    async fn passing_on(event: SignedUp, step: Step) -> Result<()> {
        step.send("pass-on", event).await?;
        Ok(())
    }
    let (client, outbox) = Client::recording();

    let run =
        TestRun::of(Function::new("passing-on", passing_on), ()).client(client).event(ada()).finish().await;

    run.result::<()>();
    assert_eq!(outbox.assert_sent::<SignedUp>()[0].email, "ada");
    assert!(outbox.all_events()[0].id.as_str().ends_with("/pass-on"));
}

#[tokio::test]
async fn a_function_is_started_by_its_schedule_at_a_time_of_the_tests_choice() {
    async fn nightly(tick: Tick, step: Step) -> Result<String> {
        let now = step.now().await?;
        assert_eq!(now, tick.at);
        Ok(format!("{} {}", tick.schedule.unwrap(), tick.at))
    }

    let run = TestRun::of(Function::new("nightly", nightly), ())
        .tick("2026-12-01T03:00:00Z".parse().unwrap())
        .finish()
        .await;

    assert_eq!(run.result::<String>(), "nightly 2026-12-01T03:00:00Z");
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    yes: bool,
}

impl Event for Answer {
    const NAME: &str = "user/answered";
}

/// Asks twice, and says what the answers were.
async fn ask_twice(_: SignedUp, step: Step) -> Result<(Option<bool>, Option<bool>)> {
    let within = Duration::from_hours(1);
    let first = step.wait_for::<Answer>("first").within(within).await?;
    let second = step.wait_for::<Answer>("second").within(within).await?;
    Ok((first.map(|answer| answer.yes), second.map(|answer| answer.yes)))
}

fn asking_twice() -> TestRun<()> {
    TestRun::of(Function::new("ask-twice", ask_twice), ()).event(ada())
}

#[tokio::test]
async fn a_wait_that_is_to_expire_does_so_whatever_is_delivered() {
    let run = asking_twice().expire("first").deliver(Answer { yes: true }).finish().await;

    assert_eq!(run.result::<(Option<bool>, Option<bool>)>(), (None, Some(true)));
    assert_eq!(run.took(), Duration::from_hours(1));
}

#[tokio::test]
async fn an_event_is_delivered_to_the_wait_it_is_for() {
    let run = asking_twice()
        .deliver_to("second", Answer { yes: false })
        .deliver_to("first", Answer { yes: true })
        .finish()
        .await;

    assert_eq!(run.result::<(Option<bool>, Option<bool>)>(), (Some(true), Some(false)));
}

#[tokio::test]
#[should_panic(expected = r#"the run never waited at step third; its steps are ["first", "second"]"#)]
async fn a_wait_that_the_run_never_comes_to_cannot_expire() {
    asking_twice().expire("third").finish().await;
}

#[tokio::test]
#[should_panic(expected = "step first waits for another event than the user/signed-up delivered to it")]
async fn an_event_that_a_wait_is_not_for_cannot_be_delivered_to_it() {
    asking_twice().deliver_to("first", ada()).finish().await;
}

#[tokio::test]
async fn a_wait_is_ended_by_the_event_that_is_delivered_and_else_runs_out() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Verified {
        email: String,
    }
    impl Event for Verified {
        const NAME: &str = "user/verified";
    }
    async fn verify(event: SignedUp, step: Step) -> Result<bool> {
        let wait = step.wait_for::<Verified>("verification").on("email", event.email);
        Ok(wait.within(Duration::from_hours(72)).await?.is_some())
    }
    let verify = || TestRun::of(Function::new("verify", verify), ()).event(ada());

    let came = verify().deliver(Verified { email: "ada".to_owned() }).finish().await;
    let other = verify().deliver(Verified { email: "bob".to_owned() }).finish().await;

    assert!(came.result::<bool>() && came.took().is_zero());
    assert!(!other.result::<bool>());
    assert_eq!(other.took(), Duration::from_hours(72));
}

#[tokio::test]
#[should_panic(expected = "step verification has no body: end its wait with `deliver_to` or `expire`")]
async fn a_wait_is_not_given_a_result_as_a_step_is() {
    async fn verify(_: SignedUp, step: Step) -> Result<()> {
        step.wait_for::<SignedUp>("verification").within(Duration::from_hours(72)).await?;
        Ok(())
    }

    TestRun::of(Function::new("verify", verify), ()).event(ada()).step("verification", &true).finish().await;
}

#[tokio::test]
async fn events_are_of_the_time_at_which_they_come() {
    async fn times(event: EventRecord, step: Step) -> Result<Vec<u64>> {
        step.sleep("a day", Duration::from_hours(24)).await;
        let again = step.wait_for_named("again", SignedUp::NAME).await?.unwrap();
        Ok(vec![event.ts, again.ts])
    }
    let begins: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let day = 24 * 3_600_000;

    let run = TestRun::of(Function::new("times", times), ()).event(ada()).beginning_at(begins);
    let run = run.deliver(ada()).finish().await;

    let begins = begins.as_millisecond() as u64;
    assert_eq!(run.result::<Vec<u64>>(), [begins, begins + day]);
}
