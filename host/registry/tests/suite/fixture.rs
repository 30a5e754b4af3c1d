//! A registry for one test, people, and files to upload.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use blobs::Blobs;
use bytes::Bytes;
use gate::package::VerifiedPackage;
use gate::{Gate, Method, Permit, Target};
use model::audit::{AuditEvent, Detail, EventKind};
use model::time::ManualClock;
use model::{Caller, TokenFacts, TokenId, UserId, UserName};
use policy_engine::Engine;
use registry::form::FormBuilder;
use registry::index::{ListPage, Page, PageFormat};
use registry::spool::Spool;
use registry::upload::{UploadError, Uploaded};
use registry::{Registry, RegistryConfig};
use storage::tokens::NewToken;
use storage::users::NewUser;
use storage::{Secret, Storage};
use tempfile::TempDir;
use testkit::GateBuilder;

/// The address of all requests.
pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(crate) use testkit::NOW;

/// All bytes of a page, as a client receives them.
async fn whole(bytes: &registry::index::PageBytes) -> Bytes {
    let mut whole = Vec::new();
    while let Some(part) = bytes.part(whole.len() as u64).await.unwrap() {
        whole.extend_from_slice(&part);
    }
    whole.into()
}

/// A page of the Simple API as a reader got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) body: Bytes,
    pub(crate) etag: String,
    pub(crate) last_serial: i64,
}

impl Read {
    pub(crate) async fn of(page: Page) -> Self {
        Self {
            body: whole(&page.body).await,
            etag: page.etag.to_string(),
            last_serial: page.last_serial,
        }
    }

    async fn of_list(page: ListPage) -> Self {
        let (mut body, mut parts) = (Vec::new(), page.parts(false));
        while let Some(part) = parts.next().await.unwrap() {
            body.extend_from_slice(&part);
        }
        Self {
            body: body.into(),
            etag: page.etag().to_owned(),
            last_serial: page.last_serial(),
        }
    }
}

/// Compiling the modules takes longest, so every test shares the engine.
fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(testkit::engine).clone()
}

/// The set `default`, verified once. As long as it is alive, the engine keeps its modules.
fn default_set() -> &'static VerifiedPackage {
    static SET: OnceLock<VerifiedPackage> = OnceLock::new();
    SET.get_or_init(|| testkit::shipped("default").verify(&engine()).unwrap())
}

pub(crate) struct Fixture {
    pub(crate) registry: Registry,
    pub(crate) gate: Gate,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) folder: TempDir,
}

/// A user with a token, a second factor and a verified address.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: UserId,
    name: UserName,
    token: TokenId,
}

impl Person {
    fn caller(&self) -> testkit::Person {
        testkit::Person::new(self.name.as_written())
            .known_as(self.id)
            .enrolled(testkit::APP)
    }

    pub(crate) fn token_id(&self) -> TokenId {
        self.token
    }

    /// As an upload client with an API token.
    pub(crate) fn token(&self) -> Caller {
        self.caller().with_token(TokenFacts {
            id: self.token,
            created_at: NOW,
            last_used_at: None,
            made_with_second_factor: true,
            minted: Vec::new(),
            added: Vec::new(),
        })
    }

    /// As a person who has just confirmed password and second factor.
    pub(crate) fn session(&self) -> Caller {
        self.caller().session(testkit::verified_now(NOW))
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut RegistryConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = connect(folder.path()).await;
        storage.migrate().await.unwrap();
        let gate = GateBuilder::on(&storage)
            .clock(clock.clone())
            .engine(engine())
            .recording(1000)
            .with_verified(default_set())
            .await;
        let mut config = RegistryConfig::new("https://example.org/pypi/");
        // All users here share one address.
        config.new_projects_per_address = 10_000;
        change(&mut config);
        let registry = Registry::new(storage, blobs_in(&folder), clock.clone(), config);
        Self {
            registry,
            gate,
            clock,
            folder,
        }
    }

    /// Another process on the same database and the same folder.
    pub(crate) async fn other_process(&self) -> Registry {
        Registry::new(
            connect(self.folder.path()).await,
            blobs_in(&self.folder),
            self.clock.clone(),
            self.registry.config().clone(),
        )
    }

    /// Gives a person a primary address.
    pub(crate) async fn has_address(&self, person: &Person, address: &str, verified: bool) {
        let mut unit = self.registry.storage().begin().await.unwrap();
        unit.add_email(person.id, address, NOW).await.unwrap();
        if verified {
            unit.verify_email(person.id, address, NOW).await.unwrap();
        }
        let (kind, user) = (EventKind::EmailAdded, Some(person.id));
        let event =
            AuditEvent::of_server(NOW, Detail::read(kind, &serde_json::json!({}))).about(user);
        unit.commit(&event).await.unwrap();
    }

