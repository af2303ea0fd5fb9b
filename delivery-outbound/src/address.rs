//! Which addresses are refused, and a look at the address that a name really leads to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

/// Where clouds answer with credentials, outside the link-local ranges.
const METADATA: [IpAddr; 4] = [
    // Alibaba Cloud.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Azure's platform.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Amazon EC2.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    // Google Cloud.
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Whether an address is link-local, or one at which a cloud gives credentials to its machines.
pub(crate) fn is_refused(address: IpAddr) -> bool {
    if METADATA.contains(&address) {
        return true;
    }
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || embedded(address).is_some_and(|it| is_refused(it.into()))
        }
    }
}

/// The version 4 address that an address of version 6 leads to: mapped or compatible (RFC 4291), through NAT64
/// (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let pair = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(pair(high, low))
        }
        [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => None,
    }
}

/// The system's resolver, asked once for a name however many want to know it at the same time: the system's own blocks a
/// thread for each question.
///
/// It tells no address that is refused. What it has told is what is connected to: a name that leads elsewhere a moment
/// later gains nothing.
#[derive(Clone)]
pub(crate) struct Resolver {
    refuses_metadata: bool,
    lookup: fn(String) -> Lookup,
    asked: Arc<Mutex<BTreeMap<String, WeakShared<Lookup>>>>,
    /// Names that are asked for at the same time. A name that hangs holds one.
    names: Arc<Semaphore>,
}

/// How many names are asked for at the same time.
const NAMES: usize = 64;

type Lookup = BoxFuture<'static, Result<Vec<IpAddr>, Unknown>>;

/// Why a name could not be resolved.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unknown(String);

/// Why a name was not resolved; found again at the bottom of the client's error.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name leads to {0}, which is refused")]
pub(crate) struct Refusal(pub(crate) IpAddr);

impl Resolver {
    pub(crate) fn new(refuses_metadata: bool) -> Self {
        Self {
            refuses_metadata,
            lookup: system,
            asked: Arc::default(),
            names: Arc::new(Semaphore::new(NAMES)),
        }
    }

    /// The lookup of a name: the one that is under way, or a new one.
    fn lookup(&self, name: &str) -> Shared<Lookup> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = asked.get(name).and_then(WeakShared::upgrade) {
            return lookup;
        }
        let (names, lookup, wanted) = (Arc::clone(&self.names), self.lookup, name.to_owned());
        let lookup = async move {
            // It is never closed.
            let _turn = names.acquire().await;
            lookup(wanted).await
        };
        let lookup = lookup.boxed().shared();
        // Those that nobody waits for any more are over, or given up.
        asked.retain(|_, it| it.upgrade().is_some());
        asked.extend(lookup.downgrade().map(|it| (name.to_owned(), it)));
        lookup
    }
}

fn system(name: String) -> Lookup {
    let lookup = async move {
        // The port is set by whoever connects.
        let found = tokio::net::lookup_host((name.as_str(), 0)).await;
        let addresses = found.map(|it| it.map(|it| it.ip()).collect());
        addresses.map_err(|it| Unknown(it.to_string()))
    };
    lookup.boxed()
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, refuses_metadata) = (self.lookup(name.as_str()), self.refuses_metadata);
        Box::pin(async move {
            let found = lookup.await?;
            match found.iter().find(|it| refuses_metadata && is_refused(**it)) {
                Some(refused) => Err(Refusal(*refused).into()),
                None => Ok(Box::new(found.into_iter().map(|it| SocketAddr::new(it, 0))) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn metadata_addresses_are_refused_in_every_disguise() {
        let refused = [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "fe80::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ];
        for address in refused {
            assert!(is_refused(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn other_addresses_are_not() {
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "1.1.1.1",
            "::1",
            "fd00::1",
            "2606::1",
            "0.0.0.0",
        ] {
            assert!(!is_refused(address.parse().unwrap()), "{address}");
        }
    }

    static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

    /// Where the test's names lead to.
    fn made_up(name: String) -> Lookup {
        let lookup = async move {
            LOOKUPS.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            match name.as_str() {
                "good.test" => Ok(vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]),
                "evil.test" => Ok(vec![
                    "10.0.0.1".parse().unwrap(),
                    "169.254.169.254".parse().unwrap(),
                ]),
                _ => Err(Unknown("no such host".into())),
            }
        };
        lookup.boxed()
    }

    async fn resolve(resolver: &Resolver, name: &str) -> Result<Vec<IpAddr>, String> {
        let found = resolver.resolve(name.parse().unwrap()).await;
        found
            .map(|it| it.map(|it| it.ip()).collect())
            .map_err(|it| it.to_string())
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_for_all_who_ask_together_and_again_later() {
        let resolver = Resolver {
            lookup: made_up,
            ..Resolver::new(true)
        };
        let asked = (0..1_000).map(|_| resolve(&resolver, "good.test"));
        let found = futures::future::join_all(asked).await;
        assert!(found.iter().all(|it| it.as_ref().is_ok_and(|it| it.len() == 2)));
        assert_eq!(LOOKUPS.load(Ordering::SeqCst), 1);
        // Somebody gives up half-way; the next one does not get what was found for nobody.
        let given_up = tokio::time::timeout(Duration::from_millis(5), resolve(&resolver, "good.test"));
        assert!(given_up.await.is_err());
        resolve(&resolver, "good.test").await.unwrap();
        assert_eq!(LOOKUPS.load(Ordering::SeqCst), 3);

        let refused = resolve(&resolver, "evil.test").await.unwrap_err();
        assert_eq!(refused, "the name leads to 169.254.169.254, which is refused");
        let lenient = Resolver {
            lookup: made_up,
            ..Resolver::new(false)
        };
        assert_eq!(resolve(&lenient, "evil.test").await.unwrap().len(), 2);
        assert_eq!(
            resolve(&lenient, "nowhere.test").await.unwrap_err(),
            "no such host"
        );
    }
}
