//! What a user has only while something is going on: in one piece of memory, which is not there otherwise.

use super::behind::Behind;
use super::leaving::Leaving;
use super::{Then, Todo, Wake};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

/// What is going on.
pub(super) struct Work {
    /// What is asked, in order.
    pub todo: VecDeque<Todo>,
    /// What the store's answer is for: the user is paused.
    pub waiting: Option<Then>,
    pub leaving: Option<Box<Leaving>>,
    pub behind: Option<Box<Behind>>,
    pub wakes: Vec<Wake>,
}

/// It, or nothing. While it is not there it reads as nothing to do; whoever writes makes it.
pub(super) struct Busy(Option<Box<Work>>);

impl Busy {
    /// Nothing is going on.
    pub fn none() -> Busy {
        Busy(None)
    }

    /// To be written to, if it is there.
    pub fn as_mut(&mut self) -> Option<&mut Work> {
        self.0.as_deref_mut()
    }

    /// Gives the memory back, when nothing is going on any more.
    pub fn rest(&mut self) {
        self.0.take_if(|work| work.is_over());
    }
}

impl Work {
    const NONE: &Work = &Work::new();

    const fn new() -> Work {
        Work { todo: VecDeque::new(), waiting: None, leaving: None, behind: None, wakes: Vec::new() }
    }

    fn is_over(&self) -> bool {
        let Work { todo, waiting, leaving, behind, wakes } = self;
        todo.is_empty() && waiting.is_none() && leaving.is_none() && behind.is_none() && wakes.is_empty()
    }
}

impl Deref for Busy {
    type Target = Work;

    fn deref(&self) -> &Work {
        self.0.as_deref().unwrap_or(Work::NONE)
    }
}

impl DerefMut for Busy {
    fn deref_mut(&mut self) -> &mut Work {
        self.0.get_or_insert_with(|| Box::new(Work::new()))
    }
}
