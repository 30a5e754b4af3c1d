//! The five common upload tools, each called as its documentation says.

use std::fs;
use std::path::{Path, PathBuf};

use tests::clients::Printed;
use tests::{Clients, Request, Server, basic_token, upload_request};

/// A tool that uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Twine,
    Uv,
    Flit,
    Hatch,
    Poetry,
}

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::Twine => "twine",
            Tool::Uv => "uv",
            Tool::Flit => "flit",
            Tool::Hatch => "hatch",
            Tool::Poetry => "poetry",
        }
    }

    /// A project of this tool, its distributions built by the tool's usual backend.
    pub(crate) fn project(
        self,
        clients: &Clients,
        top: &Path,
        name: &str,
        version: &str,
    ) -> Project {
        let folder = top.join(format!("{name}-{version}-{}", self.name()));
        let module = name.replace('-', "_");
        fs::create_dir_all(folder.join(&module)).expect("the project's folder can be made");
        fs::write(
            folder.join(&module).join("__init__.py"),
            format!("\"\"\"Says hello.\"\"\"\n__version__ = \"{version}\"\n"),
        )
        .expect("the module can be written");
        fs::write(folder.join("README.md"), "# Hello\n").expect("the readme can be written");
        let (backend, more) = match self {
            Tool::Twine | Tool::Uv => (
                "requires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"",
                String::new(),
            ),
            Tool::Flit => (
                "requires = [\"flit_core\"]\nbuild-backend = \"flit_core.buildapi\"",
                String::new(),
            ),
            Tool::Hatch => (
                "requires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"",
                String::new(),
            ),
            Tool::Poetry => (
                "requires = [\"poetry-core\"]\nbuild-backend = \"poetry.core.masonry.api\"",
                format!("\n[tool.poetry]\npackages = [{{ include = \"{module}\" }}]\n"),
            ),
        };
        fs::write(
            folder.join("pyproject.toml"),
            format!(
                "[build-system]\n{backend}\n\n[project]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"Says hello\"\nreadme = \"README.md\"\nrequires-python = \">=3.9\"\nauthors = [{{ name = \"Somebody\", email = \"somebody@example.org\" }}]\n{more}"
            ),
        )
        .expect("the manifest can be written");
        match self {
            // These build and upload with one command.
            Tool::Flit | Tool::Poetry => {}
            Tool::Hatch => drop(clients.run("hatchling", &folder, &["build"], &[]).ok()),
            Tool::Twine | Tool::Uv => drop(
                clients
                    .run("pyproject-build", &folder, &["--no-isolation"], &[])
                    .ok(),
            ),
        }
        Project {
            tool: self,
            name: name.to_owned(),
            folder,
        }
    }
}

/// A project on a person's laptop.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) tool: Tool,
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

impl Project {
    /// Uploads it without any verbose flag.
    pub(crate) fn publish(
        &self,
        clients: &Clients,
        server: &Server,
        user: &str,
        password: &str,
    ) -> Printed {
        let url = format!("{}/legacy/", server.url());
        let files: Vec<String> = match fs::read_dir(self.folder.join("dist")) {
            Ok(entries) => entries
                .flatten()
                .map(|entry| entry.path().display().to_string())
                .filter(|path| !path.ends_with(".gitignore"))
                .collect(),
            Err(_) => Vec::new(),
        };
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let run = |arguments: &[&str], files: &[&str], variables: &[(&str, &str)]| {
            let all: Vec<&str> = arguments.iter().chain(files).copied().collect();
            clients.run(self.tool.name(), &self.folder, &all, variables)
        };
        match self.tool {
            Tool::Twine => run(
                &[
                    "upload",
                    "--non-interactive",
                    "--repository-url",
                    &url,
                    "-u",
                    user,
                    "-p",
                    password,
                ],
                &files,
                &[],
            ),
            Tool::Uv => run(
                &[
                    "publish",
                    "--trusted-publishing",
                    "never",
                    "--publish-url",
                    &url,
                    "--username",
                    user,
                    "--password",
                    password,
                ],
                &files,
                &[],
            ),
            Tool::Flit => run(
                &["publish"],
                &[],
                &[
                    ("FLIT_INDEX_URL", &url),
                    ("FLIT_USERNAME", user),
                    ("FLIT_PASSWORD", password),
                ],
            ),
            Tool::Hatch => run(
                &[
                    "publish",
                    "--no-prompt",
                    "--repo",
                    &url,
                    "--user",
                    user,
                    "--auth",
                    password,
                ],
                &files,
                &[],
            ),
            Tool::Poetry => run(
                &[
                    "publish",
                    "--build",
                    "--no-interaction",
                    "--repository",
                    "portcullis",
                ],
                &[],
                &[
                    ("POETRY_REPOSITORIES_PORTCULLIS_URL", &url),
                    ("POETRY_HTTP_BASIC_PORTCULLIS_USERNAME", user),
                    ("POETRY_HTTP_BASIC_PORTCULLIS_PASSWORD", password),
                ],
            ),
        }
    }
}

