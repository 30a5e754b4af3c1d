//! Browser sessions: started, renewed, listed, ended.
