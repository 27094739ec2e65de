//! Every option: those that are honoured, as typed settings, and what becomes of the others.

mod section;
#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "the words are those of the sample file too, where [cache] is a section"
)]
pub(crate) mod sections;
pub(crate) mod table;
pub(crate) mod unsupported;
