"""What people agree on: schema, contract, study, declaration; and whether a study may run under them."""
