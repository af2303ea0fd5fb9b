//! What routes are about, and the objects that they are.

use std::collections::BTreeMap;

use delivery_core::Weight;
use delivery_core::plan::Flaw;
use delivery_core::port::Cookie;
use serde_json::{Map, Value, json};

use crate::api::{Canary, Metadata, Service, SessionAffinity};

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its API group and version, such as `apps/v1`.
    pub api_version: &'static str,
    /// Its name.
    pub kind: &'static str,
    /// Its name in paths of the API.
    pub plural: &'static str,
}

/// Objects that are there, by kind and name.
#[derive(Clone, Debug, Default)]
pub struct Objects(BTreeMap<(String, String), Value>);

impl Objects {
    /// The object of this kind and name, if it is there.
    pub fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        self.0.get(&(kind.to_owned(), name.to_owned()))
    }
}

impl FromIterator<Value> for Objects {
    fn from_iter<I: IntoIterator<Item = Value>>(objects: I) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let keyed = objects
            .into_iter()
            .map(|it| ((text(&it["kind"]), text(&it["metadata"]["name"])), it));
        Self(keyed.collect())
    }
}

/// Why there can be no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
#[non_exhaustive]
pub struct Unroutable {
    /// The field of the Canary that asks for what cannot be.
    pub path: String,
    /// Why it cannot be, and what would be right.
    pub why: String,
}

impl Unroutable {
    pub(super) fn new(path: &str, why: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            why: why.into(),
        }
    }

    /// What kind of flaw that is, for a condition of the Canary.
    pub const fn flaw(&self) -> Flaw {
        Flaw::Unsupported
    }
}

/// What routes are about: a Canary, and what its side is called.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Subject<'a> {
    /// The Canary.
    pub canary: &'a Canary,
    /// How it is reached.
    pub service: &'a Service,
    /// The namespace of all of its objects.
    pub namespace: &'a str,
    /// The Service that users call.
    pub apex: String,
    /// The Service of the primary.
    pub primary: String,
    /// The Service of the canary.
    pub canary_service: String,
    /// The port that users call.
    pub port: u16,
    /// Which pods it is about.
    pub pods: &'a Pods,
    /// Objects that are there, and from which routes are made.
    pub given: &'a Objects,
}

/// The pods of a target: the label that tells them, its value, and the other ports of their containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    /// The label's name: the first of the controller's selector labels that the target selects by.
    pub label: String,
    /// The label's value on the target's pods; the primary's have `-primary` at its end.
    pub value: String,
    /// Ports of the containers by name, without the one that users call; for `portDiscovery`.
    pub ports: Vec<(String, u16)>,
}

impl<'a> Subject<'a> {
    /// What a Canary's routes are about.
    ///
    /// # Errors
    /// [`Unroutable`]: it has no service or no port. [`compile`](crate::compile::compile) refuses such a Canary.
    pub fn new(canary: &'a Canary, pods: &'a Pods, given: &'a Objects) -> Result<Self, Unroutable> {
        let missing = || Unroutable::new("spec.service", "is missing");
        let service = canary.spec.service.as_ref().ok_or_else(missing)?;
        let port = service.port.and_then(|port| format!("{port}").parse().ok());
        let apex = service.name.as_ref().filter(|name| !name.is_empty());
        let apex = apex.unwrap_or(&canary.spec.target_ref.name).clone();
        Ok(Self {
            canary,
            service,
            namespace: canary.metadata.namespace.as_deref().unwrap_or("default"),
            primary: format!("{apex}-primary"),
            canary_service: format!("{apex}-canary"),
            apex,
            port: port
                .ok_or_else(|| Unroutable::new("spec.service.port", "is no port (expected 1 to 65535)"))?,
            pods,
            given,
        })
    }

    /// An object of this Canary, which goes when the Canary goes.
    pub(super) fn object(&self, kind: Kind, name: &str, metadata: Option<&Metadata>, spec: &Value) -> Value {
        let mut owner = json!({
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "name": self.canary.metadata.name.clone().unwrap_or_default(),
            "controller": true,
            "blockOwnerDeletion": true
        });
        if let Some(uid) = &self.canary.metadata.uid {
            owner["uid"] = json!(uid);
        }
        let mut head = json!({ "name": name, "namespace": self.namespace, "ownerReferences": [owner] });
        if let Some(Metadata { labels, annotations }) = metadata {
            set(&mut head, "labels", labels);
            set(&mut head, "annotations", annotations);
        }
        json!({ "apiVersion": kind.api_version, "kind": kind.kind, "metadata": head, "spec": spec })
    }

    /// The metadata of what users meet: what the Canary asks for, and two marks that keep GitOps tools from taking the
    /// weights back.
    pub(super) fn apex_metadata(&self) -> Metadata {
        unreconciled(self.service.apex.clone().unwrap_or_default())
    }
}

/// Marks that keep Flux from taking back what is written here.
pub(super) fn unreconciled(mut metadata: Metadata) -> Metadata {
    for (name, value) in [
        ("kustomize.toolkit.fluxcd.io/reconcile", "disabled"),
        ("helm.toolkit.fluxcd.io/driftDetection", "disabled"),
    ] {
        metadata.annotations.insert(name.into(), value.into());
    }
    metadata
}

