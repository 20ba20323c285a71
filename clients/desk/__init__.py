"""What a holder's own people do, without any argument parsing: a command line and a console need the same."""
