//! The pages, each walked from start to end.

use crate::blocks;
use crate::walk::{Hint, run, walk};

/// The pages whose commands are all run.
pub(crate) const WALKED: &[&str] = &[
    "README.md",
    "docs/http-api.md",
    "docs/operators.md",
    "docs/policy-authors.md",
    "docs/private-registry.md",
    "docs/project-owners.md",
];

/// A script that writes the block of a page with this text to a file.
fn write_block(page: &str, holds: &str, file: &str) -> String {
    let block = blocks::of(page)
        .into_iter()
        .find(|block| block.text.contains(holds))
        .unwrap_or_else(|| panic!("{page} has no block with `{holds}`"));
    format!(
        "cat >> {file} <<'END OF THE BLOCK'\n{}END OF THE BLOCK\n",
        block.text
    )
}

#[test]
fn the_readme_leads_from_nothing_to_an_upload_and_a_change_of_rules() {
    let begin = r#"
        export PIP_TARGET=$FOLDER/installed
        clone "$FOLDER/clone" && cd "$FOLDER/clone"
        target/debug/portcullis serve > "$LOGS/background" 2>&1 &
        until_said 'serving    http://localhost:8080/'
        user bea
        TOKEN=$(portcullis token create bea --description laptop --account)
        wheel hello-docs 1.0
    "#;
    let hints = [
        Hint {
            command: "export TWINE_USERNAME",
            replace: &[("<the token>", "$TOKEN")],
            ..Hint::NONE
        },
        Hint {
            command: "twine upload",
            ..Hint::NONE
        },
        Hint {
            command: "pip install",
            replace: &[("<your project>", "hello-docs")],
            after: "need test -f $FOLDER/installed/hello_docs.py",
            ..Hint::NONE
        },
        Hint {
            command: "portcullis policy apply",
            before: "rm -r dist; wheel hello-docs 1.1",
            ..Hint::NONE
        },
        Hint {
            command: "twine upload",
            exit: 1,
            ..Hint::NONE
        },
        Hint {
            command: "portcullis explain",
            replace: &[(
                "<decision>",
                "$(portcullis decisions --outcome refused --json | grep -o '\"id\": *\"[^\"]*' | head -n 1 | cut -d'\"' -f4)",
            )],
            ..Hint::NONE
        },
        Hint {
            command: "portcullis policy rollback",
            after: "need twine upload --repository-url http://localhost:8080/legacy/ dist/*",
            ..Hint::NONE
        },
    ];
    walk("README.md", begin, &hints, "");
}

#[test]
fn only_members_read_a_private_registry() {
    let hints = [
        Hint {
            command: "portcullis serve",
            until: Some("serving    http://localhost:8080/"),
            ..Hint::NONE
        },
        Hint {
            command: "portcullis token create build-machines",
            after: r#"
                TOKEN=$(portcullis token create build-machines --description again --account)
                [ "$(curl --silent --output /dev/null --write-out '%{http_code}' --user "__token__:$TOKEN" http://localhost:8080/simple/)" = 200 ] || fail "a member does not read"
                [ "$(curl --silent --output /dev/null --write-out '%{http_code}' http://localhost:8080/simple/)" = 401 ] || fail "others read"
            "#,
            ..Hint::NONE
        },
    ];
    walk(
        "docs/private-registry.md",
        "clone \"$FOLDER/clone\" && cd \"$FOLDER/clone\"\n",
        &hints,
        "",
    );
}

