use crate::subject::Subject;
use bytes::Bytes;

pub fn put_and_remove(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    assert_eq!(s.private("ada", "vcard", ""), Ok(None));
    assert_eq!(s.put_private("ada", "vcard", "", Some(b"one")), Ok(()));
    assert_eq!(s.private("ada", "vcard", ""), Ok(Some(Bytes::from_static(b"one"))));
    assert_eq!(s.put_private("ada", "vcard", "", Some(b"")), Ok(()));
    assert_eq!(s.private("ada", "vcard", ""), Ok(Some(Bytes::new())), "empty is something");
    assert_eq!(s.put_private("ada", "vcard", "", None), Ok(()));
    assert_eq!(s.private("ada", "vcard", ""), Ok(None));
    assert_eq!(s.put_private("ada", "vcard", "", None), Ok(()), "twice is no harm");
}

pub fn spaces_and_keys_are_apart(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    let places = [("ada", "a", "b"), ("ada", "b", "a"), ("ada", "ab", ""), ("bob", "a", "b")];
    for (n, (user, space, key)) in places.into_iter().enumerate() {
        s.put_private(user, space, key, Some(&[n as u8])).unwrap();
    }
    for (n, (user, space, key)) in places.into_iter().enumerate() {
        assert_eq!(s.private(user, space, key), Ok(Some(Bytes::from(vec![n as u8]))));
    }
    assert_eq!(s.private("ada", "A", "b"), Ok(None), "case tells apart");
}
