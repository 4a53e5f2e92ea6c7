//! The ractor shells: pool actor, allocation actor, supervisor, directory.
