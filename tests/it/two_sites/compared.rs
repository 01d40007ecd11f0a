//! `capture = "scan"`: the stories that are told with triggers, told again without; and what is its own.

use crate::dsl::check::at_rest;
use crate::dsl::{comparing, settle, two};

macro_rules! again {
    ($($room:ident { $($name:ident)* })*) => {
        $(mod $room {
            $(#[test]
            fn $name() {
                crate::dsl::comparing(super::super::$room::$name);
            })*
        })*
    };
}

again! {
    anew {
        a_doctor_entered_anew_is_the_same_doctor
        all_doctors_numbered_anew_are_the_same_doctors
        a_patient_entered_anew_has_the_chart_they_had
    }
    loose {
        a_bed_that_is_left_stays_one_bed
        what_is_noted_of_a_bed_travels_whoever_lies_in_it
        a_patient_deleted_beside_a_bed_that_is_left_comes_back
        the_next_patient_gets_the_bed
        a_bed_changes_hands_between_two_synchronizations
        a_patient_who_comes_back_lies_in_the_bed_again
        what_a_deleted_row_leaves_behind_is_there_once_when_it_is_back
        a_bed_left_here_and_taken_there_is_not_lost
        who_no_longer_meets_where_stays_and_is_followed
    }
    found {
        a_line_whose_number_moves_away_with_another_one_comes_back
        what_points_to_a_visit_that_moved_still_points_to_it
        what_points_to_a_visit_that_came_back_points_to_it_again
    }
    edits {
        a_new_patient_travels_with_everything_below
        an_update_travels_from_every_depth
        a_row_inserted_at_every_depth_travels
        an_idle_sync_writes_nothing
    }
    saving {
        an_update_of_all_columns_with_equal_values_is_no_news
        replace_under_the_same_key_is_a_change_of_that_row
        replace_of_a_patient_keeps_the_children
        replace_that_takes_a_unique_value_from_another_row_deletes_nobody
        lines_deleted_and_inserted_anew_are_the_same_lines
        a_changed_line_saved_anew_does_not_double_the_list
        keyless_and_composite_lines_saved_anew
        a_key_used_again_is_a_new_row
        a_patient_key_used_again_is_another_person
        a_row_moves_within_its_record
        a_visit_moves_to_another_patient_with_its_prescriptions
        an_invoice_moves_to_another_patient_with_its_lines
        a_visit_moved_at_both_sites_alike_is_one
        a_visit_moved_here_and_edited_there_is_in_both
        a_visit_moves_there_and_back
        a_vacuum_of_the_host_hides_no_edit
        a_vacuum_between_edit_and_sync_hides_no_edit
        a_table_rebuilt_without_our_triggers_is_scanned
        a_swap_of_unique_values_travels
        a_vacuum_does_not_make_one_row_another
        a_new_line_under_a_deleted_ones_number_is_another_line
    }
    deletion {
        a_local_delete_that_came_back_is_told_from_what_was_received
        a_restore_from_the_trash_is_no_edit_that_brought_something_back
        deleting_a_doctor_whom_charts_point_to_says_what_happens
        a_deleted_patient_goes_though_their_rows_point_to_each_other
        a_local_delete_comes_back
        a_local_delete_of_an_edited_row_comes_back_as_known
        ask_keeps_a_deleted_row_away_here_only
        ask_for_a_whole_patient
        an_ordered_delete_travels
        an_ordered_delete_of_a_row_takes_what_is_below
        cfs_delete_in_the_hosts_own_transaction
        cfs_delete_of_a_row_that_was_never_sent
        cfs_delete_of_a_new_row_still_there
        delete_here_and_edit_there_brings_it_back_and_says_so
        delete_here_and_a_new_child_there_brings_it_back
        a_delete_that_had_seen_the_edit_deletes
        a_delete_follows_an_edit_whose_segment_never_came
        deleted_at_both_stays_deleted
        restore_brings_everything_back_everywhere
        purge_strips_and_an_unseen_edit_brings_back_what_its_author_has
        purge_strips_everywhere
        a_stripped_chart_comes_back_whole_where_rows_point_to_it
        a_chart_stripped_everywhere_comes_back_from_who_slept_with_a_link_to_it
        an_erased_patient_never_comes_back
        a_link_to_a_deleted_patient_leaves_no_orphan
        a_doctor_deleted_while_another_site_points_to_them
        links_typed_just_before_the_people_they_point_to_are_deleted
        a_link_with_a_long_story_typed_just_before_the_person_it_points_to_is_deleted
        links_typed_just_before_a_deletion_arrives_bring_the_people_back
        links_that_arrive_with_the_deletion_bring_the_people_back
        a_link_comes_back_with_the_person_it_points_to
        a_link_that_the_deleter_had_not_seen_brings_the_person_back
        erasure_reaches_the_logs_and_what_else_they_said_still_arrives
    }
    meanwhile {
        nothing_typed_at_any_moment_of_a_sync_is_lost
    }
    conflicts {
        different_fields_both_live
        of_the_same_field_the_later_lives_and_the_other_is_kept
        the_same_value_at_both_is_no_conflict
        a_write_replaces_only_what_the_host_showed
        a_decision_takes_the_others_away_everywhere
        a_decision_that_had_not_seen_a_third_value_keeps_it
        a_conflict_copy_is_merged_and_deleted
        a_conflict_copy_stays_where_it_is_wanted
        a_conflict_copy_under_every_name_is_imported
        copies_of_a_file_that_is_gone_make_it_again
        a_silent_overwrite_is_made_good_by_the_log_alone
        children_of_both_sites_all_live
        a_stale_form_counts_as_not_having_seen_the_import
        a_decision_does_not_remove_what_came_since
        a_copy_goes_once_the_records_file_holds_it
        a_decision_takes_only_what_was_shown
        a_value_that_lost_moves_with_its_row
    }
    identity {
        a_restored_backup_undoes_nothing_and_loses_nothing
        a_restored_backup_before_the_folder_has_arrived
        a_backup_does_not_undo_a_deletion
        a_backup_of_the_deleter_does_not_undo_its_deletion
        a_database_copied_to_a_second_computer
        a_whole_machine_copied
        a_copy_with_the_same_field_edited_keeps_both_values
        the_keeper_lost_costs_a_new_id_and_nothing_else
        a_site_that_joins_late_gets_everything
        a_site_that_joins_by_logs_alone_or_files_alone
        joining_with_the_same_people
        joining_with_the_same_people_one_after_the_other
        joining_with_a_database_that_began_as_a_copy_of_the_other
        a_database_of_another_folder_is_refused
        clocks_ten_years_apart
        a_site_away_for_a_year
    }
}

