//! The queries that Flagger has built in, one row per provider.
//!
//! `request-success-rate` is the share of requests without a server's error, in percent; `request-duration` is the 99th
//! percentile of their durations, or where a provider has no histogram their mean, in milliseconds.
//!
//! The rows are data, and what they are rendered to is, byte for byte, what Flagger 1.44 sends. They begin with a space
//! because Flagger's templates begin with a line break. They speak about the canary alone.

use crate::template::Names;

/// The success rate in percent.
pub const SUCCESS_RATE: &str = "request-success-rate";

/// The duration in milliseconds.
pub const DURATION: &str = "request-duration";

/// What one provider's queries are.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Provider {
    /// What users call it: names of Flagger's `provider`. One that ends with `*` stands for all that begin so.
    pub names: &'static [&'static str],
    /// The template of [`SUCCESS_RATE`].
    pub success_rate: &'static str,
    /// The template of [`DURATION`].
    pub duration: &'static str,
    /// What makes milliseconds of the duration.
    pub to_millis: f64,
    /// Of what kind the duration is.
    pub statistic: Statistic,
    /// Whether everything in names that is no letter, digit or `_` is written `_`.
    pub words_only: bool,
}

/// Of what kind a duration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// The 99th percentile.
    P99,
    /// The mean.
    Mean,
}

/// A provider that has no built-in queries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no provider with built-in queries (expected one of {known})", known = known())]
#[non_exhaustive]
pub struct UnknownProvider {
    /// The name, shortened.
    pub name: String,
}

impl Provider {
    /// The provider of that name.
    ///
    /// # Errors
    /// [`UnknownProvider`], which lists the known ones. Flagger takes Istio's queries then, which find nothing.
    pub fn named(name: &str) -> Result<&'static Self, UnknownProvider> {
        let called = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == *pattern,
        };
        let unknown = || UnknownProvider {
            name: crate::error::shortened(name, 40),
        };
        PROVIDERS
            .iter()
            .find(|it| it.names.iter().any(called))
            .ok_or_else(unknown)
    }

    /// The template of a built-in metric; none for any other.
    pub fn template(&self, metric: &str) -> Option<&'static str> {
        match metric {
            SUCCESS_RATE => Some(self.success_rate),
            DURATION => Some(self.duration),
            _ => None,
        }
    }

    /// The value of a built-in metric from what its query returned. Durations are whole milliseconds, as Flagger judges
    /// them.
    pub fn value(&self, metric: &str, returned: f64) -> f64 {
        match metric {
            DURATION => (returned * self.to_millis).trunc(),
            _ => returned,
        }
    }

    /// Names as this provider writes them.
    pub fn names(&self, names: &Names) -> Names {
        if !self.words_only {
            return names.clone();
        }
        let word = |it: char| if it.is_ascii_alphanumeric() { it } else { '_' };
        let words = |it: &Option<String>| it.as_ref().map(|it| it.chars().map(word).collect());
        Names {
            name: words(&names.name),
            namespace: words(&names.namespace),
            target: words(&names.target),
            service: words(&names.service),
            ingress: words(&names.ingress),
            route: names.route.clone(),
            variables: names.variables.clone(),
        }
    }
}

fn known() -> String {
    let names: Vec<&str> = PROVIDERS.iter().flat_map(|it| it.names).copied().collect();
    names.join(", ")
}

/// 100 times the rate of the good over the rate of all.
macro_rules! success_rate {
    ($metric:literal, good $good:literal, all $all:literal) => {
        concat!(
            " sum( rate( ",
            $metric,
            "{ ",
            $good,
            " }[{{ interval }}] ) ) / sum( rate( ",
            $metric,
            "{ ",
            $all,
            " }[{{ interval }}] ) ) * 100"
        )
    };
}

/// The 99th percentile of a histogram, and what is done with it.
macro_rules! p99 {
    ($metric:literal, $all:literal $(, $then:literal)?) => {
        concat!(
            " histogram_quantile( 0.99, sum( rate( ", $metric, "{ ", $all, " }[{{ interval }}] ) ) by (le) )" $(, $then)?
        )
    };
}

