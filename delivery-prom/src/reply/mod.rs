//! From the bytes of an answer to a number: pure, without copying, and with a name for everything that is no number.
//!
//! A [`Reply`] borrows from the bytes that it was read from: labels stay the text that they are until somebody asks for
//! one, and the points of a matrix are read one after the other, so that ten thousand series cost ten thousand small
//! structs and nothing else.

mod envelope;
mod labels;
mod number;
mod plain;
mod wire;

use delivery_core::Timestamp;

pub(crate) use self::envelope::data;
pub use self::labels::Labels;
pub use self::number::{Fresh, Pick};
pub use self::wire::parse;

/// A good answer to a query.
#[derive(Clone, Debug)]
pub struct Reply<'a> {
    /// What the query is at the moments that were asked for.
    pub data: Data<'a>,
    /// What the server warns of: parts that did not answer, most likely, so that the data is not whole.
    pub warnings: Vec<String>,
    /// What the server remarks about the query.
    pub infos: Vec<String>,
    /// Why the data is not whole, in the server's words; none: it is.
    pub partial: Option<String>,
}

/// What a query is, by its type.
#[derive(Clone, Debug)]
pub enum Data<'a> {
    /// Series with one value each.
    Vector(Vec<Series<'a>>),
    /// Series with values at several moments.
    Matrix(Vec<Track<'a>>),
    /// A number without labels.
    Scalar(Point),
    /// A text.
    Text(String),
    /// Log lines, of which nothing is read.
    Streams,
}

/// A number at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When; of an instant query this is mostly the moment that was asked for, and not that of the newest sample.
    pub at: Timestamp,
    /// The number; may be NaN or infinite.
    pub value: f64,
}

/// A series with one value.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Its labels.
    pub labels: Labels<'a>,
    /// The moment for which the server gives the value.
    pub at: Timestamp,
    /// Its value.
    pub value: Value,
}

/// A value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A number; may be NaN or infinite.
    Float(f64),
    /// A native histogram. `histogram_quantile`, `histogram_count` and their like make a number of it.
    Histogram,
}

/// A series with values at several moments.
#[derive(Clone, Copy, Debug)]
pub struct Track<'a> {
    /// Its labels.
    pub labels: Labels<'a>,
    /// The JSON text of its points; empty when it has none.
    points: &'a str,
    /// Whether there are native histograms among its values, which are left out of the points.
    pub histograms: bool,
}

impl Track<'_> {
    /// Reads the points one after the other, oldest first.
    ///
    /// # Errors
    /// [`NoReply`] for what is no list of points; whatever came before it has been seen.
    pub fn for_each(&self, see: impl FnMut(Point)) -> Result<(), NoReply> {
        wire::points(self.points, see)
    }

    /// All points, oldest first.
    ///
    /// # Errors
    /// [`NoReply`] for what is no list of points.
    pub fn points(&self) -> Result<Vec<Point>, NoReply> {
        let mut points = Vec::new();
        self.for_each(|it| points.push(it))?;
        Ok(points)
    }
}

/// Bytes that are no good answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoReply {
    /// The server says that the query failed.
    #[error("{kind}: {message}")]
    Failed {
        /// Prometheus' kind of error: `bad_data`, `execution`, `timeout`, …
        kind: String,
        /// What went wrong.
        message: String,
    },
    /// It is not the answer of a Prometheus.
    #[error("it is not the answer of a Prometheus")]
    Unreadable(#[source] serde_json::Error),
    /// It is a text with bytes that are not UTF-8.
    #[error("it is not the answer of a Prometheus")]
    NoText(#[source] std::str::Utf8Error),
}

impl NoReply {
    /// The error quotes what the server has said, and people get to see it.
    fn unreadable(error: serde_json::Error) -> Self {
        Self::Unreadable(delivery_core::text::of_json(error))
    }
}

#[cfg(test)]
mod tests;
