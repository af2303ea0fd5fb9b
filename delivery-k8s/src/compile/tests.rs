//! What a manifest means, and what is said about it.

use serde_json::{Value, json};

use super::*;
use crate::api::read;

/// A manifest that is right, with a merge patch (RFC 7396) on its spec.
fn manifest(patch: &Value) -> Canary {
    let mut spec = json!({
        "provider": "istio",
        "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "service": { "port": 80 },
        "analysis": {
            "interval": "1m", "threshold": 5, "stepWeight": 10, "maxWeight": 50,
            "metrics": [{ "name": "request-success-rate", "interval": "1m", "thresholdRange": { "min": 99 } }]
        }
    });
    merge(&mut spec, patch);
    let object = json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": { "name": "web", "namespace": "shop" }, "spec": spec
    });
    read(object).unwrap_or_else(|error| panic!("{error}")).0
}

fn merge(object: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    for (name, value) in fields {
        if value.is_null() {
            object.as_object_mut().map(|fields| fields.remove(name));
        } else {
            merge(&mut object[name.as_str()], value);
        }
    }
}

/// The steps, one line each.
fn steps(patch: &Value) -> Vec<String> {
    let compiled =
        compile(&manifest(patch), &Surroundings::default()).unwrap_or_else(|errors| panic!("{errors}"));
    compiled
        .plan
        .timetable()
        .rows
        .into_iter()
        .map(|row| row.step)
        .collect()
}

fn refused(patch: &Value) -> Vec<String> {
    match compile(&manifest(patch), &Surroundings::default()) {
        Ok(compiled) => panic!("compiled: {}", compiled.plan.timetable()),
        Err(errors) => errors.errors.iter().map(ToString::to_string).collect(),
    }
}

