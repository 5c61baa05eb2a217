//! The functions: an order that is started by an event, sleeps, waits for another event, sends a third and invokes a second
//! function; what that event starts, three at a time; and the second function, limited per shelf.

use ergate::{Context, prelude::*};

use super::Desk;

/// The functions, by name.
pub const NAMES: [&str; 3] = ["order", "pack", "shipped"];

/// Starts an `order`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ordered {
    /// Which one.
    pub order: String,
    /// How long it sleeps.
    pub nap_ms: u64,
}

/// What an `order` waits for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Paid {
    /// Which one.
    pub order: String,
}

/// Sent by each `order` once; starts a `shipped`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shipped {
    /// Which one.
    pub order: String,
}

/// The input of `pack`, which nobody sends as an event.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pack {
    /// What for.
    pub order: String,
    /// Of each shelf two are packed at a time.
    pub shelf: String,
}

/// What a completed `order` returns: which calls of its steps' bodies are the ones that count.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Filled {
    /// The order.
    pub order: String,
    /// The call of the body of `reserve`.
    pub reserved: String,
    /// Whether the payment came.
    pub paid: bool,
    /// The call of the body of `wrap`, of the run that was invoked.
    pub packed: String,
    /// The call of the body of `close`.
    pub closed: String,
}

impl Event for Ordered {
    const NAME: &str = "chaos/ordered";
}

impl Event for Paid {
    const NAME: &str = "chaos/paid";
}

impl Event for Shipped {
    const NAME: &str = "chaos/shipped";
}

impl Event for Pack {
    const NAME: &str = "chaos/pack";
}

/// The shelf an order is on.
pub fn shelf_of(order: &str) -> String {
    format!("s{}", order.bytes().map(u32::from).sum::<u32>() % 3)
}

/// Adds the functions; a worker of release 2 has a second version of `order` beside the first.
pub fn declare(worker: Worker<Desk>, release: u32, slots: usize) -> Worker<Desk> {
    let swift = |function: Function<Desk>| {
        function.slots(slots).backoff(Backoff::fixed(Duration::from_millis(50))).retries(50)
    };
    let worker = worker
        .function(swift(Function::new("order", order)))
        .function(swift(Function::new("pack", pack)).concurrency_per(2, "event.data.shelf"))
        .function(swift(Function::new("shipped", shipped)).concurrency(3));
    if release < 2 {
        return worker;
    }
    worker.function(swift(Function::new("order", order)).version(2))
}

async fn order(event: Ordered, step: Step, State(desk): State<Desk>, attempt: Context) -> Result<Filled> {
    let call = desk.begin("order", &attempt, None)?;
    let order = event.order;
    let run = attempt.id().to_string();
    let body = |name| desk.step(run.clone(), order.clone(), name);

    let reserved = step.run("reserve", body("reserve")).await?;
    step.sleep("settle", Duration::from_millis(event.nap_ms)).await;
    let payment =
        step.wait_for::<Paid>("payment").on("order", order.as_str()).within(Duration::from_secs(600)).await?;
    step.send("tell", Shipped { order: order.clone() }).await?;
    let shelf = shelf_of(&order);
    let packed = step.invoke("pack", "pack", &Pack { order: order.clone(), shelf }).await?;
    let closed = step.run("close", body("close")).await?;

    call.end();
    Ok(Filled { paid: payment.is_some_and(|paid| paid.order == order), order, reserved, packed, closed })
}

async fn pack(event: Pack, step: Step, State(desk): State<Desk>, attempt: Context) -> Result<String> {
    let call = desk.begin("pack", &attempt, Some(format!("shelf={}", event.shelf)))?;
    let run = attempt.id().to_string();
    let wrapped = step.run("wrap", async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        desk.step(run, event.order, "wrap").await
    });
    let wrapped = wrapped.await?;
    call.end();
    Ok(wrapped)
}

async fn shipped(event: Shipped, step: Step, State(desk): State<Desk>, attempt: Context) -> Result<String> {
    let call = desk.begin("shipped", &attempt, Some("shipped=all".to_owned()))?;
    let run = attempt.id().to_string();
    let noted = step.run("note", async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        desk.step(run, event.order, "note").await
    });
    let noted = noted.await?;
    call.end();
    Ok(noted)
}
