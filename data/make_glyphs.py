"""Makes `glyphs.csv` from OpenMoji's own table: `python data/make_glyphs.py openmoji.json > data/glyphs.csv`.

`openmoji.json` is the file `data/openmoji.json` of OpenMoji 17.0.0 (also in the npm package `openmoji`). Unicode emoji
take their English and Chinese names from the package `emoji`; OpenMoji's additional drawings keep the names that their
authors gave.
"""

import csv
import hashlib
import json
import sys
from pathlib import Path

import emoji

from mmcourse.datasets import openmoji

HELD_OUT = {"test": 250, "val": 150}
SEED = "mmcourse glyphs 1"
# Additional drawings: trademarks, flags, buttons of user interfaces and real persons stay out.
SKIPPED_SUBGROUPS = {"brand", "queer-symbols", "subdivision-flag", "regional-indicator", "ui-element"}
SKIPPED = {
    *("002D", "20E3", "25A1"),  # no picture of its own: a dash, a part of a keycap, a placeholder
    *("E149", "E183", "E188", "E1C9", "E1D0", "E1D3", "E1DA"),  # trademarks and real persons
    *("E146", "E148", "E207", "E208", "E209", "E20A"),  # known in one town only
}
RENAMED = {"E004": "spouting orca", "E1C7": "light-emitting diode", "E308": "heartbeat waves", "E329": "CT scan"}
GROUPS = {
    "climate-environment": "travel-places",
    "emergency": "symbols",
    "gardening": "objects",
    "healthcare": "objects",
    "interaction": "symbols",
    "people": "people-body",
    "symbol-other": "symbols",
    "technology": "objects",
}


def clean(name: str) -> str:
    return " ".join(name.strip(":").replace("_", " ").replace("’", "'").split())


def rows(table: list[dict], lexicon: set[str]) -> list[dict]:
    """One row for each drawing, in OpenMoji's order, no name and no picture twice."""
    names, pictures, result = set(), set(), []
    for entry in table:
        code, group, subgroup = entry["hexcode"], entry["group"], entry["subgroups"]
        joined, extra = "200D" in code, group.startswith("extras")
        if joined or entry["skintone"] or group in ("flags", "component") or code in SKIPPED:
            continue
        if extra and subgroup in SKIPPED_SUBGROUPS:
            continue
        plain = entry["emoji"].replace("\ufe0f", "")
        spellings = (entry["emoji"], plain, f"{plain}\ufe0f")
        known = next((emoji.EMOJI_DATA[c] for c in spellings if c in emoji.EMOJI_DATA), {})
        if not extra and not known:
            sys.exit(f"the package emoji does not know {code} {entry['annotation']!r}; install a newer one")
        name = RENAMED.get(code, clean(entry["annotation"] if extra else known["en"]))
        picture = openmoji.rasterize(code, 96).numpy().tobytes()
        if name.lower() in names or picture in pictures:
            continue
        names.add(name.lower())
        pictures.add(picture)
        group = GROUPS.get(subgroup, subgroup) if extra else group
        chinese = "" if extra else clean(known.get("zh", "")).replace(" ", "")
        result.append({"code": code, "name": name, "chinese": chinese, "group": group, "subgroup": subgroup})
    return split(result, lexicon)


def split(rows: list[dict], lexicon: set[str]) -> list[dict]:
    """Holds out concepts that have both names and neither picture nor name from the scenes, in the order of a hash."""
    order = [r["code"] for r in rows if r["chinese"] and not {r["code"], r["name"].lower(), r["chinese"]} & lexicon]
    order.sort(key=lambda code: hashlib.sha256(f"{SEED}:{code}".encode()).hexdigest())
    part = dict.fromkeys(order[: HELD_OUT["test"]], "test")
    part |= dict.fromkeys(order[HELD_OUT["test"] : sum(HELD_OUT.values())], "val")
    return [row | {"split": part.get(row["code"], "train")} for row in rows]


if __name__ == "__main__":
    emoji.config.load_language("zh")
    nouns = csv.DictReader(Path(__file__).with_name("lexicon.csv").read_text(encoding="utf-8").splitlines())
    lexicon = {noun[column] for noun in nouns for column in ("code", "noun", "chinese")}
    found = rows(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), lexicon)
    writer = csv.DictWriter(sys.stdout, fieldnames=list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