    pub(crate) async fn person(&self, name: &str) -> Person {
        let (id, token, name) = (
            UserId::new(),
            TokenId::new(),
            UserName::parse(name).unwrap(),
        );
        let mut unit = self.registry.storage().begin().await.unwrap();
        unit.create_user(&NewUser {
            id,
            name: &name,
            created_at: NOW,
            staff: false,
        })
        .await
        .unwrap();
        let key = Secret::new([7u8; 32]);
        unit.create_token(&NewToken {
            id: token,
            user: id,
            description: "test",
            key: &key,
            stored_caveats: &[],
            created_at: NOW,
            made_with_second_factor: true,
        })
        .await
        .unwrap();
        let event = AuditEvent::of_server(
            NOW,
            Detail::read(EventKind::AccountCreated, &serde_json::json!({})),
        )
        .about(Some(id));
        unit.commit(&event).await.unwrap();
        Person { id, name, token }
    }

    pub(crate) async fn decide<T: Target>(
        &self,
        caller: &Caller,
        target: T,
    ) -> Result<Permit<T>, gate::Refusal> {
        let attempt = self.gate.begin(
            "/test",
            Method::Get,
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            "test",
        );
        self.gate.decide(&attempt, caller, target).await
    }

    /// A permit of the command line.
    pub(crate) async fn permit<T: Target>(&self, target: T) -> Permit<T> {
        gate::break_glass(self.registry.storage(), &*self.clock, "root", target)
            .await
            .unwrap()
    }

    pub(crate) async fn upload(
        &self,
        caller: &Caller,
        file: File,
    ) -> Result<Uploaded, UploadError> {
        let attempt = self.gate.begin(
            "/legacy/",
            Method::Post,
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            "test",
        );
        let mut form = FormBuilder::new();
        for (name, value) in &file.fields {
            form.text(name, value.as_bytes())?;
        }
        self.registry
            .check_uploader(&self.gate, &attempt, caller, &form)
            .await?;
        if let Some(name) = &file.name {
            form.file_part("content")?;
            let mut spool = Spool::create(&self.registry).await?;
            for chunk in file.bytes.chunks(1000) {
                spool.write(Bytes::copy_from_slice(chunk)).await?;
            }
            form.content(
                Some(name),
                file.content_type.as_deref(),
                spool.finish().await?,
            )?;
        }
        self.registry
            .upload(&self.gate, &attempt, caller, form.finish())
            .await
    }

    /// The rejection of `upload`: status and message.
    pub(crate) async fn rejected(&self, caller: &Caller, file: File) -> (u16, String) {
        match self.upload(caller, file).await {
            Err(UploadError::Rejected {
                status, message, ..
            }) => (status, message),
            other => panic!("{other:?}"),
        }
    }

