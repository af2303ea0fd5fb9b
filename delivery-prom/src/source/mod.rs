//! The metric source: what a plan's metrics are measured with.

mod ask;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use delivery_core::Plan;
use delivery_core::analysis::{Metric, Nothing, Sample, Window};
use delivery_core::port::{Measure, MetricSource, PortError};
use futures::future::try_join_all;
use tokio::sync::Semaphore;

use self::ask::Asking;
pub use self::windows::ShortWindow;
use crate::client::{Client, Dialect};
use crate::error::{Error, SHOWN, shortened};
use crate::queries::{Provider, UnknownProvider};
use crate::question::{Form, Question};
use crate::template::{Filling, Names, Template, TemplateError};

/// Measures with queries.
///
/// What is asked for a metric is, in this order: the [`Question`] that was given for its name, the metric's own query in
/// the plan, the provider's built-in query of that name. A metric with none of them is nothing that could be judged.
/// A query of the plan that has the gap `{{ revision }}` is asked of both sides, if the metric's judge compares them.
///
/// A measurement keeps to its window. The gap `{{ interval }}` is filled with the window's length, the query is evaluated
/// at the window's end, and instant selectors look back no further than to its beginning. A query that looks further back
/// by itself (`[5m]` in a window of one minute) is not sent: its sample is `Nothing::Straddles`. How old a gauge is can be
/// told where the query is a selector and nothing else. Within other queries, servers before Prometheus 2.43 take gauges
/// of up to five minutes ago: write `sum(last_over_time(queue[{{ interval }}]))` for them, not `sum(queue)`.
///
/// At most so many requests as [`at_once`](Self::at_once) says are under way at a time; the connections are kept.
///
/// ```
/// use delivery_prom::{Form, Metrics, Question, Server};
/// use delivery_prom::template::Names;
///
/// let names = Names { namespace: Some("shop".into()), target: Some("web".into()), ..Names::default() };
/// let metrics = Metrics::new(Server::new("http://prometheus:9090")?.client()?)
///     .names(names)
///     .provider("nginx")?
///     .question("queue", Question::new(Form::value(r#"max(queue_length{app="{{ target }}"})"#)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Metrics {
    client: Client,
    names: Names,
    provider: Option<&'static Provider>,
    questions: BTreeMap<String, Question>,
    turns: Arc<Semaphore>,
}

/// A measurement, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What was measured.
    pub sample: Sample,
    /// The queries that were sent.
    pub queries: Vec<String>,
    /// What the server warned of or remarked.
    pub warnings: Vec<String>,
}

