//! The rules, on this repository. Each failure names the file, the rule and the remedy.

use tidy::files::{File, read_all, root};
use tidy::{Breach, arrows, budgets, docs, lists, words};

fn files() -> Vec<File> {
    read_all(&root()).expect("git lists the files")
}

fn expect_none(breaches: &[Breach]) {
    let lines: Vec<String> = breaches.iter().map(ToString::to_string).collect();
    assert!(breaches.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn arrows_are_allowed() {
    expect_none(&arrows::check_allowed(&arrows::graph(&files())));
}

#[test]
fn arrows_are_as_drawn() {
    let files = files();
    let architecture =
        files.iter().find(|file| file.path == "ARCHITECTURE.md").expect("ARCHITECTURE.md is not there");
    match arrows::drawing(&architecture.text) {
        Ok(drawn) => expect_none(&arrows::check_drawing(&drawn, &arrows::graph(&files))),
        Err(breach) => expect_none(&[breach]),
    }
}

#[test]
fn dependencies_are_used() {
    expect_none(&arrows::check_used(&files()));
}

#[test]
fn words_that_hurt_are_in_their_rooms() {
    expect_none(&words::check(&files(), words::WORDS));
}

#[test]
fn budgets_are_kept() {
    expect_none(&budgets::check(&files()));
}

#[test]
fn folders_and_lists_agree() {
    let files = files();
    let breaches: Vec<Breach> = lists::LISTS.iter().flat_map(|list| lists::check(&files, list)).collect();
    expect_none(&breaches);
}

#[test]
fn error_codes_are_listed() {
    expect_none(&docs::check_codes(&files()));
}

#[test]
fn links_lead_somewhere() {
    expect_none(&docs::check_links(&files(), |path| root().join(path).exists()));
}

#[test]
fn there_is_a_changelog() {
    assert!(root().join("CHANGELOG.md").exists(), "CHANGELOG.md is not there: keep one by hand");
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    expect_none(&docs::check_places(&files()));
}
