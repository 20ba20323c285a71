"""What a holder's own people do at the command line, one file a matter."""
