"""What a holder keeps in its store of studies: offers refused, runs joined, tables attested."""
