import pickle

from flwr.app import Context, RecordDict
from tests.support.client.zoo import Recurrent

from fedask.client.app import _Handler
from fedask.common.task import Task


def test_an_app_travels_without_the_learner_that_this_process_has_made() -> None:
    task = Task(classes=[str(n) for n in range(10)], model=Recurrent)
    handler = _Handler(task, {}, None)
    handler._prepare(Context(1, 1, {}, RecordDict(), {}))
    assert handler._prepared is not None

    again = pickle.loads(pickle.dumps(handler))  # noqa: S301  (ours)

    assert again._prepared is None
    assert again._task.classes == task.classes
