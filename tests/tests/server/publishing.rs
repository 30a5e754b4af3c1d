//! The usual tools upload and install.

use tests::{Clients, Package, Setup};

use crate::tools::{Tool, pip_install, upload_ok, uv_install};

fn uploads_and_installs(tool: Tool) {
    let Some(clients) = Clients::find() else {
        return;
    };
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let top = server.setup.folder.path();
    let name = format!("hello-{}", tool.name());

    let project = tool.project(&clients, top, &name, "1.2.3");
    project.publish(&clients, &server, "__token__", &token).ok();

    let page = server
        .send(
            &tests::Request::get(&format!("/simple/{name}/"))
                .header("Accept", "application/vnd.pypi.simple.v1+json"),
        )
        .json();
    let files: Vec<&str> = page["files"]
        .as_array()
        .expect("files are listed")
        .iter()
        .filter_map(|file| file["filename"].as_str())
        .collect();
    let module = name.replace('-', "_");
    assert_eq!(files.len(), 2, "a wheel and an sdist: {files:?}");
    assert!(
        files.contains(&format!("{module}-1.2.3.tar.gz").as_str()),
        "{files:?}"
    );

    pip_install(&clients, &server, top, &project.name)
        .ok()
        .says(&format!("Successfully installed {name}-1.2.3"));
    assert!(
        top.join("installed-by-pip")
            .join(&module)
            .join("__init__.py")
            .exists()
    );
    uv_install(&clients, &server, top, &format!("{name}==1.2.3")).ok();
    assert!(
        top.join("installed-by-uv")
            .join(&module)
            .join("__init__.py")
            .exists()
    );
}

#[test]
fn twine_uploads_and_pip_and_uv_install() {
    uploads_and_installs(Tool::Twine);
}

#[test]
fn uv_uploads_and_pip_and_uv_install() {
    uploads_and_installs(Tool::Uv);
}

#[test]
fn flit_uploads_and_pip_and_uv_install() {
    uploads_and_installs(Tool::Flit);
}

#[test]
fn hatch_uploads_and_pip_and_uv_install() {
    uploads_and_installs(Tool::Hatch);
}

#[test]
fn poetry_uploads_and_pip_and_uv_install() {
    uploads_and_installs(Tool::Poetry);
}

#[test]
fn pip_resolves_dependencies_and_versions_from_metadata_alone() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let top = server.setup.folder.path();
    for version in ["1.0", "1.5", "2.0"] {
        upload_ok(&server, &Package::new("base", version).wheel(), &token);
    }
    let mut too_new = Package::new("base", "1.9");
    too_new.requires_python = Some(">=99".to_owned());
    upload_ok(&server, &too_new.wheel(), &token);
    let mut user = Package::new("user-of-base", "1.0");
    user.requires = vec!["base<2".to_owned()];
    upload_ok(&server, &user.wheel(), &token);

    let index = format!("{}/simple/", server.url());
    let printed = clients
        .run(
            "pip",
            top,
            &[
                "install",
                "--no-cache-dir",
                "--index-url",
                &index,
                "--target",
                "both",
                "user-of-base",
            ],
            &[],
        )
        .ok();
    printed.says("base-1.5").says("user-of-base-1.0");
    let log = server.settled_log();
    assert!(
        log.contains("user_of_base-1.0-py3-none-any.whl.metadata"),
        "pip read the metadata beside the file:\n{log}"
    );

    clients
        .run(
            "uv",
            top,
            &[
                "pip",
                "install",
                "--no-cache",
                "--default-index",
                &index,
                "--target",
                "both-uv",
                "user-of-base",
            ],
            &[],
        )
        .ok()
        .says("base==1.5");
}

#[test]
fn an_sdist_alone_is_built_and_installed() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    upload_ok(&server, &Package::new("source-only", "0.1").sdist(), &token);
    pip_install(&clients, &server, server.setup.folder.path(), "source-only")
        .ok()
        .says("Successfully installed source-only-0.1");
}

#[test]
fn uploading_the_same_file_again_changes_nothing_and_succeeds() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let server = Setup::default().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let project = Tool::Twine.project(&clients, server.setup.folder.path(), "twice", "1.0");
    for _ in 0..2 {
        project.publish(&clients, &server, "__token__", &token).ok();
    }
}
