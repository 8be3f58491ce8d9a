"""Tables of `bands.py`: α, β and gradients during training, scores, agreement of networks."""

import itertools

import numpy as np

from keras_avssan.evaluation import Evaluation, paired_difference


def trace_table(rows):
    """α, β and gradients during training."""
    lines = [
        "| network | step | α fine, mid, full | entropy of α | frames with α above 0.9 "
        "| spread of α | entropy of β, fine, mid | gradient, fine : mid : full |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        for record in row["trace"]:
            gradient = record.get("gradient")
            cells = [
                f"`{name}`",
                str(record["step"]),
                ", ".join(f"{value:.2f}" for value in record["alpha"].values()),
                f"{record['alpha_entropy']:.2f}",
                f"{100 * record['alpha_histogram'][-1]:.0f} %",
                f"{record['alpha_spread']:.2f}",
                ", ".join(f"{value:.2f}" for value in record["beta_entropy"].values()) or "–",
                " : ".join(f"{value:.1g}" for value in gradient.values()) if gradient else "–",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def score_table(rows, levels, references=None):
    """Scores by SNR, and the paired difference of another network minus the row's.

    That is the network that `references` has for the row; without them, the first one.
    """
    first = next(iter(rows))
    titles = [f"{title}, {snr} dB" for snr in levels for title in ("selection", "MAE", "ACC@5°")]
    gains = [f"{t}, {snr} dB" for snr in levels for t in ("Δ selection", "Δ MAE", "Δ ACC@5°")]
    lines = [
        "| network | " + " | ".join(titles + gains) + " | minutes |",
        "|---" * (2 + len(titles) + len(gains)) + "|",
    ]
    for name, row in rows.items():
        scores, differences = [], []
        reference = references[name] if references else first
        other = rows.get(reference) if reference != name else None
        for snr in levels:
            evaluation = evaluation_at(row, snr)
            summary = evaluation.summary()["scores"]
            scores += [_cell(key, summary[key]) for key in _SCORES]
            if other is None:
                differences += ["–"] * len(_SCORES)
                continue
            difference = paired_difference(evaluation_at(other, snr), evaluation)
            differences += [_cell(key, difference[key], "+") for key in _SCORES]
        minutes = f"{row['seconds'] / 60:.1f}" if "seconds" in row else "–"
        lines.append(f"| `{name}` | " + " | ".join([*scores, *differences, minutes]) + " |")
    return "\n".join(lines)


_SCORES = {"selection": 100.0, "mae": 1.0, "acc_5deg": 100.0}


def evaluation_at(row, snr):
    """The evaluation of a row at an SNR, a string."""
    further = row["further_snr"]
    return Evaluation.from_dict(further[snr] if snr in further else row["evaluation"])


def _cell(key, score, sign=""):
    values = [_SCORES[key] * value for value in (score["mean"], *score["interval"])]
    mean, low, high = (f"{value:{sign}.1f}" for value in values)
    return f"{mean} ({low} to {high})".replace("-", "−")


def agreement_table(rows, levels):
    """Pairs of networks: the scenes in which both select the target, one alone, neither."""
    lines = [
        "| networks | SNR | both | first alone | second alone | neither "
        "| best of both, scene by scene | mean of both | correlation |",
        "|---" * 9 + "|",
    ]
    for first, second in itertools.combinations(rows, 2):
        for snr in levels:
            pair = [
                evaluation_at(rows[name], snr).scores.per_scene()["selection"]
                for name in (first, second)
            ]
            known = ~np.isnan(pair).any(axis=0)
            one, other = (values[known] for values in pair)
            both = one * other
            shares = [both, one - both, other - both, (1 - one) * (1 - other)]
            shares += [1 - (1 - one) * (1 - other), 0.5 * (one + other)]
            cells = [f"{100 * np.mean(values):.1f} %" for values in shares]
            differ = one.std() > 0 and other.std() > 0
            correlation = f"{np.corrcoef(one, other)[0, 1]:.2f}" if differ else "–"
            names = f"`{first}`, `{second}`"
            lines.append(f"| {names} | {snr} dB | {' | '.join(cells)} | {correlation} |")
    return "\n".join(lines)
