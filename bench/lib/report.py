"""What is printed and kept: medians over the rounds, aligned tables, facts about the machine."""
import json
import os
import platform
import re
import subprocess
import time
from statistics import median


def summarize(rounds, floor):
    """Medians over one server's rounds of a row. The ratio is the median of the ratios to the floor
    of the same round, because rounds drift more than the two measurements within one."""
    keys = ["cpu_us", "rps", "p50_us", "p99_us", "rss_bytes", "busy"]
    result = {}
    for k in keys:
        values = [r[k] for r in rounds.values() if r[k] is not None]
        result[k] = median(values) if values else None
    result["cpu_us_min"] = min(r["cpu_us"] for r in rounds.values())
    result["cpu_us_max"] = max(r["cpu_us"] for r in rounds.values())
    ratios = [r["cpu_us"] / floor[n]["cpu_us"] for n, r in rounds.items() if n in floor]
    result["ratio"] = median(ratios) if ratios else None
    result["response_bytes"] = next(iter(rounds.values()))["response_bytes"]
    return result


def _table(head, lines):
    widths = [max(len(line[i]) for line in [head] + lines) for i in range(len(head))]
    for line in [head] + lines:
        cells = [line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip())


def _time(us):
    if us is None:
        return "-"
    return "%.2f ms" % (us / 1000) if us >= 1000 else "%.0f us" % us


def print_row(title, summaries):
    print("\n" + title)
    lines = []
    for name, s in summaries.items():
        digits = 2 if s["cpu_us"] < 100 else 1
        lines.append([
            name, "%.*f" % (digits, s["cpu_us"]),
            "%.*f..%.*f" % (digits, s["cpu_us_min"], digits, s["cpu_us_max"]),
            "%.2f" % s["ratio"] if s["ratio"] else "-",
            "%.0f" % s["rps"], _time(s["p50_us"]), _time(s["p99_us"]),
            "%.1f MB" % (s["rss_bytes"] / 1e6), "%.0f %%" % min(100, 100 * s["busy"])])
    _table(["server", "us CPU/request", "min..max", "ratio", "req/s", "p50", "p99", "RSS", "busy"],
           lines)


def print_idle(title, summaries):
    print("\n" + title)
    _table(["server", "bytes/connection", "before", "after", "connections"],
           [[name, "%.0f" % s["bytes_per_connection"], "%.1f MB" % (s["before_bytes"] / 1e6),
             "%.1f MB" % (s["after_bytes"] / 1e6), str(s["connections"])]
            for name, s in summaries.items()])


def print_figures(title, summaries):
    """A line for each figure, a column for each program; the ratios are to the first one."""
    print("\n" + title)
    names = list(dict.fromkeys(name for s in summaries.values() for name in s))
    first = next(iter(summaries.values()), {})
    lines = []
    for name in names:
        line = [name]
        for s in summaries.values():
            if name not in s:
                line.append("-")
            elif s is first or not first.get(name):
                line.append("%.*f" % (1 if s[name] < 1000 else 0, s[name]))
            else:
                line.append("%.*f (%.2f)" % (1 if s[name] < 1000 else 0, s[name],
                                             s[name] / first[name]))
        lines.append(line)
    _table(["figure"] + list(summaries), lines)


def _first(pattern, path):
    try:
        with open(path) as f:
            found = re.search(pattern, f.read(), re.M)
            return found.group(1) if found else None
    except OSError:
        return None


def machine():
    system = _first(r'^PRETTY_NAME="?([^"\n]*)', "/etc/os-release")
    return {
        "cpu": _first(r"^(?:model name|Model)\s*:\s*(.*)", "/proc/cpuinfo") or platform.machine(),
        "arch": platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "system": system,
        "hypervisor": bool(_first(r"^flags.*\b(hypervisor)\b", "/proc/cpuinfo")),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def build_options(build):
    """The meson options that decide what a figure is worth; {} where the directory is no build."""
    try:
        with open(os.path.join(build, "meson-info", "intro-buildoptions.json")) as f:
            options = {o["name"]: o["value"] for o in json.load(f)}
    except (OSError, ValueError):
        return {}
    return {k: options.get(k) for k in ("buildtype", "optimization", "b_sanitize", "c_args")}


def commit(root):
    try:
        done = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return done.stdout.strip() or None
    except OSError:
        return None


def write_json(path, everything):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".new", "w") as f:
        json.dump(everything, f, indent=1)
        f.write("\n")
    os.replace(path + ".new", path)
