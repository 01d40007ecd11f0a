
mod merge_laws;
