"""Plan, ask somebody, run, and list what came of it."""

from pathlib import Path

import batchgen

workspace = batchgen.Workspace("spring", sandbox=True)  # without `sandbox` it is the real account
manifest = Path("spring/manifests/first.yaml")

plan = workspace.plan(manifest)
print(f"{plan.to_buy} tasks for about {plan.credits} credits; the budgets allow {plan.credits_most} of them")

if plan.credits <= 2000:
    ended = workspace.run(
        manifest,
        limits=batchgen.Limits(budget=2000),
        on_task=lambda move: print(f"{move.task}: {move.after}"),
    )
    print(ended.code.value, ended.reason)

for task in workspace.tasks(states=["done"]):
    for file in task.latest.outputs if task.latest else ():
        print(f"{task.id}: {workspace.outputs / file.path}, {task.captured} credits")
