"""First-order directional patterns."""

PATTERNS = {
    "omni": 1.0,
    "subcardioid": 0.75,
    "cardioid": 0.5,
    "hypercardioid": 0.25,
    "figure_eight": 0.0,
}
"""Share p of the omnidirectional part in the gain `p + (1 - p) * cos(angle)` of each pattern."""


def omni_share(pattern: str, name: str) -> float:
    """Returns the share p of a pattern; `name` is that of the argument, for the error."""
    if not isinstance(pattern, str) or pattern not in PATTERNS:
        raise ValueError(f"`{name}` must be one of {list(PATTERNS)}. Received: {name}={pattern!r}")
    return PATTERNS[pattern]


def diffuse_gain(share: float) -> float:
    """Root mean square of the gain over all directions."""
    return (share**2 + (1 - share) ** 2 / 3) ** 0.5
