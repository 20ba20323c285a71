"""What a party keeps on its disk: its database with a lease, its journal, files of tensors."""
