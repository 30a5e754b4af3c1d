//! HTML as a tree, for well-formed pages: every element is closed where it should be, every id is
//! unique, and every reference to an id of the page finds it.

use std::collections::{BTreeMap, BTreeSet};

use html5gum::{Error, Token, Tokenizer};

/// Elements without content, which nothing closes.
const VOID: &[&str] = &["br", "input", "link", "meta"];

/// Attributes that hold ids of other elements.
const REFERENCES: &[&str] = &["aria-describedby", "aria-labelledby", "for", "list"];

pub(crate) enum Node {
    Element(Element),
    Text(String),
}

pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) children: Vec<Node>,
}

impl Element {
    /// The page as one element, which contains `html`.
    pub(crate) fn parse(page: &str) -> Self {
        let mut open = vec![Self::new(String::new(), BTreeMap::new())];
        for token in Tokenizer::new(page) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => {
                    let attributes = tag
                        .attributes
                        .iter()
                        .map(|(name, value)| (text(name), text(value)))
                        .collect();
                    let element = Self::new(text(&tag.name), attributes);
                    if tag.self_closing || VOID.contains(&&*element.name) {
                        open.last_mut().unwrap().push(Node::Element(element));
                    } else {
                        open.push(element);
                    }
                }
                Token::EndTag(tag) => {
                    let element = open.pop().unwrap();
                    assert_eq!(element.name, text(&tag.name), "closes another: {page}");
                    let parent = open.last_mut().expect("nothing is closed twice");
                    parent.push(Node::Element(element));
                }
                Token::String(words) => {
                    open.last_mut().unwrap().push(Node::Text(text(&words)));
                }
                Token::Doctype(_) => {}
                Token::Comment(comment) => panic!("a comment is sent: {comment:?}"),
                // A field shows again what was typed into it.
                Token::Error(error) if error.value == Error::ControlCharacterInInputStream => {}
                Token::Error(error) => panic!("{error:?}: {page}"),
            }
        }
        assert_eq!(open.len(), 1, "something is never closed: {page}");
        let page = open.pop().unwrap();
        page.assert_references_lead_somewhere();
        page
    }

    fn new(name: String, attributes: BTreeMap<String, String>) -> Self {
        Self {
            name,
            attributes,
            children: Vec::new(),
        }
    }

    fn push(&mut self, node: Node) {
        match (self.children.last_mut(), node) {
            (Some(Node::Text(before)), Node::Text(words)) => before.push_str(&words),
            (_, node) => self.children.push(node),
        }
    }

    fn assert_references_lead_somewhere(&self) {
        let mut elements = Vec::new();
        self.collect(&mut elements);
        let mut ids = BTreeSet::new();
        for id in elements.iter().filter_map(|element| element.get("id")) {
            assert!(ids.insert(id), "the id {id} stands twice");
        }
        for element in elements {
            let named = REFERENCES
                .iter()
                .filter_map(|reference| element.get(reference))
                .flat_map(str::split_whitespace);
            let linked = element.get("href").and_then(|to| to.strip_prefix('#'));
            for id in named.chain(linked) {
                assert!(ids.contains(id), "nothing on the page has the id {id}");
            }
        }
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a Self>) {
        found.push(self);
        self.elements().for_each(|element| element.collect(found));
    }

    /// All matching elements within, in the order of the page.
    pub(crate) fn find(&self, is_asked_for: impl Fn(&Self) -> bool) -> Vec<&Self> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found.retain(|element| is_asked_for(element));
        found
    }

    pub(crate) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    pub(crate) fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str)
    }

    pub(crate) fn has_class(&self, class: &str) -> bool {
        self.get("class")
            .is_some_and(|classes| classes.split(' ').any(|known| known == class))
    }

    /// All the text within, unchanged.
    pub(crate) fn text(&self) -> String {
        let mut all = String::new();
        for node in &self.children {
            match node {
                Node::Element(element) => all.push_str(&element.text()),
                Node::Text(words) => all.push_str(words),
            }
        }
        all
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