    /// The refusal of `upload` by a decision.
    pub(crate) async fn refused(&self, caller: &Caller, file: File) -> gate::Refusal {
        match self.upload(caller, file).await {
            Err(UploadError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    /// Holds back uploads with tokens to a project.
    pub(crate) async fn hold_back(&self, project: &str) {
        let settings = serde_json::json!({ "mode": "automation" })
            .as_object()
            .unwrap()
            .clone();
        let target = self
            .registry
            .load_configure(None, project, "staged-release", settings)
            .await
            .unwrap();
        let gate = self.gate.clone();
        let check = move |policy: &str, chosen: &serde_json::Value| {
            gate.check_owner_settings(policy, chosen)
        };
        self.registry
            .configure_project(self.permit(target).await, check)
            .await
            .unwrap();
    }

    /// A page of the Simple API for an anonymous reader; none is a 404.
    pub(crate) async fn simple(&self, project: Option<&str>, format: PageFormat) -> Option<Read> {
        let caller = Caller::anonymous();
        let registry = &self.registry;
        let Some(project) = project else {
            let permit = self.decide(&caller, registry.list_to_read()).await.unwrap();
            let list = registry.simple_list(permit, format).await.unwrap();
            return Some(Read::of_list(list).await);
        };
        let target = registry
            .load_read_project(&caller, HERE, project)
            .await
            .unwrap();
        let permit = self.decide(&caller, target).await.unwrap();
        let page = registry.simple_page(permit, format).await.unwrap()?;
        Some(Read::of(page).await)
    }

    /// The same in JSON, parsed.
    pub(crate) async fn simple_json(&self, project: &str) -> Option<serde_json::Value> {
        self.simple(Some(project), PageFormat::Json)
            .await
            .map(|page| serde_json::from_slice(&page.body).unwrap())
    }

    /// Names of the files that anonymous readers see on a project's page.
    pub(crate) async fn visible(&self, project: &str) -> Vec<String> {
        let page = self.simple_json(project).await;
        page.map(|page| {
            page["files"]
                .as_array()
                .unwrap()
                .iter()
                .map(|file| file["filename"].as_str().unwrap().to_owned())
                .collect()
        })
        .unwrap_or_default()
    }

    /// A page of the JSON API for an anonymous reader.
    pub(crate) async fn json(
        &self,
        project: &str,
        version: Option<&str>,
    ) -> Option<serde_json::Value> {
        let caller = Caller::anonymous();
        let target = self
            .registry
            .load_read_project(&caller, HERE, project)
            .await
            .unwrap();
        let page = self
            .registry
            .json_page(self.decide(&caller, target).await.unwrap(), version)
            .await
            .unwrap();
        Some(serde_json::from_slice(&whole(&page?.body).await).unwrap())
    }

    /// An anonymous download of a file, or of its metadata.
    pub(crate) async fn download(&self, file: &File, suffix: &str) -> Option<Vec<u8>> {
        let caller = Caller::anonymous();
        let hex = &file.field("blake2_256_digest");
        let name = format!("{}{suffix}", file.name.as_ref().unwrap());
        let digest = (&hex[..2], &hex[2..4], &hex[4..]);
        let target = self.registry.load_download(&caller, digest, &name).await;
        let target = self
            .registry
            .with_file(target.unwrap(), HERE)
            .await
            .unwrap();
        let found = self
            .registry
            .open_file(self.decide(&caller, target).await.unwrap())
            .await
            .unwrap()?;
        Some(found.blob.whole().await.unwrap())
    }

    pub(crate) async fn events(&self, kind: EventKind) -> Vec<AuditEvent> {
        let filter = storage::audit::AuditFilter {
            kind: Some(kind),
            ..Default::default()
        };
        self.registry
            .storage()
            .events(&filter, None, 100)
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.event)
            .collect()
    }
}

fn blobs_in(folder: &TempDir) -> Blobs {
    Blobs::open(&folder.path().join("blobs")).unwrap()
}

async fn connect(folder: &Path) -> Storage {
    Storage::connect(&format!(
        "sqlite:{}",
        folder.join("registry.sqlite").display()
    ))
    .await
    .unwrap()
}

/// Something to upload.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) name: Option<String>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: Option<String>,
    pub(crate) fields: Vec<(String, String)>,
}

impl File {
    fn new(
        project: &str,
        version: &str,
        file_name: String,
        bytes: Vec<u8>,
        filetype: &str,
        pyversion: &str,
    ) -> Self {
        let fields = [
            (":action", "file_upload"),
            ("protocol_version", "1"),
            ("metadata_version", "2.1"),
            ("name", project),
            ("version", version),
            ("filetype", filetype),
            ("pyversion", pyversion),
        ];
        let fields = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            name: Some(file_name),
            bytes: Vec::new(),
            content_type: None,
            fields,
        }
        .bytes(bytes)
    }

    /// The smallest wheel.
    pub(crate) fn wheel(project: &str, version: &str) -> Self {
        Self::wheel_with(project, version, "")
    }

    /// A wheel with additional metadata, which also changes its content.
    pub(crate) fn wheel_with(project: &str, version: &str, metadata: &str) -> Self {
        let name = format!("{}-{version}-py3-none-any.whl", project.replace('-', "_"));
        Self::new(
            project,
            version,
            name,
            crate::samples::wheel(project, version, metadata),
            "bdist_wheel",
            "py3",
        )
    }

    /// The smallest source distribution.
    pub(crate) fn sdist(project: &str, version: &str) -> Self {
        let name = format!("{}-{version}.tar.gz", project.replace('-', "_"));
        Self::new(
            project,
            version,
            name,
            crate::samples::sdist(project, version, ""),
            "sdist",
            "source",
        )
    }

    /// Other bytes, with their digests.
    pub(crate) fn bytes(self, bytes: Vec<u8>) -> Self {
        use blake2::digest::consts::U32;
        use sha2::Digest;
        let sha256 = data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(&bytes));
        let blake2 = data_encoding::HEXLOWER.encode(&blake2::Blake2b::<U32>::digest(&bytes));
        Self { bytes, ..self }
            .with("sha256_digest", &sha256)
            .with("blake2_256_digest", &blake2)
    }

    /// Another value for a field; empty removes the field.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }

    pub(crate) fn field(&self, name: &str) -> String {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .unwrap()
            .1
            .clone()
    }
}
