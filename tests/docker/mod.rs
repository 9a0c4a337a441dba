//! What every engine promises, asked of the scripted one and of a real one.
//!
//! `rules` holds the contract, one function a rule; `world` gives a rule an engine and programs to run on it. `real` holds what
//! only a real engine can show. Each test is a box of its own and removes whatever carries its label, also when it fails.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod push;
mod real;
mod rules;
mod world;

/// Makes two tests of each rule.
macro_rules! contract {
    ($($rule:ident),* $(,)?) => {
        mod on_the_fake {
            $(#[tokio::test(start_paused = true)]
            async fn $rule() {
                super::rules::$rule(&super::world::FakeWorld::new()).await;
            })*
        }

        mod on_docker {
            $(#[tokio::test]
            async fn $rule() {
                super::rules::$rule(&super::world::DockerWorld::new().await).await;
            })*
        }
    };
}

contract! {
    a_container_is_created_then_runs_and_is_found_by_its_labels,
    creating_the_same_instance_again_gives_the_same_container,
    a_container_needs_an_image_that_is_there,
    containers_are_listed_in_the_order_of_their_labels,
    another_box_sees_nothing,
    an_address_is_there_while_the_container_runs,
    an_exit_keeps_its_code,
    a_stopped_container_can_be_started_again,
    stop_returns_as_soon_as_the_process_has_ended,
    stop_kills_after_the_grace,
    what_is_gone_can_be_stopped_and_removed,
    events_tell_of_start_exit_and_removal,
    events_between_subscribing_and_reading_are_not_lost,
    a_log_has_the_newest_lines,
    a_followed_log_ends_with_the_container,
    a_log_of_no_container_is_an_error,
    a_command_needs_a_running_container,
    an_image_is_found_by_tag_and_id,
    removing_an_image_leaves_one_in_use,
    an_app_loses_its_own_images_only,
    an_app_loses_its_own_volumes_only,
    a_context_that_cannot_be_read_is_the_reason,
}
