//! Addresses of servers and of webhooks.

use delivery_outbound::{Client, Endpoint};
use delivery_prom::Server;

use super::text;
use crate::{Shape, check};

/// An address is read or refused, and shows neither login nor path. The first line is the address, the second a path or a
/// host.
pub(super) fn run(input: &[u8]) -> Shape {
    let input = text(input);
    let (address, more) = check::line(&input);
    let mut shape = Shape::default();
    match Endpoint::new("url", address) {
        Ok(endpoint) => {
            let origin = endpoint.origin();
            assert_eq!(delivery_core::text::hidden(&origin), None);
            let again = Endpoint::new("url", &origin).map(|it| it.origin());
            assert_eq!(again.ok().as_deref(), Some(origin.as_str()));
            let joined = endpoint.join(more);
            assert_eq!(joined.origin(), origin, "a path leads to another server");
            assert_eq!(delivery_core::text::hidden(&format!("{joined:?}")), None);
            shape = shape
                .and(origin.starts_with("https"))
                .and(origin.matches([':', '[']).count());
        }
        Err(error) => shape = shape.said(&check::error(&error)),
    }
    match Server::new(address) {
        Ok(server) => {
            assert_eq!(delivery_core::text::hidden(&format!("{server:?}")), None);
            match server.tenant(more) {
                Ok(_) => shape = shape.and("tenant"),
                Err(error) => shape = shape.said(&check::error(&error)),
            }
        }
        Err(error) => shape = shape.said(&check::error(&error)),
    }
    match Client::builder().allow_hosts(more.split(',')) {
        Ok(_) => shape.and("hosts"),
        Err(error) => shape.said(&check::error(&error)),
    }
}
