"""Commands of `ringfence-simulate` that need no table: a first study, and what its answers may be worth."""
