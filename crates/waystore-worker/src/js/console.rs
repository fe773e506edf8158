//! `console`: the prelude formats, the realm is given the lines.
//!
//! Spec: <https://console.spec.whatwg.org/>

use rquickjs::Ctx;

use super::{
    idl::{Convert, native_operation},
    kit::kit,
    realm::realm,
};
use crate::event::{ConsoleLevel, ConsoleLine};

/// What one line may hold; more is cut.
const MAX_LINE_BYTES: usize = 16 * 1024;

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    let print = native_operation(ctx, "print", 2, |arguments| {
        let level = match arguments.get(0).to_double()? as i32 {
            0 => ConsoleLevel::Debug,
            1 => ConsoleLevel::Info,
            2 => ConsoleLevel::Warn,
            _ => ConsoleLevel::Error,
        };
        let text = bounded(arguments.get(1).to_usv_string()?);
        (realm(arguments.ctx())?.console)(ConsoleLine::new(level, text));
        Ok(())
    })?;
    kit.give("print", print)?;
    kit.run("inspect")?;
    kit.run("console")
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_LINE_BYTES {
        let cut = text.floor_char_boundary(MAX_LINE_BYTES);
        let left = text.len() - cut;
        text.truncate(cut);
        text.push_str(&format!("... {left} bytes more"));
    }
    text
}
