//! `portcullis serve`: the registry, from its first log line to a clean shutdown.

mod first_steps;
mod housekeeping;
mod minutely;
mod shutdown;
mod watch;
mod working_set;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use gate::{Gate, GateConfig, Recorder, RecorderConfig, ServerIdentity};
use mail::Transport;
use model::{Action, Clock, CredentialKind, SystemClock};
use policy_engine::Engine;
use portcullis_http::{App, AppConfig, Metrics};
use storage::{DatabaseKind, Storage};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::configuration::{Configuration, PublicUrl};
use crate::data_folder::DataFolder;
use crate::logging::{self, Log};
use crate::wiring;
use watch::Watch;
use working_set::{Source, WorkingSet};

/// Stack of a thread that serves requests. A policy may use a part of it, and its callers need the
/// rest; only pages that are touched cost memory.
const STACK_BYTES: usize = 4 << 20;

/// Threads for blocking work: files, passwords, compiling. They end when idle.
const BLOCKING_THREADS: usize = 16;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  portcullis serve\n  portcullis serve --listen 127.0.0.1:9000 --public-url https://packages.example.org --trusted-proxies 127.0.0.1\n  portcullis serve --watch-policies policies/default     while writing policies, or where a checkout brings them\n\nAlso flags: every configuration key, among them --listen, --public-url, --data, --database;\n`portcullis config --template` explains them. Ctrl-C or SIGTERM ends it cleanly, a second one at once."
)]
pub(crate) struct ServeArguments {
    /// Policy set for the first start, while none is active yet [default: policies/default, if it
    /// exists].
    ///
    /// Apply later sets with `portcullis policy apply`; the active one is stored in the database.
    #[arg(long, value_name = "folder")]
    policies: Option<PathBuf>,
    /// Apply the policy set in this folder, and again whenever the folder's set changes.
    ///
    /// The path is watched: files may be edited, or the folder replaced, directly or through a
    /// symbolic link. A set that `policy apply` would refuse is refused, and the last good one
    /// stays active; `policy status` shows this. Anyone who can write to the folder decides
    /// everything.
    #[arg(long, value_name = "folder", conflicts_with = "policies")]
    watch_policies: Option<PathBuf>,
}

/// Runs the registry until it is asked to stop.
pub(crate) fn run(
    arguments: ServeArguments,
    configuration: Configuration,
) -> anyhow::Result<ExitCode> {
    configuration.check_exposure()?;
    let log = logging::start(&configuration);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(configuration.worker_threads())
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_stack_size(STACK_BYTES)
        .thread_name("portcullis")
        .enable_all()
        .build()
        .context("cannot start the threads that serve requests")?;
    let result = runtime.block_on(serve(arguments, configuration, &log));
    // Work that still runs has had its time.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(
    arguments: ServeArguments,
    configuration: Configuration,
    log: &Log,
) -> anyhow::Result<()> {
    // Listening comes first: a second server on the same port must not touch anything.
    let listen = configuration.values.listen;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}; another program may, or choose another address with --listen"))?;
    let public_url = configuration.public_url(listener.local_addr()?);
    say(&format!("portcullis {}", env!("CARGO_PKG_VERSION")));

    let folder = DataFolder::open(&configuration.values.data)?;
    let place = folder
        .path()
        .canonicalize()
        .unwrap_or_else(|_| folder.path().to_owned());
    say(&format!(
        "  data       {}{}",
        place.display(),
        if folder.created { " (new)" } else { "" }
    ));
    let storage = wiring::open_storage(&configuration).await?;
    say(&format!("  database   {}", wiring::database_name(&storage)));
    // Servers can share PostgreSQL; a SQLite file and its folder belong to one server.
    let _alone = match storage.kind() {
        DatabaseKind::Sqlite => Some(folder.lock_for_server()?),
        DatabaseKind::Postgres => None,
    };

    let parts = Parts::new(&configuration, &public_url, &folder, storage)?;
    let source = Source {
        policies: arguments.policies,
        watched: arguments.watch_policies,
    };
    let mut watch = source
        .watched
        .as_ref()
        .map(|folder| Watch::new(folder, &parts.gate, &parts.engine));
    let working_set =
        working_set::install(&parts.gate, &parts.engine, &source, watch.as_mut()).await?;
    say(&format!("  policies   {}", working_set.in_words()));

    say(&format!(
        "  mail       {}",
        mail_in_words(&configuration, &folder)
    ));

    folder.note_public_url(&public_url.0)?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    parts.start_background(&configuration, watch, log, &stop, &tasks);
    shutdown::on_signal(stop.clone(), configuration.values.shutdown_deadline)?;
    say(&format!("  serving    {}/", public_url.0));
    if let WorkingSet::None(why) = &working_set {
        tracing::error!(
            "no policy set is active, so every request that must be decided is answered with 503: {why}"
        );
    }
    if let Some(link) = parts
        .identity
        .registrations()
        .first_user_link()
        .await
        .context("cannot make the first user's link")?
    {
        // Where registration is closed, so is the form behind the link.
        let link = parts
            .gate
            .could_permit(Action::AccountCreate, CredentialKind::None)
            .then_some(link);
        say(&first_steps::in_words(
            &configuration,
            &public_url,
            link.as_ref(),
            &place.join("outbox"),
        ));
    }
    // The port is bound, so no connection is refused after this.
    shutdown::notify_manager(sd_notify::NotifyState::Ready);

    portcullis_http::serve(listener, parts.app.clone(), stop.clone()).await;

    stop.cancel();
    tasks.close();
    tasks.wait().await;
    parts.close().await;
    say("stopped");
    Ok(())
}

