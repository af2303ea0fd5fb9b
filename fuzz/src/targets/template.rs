//! Templates of queries.

use std::time::Duration;

use delivery_prom::template::{Filling, Names, Template};

use super::text;
use crate::{Shape, check};

/// The first line is a name to put in, the rest is the template.
pub(super) fn run(input: &[u8]) -> Shape {
    let input = text(input);
    let (name, written) = check::line(&input);
    let template = match Template::parse(written) {
        Ok(template) => template,
        Err(error) => return Shape::default().said(&check::error(&error)),
    };
    assert_eq!(template.text(), written);
    assert_eq!(Template::parse(&template.to_string()).as_ref(), Ok(&template));
    let shape = Shape::default().and((template.has_interval(), template.has_revision()));
    let names = Names {
        name: Some(name.into()),
        namespace: Some(name.into()),
        target: Some(name.into()),
        variables: [("x".into(), name.into())].into(),
        ..Names::default()
    };
    let filling = Filling {
        names: &names,
        revision: Some(name),
        interval: Duration::from_secs(60),
    };
    match template.render(&filling) {
        Ok(query) => {
            // A regular expression in a text in quotes doubles what is escaped twice over.
            let most = written.len() + written.matches("{{").count() * (8 * name.len() + 16);
            assert!(query.len() <= most, "{} bytes of {}", query.len(), written.len());
            shape.and("filled")
        }
        Err(error) => shape.said(&check::error(&error)),
    }
}
