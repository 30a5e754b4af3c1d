//! Compiling a module to native code, in a process that can be bounded and killed.
//!
//! Compilation is the one step whose cost a module's author controls before any budget applies, so
//! it happens in a child process that limits itself before it reads a byte.
//!
//! The protocol: standard input is one byte (1 if the code is to count fuel, else 0) and the
//! component; standard output is the compiled component; standard error gives the reason if there
//! is none.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::configuration;
use crate::load::MAXIMUM_BYTES;

/// Address space of the compiler process.
const MEMORY_BYTES: u64 = 1 << 30;
/// Processor time of the compiler process.
const PROCESSOR_SECONDS: u64 = 20;
/// Wall-clock time, which also ends a process that only waits.
const WALL_CLOCK: Duration = Duration::from_secs(60);
/// The largest compiled module that is accepted.
const OUTPUT_BYTES: u64 = 64 << 20;
/// The part of the child's messages that is kept.
const MESSAGE_BYTES: u64 = 4096;

/// How modules are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In a child process with limits on memory (1 GiB), processor time (20 s) and
    /// wall-clock time (60 s): for anything that loads modules it did not write. The
    /// program must call [`compile_worker_main`] when started with these arguments.
    Process {
        /// The program to start.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// In this process, without limits: for tests and benchmarks.
    InProcess,
}

/// The module could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler process could not be started or communicated with.
    #[error("the compiler process `{program}` could not be run: {source}")]
    Process {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The compiler process was killed because it exceeded a limit.
    #[error(
        "compiling the module took more than {0}; make the module smaller, above all its largest functions"
    )]
    Exceeded(&'static str),
    /// The compiler refused the module, or failed.
    #[error("the module could not be compiled: {0}")]
    Refused(String),
}

pub(crate) fn compile(
    compiler: &Compiler,
    engine: &wasmtime::Engine,
    fuel: bool,
    wasm: &[u8],
) -> Result<Vec<u8>, CompileError> {
    match compiler {
        Compiler::InProcess => engine
            .precompile_component(wasm)
            .map_err(|error| CompileError::Refused(format!("{error:#}"))),
        Compiler::Process { program, arguments } => {
            compile_in_child(program, arguments, fuel, wasm, WALL_CLOCK).map_err(|error| {
                error.unwrap_or_else(|source| CompileError::Process {
                    program: program.clone(),
                    source,
                })
            })
        }
    }
}

