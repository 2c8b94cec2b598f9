"""From survey units to what the networks eat: resampling, normalising, filling gaps; numpy and scipy only."""
