//! Limits per key hold over all workers: one account's mails are spaced, and its backlog keeps no other account waiting.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use ergate::prelude::*;

#[derive(Serialize, Deserialize)]
struct SendMail {
    account: String,
}

impl Job for SendMail {
    const NAME: &str = "send-mail";
    const QUEUE: &str = "account-mail";

    fn keys(&self) -> Vec<(&'static str, String)> {
        vec![("account", self.account.clone())]
    }
}

type Sent = Mutex<Vec<(String, Instant)>>;

async fn send_mail(mail: SendMail, State(sent): State<Arc<Sent>>) -> Result<()> {
    sent.lock().expect("nobody panics").push((mail.account, Instant::now()));
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = ergate_examples::connect().await?;
    let mails = |account: &str, count| (0..count).map(|_| SendMail { account: account.to_owned() }).collect();
    let mails: [Vec<_>; 2] = [mails("acme", 5), mails("umbrella", 2)];
    let receipts = client.enqueue_all(mails.into_iter().flatten()).await?;

    let sent = Arc::new(Sent::default());
    let all = async {
        for receipt in &receipts {
            let _ = receipt.job(&client).ended(Duration::from_secs(10)).await;
        }
    };
    Worker::new(client.clone(), Arc::clone(&sent))
        .queue("account-mail", 20)
        .limit("account-mail", Limit::per_key("account").spacing(Duration::from_millis(100)))
        .job(send_mail)
        .run_until(all)
        .await?;

    let sent = sent.lock().expect("nobody panics");
    let times = |account| sent.iter().filter(move |(of, _)| of == account).map(|(_, at)| *at);
    assert_eq!((times("acme").count(), times("umbrella").count()), (5, 2));
    assert!(times("umbrella").max() < times("acme").max(), "the backlog of acme holds up nobody else");
    println!("7 mails, 100 ms between two of an account");
    Ok(())
}
