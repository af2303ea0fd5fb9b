//! Notifications and JSON metrics against real HTTP servers on the loopback address.

mod alertmanager;
mod broken;
mod inbox;
mod json_metric;
mod notifications;
mod secrets;
mod words;
