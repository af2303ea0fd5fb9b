//! What is sent, byte for byte.

use std::time::Duration;

use super::*;
use crate::template::{Filling, Template};

fn render(provider: &str, metric: &str, names: &Names) -> String {
    let provider = Provider::named(provider).unwrap();
    let template = Template::parse(provider.template(metric).unwrap()).unwrap();
    let names = provider.names(names);
    let filling = Filling {
        names: &names,
        revision: None,
        interval: Duration::from_secs(60),
    };
    template.render(&filling).unwrap()
}

fn names() -> Names {
    let some = |it: &str| Some(it.to_owned());
    Names {
        name: some("web"),
        namespace: some("shop"),
        target: some("web"),
        service: some("web-svc"),
        ingress: some("web-ing"),
        route: some("web-00001"),
        ..Names::default()
    }
}

/// Provider, success rate, duration.
const GOLDEN: &[(&str, &str, &str)] = &[
    (
        "apisix",
        r#" sum( rate( apisix_http_status{ route=~"shop_web-00001-web-canary_.+", code!~"5.." }[1m] ) ) / sum( rate( apisix_http_status{ route=~"shop_web-00001-web-canary_.+" }[1m] ) ) * 100"#,
        r#" histogram_quantile( 0.99, sum( rate( apisix_http_latency_bucket{ type=~"request", route=~"shop_web-00001-web-canary_.+" }[1m] ) ) by (le) )"#,
    ),
    (
        "appmesh",
        r#" sum( rate( envoy_cluster_upstream_rq{ kubernetes_namespace="shop", kubernetes_pod_name=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)", envoy_response_code!~"5.*" }[1m] ) ) / sum( rate( envoy_cluster_upstream_rq{ kubernetes_namespace="shop", kubernetes_pod_name=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)" }[1m] ) ) * 100"#,
        r#" histogram_quantile( 0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{ kubernetes_namespace="shop", kubernetes_pod_name=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)" }[1m] ) ) by (le) )"#,
    ),
    (
        "contour",
        r#" sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop_web-svc-canary_[0-9a-zA-Z-]+", envoy_response_code!~"5.*" }[1m] ) ) / sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop_web-svc-canary_[0-9a-zA-Z-]+", }[1m] ) ) * 100"#,
        r#" histogram_quantile( 0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{ envoy_cluster_name=~"shop_web-svc-canary_[0-9a-zA-Z-]+", }[1m] ) ) by (le) )"#,
    ),
    (
        "gloo",
        r#" sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop-web-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+", envoy_response_code!~"5.*" }[1m] ) ) / sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop-web-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+", }[1m] ) ) * 100"#,
        r#" histogram_quantile( 0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{ envoy_cluster_name=~"shop-web-canaryupstream-[0-9a-zA-Z-]+_[0-9a-zA-Z-]+", }[1m] ) ) by (le) )"#,
    ),
    (
        "kubernetes",
        r#" sum( rate( http_request_duration_seconds_count{ kubernetes_namespace="shop", kubernetes_pod_name=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)", status!~"5.*" }[1m] ) ) / sum( rate( http_request_duration_seconds_count{ kubernetes_namespace="shop", kubernetes_pod_name=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)" }[1m] ) ) * 100"#,
        r#" histogram_quantile( 0.99, sum( rate( http_request_duration_seconds_bucket{ kubernetes_namespace="shop", kubernetes_pod_name=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)" }[1m] ) ) by (le) )"#,
    ),
    (
        "istio",
        r#" sum( rate( istio_requests_total{ reporter="destination", destination_workload_namespace="shop", destination_workload=~"web", response_code!~"5.*" }[1m] ) ) / sum( rate( istio_requests_total{ reporter="destination", destination_workload_namespace="shop", destination_workload=~"web" }[1m] ) ) * 100"#,
        r#" histogram_quantile( 0.99, sum( rate( istio_request_duration_milliseconds_bucket{ reporter="destination", destination_workload_namespace="shop", destination_workload=~"web" }[1m] ) ) by (le) )"#,
    ),
    (
        "knative",
        r#" sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop/web-00001", envoy_response_code!~"5.*" }[1m] ) ) / sum( rate( envoy_cluster_upstream_rq{ envoy_cluster_name=~"shop/web-00001", }[1m] ) ) * 100"#,
        r#" histogram_quantile( 0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{ envoy_cluster_name=~"shop/web-00001", }[1m] ) ) by (le) )"#,
    ),
    (
        "kuma",
        r#" sum( rate( envoy_cluster_upstream_rq{ service=~"web-canary_shop_svc_[0-9a-zA-Z-]+", envoy_response_code!~"5.*" }[1m] ) ) / sum( rate( envoy_cluster_upstream_rq{ service=~"web-canary_shop_svc_[0-9a-zA-Z-]+", }[1m] ) ) * 100"#,
        r#" histogram_quantile( 0.99, sum( rate( envoy_cluster_upstream_rq_time_bucket{ service=~"web-canary_shop_svc_[0-9a-zA-Z-]+", }[1m] ) ) by (le) )"#,
    ),
    (
        "linkerd",
        r#" sum( rate( response_total{ namespace="shop", deployment=~"web", classification!="failure", direction="inbound" }[1m] ) ) / sum( rate( response_total{ namespace="shop", deployment=~"web", direction="inbound" }[1m] ) ) * 100"#,
        r#" histogram_quantile( 0.99, sum( rate( response_latency_ms_bucket{ namespace="shop", deployment=~"web", direction="inbound" }[1m] ) ) by (le) )"#,
    ),
    (
        "nginx",
        r#" sum( rate( nginx_ingress_controller_requests{ namespace="shop", ingress="web-ing", canary!="", status!~"5.*" }[1m] ) ) / sum( rate( nginx_ingress_controller_requests{ namespace="shop", ingress="web-ing", canary!="" }[1m] ) ) * 100"#,
        r#" sum( rate( nginx_ingress_controller_response_duration_seconds_sum{ namespace="shop", ingress="web-ing", canary!="" }[1m] ) ) / sum( rate( nginx_ingress_controller_response_duration_seconds_count{ namespace="shop", ingress="web-ing", canary!="" }[1m] ) ) * 1000"#,
    ),
    (
        "osm",
        r#" sum( rate( osm_request_total{ destination_namespace="shop", destination_kind="Deployment", destination_name="web", response_code!~"5.*" }[1m] ) ) / sum( rate( osm_request_total{ destination_namespace="shop", destination_kind="Deployment", destination_name="web" }[1m] ) ) * 100"#,
        r#" histogram_quantile( 0.99, sum( rate( osm_request_duration_ms_bucket{ destination_namespace="shop", destination_kind="Deployment", destination_name="web" }[1m] ) ) by (le) )"#,
    ),
    (
        "skipper",
        r#" sum(rate(skipper_response_duration_seconds_bucket{route=~"kube(ew)?_shop__web_ing_canary__.*__web_svc_canary(_[0-9]+)?",code!~"5..",le="+Inf"}[1m])) / sum(rate(skipper_response_duration_seconds_bucket{route=~"kube(ew)?_shop__web_ing_canary__.*__web_svc_canary(_[0-9]+)?",le="+Inf"}[1m])) * 100"#,
        r#" sum(rate(skipper_serve_route_duration_seconds_sum{route=~"kube(ew)?_shop__web_ing_canary__.*__web_svc_canary(_[0-9]+)?"}[1m])) / sum(rate(skipper_serve_route_duration_seconds_count{route=~"kube(ew)?_shop__web_ing_canary__.*__web_svc_canary(_[0-9]+)?"}[1m])) * 1000"#,
    ),
    (
        "traefik",
        r#" sum( rate( traefik_service_request_duration_seconds_bucket{ service=~"shop-web-canary-[0-9a-zA-Z-]+@kubernetescrd", code!~"5..", le="+Inf" }[1m] ) ) / sum( rate( traefik_service_request_duration_seconds_bucket{ service=~"shop-web-canary-[0-9a-zA-Z-]+@kubernetescrd", le="+Inf" }[1m] ) ) * 100"#,
        r#" histogram_quantile( 0.99, sum( rate( traefik_service_request_duration_seconds_bucket{ service=~"shop-web-canary-[0-9a-zA-Z-]+@kubernetescrd" }[1m] ) ) by (le) ) * 1000"#,
    ),
];

