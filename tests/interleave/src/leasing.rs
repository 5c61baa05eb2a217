//! A lease that is extended, overdue and given up from several threads.

use std::time::{Duration, Instant};

use ergate_shared::WorkerId;
use shuttle::{sync::Arc, thread};

use crate::{in_many_orders, lease::Lease};

const LENGTH: Duration = Duration::from_secs(15);

#[test]
fn a_lapse_is_noticed_by_one_and_a_late_heartbeat_extends_no_new_identity() {
    in_many_orders(|| {
        let (start, first, second) = (Instant::now(), WorkerId::generate(), WorkerId::generate());
        let lease = Arc::new(Lease::new(start));
        lease.joined(first.clone(), start, LENGTH);

        let heartbeat = {
            let (lease, first) = (Arc::clone(&lease), first.clone());
            thread::spawn(move || {
                lease.extended(&first, start + LENGTH * 10, LENGTH);
                let overdue = lease.overdue(start + LENGTH * 20);
                overdue.is_some_and(|worker| lease.lapsed(&worker))
            })
        };
        let turn = {
            let (lease, first, second) = (Arc::clone(&lease), first.clone(), second.clone());
            thread::spawn(move || {
                let noticed = lease.lapsed(&first);
                if noticed {
                    lease.joined(second, start + LENGTH, LENGTH);
                }
                noticed
            })
        };
        let of_heartbeat = heartbeat.join().unwrap();
        let of_turn = turn.join().unwrap();

        assert!(of_turn || of_heartbeat, "somebody noticed");
        match lease.worker() {
            // The heartbeat thread may have found the new identity overdue as well.
            None => assert!(of_heartbeat),
            Some(worker) => {
                assert_eq!(worker, second);
                assert!(of_turn && !of_heartbeat);
                assert!(lease.safe_until().unwrap() < start + LENGTH * 2, "it was extended by an old heartbeat");
            }
        }
    });
}
