//! Seeded faults against real workers, producers and servers, and a report of what came out.

pub mod audit;
