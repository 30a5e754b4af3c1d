//! Archives for tests, built by libraries that are not used to read them.

use std::io::{Cursor, Write};

/// A ZIP archive; the first hundred bytes of content are stored, more is deflated.
pub(crate) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        let method = if content.len() > 100 {
            zip::CompressionMethod::Deflated
        } else {
            zip::CompressionMethod::Stored
        };
        writer
            .start_file(
                *name,
                zip::write::SimpleFileOptions::default().compression_method(method),
            )
            .unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The smallest wheel of a project.
pub(crate) fn wheel(name: &str, version: &str, more_metadata: &str) -> Vec<u8> {
    let metadata =
        format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more_metadata}");
    wheel_with_metadata(name, version, &metadata)
}

/// A wheel with the given `METADATA`.
pub(crate) fn wheel_with_metadata(name: &str, version: &str, metadata: &str) -> Vec<u8> {
    let folder = format!("{}-{version}.dist-info", name.replace('-', "_"));
    let record =
        format!("{name}/__init__.py,,\n{folder}/METADATA,,\n{folder}/WHEEL,,\n{folder}/RECORD,,\n");
    zip(&[
        (&format!("{name}/__init__.py"), b"".as_slice()),
        (&format!("{folder}/METADATA"), metadata.as_bytes()),
        (
            &format!("{folder}/WHEEL"),
            b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
        (&format!("{folder}/RECORD"), record.as_bytes()),
    ])
}

/// A gzipped tar archive of files.
pub(crate) fn tar_gz(entries: &[(&str, &[u8])]) -> Vec<u8> {
    tar_gz_of(|builder| {
        for (name, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *content).unwrap();
        }
    })
}

/// A gzipped tar archive with the content that `fill` adds.
pub(crate) fn tar_gz_of(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    fill(&mut builder);
    gzip(&builder.into_inner().unwrap())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The smallest source distribution of a project.
pub(crate) fn sdist(name: &str, version: &str, more_metadata: &str) -> Vec<u8> {
    let metadata =
        format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more_metadata}");
    let top = format!("{}-{version}", name.replace('-', "_"));
    tar_gz(&[
        (&format!("{top}/PKG-INFO"), metadata.as_bytes()),
        (&format!("{top}/setup.py"), b""),
    ])
}
