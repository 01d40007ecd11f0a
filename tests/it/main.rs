mod merge_laws;
mod merge_table;
