//! Whose turn it is to look for copies. Of copies in several tasks the first in the plan's order is kept, so a task
//! looks only when all before it that may have copies of its rows have looked and said what they keep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::task::TaskSpec;

/// The accounts of a task's objects; a key without an account may have events of any.
#[derive(Debug, Clone)]
enum Accounts {
    These(BTreeSet<String>),
    Any,
}

impl Accounts {
    fn of(spec: &TaskSpec) -> Accounts {
        let accounts: Option<BTreeSet<String>> =
            spec.objects.iter().map(|object| object.account.clone()).collect();
        accounts.map_or(Accounts::Any, Accounts::These)
    }

    fn meet(&self, other: &Accounts) -> bool {
        match (self, other) {
            (Accounts::These(one), Accounts::These(two)) => !one.is_disjoint(two),
            _ => true,
        }
    }
}

/// The tasks that have not looked yet, in the plan's order.
#[derive(Debug, Default)]
pub struct Turns {
    open: Mutex<BTreeMap<usize, Accounts>>,
    changed: Condvar,
}

impl Turns {
    /// Takes a place in the order, after all that were taken before.
    pub fn enter(self: &Arc<Self>, spec: &TaskSpec) -> Turn {
        let mut open = self.lock();
        let number = open.last_key_value().map_or(0, |(last, _)| last + 1);
        open.insert(number, Accounts::of(spec));
        Turn { number, turns: Arc::clone(self) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Accounts>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task's place; given up when it is dropped.
#[derive(Debug)]
pub struct Turn {
    number: usize,
    turns: Arc<Turns>,
}

impl Turn {
    /// Blocks until every task before this one that shares an account with it has given up its place.
    pub fn wait(&self) {
        let must_wait = |open: &mut BTreeMap<usize, Accounts>| {
            let Some(own) = open.get(&self.number) else { return false };
            open.range(..self.number).any(|(_, accounts)| accounts.meet(own))
        };
        // Tasks start in the plan's order, so the first that has not looked is never waiting.
        drop(self.turns.changed.wait_while(self.turns.lock(), must_wait));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.lock().remove(&self.number);
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::task::TaskObject;
    use super::*;

    fn spec(accounts: &[Option<&str>]) -> TaskSpec {
        let object = |account: &Option<&str>| TaskObject {
            account: account.map(str::to_owned),
            ..TaskObject::default()
        };
        TaskSpec { objects: accounts.iter().map(object).collect(), ..TaskSpec::default() }
    }

    #[test]
    fn a_task_waits_for_those_before_it_that_share_an_account() {
        let turns = Arc::new(Turns::default());
        let first = turns.enter(&spec(&[Some("1"), Some("2")]));
        turns.enter(&spec(&[Some("3")])).wait();
        first.wait();
        for accounts in [&[Some("2")][..], &[Some("3"), None]] {
            let later = turns.enter(&spec(accounts));
            let waiting = std::thread::spawn(move || later.wait());
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished(), "{accounts:?}");
            if accounts.len() > 1 {
                drop(first);
                waiting.join().unwrap();
                return;
            }
        }
    }
}