/// Kills the child when it is dropped, whatever happened before.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn compile_in_child(
    program: &Path,
    arguments: &[String],
    fuel: bool,
    wasm: &[u8],
    wall_clock: Duration,
) -> Result<Vec<u8>, Result<CompileError, std::io::Error>> {
    let deadline = Instant::now() + wall_clock;
    // The child starts in another folder, where a relative path would name another file.
    let program = if program.is_relative() && program.components().count() > 1 {
        &std::path::absolute(program).map_err(Err)?
    } else {
        program
    };
    let child = Command::new(program)
        .args(arguments)
        // Nothing from our environment: it may hold secrets.
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Err)?;
    let mut worker = Worker(child);
    let (Some(mut input), Some(output), Some(messages)) = (
        worker.0.stdin.take(),
        worker.0.stdout.take(),
        worker.0.stderr.take(),
    ) else {
        return Err(Err(std::io::Error::other("it has no pipes")));
    };

    let mut request = Vec::with_capacity(wasm.len() + 1);
    request.push(u8::from(fuel));
    request.extend_from_slice(wasm);
    // The threads end when the child does: its pipes break or close.
    thread::spawn(move || {
        // The exit status of a child that died gives the reason.
        let _ = input.write_all(&request);
    });
    let (told, compiled) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output
            .take(OUTPUT_BYTES + 1)
            .read_to_end(&mut bytes)
            .map(|_| bytes);
        let _ = told.send(read);
    });
    let (said, message) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = messages.take(MESSAGE_BYTES).read_to_end(&mut bytes);
        let _ = said.send(String::from_utf8_lossy(&bytes).into_owned());
    });

    let left = deadline.saturating_duration_since(Instant::now());
    let Ok(compiled) = compiled.recv_timeout(left) else {
        return Err(Ok(CompileError::Exceeded("60 s")));
    };
    let compiled = compiled.map_err(Err)?;
    if compiled.len() as u64 > OUTPUT_BYTES {
        return Err(Ok(CompileError::Exceeded("64 MiB of native code")));
    }
    let status = loop {
        match worker.0.try_wait().map_err(Err)? {
            Some(status) => break status,
            None if Instant::now() > deadline => return Err(Ok(CompileError::Exceeded("60 s"))),
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    if status.success() {
        return Ok(compiled);
    }
    let message = message
        .recv_timeout(Duration::from_secs(1))
        .unwrap_or_default();
    Err(Ok(ended(status, &message)))
}

/// Explains how a failed compiler process ended.
fn ended(status: ExitStatus, message: &str) -> CompileError {
    use std::os::unix::process::ExitStatusExt;

    match status.signal() {
        Some(libc::SIGXCPU | libc::SIGKILL) => CompileError::Exceeded("20 s of processor time"),
        // A failed allocation ends a Rust program like this.
        Some(libc::SIGABRT | libc::SIGSEGV | libc::SIGBUS) => {
            CompileError::Exceeded("1 GiB of memory")
        }
        _ if message.trim().is_empty() => CompileError::Refused(format!(
            "the compiler process ended with {status} and said nothing"
        )),
        _ => CompileError::Refused(crate::text::line(message.trim(), 600)),
    }
}

/// The body of the compiler process: reads a component on standard input and writes its
/// compiled form on standard output. See [`Compiler::Process`].
pub fn compile_worker_main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            #[expect(
                clippy::print_stderr,
                reason = "it is how the worker says what is wrong"
            )]
            {
                eprintln!("{message}");
            }
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<(), String> {
    limit_this_process().map_err(|error| format!("the limits could not be set: {error}"))?;
    let mut request = Vec::new();
    std::io::stdin()
        .take(MAXIMUM_BYTES as u64 + 1)
        .read_to_end(&mut request)
        .map_err(|error| error.to_string())?;
    let Some((fuel, wasm)) = request.split_first() else {
        return Err("no module was given".into());
    };
    // No pool here: the compiler never runs what it compiles.
    let engine =
        wasmtime::Engine::new(&configuration(*fuel == 1)).map_err(|error| format!("{error:#}"))?;
    let compiled = engine
        .precompile_component(wasm)
        .map_err(|error| format!("{error:#}"))?;
    std::io::stdout()
        .write_all(&compiled)
        .map_err(|error| error.to_string())
}

/// Limits memory and processor time, forbids writing files and new processes' cores, ends with the
/// parent, and takes a lower priority than the threads that answer requests.
#[expect(unsafe_code, reason = "the standard library has no process limits")]
fn limit_this_process() -> std::io::Result<()> {
    let limit = |resource, soft: u64, hard: u64| {
        let limit = libc::rlimit {
            rlim_cur: soft,
            rlim_max: hard,
        };
        // SAFETY: `limit` is a valid structure that the call only reads.
        if unsafe { libc::setrlimit(resource, &limit) } == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    };
    limit(libc::RLIMIT_AS, MEMORY_BYTES, MEMORY_BYTES)?;
    limit(libc::RLIMIT_CPU, PROCESSOR_SECONDS, PROCESSOR_SECONDS + 1)?;
    limit(libc::RLIMIT_CORE, 0, 0)?;
    limit(libc::RLIMIT_FSIZE, 0, 0)?;
    // SAFETY: both calls take plain numbers and affect only this process. A failure does no harm,
    // so their results are not needed.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::setpriority(libc::PRIO_PROCESS, 0, 10);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_exceeds(program: &str, arguments: &[&str], wall_clock: Duration, what: &str) {
        let arguments: Vec<String> = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        let begin = Instant::now();
        let error = compile_in_child(Path::new(program), &arguments, true, &[0; 100], wall_clock)
            .unwrap_err()
            .unwrap();
        assert!(
            matches!(error, CompileError::Exceeded(found) if found == what),
            "{error}"
        );
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "the child was waited for"
        );
    }

    #[test]
    fn a_compiler_that_never_ends_is_killed() {
        let soon = Duration::from_millis(50);
        check_exceeds("/bin/sleep", &["1000"], soon, "60 s");
        // It has finished its output, but keeps running.
        check_exceeds(
            "/bin/sh",
            &["-c", "exec >&-; exec sleep 1000"],
            soon,
            "60 s",
        );
    }

    #[test]
    fn a_compiler_that_floods_is_killed() {
        check_exceeds("/usr/bin/yes", &[], WALL_CLOCK, "64 MiB of native code");
    }
}
