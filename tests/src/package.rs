//! Small real packages, built in microseconds: a wheel or an sdist with everything that an index
//! checks, and the form that a client sends along. For files built by others: [`from_file`].

mod from_file;

use std::io::Write;

use blake2::Blake2b256;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

/// A package to build distributions of.
#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub summary: String,
    pub requires_python: Option<String>,
    pub requires: Vec<String>,
    /// Bytes added to the package's module, to make files of a certain size.
    pub payload: Vec<u8>,
}

/// One file as a client would upload it.
#[derive(Clone, Debug)]
pub struct Distribution {
    pub file_name: String,
    pub bytes: Vec<u8>,
    /// The form's fields without `content`, in the order twine sends them.
    pub fields: Vec<(String, String)>,
    /// The core metadata inside the file.
    pub metadata: String,
}

impl Package {
    /// A package with one empty module.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            summary: format!("What {name} is for"),
            requires_python: Some(">=3.8".to_owned()),
            requires: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// The same package with `size` incompressible bytes in it.
    pub fn with_payload(mut self, size: usize) -> Self {
        // A linear congruential generator: reproducible, but noise to deflate.
        let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ size as u64;
        self.payload = (0..size)
            .map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (state >> 56) as u8
            })
            .collect();
        self
    }

    /// The name as file names carry it (PEP 625, binary distribution format).
    pub fn escaped_name(&self) -> String {
        let mut escaped = String::new();
        for part in self
            .name
            .split(['-', '_', '.'])
            .filter(|part| !part.is_empty())
        {
            if !escaped.is_empty() {
                escaped.push('_');
            }
            escaped.push_str(&part.to_ascii_lowercase());
        }
        escaped
    }

    fn metadata(&self) -> String {
        let mut text = format!(
            "Metadata-Version: 2.1\nName: {}\nVersion: {}\nSummary: {}\n",
            self.name, self.version, self.summary
        );
        if let Some(requires_python) = &self.requires_python {
            text.push_str(&format!("Requires-Python: {requires_python}\n"));
        }
        for requirement in &self.requires {
            text.push_str(&format!("Requires-Dist: {requirement}\n"));
        }
        text.push_str("\nA package made by a test.\n");
        text
    }

    /// A pure Python wheel with RECORD.
    pub fn wheel(&self) -> Distribution {
        let escaped = self.escaped_name();
        let dist_info = format!("{escaped}-{}.dist-info", self.version);
        let metadata = self.metadata();
        let mut files = vec![
            (format!("{escaped}/__init__.py"), format!("__version__ = \"{}\"\n", self.version).into_bytes()),
            (format!("{dist_info}/METADATA"), metadata.clone().into_bytes()),
            (format!("{dist_info}/WHEEL"), b"Wheel-Version: 1.0\nGenerator: portcullis-tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_vec()),
        ];
        if !self.payload.is_empty() {
            files.insert(1, (format!("{escaped}/payload.bin"), self.payload.clone()));
        }
        let mut record = String::new();
        for (path, bytes) in &files {
            record.push_str(&format!(
                "{path},sha256={},{}\n",
                BASE64URL_NOPAD.encode(&Sha256::digest(bytes)),
                bytes.len()
            ));
        }
        record.push_str(&format!("{dist_info}/RECORD,,\n"));
        files.push((format!("{dist_info}/RECORD"), record.into_bytes()));

        let file_name = format!("{escaped}-{}-py3-none-any.whl", self.version);
        self.distribution(file_name, zip_of(&files), metadata, "bdist_wheel", "py3")
    }

    /// A source distribution (PEP 625) that setuptools could build.
    pub fn sdist(&self) -> Distribution {
        let escaped = self.escaped_name();
        let top = format!("{escaped}-{}", self.version);
        let metadata = self.metadata();
        let pyproject = format!(
            "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n\n[project]\nname = \"{}\"\nversion = \"{}\"\n",
            self.name, self.version
        );
        let mut files = vec![
            (format!("{top}/PKG-INFO"), metadata.clone().into_bytes()),
            (format!("{top}/pyproject.toml"), pyproject.into_bytes()),
            (
                format!("{top}/{escaped}/__init__.py"),
                format!("__version__ = \"{}\"\n", self.version).into_bytes(),
            ),
        ];
        if !self.payload.is_empty() {
            files.push((format!("{top}/{escaped}/payload.bin"), self.payload.clone()));
        }
        let file_name = format!("{top}.tar.gz");
        self.distribution(file_name, tar_gz_of(&files), metadata, "sdist", "source")
    }

    fn distribution(
        &self,
        file_name: String,
        bytes: Vec<u8>,
        metadata: String,
        file_type: &str,
        python_version: &str,
    ) -> Distribution {
        let mut fields = vec![
            (":action".to_owned(), "file_upload".to_owned()),
            ("protocol_version".to_owned(), "1".to_owned()),
            ("name".to_owned(), self.name.clone()),
            ("version".to_owned(), self.version.clone()),
            ("filetype".to_owned(), file_type.to_owned()),
            ("pyversion".to_owned(), python_version.to_owned()),
            ("metadata_version".to_owned(), "2.1".to_owned()),
            ("summary".to_owned(), self.summary.clone()),
        ];
        if let Some(requires_python) = &self.requires_python {
            fields.push(("requires_python".to_owned(), requires_python.clone()));
        }
        for requirement in &self.requires {
            fields.push(("requires_dist".to_owned(), requirement.clone()));
        }
        fields.push((
            "sha256_digest".to_owned(),
            HEXLOWER.encode(&Sha256::digest(&bytes)),
        ));
        fields.push((
            "blake2_256_digest".to_owned(),
            HEXLOWER.encode(&Blake2b256::digest(&bytes)),
        ));
        Distribution {
            file_name,
            bytes,
            fields,
            metadata,
        }
    }
}

