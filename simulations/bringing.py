"""What the people of a federation of processes bring: tables, contracts, consents, a schema and a study.

Files in one folder, by their names: `schema.toml`, `study.toml`, and of each holder `contract-NAME.toml`,
`NAME-consent.csv` and its table `NAME.*`. The people of the city are generated; the public Telco table is cut
into three holders and every customer is entered as consenting.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ringfence.privacy.errors import N_, UsageError
from ringfence.simulations.cases import TABLES, copy_case
from ringfence.simulations.experiment import lay_out
from ringfence.simulations.populations.city import generate, write_population
from ringfence.simulations.populations.structure import HOLDER_PROFILES
from ringfence.simulations.question import Question

_PEOPLE_OF = {"bank": "clients", "retailer": "members", "partner": "subscribers"}
_TELCO = "telco"


def bring_city(folder: Path, seed: int) -> dict[str, str]:
    """Generate the city's people; population of each holder.

    Args:
        folder: to write to.
        seed: of the people.
    """
    write_population(generate(seed), folder)
    return {name: f"city-{name}-{_PEOPLE_OF[name]}" for name in HOLDER_PROFILES}


def bring_telco(folder: Path, seed: int) -> dict[str, str]:
    """Cut the public Telco table into three holders; population of each.

    Args:
        folder: to write to.
        seed: of the cut.

    Raises:
        UsageError: RF-U810 the table is not there.
    """
    table = _telco_table()
    case = folder / "case"
    copy_case(_TELCO, case)
    question = Question.load(case / "study.toml", [case / "contract.toml"], [table], holders=3, seed=seed)
    sites, _rows = lay_out(question, folder)
    contract = (case / "contract.toml").read_text(encoding="utf-8")
    for name, site in sites.items():
        own = _changed(contract, 'holder = "telco"', f"holder = {json.dumps(name)}")
        own = _changed(own, f'file = "{TABLES[_TELCO]}"', f"file = {json.dumps(site.contract.source.file)}")
        (folder / f"contract-{name}.toml").write_text(own, encoding="utf-8")
    # People who sign a study name its features, and by whose law it runs.
    names = [feature.name for feature in question.schema.features if feature.name != question.study.label]
    study = (case / "study.toml").read_text(encoding="utf-8")
    line = 'task = "scorecard"\n'
    study = _changed(study, line, f"{line}features = {json.dumps(names)}\n")
    (folder / "study.toml").write_text(study, encoding="utf-8")
    (folder / "schema.toml").write_bytes((case / "schema.toml").read_bytes())
    return {name: site.contract.population for name, site in sites.items()}


def require_tables(case: str) -> None:
    """Refuse a case whose public table is not there, before anything is made.

    Raises:
        UsageError: RF-U810.
    """
    if case == _TELCO:
        _telco_table()


def _telco_table() -> Path:
    data = Path(os.environ.get("RINGFENCE_DATA", "../shared/data"))
    if not (data / TABLES[_TELCO]).is_file():
        raise UsageError(
            "RF-U810",
            N_(
                "The public table {file} is not in {folder}; name the folder that holds it in "
                "RINGFENCE_DATA, or leave out --case."
            ),
            file=TABLES[_TELCO],
            folder=str(data),
        )
    return data / TABLES[_TELCO]


def _changed(text: str, old: str, new: str) -> str:
    """A packaged file with one line as a holder would write it."""
    if text.count(old) != 1:
        raise AssertionError(f"the packaged case says {old!r} once")
    return text.replace(old, new)


BROUGHT: Mapping[str, Callable[[Path, int], dict[str, str]]] = {"demo": bring_city, _TELCO: bring_telco}
"""By the name of the case."""
