//! Power failures and restarts: everything that was answered is there, and nothing is there in
//! part.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tests::{Connection, Package, Request, Setup, basic_token, upload_request};

use crate::tools::upload_ok;

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push(path)
        }
    }
    found
}

#[test]
fn a_server_killed_during_uploads_shows_whole_files_or_none() {
    const CUTS: u64 = 12;
    let setup = Setup::default();
    let mut server = setup.clone().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let mut answered = Vec::new();
    let mut attempted = 0_u64;
    for cut in 0..CUTS {
        let version = |number: u64| format!("{cut}.{number}");
        let address = server.address;
        let (done, tried) = std::thread::scope(|scope| {
            let uploading = scope.spawn(|| {
                let (mut done, mut tried) = (Vec::new(), 0);
                let mut connection = Connection::to(address);
                for number in 0.. {
                    tried += 1;
                    let package = Package::new("cut", &version(number)).with_payload(300_000);
                    match connection.send(&upload_request(
                        &package.wheel(),
                        Some(&basic_token(&token)),
                    )) {
                        Ok(answer) => {
                            assert_eq!(answer.status, 200, "{} {}", answer.reason, answer.text());
                            done.push(version(number));
                        }
                        Err(_) => break,
                    }
                }
                (done, tried)
            });
            // Spread over the duration of an upload, the same in each run.
            std::thread::sleep(Duration::from_millis(20 + cut * 23));
            server.kill();
            uploading.join().expect("the uploads end with the server")
        });
        answered.extend(done);
        attempted += tried;

        server = setup.clone().start();
        let page = server.send(
            &Request::get("/simple/cut/").header("Accept", "application/vnd.pypi.simple.v1+json"),
        );
        // Before the first upload there is no such project.
        let listed = if page.status == 404 {
            Vec::new()
        } else {
            page.json()["files"].as_array().expect("files").clone()
        };
        for version in &answered {
            assert!(
                listed
                    .iter()
                    .any(|file| file["filename"] == format!("cut-{version}-py3-none-any.whl")),
                "{version} was answered and is gone"
            );
        }
        for file in &listed {
            let name = file["filename"].as_str().expect("a name");
            let version = name
                .trim_start_matches("cut-")
                .trim_end_matches("-py3-none-any.whl");
            if !version.starts_with(&format!("{cut}.")) {
                continue;
            }
            let wheel = Package::new("cut", version).with_payload(300_000).wheel();
            assert_eq!(file["hashes"]["sha256"], wheel.sha256(), "{name}");
            assert_eq!(
                server.get(&wheel.path()).body,
                wheel.bytes,
                "{name} is whole"
            );
            assert_eq!(
                server.get(&format!("{}.metadata", wheel.path())).text(),
                wheel.metadata,
                "{name} has its metadata"
            );
        }
        assert!(listed.len() as u64 <= attempted);
        // An interrupted client simply uploads again.
        upload_ok(
            &server,
            &Package::new("cut", &version(9999)).wheel(),
            &token,
        );
        answered.push(version(9999));
        attempted += 1;
    }
    assert!(
        attempted > answered.len() as u64,
        "some uploads were cut off"
    );
}

#[test]
fn what_nothing_refers_to_is_swept_and_what_is_in_use_stays() {
    let setup = Setup::default();
    let server = setup.clone().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let wheel = Package::new("kept", "1.0").wheel();
    upload_ok(&server, &wheel, &token);
    assert!(server.stop().success());

    // Remains of a power failure: a blob without a row, a partly received upload. A copy of every
    // kind of file, so that the test need not know the layout.
    let blobs = setup.data().join("blobs");
    let long_ago = SystemTime::now() - Duration::from_secs(30 * 86_400);
    let age = |path: &Path| {
        std::fs::File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(long_ago))
            .expect("a file's age can be set")
    };
    let kept = files(&blobs);
    assert!(!kept.is_empty(), "the upload is in {}", blobs.display());
    for path in &kept {
        age(path);
    }
    let mut orphans = Vec::new();
    for path in &kept {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("plain names");
        // The same name with its first digit changed is the name of another content.
        let turned: String = name
            .char_indices()
            .map(|(at, c)| {
                if at == 0 {
                    if c == 'f' { '0' } else { 'f' }
                } else {
                    c
                }
            })
            .collect();
        let orphan = path.with_file_name(turned);
        std::fs::write(&orphan, b"nobody refers to this").expect("an orphan can be written");
        age(&orphan);
        orphans.push(orphan);
    }
    let incoming = blobs.join("incoming");
    assert!(
        incoming.is_dir(),
        "uploads are received in {}",
        incoming.display()
    );
    let half = incoming.join("half-received");
    std::fs::write(&half, b"half").expect("a half upload can be written");
    age(&half);
    orphans.push(half);

    let mut server = setup.start();
    server.wait_for("the sweep", |server| {
        server
            .log()
            .contains("removed files that nothing refers to")
            .then_some(())
    });
    for orphan in orphans {
        assert!(!orphan.exists(), "{} is still there", orphan.display());
    }
    assert_eq!(server.get(&wheel.path()).body, wheel.bytes);
}

#[test]
fn a_server_told_to_stop_finishes_what_it_began() {
    use std::io::{Read, Write};
    let setup = Setup::default();
    let server = setup.clone().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let bytes = upload_request(
        &Package::new("last", "1.0").with_payload(100_000).wheel(),
        Some(&basic_token(&token)),
    )
    .header("Connection", "close")
    .encode(server.address);
    let mut stream = std::net::TcpStream::connect(server.address).expect("the server listens");
    let half = bytes.len() / 2;
    stream
        .write_all(&bytes[..half])
        .expect("the first half is sent");
    // The server has the request's head before it is asked to stop.
    let mut server = server;
    server.wait_for("the upload to be under way", |server| {
        server
            .get("/metrics")
            .text()
            .lines()
            .any(|line| line.starts_with("portcullis_uploads_in_flight") && line.ends_with(" 1"))
            .then_some(())
    });
    server.signal("TERM");
    stream
        .write_all(&bytes[half..])
        .expect("the second half is sent");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the answer is read");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(server.wait().success(), "{}", server.log());
    assert!(server.log().contains("stopped"));
    let server = setup.start();
    assert_eq!(server.get("/simple/last/").status, 200);
}

#[test]
fn everything_is_there_after_a_restart() {
    let setup = Setup::default();
    let server = setup.clone().start();
    let alice = server.user("alice");
    let token = server.setup.token(&alice, &["--account"]);
    let wheel = Package::new("lasting", "1.0").wheel();
    upload_ok(&server, &wheel, &token);
    assert!(server.stop().success());
    let server = setup.start();
    assert_eq!(server.get(&wheel.path()).body, wheel.bytes);
    upload_ok(&server, &Package::new("lasting", "1.1").wheel(), &token);
}