/// Uploads with the plain client and checks that it worked.
#[track_caller]
pub(crate) fn upload_ok(server: &Server, distribution: &tests::Distribution, token: &str) {
    let answer = server.send(&upload_request(distribution, Some(&basic_token(token))));
    assert_eq!(answer.status, 200, "{} {}", answer.reason, answer.text());
}

/// Tries to install with pip into a separate folder.
pub(crate) fn pip_install(
    clients: &Clients,
    server: &Server,
    top: &Path,
    requirement: &str,
) -> Printed {
    let index = format!("{}/simple/", server.url());
    let target = top.join("installed-by-pip");
    let _ = fs::remove_dir_all(&target);
    clients.run(
        "pip",
        top,
        &[
            "install",
            "--no-cache-dir",
            "--no-build-isolation",
            "--no-deps",
            "--index-url",
            &index,
            "--target",
            &target.display().to_string(),
            requirement,
        ],
        &[],
    )
}

/// Tries to install with uv into a separate folder.
pub(crate) fn uv_install(
    clients: &Clients,
    server: &Server,
    top: &Path,
    requirement: &str,
) -> Printed {
    let index = format!("{}/simple/", server.url());
    let target = top.join("installed-by-uv");
    let _ = fs::remove_dir_all(&target);
    clients.run(
        "uv",
        top,
        &[
            "pip",
            "install",
            "--no-cache",
            "--no-deps",
            "--default-index",
            &index,
            "--target",
            &target.display().to_string(),
            requirement,
        ],
        &[],
    )
}

/// A policy set of a test: a folder with a set file, next to the shipped modules and the guests of
/// the engine's tests.
#[derive(Debug)]
pub(crate) struct SetFolder {
    top: tempfile::TempDir,
    name: String,
}

impl SetFolder {
    /// Writes a set with these bindings, each in the format of a set file.
    pub(crate) fn new(name: &str, bindings: &str) -> Self {
        let top = tempfile::Builder::new()
            .prefix("portcullis-set-")
            .tempdir()
            .expect("a temporary folder can be made");
        let modules = top.path().join("modules");
        fs::create_dir_all(top.path().join(name))
            .and_then(|()| fs::create_dir_all(&modules))
            .expect("the set's folders can be made");
        for folder in ["policies/modules", "target/guests"] {
            let folder = tests::server::repository().join(folder);
            let entries = fs::read_dir(&folder).unwrap_or_else(|cause| {
                panic!(
                    "{}: {cause}; run cargo xtask build-plugins and build-guests",
                    folder.display()
                )
            });
            for entry in entries.flatten() {
                fs::copy(entry.path(), modules.join(entry.file_name()))
                    .expect("a module can be copied");
            }
        }
        let set = Self {
            top,
            name: name.to_owned(),
        };
        set.rewrite(bindings);
        set
    }

    /// Rewrites the set file.
    pub(crate) fn rewrite(&self, bindings: &str) {
        fs::write(
            self.path().join("set.toml"),
            format!(
                "name = \"{}\"\nsummary = \"A set of the tests.\"\n\n{bindings}",
                self.name
            ),
        )
        .expect("the set file can be written");
    }

    /// The folder to apply.
    pub(crate) fn path(&self) -> PathBuf {
        self.top.path().join(&self.name)
    }

    /// The same as text.
    pub(crate) fn text(&self) -> String {
        self.path().display().to_string()
    }
}

/// A binding of a module, with further lines in `more`.
pub(crate) fn binding(policy: &str, module: &str, more: &str) -> String {
    format!("[[binding]]\npolicy = \"{policy}\"\nmodule = \"{module}\"\n{more}\n")
}

/// The bindings of the default set.
pub(crate) fn default_bindings() -> String {
    [
        "restrict-routes",
        "require-second-factor",
        "owner-mandate",
        "staged-release",
    ]
    .map(|policy| binding(policy, &format!("{policy}.wasm"), ""))
    .concat()
}

/// The cookies of a browser in which this user, who has no second factor, has logged in.
#[track_caller]
pub(crate) fn log_in(server: &Server, user: &tests::User) -> String {
    let origin = server.url().replace("127.0.0.1", "localhost");
    let form = format!("user={}&password={}", user.name, user.password).replace(' ', "+");
    let request = Request::new("POST", "/login")
        .header("Origin", &origin)
        .header("Cookie", "portcullis-moved=1");
    let logged_in =
        server.send(&request.body("application/x-www-form-urlencoded", form.into_bytes()));
    assert_eq!(logged_in.status, 303, "{}", logged_in.text());
    let set = logged_in
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let cookies: Vec<&str> = set
        .filter_map(|(_, cookie)| cookie.split(';').next())
        .collect();
    cookies.join("; ")
}
