//! Everything an origin has, as the model sees it: names in order, lists, and who has a hold on them.

use super::{
    list::{List, Refused, Step, batch, check},
    steps::HANDLES,
};

/// What there is. Cloned before each step, so that a step that fails can be undone.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Names in the order of their creation, and where the list of each is.
    pub names: Vec<(&'static str, usize)>,
    pub lists: Vec<List>,
    /// Handles, and the list of each.
    pub handles: [Option<usize>; HANDLES],
}

impl World {
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().find(|(other, _)| *other == name).map(|(_, list)| *list)
    }

    pub fn open(&mut self, name: &'static str) -> usize {
        self.find(name).unwrap_or_else(|| {
            self.lists.push(List::new());
            self.names.push((name, self.lists.len() - 1));
            self.lists.len() - 1
        })
    }

    pub fn delete(&mut self, name: &str) -> bool {
        let before = self.names.len();
        self.names.retain(|(other, _)| *other != name);
        self.names.len() < before
    }

    /// The list takes the place of the one whose name it gets, or keeps its own.
    pub fn rename(&mut self, from: &'static str, to: &'static str) -> bool {
        let Some(list) = self.find(from) else { return false };
        if from == to {
            return true;
        }
        match self.names.iter_mut().find(|(name, _)| *name == to) {
            Some(displaced) => {
                displaced.1 = list;
                self.delete(from);
            }
            None => self.names.iter_mut().filter(|(name, _)| *name == from).for_each(|renamed| renamed.0 = to),
        }
        true
    }

    /// Batches on several handles: all or none. Two handles may be of one list.
    pub fn batch(&mut self, batches: &[(usize, Vec<Step>)]) -> Result<Vec<Vec<usize>>, Refused> {
        batches.iter().flat_map(|(_, steps)| steps).try_for_each(check)?;
        let mut now = self.lists.clone();
        let mut parts: Vec<(usize, Vec<Step>)> = Vec::new();
        let mut placed = Vec::new();
        for (handle, steps) in batches {
            let list = self.handles[*handle].expect("steps are made for handles that there are");
            let at = parts.iter().position(|(other, _)| *other == list).unwrap_or_else(|| {
                parts.push((list, Vec::new()));
                parts.len() - 1
            });
            placed.push((at, parts[at].1.len(), steps.len()));
            parts[at].1.extend(steps.iter().cloned());
        }
        let mut removed = Vec::new();
        for (list, steps) in &parts {
            removed.push(batch(&mut now[*list], steps)?);
        }
        self.lists = now;
        Ok(placed.into_iter().map(|(at, from, count)| removed[at][from..from + count].to_vec()).collect())
    }

    /// The process ends: lists without a name are gone, and so are the handles.
    pub fn restart(&mut self) {
        self.handles = [None; HANDLES];
    }
}
