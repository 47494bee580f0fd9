//! `unused`: every dependency is used.

use super::tools::{self, CargoTool};
use crate::context::{self, Context, Outcome};

const MACHETE: CargoTool = CargoTool { name: "cargo-machete", version: "0.9.2" };

pub(crate) fn run(context: &Context) -> Outcome {
    tools::ensure(context, &MACHETE)?;
    context::run(&mut context.cargo(&["machete"]))
}
