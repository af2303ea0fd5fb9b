//! One measurement: which requests it takes, and what their answers make together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use delivery_core::analysis::{Histogram, Nothing, Sample, Tally};
use delivery_core::port::Measure;
use delivery_core::time::PromDuration;
use delivery_core::{Revision, Timestamp};
use futures::future::{join, join3, try_join};

use super::{Metrics, only_values, render};
use crate::client::{Answer, Dialect, Instant};
use crate::counters::{self, Counter, Picked};
use crate::error::Error;
use crate::question::{Form, Part, Question};
use crate::reach::{is_selector, reach};
use crate::reply::{Data, Fresh, Pick, Reply};
use crate::template::{Filling, Names, Template};

/// One measurement that is being made.
pub(super) struct Asking<'a> {
    pub(super) metrics: &'a Metrics,
    pub(super) question: &'a Question,
    pub(super) names: &'a Names,
    pub(super) ask: &'a Measure<'a>,
    pub(super) queries: Mutex<Vec<String>>,
    pub(super) warnings: Mutex<Vec<String>>,
}

/// Why there is no number.
enum Stop {
    Nothing(Nothing),
    Error(Error),
}

impl From<Nothing> for Stop {
    fn from(nothing: Nothing) -> Self {
        Self::Nothing(nothing)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// What one side is, by its form.
enum Side {
    Value(f64),
    Counts(Tally),
    Histogram(Histogram),
}

impl Asking<'_> {
    pub(super) async fn sample(&self) -> Result<Sample, Error> {
        if self.length() < Duration::from_millis(1) {
            return Ok(Sample::Nothing(Nothing::NoData));
        }
        let canary = self.side(&self.question.canary, Some(self.ask.canary));
        let primary = async {
            match &self.question.primary {
                Some(form) => Some(self.side(form, self.ask.primary).await),
                None => None,
            }
        };
        let (canary, primary, fresh) = join3(canary, primary, self.fresh()).await;
        let canary = match fresh.and(canary) {
            Ok(canary) => canary,
            Err(Stop::Nothing(nothing)) => return Ok(Sample::Nothing(nothing)),
            Err(Stop::Error(error)) => return Err(error),
        };
        let primary = match primary {
            // The canary can be judged by itself; who wants to compare is told that there is nothing.
            None | Some(Err(Stop::Nothing(_))) => None,
            Some(Ok(primary)) => Some(primary),
            Some(Err(Stop::Error(error))) => return Err(error),
        };
        Ok(match (canary, primary) {
            (Side::Value(canary), None) => Sample::Value(canary),
            (Side::Value(canary), Some(Side::Value(primary))) => Sample::Pair { canary, primary },
            (Side::Counts(canary), None) => Sample::Counts {
                canary,
                primary: None,
            },
            (Side::Counts(canary), Some(Side::Counts(primary))) => Sample::Counts {
                canary,
                primary: Some(primary),
            },
            (Side::Histogram(canary), None) => Sample::Histogram {
                canary,
                primary: None,
            },
            (Side::Histogram(canary), Some(Side::Histogram(primary))) => Sample::Histogram {
                canary,
                primary: Some(primary),
            },
            (Side::Value(_) | Side::Counts(_) | Side::Histogram(_), Some(_)) => Sample::Nothing(
                Nothing::Unusable("canary and primary are measured in different forms".into()),
            ),
        })
    }

    /// Whether the newest data is new enough, where there is a query that tells.
    async fn fresh(&self) -> Result<(), Stop> {
        let (Some(template), Some(max_age)) = (&self.question.newest, self.question.max_age) else {
            return Ok(());
        };
        let query = self.render(template, Some(self.ask.canary))?;
        self.no_older(&query, max_age).await
    }

    /// Whether the oldest of the moments that a query returns is not older than `max_age`.
    async fn no_older(&self, query: &str, max_age: Duration) -> Result<(), Stop> {
        let answer = self.send(query, None).await?;
        let reply = self.read(&answer)?;
        let fresh = Fresh {
            now: self.ask.window.to,
            max_age: None,
        };
        let seconds = reply.number(Pick::Min, &self.ask.metric.judge, fresh)?;
        let moment = Duration::try_from_secs_f64(seconds)
            .map_err(|_| Nothing::Unusable(format!("{seconds} is no time of data")))?;
        let age = self.ask.window.to.since(Timestamp::default().after(moment));
        if age > max_age {
            return Err(Nothing::Stale { age }.into());
        }
        Ok(())
    }

    async fn side(&self, form: &Form, revision: Option<&Revision>) -> Result<Side, Stop> {
        match form {
            Form::Value(query) => self.value(query, revision).await.map(Side::Value),
            Form::Counts { total, part } => {
                let (part, picked) = match part {
                    Part::Failed(part) => (part, Picked::Failed),
                    Part::Good(part) => (part, Picked::Good),
                };
                let some = async {
                    match self.counters(part, revision).await {
                        // Nothing has failed yet, or all has.
                        Err(Stop::Nothing(Nothing::NoData)) => Ok(Vec::new()),
                        read => read,
                    }
                };
                let (all, some) = try_join(self.counters(total, revision), some).await?;
                self.check_age(&all)?;
                let tally = counters::tally(&all, &some, picked, &self.question.process)?;
                Ok(Side::Counts(tally))
            }
            Form::Slower { buckets, than } => {
                let histogram = self.histogram(buckets, 1.0, revision).await?;
                Ok(Side::Counts(counters::slower(&histogram, *than)?))
            }
            Form::Histogram { buckets, scale } => {
                let histogram = self.histogram(buckets, *scale, revision).await?;
                Ok(Side::Histogram(histogram))
            }
        }
    }

    async fn value(&self, template: &Template, revision: Option<&Revision>) -> Result<f64, Stop> {
        let query = self.render(template, revision)?;
        if reach(&query) > self.length() {
            return Err(Nothing::Straddles.into());
        }
        let max_age = self.max_age();
        // Of these the server tells the age, so that old data is known to be old, and is not just missing. Not every
        // server heeds how far it should look back.
        let tells_age = self.metrics.client.dialect() == Dialect::Prometheus && is_selector(&query);
        let young = async {
            if tells_age {
                return self.no_older(&format!("timestamp({query})"), max_age).await;
            }
            Ok(())
        };
        let number = async {
            let look_back = (!tells_age).then_some(max_age);
            let answer = self.send(&query, look_back).await?;
            let reply = self.read(&answer)?;
            self.warn_of_choice(&reply);
            let fresh = Fresh {
                now: self.ask.window.to,
                max_age: Some(max_age),
            };
            Ok(reply.number(self.question.pick, &self.ask.metric.judge, fresh)?)
        };
        let (number, young) = join(number, young).await;
        young.and(number)
    }

    async fn histogram(
        &self,
        buckets: &Template,
        scale: f64,
        revision: Option<&Revision>,
    ) -> Result<Histogram, Stop> {
        let buckets = self.counters(buckets, revision).await?;
        self.check_age(&buckets)?;
        Ok(counters::histogram(&buckets, scale, &self.question.process)?)
    }

    /// The raw samples of a selector within the window.
    async fn counters(&self, selector: &Template, revision: Option<&Revision>) -> Result<Vec<Counter>, Stop> {
        if self.metrics.client.dialect() == Dialect::Loki {
            return Err(only_values(&self.ask.metric.name).into());
        }
        let selector = self.render(selector, revision)?;
        // From version 3 on, Prometheus leaves a sample at the very beginning of a range out.
        let range = PromDuration::saturating_from(self.length().saturating_add(Duration::from_millis(1)));
        let answer = self.send(&format!("{selector}[{range}]"), None).await?;
        let reply = self.read(&answer)?;
        Ok(counters::read(&reply, self.ask.window)?)
    }

    fn check_age(&self, counters: &[Counter]) -> Result<(), Nothing> {
        let (Some(newest), Some(max_age)) = (counters::newest(counters), self.question.max_age) else {
            return Ok(());
        };
        let age = self.ask.window.to.since(newest);
        if age > max_age {
            return Err(Nothing::Stale { age });
        }
        Ok(())
    }

    fn length(&self) -> Duration {
        self.ask.window.length()
    }

    /// How old data may be: no older than the window, in any case.
    fn max_age(&self) -> Duration {
        let length = self.length();
        self.question.max_age.unwrap_or(length).min(length)
    }

    fn render(&self, template: &Template, revision: Option<&Revision>) -> Result<String, Error> {
        let filling = Filling {
            names: self.names,
            revision: revision.map(Revision::as_str),
            interval: self.length(),
        };
        render(template, &filling)
    }

    /// Asks when it is its turn.
    async fn send(&self, query: &str, look_back: Option<Duration>) -> Result<Answer, Error> {
        add(&self.queries, [query.to_owned()]);
        let instant = Instant {
            query,
            at: Some(self.ask.window.to),
            // From version 3 on, Prometheus leaves a sample at the very beginning out.
            look_back: look_back.map(|it| it.saturating_add(Duration::from_millis(1))),
        };
        // It is never closed.
        let _turn = self.metrics.turns.acquire().await;
        self.metrics.client.query(instant).await
    }

    /// Which of several series is the last is an accident.
    fn warn_of_choice(&self, reply: &Reply<'_>) {
        let which = match self.question.pick {
            Pick::First => "first",
            Pick::Last => "last",
            Pick::One | Pick::Sum | Pick::Max | Pick::Min | Pick::Worst => return,
        };
        if let Data::Vector(series) = &reply.data
            && series.len() > 1
        {
            let count = series.len();
            add(
                &self.warnings,
                [format!(
                    "of {count} series the {which} counts; say which is meant"
                )],
            );
        }
    }

    /// A reply that is whole: part of the data is not the data.
    fn read<'a>(&self, answer: &'a Answer) -> Result<Reply<'a>, Stop> {
        let reply = answer.reply()?;
        let said = reply.warnings.iter().chain(&reply.infos);
        add(&self.warnings, said.map(|it| self.metrics.client.shown(it)));
        match self.metrics.client.partial(&reply) {
            Some(why) => Err(Nothing::Partial(why).into()),
            None => Ok(reply),
        }
    }
}

fn add(list: &Mutex<Vec<String>>, texts: impl IntoIterator<Item = String>) {
    list.lock().unwrap_or_else(PoisonError::into_inner).extend(texts);
}
