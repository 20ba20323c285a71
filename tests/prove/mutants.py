"""The broken products that the proof must reject, each as a change of a line, and the claim that must fall
with it.
"""

from __future__ import annotations

from prove.mutants_released import RELEASED
from prove.mutation import broken

_DRAW = "privacy.mechanisms.source:OsNoise.share"


MUTANTS = (
    *RELEASED,
    broken(
        "noise x0.9",
        "canary-network",
        (_DRAW, "gaussian_law(block.share_scale)", "gaussian_law(0.9 * block.share_scale)"),
    ),
    broken(
        "share /n instead of /h",
        "canary",
        ("privacy.accounting.scales:share_scale", "_VARIANCE) / honest)", "_VARIANCE) / (honest + 1))"),
    ),
    broken(
        "colluding holder counted as honest",
        "canary-network",
        (
            "privacy.agreements.study:Study.honest",
            "self.privacy.min_holders - 1 -",
            "self.privacy.min_holders -",
        ),
        (
            "privacy.agreements.policy:_honest",
            "study.privacy.min_holders) - 1 -",
            "study.privacy.min_holders) -",
        ),
    ),
    broken(
        "overlap ignored",
        "canary-overlap",
        ("privacy.accounting.study:overlap_factor", "float(overlap)", "1.0"),
    ),
    broken(
        "local noise shared out among holders",
        "canary-local",
        ("privacy.agreements.study:Study.honest", "return 1\n", "return self.privacy.min_holders\n"),
        ("privacy.agreements.policy:_honest", "return 1\n", "return study.privacy.min_holders\n"),
    ),
    broken(
        "noise x0.99",
        "law",
        (_DRAW, "gaussian_law(block.share_scale)", "gaussian_law(0.99 * block.share_scale)"),
    ),
    broken(
        "empty batch sent without noise",
        "law",
        (
            "clients.gate:with_noise",
            "if answer.plan.local_steps:",
            "if answer.plan.local_steps or not answer.contribution.vector(answer.plan).any():",
        ),
    ),
    broken(
        "zero drawn twice as often",
        "law",
        ("privacy.mechanisms.gaussian:gaussian_weights", "weights[0] >>= 1", "pass"),
    ),
    broken(
        "seed reused",
        "independence",
        (
            "privacy.mechanisms.entropy:words",
            "os.urandom(8 * count)",
            '__import__("hashlib").shake_256(b"seed").digest(8 * count)',
        ),
    ),
    broken(
        "batches of a fixed size",
        "sampling",
        (
            "privacy.mechanisms.sampling:poisson_sample",
            "return taken",
            "return entropy.words(customers).argsort().argsort() < int(customers * rate)",
        ),
    ),
    broken(
        "everybody in every sample",
        "sampling",
        (
            "clients.pipeline:_computed",
            "poisson_sample(len(rows.label), plan.sampling_rate)",
            "poisson_sample(len(rows.label), type(plan.sampling_rate)(1))",
        ),
    ),
    broken(
        "one-hot with two bins a feature",
        "sensitivity",
        (
            "models.scorecard.holder:_cell_counts",
            "np.concatenate(counts)",
            "np.concatenate([each + np.roll(each, 1) for each in counts])",
        ),
    ),
    broken(
        "residual not clipped",
        "sensitivity",
        ("models.scorecard.holder:residual_table", "np.minimum(steps, 0)", "np.minimum(steps, 500)"),
    ),
    broken(
        "codes of pairs twice as long",
        "sensitivity",
        (
            "models.scorecard.plan:ScorecardDesign.pair_code",
            "return best[1:]",
            "return (best[1], 2 * best[2])",
        ),
    ),
    broken(
        "code longer than its unit",
        "sensitivity",
        ("models.scorecard.codes:simplex", "<= one**2", "<= 2 * one**2"),
    ),
    broken(
        "gradients not clipped",
        "canary-network",
        ("models.neural.fixed:factors", "np.minimum(", "np.maximum("),
    ),
    broken(
        "clip after averaging",
        "sensitivity",
        (
            "models.neural.fixed:factors",
            "np.sqrt(norms_squared)",
            "np.sqrt(np.full_like(norms_squared, norms_squared.mean()))",
        ),
    ),
    broken(
        "a gradient of Opacus not clipped",
        "sensitivity",
        ("models.neural.sampled:clipped", "SAFETY / np.maximum(length, 1.0), 1.0)", "SAFETY, 1.0)"),
    ),
    broken(
        "sums of everybody paid as a third part",
        "scopes",
        (
            "privacy.waist:StudyPlan.of_part",
            "each.part in (part, BOTH)",
            "each.part == part or (each.part == BOTH and {e.part for e in self.rounds} == {BOTH})",
        ),
    ),
    broken(
        "sums of everybody reserved for neither part",
        "scopes",
        (
            "privacy.accounting.composition:composition",
            "each.part not in (part, BOTH)",
            "each.part != part",
        ),
    ),
    broken(
        "values of a mean not clipped",
        "sensitivity",
        (
            "models.features:number_steps",
            "np.clip(np.where(missing, low, values), low, high)",
            "np.where(missing, low, values)",
        ),
    ),
    broken(
        "levels of a tree declared as one",
        "canary-statistics",
        ("models.statistics.quantiles:_shapes", "ones=LEVELS", "ones=1"),
    ),
    broken(
        "products of two values in the units of one",
        "sensitivity",
        ("models.statistics.correlations:_contribute", "2 * STEP_BITS - bits[PRODUCTS]", "STEP_BITS"),
    ),
    broken(
        "float residual rounded after the sum",
        "sensitivity",
        (
            "models.scorecard.holder:_by_bin",
            "weights=residual, minlength=size)",
            "weights=residual * 0.999, minlength=size)",
        ),
    ),
    broken(
        "split by row, not by customer",
        "files",
        (
            "clients.rows.splitting:split_values",
            "for key in keys:",
            "for key in map(str, range(len(list(keys)))):",
        ),
    ),
    broken(
        "customers in both parts",
        "files",
        (
            "models.features:FeatureMatrix.part",
            "self.train(among) if",
            "self if True else self.train(among) if",
        ),
    ),
    broken(
        "rows counted, not customers",
        "files",
        (
            "clients.rows.customers:counted_customers",
            "keep[chosen] = len(chosen) > 0",
            "keep[:] = number >= 0",
        ),
    ),
    broken(
        "sigma^2 instead of sigma^2 - 4",
        "discrete",
        ("privacy.waist:BlockPlan.mu_squared", "share_scale**2 - 4.0", "share_scale**2"),
    ),
    broken(
        "tail of the normal law taken as half",
        "figures",
        ("privacy.accounting.gaussian:log_delta_of", "- _LOG_ROOT_TAU +", "- 2 * _LOG_ROOT_TAU +"),
    ),
    broken(
        "slack dropped",
        "slacks",
        ("privacy.accounting.slack:block_slacks", "2 * entries * per_entry", "0.0 * per_entry"),
    ),
    broken(
        "retries not reserved", "price", ("privacy.ledger.planned:quote", "[plan.max_attempts] *", "[1] *")
    ),
    broken(
        "budget not charged on retry",
        "charges",
        (
            "clients.gate:send",
            "        mu_squared=mu_squared,\n",
            "        mu_squared=0 if key.attempt else mu_squared,\n",
        ),
    ),
    broken(
        "cohort count uncharged",
        "charges",
        ("clients.joining:_freeze", "mu_squared=share.mu_squared", "mu_squared=0"),
    ),
    broken(
        "attempt answered twice with fresh noise",
        "repeats",
        (
            "privacy.secagg.attempts:AttemptStore.begin",
            "if found is not None:",
            "if found is not None: return None\n        if False:",
        ),
        ("privacy.secagg.attempts:AttemptStore.store", ".rowcount != 1", ".rowcount > 1"),
        ("privacy.secagg.keys:SessionKeys.claim", "if (round, attempt, vector) in self._used:", "if False:"),
        ("privacy.ledger.state:_charged", "if attempt in reservation.attempts:", "if False:"),
    ),
    broken(
        "consent not re-read",
        "withdrawals",
        (
            "privacy.consent.cohort:Cohort.current",
            "before & self._eligible(registry, at, connection)",
            "before",
        ),
    ),
    broken(
        "head of another party not compared",
        "rollback",
        ("privacy.ledger.ledger:Ledger.check_mark", "if known in", "if True or known in"),
    ),
    broken(
        "ledger committed after sending",
        "crashes",
        (
            "clients.gate:send",
            "with holder.ledger.release(",
            'with (lambda *a, **k: (globals().setdefault("_late", []).append((holder.ledger, a, k)), '
            '__import__("contextlib").nullcontext())[1])(',
        ),
        (
            "clients.agent:Agent._answer",
            "    match header.kind:",
            '    late = vars(__import__("ringfence.clients.gate", fromlist=["x"])).setdefault("_late", [])\n'
            "    for debt in [each for each in late if each[0] is self.holder.ledger]:\n"
            "        late.remove(debt)\n"
            "        with debt[0].release(*debt[1], **debt[2]):\n"
            "            pass\n"
            "    match header.kind:",
        ),
    ),
    broken(
        "reserved not counted as spent",
        "crowd",
        ("privacy.ledger.state:State.counted", "each.amounts for", "each.released for"),
    ),
    broken(
        "mask not bound to the attempt",
        "masks",
        ("privacy.secagg.masks:MaskContext.info", '"attempt": self.attempt', '"attempt": 0'),
    ),
    broken(
        "every vector shown without masks",
        "veils",
        ("clients.gate:in_words", "if study.privacy.visible and not study.distributed:", "if True:"),
    ),
    broken(
        "word size without room for noise",
        "words",
        (
            "privacy.secagg.wordsize:sum_bound",
            "block.max_abs + len(max_customers) * largest_noise(block)",
            "block.max_abs",
        ),
    ),
    broken(
        "second list of survivors signed",
        "dropouts",
        ("privacy.secagg.attempts:AttemptStore.settle", "elif known != survivors:", "elif False:"),
        ("clients.recover_steps:Fresh.settle", "if not self.survivors:", "if True:"),
        ("clients.recover_steps:Fresh.reveal", "if self.revealed is None:", "if True:"),
    ),
    broken(
        "roster echo not checked",
        "rosters",
        ("privacy.secagg.roster:verify_echo", "if (echo.study,", "if False and (echo.study,"),
    ),
    broken(
        "strangers counted as peers",
        "rosters",
        (
            "privacy.secagg.roster:_check_vouched",
            " if m == own or participants[m.holder].fingerprint in vouched]",
            "]",
        ),
    ),
)
