//! Reading one object whole.
