//! What is watched: a plan, what its metrics are measured with, and everything that is wrong with either.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use delivery_core::plan::{Capabilities, Plan, PlanError, Spec};
use delivery_core::{Revision, plan::Warning};
use delivery_examples::complain;
use delivery_outbound::token_file;
use delivery_prom::template::Names;
use delivery_prom::{Metrics, Question, Server};

use crate::document::{Document, Part};
use crate::options::Options;

/// What is watched.
pub(crate) struct Watched {
    pub(crate) plan: Plan,
    pub(crate) metrics: Metrics,
    pub(crate) canary: Revision,
    pub(crate) primary: Option<Revision>,
}

impl Watched {
    /// Reads the files; or tells everything that is wrong with them.
    pub(crate) fn read(options: &Options) -> Result<Self, Vec<String>> {
        let one = |it: &dyn Error| vec![chain(it)];
        let document = Document::read(&options.plan).map_err(|it| vec![it.to_string()])?;
        let plan = compiled(&document.part("plan"))?;
        let metrics = Metrics::new(server(options)?.client().map_err(|it| one(&it))?);
        let metrics = measured_with(&document, metrics)?;
        let problems: Vec<String> = metrics
            .check(&plan)
            .iter()
            .map(|(metric, error)| format!("{}: metric {metric}: {}", options.plan.display(), chain(error)))
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        if plan.metrics().is_empty() {
            return Err(vec![format!(
                "{}: the plan has no metrics",
                options.plan.display()
            )]);
        }
        let revision = |name: &str| Revision::new(name).map_err(|it| one(&it));
        Ok(Self {
            plan,
            metrics,
            canary: revision(&options.revision)?,
            primary: options.primary.as_deref().map(revision).transpose()?,
        })
    }
}

fn compiled(part: &Part<'_>) -> Result<Plan, Vec<String>> {
    let spec: Spec = part.read().map_err(|problems| texts(&problems))?;
    let (plan, warnings) = spec.compile(&Capabilities::ALL).map_err(|errors| {
        let told = |it: &PlanError| {
            part.problem(&it.path, format!("{} {} ({})", it.value, it.flaw, it.remedy))
                .to_string()
        };
        errors.errors.iter().map(told).collect::<Vec<_>>()
    })?;
    for Warning { path, text } in warnings {
        complain(part.problem(&path, text));
    }
    Ok(plan)
}

/// What stands beside the plan.
fn measured_with(document: &Document, mut metrics: Metrics) -> Result<Metrics, Vec<String>> {
    if document.has("names") {
        let names: Names = document.part("names").read().map_err(|it| texts(&it))?;
        metrics = metrics.names(names);
    }
    if document.has("provider") {
        let part = document.part("provider");
        let name: String = part.read().map_err(|it| texts(&it))?;
        metrics = metrics
            .provider(&name)
            .map_err(|it| vec![part.problem("", it.to_string()).to_string()])?;
    }
    if document.has("queries") {
        let queries: BTreeMap<String, Question> = document.part("queries").read().map_err(|it| texts(&it))?;
        for (metric, question) in queries {
            metrics = metrics.question(&metric, question);
        }
    }
    Ok(metrics)
}

fn server(options: &Options) -> Result<Server, Vec<String>> {
    let one = |it: delivery_prom::Error| vec![chain(&it)];
    let mut server = Server::new(&options.prometheus).map_err(one)?;
    if let Some(tenant) = &options.tenant {
        server = server.tenant(tenant).map_err(one)?;
    }
    if let Some(path) = &options.token_file {
        server = server.bearer(token_file("the metric server", path).map_err(|it| vec![chain(&it)])?);
    }
    if let Some(path) = &options.authority {
        server = server.authority(read(path)?.as_bytes()).map_err(one)?;
    }
    Ok(server)
}

fn read(path: &Path) -> Result<String, Vec<String>> {
    fs::read_to_string(path).map_err(|it| vec![format!("{}: cannot be read: {it}", path.display())])
}

fn texts(problems: &[impl ToString]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// An error and its causes, as one sentence.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some libraries say their cause in their own text already.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
