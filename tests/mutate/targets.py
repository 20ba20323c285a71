"""Which modules are mutated, and which tests are asked about each: those beside it first, then short studies.

A module's tests are run in the order given, up to the first that fails. Whole studies are slow, so only the
modules that no smaller test can reach ask for one.
"""

from __future__ import annotations

_LAW = "tests/statistical/test_release_law.py::test_every_release_has_its_declared_noise_fresh_and_paid"
STUDY = (f"{_LAW}[scorecard distributed retry masked]",)
RECOVERED = (f"{_LAW}[scorecard offsets=holder distributed recover masked]",)
LOCAL = (f"{_LAW}[mlp sampling_rate=1/2 local_steps=2 local retry masked]",)


def _in(folder: str, *stems: str) -> tuple[str, ...]:
    return tuple(f"tests/{folder}/test_{stem}.py" for stem in stems)


_SMALL = _in(
    "privacy/accounting", "accounting_edges", "accounting_report", "accounting_filters", "accounting_orders"
)
_ACCOUNTING = _in(
    "privacy/accounting",
    "accounting_gaussian",
    "accounting_slack",
    "accounting_study",
    "accounting_renyi",
    "accounting_sampled",
    "accounting_pld",
    "accounting_laplace",
    "accounting_mixture",
)
_LEDGER = _in(
    "privacy/ledger",
    "ledger_reading",
    "ledger_golden",
    "ledger_orders",
    "ledger_transactions",
    "ledger_events",
    "ledger_chain",
    "ledger_slack",
    "ledger_rules",
    "ledger_parts",
    "ledger_freeze",
    "ledger_model",
)
_SECAGG = "privacy/secagg"
_CONSENT = _in(
    "privacy/consent",
    "consent_snapshot",
    "consent_moments",
    "consent_stored",
    "consent_eligibility",
    "consent_registry",
    "consent_cohort",
    "consent_intake",
    "consent_files",
    "consent_bulk",
    "consent_zones",
)
_RELEASE = _in(
    "privacy/release",
    "release_register",
    "release_cells",
    "release_grids",
    "release_readings",
    "release_counts",
    "release_differences",
    "release_gate",
    "release_shown",
    "release_numbers",
    "release_rules",
    "release_clean",
    "release_masking",
    "release_matrix",
    "release_leaks",
)
_WIRE = _in(
    "privacy/wire",
    "wire_bounds",
    "wire_fields",
    "wire_limits",
    "signed_domains",
    "wire",
    "wire_payloads",
    "wire_canonical",
)
_VERIFICATION = _in(
    "audit",
    "verdict_form",
    "rollcall",
    "claims",
    "bundle_edges",
    "bundle_framing",
    "bundle_verify",
    "bundle_complete",
    "trusted_keys",
    "bundle_random",
)

_CONTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "models/evaluation.py": _in("models", "evaluation_plan", "evaluation"),
    "models/features.py": _in("models", "features_exact", "features"),
    "models/metrics/noisy.py": _in("models", "metrics_by_hand", "metrics_noisy"),
    "models/pricing.py": _in("models", "pricing"),
    "models/scorecard/codes.py": _in("models", "scorecard_bounds", "scorecard_holder"),
    "models/scorecard/holder.py": _in("models", "scorecard_bounds", "scorecard_holder"),
    "models/scorecard/pairs.py": _in("models", "scorecard_bounds", "scorecard_holder", "scorecard_pairs"),
    "models/scorecard/plan.py": _in("models", "scorecard_shares", "scorecard_plan", "scorecard_holder"),
    "models/statistics/axes.py": _in("models", "statistics_bounds", "statistics_answers"),
    "models/statistics/coordinator.py": _in("models", "statistics_answers", "statistics_questions"),
    "models/statistics/correlations.py": _in("models", "statistics_bounds", "statistics_answers"),
    "models/statistics/counts.py": _in("models", "statistics_bounds", "statistics_answers"),
    "models/statistics/distinct.py": _in("models", "statistics_answers"),
    "models/statistics/holder.py": _in("models", "statistics_bounds"),
    "models/statistics/means.py": _in("models", "statistics_bounds", "statistics_answers"),
    "models/statistics/plan.py": _in("models", "statistics_questions", "statistics_bounds"),
    "models/statistics/quantiles.py": _in("models", "statistics_bounds", "statistics_answers"),
    "models/statistics/questions.py": _in("models", "statistics_questions"),
    "models/tables/disclosure.py": _in("models", "tables_disclosure"),
    "models/tables/noisy.py": _in("models", "tables_disclosure", "statistics_answers"),
    "models/tables/recoding.py": _in("models", "tables_disclosure"),
    "models/neural/fixed.py": _in("models", "neural_bounds", "neural_exact"),
    "models/neural/holder.py": _in("models", "neural_bounds", "neural_exact", "neural_sampled"),
    "models/neural/network.py": _in("models", "neural_exact", "neural_layout"),
    "models/neural/plan.py": _in("models", "neural_shares", "neural_exact"),
    "models/neural/rounding.py": _in("models", "neural_shares", "neural_exact"),
    "models/neural/sampled.py": _in("models", "neural_bounds", "neural_sampled"),
    "clients/rows/coding.py": _in("clients", "coding", "table_counts", "table", "table_meanings"),
    "clients/rows/listing.py": _in("clients", "inputs_items", "inputs_paths"),
    "clients/rows/note_topics.py": _in("clients", "inputs_notes"),
    "clients/rows/raw_lists.py": _in("clients", "inputs_items", "inputs_paths", "inputs_stages"),
    "clients/rows/splitting.py": _in("clients", "table_stages"),
    "clients/rows/windowing.py": _in("clients", "events_window"),
}
_COORDINATOR: dict[str, tuple[str, ...]] = {
    "server/combining.py": _in("server", "combining"),
    "server/membership.py": _in("server", "membership", "farewells"),
    "server/recover_sums.py": _in("server", "recovered_sums"),
    "server/registry.py": _in("server", "registry"),
    "server/release/gate.py": _in("server", "coordinator_releasing"),
    "server/replies.py": _in("server", "conduct", "membership"),
    "server/retry_sums.py": _in("server", "retried_sums", "visible_sums"),
    "server/rounds.py": (*_in("server", "retried_sums", "ends"), *_in("e2e", "study_resumed")),
    "server/sums.py": _in("server", "conduct", "retried_sums", "visible_sums"),
}
TARGETS: dict[str, dict[str, tuple[str, ...]]] = {
    "waist": {"privacy/waist.py": (*_in("privacy", "waist"), *_ACCOUNTING[2:3], *STUDY, *LOCAL)},
    "gate": {
        "clients/gate.py": (*_in("clients", "gate"), *_in("e2e", "holder_whole_log"), *STUDY, *LOCAL),
        "clients/noisy_steps.py": (*_in("clients", "noisy_steps"), *LOCAL),
        "clients/joining.py": _in(
            "e2e",
            "holder_joins",
            "holder_whole_log",
            "joining_races",
            "joining_tells_nothing",
            "study_numbers",
        ),
        "clients/pipeline.py": (
            *_in("clients", "pipeline"),
            *_in("e2e", "holder_whole_log", "holder_rounds"),
        ),
        "clients/runs.py": (*_in("clients", "runs"), *_in("e2e", "holder_rosters", "holder_whole_log")),
        "clients/agent.py": _in(
            "e2e", "holder_turns", "holder_farewell", "holder_rosters", "holder_whole_log"
        ),
        "clients/recover_steps.py": (*_in("e2e", "holder_rosters", "study_dropouts_hostile"), *RECOVERED),
        **{f"clients/{name}.py": _in("clients", name) for name in ("attesting", "own_model", "standing")},
        **{
            f"clients/records/{name}.py": _in("clients", name)
            for name in ("offers", "participations", "snapshots")
        },
        **{
            f"clients/{name}.py": _in("clients", "witnessing")
            for name in ("cosigning", "records/witness_memory")
        },
    },
    "mechanisms": {
        f"privacy/mechanisms/{name}.py": (
            *_in("privacy/mechanisms", *(f"mechanisms_{test}" for test in tests)),
            "tests/statistical/test_sampler_law.py",
        )
        for name, tests in {
            "entropy": ("source", "sampling", "table"),
            "gaussian": ("oracle", "source", "table"),
            "laplace": ("laplace",),
            "sampling": ("sampling",),
            "source": ("source",),
            "table": ("table",),
        }.items()
    },
    "accounting": {
        f"privacy/accounting/{name}.py": (*_SMALL, *tests)
        for name, tests in {
            "amounts": (*_ACCOUNTING[:3], *_LEDGER[:4]),
            "composition": (*_ACCOUNTING[2:6], *_ACCOUNTING[7:]),
            "filters": (*_ACCOUNTING[:4], *_ACCOUNTING[7:], *_LEDGER[:4]),
            "gaussian": _ACCOUNTING[:3],
            "noise_laws": (
                *_ACCOUNTING[1:3],
                *_in("privacy/mechanisms", "mechanisms_oracle", "mechanisms_table"),
            ),
            "multiplier": (
                *_in("privacy/accounting", "accounting_multiplier"),
                *_ACCOUNTING[4:6],
            ),
            "pld": (*_in("privacy/accounting", "accounting_grids"), *_ACCOUNTING[2:7]),
            "renyi": _ACCOUNTING[3:7],
            "scales": (*_ACCOUNTING[1:3], *_in("models", "scorecard_plan", "evaluation")),
            "slack": _ACCOUNTING[1:3],
            "study": _ACCOUNTING[1:5],
        }.items()
    },
    "ledger": {
        f"privacy/ledger/{name}.py": _LEDGER
        for name in (
            "balance",
            "book",
            "chain",
            "entries",
            "ledger",
            "parts",
            "planned",
            "reading",
            "state",
            "statement",
            "steps",
            "terms",
        )
    },
    "secagg": {
        f"privacy/secagg/{name}.py": _in(_SECAGG, *(f"secagg_{test}" for test in tests))
        for name, tests in {
            "attempts": ("golden", "attempts"),
            "ephemeral": ("golden", "keys", "recovery", "round", "survivors"),
            "graph": ("graph",),
            "keys": ("keys", "golden", "roster", "masks", "round"),
            "masks": ("golden", "sums", "masks", "round"),
            "recovery": ("golden", "recovery", "survivors"),
            "roster": ("golden", "roster", "round", "recovery", "graph"),
            "shamir": ("golden", "shamir", "recovery"),
            "survivors": ("golden", "survivors", "recovery"),
            "unmask": ("revealed", "recovery", "survivors", "round"),
            "visible": ("visible", "sums", "round", "wordsize"),
            "wordsize": ("wordsize",),
        }.items()
    },
    "consent": {
        f"privacy/consent/{name}.py": _CONSENT
        for name in (
            "snapshot",
            "cohort",
            "compiled",
            "eligibility",
            "intake",
            "recording",
            "registry",
            "times",
        )
    },
    "policy": {
        "privacy/agreements/policy.py": _in(
            "privacy/agreements", "obligations", "policy", "law", "purposes", "input_documents"
        ),
        "privacy/agreements/law.py": _in("privacy/agreements", "law_lists", "law", "obligations", "policy"),
        "privacy/agreements/obligations.py": _in("privacy/agreements", "obligations", "policy", "law"),
        "privacy/agreements/purposes.py": _in("privacy/agreements", "purposes", "law_lists"),
    },
    "wire": {
        "privacy/wire/envelope.py": _WIRE,
        "privacy/wire/fields.py": (_WIRE[1], _WIRE[0], *_WIRE[2:]),
        "privacy/wire/heads.py": (_WIRE[1], *_WIRE[3:]),
        "privacy/wire/payload.py": (_WIRE[2], *_WIRE[4:]),
    },
    "crypto": {
        f"privacy/crypto/{name}.py": _in("privacy/crypto", *tests)
        for name, tests in {
            "identity": ("identity", "signed"),
            "keyfile": ("keyfile_form", "keyfile"),
            "private_files": ("keyfile_form", "keyfile"),
            "public_files": ("keyfile_form", "keyfile"),
            "secret_files": ("keyfile_form",),
            "signed": ("signed_file", "signed"),
        }.items()
    },
    "release": {
        f"privacy/release/{name}.py": tuple(
            dict.fromkeys((*_in("privacy/release", f"release_{first}"), *_RELEASE))
        )
        for name, first in {
            "artefact": "cells",
            "cells": "cells",
            "counts": "cells",
            "differences": "register",
            "examination": "register",
            "gate": "register",
            "grids": "grids",
            "personal": "readings",
            "register": "register",
            "tables": "readings",
            "tensors": "readings",
        }.items()
    },
    "contributions": _CONTRIBUTIONS,
    "coordinator": _COORDINATOR,
    "audit": {
        f"audit/{name}.py": _in("audit", *tests)
        for name, tests in {
            "bundle": ("bundle_edges", "bundle_framing", "bundle_verify", "bundle_complete"),
            "canonical": ("canonical", "guard_words", "events"),
            "checkpoint": ("note_bytes", "note", "audit_log"),
            "events": ("guard_words", "events", "log_store"),
            "guard": ("guard_words", "events"),
            "log": ("log_store", "audit_log", "witness", "audit_handout", "bundle_verify"),
            "merkle": ("merkle_proofs", "merkle", "audit_log"),
            "note": ("note_bytes", "note", "audit_log"),
            "store": ("log_store", "audit_log", "witness", "audit_handout"),
            "verification/opening": ("audit_handout", "bundle_framing", "audit_log"),
            "witness": ("witness",),
        }.items()
    },
    "verification": {
        f"audit/verification/{name}.py": _VERIFICATION
        for name in (
            "folders",
            "localise",
            "logcheck",
            "lookalike",
            "report",
            "rollcall",
            "claims",
            "scan",
            "trust",
            "verify",
        )
    },
}


def chosen(names: list[str]) -> dict[str, tuple[str, ...]]:
    """Modules of groups, or modules by their file; all without names.

    Raises:
        KeyError: there is no such group or module.
    """
    every = {module: tests for group in TARGETS.values() for module, tests in group.items()}
    if not names:
        return every
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        found |= TARGETS[name] if name in TARGETS else {name: every[name]}
    return found
