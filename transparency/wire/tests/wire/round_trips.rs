//! What is written is read again.

use qpq_transparency_tree::lookup::View;
use qpq_transparency_wire::{LoggedVersion, Views, write_views};

use crate::{
    samples::{
        FULL, Message, logged, lookup, place, place_of, placed, told, version, version_of, viewed, views,
        views_of,
    },
    vectors,
};

#[test]
fn every_published_answer_is_read_as_it_was_written() {
    let answers = vectors::told();
    assert!(answers.len() > 50);
    for (name, answer) in answers {
        assert_eq!(told(&lookup(&answer)).unwrap(), answer, "{name}");
    }
}

#[test]
fn an_answer_with_every_part_is_read_as_it_was_written() {
    let answer = &FULL.answer;
    assert!(answer.evidence.config.is_some() && answer.latest.is_some() && answer.base.is_some());
    assert!(!answer.links.is_empty() && !answer.resets.is_empty());
    assert!(!answer.evidence.consistency.is_empty());
    assert_eq!(told(&lookup(&FULL)).unwrap(), *FULL);
    // An old reset comes with the CONFIG of its day, and the next.
    let mut older = FULL.clone();
    let config = older.answer.evidence.config.clone().unwrap();
    let next = older.answer.latest.clone().unwrap();
    older.answer.resets[0].config = Some((config, next));
    assert_eq!(told(&lookup(&older)).unwrap(), older);
}

#[test]
fn erased_and_empty_values_are_told_apart() {
    for contents in [None, Some(Vec::new())] {
        let mut answer = FULL.clone();
        let latest = answer.answer.latest.as_mut().unwrap();
        latest.contents = latest.contents.take().and_then(|(opening, _)| Some((opening, contents?)));
        assert_eq!(told(&lookup(&answer)).unwrap(), answer);
        let contents = answer.answer.latest.unwrap().contents;
        let version = LoggedVersion { contents, ..version() };
        assert_eq!(version_of(&logged(&version)).unwrap(), version);
    }
}

#[test]
fn places_are_read_as_they_were_written() {
    for version in [0, 1, u32::MAX] {
        let place = place(version);
        assert_eq!(place_of(&placed(&place)).unwrap(), place);
    }
}

#[test]
fn versions_are_read_as_they_were_written() {
    assert_eq!(version_of(&logged(&version())).unwrap(), version());
}

#[test]
fn views_are_read_as_they_were_written() {
    let versions = [None, Some(0), Some(1), Some(u32::MAX)];
    let all = versions.iter().flat_map(|config| versions.map(|version| (*config, version)));
    let mut views = views(16);
    for (view, (config, version)) in views.values_mut().zip(all) {
        *view = View { size: u64::MAX, config, version };
    }
    assert_eq!(views_of(&viewed(&views)).unwrap(), views);
    assert_eq!(views_of(&viewed(&Views::new())).unwrap(), Views::new());
}

#[test]
fn a_list_that_is_too_short_for_the_views_gets_the_first() {
    let views = views(3);
    let mut message = Message::new_default();
    write_views(&views, message.initn_root(2));
    let first: Views = views.into_iter().take(2).collect();
    assert_eq!(views_of(&message).unwrap(), first);
}
