//! The form of an action that was refused, once more with what was typed, so that nobody types it twice. It is made from
//! the action's own list of arguments, and stands on the page that says why.

use qpq_service::{Action, Guard, Kind};

use super::{
    fields::{Fields, TYPED},
    scene::Scene,
};

/// A form to be corrected.
#[derive(Clone, Debug)]
pub(super) struct Again {
    pub(super) path: &'static str,
    pub(super) back: String,
    pub(super) inputs: Vec<Input>,
    /// It can't be undone.
    pub(super) danger: bool,
}

/// One of its fields.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) label: String,
    pub(super) value: String,
    pub(super) choices: &'static [&'static str],
    pub(super) tick: bool,
}

impl Again {
    pub(super) fn of(scene: &Scene, action: &Action, fields: &Fields, back: String) -> Self {
        let mut inputs = Vec::new();
        for argument in action.arguments {
            let (choices, tick): (&[&str], _) = match argument.kind {
                Kind::Choice(choices) => (choices, false),
                Kind::Flag => (&[], true),
                _ => (&[], false),
            };
            let mut values: Vec<&str> = fields.all(argument.name).collect();
            if values.is_empty() {
                values.push("");
            }
            for value in values {
                let label = scene.t(&format!("field-{}", argument.flag()));
                let id = format!("again-{}", inputs.len());
                inputs.push(Input { id, name: argument.name, label, value: value.to_owned(), choices, tick });
            }
        }
        let danger = matches!(action.guard, Guard::Typed(_));
        if danger {
            let (id, label) = ("again-typed".to_owned(), scene.t("field-typed"));
            let value = fields.get(TYPED).to_owned();
            inputs.push(Input { id, name: TYPED, label, value, choices: &[], tick: false });
        }
        Self { path: action.route, back, inputs, danger }
    }
}
