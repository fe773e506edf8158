//! Runs the cases of `tests/js/`, each file on a context of its own.
//!
//! A case that is known to fail is a line of `tests/js/expectations.txt`, with its reason; one that
//! starts to pass fails the run until its line is gone.

use std::{cell::RefCell, collections::BTreeMap, path::Path, rc::Rc, time::Duration};

use rquickjs::{CatchResultExt, Ctx, context::EvalOptions};

use url::Url;

use super::{BASE, on_context};
use crate::js::{idl::native_operation, scope};

const HARNESS: [&str; 2] =
    [include_str!("../../../tests/js/harness/harness.js"), include_str!("../../../tests/js/harness/interfaces.js")];

/// What became of one case: `None` where it passed.
type Results = Rc<RefCell<Vec<(String, Option<String>)>>>;

#[test]
fn every_case_of_tests_js_does_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/js");
    let expected = expectations(&std::fs::read_to_string(folder.join("expectations.txt")).expect("it is committed"));
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("it is committed").flatten().map(|f| f.path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "js"));
    files.sort();
    let mut wrong = Vec::new();
    let mut run = 0;
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&file).expect("it was listed");
        for (case, failure) in run_file(&name, &source) {
            run += 1;
            println!("{} {name}: {case}", if failure.is_none() { "ok  " } else { "FAIL" });
            match (failure, expected.contains_key(&case)) {
                (Some(failure), false) => wrong.push(format!("{name}: {case}\n    {failure}")),
                (None, true) => {
                    wrong.push(format!("{name}: {case}\n    passes now: take its line out of expectations.txt"));
                }
                _ => {}
            }
        }
    }
    assert!(run > 0, "no case was found");
    assert!(wrong.is_empty(), "{} of {run} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Case and reason, a line each, apart by ` | `.
fn expectations(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let split = |line: &str| line.split_once(" | ").map(|(case, why)| (case.trim().to_owned(), why.trim().to_owned()));
    lines.map(|line| split(line).unwrap_or_else(|| panic!("no reason is given in `{line}`"))).collect()
}

fn run_file(name: &str, source: &str) -> Vec<(String, Option<String>)> {
    let results = Results::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let evaluated = on_context(async |ctx: Ctx<'_>, _| {
            scope::install_worker(&ctx, &Url::parse(BASE).unwrap(), scope::Global::Worker).catch(&ctx).unwrap();
            let recorded = Rc::clone(&results);
            let record = native_operation(&ctx, "record", 2, move |arguments| {
                let text = |index| arguments.get(index).get::<Option<String>>();
                recorded.borrow_mut().push((text(0)?.unwrap_or_default(), text(1)?));
                Ok(())
            });
            ctx.globals().set("record", record.unwrap()).unwrap();
            for helper in HARNESS {
                let mut options = EvalOptions::default();
                options.filename = Some("harness.js".to_owned());
                ctx.eval_with_options::<(), _>(helper, options).catch(&ctx).unwrap();
            }
            let mut options = EvalOptions::default();
            options.filename = Some(name.to_owned());
            ctx.eval_with_options::<(), _>(source, options).catch(&ctx).map_err(|error| error.to_string())?;
            let run: rquickjs::Promise<'_> = ctx.eval("runCases()").unwrap();
            run.into_future::<()>().await.catch(&ctx).map_err(|error| error.to_string())
        });
        let in_time = tokio::time::timeout(Duration::from_secs(60), evaluated).await;
        if let Err(error) = in_time.unwrap_or_else(|_| Err("a case never ends".to_owned())) {
            results.borrow_mut().push(("the file as a whole".to_owned(), Some(error)));
        }
    });
    results.take()
}