#[test]
fn project_owners_can_do_what_their_page_says() {
    let begin = r#"
        own_folders /etc
        certificate registry.example
        cat > "$FOLDER/site.conf" <<'SITE'
        server {
            listen 443 ssl;
            server_name registry.example;
            ssl_certificate /etc/ssl/registry.example/fullchain.pem;
            ssl_certificate_key /etc/ssl/registry.example/privkey.pem;
            location / { proxy_pass http://127.0.0.1:8080; proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }
        }
SITE
        proxy "$FOLDER/site.conf"
        mkdir -p "$FOLDER/site" && cd "$FOLDER/site"
        printf 'public-url = "https://registry.example"\ntrusted-proxies = ["127.0.0.1"]\n' > portcullis.toml
        serve .
        user alice
        need portcullis project create my-project --owner alice
        "#;
    let hints = [
        Hint {
            command: "portcullis project settings my-project staged-release",
            after: r#"
                export TWINE_USERNAME=__token__ TWINE_PASSWORD=$(portcullis token create alice --description ci --project my-project)
                wheel my-project 1.2
                need twine upload --repository-url https://registry.example/legacy/ dist/*
            "#,
            ..Hint::NONE
        },
        Hint {
            command: "portcullis release publish",
            before: r#"
                portcullis release publish my-project 1.2 --url https://registry.example --user alice
                ends_with $? 1
                confirm_command_line data/outbox https://registry.example
            "#,
            after: "need curl --silent --fail --output /dev/null https://registry.example/project/my-project/1.2/",
            ..Hint::NONE
        },
    ];
    walk("docs/project-owners.md", begin, &hints, "");
}

#[test]
fn a_program_publishes_over_http_as_the_api_says() {
    let begin = r#"
        cd "$FOLDER"
        serve .
        user ada
        need portcullis project create demo --owner ada
        need portcullis project settings demo staged-release mode=automation
        export TWINE_USERNAME=__token__ TWINE_PASSWORD=$(portcullis token create ada --description ci --project demo)
        wheel demo 1.0
        need twine upload --repository-url http://localhost:8080/legacy/ dist/*
        unknown() {
            printf '{"user": "ada", "password": "correct horse battery staple", "totp": "%s"}' "$(code)" > proof.json
            DEVICE=$(curl --silent --json @proof.json http://localhost:8080/api/projects/demo/staged | grep -o '"device": *"[^"]*' | cut -d'"' -f4)
        }
        unknown
        [ -n "$DEVICE" ] || fail "no device"
        confirm_command_line data/outbox http://localhost:8080
        # A refusal must not pass for success.
        echo fail-with-body > "$HOME/.curlrc"
    "#;
    let hints = [
        Hint {
            command: "curl --json",
            replace: &[
                (
                    "\"password\": \"…\"",
                    "\"password\": \"correct horse battery staple\"",
                ),
                ("123456", "'$(code)'"),
                ("\"device\": \"…\"", "\"device\": \"'$DEVICE'\""),
                ("{url}", "http://localhost:8080"),
            ],
            ..Hint::NONE
        },
        Hint {
            command: "curl --json",
            replace: &[
                (
                    "\"password\": \"…\"",
                    "\"password\": \"correct horse battery staple\"",
                ),
                ("123456", "'$(code)'"),
                ("\"device\": \"…\"", "\"device\": \"'$DEVICE'\""),
                ("demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl"),
                ("<sha256>", "'$(sha256sum dist/*.whl | cut -d\" \" -f1)'"),
                ("{url}", "http://localhost:8080"),
            ],
            after: "need curl --silent --output /dev/null http://localhost:8080/project/demo/1.0/",
            ..Hint::NONE
        },
    ];
    walk("docs/http-api.md", begin, &hints, "");
}

#[test]
fn a_policy_comes_from_an_empty_folder_to_a_registry_and_back() {
    let page = "docs/policy-authors.md";
    let begin = r#"
        # What was compiled for it once need not be compiled again.
        export CARGO_TARGET_DIR=$REPOSITORY/target/docs
        mkdir -p "$FOLDER/work" && cd "$FOLDER/work"
        clone portcullis
        cp -r "$REPOSITORY/wit" portcullis/ && mkdir portcullis/plugins && cp -r "$REPOSITORY/plugins/policy-sdk" portcullis/plugins/
        cp "$REPOSITORY/Cargo.toml" "$REPOSITORY/Cargo.lock" portcullis/
        # The clone's own workspace with nothing in it but what a policy depends on.
        sed -i -e 's/^members = .*/members = ["plugins\/policy-sdk"]/' -e '/^default-members/d' portcullis/Cargo.toml
        (cd portcullis && exec portcullis serve) > "$LOGS/background" 2>&1 &
        until_said 'serving    '
    "#;
    let files = [
        write_block(page, "[package]", "Cargo.toml"),
        "mkdir -p .cargo\n".to_owned(),
        write_block(
            page,
            "[target.wasm32-unknown-unknown]",
            ".cargo/config.toml",
        ),
        write_block(page, "policy_sdk::export!(SmallWheels);", "src/lib.rs"),
        write_block(
            page,
            "fn a_large_wheel_is_refused_unless_owners_allow_it",
            "src/lib.rs",
        ),
        "cp \"$REPOSITORY/Cargo.lock\" .\n".to_owned(),
    ]
    .concat();
    let files = format!("rm Cargo.toml src/lib.rs\n{files}");
    let binding = write_block(
        page,
        "# at the end of policies/mine/set.toml",
        "policies/mine/set.toml",
    );
    let case = write_block(
        page,
        "a large wheel is let through, and would have been refused",
        "policies/mine/cases/wheels.toml",
    );
    let set =
        format!("sed -i 's/^name = .*/name = \"mine\"/' policies/mine/set.toml\n{binding}{case}");
    let enforced = r#"sed -i -e 's/^expect = "permit"/expect = "deny"/' -e '/^observed/d' policies/mine/cases/wheels.toml"#;
    let hints = [
        Hint {
            command: "cargo new",
            after: Box::leak(files.into_boxed_str()),
            ..Hint::NONE
        },
        Hint {
            command: "portcullis policy pack",
            replace: &[(
                "target/wasm32-unknown-unknown",
                "$CARGO_TARGET_DIR/wasm32-unknown-unknown",
            )],
            ..Hint::NONE
        },
        Hint {
            command: "cp ../small-wheels/small-wheels.wasm",
            after: Box::leak(set.into_boxed_str()),
            ..Hint::NONE
        },
        Hint {
            command: "portcullis explain",
            replace: &[(
                "<decision-id>",
                "$(portcullis decisions --json | grep -o '\"id\": *\"[^\"]*' | head -n 1 | cut -d'\"' -f4)",
            )],
            before: "need curl --silent --output /dev/null http://localhost:8080/simple/",
            ..Hint::NONE
        },
        Hint {
            command: "sed -i",
            after: enforced,
            ..Hint::NONE
        },
    ];
    walk(page, begin, &hints, "");
}

#[test]
fn operators_can_type_what_their_page_says() {
    let page = "docs/operators.md";
    let begin = r#"
        own_folders /etc /usr/local /var /srv
        rm "$FOLDER/bin/portcullis"
        clone "$FOLDER/clone" && cd "$FOLDER/clone"
        chmod 755 "$FOLDER"
    "#;
    let as_the_servers_user = r#"
        cd /srv/portcullis
        # "as the server's user"
        portcullis() { runuser -u portcullis -- /usr/local/bin/portcullis "$@"; }
    "#;
    let users = r#"
        # A registry where nobody is yet.
        install -d -m 700 -o portcullis /srv/portcullis/empty
        export PORTCULLIS_DATA=/srv/portcullis/empty
        need portcullis migrate
    "#;
    let database = r#"
        programs=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
        own_database=$FOLDER/database && mkdir "$own_database" && chown postgres "$own_database"
        certificate db.example.org
        cp /etc/ssl/db.example.org/*.pem "$own_database" && chown postgres "$own_database"/* && chmod 600 "$own_database/privkey.pem"
        cp "$FOLDER/ca.pem" /etc/ssl/db.pem && chmod 644 /etc/ssl/db.pem
        (cd / && runuser -u postgres -- "$programs/initdb" --pgdata "$own_database/data" --auth trust --no-sync > /dev/null) || fail initdb
        (cd / && runuser -u postgres -- "$programs/pg_ctl" --pgdata "$own_database/data" --wait --log "$own_database/log" --options \
            "-k $own_database -c listen_addresses=127.0.0.1 -c ssl=on -c ssl_cert_file=$own_database/fullchain.pem -c ssl_key_file=$own_database/privkey.pem" start) || fail pg_ctl
        export PGHOST=$own_database PGUSER=postgres
    "#;
    let hints = [
        Hint {
            command: "cd /srv/portcullis && runuser",
            until: Some("serving    http://localhost:8080/"),
            after: as_the_servers_user,
            ..Hint::NONE
        },
        Hint {
            command: "createuser",
            before: database,
            ..Hint::NONE
        },
        Hint {
            command: "PORTCULLIS_DATABASE=",
            before: "cd \"$FOLDER\" && mkdir second && cd second",
            replace: &[(
                "portcullis serve",
                "/usr/local/bin/portcullis serve --listen 127.0.0.1:8081 --policies /srv/portcullis/policies/default",
            )],
            until: Some("serving    http://localhost:8081/"),
            after: "cd /srv/portcullis; unset SSL_CERT_FILE",
            ..Hint::NONE
        },
        Hint {
            command: "portcullis user sessions alice",
            before: "user alice",
            ..Hint::NONE
        },
        Hint {
            command: "portcullis user disable alice",
            after: "need portcullis user enable alice",
            ..Hint::NONE
        },
        Hint {
            command: "portcullis user create alice",
            before: users,
            ..Hint::NONE
        },
        Hint {
            command: "portcullis token create alice --description ci",
            replace: &[("123456", "$(code)")],
            ..Hint::NONE
        },
        Hint {
            command: "portcullis project role my-project bob",
            before: "echo 'correct horse battery staple' | need portcullis user create bob --email bob@example.org --verified --password-stdin",
            ..Hint::NONE
        },
        Hint {
            command: "portcullis project settings my-project owner-mandate",
            before: "need portcullis policy apply policies/default",
            ..Hint::NONE
        },
        Hint {
            command: "portcullis project status my-project quarantined",
            after: "unset PORTCULLIS_DATA",
            ..Hint::NONE
        },
        Hint {
            command: "portcullis policy apply policies/strict --reason",
            after: "need portcullis policy rollback",
            ..Hint::NONE
        },
        Hint {
            command: "cd /srv/policies",
            before: r#"
                mkdir -p /srv/policies/origin && git init --quiet /srv/policies/origin
                cp -r policies/default /srv/policies/origin/ours && cp -r policies/modules /srv/policies/origin/
                as_git() { git -C /srv/policies/origin -c user.name=Tests -c user.email=tests@example.org "$@"; }
                as_git add . && as_git commit --quiet --message first && git clone --quiet /srv/policies/origin /srv/policies/checkout
                as_git commit --quiet --allow-empty --message second
            "#,
            ..Hint::NONE
        },
        Hint {
            command: "ln -sfn $release next",
            after: "need portcullis policy check /srv/policies/current/ours; cd /srv/portcullis",
            ..Hint::NONE
        },
        Hint {
            command: "portcullis release list",
            before: r#"
                need portcullis user totp remove alice; need portcullis user totp enroll alice
                need portcullis project create my-project --owner alice
                need portcullis project settings my-project staged-release mode=automation
                export TWINE_USERNAME=__token__ TWINE_PASSWORD=$(portcullis token create alice --description ci --project my-project)
                (cd "$FOLDER" && wheel my-project 1.2 && need twine upload --repository-url http://localhost:8080/legacy/ dist/*) || exit 1
                export XDG_CONFIG_HOME=/srv/portcullis/config && install -d -m 700 -o portcullis /srv/portcullis/config
            "#,
            ..Hint::NONE
        },
        Hint {
            command: "portcullis release publish my-project",
            before: r#"
                portcullis release publish my-project 1.2 --user alice
                ends_with $? 1
                confirm_command_line data/outbox http://localhost:8080
            "#,
            ..Hint::NONE
        },
        Hint {
            command: "portcullis explain 0199c2f4-7d1",
            before: "curl --silent --output /dev/null --user nobody:wrong http://localhost:8080/account/tokens/",
            replace: &[(
                "0199c2f4-7d1",
                "$(portcullis decisions --outcome refused --json | grep -o '\"id\": *\"[^\"]*' | head -n 1 | cut -d'\"' -f4)",
            )],
            ..Hint::NONE
        },
        Hint {
            command: "rsync -a data/blobs",
            after: r#"[ -z "$(find /var/backups/portcullis -perm /077)" ] || fail "others can read the copies""#,
            ..Hint::NONE
        },
        Hint {
            command: "chown -R portcullis: restored",
            before: "kill -TERM $(pgrep -u portcullis -x portcullis); wait_until sh -c '! pgrep -u portcullis -x portcullis'; umask 022",
            after: r#"
                (exec runuser -u portcullis -- /usr/local/bin/portcullis serve) > "$LOGS/background" 2>&1 &
                until_said 'serving    http://localhost:8080/'
                if grep -q 'open to other users' "$LOGS/background"; then fail "the restored folder is open"; fi
                need curl --silent --fail --output /dev/null http://localhost:8080/project/my-project/1.2/
                need portcullis policy apply policies/strict
            "#,
            ..Hint::NONE
        },
        Hint {
            command: "portcullis explain <id>",
            replace: &[(
                "<id>",
                "$(portcullis decisions --json | grep -o '\"id\": *\"[^\"]*' | head -n 1 | cut -d'\"' -f4)",
            )],
            ..Hint::NONE
        },
    ];
    walk(page, begin, &hints, "");
}

#[test]
fn the_proxy_of_the_page_for_operators_serves_and_passes_refusals_on() {
    let page = "docs/operators.md";
    let script = [
        "own_folders /etc\ncertificate packages.example.org\nmkdir \"$FOLDER/site\" && cd \"$FOLDER/site\"\n".to_owned(),
        write_block(page, "public-url = \"https://packages.example.org\"", "portcullis.toml"),
        write_block(page, "proxy_request_buffering off", "site.conf"),
        r#"
        proxy "$FOLDER/site/site.conf"
        serve .
        url=https://packages.example.org
        need curl --silent --fail --output /dev/null $url/simple/
        curl --silent --head http://packages.example.org/simple/ | grep -qi "^location: $url/simple/" || fail "port 80 leads elsewhere"
        wheel hello 1.0
        TWINE_USERNAME=alice TWINE_PASSWORD=wrong twine upload --repository-url $url/legacy/ dist/* > "$LOGS/twine" 2>&1
        ends_with $? 1
        grep -q "$url/help/" "$LOGS/twine" || fail "twine shows no reason"
        "#
        .to_owned(),
    ]
    .concat();
    run("the proxy", &script);
}
