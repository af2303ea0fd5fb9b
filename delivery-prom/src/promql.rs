//! Whether a query is PromQL, told without asking a server.

use crate::backquotes;
use crate::error::{Error, SHOWN, shortened};

/// Checks the syntax and the types of a query.
///
/// The parser knows PromQL as of Prometheus 3.8; whatever a server has beyond that is refused here.
///
/// # Errors
/// [`Error::Query`] with the parser's reason.
///
/// ```
/// use delivery_prom::promql::check;
///
/// assert!(check("sum(rate(requests_total[1m]))").is_ok());
/// let error = check("sum(rate(requests_total))").unwrap_err().to_string();
/// assert!(error.contains("rate"), "{error}");
/// ```
pub fn check(query: &str) -> Result<(), Error> {
    match promql_parser::parser::parse(&backquotes::replaced(query)) {
        Ok(_) => Ok(()),
        Err(why) => Err(Error::Query {
            query: shortened(query, SHOWN),
            why: format!("it is no PromQL: {}", shortened(&why, 200)),
        }),
    }
}
