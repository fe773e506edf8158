//! `FileReader` and `ProgressEvent`: logic of the prelude. Spec: <https://w3c.github.io/FileAPI/#APIASynch>

use rquickjs::Ctx;

use super::kit::kit;

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    kit(ctx)?.run("file_reader")
}
