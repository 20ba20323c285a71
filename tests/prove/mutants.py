"""The broken products that the proof must reject, each as a change of a line, and the claim that must fall with it."""

from __future__ import annotations

from prove.mutation import Edit, Mutant

_DRAW = "privacy.mechanisms.source:OsNoise.share"

MUTANTS = (
    Mutant(
        name="noise x0.9",
        edits=(Edit(_DRAW, "gaussian_law(block.share_scale)", "gaussian_law(0.9 * block.share_scale)"),),
        claim="canary-network",
    ),
    Mutant(
        name="share /n instead of /h",
        edits=(
            Edit("models.scorecard.plan:share_scale", "+ 4.0) / honest)", "+ 4.0) / (honest + 1))"),
        ),
        claim="canary",
    ),
    Mutant(
        name="colluding holder counted as honest",
        edits=(
            Edit("privacy.study:Study.honest", "self.privacy.min_holders - 1 -", "self.privacy.min_holders -"),
            Edit("privacy.policy:_honest", "study.privacy.min_holders) - 1 -", "study.privacy.min_holders) -"),
        ),
        claim="canary-network",
    ),
    Mutant(
        name="overlap ignored",
        edits=(Edit("privacy.accounting.study:overlap_factor", "float(overlap)", "1.0"),),
        claim="canary-overlap",
    ),
    Mutant(
        name="local noise shared out among holders",
        edits=(
            Edit("privacy.study:Study.honest", "return 1\n", "return self.privacy.min_holders\n"),
            Edit("privacy.policy:_honest", "return 1\n", "return study.privacy.min_holders\n"),
        ),
        claim="canary-local",
    ),
    Mutant(
        name="noise x0.99",
        edits=(Edit(_DRAW, "gaussian_law(block.share_scale)", "gaussian_law(0.99 * block.share_scale)"),),
        claim="law",
    ),
    Mutant(
        name="empty batch sent without noise",
        edits=(
            Edit(
                "clients.gate:_noisy",
                "if answer.plan.local_steps:",
                "if answer.plan.local_steps or not answer.contribution.vector(answer.plan).any():",
            ),
        ),
        claim="law",
    ),
    Mutant(
        name="zero drawn twice as often",
        edits=(Edit("privacy.mechanisms.gaussian:gaussian_weights", "weights[0] >>= 1", "pass"),),
        claim="law",
    ),
    Mutant(
        name="seed reused",
        edits=(
            Edit(
                "privacy.mechanisms.entropy:words",
                "os.urandom(8 * count)",
                '__import__("hashlib").shake_256(b"seed").digest(8 * count)',
            ),
        ),
        claim="independence",
    ),
    Mutant(
        name="batches of a fixed size",
        edits=(
            Edit(
                "privacy.mechanisms.sampling:poisson_sample",
                "return taken",
                "return entropy.words(customers).argsort().argsort() < int(customers * rate)",
            ),
        ),
        claim="sampling",
    ),
    Mutant(
        name="everybody in every sample",
        edits=(
            Edit("clients.pipeline:_computed", "poisson_sample(len(rows.label), plan.sampling_rate)", "poisson_sample(len(rows.label), type(plan.sampling_rate)(1))"),
        ),
        claim="sampling",
    ),
    Mutant(
        name="one-hot with two bins a feature",
        edits=(
            Edit(
                "models.scorecard.holder:_cell_counts",
                "np.concatenate(counts)",
                "np.concatenate([each + np.roll(each, 1) for each in counts])",
            ),
        ),
        claim="sensitivity",
    ),
    Mutant(
        name="residual not clipped",
        edits=(
            Edit(
                "models.scorecard.holder:residual_table",
                "np.minimum(steps, 0)",
                "np.minimum(steps, 500)",
            ),
        ),
        claim="sensitivity",
    ),
    Mutant(
        name="codes of pairs twice as long",
        edits=(
            Edit("models.scorecard.plan:Design.pair_code", "return best[1:]", "return (best[1], 2 * best[2])"),
        ),
        claim="sensitivity",
    ),
    Mutant(
        name="code longer than its unit",
        edits=(Edit("models.scorecard.codes:simplex", "<= one**2", "<= 2 * one**2"),),
        claim="sensitivity",
    ),
    Mutant(
        name="gradients not clipped",
        edits=(Edit("models.neural.fixed:factors", "np.minimum(", "np.maximum("),),
        claim="canary-network",
    ),
    Mutant(
        name="clip after averaging",
        edits=(
            Edit("models.neural.fixed:factors", "np.sqrt(norms_squared)", "np.sqrt(np.full_like(norms_squared, norms_squared.mean()))"),
        ),
        claim="sensitivity",
    ),
    Mutant(
        name="float residual rounded after the sum",
        edits=(
            Edit(
                "models.scorecard.holder:_by_bin",
                "weights=residual, minlength=size)",
                "weights=residual * 0.999, minlength=size)",
            ),
        ),
        claim="sensitivity",
    ),
    Mutant(
        name="split by row, not by customer",
        edits=(
            Edit("clients.table:_split_values", "for key in keys:", "for key in map(str, range(len(list(keys)))):"),
        ),
        claim="files",
    ),
    Mutant(
        name="customers in both parts",
        edits=(Edit("models.features:FeatureMatrix.part", "self.train(among) if", "self if True else self.train(among) if"),),
        claim="files",
    ),
    Mutant(
        name="rows counted, not customers",
        edits=(Edit("clients.table:_customers", "keep[chosen] = len(chosen) > 0", "keep[:] = number >= 0"),),
        claim="files",
    ),
    Mutant(
        name="sigma^2 instead of sigma^2 - 4",
        edits=(Edit("privacy.waist:BlockPlan.mu_squared", "share_scale**2 - 4.0", "share_scale**2"),),
        claim="discrete",
    ),
    Mutant(
        name="tail of the normal law taken as half",
        edits=(Edit("privacy.accounting.gaussian:log_delta_of", "- _LOG_ROOT_TAU +", "- 2 * _LOG_ROOT_TAU +"),),
        claim="figures",
    ),
    Mutant(
        name="slack dropped",
        edits=(Edit("privacy.accounting.slack:block_slacks", "2 * entries * per_entry", "0.0 * per_entry"),),
        claim="slacks",
    ),
    Mutant(
        name="retries not reserved",
        edits=(
            Edit("privacy.ledger.planned:quote", "[plan.max_attempts] *", "[1] *"),
        ),
        claim="price",
    ),
    Mutant(
        name="budget not charged on retry",
        edits=(Edit("clients.gate:send", "        mu_squared=mu_squared,\n", "        mu_squared=0 if key.attempt else mu_squared,\n"),),
        claim="charges",
    ),
    Mutant(
        name="cohort count uncharged",
        edits=(Edit("clients.pipeline:_freeze", "mu_squared=share.mu_squared", "mu_squared=0"),),
        claim="charges",
    ),
    Mutant(
        name="attempt answered twice with fresh noise",
        edits=(
            Edit("privacy.secagg.attempts:AttemptStore.begin", "if found is not None:", "if found is not None: return None\n        if False:"),
            Edit("privacy.secagg.attempts:AttemptStore.store", ".rowcount != 1", ".rowcount > 1"),
            Edit("privacy.secagg.keys:SessionKeys.claim", "if (round, attempt, vector) in self._used:", "if False:"),
            Edit("privacy.ledger.state:_charged", "if attempt in reservation.attempts:", "if False:"),
        ),
        claim="repeats",
    ),
    Mutant(
        name="consent not re-read",
        edits=(
            Edit("privacy.consent.cohort:Cohort.current", "before & self._eligible(registry, at, connection)", "before"),
        ),
        claim="withdrawals",
    ),
    Mutant(
        name="head of another party not compared",
        edits=(Edit("privacy.ledger.ledger:Ledger.check_head", "if known_sequence == 0 or", "if True or"),),
        claim="rollback",
    ),
    Mutant(
        name="ledger committed after sending",
        edits=(
            Edit(
                "clients.gate:send",
                "with holder.ledger.release(",
                'with (lambda *a, **k: (globals().setdefault("_late", []).append((holder.ledger, a, k)), '
                '__import__("contextlib").nullcontext())[1])(',
            ),
            Edit(
                "clients.agent:Agent._answer",
                "    match header.kind:",
                '    late = vars(gate).setdefault("_late", [])\n'
                "    for debt in [each for each in late if each[0] is self.holder.ledger]:\n"
                "        late.remove(debt)\n"
                "        with debt[0].release(*debt[1], **debt[2]):\n"
                "            pass\n"
                "    match header.kind:",
            ),
        ),
        claim="crashes",
    ),
    Mutant(
        name="reserved not counted as spent",
        edits=(Edit("privacy.ledger.state:State.counted", "each.amounts for", "each.released for"),),
        claim="crowd",
    ),
    Mutant(
        name="mask not bound to the attempt",
        edits=(Edit("privacy.secagg.masks:MaskContext.info", '"attempt": self.attempt', '"attempt": 0'),),
        claim="masks",
    ),
    Mutant(
        name="every vector shown without masks",
        edits=(Edit("clients.gate:_update", "if study.privacy.visible and not study.distributed:", "if True:"),),
        claim="veils",
    ),
    Mutant(
        name="word size without room for noise",
        edits=(
            Edit(
                "privacy.secagg.wordsize:sum_bound",
                "block.max_abs + len(max_customers) * largest_noise(block)",
                "block.max_abs",
            ),
        ),
        claim="words",
    ),
    Mutant(
        name="second list of survivors signed",
        edits=(
            Edit("privacy.secagg.attempts:AttemptStore.settle", "elif known != survivors:", "elif False:"),
            Edit("clients.recovery:Fresh.settle", "if not self.survivors:", "if True:"),
            Edit("clients.recovery:Fresh.reveal", "if self.revealed is None:", "if True:"),
        ),
        claim="dropouts",
    ),
    Mutant(
        name="roster echo not checked",
        edits=(
            Edit("privacy.secagg.roster:verify_echo", "if (echo.study,", "if False and (echo.study,"),
        ),
        claim="rosters",
    ),
    Mutant(
        name="strangers counted as peers",
        edits=(
            Edit(
                "privacy.secagg.roster:_check_vouched",
                " if m == own or participants[m.holder].fingerprint in vouched]",
                "]",
            ),
        ),
        claim="rosters",
    ),
)
