//! What every store must do. A new one adds a module below and nothing else.

mod accounts;
mod extra;
mod history;
mod life;
mod messages;
mod model;
mod private;
mod rosters;
mod server;
mod subject;

use herald_storage::sqlite::{Settings, Sqlite};
use herald_storage::{Memory, Retention, Store};
use std::path::Path;
use std::sync::Arc;
use subject::Subject;

macro_rules! cases {
    ($open:path: $($room:ident::{$($case:ident),* $(,)?})*) => {$($(
        #[test]
        fn $case() {
            crate::$room::$case(&Subject::new($open, HISTORY));
        }
    )*)*};
}

/// What holds for a store as long as it is open.
macro_rules! any_store {
    ($open:path) => {
        cases! { $open:
            accounts::{
                create_replace_upsert, import_counts_the_new, pages_follow_on, keys_come_back_whole,
                deleting_takes_everything, a_new_owner_never_repeats_ids_or_versions,
                nothing_is_written_for_nobody,
            }
            rosters::{
                items_come_back_whole, each_change_is_a_version, changes_since_a_version,
                hidden_items, old_versions_get_it_all, a_group_that_cannot_be_kept,
            }
            messages::{
                ids_count_up, ids_are_never_reused, pages_of_pending, pages_end_by_their_bytes, delivered_is_gone,
                delivered_up_to_one, expired_is_unseen, users_count_for_themselves, stanzas_come_back_byte_for_byte,
                many_threads_one_user, places_set_aside,
            }
            extra::{the_newest_of_a_key, a_key_counts_once, one_body_for_all, one_that_is_over_is_not_kept}
            server::{
                groups_and_their_members, members_have_accounts, keys_of_backends, answers_given_again,
                when_they_were_last_seen, on_their_way_out,
            }
            private::{put_and_remove, spaces_and_keys_are_apart}
            life::{closed_takes_nothing, answers_as_futures, stats_count, read_your_writes, begins_with_all_of_it}
            model::{random_walks}
        }
    };
}

/// What holds for a store with a history.
macro_rules! remembering_store {
    ($open:path) => {
        cases! { $open:
            history::{delivered_messages_stay, pages_both_ways, late_ones_are_pending, only_in_the_log}
        }
    };
}

/// What holds for a store with a history of eight messages.
macro_rules! short_memory {
    ($open:path) => {
        cases! { $open: history::{the_oldest_go_by_number} model::{random_walks} }
    };
}

/// What holds for a store without a history, beside all the rest.
macro_rules! forgetting_store {
    ($open:path) => {
        any_store!($open);
        cases! { $open: history::{without_one_delivered_is_gone} extra::{a_body_goes_with_the_last} }
    };
}

/// What holds for a store that is opened again, or twice.
macro_rules! lasting_store {
    ($open:path) => {
        cases! { $open:
            life::{everything_is_there_again, close_drains, two_at_once, opened_by_many_at_once}
        }
    };
}

const USUAL: Retention = Retention { days: 30, messages_max: 10_000 };
const SHORT: Retention = Retention { days: 30, messages_max: 8 };

mod sqlite {
    use super::*;

    const HISTORY: Retention = USUAL;

    fn open(dir: &Path) -> Arc<dyn Store> {
        Sqlite::open(dir, Settings { history: HISTORY, ..Settings::default() }).unwrap()
    }

    any_store!(open);
    remembering_store!(open);
    lasting_store!(open);
}

mod sqlite_short {
    use super::*;

    const HISTORY: Retention = SHORT;

    fn open(dir: &Path) -> Arc<dyn Store> {
        Sqlite::open(dir, Settings { history: HISTORY, ..Settings::default() }).unwrap()
    }

    short_memory!(open);
}

mod sqlite_forgetting {
    use super::*;

    const HISTORY: Retention = Retention::NONE;

    fn open(dir: &Path) -> Arc<dyn Store> {
        Sqlite::open(dir, Settings { history: HISTORY, ..Settings::default() }).unwrap()
    }

    forgetting_store!(open);
}

mod memory {
    use super::*;

    const HISTORY: Retention = USUAL;

    fn open(_: &Path) -> Arc<dyn Store> {
        Arc::new(Memory::keeping(HISTORY))
    }

    any_store!(open);
    remembering_store!(open);
}

mod memory_short {
    use super::*;

    const HISTORY: Retention = SHORT;

    fn open(_: &Path) -> Arc<dyn Store> {
        Arc::new(Memory::keeping(HISTORY))
    }

    short_memory!(open);
}

mod memory_forgetting {
    use super::*;

    const HISTORY: Retention = Retention::NONE;

    fn open(_: &Path) -> Arc<dyn Store> {
        Arc::new(Memory::keeping(HISTORY))
    }

    forgetting_store!(open);
}
