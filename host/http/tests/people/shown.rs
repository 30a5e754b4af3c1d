//! An answer as text that a person reads: status, the headers that matter, and the words and
//! fields of the page.
//!
//! | in the text | on the page |
//! | --- | --- |
//! | `[words](address)` | a link |
//! | `[text name = "value" …]` | a field with its attributes |
//! | `[button words]` | a button; `danger button` if it looks like one |
//! | `[words]` | a label next to words |
//! | `‹words›` | foreign text, isolated from the words around it |
//! | `{words}` | heard by screen readers, and not seen |

use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
};

use crate::browser::Answer;
use crate::markup::{Element, Node};

/// Attributes for styling and for assistive technology; `markup` asserts that ids are found.
const UNSHOWN: &[&str] = &[
    "aria-hidden",
    "aria-labelledby",
    "autocapitalize",
    "class",
    "for",
    "id",
    "rows",
    "scope",
    "spellcheck",
    "tabindex",
];

pub(crate) fn shown(answer: &Answer) -> String {
    let mut lines = vec![answer.asked.clone(), answer.status.to_string()];
    for name in [LOCATION, RETRY_AFTER, WWW_AUTHENTICATE, CONTENT_DISPOSITION] {
        for value in answer.headers.get_all(&name) {
            lines.push(format!("{name}: {}", value.to_str().unwrap()));
        }
    }
    for cookie in answer.headers.get_all(SET_COOKIE) {
        let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
        let is_empty = rest.starts_with(';');
        lines.push(format!(
            "set-cookie: {name}{}",
            if is_empty { ", removed" } else { "" }
        ));
    }
    match answer
        .headers
        .get(CONTENT_TYPE)
        .map(|kind| kind.to_str().unwrap())
    {
        Some("text/html; charset=utf-8") => page(&answer.body, &mut lines),
        Some("application/json" | "application/problem+json") => {
            let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            lines.push(String::new());
            lines.push(serde_json::to_string_pretty(&json).unwrap());
        }
        Some("text/plain; charset=utf-8") => {
            lines.push(String::new());
            lines.push(answer.body.clone());
        }
        kind => assert!(answer.body.is_empty(), "{kind:?}: {}", answer.body),
    }
    lines.join("\n")
}

fn page(body: &str, lines: &mut Vec<String>) {
    let page = Element::parse(body);
    let one = |name: &str| {
        let found = page.find(|element| element.name == name);
        assert_eq!(found.len(), 1, "one {name}: {body}");
        found[0]
    };
    lines.push(format!("title: {}", one("title").text()));
    for script in page.find(|element| element.name == "script") {
        lines.push(format!(
            "script: {}",
            script.get("src").expect("no script within a page")
        ));
    }
    let places = page.find(|element| element.has_class("places"))[0];
    let places = places.find(|element| element.name == "li");
    let places: Vec<String> = places
        .into_iter()
        .map(|place| place.text().trim().to_owned())
        .collect();
    lines.push(format!("top: {}", places.join(", ")));
    for menu in page.find(|element| element.has_class("menu")) {
        let current = menu.find(|element| element.get("aria-current").is_some());
        let current = current
            .first()
            .map_or("nothing of it".to_owned(), |one| one.text());
        lines.push(format!("menu: at {current}"));
    }
    let mut text = Text::default();
    text.children(one("main"));
    text.end_line();
    lines.push(String::new());
    lines.append(&mut text.lines);
}

