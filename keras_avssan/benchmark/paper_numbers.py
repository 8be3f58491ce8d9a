"""Published scores of the paper's tables: MAE in degrees and ACC@5° in percent."""

# Table 2, at 0, -5 and -10 dB.
_TABLE_2: dict[str, tuple[tuple[float, float], ...]] = {
    "seldnet": ((32.19, 51.27), (32.82, 49.91), (33.49, 44.67)),
    "gcc_mlp": ((30.08, 54.89), (30.94, 52.98), (31.22, 51.69)),
    "mlp_avc": ((28.92, 55.28), (29.13, 51.63), (29.97, 50.74)),
    "avmlp": ((25.42, 59.34), (30.07, 55.24), (31.72, 51.62)),
    "dgb": ((19.09, 63.87), (30.38, 56.63), (30.98, 52.87)),
    "avst": ((21.53, 64.14), (26.94, 58.71), (27.21, 55.51)),
    "avseld": ((18.95, 67.56), (22.81, 60.86), (24.69, 57.21)),
    "cmaf": ((18.65, 67.71), (22.17, 61.90), (24.52, 57.51)),
    "avssan_paper": ((16.59, 71.29), (19.77, 65.28), (23.08, 60.19)),
}
# Table 3, on STARSS23.
_TABLE_3 = {
    "mlp_avc": (36.85, 41.23),
    "avmlp": (35.19, 40.12),
    "dgb": (36.27, 42.76),
    "avst": (33.28, 45.34),
    "avseld": (28.54, 51.64),
    "cmaf": (30.03, 50.87),
    "avssan_paper": (27.46, 52.31),
}
# Table 4, at 0 dB.
_TABLE_4 = {
    "v": (28.54, 51.38),
    "v_a": (22.21, 61.99),
    "v_a_mb": (19.19, 68.04),
    "v_a_mb_ba": (17.98, 69.48),
    "avssan_base": (16.59, 71.29),
}


def paper_numbers(name: str) -> dict[tuple[int, float | None], tuple[float, float]]:
    """Published scores of a system, by `(table, SNR in dB)`, or `(3, None)` for STARSS23."""
    numbers: dict[tuple[int, float | None], tuple[float, float]] = {
        (2, snr): pair
        for snr, pair in zip((0.0, -5.0, -10.0), _TABLE_2.get(name, ()), strict=False)
    }
    if name in _TABLE_3:
        numbers[3, None] = _TABLE_3[name]
    if name in _TABLE_4:
        numbers[4, 0.0] = _TABLE_4[name]
    return numbers
