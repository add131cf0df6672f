"""A small, honest batch job: makes a noisy series, cleans it, describes it, fits a line, writes the result as JSON.

Same DATA_POINTS and SEED, same result file. Needs Python 3.9 or newer and its standard library; no network, no root.
"""

import hashlib
import json
import os
import random
import signal
import statistics
import sys
import time
from pathlib import Path

USAGE = 64  # the exit code for "you asked for something that can not be"


def setting(name, default, low, high):
    """Reads a whole number from the environment; a bad one ends the job with a sentence that says what is allowed."""
    text = os.environ.get(name, str(default))
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        print(f"error: {name}={text!r} is not a whole number from {low} to {high}", file=sys.stderr, flush=True)
        sys.exit(USAGE)
    return value


class Progress:
    """Prints one line per tenth of a stage, flushed, so that a follower sees the work as it happens."""

    def __init__(self, delay_ms, stages):
        self.delay = delay_ms / 1000
        self.stages = stages
        self.stage = 0

    def each(self, name, items):
        """Yields the items of one stage and tells how far it is."""
        self.stage += 1
        total = len(items)
        for done, item in enumerate(items, start=1):
            yield item
            if done * 10 // total != (done - 1) * 10 // total:
                time.sleep(self.delay)
                share = 100 * (self.stage - 1 + done / total) / self.stages
                print(f"[{share:3.0f}%] {name}: {done} of {total}", flush=True)


def generate(progress, points, seed):
    """A rising line with noise, and now and then a wild value as broken sensors give them."""
    source = random.Random(seed)
    series = []
    for x in progress.each("generate", range(points)):
        wild = source.random() < 0.05
        series.append((x, 20 + 0.5 * x + source.gauss(0, 3) + (source.choice((-1, 1)) * 60 if wild else 0)))
    return series


def fit(series):
    """Least squares: slope and intercept of the line through the points."""
    xs, ys = zip(*series)
    mean_x, mean_y = statistics.fmean(xs), statistics.fmean(ys)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in series) / sum((x - mean_x) ** 2 for x in xs)
    return slope, mean_y - slope * mean_x


def clean(progress, series):
    """Drops values that lie further than six median deviations from the line through the rest."""
    slope, intercept = fit(series)
    rests = [y - (slope * x + intercept) for x, y in series]
    middle = statistics.median(rests)
    limit = 6 * statistics.median(abs(rest - middle) for rest in rests)
    kept = []
    for point, rest in progress.each("clean", list(zip(series, rests))):
        if abs(rest - middle) <= limit:
            kept.append(point)
    return kept


def smooth(progress, series, window=5):
    """A moving average."""
    values = [y for _, y in series]
    return [statistics.fmean(values[max(0, i - window + 1) : i + 1]) for i in progress.each("smooth", range(len(values)))]


def describe(values):
    """The numbers that people ask for first."""
    deciles = statistics.quantiles(values, n=10)
    summary = {
        "min": min(values),
        "p10": deciles[0],
        "median": statistics.median(values),
        "mean": statistics.fmean(values),
        "p90": deciles[8],
        "max": max(values),
        "stdev": statistics.stdev(values),
    }
    return {name: round(value, 3) for name, value in summary.items()}


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    points = setting("DATA_POINTS", 100, 50, 150)
    seed = setting("SEED", 42, 0, 2**32)
    delay = setting("STEP_DELAY_MS", 20, 0, 60_000)
    out = Path(os.environ.get("CLOUDAI_OUTPUT_DIR", "/out"))
    print(f"data-processing: {points} points, seed {seed}", flush=True)

    progress = Progress(delay, stages=3)
    series = generate(progress, points, seed)
    kept = clean(progress, series)
    smoothed = smooth(progress, kept)
    slope, intercept = fit(kept)
    result = {
        "points": points,
        "seed": seed,
        "kept": len(kept),
        "outliers": points - len(kept),
        "trend": {"slope": round(slope, 4), "intercept": round(intercept, 4)},
        "raw": describe([y for _, y in series]),
        "cleaned": describe([y for _, y in kept]),
        "last_smoothed": round(smoothed[-1], 3),
        "checksum": hashlib.sha256(json.dumps([round(y, 6) for y in smoothed]).encode()).hexdigest()[:16],
    }
    try:
        (out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    except OSError as why:
        print(f"error: the result can not be written: {why}", file=sys.stderr, flush=True)
        sys.exit(1)
    print(f"done: {result['kept']} points kept, slope {slope:.3f}; result in {out / 'result.json'}", flush=True)


if __name__ == "__main__":
    main()