/// Every provider that has queries. A new one is a row here; lookup, errors and docs follow from it.
pub static PROVIDERS: &[Provider] = &[
    Provider {
        names: &["istio", "smi:istio"],
        success_rate: success_rate!(
            "istio_requests_total",
            good r#"reporter="destination", destination_workload_namespace="{{ namespace }}", destination_workload=~"{{ target }}", response_code!~"5.*""#,
            all r#"reporter="destination", destination_workload_namespace="{{ namespace }}", destination_workload=~"{{ target }}""#
        ),
        duration: p99!(
            "istio_request_duration_milliseconds_bucket",
            r#"reporter="destination", destination_workload_namespace="{{ namespace }}", destination_workload=~"{{ target }}""#
        ),
        to_millis: 1.0,
        statistic: Statistic::P99,
        words_only: false,
    },
    Provider {
        names: &["linkerd"],
        success_rate: success_rate!(
            "response_total",
            good r#"namespace="{{ namespace }}", deployment=~"{{ target }}", classification!="failure", direction="inbound""#,
            all r#"namespace="{{ namespace }}", deployment=~"{{ target }}", direction="inbound""#
        ),
        duration: p99!(
            "response_latency_ms_bucket",
            r#"namespace="{{ namespace }}", deployment=~"{{ target }}", direction="inbound""#
        ),
        to_millis: 1.0,
        statistic: Statistic::P99,
        words_only: false,
    },
    Provider {
        names: &["osm"],
        success_rate: success_rate!(
            "osm_request_total",
            good r#"destination_namespace="{{ namespace }}", destination_kind="Deployment", destination_name="{{ target }}", response_code!~"5.*""#,
            all r#"destination_namespace="{{ namespace }}", destination_kind="Deployment", destination_name="{{ target }}""#
        ),
        duration: p99!(
            "osm_request_duration_ms_bucket",
            r#"destination_namespace="{{ namespace }}", destination_kind="Deployment", destination_name="{{ target }}""#
        ),
        to_millis: 1.0,
        statistic: Statistic::P99,
        words_only: false,
    },
    Provider {
        names: &["kubernetes", "gatewayapi*"],
        success_rate: success_rate!(
            "http_request_duration_seconds_count",
            good r#"kubernetes_namespace="{{ namespace }}", kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)", status!~"5.*""#,
            all r#"kubernetes_namespace="{{ namespace }}", kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)""#
        ),
        duration: p99!(
            "http_request_duration_seconds_bucket",
            r#"kubernetes_namespace="{{ namespace }}", kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)""#
        ),
        to_millis: 1_000.0,
        statistic: Statistic::P99,
        words_only: false,
    },
    Provider {
        names: &["appmesh*"],
        success_rate: success_rate!(
            "envoy_cluster_upstream_rq",
            good r#"kubernetes_namespace="{{ namespace }}", kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)", envoy_response_code!~"5.*""#,
            all r#"kubernetes_namespace="{{ namespace }}", kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)""#
        ),
        duration: p99!(
            "envoy_cluster_upstream_rq_time_bucket",
            r#"kubernetes_namespace="{{ namespace }}", kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)""#
        ),
        to_millis: 1.0,
        statistic: Statistic::P99,
        words_only: false,
    },
    Provider {
        names: &["contour"],
        success_rate: success_rate!(
            "envoy_cluster_upstream_rq",
            good r#"envoy_cluster_name=~"{{ namespace }}_{{ service }}-canary_[0-9a-zA-Z-]+", envoy_response_code!~"5.*""#,
            all r#"envoy_cluster_name=~"{{ namespace }}_{{ service }}-canary_[0-9a-zA-Z-]+","#
        ),
        duration: p99!(
            "envoy_cluster_upstream_rq_time_bucket",
            r#"envoy_cluster_name=~"{{ namespace }}_{{ service }}-canary_[0-9a-zA-Z-]+","#
        ),
        to_millis: 1.0,
        statistic: Statistic::P99,
        words_only: false,
    },
    Provider {
        names: &["gloo*"],
        success_rate: success_rate!(
            "envoy_cluster_upstream_rq",
            good r#"envoy_cluster_name=~"{{ namespace }}-{{ target }}-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+", envoy_response_code!~"5.*""#,
            all r#"envoy_cluster_name=~"{{ namespace }}-{{ target }}-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+","#
        ),
        duration: p99!(
            "envoy_cluster_upstream_rq_time_bucket",
            r#"envoy_cluster_name=~"{{ namespace }}-{{ target }}-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+","#
        ),
        to_millis: 1.0,
        statistic: Statistic::P99,
        words_only: false,
    },
    Provider {
        names: &["kuma"],
        success_rate: success_rate!(
            "envoy_cluster_upstream_rq",
            good r#"service=~"{{ target }}-canary_{{ namespace }}_svc_[0-9a-zA-Z-]+", envoy_response_code!~"5.*""#,
            all r#"service=~"{{ target }}-canary_{{ namespace }}_svc_[0-9a-zA-Z-]+","#
        ),
        duration: p99!(
            "envoy_cluster_upstream_rq_time_bucket",
            r#"service=~"{{ target }}-canary_{{ namespace }}_svc_[0-9a-zA-Z-]+","#
        ),
        to_millis: 1.0,
        statistic: Statistic::P99,
        words_only: false,
    },
    // The route is the name of the canary's revision.
    Provider {
        names: &["knative"],
        success_rate: success_rate!(
            "envoy_cluster_upstream_rq",
            good r#"envoy_cluster_name=~"{{ namespace }}/{{ route }}", envoy_response_code!~"5.*""#,
            all r#"envoy_cluster_name=~"{{ namespace }}/{{ route }}","#
        ),
        duration: p99!(
            "envoy_cluster_upstream_rq_time_bucket",
            r#"envoy_cluster_name=~"{{ namespace }}/{{ route }}","#
        ),
        to_millis: 1.0,
        statistic: Statistic::P99,
        words_only: false,
    },
    Provider {
        names: &["nginx"],
        success_rate: success_rate!(
            "nginx_ingress_controller_requests",
            good r#"namespace="{{ namespace }}", ingress="{{ ingress }}", canary!="", status!~"5.*""#,
            all r#"namespace="{{ namespace }}", ingress="{{ ingress }}", canary!="""#
        ),
        duration: r#" sum( rate( nginx_ingress_controller_response_duration_seconds_sum{ namespace="{{ namespace }}", ingress="{{ ingress }}", canary!="" }[{{ interval }}] ) ) / sum( rate( nginx_ingress_controller_response_duration_seconds_count{ namespace="{{ namespace }}", ingress="{{ ingress }}", canary!="" }[{{ interval }}] ) ) * 1000"#,
        to_millis: 1.0,
        statistic: Statistic::Mean,
        words_only: false,
    },
    Provider {
        names: &["traefik"],
        success_rate: success_rate!(
            "traefik_service_request_duration_seconds_bucket",
            good r#"service=~"{{ namespace }}-{{ target }}-canary-[0-9a-zA-Z-]+@kubernetescrd", code!~"5..", le="+Inf""#,
            all r#"service=~"{{ namespace }}-{{ target }}-canary-[0-9a-zA-Z-]+@kubernetescrd", le="+Inf""#
        ),
        duration: p99!(
            "traefik_service_request_duration_seconds_bucket",
            r#"service=~"{{ namespace }}-{{ target }}-canary-[0-9a-zA-Z-]+@kubernetescrd""#,
            " * 1000"
        ),
        to_millis: 1.0,
        statistic: Statistic::P99,
        words_only: false,
    },
    Provider {
        names: &["skipper"],
        success_rate: r#" sum(rate(skipper_response_duration_seconds_bucket{route=~"kube(ew)?_{{ namespace }}__{{ ingress }}_canary__.*__{{ service }}_canary(_[0-9]+)?",code!~"5..",le="+Inf"}[{{ interval }}])) / sum(rate(skipper_response_duration_seconds_bucket{route=~"kube(ew)?_{{ namespace }}__{{ ingress }}_canary__.*__{{ service }}_canary(_[0-9]+)?",le="+Inf"}[{{ interval }}])) * 100"#,
        duration: r#" sum(rate(skipper_serve_route_duration_seconds_sum{route=~"kube(ew)?_{{ namespace }}__{{ ingress }}_canary__.*__{{ service }}_canary(_[0-9]+)?"}[{{ interval }}])) / sum(rate(skipper_serve_route_duration_seconds_count{route=~"kube(ew)?_{{ namespace }}__{{ ingress }}_canary__.*__{{ service }}_canary(_[0-9]+)?"}[{{ interval }}])) * 1000"#,
        to_millis: 1.0,
        statistic: Statistic::Mean,
        words_only: true,
    },
    Provider {
        names: &["apisix"],
        success_rate: success_rate!(
            "apisix_http_status",
            good r#"route=~"{{ namespace }}_{{ route }}-{{ target }}-canary_.+", code!~"5..""#,
            all r#"route=~"{{ namespace }}_{{ route }}-{{ target }}-canary_.+""#
        ),
        duration: p99!(
            "apisix_http_latency_bucket",
            r#"type=~"request", route=~"{{ namespace }}_{{ route }}-{{ target }}-canary_.+""#
        ),
        to_millis: 1.0,
        statistic: Statistic::P99,
        words_only: false,
    },
];

#[cfg(test)]
mod tests;