#[test]
fn every_provider_is_rendered_as_flagger_renders_it() {
    for (provider, success_rate, duration) in GOLDEN {
        assert_eq!(
            render(provider, SUCCESS_RATE, &names()),
            *success_rate,
            "{provider}"
        );
        assert_eq!(render(provider, DURATION, &names()), *duration, "{provider}");
    }
    let rows: Vec<*const Provider> = GOLDEN
        .iter()
        .map(|(name, ..)| std::ptr::from_ref(Provider::named(name).unwrap()))
        .collect();
    for provider in PROVIDERS {
        assert!(
            rows.contains(&std::ptr::from_ref(provider)),
            "{:?} has no golden queries",
            provider.names
        );
    }
}

#[test]
fn a_name_with_a_dot_means_that_dot() {
    let names = Names {
        target: Some("web.v2".into()),
        ..names()
    };
    let query = render("istio", DURATION, &names);
    assert!(query.contains(r#"destination_workload=~"web\\.v2""#), "{query}");
    let query = render("osm", DURATION, &names);
    assert!(query.contains(r#"destination_name="web.v2""#), "{query}");
}

#[test]
fn providers_have_the_names_that_flagger_gives_them() {
    for (name, row) in [
        ("istio", "istio"),
        ("gatewayapi:v1", "kubernetes"),
        ("gatewayapi:v1beta1", "kubernetes"),
        ("kubernetes", "kubernetes"),
        ("appmesh:v1beta2", "appmesh*"),
        ("gloo", "gloo*"),
    ] {
        assert!(Provider::named(name).unwrap().names.contains(&row), "{name}");
    }
    let error = Provider::named("ngnix").unwrap_err().to_string();
    assert!(
        error.starts_with(r#""ngnix" is no provider with built-in queries (expected one of istio, "#),
        "{error}"
    );
    assert!(
        Provider::named("nginx2").is_err(),
        "only what ends with * is a beginning"
    );
}

#[test]
fn durations_are_whole_milliseconds() {
    let value = |provider: &str, metric, returned| Provider::named(provider).unwrap().value(metric, returned);
    for (provider, metric, returned, expected) in [
        ("istio", DURATION, 500.9, 500.0),
        ("kubernetes", DURATION, 0.5009, 500.0),
        ("traefik", DURATION, f64::INFINITY, f64::INFINITY),
        ("istio", SUCCESS_RATE, 98.999, 98.999),
    ] {
        assert!(
            (value(provider, metric, returned) - expected).abs() < f64::EPSILON || expected.is_infinite(),
            "{provider}"
        );
    }
    assert!(value("kubernetes", DURATION, f64::NAN).is_nan());
}