/// Sets a field, unless there is nothing to set.
pub(super) fn set(object: &mut Value, name: &str, value: impl serde::Serialize) {
    let value = json!(value);
    let empty = match &value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if !empty {
        object[name] = value;
    }
}

/// An object of the fields that are set.
pub(super) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let mut object = Value::Object(Map::new());
    for (name, value) in fields {
        set(&mut object, name, value);
    }
    object
}

/// A weight in whole percent: routers here set no finer ones.
pub(super) fn percent(weight: Weight) -> u16 {
    weight.as_hundredths() / 100
}

/// A weight that is written in percent of both together.
pub(super) fn share(primary: u64, canary: u64) -> Option<Weight> {
    let whole = primary.checked_add(canary).filter(|whole| *whole > 0)?;
    let hundredths = canary.checked_mul(10_000)?.checked_add(whole / 2)? / whole;
    Weight::hundredths(u32::try_from(hundredths).ok()?).ok()
}

/// A text as a pattern that it alone matches (RE2).
pub(super) fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

/// A pattern for a header `Cookie` that has this cookie.
pub(super) fn has(cookie: &Cookie) -> String {
    format!(".*{}.*{}.*", escaped(&cookie.name), escaped(&cookie.value))
}

/// A header `Set-Cookie` that gives somebody this cookie.
pub(super) fn given(cookie: &Cookie, affinity: &SessionAffinity) -> String {
    let attributes = affinity.attributes(cookie.max_age.as_secs());
    format!("{}={}; {attributes}", cookie.name, cookie.value)
}

/// The Ingress that users know, from which a second one is made.
pub(super) struct Ingress<'a> {
    original: &'a Value,
    apex: &'a str,
    sides: [&'a str; 2],
    /// The name of the second one.
    pub(super) copy: String,
}

impl<'a> Ingress<'a> {
    pub(super) fn copy_name(subject: &Subject<'_>) -> Result<String, Unroutable> {
        let reference = subject.canary.spec.ingress_ref.as_ref();
        let reference = reference
            .ok_or_else(|| Unroutable::new("spec.ingressRef", "is missing: the Ingress that users call"))?;
        Ok(format!("{}-canary", reference.name))
    }

    /// The one that the Canary names, which must lead to its Service.
    pub(super) fn of(subject: &'a Subject<'_>) -> Result<Self, Unroutable> {
        let copy = Self::copy_name(subject)?;
        let name = copy.strip_suffix("-canary").unwrap_or(&copy);
        let missing = || Unroutable::new("spec.ingressRef.name", format!("there is no Ingress {name:?}"));
        let original = subject.given.get("Ingress", name).ok_or_else(missing)?;
        let ingress = Self {
            original,
            apex: &subject.apex,
            sides: [&subject.primary, &subject.canary_service],
            copy: copy.clone(),
        };
        let mut leads = false;
        ingress.spec(|_| leads = true);
        if !leads {
            let why = format!(
                "the Ingress {name:?} leads nowhere to the Service {:?}",
                subject.apex
            );
            return Err(Unroutable::new("spec.ingressRef.name", why));
        }
        Ok(ingress)
    }

    /// Its labels and annotations, and these annotations more.
    pub(super) fn metadata(&self, more: impl IntoIterator<Item = (String, String)>) -> Metadata {
        let texts = |of: &Value| -> BTreeMap<String, String> {
            let texts = of.as_object().into_iter().flatten();
            texts
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect()
        };
        let mut annotations = texts(&self.original["metadata"]["annotations"]);
        // What somebody applied by hand was the original.
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        annotations.extend(more);
        Metadata {
            labels: texts(&self.original["metadata"]["labels"]),
            annotations,
        }
    }

    /// Its spec, with another backend wherever it leads to the Service. Hosts and paths that lead elsewhere stay with
    /// the original.
    pub(super) fn spec(&self, mut backend: impl FnMut(&mut Value)) -> Value {
        self.rewritten(|path| {
            backend(&mut path["backend"]);
            vec![path.clone()]
        })
    }

    /// Its spec, with both sides as backends wherever it leads to the Service.
    pub(super) fn both_sides(&self) -> Value {
        self.rewritten(|path| {
            let to = |side: &str| {
                let mut path = path.clone();
                path["backend"]["service"]["name"] = json!(side);
                path
            };
            self.sides.iter().map(|side| to(side)).collect()
        })
    }

    fn rewritten(&self, mut with: impl FnMut(&mut Value) -> Vec<Value>) -> Value {
        let mut spec = self.original["spec"].clone();
        // What leads nowhere else would take all requests of all hosts.
        spec.as_object_mut().map(|spec| spec.remove("defaultBackend"));
        if let Some(rules) = spec.get_mut("rules").and_then(Value::as_array_mut) {
            for rule in rules.iter_mut() {
                let Some(paths) = rule.pointer_mut("/http/paths").and_then(Value::as_array_mut) else {
                    continue;
                };
                let ours = paths
                    .iter_mut()
                    .filter(|path| path["backend"]["service"]["name"] == self.apex);
                let rewritten = ours.flat_map(&mut with).collect();
                *paths = rewritten;
            }
            rules.retain(|rule| {
                rule.pointer("/http/paths")
                    .and_then(Value::as_array)
                    .is_some_and(|it| !it.is_empty())
            });
        }
        spec
    }
}
