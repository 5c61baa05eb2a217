//! The scripts of the registry against a model: processes that say what they are, and functions that they declare.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Debug,
};

use ergate_shared::{key::RegistryKeys, script};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

use super::{Met, sequences, transitions};
use crate::story::{Story, by_hand::START};

const CASES: u32 = 40;
const FUNCTIONS: [&str; 4] = ["a", "a@2", "a@3", "b"];
/// After so long without a word a process, or a version of a function, is forgotten, in ms.
const SILENCE: u64 = 60_000;

#[derive(Debug, Clone)]
enum Operation {
    /// A process that has some of the functions, in one of few shapes, says so; perhaps twice.
    Declare(Vec<&'static str>, u8, bool),
    Remove(&'static str),
    Announce(u8, bool),
    Order(u8),
    Pass(u64),
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (subsequence(FUNCTIONS.to_vec(), 1..=3), 0_u8..2, any::<bool>())
            .prop_map(|(names, shape, twice)| Operation::Declare(names, shape, twice)),
        2 => select(FUNCTIONS.to_vec()).prop_map(Operation::Remove),
        3 => (0_u8..3, any::<bool>()).prop_map(|(process, twice)| Operation::Announce(process, twice)),
        1 => (0_u8..3).prop_map(Operation::Order),
        2 => (1_u64..2 * SILENCE).prop_map(Operation::Pass),
    ]
}

#[derive(Debug, Default)]
struct Model {
    /// What each function is, and when that was last said.
    functions: BTreeMap<String, (String, u64)>,
    version: u64,
    /// When each process was last heard of.
    seen: BTreeMap<String, u64>,
    orders: BTreeMap<String, String>,
    met: Met,
}

fn base(name: &str) -> &str {
    name.split('@').next().unwrap_or_default()
}

impl Model {
    fn declare(&mut self, names: &[&str], what: &str, now: u64) -> u64 {
        let mut code = "as it was";
        for name in names {
            let before = self.functions.insert((*name).to_owned(), (what.to_owned(), now));
            if before.is_none_or(|(before, _)| before != what) {
                code = "changed";
            }
        }
        let others = self.functions.len();
        self.functions.retain(|name, (_, at)| {
            *at + SILENCE > now || !names.iter().any(|declared| base(declared) == base(name))
        });
        if self.functions.len() < others {
            code = "taken off";
        }
        self.met.insert(("registry/declare", code.to_owned()));
        self.version += u64::from(code != "as it was");
        self.version
    }

    fn remove(&mut self, name: &str, now: u64) -> (String, u64) {
        let (code, left) = match self.functions.get(name) {
            None => ("gone", 0),
            Some((_, at)) if *at + SILENCE > now => ("declared", *at + SILENCE - now),
            Some(_) => {
                self.functions.remove(name);
                self.version += 1;
                ("ok", 0)
            }
        };
        self.met.insert(("registry/remove", code.to_owned()));
        (code.to_owned(), left)
    }

    fn announce(&mut self, process: &str, now: u64) -> String {
        let others = self.seen.len();
        self.seen.retain(|_, at| *at + SILENCE > now);
        if self.seen.len() < others {
            self.met.insert(("registry/announce", "forgotten".to_owned()));
            self.orders.retain(|process, _| self.seen.contains_key(process));
        }
        self.seen.insert(process.to_owned(), now);
        let order = self.orders.get(process).cloned().unwrap_or_default();
        let code = if order.is_empty() { "none" } else { "order" };
        self.met.insert(("registry/announce", code.to_owned()));
        order
    }
}

fn same<T: PartialEq + Debug>(what: &str, redis: T, model: T) -> Result<(), String> {
    if redis == model { Ok(()) } else { Err(format!("{what}: redis has {redis:?}, the model {model:?}")) }
}

async fn play(story: &Story, number: u32, operations: &[Operation]) -> Result<Met, String> {
    let keys = RegistryKeys::new(&format!("registry-{number}").parse().expect("it is a name"));
    let (mut model, mut now) = (Model::default(), START);
    let redis = story.client.redis();
    for operation in operations {
        match operation {
            Operation::Declare(names, shape, twice) => {
                let what = format!("{{\"shape\":{shape}}}");
                let mut call =
                    script::REGISTRY_DECLARE.on_registry(&keys).arg(now.to_string()).number(SILENCE);
                for name in names {
                    call.push(name);
                    call.push(&what);
                }
                for _ in 0..=u8::from(*twice) {
                    let version: u64 = redis.run(&call).await.map_err(|error| error.to_string())?;
                    same("version", version, model.declare(names, &what, now))?;
                }
            }
            Operation::Remove(name) => {
                let call = script::REGISTRY_REMOVE.on_registry(&keys).arg(now.to_string());
                let call = call.number(SILENCE).arg(*name);
                let told: (String, u64) = redis.run(&call).await.map_err(|error| error.to_string())?;
                same("removal", told, model.remove(name, now))?;
            }
            Operation::Announce(process, twice) => {
                let process = format!("p{process}");
                let call = script::REGISTRY_ANNOUNCE.on_registry(&keys).arg(now.to_string());
                let call = call.arg(&process).arg("{}").number(SILENCE).arg("queue");
                for _ in 0..=u8::from(*twice) {
                    let (_, order, _): (u64, String, String) =
                        redis.run(&call).await.map_err(|error| error.to_string())?;
                    same("order", order, model.announce(&process, now))?;
                }
            }
            Operation::Order(process) => {
                let process = format!("p{process}");
                if model.seen.contains_key(&process) {
                    let order = redis::cmd("HSET").arg(&keys.orders).arg(&process).arg("quiet").to_owned();
                    redis.command::<u64>("HSET", &order).await.map_err(|error| error.to_string())?;
                    model.orders.insert(process, "quiet".to_owned());
                }
            }
            Operation::Pass(ms) => now += ms,
        }
        let mut look = redis::pipe();
        look.hgetall(&keys.functions).cmd("ZRANGE").arg(&keys.seen).arg(0).arg(-1);
        let seen = redis.pipeline("a look", &look).await;
        let (functions, mut processes): (BTreeMap<String, String>, Vec<String>) =
            seen.map_err(|error| error.to_string())?;
        let expected = model.functions.iter().map(|(name, (what, _))| (name.clone(), what.clone()));
        same("functions", functions, expected.collect())?;
        processes.sort();
        same("processes", processes, model.seen.keys().cloned().collect())?;
    }
    Ok(model.met)
}

#[test]
fn what_processes_declare_is_kept_as_long_as_somebody_says_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let story = runtime.block_on(Story::begin());
    let (played, met) = (Cell::new(0), RefCell::new(Met::default()));

    sequences(CASES, vec(operations(), 1..40), |operations| {
        played.set(played.get() + 1);
        met.borrow_mut().extend(runtime.block_on(play(&story, played.get(), &operations))?);
        Ok(())
    });

    let called = runtime.block_on(transitions::called(&story));
    transitions::all_were_met("registry", &called, &met.borrow());
}
