"""What a coordinator keeps in its store of studies: submitted, run, summed, to be released."""
