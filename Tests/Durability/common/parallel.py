"""Runs work on several processes. A worker that dies ends the run; a pool would wait for it for ever."""

import concurrent.futures
import itertools
import multiprocessing


def run_unordered(work, tasks, jobs):
    """Yields the results of `work(task)` as they come. At most four tasks a process are under way.

    Raises BrokenProcessPool where a worker process dies.
    """
    tasks = iter(tasks)
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running = {pool.submit(work, task) for task in itertools.islice(tasks, 4 * jobs)}
        while running:
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            running |= {pool.submit(work, task) for task in itertools.islice(tasks, len(done))}
            for future in done:
                yield future.result()