/// What is asked for a metric.
enum Chosen<'a> {
    Question(&'a Question),
    Own(Box<Question>),
    Builtin(&'static Provider, Box<Question>),
}

impl Metrics {
    /// How many requests are under way at a time, unless told otherwise.
    pub const AT_ONCE: usize = 8;

    /// A source that asks this server.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            names: Names::default(),
            provider: None,
            questions: BTreeMap::new(),
            turns: Arc::new(Semaphore::new(Self::AT_ONCE)),
        }
    }

    /// What the queries are about.
    #[must_use]
    pub fn names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// Whose built-in queries are used for metrics without one of their own.
    ///
    /// # Errors
    /// [`UnknownProvider`].
    pub fn provider(self, name: &str) -> Result<Self, UnknownProvider> {
        let provider = Some(Provider::named(name)?);
        Ok(Self { provider, ..self })
    }

    /// What is asked for a metric.
    #[must_use]
    pub fn question(mut self, metric: &str, question: Question) -> Self {
        self.questions.insert(metric.to_owned(), question);
        self
    }

    /// How many requests may be under way at a time, at least 1; default [`AT_ONCE`](Self::AT_ONCE).
    #[must_use]
    pub fn at_once(self, requests: usize) -> Self {
        let turns = Arc::new(Semaphore::new(requests.clamp(1, Semaphore::MAX_PERMITS)));
        Self { turns, ..self }
    }

    /// Everything that is wrong with a plan's queries, as far as it can be told without asking: metrics without a query,
    /// templates that cannot be read or filled, log queries, queries about the canary alone where the judge compares, and
    /// with the feature `promql-validate` what is no PromQL.
    /// Each with the name of its metric.
    pub fn check(&self, plan: &Plan) -> Vec<(String, Error)> {
        let mut problems = Vec::new();
        for metric in plan.metrics() {
            let mut wrong = |error| problems.push((metric.name.clone(), error));
            let chosen = match self.choose(metric) {
                Ok(chosen) => chosen,
                Err(error) => {
                    wrong(error);
                    continue;
                }
            };
            let (question, names) = self.with_names(&chosen);
            let filling = Filling {
                names: &names,
                revision: Some("revision"),
                interval: metric.window,
            };
            for template in question.templates() {
                let query = render(template, &filling);
                if let Err(error) = query.and_then(|it| self.check_query(&it)) {
                    wrong(error);
                }
            }
            if let (Chosen::Own(question), true) = (&chosen, metric.judge.compares())
                && question.primary.is_none()
            {
                wrong(one_sided(metric));
            }
            if let (Dialect::Loki, Form::Counts { .. } | Form::Slower { .. } | Form::Histogram { .. }) =
                (self.client.dialect(), &question.canary)
            {
                wrong(only_values(&metric.name));
            }
        }
        problems
    }

    /// Measures one metric once, and tells what was asked.
    ///
    /// # Errors
    /// [`Error`]: what keeps the metric from being measured. What is not known is [`Sample::Nothing`].
    pub async fn measure_with_queries(&self, ask: &Measure<'_>) -> Result<Measured, Error> {
        let chosen = self.choose(ask.metric)?;
        let (question, names) = self.with_names(&chosen);
        let asking = self.asking(question, &names, ask);
        let sample = asking.sample().await?;
        let sample = match (&chosen, sample) {
            (Chosen::Builtin(provider, _), Sample::Value(value)) => {
                Sample::Value(provider.value(&ask.metric.name, value))
            }
            (Chosen::Question(_) | Chosen::Own(_) | Chosen::Builtin(..), sample) => sample,
        };
        Ok(Measured {
            sample,
            queries: asking.queries.into_inner().unwrap_or_default(),
            warnings: asking.warnings.into_inner().unwrap_or_default(),
        })
    }

    /// The primary alone, in each of these windows: what the metric's question asks of it. Nothing where it asks nothing.
    async fn past(&self, ask: &Measure<'_>, windows: &[Window]) -> Result<Vec<Sample>, Error> {
        let chosen = self.choose(ask.metric)?;
        let (question, names) = self.with_names(&chosen);
        let (Some(primary), Some(revision)) = (&question.primary, ask.primary) else {
            return Ok(Vec::new());
        };
        let question = &about(question, primary);
        let names = &names;
        let samples = windows.iter().map(|window| async move {
            let ask = Measure {
                window: *window,
                canary: revision,
                primary: None,
                ..ask.clone()
            };
            self.asking(question, names, &ask).sample().await
        });
        try_join_all(samples).await
    }

    /// A revision that runs and is nobody's canary: what the metric's question asks of the primary, or what it asks at all.
    async fn running(&self, ask: &Measure<'_>) -> Result<Sample, Error> {
        let chosen = self.choose(ask.metric)?;
        let (question, names) = self.with_names(&chosen);
        let question = about(question, question.primary.as_ref().unwrap_or(&question.canary));
        self.asking(&question, &names, ask).sample().await
    }

    fn asking<'a>(&'a self, question: &'a Question, names: &'a Names, ask: &'a Measure<'a>) -> Asking<'a> {
        Asking {
            metrics: self,
            question,
            names,
            ask,
            queries: std::sync::Mutex::default(),
            warnings: std::sync::Mutex::default(),
        }
    }

    fn choose(&self, metric: &Metric) -> Result<Chosen<'_>, Error> {
        let (name, compares) = (metric.name.as_str(), metric.judge.compares());
        if let Some(question) = self.questions.get(name) {
            return Ok(Chosen::Question(question));
        }
        let own = |text: &str| {
            let template = Template::parse(text).map_err(|it| in_template(text, it))?;
            // The same is asked of the primary where the query says which revision it is about.
            let primary = (compares && template.has_revision()).then(|| Form::Value(template.clone()));
            let question = Question::new(Form::Value(template));
            Ok(Box::new(Question { primary, ..question }))
        };
        if let Some(query) = &metric.query {
            return own(query).map(Chosen::Own);
        }
        let builtin = self.provider.and_then(|it| Some((it, it.template(name)?)));
        match builtin {
            Some((provider, template)) => Ok(Chosen::Builtin(provider, own(template)?)),
            None => Err(Error::NoQuery {
                metric: shortened(name, 80),
                known: self.known(),
            }),
        }
    }

    fn with_names<'a>(&self, chosen: &'a Chosen<'_>) -> (&'a Question, Names) {
        match chosen {
            Chosen::Question(question) => (question, self.names.clone()),
            Chosen::Own(question) => (question, self.names.clone()),
            Chosen::Builtin(provider, question) => (question, provider.names(&self.names)),
        }
    }

    fn known(&self) -> String {
        let builtin = [crate::queries::SUCCESS_RATE, crate::queries::DURATION];
        let builtin = builtin.iter().filter(|_| self.provider.is_some()).copied();
        let known: Vec<&str> = self.questions.keys().map(String::as_str).chain(builtin).collect();
        if known.is_empty() {
            "none".into()
        } else {
            known.join(", ")
        }
    }

    fn check_query(&self, query: &str) -> Result<(), Error> {
        self.client.check(query)?;
        #[cfg(feature = "promql-validate")]
        if self.client.dialect() == Dialect::Prometheus {
            crate::promql::check(query)?;
        }
        Ok(())
    }
}

