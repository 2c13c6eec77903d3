"""How the built-in styles were made; not part of the wheel."""
