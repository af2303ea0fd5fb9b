//! What the documents point at is there: files behind links, and the functions of the walk through the architecture.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_path_buf()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The pages that people begin with.
fn documents() -> Vec<PathBuf> {
    let in_folder = |folder: PathBuf| {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path())
    };
    let crates = in_folder(root()).map(|folder| folder.join("README.md"));
    let all = in_folder(root())
        .chain(in_folder(root().join("docs")))
        .chain(crates);
    let mut pages: Vec<PathBuf> = all
        .filter(|path| path.extension().is_some_and(|it| it == "md") && path.is_file())
        .collect();
    pages.sort();
    pages
}

/// The texts between two marks.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open)
        .skip(1)
        .filter_map(move |rest| Some(rest.split_once(close)?.0))
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let pages = documents();
    for name in ["README.md", "CONTRIBUTING.md", "docs/architecture.md"] {
        assert!(pages.contains(&root().join(name)), "{name} is there");
    }
    let mut broken = Vec::new();
    for page in &pages {
        let (text, folder) = (read(page), page.parent().expect("a folder"));
        for link in between(&text, "](", ")").filter(|it| !it.contains("://")) {
            let file = link.split('#').next().unwrap_or(link);
            if !file.is_empty() && !folder.join(file).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

#[test]
fn every_file_that_is_named_by_its_path_is_there() {
    let tops = ["benches/", "delivery-", "docs/", "examples/", "scripts/"];
    let mut missing = Vec::new();
    for page in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "SECURITY.md",
    ] {
        let text = read(&root().join(page));
        let named = between(&text, "`", "`").filter(|it| tops.iter().any(|top| it.starts_with(top)));
        for path in named.filter(|it| it.contains('/') && !it.contains([' ', '*', '\n'])) {
            // The walk through a router that somebody adds.
            if !path.ends_with("turnpike.rs") && !root().join(path).exists() {
                missing.push(format!("{page}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "files that are not there: {missing:#?}");
}

#[test]
fn the_walk_of_one_number_goes_through_functions_that_exist() {
    let text = read(&root().join("docs/architecture.md"));
    let (_, walk) = text.split_once("## The walk of one number").expect("the walk");
    let mut lines = 0;
    for row in walk.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let (Some(number), Some(file), Some(function)) = (cells.get(1), cells.get(2), cells.get(3)) else {
            continue;
        };
        if number.parse::<u32>().is_err() {
            continue;
        }
        lines += 1;
        let source = read(&root().join(file));
        let defined = ["(", "<"]
            .iter()
            .any(|after| source.contains(&format!("fn {function}{after}")));
        assert!(
            defined,
            "line {number} of the walk: {file} has no function {function}"
        );
    }
    assert_eq!(lines, 17, "the walk has lost lines, or is no table any more");
}

#[test]
fn the_router_that_contributing_adds_is_the_one_that_is_tested() {
    let text = read(&root().join("CONTRIBUTING.md"));
    let tested = read(&root().join("delivery-k8s/src/router/tests/turnpike.rs"));
    let shown = between(&text, "   ```text\n", "\n   ```")
        .next()
        .expect("the router's file");
    let shown: Vec<&str> = shown
        .lines()
        .map(|line| line.strip_prefix("   ").unwrap_or(line))
        .collect();
    assert_eq!(shown, tested.lines().collect::<Vec<_>>());
}
