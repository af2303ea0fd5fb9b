//! Progressive delivery on Kubernetes: Flagger's objects, compiled to plans of `delivery-core`, and the routes that carry them out.
//!
//! ```
//! use delivery_k8s::api::{Canary, read};
//! use delivery_k8s::compile::{Surroundings, compile};
//!
//! let manifest = serde_json::json!({
//!     "apiVersion": "flagger.app/v1beta1",
//!     "kind": "Canary",
//!     "metadata": { "name": "web", "namespace": "shop" },
//!     "spec": {
//!         "provider": "istio",
//!         "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
//!         "service": { "port": 80 },
//!         "analysis": {
//!             "interval": "1m", "threshold": 5, "stepWeight": 10, "maxWeight": 50,
//!             "metrics": [{ "name": "request-success-rate", "interval": "1m", "thresholdRange": { "min": 99 } }]
//!         }
//!     }
//! });
//! let (canary, ignored) = read::<Canary>(manifest)?;
//! assert!(ignored.is_empty());
//! let compiled = compile(&canary, &Surroundings::default())?;
//! println!("{}", compiled.plan.timetable());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod api;
pub mod compile;
pub mod provider;
pub mod router;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
