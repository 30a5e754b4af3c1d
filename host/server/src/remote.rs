//! The running registry, called over HTTP by commands that send a person's password.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::{Client, Url};
use serde_json::Value;

use crate::command_line::known_public_url;
use crate::configuration::Configuration;

/// Longest answer that is read, in bytes: the most that a registry, or an impostor, can make a
/// command hold in memory.
const LONGEST_ANSWER: usize = 16 << 20;

/// A registry that secrets may be sent to.
///
/// Invariant: nothing leaves this machine in clear text, and nothing goes to an address that no one
/// chose: `http://` is for this machine only, bypassing every proxy, and a redirect is not
/// followed.
pub(crate) struct Remote {
    base: Url,
    client: Client,
}

/// Its answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Remote {
    /// The registry at the given address; otherwise at the configured one, or the one that the last
    /// server of the data folder recorded.
    pub(crate) fn find(given: Option<&Url>, configuration: &Configuration) -> anyhow::Result<Self> {
        let base = match given {
            Some(url) => url.clone(),
            None => {
                let known = known_public_url(configuration);
                Url::parse(&known.context("which registry? give its address with --url, or name the server's data folder with --data")?.0)?
            }
        };
        check_protected(&base)?;
        let builder = identity::breaches::http_client()
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(60));
        let client = if base.scheme() == "http" {
            // The name means this machine, whatever a resolver says.
            let here: [SocketAddr; 2] = [
                (Ipv4Addr::LOCALHOST, 0).into(),
                (Ipv6Addr::LOCALHOST, 0).into(),
            ];
            builder
                .no_proxy()
                .resolve_to_addrs("localhost", &here)
                .build()?
        } else {
            builder.build()?
        };
        Ok(Self { base, client })
    }

    /// Its address, as shown before a password prompt.
    pub(crate) fn address(&self) -> &Url {
        &self.base
    }

    /// Posts JSON to a path of the registry.
    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> anyhow::Result<Reply> {
        let base = &self.base;
        let mut url = base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("{base} is no address of a registry"))?
            .clear()
            .extend(path);
        let sent = self
            .client
            .post(url)
            .header("accept", "application/json")
            .json(body)
            .send()
            .await;
        let mut response =
            sent.with_context(|| format!("cannot reach the registry at {base} (is it running?)"))?;
        if response.status().is_redirection() {
            bail!("{base} sends requests elsewhere; give the registry's own address with --url");
        }
        let status = response.status().as_u16();
        let mut text = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .context("the registry's answer broke off")?
        {
            ensure!(
                text.len() + chunk.len() <= LONGEST_ANSWER,
                "the answer of {base} is too long for a registry's"
            );
            text.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status,
            body: serde_json::from_slice(&text).unwrap_or(Value::Null),
        })
    }
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The code of the first reason of a refusal.
    pub(crate) fn reason(&self) -> &str {
        self.body["reasons"][0]["code"].as_str().unwrap_or("")
    }
}

/// Allows a password in clear text only to this machine.
fn check_protected(url: &Url) -> anyhow::Result<()> {
    ensure!(
        matches!(url.scheme(), "https" | "http") && url.host_str().is_some(),
        "{url} is no address of a registry; it begins with https://"
    );
    // Not shown, because this part is a secret.
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "the address of a registry names no user; give --user"
    );
    ensure!(
        url.scheme() == "https" || is_this_machine(url),
        "refusing to send a password to {url} in clear text, whatever else is configured; use its https:// address"
    );
    Ok(())
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("");
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Layers;

    #[test]
    fn a_password_is_not_sent_in_clear_text_beyond_this_machine() {
        for address in [
            "https://packages.example.org",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            "http://localhost",
        ] {
            check_protected(&Url::parse(address).unwrap()).unwrap();
        }
        for address in [
            "http://packages.example.org",
            "http://127.0.0.1.example.org",
            "http://localhost.example.org",
            "http://10.0.0.1",
            "http://0.0.0.0:8080",
            "ftp://localhost",
            "https://ana:hunter2@packages.example.org",
        ] {
            let error = check_protected(&Url::parse(address).unwrap())
                .unwrap_err()
                .to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    /// What an operator allows a server to do does not apply to their own password.
    #[test]
    fn no_configuration_sends_a_password_in_clear_text() {
        let mut layers = Layers::default();
        layers
            .add_environment([("PORTCULLIS_INSECURE_HTTP".into(), "true".into())])
            .unwrap();
        let configuration = Configuration::from_layers(layers).unwrap();
        assert!(
            Remote::find(
                Some(&Url::parse("http://packages.example.org").unwrap()),
                &configuration
            )
            .is_err()
        );
    }

    #[test]
    fn the_registry_is_the_one_that_the_folder_noted_and_never_a_guess() {
        let folder = tempfile::tempdir().unwrap();
        let find = || {
            let mut layers = Layers::default();
            layers
                .add_environment([("PORTCULLIS_DATA".into(), folder.path().into())])
                .unwrap();
            Remote::find(None, &Configuration::from_layers(layers).unwrap())
                .map(|remote| remote.address().to_string())
        };
        assert!(find().unwrap_err().to_string().contains("--url"));
        std::fs::write(
            folder.path().join("public-url"),
            "https://packages.example.org:8443\n",
        )
        .unwrap();
        assert_eq!(find().unwrap(), "https://packages.example.org:8443/");
        std::fs::write(
            folder.path().join("public-url"),
            "http://packages.example.org",
        )
        .unwrap();
        assert!(find().unwrap_err().to_string().contains("clear text"));
    }
}
