"""How a result comes out: cosigned by holders, through the export gate."""
