//! The record's known objects and fields, as a tree: what flattening walks down, and rebuilding walks up.

use std::sync::LazyLock;

use crate::schema::{ALIASES, COLUMNS, Form, Origin};

/// A known object of the record.
pub(super) struct Node {
    /// Its path, steps joined by `.`; empty for the record itself.
    pub path: String,
    pub members: Vec<Member>,
    /// The columns of all that is in the object, at any depth, where they are texts.
    pub texts: Option<Vec<usize>>,
    /// Other spellings: the key, and the member it stands for.
    pub aliases: Vec<(&'static str, usize)>,
    /// The members by [`bucket`] of their key.
    buckets: [Vec<u8>; BUCKETS],
}

const BUCKETS: usize = 64;

/// A number that tells most of an object's known keys apart by their length and three of their bytes.
fn bucket(key: &[u8]) -> usize {
    let byte = |at: usize| key.get(at).copied().map_or(0, usize::from);
    (key.len() + 5 * byte(0) + 3 * byte(key.len() / 2) + 7 * byte(key.len().wrapping_sub(1))) % BUCKETS
}

impl Node {
    fn new(path: String) -> Self {
        let buckets = [const { Vec::new() }; BUCKETS];
        Node { path, members: Vec::new(), texts: None, aliases: Vec::new(), buckets }
    }

    /// The member a key stands for, and whether it is another spelling.
    pub fn find(&self, key: &[u8]) -> Option<(usize, bool)> {
        let found = self.buckets[bucket(key)].iter().map(|&member| usize::from(member));
        if let Some(member) = found.into_iter().find(|&member| self.members[member].key.as_bytes() == key) {
            return Some((member, false));
        }
        self.aliases.iter().find(|(alias, _)| alias.as_bytes() == key).map(|&(_, member)| (member, true))
    }
}

/// A known field of an object. At least one of `column` and `node` is there; both are where a payload is kept whole and
/// some of its fields are repeated in columns of their own.
pub(super) struct Member {
    pub key: &'static str,
    /// The comma, key and colon with which the field stands in compact JSON.
    pub opening: Vec<u8>,
    pub path: String,
    /// The column that holds the value.
    pub column: Option<usize>,
    /// The node of the object that the value may be.
    pub node: Option<usize>,
}

/// The nodes; the record itself is the first.
pub(super) static TREE: LazyLock<Vec<Node>> = LazyLock::new(|| {
    let mut nodes = vec![Node::new(String::new())];
    for (index, column) in COLUMNS.iter().enumerate().filter(|(_, column)| column.origin != Origin::Derived) {
        let mut node = 0;
        let mut steps = column.path.split('.').peekable();
        while let Some(key) = steps.next() {
            let member = member_of(&mut nodes[node], key);
            if steps.peek().is_none() {
                nodes[node].members[member].column = Some(index);
            } else {
                node = child_of(&mut nodes, node, member);
            }
        }
    }
    for (alias, canonical) in ALIASES {
        let (path, alias) = alias.rsplit_once('.').unwrap_or(("", alias));
        for node in nodes.iter_mut().filter(|node| node.path == path) {
            if let Some(member) = node.members.iter().position(|member| member.path == *canonical) {
                node.aliases.push((alias, member));
            }
        }
    }
    // Children come after their parents.
    for node in (0..nodes.len()).rev() {
        nodes[node].texts = texts(&nodes, node);
    }
    nodes
});

fn texts(nodes: &[Node], node: usize) -> Option<Vec<usize>> {
    let mut columns = Vec::new();
    for member in &nodes[node].members {
        if let Some(column) = member.column {
            if !matches!(COLUMNS[column].form, Form::Text | Form::Json) {
                return None;
            }
            columns.push(column);
        }
        if let Some(child) = member.node {
            columns.extend(nodes[child].texts.as_ref()?);
        }
    }
    Some(columns)
}

fn member_of(node: &mut Node, key: &'static str) -> usize {
    if let Some(known) = node.members.iter().position(|member| member.key == key) {
        return known;
    }
    let path = if node.path.is_empty() { key.to_owned() } else { format!("{}.{key}", node.path) };
    let member = node.members.len();
    let opening = format!(",\"{key}\":").into_bytes();
    node.members.push(Member { key, opening, path, column: None, node: None });
    node.buckets[bucket(key.as_bytes())].push(member as u8);
    member
}

fn child_of(nodes: &mut Vec<Node>, node: usize, member: usize) -> usize {
    if let Some(child) = nodes[node].members[member].node {
        return child;
    }
    let child = nodes.len();
    let path = nodes[node].members[member].path.clone();
    nodes[node].members[member].node = Some(child);
    nodes.push(Node::new(path));
    child
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objects_members_fit_the_bits_that_flattening_marks_them_with() {
        assert!(TREE.iter().all(|node| node.members.len() <= 64));
    }

    #[test]
    fn every_key_is_found_and_no_other() {
        for node in TREE.iter() {
            for (index, member) in node.members.iter().enumerate() {
                assert_eq!(node.find(member.key.as_bytes()), Some((index, false)));
            }
            for (alias, member) in &node.aliases {
                assert_eq!(node.find(alias.as_bytes()), Some((*member, true)));
            }
        }
        assert_eq!(TREE[0].find(b"eventname"), None);
        assert_eq!(TREE[0].find(b""), None);
    }

    #[test]
    fn every_member_leads_somewhere() {
        let mut columns = 0;
        for member in TREE.iter().flat_map(|node| &node.members) {
            assert!(member.column.is_some() || member.node.is_some(), "{}", member.path);
            columns += usize::from(member.column.is_some());
        }
        assert_eq!(columns, COLUMNS.iter().filter(|column| column.origin != Origin::Derived).count());
        assert_eq!(TREE.iter().map(|node| node.aliases.len()).sum::<usize>(), ALIASES.len());
    }
}
