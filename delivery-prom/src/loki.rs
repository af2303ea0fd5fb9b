//! Loki: LogQL where it gives a number.
//!
//! Loki answers instant metric queries as Prometheus does, so that [`Server::loki`](crate::Server::loki) is all there is
//! to say about it: the same client, the same replies, the tenant in the same header. What it has beyond that, log lines,
//! is no measurement: a log query is refused before it is sent.

/// Why a query has no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it asks for log lines, not for a number (count them, e.g. sum(count_over_time({{app=\"web\"}} |= \"error\" [1m])))"
)]
pub struct LogQuery;

/// Whether a LogQL query has a number; a log query begins with its stream selector, a metric query never does.
///
/// # Errors
/// [`LogQuery`].
///
/// ```
/// use delivery_prom::loki::check;
///
/// assert!(check(r#"sum(rate({app="web"} |= "error" [1m]))"#).is_ok());
/// assert!(check(r#"{app="web"} |= "error""#).is_err());
/// ```
pub fn check(query: &str) -> Result<(), LogQuery> {
    let mut rest = query;
    loop {
        rest = rest.trim_start_matches(|it: char| it.is_whitespace() || it == '(');
        match rest.strip_prefix('#') {
            Some(comment) => rest = comment.split_once('\n').map_or("", |(_, rest)| rest),
            None => break,
        }
    }
    if rest.starts_with('{') {
        Err(LogQuery)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_queries_are_told_from_metric_queries() {
        for (query, log) in [
            (r#"{app="web"}"#, true),
            ("  # errors\n\t{app=\"web\"} |= \"x\" | json", true),
            (r#"({app="web"})"#, true),
            (r#"rate({app="web"}[1m])"#, false),
            (r#"(sum(rate({app="web"}[1m])) / 2) > 1"#, false),
            ("# {app}\nvector(1)", false),
            ("", false),
        ] {
            assert_eq!(check(query).is_err(), log, "{query}");
        }
    }
}
