//! Whether a module has an `await` at its top level, before any of it runs.
//!
//! The engine knows, and tells nobody; but it writes it down with the module's bytecode. This reads as much of
//! that as it takes. Where a later engine writes otherwise, nothing is known: what awaits is then found out when
//! it does. Spec: <https://tc39.es/ecma262/#sec-cyclic-module-records>, `[[HasTLA]]`

use rquickjs::{Module, Result, WriteOptions, module::Declared};

/// The form that is read here.
const FORM: u8 = 28;
/// The tag of a module.
const MODULE: u8 = 13;
/// The kind of an export that is a variable of the module's own.
const LOCAL: u8 = 0;

/// Whether `module`, which was compiled from `source`, awaits at its top level, as far as is known.
pub(super) fn awaits_at_the_top(module: &Module<'_, Declared>, source: &[u8]) -> Result<bool> {
    const WORD: &[u8] = b"await";
    // The word cannot be written otherwise, and most modules have none.
    if !source.windows(WORD.len()).any(|window| window == WORD) {
        return Ok(false);
    }
    let options = WriteOptions { strip_source: true, strip_debug: true, ..WriteOptions::default() };
    let written = module.write(options)?;
    Ok(Written(&written).has_top_level_await().unwrap_or(false))
}

/// What is left to read.
struct Written<'a>(&'a [u8]);

impl Written<'_> {
    fn has_top_level_await(mut self) -> Option<bool> {
        if self.byte()? != FORM {
            return None;
        }
        self.skip(4)?; // the checksum
        for _ in 0..self.number()? {
            self.skip_name()?;
        }
        if self.byte()? != MODULE {
            return None;
        }
        self.number()?; // its name
        for _ in 0..self.number()? {
            self.number()?; // of a module that it imports
        }
        for _ in 0..self.number()? {
            let kind = self.byte()?;
            self.number()?;
            if kind != LOCAL {
                self.number()?;
            }
            self.number()?;
        }
        for _ in 0..self.number()? {
            self.number()?; // `export *`
        }
        for _ in 0..self.number()? {
            for _ in 0..3 {
                self.number()?; // of an import
            }
        }
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A name of the table at the start: one that the engine has anyway, or text.
    fn skip_name(&mut self) -> Option<()> {
        let kind = self.byte()?;
        if kind & 0x80 == 0 {
            let length = self.number()?;
            let width = 1 + (length & 1);
            self.skip((length >> 1).checked_mul(width)?)
        } else if kind & 0x40 == 0 {
            Some(())
        } else {
            self.number().map(drop)
        }
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use rquickjs::{Context, Runtime};

    use super::*;

    fn awaits(source: &str) -> bool {
        let runtime = Runtime::new().unwrap();
        Context::full(&runtime).unwrap().with(|ctx| {
            let module = Module::declare(ctx, "https://a.test/sw.js", source).unwrap();
            awaits_at_the_top(&module, source.as_bytes()).unwrap()
        })
    }

    #[test]
    fn an_await_is_found_wherever_it_is_at_the_top() {
        for source in [
            "await 0",
            "if (false) await 0",
            "for await (const x of []) ;",
            "export const x = await 0; export default 1; export { x as \"a name\" }",
            "const \u{44e} = '\u{20ac}'; { await 0 }",
            "export const a1 = 1, b1 = 2; function f() { return async () => { await 1 } } await f()",
        ] {
            assert!(awaits(source), "{source}");
        }
    }

    #[test]
    fn an_await_within_a_function_is_not_at_the_top() {
        for source in [
            "async function f() { await 0 }",
            "export default async () => { for await (const x of []) ; }",
            "'await 0'; // await 0",
            "export const \u{44e} = class { async m() { await '\u{20ac}' } }; export { \u{44e} as default }",
        ] {
            assert!(!awaits(source), "{source}");
        }
    }

    #[test]
    fn of_another_form_nothing_is_known() {
        assert_eq!(Written(&[27, 0, 0, 0, 0]).has_top_level_await(), None);
        assert_eq!(Written(&[]).has_top_level_await(), None);
        assert_eq!(Written(&[28, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]).has_top_level_await(), None);
    }
}
