from __future__ import annotations

import asyncio
import threading

import pytest

from exporter.errors import RecipeError
from exporter.runtime.bundle import Bundle


def test_progress_is_told_in_the_thread_of_the_loop_and_the_object_is_that_of_generate(toy_bundle):
    bundle, told = Bundle.open(toy_bundle), []

    async def one():
        made = await bundle.generate_async(
            "a red ball", 3, grid=16, on_progress=lambda what, *_: told.append((what, threading.get_ident()))
        )
        await asyncio.sleep(0)
        return made

    made = asyncio.run(one())
    assert (made.vertices == bundle.generate("a red ball", 3, grid=16).vertices).all()
    assert {"sampling", "mesh"} == {what for what, _ in told} and {thread for _, thread in told} == {
        threading.get_ident()
    }


def test_several_are_awaited_at_once(toy_bundle):
    bundle = Bundle.open(toy_bundle)

    async def all_of_them():
        return await asyncio.gather(*(bundle.generate_async("a red ball", seed, grid=16) for seed in range(4)))

    assert [made.seed for made in asyncio.run(all_of_them())] == [0, 1, 2, 3]


def test_a_cancelled_task_ends_the_work_and_leaves_the_bundle_usable(toy_bundle, monkeypatch):
    bundle, evaluations = Bundle.open(toy_bundle), []
    begun, go_on = threading.Event(), threading.Event()
    run_program = Bundle.run_program

    def slow(self, stage, arrays):
        evaluations.append(stage)
        begun.set()
        assert go_on.wait(30)
        return run_program(self, stage, arrays)

    async def cancelled():
        task = asyncio.create_task(bundle.generate_async("a red ball", seed=list(range(64)), grid=64))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        asyncio.get_running_loop().call_later(0.01, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await task

    with monkeypatch.context() as patched:
        patched.setattr(Bundle, "run_program", slow)
        asyncio.run(cancelled())
    assert len(evaluations) < 64
    assert not bundle.generate("a red ball", grid=16).is_empty


def test_what_is_refused_is_refused_in_the_same_words(toy_bundle):
    with pytest.raises(RecipeError, match=r"^seed: "):
        asyncio.run(Bundle.open(toy_bundle).generate_async("a red ball", seed=1.5))
