use crate::subject::{Outcome, Subject, jid, message, names, told};
use herald_storage::{Appended, Put, RosterItem, StoreError, ask};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

pub fn closed_takes_nothing(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    assert_eq!(s.0.close(), Ok(()));
    assert_eq!(s.append("ada", "x"), Err(StoreError::Closed));
    assert_eq!(s.pending_count("ada"), Err(StoreError::Closed));
    assert_eq!(s.0.close(), Ok(()), "twice is no harm");
}

pub fn answers_as_futures(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    let first = ask(|then| s.0.append(&jid("ada"), message("a"), then));
    let second = ask(|then| s.0.append(&jid("ada"), message("b"), then));
    assert_eq!(drive(second).unwrap().id, 2, "in the order in which they were asked");
    assert_eq!(drive(first).unwrap().id, 1);
    let dropped = ask::<()>(drop);
    assert_eq!(drive(dropped), Err(StoreError::Closed), "a call nobody will answer");
}

pub fn begins_with_all_of_it(subject: &Subject) {
    let s = subject.open_with(&["ada", "eve"]);
    assert_eq!(s.beginning("nobody"), Ok(None));
    let nothing = s.beginning("ada").unwrap().unwrap();
    assert_eq!((nothing.roster.items.len(), nothing.pending), (0, 0));
    s.put_item("ada", &RosterItem::new(jid("bob"))).unwrap();
    s.append("ada", "one").unwrap();
    s.append("ada", "two").unwrap();
    let beginning = s.beginning("ada").unwrap().unwrap();
    assert_eq!((Ok(beginning.roster), Ok(beginning.pending)), (s.roster("ada"), s.pending_count("ada")));
    assert_eq!(s.beginning("eve").unwrap().unwrap().pending, 0, "it is somebody else's");
}

/// The smallest executor: parks this thread until woken.
fn drive<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

pub fn stats_count(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    let before = s.0.stats();
    s.append("ada", "x").unwrap();
    s.append("nobody", "x").unwrap_err();
    s.pending_count("ada").unwrap();
    s.0.close().unwrap(); // counts are surely made by now
    let after = s.0.stats();
    assert_eq!(after.writes - before.writes, 1);
    assert_eq!(after.failed - before.failed, 1);
    assert_eq!(after.reads - before.reads, 1);
    assert!(after.commits > before.commits);
    assert_eq!((after.writes_waiting, after.reads_waiting), (0, 0));
}

/// Whoever hears an acknowledgement, on whatever thread, reads what it acknowledged.
pub fn read_your_writes(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    let (tell, hear) = mpsc::channel();
    for _ in 0..200 {
        let (store, tell) = (s.0.clone(), tell.clone());
        let then = move |appended: Outcome<Appended>| {
            let id = appended.unwrap().id;
            // On the store's own thread: the next read is asked, not waited for.
            let then = Box::new(move |kept| tell.send((id, kept)).unwrap());
            store.pending(&jid("ada"), id - 1, 1, usize::MAX, then);
        };
        s.0.append(&jid("ada"), message("x"), Box::new(then));
    }
    drop(tell);
    let heard: Vec<_> = hear.iter().collect();
    assert_eq!(heard.len(), 200);
    for (id, kept) in heard {
        assert_eq!(kept.unwrap().first().map(|k| k.id), Some(id));
    }
}

pub fn everything_is_there_again(subject: &Subject) {
    let item = RosterItem { groups: vec!["g".into()], ..RosterItem::new(jid("cyd")) };
    let (epoch, version) = {
        let s = subject.open_with(&["ada", "bob"]);
        s.append("ada", "a").unwrap();
        s.append("ada", "b").unwrap();
        s.append("ada", "c").unwrap();
        s.delivered("ada", &[3]).unwrap();
        let version = s.put_item("ada", &item).unwrap();
        s.put_private("ada", "space", "key", Some(b"value")).unwrap();
        s.append("bob", "x").unwrap();
        s.delete_account("bob").unwrap();
        (s.0.epoch().to_owned(), version)
    };
    let s = subject.open();
    assert_eq!(s.0.epoch(), epoch);
    assert!(!epoch.is_empty());
    assert_eq!(s.account("ada"), Ok(Some(1)));
    assert_eq!(s.account("bob"), Ok(None));
    assert_eq!(told(s.pending("ada", 0, 9)), "1:a 2:b");
    assert_eq!(s.append("ada", "d"), Ok(4), "the newest was delivered, its id stays taken");
    let roster = s.roster("ada").unwrap();
    assert_eq!((roster.version, roster.items), (version, vec![item]));
    assert_eq!(&s.private("ada", "space", "key").unwrap().unwrap()[..], b"value");
    s.put_account("bob", 1, Put::Create).unwrap();
    assert!(s.append("bob", "y").unwrap() > 1);
}

pub fn close_drains(subject: &Subject) {
    const MANY: usize = 2_000;
    let s = subject.open_with(&["ada"]);
    let (tell, hear) = mpsc::channel();
    for n in 0..MANY {
        let tell = tell.clone();
        let then = Box::new(move |appended| tell.send(appended).unwrap());
        s.0.append(&jid("ada"), message(&n.to_string()), then);
    }
    s.0.close().unwrap();
    let answers: Vec<u64> = hear.try_iter().map(|a| a.unwrap().id).collect();
    assert_eq!(answers, (1..=MANY as u64).collect::<Vec<_>>(), "all answered, in their order");
    drop(s);
    assert_eq!(subject.open().pending_count("ada"), Ok(MANY as u64));
}

/// As a command beside a running server.
pub fn two_at_once(subject: &Subject) {
    let (one, two) = (subject.open_with(&["ada"]), subject.open());
    assert_eq!(two.account("ada"), Ok(Some(1)), "the other's accounts are seen");
    assert_eq!(two.put_account("bob", 2, Put::Create), Ok(true));
    assert_eq!(one.account("bob"), Ok(Some(2)));
    assert_eq!(names(one.accounts(None, 9).unwrap()), "ada bob");
    assert_eq!(one.0.epoch(), two.0.epoch());

    let write = |s: &crate::subject::Asked| (0..100).map(|_| s.append("ada", "x").unwrap()).collect::<Vec<_>>();
    let mut ids = thread::scope(|scope| {
        let other = scope.spawn(|| write(&two));
        let mut ids = write(&one);
        ids.extend(other.join().unwrap());
        ids
    });
    ids.sort_unstable();
    assert_eq!(ids, (1..=200).collect::<Vec<_>>());
}

/// The first start is raced: one makes it, all open it.
pub fn opened_by_many_at_once(subject: &Subject) {
    let epochs: Vec<String> = thread::scope(|scope| {
        let open = || subject.open().0.epoch().to_owned();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
}
