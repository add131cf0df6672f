//! Recorded workloads: read, judged and reported.

mod judged;
mod read;
mod reported;
