//! Flagger's objects as types: `flagger.app/v1beta1` Canary, MetricTemplate and AlertProvider.
//!
//! The types take every object that Flagger's own CRD lets through, so that one odd object never keeps the others from
//! being read: numbers are numbers even where Flagger wants whole ones, and names of a fixed set are texts. What makes no
//! sense is refused when a Canary is [compiled](crate::compile), with its path, value and remedy, where somebody reads it.
//!
//! [`read`] takes an object from a file and says, beside it, which of its fields nobody reads.

mod alert_provider;
mod canary;
mod crd;
mod metric_template;
mod read;
mod service;

pub use self::alert_provider::{AlertProvider, AlertProviderSpec};
pub use self::canary::{
    Alert, Analysis, AutoscalerRef, Canary, CanaryCondition, CanaryMetric, CanarySpec, CanaryStatus,
    CrossRef, LocalRef, Match, ObjectRef, ScalerReplicas, SessionAffinity, ThresholdRange, UpstreamRef,
    Webhook,
};
pub use self::crd::{Conditions, crds};
pub use self::metric_template::{MetricTemplate, MetricTemplateSpec, Provider};
pub use self::read::{Unreadable, read};
pub use self::service::{
    BackendRef, ConnectionPool, ConsistentHash, CorsPolicy, Distribute, Failover, HeaderOperations, Headers,
    HttpCookie, HttpMatch, HttpPool, LoadBalancer, LocalityLb, Metadata, Mirror, OutlierDetection, ParentRef,
    Retries, Rewrite, Service, StringMatch, Tls, TrafficPolicy, UnmanagedMetadata,
};
