//! What no policy may widen: token caveats, roles, project status.
