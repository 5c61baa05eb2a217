//! `generate-report`: a PDF of what was done in an organization.

use ergate::prelude::*;
use serde_json::{Value, json};

use crate::{app::App, events::ReportRequested, mail::Letter, pdf, steps::Steps};

pub(crate) fn function() -> Function<App> {
    Function::new("generate-report", generate_report).retries(3).concurrency(5)
}

async fn generate_report(wanted: ReportRequested, step: Step, State(app): State<App>) -> Result<Value> {
    let step = app.steps(step);
    let range = &wanted.date_range;

    let figures =
        step.run("fetch-data", app.database.actions(&wanted.organization_id, range.start, range.end)).await?;
    let pdf_url = step.run("generate-pdf", write(&app, &step, &wanted, &figures)).await?;
    step.run_with("notify-user", |attempt| notify(&app, attempt.key, &wanted, &pdf_url)).await?;
    Ok(json!({ "pdfUrl": pdf_url }))
}

async fn write(
    app: &App,
    step: &Steps,
    wanted: &ReportRequested,
    figures: &[(String, u64)],
) -> anyhow::Result<String> {
    let title = format!("{} report of {}", wanted.report_type, wanted.organization_id);
    let range = format!("{} to {}", wanted.date_range.start, wanted.date_range.end);
    let figures = figures.iter().map(|(action, count)| format!("{action}: {count}"));
    let lines: Vec<_> = [range].into_iter().chain(figures).collect();
    app.files.keep(&format!("{}.pdf", step.run_id()), pdf::page(&title, &lines)).await
}

async fn notify(app: &App, key: String, wanted: &ReportRequested, pdf_url: &str) -> Result<()> {
    let Some((name, owner)) = app.database.organization(&wanted.organization_id).await? else {
        return Err(Failure::fatal(format!("there is no organization {}", wanted.organization_id)));
    };
    let subject = format!("Your {} report of {name}", wanted.report_type);
    let text = format!("It is ready:\n{pdf_url}\n");
    app.mailer.send(Letter { key, to: owner, subject, text }).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::{events::DateRange, functions::world::World};

    fn wanted(organization: &str) -> ReportRequested {
        let end = Timestamp::now();
        ReportRequested {
            organization_id: organization.to_owned(),
            report_type: "activity".to_owned(),
            date_range: DateRange { start: end - SignedDuration::from_hours(24 * 9), end },
        }
    }

    #[tokio::test]
    async fn the_pdf_has_the_figures_of_the_range() {
        let world = World::new().await;

        let run = world.run(function()).event(wanted("acacia")).finish().await;

        assert_eq!(run.steps(), ["fetch-data", "generate-pdf", "notify-user"]);
        let figures: Vec<(String, u64)> = run.returned("fetch-data");
        assert_eq!(figures.iter().map(|(_, count)| count).sum::<u64>(), 9);
        let pdf = std::fs::read(World::file(&run.result::<Value>()["pdfUrl"])).unwrap();
        let text = String::from_utf8_lossy(&pdf);
        assert!(text.starts_with("%PDF-") && text.contains("(login: 3)"), "{text}");
        assert_eq!(world.mails(), ["owner@acacia.example: Your activity report of Acacia"]);
    }

    #[tokio::test]
    async fn a_report_of_nobody_fails_without_being_tried_again() {
        let world = World::new().await;

        let run = world.run(function()).event(wanted("elsewhere")).finish().await;

        let said = run.failure().unwrap().to_string();
        assert_eq!(said, "step notify-user failed at attempt 1: there is no organization elsewhere");
        assert_eq!(run.took(), Duration::ZERO);
    }
}
