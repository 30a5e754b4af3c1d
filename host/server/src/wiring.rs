//! From the configuration to the parts that do the work.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use blobs::Blobs;
use identity::{Identity, IdentityConfig};
use mail::{MailConfig, Mailer, Transport};
use model::{Clock, SystemClock};
use policy_engine::{Budget, Compiler, Engine, EngineConfig, ModuleCache};
use registry::{Registry, RegistryConfig};
use storage::{DatabaseKind, Storage};

use crate::configuration::{Configuration, PublicUrl};
use crate::data_folder::DataFolder;

/// The first argument that turns this program into the compiler of policy modules.
pub(crate) const COMPILE_MODULE: &str = "compile-module";

/// Connects to the database and migrates it to this version.
pub(crate) async fn open_storage(configuration: &Configuration) -> anyhow::Result<Storage> {
    let url = configuration.database();
    let storage = Storage::connect(url.expose())
        .await
        .with_context(|| format!("cannot open the database {url:?}"))?;
    storage
        .migrate()
        .await
        .context("cannot bring the database to this version")?;
    // A failure here is retried later: an address in an old form locks no one out.
    match identity::convert_addresses(&storage, SystemClock.now()).await {
        Ok(0) => {}
        Ok(addresses) => tracing::info!(
            addresses,
            "wrote email addresses in the form that mail servers know"
        ),
        Err(error) => tracing::warn!(%error, "cannot convert email addresses of before"),
    }
    Ok(storage)
}

/// The word for the database in messages.
pub(crate) fn database_name(storage: &Storage) -> &'static str {
    match storage.kind() {
        DatabaseKind::Sqlite => "SQLite",
        DatabaseKind::Postgres => "PostgreSQL",
    }
}

