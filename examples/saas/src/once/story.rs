//! What is started, and what must come of it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// One run: what starts it, and what it must be at its end.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// The case, for people.
    pub(crate) what: &'static str,
    pub(crate) function: &'static str,
    pub(crate) start: Start,
    /// Its steps as they must stand in the journal, in order.
    pub(crate) steps: &'static [&'static str],
    pub(crate) end: End,
}

/// What starts a run.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    /// An event of this name, with this data.
    Event(&'static str, Value),
    /// Its schedule, told to run now.
    Schedule,
}

/// How a run must end.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// With this result, in which `{files}` is the folder of files and `{run}` the run's id.
    Result(Value),
    /// As a dead letter, for this reason.
    Failure(&'static str),
}

fn event(
    what: &'static str,
    function: &'static str,
    (name, data): (&'static str, Value),
    steps: &'static [&'static str],
    end: End,
) -> Scene {
    Scene { what, function, start: Start::Event(name, data), steps, end }
}

fn schedule(
    what: &'static str,
    function: &'static str,
    steps: &'static [&'static str],
    result: Value,
) -> Scene {
    Scene { what, function, start: Start::Schedule, steps, end: End::Result(result) }
}

fn user(id: &str, name: &str) -> (&'static str, Value) {
    let email = format!("{id}@acacia.example");
    ("user/created", json!({ "userId": id, "email": email, "name": name }))
}

fn entity(id: &str) -> (&'static str, Value) {
    ("entity/process", json!({ "entityId": id, "organizationId": "acacia", "userId": "ada" }))
}

fn synced(organizations: &[&str]) -> Vec<Value> {
    organizations.iter().map(|id| json!({ "organizationId": id, "contacts": 3 })).collect()
}

/// All at once.
pub(crate) fn first(now: Timestamp) -> Vec<Scene> {
    let nine_days_ago = now - SignedDuration::from_hours(24 * 9);
    let report = json!({
        "organizationId": "acacia",
        "reportType": "activity",
        "dateRange": { "start": nine_days_ago, "end": now },
    });
    let trip = json!({ "tripId": "t1", "driverId": "bob", "passengerId": "ada", "destination": "Delft" });
    let users =
        ["ada", "bob", "cleo"].map(|id| json!({ "email": format!("{id}@acacia.example"), "name": id }));
    let well = json!({ "database": true, "redis": true, "payments": true });
    let all = ["acacia", "birch", "cedar"];
    vec![
        event(
            "who comes back",
            "send-welcome-email",
            user("ada", "Ada"),
            &["send-email", "wait-1-day", "send-tips-email", "wait-3-days", "check-activity"],
            End::Result(json!({ "success": true })),
        ),
        event(
            "who stays away",
            "send-welcome-email",
            user("bob", "Bob"),
            &[
                "send-email",
                "wait-1-day",
                "send-tips-email",
                "wait-3-days",
                "check-activity",
                "send-reengagement",
            ],
            End::Result(json!({ "success": true })),
        ),
        event(
            "a PDF",
            "generate-report",
            ("report/generate", report),
            &["fetch-data", "generate-pdf", "notify-user"],
            End::Result(json!({ "pdfUrl": "file://{files}/{run}.pdf" })),
        ),
        event(
            "45 s later",
            "trip-confirmed",
            ("trip/confirmed", trip),
            &["notify-driver", "email-delay", "email-passenger"],
            End::Result(json!({ "success": true, "tripId": "t1" })),
        ),
        event(
            "three users",
            "bulk-mail",
            ("mail/campaign", json!({ "users": users })),
            &["send-email-0", "email-delay", "send-email-1", "email-delay#2", "send-email-2"],
            End::Result(json!({ "sent": 3 })),
        ),
        event(
            "that works",
            "process-entity",
            entity("order-1"),
            &["update-status-processing", "fetch-entity", "process-entity", "save-result"],
            End::Result(json!({ "entityId": "order-1", "status": "completed", "total": 42 })),
        ),
        event(
            "that fails",
            "process-entity",
            entity("order-2"),
            &["update-status-processing", "fetch-entity", "process-entity", "update-status-failed"],
            End::Failure("step process-entity failed at attempt 1: amount \"twenty\" is no number"),
        ),
        event(
            "that is missing",
            "process-entity",
            entity("order-9"),
            &["update-status-processing", "fetch-entity", "update-status-failed"],
            End::Failure("step fetch-entity failed at attempt 1: organization acacia has no entity order-9"),
        ),
        event(
            "by hand",
            "sync",
            ("integration/sync.manual", json!({ "organizationId": "birch", "userId": "cleo" })),
            &["get-organizations", "sync-birch"],
            End::Result(
                json!({ "trigger": "manual", "organizationsProcessed": 1, "results": synced(&["birch"]) }),
            ),
        ),
        schedule(
            "all enabled",
            "sync",
            &["get-organizations", "sync-acacia", "sync-birch", "sync-cedar"],
            json!({ "trigger": "scheduled", "organizationsProcessed": 3, "results": synced(&all) }),
        ),
        schedule(
            "midnight",
            "daily-cleanup",
            &["cleanup-sessions", "cleanup-audit-logs", "cleanup-uploads"],
            json!({ "sessions": 3, "auditLogs": 280, "uploads": 2 }),
        ),
        schedule("02:00", "daily-trip-cleanup", &["delete-old-trips"], json!({ "deleted": 1 })),
        schedule(
            "two users",
            "send-daily-reports",
            &["get-users", "send-report-ada", "send-report-cleo"],
            json!({ "sent": 2 }),
        ),
        schedule(
            "three subscriptions",
            "monthly-invoices",
            &[
                "get-subscriptions",
                "invoice-sub-1",
                "mail-invoice-sub-1",
                "invoice-sub-2",
                "mail-invoice-sub-2",
                "invoice-sub-3",
                "mail-invoice-sub-3",
            ],
            json!({ "invoiced": 3 }),
        ),
        schedule("all is well", "health-check", &["run-checks"], well),
        schedule(
            "three sources",
            "hourly-sync",
            &["sync-subscriptions", "sync-analytics", "update-search-index"],
            json!({ "subscriptions": 4, "analytics": 12, "indexed": 9 }),
        ),
    ]
}

/// After the first have ended, some sessions more have expired and the payment provider is down.
pub(crate) fn second() -> Vec<Scene> {
    vec![
        schedule(
            "sunday",
            "weekly-cleanup",
            &["delete-old-logs", "delete-expired-sessions"],
            json!({ "deletedLogs": 10, "deletedSessions": 3 }),
        ),
        schedule(
            "payments are down",
            "health-check",
            &["run-checks", "alert"],
            json!({ "database": true, "redis": true, "payments": false }),
        ),
    ]
}

impl Scene {
    /// The steps that have a body, which sleeps have not.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &'static str> {
        self.steps
            .iter()
            .copied()
            .filter(|step| !step.starts_with("wait-") && !step.starts_with("email-delay"))
    }

    /// The steps that send a mail which is named by its run and step; those of invoices are not.
    pub(crate) fn mails(&self) -> impl Iterator<Item = &'static str> {
        const MAIL: [&str; 4] = ["send-", "email-passenger", "notify-user", "alert"];
        self.bodies().filter(|step| MAIL.iter().any(|mail| step.starts_with(mail)))
    }
}
