"""How each kind of configured target is reached: shared by probes, which look, and actions, which change."""
