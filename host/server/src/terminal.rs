//! Input from people: secrets without echo, from the terminal or from standard input.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::os::fd::AsRawFd;

use anyhow::{Context as _, bail, ensure};
use identity::Secret;

/// Longest secret that is read, in bytes.
const LONGEST: u64 = 8 * 1024;

/// Whether the command can ask a person.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal()
}

/// The first line of standard input, for `--password-stdin`.
pub(crate) fn secret_from_stdin() -> anyhow::Result<Secret<String>> {
    let line = read_line(&mut std::io::stdin().lock())?;
    ensure!(
        !line.expose().is_empty(),
        "standard input is empty; pipe the secret into the command"
    );
    Ok(line)
}

/// Asks for a secret without showing it. `how_else` says what to do without a terminal.
pub(crate) fn ask_secret(prompt: &str, how_else: &str) -> anyhow::Result<Secret<String>> {
    if !is_interactive() {
        bail!(
            "the {} can't be asked for here; {how_else}",
            prompt.to_lowercase()
        );
    }
    let mut out = std::io::stderr();
    let stdin = std::io::stdin();
    let answer = {
        // Before the prompt: an answer that comes at once is neither shown nor lost.
        let _hidden = HiddenEcho::begin(stdin.as_raw_fd())
            .context("cannot switch off the terminal's echo")?;
        write!(out, "{prompt}: ")?;
        out.flush()?;
        read_line(&mut stdin.lock())
    };
    writeln!(out)?;
    answer
}

/// Asks for a new secret twice.
pub(crate) fn ask_new_secret(prompt: &str, how_else: &str) -> anyhow::Result<Secret<String>> {
    let first = ask_secret(prompt, how_else)?;
    let second = ask_secret(&format!("{prompt} again"), how_else)?;
    ensure!(
        identity::passwords::is_same(&first, &second),
        "the two answers differ; try again"
    );
    Ok(first)
}

/// Asks for a line that need not be hidden. Empty without a terminal.
pub(crate) fn ask_line(prompt: &str) -> anyhow::Result<String> {
    if !is_interactive() {
        return Ok(String::new());
    }
    let mut out = std::io::stderr();
    write!(out, "{prompt}: ")?;
    out.flush()?;
    Ok(read_line(&mut std::io::stdin().lock())?
        .expose()
        .trim()
        .to_owned())
}

/// Asks whether to do something; anything but yes is no, and so is a missing terminal.
pub(crate) fn ask_yes(question: &str) -> anyhow::Result<bool> {
    Ok(is_yes(&ask_line(&format!("{question} [y/N]"))?))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes")
}

/// One line without its line ending.
fn read_line(input: &mut impl BufRead) -> anyhow::Result<Secret<String>> {
    let mut line = String::new();
    input
        .take(LONGEST)
        .read_line(&mut line)
        .context("cannot read the answer")?;
    ensure!((line.len() as u64) < LONGEST, "the answer is too long");
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    Ok(Secret::new(line))
}

/// Disables a terminal's echo until dropped.
struct HiddenEcho {
    terminal: i32,
    before: libc::termios,
}

impl HiddenEcho {
    fn begin(terminal: i32) -> std::io::Result<Self> {
        let mut before = std::mem::MaybeUninit::<libc::termios>::uninit();
        // SAFETY: `tcgetattr` fills the struct that it is given and reads nothing from it.
        #[allow(unsafe_code)]
        if unsafe { libc::tcgetattr(terminal, before.as_mut_ptr()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: it returned 0, so the struct is filled.
        #[allow(unsafe_code)]
        let before = unsafe { before.assume_init() };
        let mut hidden = before;
        hidden.c_lflag &= !libc::ECHO;
        set_terminal(terminal, &hidden)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for HiddenEcho {
    fn drop(&mut self) {
        let _ = set_terminal(self.terminal, &self.before);
    }
}

fn set_terminal(terminal: i32, state: &libc::termios) -> std::io::Result<()> {
    // SAFETY: `state` points to a filled struct for the duration of the call, which only reads it.
    #[allow(unsafe_code)]
    match unsafe { libc::tcsetattr(terminal, libc::TCSAFLUSH, state) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_without_its_ending() {
        for (input, secret) in [
            ("hunter2\n", "hunter2"),
            ("hunter2\r\nmore", "hunter2"),
            ("  spaces count  ", "  spaces count  "),
            ("", ""),
        ] {
            assert_eq!(read_line(&mut input.as_bytes()).unwrap().expose(), secret);
        }
    }

    #[test]
    fn nothing_but_yes_is_yes() {
        assert!(["y", "Y", "yes", "YES"].into_iter().all(is_yes));
        assert!(!["", "n", "no", "yess", "y y", "j"].into_iter().any(is_yes));
    }

    #[test]
    fn an_endless_answer_is_refused() {
        assert!(read_line(&mut std::io::BufReader::new(std::io::repeat(b'x'))).is_err());
    }
}
