//! Gates, hooks, notifications and JSON metrics over HTTP for progressive delivery.
