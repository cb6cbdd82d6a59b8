up_kind() { fail todo; }
