//! Answers whose connection ended before they were read: a page that was loaded anew goes on with the next rid,
//! and an empty request of it is no receipt for them.

use crate::script::{live, live_with, settings};
use expect_test::expect;
use herald_bosh::Settings;

/// It goes out with the next answer, before what came after it, and is acknowledged by the one after that.
#[test]
fn what_was_not_read_goes_out_once_more() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        vv <message>1</message>
        v <message>2</message>
        < b <b><message>1</message><message>2</message></b>
        ! b
        v <message>3</message>
        > c R+2
        < c <b><message>1</message><message>2</message><message>3</message></b>
        > d R+3
        = <message>1</message>
        = <message>2</message>
        = <message>3</message>
    "#]]);
}

/// Without the word of the connection an empty request is a receipt.
#[test]
fn what_was_read_does_not() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        v <message>1</message>
        < b <b><message>1</message></b>
        > c R+2
        = <message>1</message>
        ! b
        v <message>2</message>
        < c <b><message>2</message></b>
    "#]]);
}

/// Who asks for it again gets it as ever, and has it then.
#[test]
fn it_is_asked_for_again() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        v <message>1</message>
        < b <b><message>1</message></b>
        ! b
        > c R+1
        < c <b><message>1</message></b>
        > d R+2
        = <message>1</message>
    "#]]);
}

/// On the second connection it is not read either.
#[test]
fn it_is_asked_for_again_in_vain() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        v <message>1</message>
        < b <b><message>1</message></b>
        ! b
        > c R+1
        < c <b><message>1</message></b>
        ! c
        > d R+2
        < d <b><message>1</message></b>
    "#]]);
}

/// Who asks for it without need may have read it the first time: of the second that says nothing.
#[test]
fn it_may_have_been_read_the_first_time() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        v <message>1</message>
        < b <b><message>1</message></b>
        > c R+1
        < c <b><message>1</message></b>
        ! c
        > d R+2
        = <message>1</message>
    "#]]);
}

/// When it has gone out again, the request that first had it is answered with nothing.
#[test]
fn it_is_asked_for_too_late() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        v <message>1</message>
        < b <b><message>1</message></b>
        ! b
        > c R+2 | <message/>
        ^ <message/>
        < c <b><message>1</message></b>
        > d R+1
        < d <b/>
    "#]]);
}

/// Two at once: the order stays.
#[test]
fn two_answers() {
    let small = Settings { response_bytes_soft: 20, ..settings() };
    live_with(
        small,
        "wait='10' hold='1' ver='1.6'",
        expect![[r#"
            > b R+1
            = <stream:features/>
            > c R+2 | <message/>
            ^ <message/>
            < b <b/>
            v <message>1</message>
            < c <b><message>1</message></b>
            > d R+3 | <iq/>
            ^ <iq/>
            > e R+4 | <iq/>
            ^ <iq/>
            vv <message>2</message>
            vv <message>3</message>
            v <message>4</message>
            < d <b><message>2</message></b>
            < e <b><message>3</message></b>
            ! d
            ! e
            > f R+5
            = <message>1</message>
            < f <b><message>2</message></b>
            > g R+6
            = <message>2</message>
            < g <b><message>3</message></b>
        "#]],
    );
}

/// What came before something that was read is not put behind it.
#[test]
fn only_the_older_was_not_read() {
    let small = Settings { response_bytes_soft: 20, ..settings() };
    live_with(
        small,
        "wait='10' hold='1' ver='1.6'",
        expect![[r#"
            > d R+1 | <iq/>
            ^ <iq/>
            > e R+2 | <iq/>
            ^ <iq/>
            vv <message>2</message>
            v <message>3</message>
            < d <b><message>2</message></b>
            < e <b><message>3</message></b>
            ! d
            > f R+3
            = <stream:features/>
            = <message>2</message>
            = <message>3</message>
        "#]],
    );
}

/// Nobody goes on: it goes to the store, in order.
#[test]
fn the_session_ends() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        v <message>1</message>
        < b <b><message>1</message></b>
        ! b
        v <message>2</message>
        + 5s
        # [<message>1</message><message>2</message>]
        # gone  @5000ms
    "#]]);
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        v <message>1</message>
        < b <b><message>1</message></b>
        ! b
        v <message>2</message>
        > c R+2 type='terminate'
        ^ closed
        < c <b type='terminate'/>
        # [<message>1</message><message>2</message>]
        # gone
    "#]]);
}

/// With the same in it twice, the client is believed to end its connections like that, whatever it read.
#[test]
fn a_client_that_always_resets() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        v <message>1</message>
        < b <b><message>1</message></b>
        ! b
        > c R+2
        < c <b><message>1</message></b>
        ! c
        > d R+3
        = <message>1</message>
        v <message>2</message>
        < d <b><message>2</message></b>
        ! d
        > e R+4
        = <message>2</message>
    "#]]);
}

/// Where the client says what it has, that counts.
#[test]
fn acknowledgements() {
    live_with(
        settings(),
        "wait='10' hold='1' ver='1.6' ack='1'",
        expect![[r#"
            > b R+1
            = <stream:features/>
            v <message>1</message>
            < b <b><message>1</message></b>
            ! b
            > c R+2 ack='R+0'
            < c <b report='R+1' time='0'/>
            > d R+1
            < d <b><message>1</message></b>
            > e R+3
            = <message>1</message>
        "#]],
    );
}
