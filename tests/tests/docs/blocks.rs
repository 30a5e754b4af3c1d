//! The fenced blocks of the documentation.

use tests::server::repository;

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The file, from the top of the repository.
    pub(crate) page: String,
    /// Line of its fence.
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) text: String,
}

/// A command that a reader would type.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// Its line in the file.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Block {
    /// The commands to type: in a `console` block the text after `$ `, otherwise every line that is
    /// not a comment. A line that ends with a backslash continues.
    pub(crate) fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        let mut goes_on = false;
        for (line, text) in self.text.lines().enumerate() {
            let typed = if self.language == "console" {
                text.strip_prefix("$ ")
            } else {
                Some(text).filter(|text| !text.is_empty() && !text.starts_with('#'))
            };
            if goes_on {
                let command = commands.last_mut().expect("something goes on");
                command.text.push('\n');
                command.text.push_str(text);
            } else if let Some(typed) = typed {
                commands.push(Command {
                    line: self.line + 1 + line,
                    text: typed.to_owned(),
                });
            } else {
                continue;
            }
            goes_on = text.ends_with('\\');
        }
        commands
    }
}

/// `README.md` and the pages of `docs/`.
pub(crate) fn pages() -> Vec<String> {
    let mut pages: Vec<String> = std::fs::read_dir(repository().join("docs"))
        .expect("docs/ is there")
        .map(|entry| {
            format!(
                "docs/{}",
                entry
                    .expect("an entry can be read")
                    .file_name()
                    .to_string_lossy()
            )
        })
        .filter(|name| name.ends_with(".md"))
        .collect();
    pages.sort();
    pages.insert(0, "README.md".to_owned());
    pages
}

/// Every block of every page, in order.
pub(crate) fn all() -> Vec<Block> {
    pages().iter().flat_map(|page| of(page)).collect()
}

/// The blocks of one page.
pub(crate) fn of(page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(repository().join(page))
        .unwrap_or_else(|cause| panic!("{page}: {cause}"));
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for (number, line) in text.lines().enumerate() {
        let inner = line.trim_start();
        match &mut open {
            None => {
                if let Some(language) = inner.strip_prefix("```") {
                    let block = Block {
                        page: page.to_owned(),
                        line: number + 1,
                        language: language.trim().to_owned(),
                        text: String::new(),
                    };
                    open = Some((line.len() - inner.len(), block));
                }
            }
            Some((_, block)) if inner == "```" => {
                blocks.push(block.clone());
                open = None;
            }
            Some((indent, block)) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
        }
    }
    assert!(open.is_none(), "{page}: a block has no end");
    blocks
}
