"""What trl makes of the same model and tokens; needs trl, which is not installed with affekt.

The stored values of `test_preference.py` are from trl 1.16.0 (PyPI), transformers 5.24.0 and torch 2.13.0, printed by
`PYTHONPATH=<a folder with trl and datasets>:. python tests/description/trl_losses.py`. The trainers' own methods are
called on a stand-in for the trainer, since all else of a trainer is data and logging.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from types import SimpleNamespace

import torch

READ = ('log_probs', 'entropy', 'mean_logits', 'is_top1')
PROMPTS = ((5, 9, 60, 2), (7, 3))
CHOSEN = ((11, 20, 33, 257), (40, 257))
REJECTED = ((50, 12, 257), (8, 81, 70, 66, 257))
ADVANTAGES = (1.2, -0.7)
SHIFTS = 0.35
"""By how much the logs before differ, up and down in turn, so that ratios are clipped."""


def filled_trunk():
    """A tiny trunk with adapters, all weights by a formula, so that they are the same with any version."""
    from affekt.description import Adapters, tiny_trunk, with_adapters

    trunk = with_adapters(tiny_trunk(), Adapters(rank=2, dropout=0.0))
    with torch.no_grad():
        for at, parameter in enumerate(trunk.network.parameters()):
            angles = torch.arange(parameter.numel(), dtype=torch.float64) * (1 + at % 7) + at
            parameter.copy_((angles.sin() * 0.25 + (parameter.ndim == 1)).view(parameter.shape))
    return trunk


def _stand_in(network, **settings):
    accelerator = SimpleNamespace(
        device=torch.device('cpu'), gather=lambda values: values, gather_for_metrics=lambda values: values,
        unwrap_model=lambda model: model, reduce=lambda values, reduction: values, num_processes=1,
        autocast=contextlib.nullcontext,
    )  # fmt: skip
    return SimpleNamespace(
        model=network.eval(), accelerator=accelerator, aux_loss_enabled=False, ref_model=None,
        _metrics=defaultdict(lambda: defaultdict(list)), _total_train_tokens=0, **settings,
    )  # fmt: skip


def trl_pairs(network, *, beta=0.1, loss='sigmoid', flipped=0.0):
    """The DPO loss of trl."""
    from trl import DPOTrainer
    from trl.trainer.utils import add_fused_lm_head

    add_fused_lm_head(network.get_base_model(), outputs=READ)
    rows = [(prompt, answer) for answers in (CHOSEN, REJECTED) for prompt, answer in zip(PROMPTS, answers, strict=True)]
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    padded = [(*prompt, *answer, *[0] * (longest - len(prompt) - len(answer))) for prompt, answer in rows]
    masks = [[at < len(p) + len(a) for at in range(longest)] for p, a in rows]
    completion = [[len(p) <= at < len(p) + len(a) for at in range(longest)] for p, a in rows]
    trainer = _stand_in(
        network, ld_alpha=None, precompute_ref_logps=False, f_divergence_type='reverse_kl', loss_types=[loss],
        loss_weights=[1.0], beta=beta, label_smoothing=flipped, use_weighting=False,
        args=SimpleNamespace(gradient_checkpointing_kwargs=None),
    )  # fmt: skip
    inputs = {
        'input_ids': torch.tensor(padded), 'attention_mask': torch.tensor(masks).long(),
        'completion_mask': torch.tensor(completion).long(),
    }  # fmt: skip
    return DPOTrainer._compute_loss(trainer, network, inputs, False)


def trl_groups(network, *, kl_weight=0.04, loss='grpo', temperature=1.3):
    """The GRPO loss of trl, with logs before that differ by `SHIFTS`."""
    from trl import GRPOTrainer
    from trl.trainer.utils import add_fused_lm_head, use_adapter

    add_fused_lm_head(network.get_base_model(), temperature=temperature, outputs=READ)
    before, longest = max(map(len, PROMPTS)), max(map(len, CHOSEN))
    inputs = {
        'prompt_ids': torch.tensor([[*[0] * (before - len(prompt)), *prompt] for prompt in PROMPTS]),
        'prompt_mask': torch.tensor([[at >= before - len(p) for at in range(before)] for p in PROMPTS]).long(),
        'completion_ids': torch.tensor([[*answer, *[0] * (longest - len(answer))] for answer in CHOSEN]),
        'completion_mask': torch.tensor([[at < len(answer) for at in range(longest)] for answer in CHOSEN]).long(),
        'advantages': torch.tensor(ADVANTAGES),
    }  # fmt: skip
    trainer = _stand_in(
        network, top_entropy_quantile=1.0, off_policy_mask_threshold=None, importance_sampling_level='token',
        beta=kl_weight, loss_type=loss, epsilon_low=0.2, epsilon_high=0.2, use_vllm=False,
        current_gradient_accumulation_steps=1, _entropy_bonus_enabled=False,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False),
    )  # fmt: skip
    trainer._get_per_token_logps_and_entropies = lambda *given, **named: (
        GRPOTrainer._get_per_token_logps_and_entropies.__wrapped__(trainer, *given, **named)
    )
    whole = torch.cat([inputs['prompt_ids'], inputs['completion_ids']], 1)
    mask = torch.cat([inputs['prompt_mask'], inputs['completion_mask']], 1)
    with torch.no_grad():
        now, *_ = trainer._get_per_token_logps_and_entropies(network, whole, mask, longest)
        with use_adapter(network, adapter_name=None):
            inputs['ref_per_token_logps'] = trainer._get_per_token_logps_and_entropies(network, whole, mask, longest)[0]
    inputs['old_per_token_logps'] = now + SHIFTS * (-1.0) ** torch.arange(longest)
    return GRPOTrainer._compute_loss(trainer, network, inputs)


def slope(loss, network):
    """The norm of a loss's gradient over all adapters."""
    adapters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.stack([each.norm() for each in torch.autograd.grad(loss, adapters)]).norm()


if __name__ == '__main__':
    for name, make in {
        'dpo': trl_pairs,
        'robust': lambda network: trl_pairs(network, beta=0.3, loss='robust', flipped=0.1),
        'grpo': trl_groups,
        'bnpo': lambda network: trl_groups(network, loss='bnpo', kl_weight=0.2),
    }.items():
        network = filled_trunk().network
        loss = make(network)
        print(name, f'{float(loss.detach()):.8f} {float(slope(loss, network)):.8f}')
