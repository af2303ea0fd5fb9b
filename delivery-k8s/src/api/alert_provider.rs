//! Where alerts of a Canary are sent.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LocalRef;

/// Where alerts are sent: `flagger.app/v1beta1` AlertProvider.
#[derive(CustomResource, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "flagger.app",
    version = "v1beta1",
    kind = "AlertProvider",
    namespaced,
    category = "all",
    status = "super::crd::Conditions",
    derive = "PartialEq",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type")
)]
#[serde(rename_all = "camelCase")]
pub struct AlertProviderSpec {
    /// Which service: `slack`, `msteams`, `discord`, `rocket` or `gchat`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The channel; default `general`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Who the message is from; default `flagger`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The address, which is often a secret: better in `secretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// A proxy between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// A Secret of the same namespace with the keys `address` and, where the service wants one, `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
}

impl std::fmt::Debug for AlertProviderSpec {
    /// Without the address and the proxy, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlertProviderSpec")
            .field("kind", &self.kind)
            .field("channel", &self.channel)
            .field("secret_ref", &self.secret_ref)
            .finish_non_exhaustive()
    }
}
