//! Seeded faults against real workers, producers and servers, and a report of what came out.
//!
//! A *scenario* is a *plan* and the *faults* that strike while it is played. A play starts servers, worker processes and
//! producer processes (the *stage*), strikes as the seed says, waits until all work is done, gathers the *evidence* (the
//! ledgers that handlers and producers kept outside Redis, the diary of what was done to them, and all that Redis has) and
//! lets each *verdict* look at it. The seed decides all that is chosen here: what is sent when, how long it takes, when which
//! fault strikes whom. It does not decide what the kernel does with threads and packets, so that a replay meets the same
//! faults but not always at the same instruction.

pub mod audit;
pub mod beside;
pub mod diary;
pub mod draft;
pub mod errands;
pub mod evidence;
pub mod fault;
pub mod ground;
pub mod ledger;
pub mod memory;
pub mod mutants;
pub mod play;
pub mod report;
pub mod roll_call;
pub mod rounds;
pub mod safety;
pub mod scenario;
pub mod soak;
pub mod stage;
pub mod stalls;
pub mod verdict;
pub mod work;
