"""Threads beside the training leave its own threads alone."""

from __future__ import annotations

import threading

import torch

from isthmus.common.openmp import without_openmp


def test_a_thread_works_alone_and_the_others_as_before():
    before, seen = torch.get_num_threads(), []

    def work():
        without_openmp()
        seen.append(torch.get_num_threads())

    torch.set_num_threads(2)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert seen == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
