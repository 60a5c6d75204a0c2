//! Topics in order of time: after a stop one topic's backlog must not make the samples of another late.
//!
//! Each reader says what it could hand over next, and hands it over once nobody can bring anything older.
//! Within a topic `merge` does the same for partitions.

use tokio::sync::watch;

use crate::sample::Timestamp;

/// What a reader could hand over next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Nothing known yet: the others wait.
    Reading,
    /// Nothing known for so long that nobody waits any more.
    Away,
    /// All has been read, for now.
    Idle,
    /// A batch whose newest sample is of then.
    At(Timestamp),
}

/// One reader's place among all.
pub struct Turn {
    me: usize,
    heads: watch::Sender<Vec<Head>>,
    seen: watch::Receiver<Vec<Head>>,
}

/// A place for each of `count` readers.
pub fn turns(count: usize) -> Vec<Turn> {
    let (heads, seen) = watch::channel(vec![Head::Reading; count]);
    (0..count).map(|me| Turn { me, heads: heads.clone(), seen: seen.clone() }).collect()
}

impl Turn {
    /// Says what this reader could hand over; one that is away stays so until it has something to say.
    pub fn tell(&self, head: Head) {
        self.heads.send_if_modified(|heads| {
            let known = &mut heads[self.me];
            let is_news = *known != head && !(*known == Head::Away && head == Head::Reading);
            if is_news {
                *known = head;
            }
            is_news
        });
    }

    /// Whether what this reader told can be handed over now.
    pub fn is_mine(&self) -> bool {
        let heads = self.heads.borrow();
        let Head::At(mine) = heads[self.me] else { return false };
        heads.iter().enumerate().all(|(other, head)| match head {
            Head::Reading => false,
            Head::Away | Head::Idle => true,
            Head::At(at) => (mine, self.me) <= (*at, other),
        })
    }

    /// Waits no longer for those of which nothing is known.
    pub fn give_up(&self) {
        self.heads.send_if_modified(|heads| {
            let silent = heads.iter_mut().filter(|head| **head == Head::Reading);
            silent.map(|head| *head = Head::Away).count() > 0
        });
    }

    /// Resolves when a reader has told something new.
    pub async fn changed(&mut self) {
        // cannot fail: a sender lives as long as this turn
        let _ = self.seen.changed().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.tell(Head::Idle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(turns: &[Turn]) -> Vec<usize> {
        (0..turns.len()).filter(|i| turns[*i].is_mine()).collect()
    }

    #[test]
    fn the_oldest_goes_first_once_all_have_spoken() {
        let turns = turns(3);
        turns[0].tell(Head::At(Timestamp(20)));
        turns[1].tell(Head::At(Timestamp(10)));
        assert!(whose(&turns).is_empty());
        turns[2].tell(Head::Idle);
        assert_eq!(whose(&turns), [1]);
        turns[1].tell(Head::Reading);
        assert!(whose(&turns).is_empty());
        turns[1].tell(Head::At(Timestamp(20)));
        assert_eq!(whose(&turns), [0], "of equals the first");
    }

    #[test]
    fn who_stays_silent_is_given_up_until_it_speaks() {
        let mut turns = turns(2);
        turns[0].tell(Head::At(Timestamp(20)));
        turns[0].give_up();
        turns[1].tell(Head::Reading);
        assert_eq!(whose(&turns), [0]);
        turns[1].tell(Head::At(Timestamp(10)));
        assert_eq!(whose(&turns), [1]);
        turns.pop();
        assert_eq!(whose(&turns), [0], "who has gone holds nobody up");
    }
}
