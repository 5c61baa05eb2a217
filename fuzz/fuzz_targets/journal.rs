//! Journals: an entry a line, in any order and with any contradiction, and what is made of them.
#![no_main]

use ergate_shared::run::{Entry, Journal, RecordedRun, RunInput, Tail, TailEntry, before, trace};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut journal = Journal::default();
    let mut tail = Tail::default();
    for (number, line) in (1_u32..).zip(text.split('\n')) {
        tail.count = number;
        tail.entries.push(TailEntry { number, text: line.to_owned(), is_open: number % 2 == 1 });
        if let Ok(entry) = Entry::from_json(line) {
            let again = Entry::from_json(&entry.to_json()).expect("what was written reads");
            assert_eq!(again.to_json(), entry.to_json());
            journal.append(entry, line.len());
        }
    }
    let _ = (tail.last_step(), tail.pending(1_795_316_400_000));

    for entry in journal.entries() {
        if let Some((number, _)) = journal.step(&entry.step) {
            assert!(number <= journal.len());
        }
        for copy in before(&journal, &entry.step).expect("the step is there") {
            assert!(journal.entry(copy.number).is_some());
            if let Some(text) = copy.text {
                Entry::from_json(&text).expect("a copy reads");
            }
        }
    }
    for ended in [None, Some(0), Some(u64::MAX)] {
        for step in trace(&journal, 1_795_316_400_000, ended) {
            assert!(serde_json::to_string(&step).is_ok());
        }
    }
    if let Ok(run) = RecordedRun::from_json(text) {
        RecordedRun::from_json(&run.to_json()).expect("what was written reads");
    }
    let _ = serde_json::from_str::<RunInput>(text);
});
