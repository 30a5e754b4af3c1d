//! Decisions about reads: what is to be read is looked up, then decided about.
//!
//! Invariant: for a caller whom the set that serves never lets read, whatever there is, nothing is
//! looked up before that is said. So how long a refusal takes tells a stranger to a registry of
//! members nothing of what it has.

use gate::{Permit, Target};
use registry::index::ReadError;
use registry::targets::{DownloadFile, ReadList, ReadProject};

use crate::exchange::Exchange;
use crate::problem::Problem;

/// Decides about the list of projects.
pub(crate) async fn read_list(exchange: &Exchange) -> Result<Permit<ReadList>, Problem> {
    exchange.decide(exchange.app.registry.list_to_read()).await
}

/// Decides about what there is of a project, by its normalized name.
pub(crate) async fn read_project(
    exchange: &Exchange,
    normalized: &str,
) -> Result<Permit<ReadProject>, Problem> {
    let (registry, address) = (&exchange.app.registry, exchange.address());
    decide(
        exchange,
        registry.unseen_project(address, normalized),
        registry.load_read_project(&exchange.caller, address, normalized),
    )
    .await
}

/// The project that the path names. A name that no project can have is decided about like the
/// list, so that whoever may not read is told so here as everywhere; then there is none.
pub(crate) async fn read_named_project(
    exchange: &Exchange,
) -> Result<Result<Permit<ReadProject>, Nothing>, Problem> {
    match exchange.project() {
        Some(name) => read_project(exchange, name.normalized()).await.map(Ok),
        None => Ok(Err(Nothing(read_list(exchange).await?))),
    }
}

/// Who asked for a name that no project can have may read, and there is nothing.
pub(crate) struct Nothing(#[expect(dead_code, reason = "proof")] Permit<ReadList>);

/// Decides about a file; see [`registry::Registry::load_download`].
pub(crate) async fn read_file(
    exchange: &Exchange,
    digest: (&str, &str, &str),
    name: &str,
) -> Result<Permit<DownloadFile>, Problem> {
    let registry = &exchange.app.registry;
    decide(
        exchange,
        registry.unseen_download(name),
        registry.load_download(&exchange.caller, exchange.address(), digest, name),
    )
    .await
}

async fn decide<T: Target>(
    exchange: &Exchange,
    unseen: T,
    load: impl Future<Output = Result<T, ReadError>>,
) -> Result<Permit<T>, Problem> {
    let gate = &exchange.app.gate;
    if gate.never_permits(unseen.facts().action, exchange.caller.credential) {
        // Permitted all the same if the set was replaced just now: then it is looked up.
        drop(exchange.decide(unseen).await?);
    }
    let target = load.await.map_err(|error| exchange.not_read(error))?;
    exchange.decide(target).await
}
