//! A plain HTTP/1.1 client that hides nothing: status line, reason phrase, headers in order, body.
//! Blocking, one connection, kept open as long as the server allows.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for one read or write. A server that needs longer is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// A request without body.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// `GET path`.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// The same request with one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same request with an `Authorization` header, if there is one.
    pub fn authorization(self, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.header("Authorization", value),
            None => self,
        }
    }

    /// The same request with a body.
    pub fn body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.body = body;
        self.header("Content-Type", content_type)
    }

    /// The bytes that go over the wire.
    pub fn encode(&self, host: SocketAddr) -> Vec<u8> {
        let mut out =
            format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
        out
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// The reason phrase of the status line, read as ISO-8859-1.
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, ignoring case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|cause| panic!("not JSON ({cause}): {}", self.text()))
    }

    /// Number of the policy set that decided the request.
    pub fn policy_set(&self) -> Option<u64> {
        self.header("Portcullis-Policy-Set")
            .and_then(|value| value.parse().ok())
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// A connection that is opened by its first request.
    pub fn to(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Sends one request and reads its answer. A connection that the server closed since the last
    /// request is opened again; a request is never sent twice once a byte of it could have been
    /// read.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        self.send_bytes(&request.encode(self.address), request.method == "HEAD")
    }

    /// Sends raw bytes, for requests that no client would make.
    pub fn send_bytes(&mut self, bytes: &[u8], head: bool) -> io::Result<Response> {
        if self
            .stream
            .as_ref()
            .is_some_and(|stream| is_closed(stream.get_ref()))
        {
            self.stream = None;
        }
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                BufReader::with_capacity(64 * 1024, stream)
            }
        };
        // A server may answer and close before it has read the whole body (a refusal, a limit). The
        // answer matters, so a failed write is only an error if no answer can be read.
        let written = stream.get_mut().write_all(bytes);
        let response = match read_response(&mut stream, head) {
            Ok(response) => response,
            Err(cause) => return Err(written.err().unwrap_or(cause)),
        };
        let closes = response
            .header("Connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if written.is_ok() && !closes {
            self.stream = Some(stream);
        }
        Ok(response)
    }
}

/// Whether the peer has closed an idle connection.
fn is_closed(stream: &TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return true;
    }
    let closed = match stream.peek(&mut [0]) {
        Ok(_) => true,
        Err(cause) => cause.kind() != io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).is_err() || closed
}

fn read_response(stream: &mut BufReader<TcpStream>, head: bool) -> io::Result<Response> {
    loop {
        let response = read_one_response(stream, head)?;
        // Interim answers (100 Continue) come before the final one.
        if response.status >= 200 {
            return Ok(response);
        }
    }
}

fn read_one_response(stream: &mut BufReader<TcpStream>, head: bool) -> io::Result<Response> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let line = read_line(stream)?;
    let mut parts = line.splitn(3, ' ');
    let version = parts.next().unwrap_or_default();
    if !version.starts_with("HTTP/1.") {
        return Err(invalid(&format!("not an HTTP/1 status line: {line:?}")));
    }
    let status: u16 = parts
        .next()
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| invalid("no status"))?;
    let reason = parts.next().unwrap_or_default().to_owned();

    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| invalid(&format!("not a header: {line:?}")))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut response = Response {
        status,
        reason,
        headers,
        body: Vec::new(),
    };

    if head || status < 200 || status == 204 || status == 304 {
        return Ok(response);
    }
    if response
        .header("Transfer-Encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        loop {
            let line = read_line(stream)?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| invalid("bad chunk size"))?;
            let start = response.body.len();
            response.body.resize(start + size, 0);
            stream.read_exact(&mut response.body[start..])?;
            read_line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = response.header("Content-Length") {
        let length: usize = length.parse().map_err(|_| invalid("bad length"))?;
        response.body.resize(length, 0);
        stream.read_exact(&mut response.body)?;
    } else {
        stream.read_to_end(&mut response.body)?;
    }
    Ok(response)
}

/// One line without its end, read as ISO-8859-1, the encoding of reason phrases.
fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the server closed the connection",
        ));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line.into_iter().map(char::from).collect())
}