impl Distribution {
    /// Lower-case hex of the file's SHA-256.
    pub fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&self.bytes))
    }

    /// The path of the file on an index that names files by their BLAKE2b-256, as PyPI does.
    pub fn path(&self) -> String {
        let digest = HEXLOWER.encode(&Blake2b256::digest(&self.bytes));
        format!(
            "/files/{}/{}/{}/{}",
            &digest[..2],
            &digest[2..4],
            &digest[4..],
            self.file_name
        )
    }

    /// The same upload with one field changed, added (if it is missing) or removed (`None`).
    pub fn with_field(mut self, name: &str, value: Option<&str>) -> Self {
        let at = self.fields.iter().position(|(field, _)| field == name);
        self.fields.retain(|(field, _)| field != name);
        if let Some(value) = value {
            let at = at.unwrap_or(self.fields.len()).min(self.fields.len());
            self.fields.insert(at, (name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The same upload under another file name.
    pub fn named(mut self, file_name: &str) -> Self {
        self.file_name = file_name.to_owned();
        self
    }

    /// The same upload with other bytes, and digests that match them.
    pub fn with_bytes(self, bytes: Vec<u8>) -> Self {
        let sha256 = HEXLOWER.encode(&Sha256::digest(&bytes));
        let blake2 = HEXLOWER.encode(&Blake2b256::digest(&bytes));
        let mut changed = self
            .with_field("sha256_digest", Some(&sha256))
            .with_field("blake2_256_digest", Some(&blake2));
        changed.bytes = bytes;
        changed
    }

    /// The body of the upload request and its `Content-Type`.
    pub fn multipart(&self) -> (String, Vec<u8>) {
        let boundary = "portcullis-test-boundary-7d1f0c52";
        let mut body = Vec::with_capacity(self.bytes.len() + 2048);
        for (name, value) in &self.fields {
            body.extend_from_slice(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes());
        }
        body.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"content\"; filename=\"{}\"\r\nContent-Type: application/octet-stream\r\n\r\n",
                self.file_name
            )
            .as_bytes(),
        );
        body.extend_from_slice(&self.bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), body)
    }
}

/// A ZIP archive of these files.
pub fn zip_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated);
    for (path, bytes) in files {
        archive
            .start_file(path.as_str(), options)
            .expect("a ZIP in memory takes any file");
        archive
            .write_all(bytes)
            .expect("a ZIP in memory takes any bytes");
    }
    archive
        .finish()
        .expect("a ZIP in memory can be finished")
        .into_inner()
}

/// A gzipped tar archive of these files.
pub fn tar_gz_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        archive
            .append_data(&mut header, path, bytes.as_slice())
            .expect("a tar in memory takes any file");
    }
    archive
        .into_inner()
        .and_then(|encoder| encoder.finish())
        .expect("a tar in memory can be finished")
}
