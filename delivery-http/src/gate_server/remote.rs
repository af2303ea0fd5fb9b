//! A controller's view of the commands that people gave.

use delivery_core::State;
use delivery_core::rollout::Command;
use delivery_outbound::Method;

use crate::client::{self, Call, Client, Endpoint};
use crate::error::Error;
use crate::hook::Authentication;

/// The commands for one rollout, on a [`GateServer`](super::GateServer).
///
/// ```no_run
/// use delivery_core::{Plan, Ports, advance};
/// use delivery_http::gate_server::Remote;
///
/// # async fn example(plan: &Plan, ports: &Ports<'_>, remote: &Remote) -> Result<(), Box<dyn std::error::Error>> {
/// // No server, no commands: the rollout goes on without.
/// let commands = remote.waiting().await.unwrap_or_default();
/// let advanced = advance(plan, ports, &commands).await?;
/// remote.settle(&commands, &advanced.state).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Remote {
    client: Client,
    endpoint: Endpoint,
    authentication: Authentication,
}

impl Remote {
    /// The commands for the rollout of this name and namespace on the server at `base`, such as `http://127.0.0.1:9090`.
    ///
    /// # Errors
    /// [`Error::Unusable`]: the client may not call it, or there is no such name.
    pub fn new(
        client: &Client,
        base: &Endpoint,
        authentication: Authentication,
        name: &str,
        namespace: &str,
    ) -> Result<Self, Error> {
        client.check("gate server", base)?;
        super::name::Rollout::new(name, namespace)
            .map_err(|it| Error::unusable("rollout", it.to_string(), "name and namespace"))?;
        Ok(Self {
            client: client.clone(),
            endpoint: base.join(&format!("commands/{namespace}/{name}")),
            authentication,
        })
    }

    /// The commands that wait, oldest first. Carrying one out twice is harmless.
    ///
    /// # Errors
    /// Those of a call; [`Error::Unreadable`] for an answer that is no list of commands.
    pub async fn waiting(&self) -> Result<Vec<Command>, Error> {
        let reply = self
            .client
            .send(&self.authentication.sign(Call::get(&self.endpoint)))
            .await?;
        serde_json::from_slice(reply.whole()?).map_err(|it| Error::unreadable(&reply.from, &it))
    }

    /// Tells the server which of them a saved state knows: these do not wait any more.
    ///
    /// # Errors
    /// Those of a call. What was not told is told the next time.
    pub async fn settle(&self, commands: &[Command], state: &State) -> Result<(), Error> {
        for command in commands.iter().filter(|it| state.knows(&it.id)) {
            let endpoint = self.endpoint.join(&command.id);
            let call = Call::new(Method::DELETE, &endpoint);
            match self.client.send(&self.authentication.sign(call)).await {
                // Somebody else has told it, and it has been forgotten since.
                Ok(_) | Err(client::Error::Refused { status: 409, .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
