//! Drills as one HTML page: [`page`].

mod axis;
mod escape;
mod figures;
mod lane;
mod legend;
mod mark;
mod page;
mod svg;
mod throughput;

pub(crate) use page::page;
