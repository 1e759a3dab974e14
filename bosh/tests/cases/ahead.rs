//! Clients that run ahead of a lost request or answer, as Strophe.js does.

use crate::script::live;
use expect_test::expect;

/// An answer that is asked for again is kept for longer: its client goes on beside it.
#[test]
fn asked_again() {
    live(expect![[r#"
        > b R+1 | <message>1</message>
        ^ <message>1</message>
        v <m1/>
        < b <b><m1/></b>
        > c R+2 | <message>2</message>
        ^ <message>2</message>
        v <m2/>
        < c <b><m2/></b>
        > d R+1 | <message>1</message>
        < d <b><m1/></b>
        > e R+3 | <message>3</message>
        ^ <message>3</message>
        v <m3/>
        < e <b><m3/></b>
        > f R+4 | <message>4</message>
        ^ <message>4</message>
        v <m4/>
        < f <b><m4/></b>
        > g R+1 | <message>1</message>
        < g <b><m1/></b>
        > h R+5 | <message>5</message>
        = <stream:features/>
        ^ <message>5</message>
        v <m5/>
        < h <b><m5/></b>
        > i R+6 | <message>6</message>
        ^ <message>6</message>
        v <m6/>
        < i <b><m6/></b>
        > j R+7 | <message>7</message>
        = <m2/>
        ^ <message>7</message>
        v <m7/>
        < j <b><m7/></b>
        > k R+8 | <message>8</message>
        = <m3/>
        ^ <message>8</message>
        v <m8/>
        < k <b><m8/></b>
        > l R+9 | <message>9</message>
        = <m1/>
        = <m4/>
        ^ <message>9</message>
        v <m9/>
        < l <b><m9/></b>
        > m R+1 | <message>1</message>
        < m <b type='terminate' condition='item-not-found'/>
    "#]]);
}

/// Strophe.js in a session it was attached to believes in a window of 5: the answer to R+1 is lost, it goes on
/// to R+5, and only then asks for it again.
#[test]
fn strophe_runs_ahead() {
    live(expect![[r#"
        > b R+1 | <message>1</message>
        ^ <message>1</message>
        v <m1/>
        < b <b><m1/></b>
        > c R+2 | <message>2</message>
        ^ <message>2</message>
        v <m2/>
        < c <b><m2/></b>
        > d R+3 | <message>3</message>
        ^ <message>3</message>
        v <m3/>
        < d <b><m3/></b>
        > e R+4 | <message>4</message>
        ^ <message>4</message>
        v <m4/>
        < e <b><m4/></b>
        > f R+5 | <message>5</message>
        = <stream:features/>
        ^ <message>5</message>
        v <m5/>
        < f <b><m5/></b>
        > g R+1 | <message>1</message>
        < g <b><m1/></b>
        > h R+6
        = <m1/>
        = <m2/>
        = <m3/>
        = <m4/>
        = <m5/>
    "#]]);
}

/// The same when R+1 never came: each younger one is told to repeat its elders, which Strophe.js takes for an
/// answer and goes on. Nothing is lost when R+1 comes at last; one more without an answer would be too many.
#[test]
fn strophe_runs_ahead_of_a_lost_request() {
    live(expect![[r#"
        > c R+2 | <message>2</message>
        + 10s
        < c <b type='error'/>  @10000ms
        > d R+3 | <message>3</message>
        + 10s
        < d <b type='error'/>  @10000ms
        > e R+4 | <message>4</message>
        v <m1/>
        > b R+1 | <message>1</message>
        ^ <message>1</message>
        ^ <message>2</message>
        ^ <message>3</message>
        ^ <message>4</message>
        < b <b><m1/></b>
        > f R+5
        = <stream:features/>
        = <m1/>
        < e <b/>
    "#]]);
}

/// Told to repeat its elders it goes on, and on.
#[test]
fn runs_ahead_too_far() {
    live(expect![[r#"
        > c R+2 | <message>2</message>
        + 10s
        < c <b type='error'/>  @10000ms
        > d R+3 | <message>3</message>
        > e R+4 | <message>4</message>
        < d <b type='terminate' condition='other-request'/>
        < e <b type='terminate' condition='item-not-found'/>
        # [<stream:features/>]
        # gone
    "#]]);
}

/// The same with as much as a page says before it has nothing left: its empty request is one more, and gets through.
#[test]
fn a_reload_skips_a_rid_and_says_much() {
    live(expect![[r#"
        > c R+2 | <message>2</message>
        + 10s
        < c <b type='error'/>  @10000ms
        > d R+3 | <message>3</message>
        + 10s
        < d <b type='error'/>  @10000ms
        > e R+4 | <message>4</message>
        + 10s
        < e <b type='error'/>  @10000ms
        > f R+5 | <message>5</message>
        + 10s
        < f <b type='error'/>  @10000ms
        > g R+6
        ^ <message>2</message>
        ^ <message>3</message>
        ^ <message>4</message>
        = <stream:features/>
        ^ <message>5</message>
    "#]]);
}

/// A page that was loaded anew goes on after a request that never left the old one: what it sends comes
/// through as soon as it is clear that nobody repeats the missing one, whose rid is then done with.
#[test]
fn a_reload_skips_a_rid() {
    live(expect![[r#"
        > b R+1
        = <stream:features/>
        ! b
        v <m1/>
        > d R+3 | <message>new</message>
        + 10s
        < d <b type='error'/>  @10000ms
        > e R+4
        ^ <message>new</message>
        < e <b><m1/></b>
        > c R+2 | <message>old</message>
        < c <b type='terminate' condition='item-not-found'/>
        v <m2/>
    "#]]);
}
