//! The measurements. Each starts with a server of its own and yields a group of figures.

mod add;
mod completed;
mod deep;
mod delayed;
mod functions;
mod idle;
mod life;
mod together;

use crate::{
    config::Selection,
    figure::{Figure, Measure},
    probe::Probe,
    redis_server::RedisServer,
    sheet::Values,
    size::Size,
    subject::Subject,
};

/// One kind of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Preload, then process.
    Life,
    /// Nothing but completed jobs.
    Completed,
    /// Add while no worker runs.
    Add,
    /// Add while a worker runs.
    Together,
    /// A worker with little to do.
    Idle,
    /// Jobs with a delay.
    Delayed,
    /// Very many waiting jobs.
    Deep,
    /// Runs of many steps.
    Steps,
    /// Very many sleeping runs.
    Sleeping,
    /// Events on an idle function.
    Starts,
    /// Events while many runs wait for others.
    Waiting,
}

impl Scenario {
    const ALL: [Self; 11] = [
        Self::Life,
        Self::Completed,
        Self::Add,
        Self::Together,
        Self::Idle,
        Self::Delayed,
        Self::Deep,
        Self::Steps,
        Self::Sleeping,
        Self::Starts,
        Self::Waiting,
    ];

    /// Whether it is about durable functions, which only some systems have.
    pub(crate) fn is_of_functions(self) -> bool {
        matches!(self, Self::Steps | Self::Sleeping | Self::Starts | Self::Waiting)
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Life => "preload and process",
            Self::Completed => "keep completed jobs",
            Self::Add => "add, concurrent and single",
            Self::Together => "add and process together",
            Self::Idle => "idle queue",
            Self::Delayed => "delayed jobs",
            Self::Deep => "deep queue",
            Self::Steps => "steps",
            Self::Sleeping => "sleeping runs",
            Self::Starts => "events on an idle function",
            Self::Waiting => "events with waiting runs",
        }
    }

    fn figures(self) -> &'static [Figure] {
        match self {
            Self::Life => &life::FIGURES,
            Self::Completed => &[Figure::BytesCompleted],
            Self::Add => &[Figure::AddConcurrent, Figure::AddSingle],
            Self::Together => &[Figure::EndToEnd],
            Self::Idle => &idle::FIGURES,
            Self::Delayed => &[Figure::LateP50, Figure::LateP99],
            Self::Deep => &[Figure::LeaseCostRatio],
            Self::Steps => &functions::STEPS,
            Self::Sleeping => &functions::SLEEPING,
            Self::Starts => &functions::STARTS,
            Self::Waiting => &functions::WAITING,
        }
    }

    /// The scenarios of a round, each with whether the append-only file is on.
    pub(crate) fn plan(selection: &Selection, size: &Size) -> Vec<(Self, bool)> {
        let wanted = |scenario: Self, aof: bool| {
            scenario
                .figures()
                .iter()
                .any(|figure| selection.has(Measure { aof, figure: *figure }) && (!aof || figure.has_aof()))
        };
        let due = |scenario: Self| {
            let is_deep = matches!(scenario, Self::Deep | Self::Waiting);
            !is_deep
                || size.deep_by_default
                || scenario.figures().iter().any(|figure| selection.names(*figure))
        };
        let persistence = [false, true].into_iter();
        persistence
            .flat_map(|aof| Self::ALL.map(|scenario| (scenario, aof)))
            .filter(|(scenario, aof)| wanted(*scenario, *aof) && due(*scenario))
            .collect()
    }

    /// Measures one system. What was measured before a failure stays in `values`.
    ///
    /// # Errors
    ///
    /// Fails if the subject fails or stalls.
    pub(crate) async fn run(
        self,
        server: &str,
        subject: &Subject,
        size: &Size,
        aof: bool,
        values: &mut Values,
    ) -> anyhow::Result<()> {
        match self {
            Self::Life => in_lab(server, aof, async |lab| life::run(lab, subject, size, values).await).await,
            Self::Completed => {
                in_lab(server, aof, async |lab| completed::run(lab, subject, size, values).await).await
            }
            Self::Add => {
                in_lab(server, aof, async |lab| add::concurrent(lab, subject, size, values).await).await?;
                in_lab(server, aof, async |lab| add::single(lab, subject, size, values).await).await
            }
            Self::Together => {
                in_lab(server, aof, async |lab| together::run(lab, subject, size, values).await).await
            }
            Self::Idle => in_lab(server, aof, async |lab| idle::run(lab, subject, size, values).await).await,
            Self::Delayed => {
                in_lab(server, aof, async |lab| delayed::run(lab, subject, size, values).await).await
            }
            Self::Deep => {
                in_lab(server, aof, async |shallow| {
                    in_lab(server, aof, async |deep| deep::run(shallow, deep, subject, size, values).await)
                        .await
                })
                .await
            }
            Self::Steps => {
                in_lab(server, aof, async |lab| functions::steps(lab, subject, size, values).await).await
            }
            Self::Sleeping => {
                in_lab(server, aof, async |lab| functions::sleeping(lab, subject, size, values).await).await
            }
            Self::Starts => {
                in_lab(server, aof, async |lab| functions::starts(lab, subject, size, values).await).await
            }
            Self::Waiting => {
                in_lab(server, aof, async |few| {
                    in_lab(server, aof, async |more| {
                        in_lab(server, aof, async |many| {
                            functions::waiting([few, more, many], subject, size, values).await
                        })
                        .await
                    })
                    .await
                })
                .await
            }
        }
    }
}

/// A server and an eye on it.
struct Lab {
    server: RedisServer,
    url: String,
    probe: Probe,
}

/// Gives `work` an empty server and ends it afterwards.
async fn in_lab<T, F>(program: &str, aof: bool, work: F) -> anyhow::Result<T>
where
    F: AsyncFnOnce(&mut Lab) -> anyhow::Result<T>,
{
    let server = RedisServer::start(program, aof).await?;
    let url = server.url();
    let probe = Probe::connect(&url).await?;
    let mut lab = Lab { server, url, probe };
    let result = work(&mut lab).await;
    lab.server.stop().await;
    result
}
