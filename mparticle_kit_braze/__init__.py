"""An mParticle-like client whose calls reach Braze as mParticle's own Braze kits send them."""