pub(crate) fn identity(
    configuration: &Configuration,
    public_url: &PublicUrl,
    storage: Storage,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Identity> {
    let values = &configuration.values;
    let mut config = IdentityConfig::for_host(host_of(public_url)?.trim_matches(['[', ']']));
    config.token_prefix.clone_from(&values.token_prefix.0);
    config.public_url.clone_from(&public_url.0);
    config.session_idle = values.session_idle;
    config.session_lifetime = values.session_lifetime;
    config.recovery_wait = values.recovery_wait;
    config.breaches.base_url = values.breach_check_url.as_ref().map(|url| url.0.clone());
    config.breaches.unreachable = values.breach_check_unreachable.0;
    if let Some(name) = &values.registry_name {
        config.totp_issuer.clone_from(&name.0);
    }
    // A colon separates the issuer from the account in an `otpauth` URL.
    config.totp_issuer = config.totp_issuer.replace(':', "-");
    Ok(Identity::new(storage, clock, config)?)
}

/// The part that sends mails, or writes them to the data folder.
pub(crate) fn mailer(
    configuration: &Configuration,
    public_url: &PublicUrl,
    folder: &DataFolder,
    storage: Storage,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Mailer> {
    let values = &configuration.values;
    let host = host_of(public_url)?;
    let name = match &values.registry_name {
        Some(name) => name.0.clone(),
        None => public_url
            .0
            .split_once("://")
            .map_or(host.as_str(), |(_, name)| name)
            .to_owned(),
    };
    let from = match &values.mail_from {
        Some(sender) => sender.0.clone(),
        None => sender(
            values.registry_name.as_ref().map(|name| name.0.as_str()),
            &host,
        ),
    };
    let contact = values.contact.clone().map(|contact| contact.0);
    let registry = mail::Registry {
        name,
        public_url: public_url.0.clone(),
        contact,
    };
    let mut config = MailConfig::new(from, mail_transport(configuration, folder), registry);
    config.first_retry = values.mail_retry;
    config.give_up_after = values.mail_give_up;
    Ok(Mailer::new(storage, clock, config)?)
}

/// Where mails are sent.
pub(crate) fn mail_transport(configuration: &Configuration, folder: &DataFolder) -> Transport {
    match &configuration.values.smtp_url {
        Some(server) => Transport::Smtp(server.0.clone()),
        None => Transport::Folder(folder.outbox()),
    }
}

/// The sender of mails if it is not configured: the registry's name, if it has one.
fn sender(name: Option<&str>, host: &str) -> String {
    let address = format!("noreply@{}", mail_domain(host));
    match name {
        Some(name) => format!(
            "\"{}\" <{address}>",
            name.replace('\\', "\\\\").replace('"', "\\\"")
        ),
        None => address,
    }
}

/// The domain after the `@` for this host. Few mail servers take a numeric domain.
fn mail_domain(host: &str) -> &str {
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    if is_address { "localhost" } else { host }
}

fn host_of(public_url: &PublicUrl) -> anyhow::Result<String> {
    reqwest::Url::parse(&public_url.0)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .context("the public URL has no host")
}

pub(crate) fn registry(
    configuration: &Configuration,
    public_url: &PublicUrl,
    folder: &DataFolder,
    storage: Storage,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Registry> {
    let values = &configuration.values;
    let mut config = RegistryConfig::new(public_url.0.clone());
    config.max_file_bytes = values.max_file_size.0;
    config.max_project_bytes = values.max_project_size.0;
    config.max_staged_bytes = values.max_staged_size.0;
    config.max_uploaded_bytes_per_day = values.max_upload_per_day.0;
    config.page_cache_bytes = values.page_cache.0;
    config.new_projects_per_user = u32::try_from(values.new_projects_per_user.0)?;
    config.new_projects_per_address = u32::try_from(values.new_projects_per_address.0)?;
    config.reserved_names.clone_from(&values.reserved_names);
    config.older_files = values.accept_older_files;
    config.max_release_age_days = u32::try_from(values.release_age_limit_days.0)
        .ok()
        .filter(|days| *days > 0);
    let blobs = Blobs::open(&folder.blobs())?;
    Ok(Registry::new(storage, blobs, clock, config))
}

/// The policy engine with a lane for each thread that decides. Compiles in child
/// processes of this same program.
pub(crate) fn engine(
    configuration: &Configuration,
    folder: &DataFolder,
    lanes: usize,
) -> anyhow::Result<Engine> {
    let compiler = Compiler::Process {
        program: this_program()?,
        arguments: vec![COMPILE_MODULE.to_owned()],
    };
    let mut config = EngineConfig::new(compiler);
    config.lanes = lanes;
    config.budget = budget(configuration)?;
    config.cache = Some(ModuleCache::new(
        folder.modules(),
        folder.module_cache_key()?,
    ));
    Ok(Engine::new(config)?)
}

/// The limits of one evaluation of one policy.
pub(crate) fn budget(configuration: &Configuration) -> anyhow::Result<Budget> {
    let values = &configuration.values;
    Ok(Budget {
        time_ms: values.policy_time_ms.0,
        fuel: (values.policy_fuel.0 > 0).then_some(values.policy_fuel.0),
        memory_bytes: usize::try_from(values.policy_memory.0)
            .context("policy-memory is too large for this machine")?,
        ..Budget::default()
    })
}

/// This very program, even if an upgrade has replaced its file: a child must use the same engine
/// version as its parent.
pub(crate) fn this_program() -> anyhow::Result<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() {
        Ok(link)
    } else {
        std::env::current_exe().context("cannot find this program's own file")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_come_from_an_address_wherever_the_registry_is() {
        for (host, domain) in [
            ("packages.example.org", "packages.example.org"),
            ("localhost", "localhost"),
            ("10.0.0.1", "localhost"),
            ("[2001:db8::1]", "localhost"),
        ] {
            assert_eq!(mail_domain(host), domain);
            for name in [
                None,
                Some("Example packages"),
                Some("Müller, \"Söhne\" \\ Co: Pakete."),
            ] {
                let sender = sender(name, host);
                assert!(
                    mail::is_sender(&sender) && sender.contains(&format!("noreply@{domain}")),
                    "{sender}"
                );
            }
        }
    }
}
