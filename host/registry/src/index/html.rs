//! The Simple API in HTML (PEP 503, 592, 629, 658, 714, 792). Frozen by PEP 833: nothing
//! is ever added here.

use std::fmt::Write;

use storage::files::FileRow;
use storage::projects::ProjectRow;

use super::{API_VERSION, Urls};

/// `/simple/{project}/`.
pub(super) fn project(project: &ProjectRow, files: &[FileRow], urls: &Urls) -> Vec<u8> {
    let name = Escaped(project.name.normalized());
    let mut out = String::with_capacity(500 + files.len() * 500);
    let _ = writeln!(
        out,
        "<!DOCTYPE html>\n<html>\n  <head>\n    <meta name=\"pypi:repository-version\" content=\"{API_VERSION}\">"
    );
    let _ = writeln!(
        out,
        "    <meta name=\"pypi:project-status\" content=\"{}\">",
        project.status
    );
    if let Some(reason) = &project.status_reason {
        let _ = writeln!(
            out,
            "    <meta name=\"pypi:project-status-reason\" content=\"{}\">",
            Escaped(reason)
        );
    }
    let _ = writeln!(
        out,
        "    <title>Links for {name}</title>\n  </head>\n  <body>\n    <h1>Links for {name}</h1>"
    );
    for file in files {
        let _ = write!(
            out,
            "    <a href=\"{}#sha256={}\"",
            Escaped(&urls.file(file)),
            file.digests.sha256_hex()
        );
        if let Some(requires_python) = &file.requires_python {
            let _ = write!(
                out,
                " data-requires-python=\"{}\"",
                Escaped(requires_python)
            );
        }
        if let Some(sha256) = &file.metadata_sha256 {
            let hex = data_encoding::HEXLOWER.encode(sha256);
            let _ = write!(
                out,
                " data-dist-info-metadata=\"sha256={hex}\" data-core-metadata=\"sha256={hex}\""
            );
        }
        if let Some(yank) = &file.yanked {
            let _ = write!(out, " data-yanked=\"{}\"", Escaped(&yank.reason));
        }
        let _ = writeln!(out, ">{}</a><br />", Escaped(&file.name));
    }
    let _ = write!(
        out,
        "  </body>\n</html>\n<!--SERIAL {}-->",
        project.last_serial
    );
    out.into_bytes()
}

/// Text escaped for HTML, in an attribute or between tags.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&#34;")?,
                '\'' => out.write_str("&#39;")?,
                c => out.write_char(c)?,
            }
        }
        Ok(())
    }
}