#[test]
fn the_hosts_schema_has_no_trigger_of_ours_and_a_rest_writes_nothing() {
    comparing(|| {
        let (mut a, mut b, mut cloud) = two();
        a.add("p1");
        a.visit("p1", "d1", "one");
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        for s in [&mut a, &mut b] {
            s.sync();
            let before = s.conn.total_changes();
            s.sync();
            assert_eq!(s.conn.total_changes() - before, 1, "only the test's own clock moves");
            for master in ["sqlite_master", "sqlite_temp_master"] {
                assert_eq!(s.get(&format!("SELECT count(*) FROM {master} WHERE type = 'trigger' AND name LIKE 'cfs%'")), "0");
            }
            cloud_folder_sync::setup::detach(&s.conn).unwrap();
            assert_eq!(s.get("SELECT count(*) FROM sqlite_master WHERE name LIKE 'cfs%'"), "0");
        }
    });
}

/// With triggers, a line saved anew under its old number is another line; here it is that line, edited.
#[test]
fn a_line_rewritten_here_and_edited_there_keeps_both_values() {
    comparing(|| {
        let (mut a, mut b, mut cloud) = two();
        a.add("p1");
        a.visit("p1", "d1", "one");
        a.sql("INSERT INTO prescription (visit_id, drug, dose) VALUES (1, 'aspirin', '1'), (1, 'codeine', '2')");
        settle(&mut [&mut a, &mut b], &mut cloud);
        a.sql("DELETE FROM prescription; INSERT INTO prescription (visit_id, drug, dose) VALUES (1, 'aspirin', '1'), (1, 'codeine', '3')");
        b.sql("UPDATE prescription SET dose = '2 at night' WHERE drug = 'codeine'");
        a.sync();
        b.sync();
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        let known = crate::dsl::check::known(&a);
        assert!(["2 at night", ">3<"].iter().all(|w| known.values().any(|k| k.contains(w))), "{known:?}");
    });
}