fn warned(patch: &Value) -> Vec<String> {
    let compiled =
        compile(&manifest(patch), &Surroundings::default()).unwrap_or_else(|errors| panic!("{errors}"));
    compiled.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_manifest_has_nothing_to_say() {
    assert_eq!(warned(&json!({})), [""; 0]);
}

#[test]
fn each_strategy_of_flagger_becomes_its_steps() {
    let table = [
        (json!({}), "shift traffic to 10 %"),
        (
            json!({ "analysis": { "iterations": 5, "stepWeight": null, "maxWeight": null } }),
            "shift traffic to 100 %",
        ),
        (
            json!({ "analysis": { "iterations": 5, "stepWeight": null, "maxWeight": null,
                "match": [{ "headers": { "X-Canary": { "exact": "insider" } } }] } }),
            "route matching requests to the canary",
        ),
        (
            json!({ "analysis": { "mirror": true } }),
            "mirror 100 % of the requests",
        ),
        (
            json!({ "analysis": { "mirror": true, "mirrorWeight": 20 } }),
            "mirror 20 % of the requests",
        ),
        (
            json!({ "analysis": { "stepWeightPromotion": 20 } }),
            "return traffic, canary keeps 30 %",
        ),
        (
            json!({ "analysis": { "stepWeights": [1, 5], "stepWeight": null, "maxWeight": null } }),
            "shift traffic to 5 %",
        ),
    ];
    for (patch, step) in table {
        let steps = steps(&patch);
        assert!(steps.iter().any(|it| it == step), "{patch}: {steps:#?}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn what_cannot_work_is_refused_with_its_path_in_the_manifest() {
    let table = [
        (
            json!({ "provider": "isto" }),
            "spec.provider: \"isto\" is no usable name",
        ),
        (
            json!({ "provider": "gatewayapi" }),
            "spec.provider: \"gatewayapi\" is no usable name",
        ),
        (
            json!({ "provider": "nginx" }),
            "spec.ingressRef: nothing does not fit",
        ),
        (
            json!({ "provider": "apisix" }),
            "spec.routeRef: nothing does not fit",
        ),
        (
            json!({ "provider": "gatewayapi:v1" }),
            "spec.service.gatewayRefs: nothing does not fit",
        ),
        (
            json!({ "provider": "knative" }),
            "spec.provider: \"knative\" does not fit",
        ),
        (
            json!({ "service": { "port": 80.5 } }),
            "spec.service.port: 80.5 is out of range",
        ),
        (
            json!({ "service": { "port": null } }),
            "spec.service.port: no port does not fit",
        ),
        (
            json!({ "service": null }),
            "spec.service: no service does not fit",
        ),
        (
            json!({ "targetRef": { "kind": "CronJob" } }),
            "spec.targetRef.kind: \"CronJob\" is more than the traffic router can do",
        ),
        (
            json!({ "targetRef": { "name": "" } }),
            "spec.targetRef.name: an empty text is no usable name",
        ),
        (
            json!({ "progressDeadlineSeconds": 0 }),
            "spec.progressDeadlineSeconds: 0 is out of range",
        ),
        (
            json!({ "progressDeadlineSeconds": 1.5 }),
            "spec.progressDeadlineSeconds: 1.5 is out of range",
        ),
        (
            json!({ "analysis": { "stepWeight": 0 } }),
            "spec.analysis.stepWeight: 0 % never leads anywhere",
        ),
        (
            json!({ "analysis": { "maxWeight": 150 } }),
            "spec.analysis.maxWeight: 150 % can never be reached",
        ),
        (
            json!({ "analysis": { "stepWeight": null, "stepWeights": [10, 5] } }),
            "spec.analysis.stepWeights[1]: 5 % does not rise",
        ),
        (
            json!({ "analysis": { "iterations": 1.5 } }),
            "spec.analysis.iterations: 1.5 is out of range",
        ),
        (
            json!({ "analysis": { "canaryReadyThreshold": 101 } }),
            "spec.analysis.canaryReadyThreshold: 101 % is out of range",
        ),
        (
            json!({ "analysis": { "metrics": [{ "name": "" }] } }),
            "spec.analysis.metrics[0].name: an empty text is no usable name",
        ),
        (
            json!({ "analysis": { "metrics": [{ "name": "a", "interval": "1x" }] } }),
            "spec.analysis.metrics[0].interval: \"1x\" is out of range",
        ),
        (
            json!({ "analysis": { "metrics": [{ "name": "a", "thresholdRange": { "min": 2, "max": 1 } }] } }),
            "spec.analysis.metrics[0].thresholdRange: 2 does not fit",
        ),
        (
            json!({ "analysis": { "metrics": [{ "name": "a", "threshold": 1, "objective": { "maxErrorRate": 1 } }] } }),
            "spec.analysis.metrics[0].objective: a second judge does not fit",
        ),
        (
            json!({ "analysis": { "metrics": [{ "name": "a", "objective": { "maxErrors": 1 } }] } }),
            "spec.analysis.metrics[0].objective.maxErrors: what stands here does not fit",
        ),
        (
            json!({ "analysis": { "webhooks": [{ "name": "gate", "type": "confirm", "url": "http://x/" }] } }),
            "spec.analysis.webhooks[0].type: \"confirm\" is no usable name",
        ),
        (
            json!({ "analysis": { "webhooks": [{ "name": "gate", "url": "" }] } }),
            "spec.analysis.webhooks[0].url: no address does not fit",
        ),
        (
            json!({ "analysis": { "webhooks": [{ "name": "told", "type": "event", "url": "http://x/" },
                { "name": "", "type": "confirm-rollout", "url": "http://x/" }] } }),
            "spec.analysis.webhooks[1].name: an empty text is no usable name",
        ),
        (
            json!({ "analysis": { "sessionAffinity": { "cookieName": "a", "primaryCookieName": "a" } } }),
            "spec.analysis.sessionAffinity.primaryCookieName: \"a\" is no usable name",
        ),
        (
            json!({ "analysis": { "sessionAffinity": { "cookieName": "a; Domain=evil" } } }),
            "spec.analysis.sessionAffinity.cookieName: \"a; Domain=evil\" is no usable name",
        ),
        (
            json!({ "provider": "istio", "analysis": { "iterations": 5, "stepWeight": null, "maxWeight": null,
                "match": [{ "headers": { "user-agent": { "regex": "^(?!bot).*$" } } }] } }),
            "spec.analysis.match[0].headers.user-agent: \"^(?!bot).*$\" is more than the traffic router can do",
        ),
        (
            json!({ "provider": "contour", "analysis": { "iterations": 5, "stepWeight": null, "maxWeight": null,
                "match": [{ "headers": { "x": { "regex": "y" } } }] } }),
            "spec.analysis.match[0].headers.x: \"y\" is more than the traffic router can do",
        ),
        (
            json!({ "provider": "gloo", "analysis": { "iterations": 5, "stepWeight": null, "maxWeight": null,
                "match": [{ "queryParams": { "x": { "exact": "y" } } }] } }),
            "spec.analysis.match[0].queryParams: a parameter is more than the traffic router can do",
        ),
        (
            json!({ "provider": "traefik", "analysis": { "sessionAffinity": { "cookieName": "a" } } }),
            "spec.analysis.sessionAffinity: a cookie is more than the traffic router can do",
        ),
        // Flagger waits for ever.
        (
            json!({ "provider": "traefik", "analysis": { "mirror": true } }),
            "spec.analysis.mirrorWeight: mirroring 100 %",
        ),
        // Flagger sends all traffic to the canary.
        (
            json!({ "provider": "traefik", "analysis": { "iterations": 5, "stepWeight": null, "maxWeight": null,
                "match": [{ "headers": { "x": { "exact": "y" } } }] } }),
            "spec.analysis.match: matching is more than the traffic router can do",
        ),
        (
            json!({ "analysis": { "iterations": 5, "stepWeight": null, "maxWeight": null,
                "match": [{ "headers": { "x": { "exact": "y", "regex": "z" } } }] } }),
            "spec.analysis.match[0].headers.x: several conditions does not fit",
        ),
        (
            json!({ "analysis": { "steps": [{ "scale": { "scale": "likePrimary" } }] } }),
            "spec.analysis.stepWeight: a second strategy does not fit",
        ),
    ];
    for (patch, error) in table {
        let errors = refused(&patch);
        assert!(
            errors.iter().any(|it| it.starts_with(error)),
            "{patch}: {errors:#?}"
        );
    }
}

#[test]
fn what_flagger_takes_for_something_else_is_told() {
    let blue_green = |more: Value| {
        let mut patch = json!({ "analysis": { "iterations": 5, "stepWeight": null, "maxWeight": null } });
        merge(&mut patch, &more);
        patch
    };
    let table = [
        (
            json!({ "analysis": { "interval": "5s" } }),
            "spec.analysis.interval: \"5s\" is taken as 10s",
        ),
        (
            json!({ "analysis": { "interval": "soon" } }),
            "spec.analysis.interval: \"soon\" is taken as 1m",
        ),
        (
            json!({ "analysis": { "threshold": 0 } }),
            "spec.analysis.threshold: 0 is taken as 1",
        ),
        (
            json!({ "analysis": { "threshold": -3 } }),
            "spec.analysis.threshold: -3 is taken as 1",
        ),
        (
            json!({ "analysis": { "stepWeight": 20 } }),
            "spec.analysis.stepWeight: does not meet maxWeight 50 %",
        ),
        (
            json!({ "analysis": { "iterations": -1 } }),
            "spec.analysis.iterations: less than 0 is taken as 0",
        ),
        (
            json!({ "analysis": { "mirrorWeight": 10 } }),
            "spec.analysis.mirrorWeight: has no effect",
        ),
        (
            json!({ "analysis": { "match": [{ "headers": { "x": { "exact": "y" } } }] } }),
            "spec.analysis.match: has no effect",
        ),
        (
            blue_green(json!({ "analysis": { "stepWeight": 10 } })),
            "spec.analysis.stepWeight: has no effect",
        ),
        (
            blue_green(json!({ "provider": "traefik", "analysis": { "mirror": true } })),
            "spec.analysis.mirror: has no effect",
        ),
        (
            blue_green(
                json!({ "provider": "kubernetes", "analysis": { "match": [{ "headers": { "x": { "exact": "y" } } }] } }),
            ),
            "spec.analysis.match: has no effect",
        ),
        (
            json!({ "provider": "kubernetes" }),
            "spec.analysis: the router cannot split traffic",
        ),
        (
            json!({ "analysis": { "metrics": [{ "name": "a" }] } }),
            "spec.analysis.metrics[0].thresholdRange: is missing",
        ),
        (
            json!({ "analysis": { "metrics": [{ "name": "a", "threshold": 1, "thresholdRange": { "max": 2 } }] } }),
            "spec.analysis.metrics[0].threshold: has no effect",
        ),
        (
            json!({ "analysis": { "metrics": [{ "name": "a", "threshold": 1 }, { "name": "a", "threshold": 2 }] } }),
            "spec.analysis.metrics[1].name: is a name that an earlier metric has: called \"a 2\" here",
        ),
        (
            json!({ "analysis": { "metrics": [{ "name": "a", "threshold": 1, "interval": "5m" }] } }),
            "spec.analysis.metrics[0].interval: looks back 300s",
        ),
        (json!({ "analysis": null }), "spec.analysis: is missing"),
        (
            json!({ "analysis": null, "canaryAnalysis": { "interval": "1m", "stepWeight": 10, "threshold": 1 } }),
            "spec.canaryAnalysis: is the older name",
        ),
    ];
    for (patch, warning) in table {
        let warnings = warned(&patch);
        assert!(
            warnings.iter().any(|it| it.starts_with(warning)),
            "{patch}: {warnings:#?}"
        );
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let errors = refused(&json!({
        "service": { "port": 0 },
        "progressDeadlineSeconds": -1,
        "analysis": { "stepWeight": 0, "canaryReadyThreshold": 0, "webhooks": [{ "name": "a", "type": "b", "url": "c" }] }
    }));
    assert_eq!(errors.len(), 5, "{errors:#?}");
}

#[test]
fn a_template_is_found_in_its_namespace() {
    let template = |query: &str| MetricTemplateSpec {
        query: query.into(),
        ..MetricTemplateSpec::default()
    };
    let key = |namespace: &str| CrossRef {
        name: "errors".into(),
        namespace: Some(namespace.into()),
    };
    let templates = BTreeMap::from([
        (key("shop"), template("here")),
        (key("flagger"), template("there")),
    ]);
    let query = |reference: Value| {
        let metric = json!({ "name": "a", "threshold": 1, "templateRef": reference });
        let canary = manifest(&json!({ "analysis": { "metrics": [metric] } }));
        compile(&canary, &Surroundings::default().templates(&templates))
            .map(|compiled| compiled.spec.metrics[0].query.clone())
    };
    assert_eq!(query(json!({ "name": "errors" })), Ok(Some(String::from("here"))));
    assert_eq!(
        query(json!({ "name": "errors", "namespace": "flagger" })),
        Ok(Some(String::from("there")))
    );
    let missing = query(json!({ "name": "error" }))
        .expect_err("there is no such template")
        .to_string();
    assert_eq!(
        missing,
        "spec.analysis.metrics[0].templateRef: \"error\" is no usable name (a MetricTemplate of that name in the namespace shop)"
    );
}

#[test]
fn our_additions_change_nothing_when_they_are_left_out_and_are_read_when_they_are_there() {
    let plain = compile(&manifest(&json!({})), &Surroundings::default()).expect("it is right");
    let ours = compile(
        &manifest(&json!({ "analysis": {
            "sequential": { "look": "10s" }, "onNothing": "hold", "consecutive": 2,
            "metrics": [{ "name": "errors", "objective": { "maxErrorRate": 1.0 }, "minSample": 100 }],
            "webhooks": [{ "name": "boss", "type": "confirm-promotion", "url": "http://gate/", "deadline": "1h", "default": "approve" }]
        } })),
        &Surroundings::default(),
    )
    .expect("it is right");
    assert_eq!(plain.spec.on_nothing, OnNothing::Fail);
    assert_eq!(ours.spec.on_nothing, OnNothing::Hold);
    assert_eq!(ours.spec.metrics[0].min_sample, 100);
    assert_eq!(ours.spec.sequential.look, Some(Duration::from_secs(10)));
    assert_eq!(ours.spec.gates[0].deadline, Some(Duration::from_secs(3_600)));
}

#[test]
fn a_list_of_steps_is_read() {
    let steps = steps(&json!({ "analysis": {
        "stepWeight": null, "maxWeight": null,
        "steps": [
            { "scale": { "scale": "likePrimary" } }, { "shift": { "weight": 25 } }, { "analyse": { "rounds": 2 } },
            { "promote": {} }, { "settle": {} }
        ]
    } }));
    assert_eq!(steps[1], "shift traffic to 25 %");
}