/// The parts of the server.
struct Parts {
    storage: Storage,
    engine: Engine,
    recorder: Recorder,
    gate: Gate,
    registry: registry::Registry,
    identity: identity::Identity,
    mailer: mail::Mailer,
    app: App,
}

impl Parts {
    fn new(
        configuration: &Configuration,
        public_url: &PublicUrl,
        folder: &DataFolder,
        storage: Storage,
    ) -> anyhow::Result<Self> {
        let values = &configuration.values;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let metrics = Metrics::install(clock.now()).context("cannot collect metrics")?;
        let engine = wiring::engine(configuration, folder, configuration.worker_threads())?;
        let reads_per_second =
            u32::try_from(values.recorded_reads_per_second.0).unwrap_or(u32::MAX);
        let refusals_per_minute =
            u32::try_from(values.recorded_refusals_per_minute.0).unwrap_or(u32::MAX);
        let recorder = Recorder::start(
            storage.clone(),
            RecorderConfig {
                reads_per_second,
                refusals_per_minute,
            },
        );
        let server = ServerIdentity {
            id: model::ServerId::new(),
            host: host_name(),
            pid: std::process::id(),
            started_at: clock.now(),
        };
        let gate = Gate::new(GateConfig {
            storage: storage.clone(),
            engine: engine.clone(),
            recorder: recorder.clone(),
            clock: clock.clone(),
            server,
        });
        let identity = wiring::identity(configuration, public_url, storage.clone(), clock.clone())?;
        let mailer = wiring::mailer(
            configuration,
            public_url,
            folder,
            storage.clone(),
            clock.clone(),
        )?;
        let registry = wiring::registry(configuration, public_url, folder, storage.clone(), clock)?;

        let mut config = AppConfig::new(&public_url.0)?;
        config.name = values.registry_name.clone().map(|name| name.0);
        config.contact = values.contact.clone().map(|contact| contact.0);
        config.trusted_proxies.clone_from(&values.trusted_proxies);
        config.metrics_allowed.clone_from(&values.metrics_allow);
        config.metrics = Some(metrics);
        config.shutdown_grace = values.shutdown_deadline;
        let app = App::new(config, gate.clone(), identity.clone(), registry.clone());
        Ok(Self {
            storage,
            engine,
            recorder,
            gate,
            registry,
            identity,
            mailer,
            app,
        })
    }

    /// Background work next to requests, until `stop`.
    fn start_background(
        &self,
        configuration: &Configuration,
        watch: Option<Watch>,
        log: &Log,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let (gate, stopped) = (self.gate.clone(), stop.clone());
        tasks.spawn(async move { gate.follow_activations(stopped.cancelled()).await });
        let (registry, stopped) = (self.registry.clone(), stop.clone());
        tasks.spawn(async move { registry.follow_changes(stopped.cancelled()).await });
        let (mailer, stopped) = (self.mailer.clone(), stop.clone());
        tasks.spawn(async move { mailer.run(stopped.cancelled()).await });
        tasks.spawn(minutely::run(
            self.identity.clone(),
            self.storage.clone(),
            stop.clone(),
        ));
        tasks.spawn(housekeeping::run(
            self.registry.clone(),
            self.identity.clone(),
            configuration.values.decision_retention,
            stop.clone(),
        ));
        tasks.spawn(log.account_for_losses(stop.clone()));
        if let Some(watch) = watch {
            tasks.spawn(watch.run(stop.clone()));
        }
    }

    /// Writes everything that is still queued and closes the database.
    async fn close(self) {
        self.recorder.close().await;
        self.storage.close().await;
    }
}

/// Name of this machine, for people.
pub(crate) fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// One line on standard output. If it is closed, no one wants to read it.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Where mails are sent.
fn mail_in_words(configuration: &Configuration, folder: &DataFolder) -> String {
    match wiring::mail_transport(configuration, folder) {
        Transport::Smtp(server) => server.to_string(),
        Transport::Folder(path) => format!(
            "files in {} (no smtp-url is configured)",
            path.canonicalize().unwrap_or(path).display()
        ),
    }
}
