//! Caches as plain lists, after sections 5 and 9 of the specification's wording, step by step.
//!
//! Shares no code with the library: URLs are compared as text, headers by hand, and nothing is clever. What a store
//! shared by many visitors adds (`docs/deviations.md`) is here too.

/// A request, in parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub path: &'static str,
    pub query: &'static str,
    pub fragment: &'static str,
    /// The lines of the headers `x` and `y`.
    pub x: &'static [&'static str],
    pub y: &'static [&'static str],
    pub method: &'static str,
    pub who: Who,
}

/// On whose behalf something is asked, and whom a response is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Who {
    /// A look-up by string; a response for everybody.
    Anybody,
    /// A visitor known by this number.
    Visitor(u8),
    /// A visitor without credentials, in the event of this number.
    Event(u8),
}

/// A response.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub vary: &'static str,
    /// Whether script sees its headers.
    pub opaque: bool,
    /// Whether it is for the one who asked only.
    pub personal: bool,
    /// What its body is made of, and how long it is; `None`: null.
    pub body: Option<(u32, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    pub search: bool,
    pub method: bool,
    pub vary: bool,
}

pub const PLAIN: Options = Options { search: false, method: false, vary: false };

#[derive(Debug, Clone)]
pub enum Step {
    Put(Asked, Answer),
    Delete(Asked, Options),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub asked: Asked,
    pub answer: Answer,
}

/// A request response list.
pub type List = Vec<Item>;

/// Why a batch is refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refused {
    Type,
    InvalidState,
}

impl Item {
    /// Whom it is for.
    pub fn owner(&self) -> Who {
        if self.answer.personal { self.asked.who } else { Who::Anybody }
    }

    /// Section 5: request matches cached item.
    fn matches(&self, asked: &Asked, options: Options) -> bool {
        // Step 1 looks at the method of the stored request, which is always GET here.
        // Step 2.
        let (mut one, mut two) = (self.asked.path.to_owned(), asked.path.to_owned());
        if !options.search {
            one += self.asked.query;
            two += asked.query;
        }
        // Step 3. The fragment is not in them.
        if one != two {
            return false;
        }
        // Step 4. An opaque response shows no header.
        if options.vary || self.answer.opaque || self.answer.vary.is_empty() {
            return true;
        }
        // Step 5.
        for name in self.answer.vary.split(',') {
            let name = name.trim().to_lowercase();
            let (kept, given) = match name.as_str() {
                "" => continue,
                "*" => return false,
                "x" => (self.asked.x, asked.x),
                "y" => (self.asked.y, asked.y),
                _ => (&[][..], &[][..]),
            };
            // Absent is not empty; several lines are one, joined.
            if kept.is_empty() != given.is_empty() || kept.join(", ") != given.join(", ") {
                return false;
            }
        }
        // Step 6.
        true
    }

    /// Whether `who` may be given it.
    fn is_seen_by(&self, who: Who) -> bool {
        self.owner() == Who::Anybody || (who != Who::Anybody && self.owner() == who)
    }
}

/// What a look-up on behalf of the one who asks finds, in the order in which it is given out.
pub fn query(list: &List, asked: &Asked, options: Options) -> Vec<Item> {
    if asked.method != "GET" && !options.method {
        return Vec::new();
    }
    let found = list.iter().filter(|item| item.is_seen_by(asked.who) && item.matches(asked, options));
    // A visitor's own come first.
    let (own, shared): (Vec<_>, Vec<_>) = found.cloned().partition(|item| item.owner() != Who::Anybody);
    [own, shared].concat()
}

/// What `keys` lists: everything that matches, whoever it is for.
pub fn keys(list: &List, asked: &Asked, options: Options) -> Vec<Item> {
    if asked.method != "GET" && !options.method {
        return Vec::new();
    }
    list.iter().filter(|item| item.matches(asked, options)).cloned().collect()
}

/// What `matchAll` without a request gives.
pub fn all(list: &List) -> Vec<Item> {
    list.iter().filter(|item| item.owner() == Who::Anybody).cloned().collect()
}

/// What `put` checks before it reads the body.
pub fn check(step: &Step) -> Result<(), Refused> {
    match step {
        Step::Put(asked, _) if asked.method != "GET" => Err(Refused::Type),
        Step::Put(_, answer) if !answer.opaque && answer.vary.split(',').any(|name| name.trim() == "*") => {
            Err(Refused::Type)
        }
        _ => Ok(()),
    }
}

/// Section 9: batch cache operations. Returns how many items each step removed, or leaves the list as it was.
pub fn batch(list: &mut List, steps: &[Step]) -> Result<Vec<usize>, Refused> {
    let (mut now, mut added, mut removed) = (list.clone(), List::new(), Vec::new());
    for step in steps {
        let (asked, options) = match step {
            Step::Put(asked, _) => (asked, PLAIN),
            Step::Delete(asked, options) => (asked, *options),
        };
        if added.iter().any(|item| item.matches(asked, options)) {
            return Err(Refused::InvalidState);
        }
        let before = now.len();
        match step {
            Step::Delete(..) => now.retain(|item| !item.matches(asked, options)),
            Step::Put(_, answer) => {
                let new = Item { asked: asked.clone(), answer: answer.clone() };
                now.retain(|old| !(old.matches(asked, PLAIN) && displaces(&new, old)));
                removed.push(before - now.len());
                now.push(new.clone());
                added.push(new);
                continue;
            }
        }
        removed.push(before - now.len());
    }
    *list = now;
    Ok(removed)
}

/// What is for one visitor never takes the place of what is for everybody, nor of what is for another.
fn displaces(new: &Item, old: &Item) -> bool {
    let seen = old.is_seen_by(new.asked.who);
    if new.owner() == Who::Anybody { seen } else { old.owner() != Who::Anybody && seen }
}
