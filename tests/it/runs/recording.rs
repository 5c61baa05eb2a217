//! Runs that are recorded, to be replayed in tests.

use ergate::{run::RecordedRun, testing::Replay};

use super::*;

#[tokio::test]
async fn a_run_is_recorded_as_it_stands_and_replayed_without_redis() {
    let story = Story::begin().await;
    let shared = Shared::default();
    let worker = worker(&story, &shared, Function::new("onboard", onboard));
    let run = start(&story, "onboard").await;
    run.result::<u64>(DEADLINE).await.unwrap();
    worker.stop().await;

    let recorded = run.recorded().await.unwrap();
    let printed = serde_json::to_string(&run.trace().await.unwrap()).unwrap();
    let read = RecordedRun::from_json(&printed).unwrap();

    assert_eq!((recorded.state, recorded.entries.len()), (RunState::Completed, 3));
    assert_eq!(read.to_json(), recorded.to_json(), "what the command line prints is the same");
    let replay = Replay::of(Function::new("onboard", onboard), shared.clone(), recorded);
    replay.check().await.unwrap();
    assert_eq!(shared.did.all(), ["welcome", "tips"], "the replay did nothing");
}
