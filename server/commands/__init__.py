"""Sub-commands of `ringfence-server`, one module each; what they do stands in `server/desk`."""
