//! The functions, one file each, and their tests beside them.

use ergate::Function;

use crate::app::App;

pub(crate) mod bulk_mail;
pub(crate) mod daily_cleanup;
pub(crate) mod daily_reports;
pub(crate) mod generate_report;
pub(crate) mod health_check;
pub(crate) mod hourly_sync;
pub(crate) mod monthly_invoices;
pub(crate) mod process_entity;
pub(crate) mod sync;
pub(crate) mod trip_cleanup;
pub(crate) mod trip_confirmed;
pub(crate) mod weekly_cleanup;
pub(crate) mod welcome_email;

/// All functions of this service.
pub(crate) fn all() -> Vec<Function<App>> {
    vec![
        welcome_email::function(),
        generate_report::function(),
        trip_confirmed::function(),
        bulk_mail::function(),
        process_entity::function(),
        sync::function(),
        daily_cleanup::function(),
        trip_cleanup::function(),
        daily_reports::function(),
        weekly_cleanup::function(),
        monthly_invoices::function(),
        health_check::function(),
        hourly_sync::function(),
    ]
}

/// Those that times start.
pub(crate) const SCHEDULED: [&str; 8] = [
    "sync",
    "daily-cleanup",
    "daily-trip-cleanup",
    "send-daily-reports",
    "weekly-cleanup",
    "monthly-invoices",
    "health-check",
    "hourly-sync",
];

#[cfg(test)]
mod world;