#[async_trait]
impl MetricSource for Metrics {
    async fn measure(&self, ask: &Measure<'_>) -> Result<Sample, PortError> {
        let metric = ask.metric.name.as_str();
        match self.measure_with_queries(ask).await {
            Ok(measured) => {
                for warning in &measured.warnings {
                    let warning = shortened(warning, SHOWN);
                    tracing::warn!(metric, warning, "the server says that something is wrong");
                }
                Ok(measured.sample)
            }
            // Nobody is at fault but the plan, and there will be no data until it changes.
            Err(error @ Error::NoQuery { .. }) => Ok(Sample::Nothing(Nothing::Unusable(error.to_string()))),
            Err(error) => Err(error.measuring(metric)),
        }
    }

    async fn history(&self, ask: &Measure<'_>, windows: &[Window]) -> Result<Vec<Sample>, PortError> {
        match self.past(ask, windows).await {
            Ok(samples) => Ok(samples),
            Err(Error::NoQuery { .. }) => Ok(Vec::new()),
            Err(error) => Err(error.measuring(&ask.metric.name)),
        }
    }
}

/// A question about one side alone, whose newest data nobody asks for.
fn about(question: &Question, side: &Form) -> Question {
    Question {
        canary: side.clone(),
        primary: None,
        newest: None,
        max_age: None,
        ..question.clone()
    }
}

/// A template's query.
fn render(template: &Template, filling: &Filling<'_>) -> Result<String, Error> {
    template
        .render(filling)
        .map_err(|it| in_template(template.text(), it))
}

fn in_template(template: &str, source: TemplateError) -> Error {
    Error::Template {
        template: shortened(template, SHOWN),
        source,
    }
}

/// A query of the plan that asks nothing of the primary.
fn one_sided(metric: &Metric) -> Error {
    let query = metric.query.as_deref().unwrap_or_default();
    Error::Query {
        query: shortened(query, SHOWN),
        why:
            "its judge compares the canary with the primary, and it asks the same of both (expected the gap \
              {{ revision }} in it, e.g. version=\"{{ revision }}\")"
                .into(),
    }
}

fn only_values(metric: &str) -> Error {
    Error::Query {
        query: shortened(metric, SHOWN),
        why: "of a Loki only values can be asked, e.g. sum(count_over_time({app=\"web\"} |= \"error\" [1m]))"
            .into(),
    }
}
