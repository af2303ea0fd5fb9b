//! By which way a server is called.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use crate::Endpoint;

/// By which way servers are called.
pub(crate) enum Way {
    /// Without a proxy.
    Direct,
    /// By this proxy, always.
    Through(Endpoint),
    /// By the proxy of the environment, if it has one for this server. It is read as the HTTP client itself reads it.
    Environment(Matcher),
}

impl Way {
    /// The proxy that stands between, as it may be shown: scheme, host and port.
    pub(crate) fn proxy(&self, to: &Url) -> Option<String> {
        match self {
            Self::Direct => None,
            Self::Through(proxy) => Some(proxy.origin()),
            Self::Environment(matcher) => {
                let proxy = matcher.intercept(&to.as_str().parse().ok()?)?;
                // A host that is shown as it is could have a login before it.
                let uri = proxy.uri();
                let port = uri.port().map_or(String::new(), |it| format!(":{it}"));
                Some(format!("{}://{}{port}", uri.scheme_str()?, uri.host()?))
            }
        }
    }
}