/// The content in one line.
fn line(element: &Element) -> String {
    let mut text = Text::default();
    text.children(element);
    text.end_line();
    let lines = text.lines.iter().map(|line| line.trim());
    lines
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The attributes that are shown, each with a space before it.
fn attributes(element: &Element, besides: &[&str]) -> String {
    let shown = element
        .attributes
        .iter()
        .filter(|(name, _)| !UNSHOWN.contains(&name.as_str()) && !besides.contains(&name.as_str()));
    shown
        .map(|(name, value)| match value.as_str() {
            "" => format!(" {name}"),
            value if value.contains(' ') => format!(" {name}=\"{value}\""),
            value => format!(" {name}={value}"),
        })
        .collect()
}

/// Lines under construction.
#[derive(Default)]
struct Text {
    lines: Vec<String>,
    line: String,
    depth: usize,
}

impl Text {
    fn children(&mut self, element: &Element) {
        for node in &element.children {
            match node {
                Node::Text(words) => self.words(words),
                Node::Element(element) => self.element(element),
            }
        }
    }

    fn element(&mut self, element: &Element) {
        match element.name.as_str() {
            "h1" => self.heading("# ", element),
            "h2" => self.heading("## ", element),
            "h3" => self.heading("### ", element),
            "p" | "section" | "legend" => self.block(element, ""),
            "div" if element.has_class("notice") => {
                let kind = element.get("class").unwrap();
                self.within(&format!("{kind}{}", attributes(element, &[])), element);
            }
            "div" if element.has_class("table") => self.children(element),
            "div" | "fieldset" => self.block(element, ""),
            "noscript" => self.within("without script", element),
            "nav" => self.within(&format!("nav{}", attributes(element, &[])), element),
            "form" => {
                self.blank_line();
                let (method, action) = (element.get("method"), element.get("action"));
                let (method, action) = (method.unwrap(), action.unwrap());
                let rest = attributes(element, &["method", "action"]);
                self.within(&format!("form {method} {action}{rest}"), element);
            }
            "ul" | "ol" => self.list(element),
            "dl" => self.facts(element),
            "table" => self.table(element),
            "pre" => self.preformatted(element),
            "select" => self.options(element),
            "datalist" => {
                let options = element
                    .elements()
                    .map(|option| option.get("value").unwrap());
                let options = options.collect::<Vec<_>>().join(", ");
                self.start_line(&format!("[offers {options}]"));
                self.end_line();
            }
            "label" => {
                self.end_line();
                self.children(element);
            }
            "br" => self.end_line(),
            "svg" => self.inline(&format!("[image{}]", attributes(element, SVG))),
            "input" => self.field(element, element.get("value")),
            "textarea" => self.field(element, Some(&element.text())),
            "button" => {
                let looks = if element.has_class("danger") {
                    "danger "
                } else {
                    ""
                };
                let rest = attributes(element, &["type"]);
                self.inline(&format!("[{looks}button{rest} {}]", line(element)));
            }
            "a" => {
                let rest = attributes(element, &["href"]);
                let href = element.get("href").unwrap();
                self.inline(&format!("[{}]({href}{rest})", line(element)));
            }
            "strong" => {
                let rest = attributes(element, &[]);
                self.inline(&format!("**{}**{rest}", line(element)));
            }
            "code" => self.inline(&format!("`{}`", element.text())),
            "bdi" => self.inline(&format!("‹{}›", element.text())),
            "time" => self.time(element),
            "span" if element.has_class("hidden") => {
                self.words(&spaced(element, &format!("{{{}}}", line(element))));
            }
            "span" if element.has_class("label") => self.inline(&format!("[{}]", line(element))),
            "span" if element.has_class("need") => self.inline("(required)"),
            "span" => self.children(element),
            unknown => panic!("say how <{unknown}> is shown"),
        }
    }

    /// Text as a browser shows it: white space is one space.
    fn words(&mut self, words: &str) {
        let is_space = |c: char| c.is_ascii_whitespace();
        for word in words.split_inclusive(is_space) {
            let shown = word.trim_end_matches(is_space);
            self.line.push_str(shown);
            if shown.len() < word.len() && !self.line.ends_with(' ') && !self.line.is_empty() {
                self.line.push(' ');
            }
        }
    }

    fn inline(&mut self, shown: &str) {
        self.line.push_str(shown);
    }

    fn start_line(&mut self, start: &str) {
        self.end_line();
        self.line.push_str(start);
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.trim().is_empty() {
            self.lines
                .push(format!("{}{}", "  ".repeat(self.depth), line.trim_end()));
        }
    }

    fn blank_line(&mut self) {
        self.end_line();
        if self.depth == 0 && self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(String::new());
        }
    }

    fn heading(&mut self, mark: &str, element: &Element) {
        self.blank_line();
        self.start_line(mark);
        self.children(element);
        self.end_line();
    }

    fn block(&mut self, element: &Element, start: &str) {
        self.start_line(start);
        let said = attributes(element, &[]);
        if !said.is_empty() {
            self.inline(&format!("({}) ", said.trim()));
        }
        self.children(element);
        self.end_line();
    }

    fn within(&mut self, start: &str, element: &Element) {
        self.start_line(start);
        self.end_line();
        self.depth += 1;
        self.children(element);
        self.end_line();
        self.depth -= 1;
    }

    fn list(&mut self, element: &Element) {
        for (index, item) in element.elements().enumerate() {
            assert_eq!(item.name, "li");
            let mark = if element.name == "ol" {
                format!("{}. ", index + 1)
            } else {
                "- ".to_owned()
            };
            self.end_line();
            let first = self.lines.len();
            self.depth += 1;
            self.children(item);
            self.end_line();
            self.depth -= 1;
            if let Some(line) = self.lines.get_mut(first) {
                let words = line.trim_start().to_owned();
                *line = format!("{}{mark}{words}", "  ".repeat(self.depth));
            }
        }
    }

    fn facts(&mut self, element: &Element) {
        for part in element.elements() {
            match part.name.as_str() {
                "dt" => self.start_line(&format!("{}: ", line(part))),
                "dd" => {
                    self.depth += 1;
                    self.children(part);
                    self.depth -= 1;
                }
                other => panic!("<{other}> in a list of facts"),
            }
        }
        self.end_line();
    }

    /// Shows the label of a cell (for narrow screens) if it is not the name of its column.
    fn table(&mut self, element: &Element) {
        let caption = element.find(|element| element.name == "caption");
        self.blank_line();
        self.start_line(&format!("table: {}", line(caption[0])));
        let mut columns = Vec::new();
        for row in element.find(|element| element.name == "tr") {
            let cells: Vec<&Element> = row.elements().collect();
            self.start_line("|");
            for (index, cell) in cells.iter().enumerate() {
                let shown = line(cell);
                if cell.get("scope") == Some("col") {
                    columns.push(shown.clone());
                }
                // Only the cells of the history need no label on a narrow screen.
                let is_labelled = cell.name == "th" || cell.get("data-label").is_some();
                assert!(is_labelled || element.has_class("history"), "{shown}");
                match cell.get("data-label") {
                    Some(label) if label != columns[index] => {
                        self.inline(&format!(" {label}: {shown} |"));
                    }
                    _ => self.inline(&format!(" {shown} |")),
                }
            }
        }
        self.end_line();
    }

    fn preformatted(&mut self, element: &Element) {
        let said = attributes(element, &[]);
        self.start_line(&format!("```{said}"));
        self.end_line();
        let margin = "  ".repeat(self.depth);
        for line in element.text().lines() {
            self.lines
                .push(format!("{margin}{line}").trim_end().to_owned());
        }
        self.start_line("```");
        self.end_line();
    }

    fn field(&mut self, element: &Element, value: Option<&str>) {
        let kind = element.get("type").unwrap_or("textarea");
        let name = element.get("name").unwrap();
        let rest = attributes(element, &["type", "name", "value"]);
        let value = value
            .map(|value| format!(" = {value:?}"))
            .unwrap_or_default();
        let field = format!("[{kind} {name}{value}{rest}]");
        if matches!(kind, "radio" | "checkbox") {
            return self.inline(&field);
        }
        self.start_line(&field);
        self.end_line();
    }

    fn options(&mut self, element: &Element) {
        let name = element.get("name").unwrap();
        self.start_line(&format!(
            "[select {name}{}]",
            attributes(element, &["name"])
        ));
        self.end_line();
        self.depth += 1;
        for option in element.elements() {
            let value = option.get("value").unwrap();
            let rest = attributes(option, &["value"]);
            self.start_line(&format!("{value}: {}{rest}", line(option)));
            self.end_line();
        }
        self.depth -= 1;
    }

    /// Asserts that programs read the same time that people see.
    fn time(&mut self, element: &Element) {
        let shown = element.text();
        let seen = shown.trim_end_matches("\u{a0}UTC").replace(' ', "T");
        let read = element.get("datetime").unwrap();
        assert!(
            read.starts_with(&seen) && read.ends_with('Z'),
            "{read}: {shown}"
        );
        self.inline(&shown.replace('\u{a0}', " "));
    }
}

/// Attributes that draw a picture.
const SVG: &[&str] = &["viewbox", "width", "height", "shape-rendering"];

/// Adds the space that an element begins or ends with.
fn spaced(element: &Element, shown: &str) -> String {
    let words = element.text();
    let start = if words.starts_with(' ') { " " } else { "" };
    let end = if words.ends_with(' ') { " " } else { "" };
    format!("{start}{shown}{end}")
}