/// A large value is known by its hash: it must not look like no value (storm 1007).
#[test]
fn a_large_value_that_follows_a_large_value_is_an_edit() {
    comparing(|| {
        let (mut a, mut b, mut cloud) = two();
        a.add("p1");
        a.edit("p1", "phone", &"a".repeat(20_000));
        settle(&mut [&mut a, &mut b], &mut cloud);
        a.edit("p1", "phone", &"b".repeat(20_000));
        settle(&mut [&mut a, &mut b], &mut cloud);
        assert_eq!(b.get("SELECT substr(phone, 1, 2) FROM patient"), "bb");
    });
}

/// A form that was open during the synchronization puts back exactly what stood there before.
#[test]
fn a_stale_form_is_seen_though_all_looks_as_before() {
    comparing(|| {
        let (mut a, mut b, mut cloud) = two();
        a.add("p1");
        a.edit("p1", "phone", "old");
        settle(&mut [&mut a, &mut b], &mut cloud);
        b.sync();
        a.edit("p1", "phone", "new");
        a.sync();
        cloud.carry();
        b.sync();
        b.edit("p1", "phone", "old");
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        let known = crate::dsl::check::known(&a);
        assert!(["old", "new"].iter().all(|w| known.values().any(|k| k.contains(w))), "{known:?}");
        assert_eq!(a.state().count_flagged(cloud_folder_sync::state::SUPERSEDED).unwrap(), 1);
    });
}

/// From comparing to triggers and back: what happened in between is known to nobody but the rows.
#[test]
fn a_site_that_changes_how_it_captures_misses_nothing() {
    comparing(|| {
        let (mut a, mut b, mut cloud) = two();
        a.add("p1");
        settle(&mut [&mut a, &mut b], &mut cloud);
        for (n, scan) in [false, true, false, true].into_iter().enumerate() {
            a.edit("p1", "phone", &format!("before {n}"));
            a.mapping.scan = scan;
            a.sync();
            let triggers = a.get("SELECT CAST(count(*) AS TEXT) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'cfs%'");
            assert_eq!(triggers == "0", scan, "{triggers}");
            a.edit("p1", "first_name", &format!("after {n}"));
            settle(&mut [&mut a, &mut b], &mut cloud);
            assert_eq!(b.get("SELECT phone || first_name FROM patient"), format!("before {n}after {n}"));
        }
    });
}

/// It was taken for another row under the number of the one that had it, and what had come meanwhile was deleted with that (storm 1003303).
#[test]
fn a_stale_form_that_puts_a_whole_line_back_is_that_line() {
    comparing(|| {
        let (mut a, mut b, mut cloud) = crate::dsl::two_with_p1();
        for edit in ["dose = '9' WHERE drug = 'aspirin'", "drug = 'paracetamol' WHERE dose = '9'"] {
            b.sql(&format!("UPDATE prescription SET {edit}"));
            b.sync();
        }
        cloud.carry();
        a.sync();
        a.sql("UPDATE prescription SET drug = 'aspirin', dose = '1' WHERE drug = 'paracetamol'");
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        let (id, row) = a.row("prescription", &vec![cloud_folder_sync::value::Value::Integer(1)]);
        for s in [&a, &b] {
            assert_eq!(s.get("SELECT group_concat(drug || dose, ' ') FROM (SELECT * FROM prescription ORDER BY drug)"), "aspirin1 codeine2");
            let known = s.known(&id);
            assert_eq!(known.rows[&row].tombstone, None);
            let drugs = known.rows[&row].fields.iter().find(|(f, _)| &*f.name == "drug").map(|(_, f)| f.0.len());
            assert_eq!(drugs, Some(2), "what came meanwhile waits for a person's decision");
        }
    });
}
